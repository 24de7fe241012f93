"""The file tree that all hosts of the lab share, built once and kept outside the source tree.

It is Debian with systemd, sshd, firewalld, sudo and a C compiler, and a package archive of its own with
``redis-server`` and what that needs: a host without internet can install it with plain ``apt-get``. The tree is never
written to once it is complete: each host has a layer of its own above it (:mod:`tests.lab.machine`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

SUITE = "bookworm"
MIRROR = os.environ.get("SLOTWRIGHT_LAB_MIRROR", "http://deb.debian.org/debian")
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "openssh-server",
    "iproute2",
    "procps",
    "polkitd",
    "firewalld",
    "netbase",
    "nftables",
    "python3-nftables",
    "sudo",
    "gcc",
    "make",
    "libc6-dev",
    "pkg-config",
)
SERVED = ("redis-server", "redis-tools")
"""What the archive inside holds, with all that the root lacks of their dependencies."""

OPS_PASSWORD = "Ops% of the lab"
PLAIN_PASSWORD = "plain-of-the-lab"
USERS = {"root": 0, "ops": 1001, "deploy": 1002, "plain": 1003}
"""Who can log in, with the numbers of user and group."""

TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "sshpass": "sshpass",
}
"""Program -> the Debian package that has it."""

SETUP = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt-get update -q
apt-get install -qy --no-install-recommends --download-only {" ".join(SERVED)}
mkdir -p /srv/packages
mv /var/cache/apt/archives/*.deb /srv/packages/
echo 'deb-src {MIRROR} {SUITE} main' >> /etc/apt/sources.list
apt-get update -q
mkdir -p /srv/source
cd /srv/source
apt-get source -q --download-only --tar-only redis
cd /

for user in ops:1001 deploy:1002 plain:1003; do
  useradd --create-home --shell /bin/bash --uid "${{user#*:}}" --user-group "${{user%:*}}"
done
echo 'ops:{OPS_PASSWORD}' | chpasswd
echo 'plain:{PLAIN_PASSWORD}' | chpasswd
echo 'ops ALL=(ALL:ALL) ALL' > /etc/sudoers.d/ops
echo 'deploy ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/deploy
chmod 0440 /etc/sudoers.d/*

rm -f /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname /etc/resolv.conf
: > /etc/machine-id
systemctl enable ssh firewalld
systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket getty.target \\
  console-getty.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer dpkg-db-backup.timer \\
  systemd-resolved.service systemd-timesyncd.service

rm -f /usr/lib/sysctl.d/* /etc/sysctl.d/*  # what they set belongs to the whole machine too: refused in a container

cat > /usr/local/sbin/lab-kernel <<'END'
#!/bin/sh
set -eu
thp=/sys/kernel/mm/transparent_hugepage/enabled
if [ "$1" = start ]; then
  mkdir -p /run/lab-kernel
  echo '[always] madvise never' > /run/lab-kernel/thp
  for setting in overcommit_memory:0 swappiness:60 max_map_count:65530; do
    own=/run/lab-kernel/${{setting%:*}}
    echo "${{setting#*:}}" > "$own"
    mount --bind "$own" "/proc/sys/vm/${{setting%:*}}"
  done
  [ ! -e $thp ] || mount --bind /run/lab-kernel/thp $thp
  exit
fi
case $(cat $thp) in
  always) echo '[always] madvise never' > $thp ;;
  madvise) echo 'always [madvise] never' > $thp ;;
  never) echo 'always madvise [never]' > $thp ;;
esac
END
chmod 0755 /usr/local/sbin/lab-kernel
cat > /etc/systemd/system/lab-kernel.service <<'END'
[Unit]
Description=Kernel settings of this host's own
DefaultDependencies=no
Before=systemd-sysctl.service sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/lab-kernel start
[Install]
WantedBy=sysinit.target
END
cat > /etc/systemd/system/lab-thp.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/lab-kernel answer
END
cat > /etc/systemd/system/lab-thp.path <<'END'
[Path]
PathModified=/run/lab-kernel/thp
[Install]
WantedBy=multi-user.target
END
systemctl enable lab-kernel.service lab-thp.path
"""
"""Run inside, with the internet at hand.

The kernel's memory settings (overcommit, huge pages, ...) belong to the whole machine, so a container may not write
them. Each host gets files of its own in their place: written by ``sysctl`` and units as usual, and back at the defaults
after a boot.
"""

SEAL = """
set -eu
echo 'deb [trusted=yes] file:/srv/packages ./' > /etc/apt/sources.list
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
mkdir -p /var/cache/apt/archives/partial
apt-get update -q
apt-get install -qy --simulate redis-server >/dev/null
"""
"""Run inside when the archive has its index; its last line proves that the archive is complete."""


class LabUnavailableError(Exception):
    """The lab can't run here; the text is the reason that a skipped test shows."""


def cache() -> Path:
    """Where roots and the hosts' layers are kept: ``SLOTWRIGHT_LAB_CACHE``, or a folder of the system's cache."""
    return Path(os.environ.get("SLOTWRIGHT_LAB_CACHE") or "/var/cache/slotwright-lab")


def recipe() -> str:
    """A short name of what :func:`build` would build: it changes with each change to the tree."""
    parts = [SUITE, PACKAGES, SERVED, SETUP, SEAL, os.uname().machine]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def install_tools() -> None:
    """The programs that the lab needs are there after this; raises :class:`LabUnavailableError` where they can't be."""
    if not sys.platform.startswith("linux"):
        raise LabUnavailableError("the lab needs Linux")
    if os.geteuid() != 0:
        raise LabUnavailableError("the lab needs root, for network namespaces and containers")
    if subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode != 0:
        raise LabUnavailableError("the lab needs network namespaces; this system does not allow them")
    missing = sorted({package for program, package in TOOLS.items() if shutil.which(program) is None})
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise LabUnavailableError(f"the lab needs {', '.join(missing)}; this system has no apt-get to install them")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qy", "--no-install-recommends", *missing]
    cache().mkdir(parents=True, exist_ok=True)
    with _locked(cache() / "tools.lock"):  # apt-get runs once at a time
        for words in (["apt-get", "update", "-q"], install):
            done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise LabUnavailableError(f"{' '.join(install)} failed: {done.stderr.strip()[-300:]}")


def root() -> Path:
    """The complete root of this recipe; builds it first where there is none (some minutes, once)."""
    return _complete() / "root"


def redis_source() -> Path:
    """The upstream source archive of the Redis that the distribution has (``redis_7.0.15.orig.tar.gz``)."""
    return next(iter(sorted((_complete() / "source").glob("redis_*.orig.tar.*"))))


def _complete() -> Path:
    place = cache() / recipe()
    if place.is_dir():
        return place
    install_tools()
    cache().mkdir(parents=True, exist_ok=True)
    with _locked(cache() / "build.lock"):
        if not place.is_dir():
            _build(place)
    return place


def hold() -> IO[str]:
    """Keeps the root from being removed by a newer recipe's build, until this is closed."""
    use = (_complete() / "in-use").open("a")
    fcntl.flock(use, fcntl.LOCK_SH)
    return use


def _remove_others() -> None:
    """Roots of other recipes are gone, but those that a lab runs on."""
    for other in cache().glob("[0-9a-f]" * 16):
        if other.name == recipe():
            continue
        with (other / "in-use").open("a") as use, suppress(BlockingIOError):
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(other)


def _build(place: Path) -> None:
    for left in cache().glob("building-*"):  # of a build that was killed: we hold the lock
        shutil.rmtree(left)
    draft = Path(tempfile.mkdtemp(prefix="building-", dir=cache()))
    draft.chmod(0o755)
    log = draft / "build.log"
    print(f"lab: building the hosts' root, once; the story is in {log}", file=sys.stderr, flush=True)
    tree = draft / "root"
    try:
        with log.open("w") as story:
            include = f"--include={','.join(PACKAGES)}"
            _run(["debootstrap", "--variant=minbase", include, SUITE, str(tree), MIRROR], story)
            shutil.copy("/etc/resolv.conf", tree / "etc/resolv.conf")
            _run(["chroot", str(tree), "/bin/sh", "-c", SETUP], story)
            _write_index(tree / "srv/packages")
            _run(["chroot", str(tree), "/bin/sh", "-c", SEAL], story)
        shutil.move(tree / "srv/source", draft / "source")
    except BaseException as error:
        told = log.read_text(errors="replace")[-600:] if log.exists() else ""
        shutil.rmtree(draft)
        if isinstance(error, subprocess.CalledProcessError | OSError):
            raise LabUnavailableError(f"the lab's root could not be built: {error}\n{told}") from error
        raise
    draft.rename(place)
    _remove_others()


def _run(words: list[str], story: IO[str]) -> None:
    subprocess.run(words, stdin=subprocess.DEVNULL, stdout=story, stderr=subprocess.STDOUT, check=True)


def _write_index(archive: Path) -> None:
    """The ``Packages`` file that makes a folder of .deb files an archive that apt can read."""
    entries = []
    for package in sorted(archive.glob("*.deb")):
        fields = subprocess.run(["dpkg-deb", "-f", str(package)], capture_output=True, text=True, check=True).stdout
        digest = hashlib.sha256(package.read_bytes()).hexdigest()
        size = package.stat().st_size
        entries.append(f"{fields.rstrip()}\nFilename: ./{package.name}\nSize: {size}\nSHA256: {digest}\n")
    (archive / "Packages").write_text("\n".join(entries))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"lab: waiting for another process to build the root ({path})", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    try:
        install_tools()
        print(root())
    except LabUnavailableError as reason:
        sys.exit(f"lab: {reason}")
