"""One host of the lab: a container with a real init, in a network namespace, on a layer of its own over the root.

The layer is on disk and outlives a reboot. A reboot is real for all that runs on the host: services stop in order, the
process tree and the network stack are new ones, the boot id changes, ``sysctl`` settings are back at their defaults.
Only the kernel goes on: its uptime and logs are the machine's.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab import cgroups, root
from tests.lab.network import Place, Switch, port_of, sh

PATIENCE_S = 120.0
"""For whatever a busy machine delays; no longer than that, for a wait that is in vain."""
SHUT_DOWN = signal.SIGRTMIN + 4
"""What container managers send to a host's init: it starts poweroff.target (systemd(1), "Signals")."""
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"

LAUNCH = """
set -eu
layer=$1 name=$2 lower=$3 hostname=$4
shift 4
for group; do echo $$ > "$group/keeper/cgroup.procs"; done
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=network SYSTEMD_NSPAWN_LOCK=0
export layer name hostname
while :; do
  status=0
  sh -c '
    for group; do echo $$ > "$group/host/cgroup.procs"; done
    exec systemd-nspawn --quiet --register=no --keep-unit --capability=CAP_NET_ADMIN --resolv-conf=off --timezone=off \
      --link-journal=no --console=read-only --boot --directory="$layer/root" --hostname="$hostname" \
      --network-namespace-path="/run/netns/$name" --machine="$name"
  ' lab "$@" || status=$?
  [ "$status" = 133 ] || exit "$status"
  ip netns exec "$name" nft flush ruleset
done
"""
"""Run in a mount namespace of its own, so that the mount goes when the host does. 133 says that the host wants to be
started again; but for ``net.*`` settings, it finds its network as after :meth:`Host.boot`."""

READY = """
for unit in ssh.service firewalld.service multi-user.target; do
  [ "$(systemctl is-active "$unit")" = active ] || exit 1
done
[ ! -e /run/nologin ] || exit 1
state=$(busctl get-property org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \\
  org.fedoraproject.FirewallD1 state) && [ "$state" = 's "RUNNING"' ]
"""


def wait(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Comes back when it holds; raises :class:`TimeoutError` naming ``what`` where it doesn't in time."""
    end = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.02)


@dataclass
class Host:
    """A host: ``run`` acts as its root from within; everything else is done to it from outside."""

    name: str
    address: str
    plugs: list[tuple[str, str]]
    """Bridge, and address with the length of the net, of each of its cards."""
    switch: Switch
    layer: Path
    keys: Path
    """A folder with the host key and the users' public key."""
    console: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def machine(self) -> str:
        """Its name among the containers, namespaces and control groups of this machine."""
        return f"{self.switch.prefix}-{self.name}"

    @property
    def place(self) -> Place:
        """Its end of the network: connections made or taken there pass the host's own firewall."""
        return Place(self.name, self.address, self.machine)

    def can_connect(self, address: str, port: int, timeout_s: float = 2.0) -> bool:
        """Whether a TCP connection from this host is accepted within the time."""
        return self.place.can_connect(address, port, timeout_s)

    def run(
        self,
        script: str,
        *args: str,
        check: bool = True,
        stdin: str | bytes | None = None,
        timeout_s: float = 60.0,
        user: str = "root",
    ) -> subprocess.CompletedProcess[str]:
        """A shell text, run on the host as root (or ``user``) with nothing of our environment; its words are ``$1``...

        Raises :class:`RuntimeError` with what it said where it fails, unless ``check`` is off.

        Not for a host that goes down: it hangs, and so does the host, for 90 s. systemd-shutdown stops all processes
        before it kills them; nsenter stops with its child, as it does under a shell with job control, and never takes
        note of the child's end, which systemd-shutdown waits for."""
        leader = cgroups.leader(self.machine)
        if leader is None:
            raise RuntimeError(f"host {self.name} is not running")
        home = "/root" if user == "root" else f"/home/{user}"
        environment = [
            f"HOME={home}",
            f"USER={user}",
            "LC_ALL=C.UTF-8",
            "TERM=dumb",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ]
        turning = [] if user == "root" else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"]
        words = [
            "nsenter",
            "-t",
            str(leader),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "--wd=/",
            "env",
            "-i",
            *environment,
            *turning,
            "/bin/sh",
            "-c",
            script,
            "lab",
            *args,
        ]
        done = subprocess.run(
            words,
            input=stdin.encode() if isinstance(stdin, str) else stdin or b"",
            capture_output=True,
            timeout=timeout_s,
        )
        text = subprocess.CompletedProcess(
            words, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and text.returncode != 0:
            raise RuntimeError(
                f"{self.name}: {script.strip()[:200]!r} ended with {text.returncode}: {text.stderr}{text.stdout}"
            )
        return text

    def write(self, path: str, content: str | bytes, mode: str = "0644") -> None:
        """A file on the running host, with its folder; root's."""
        self.run('mkdir -p "$(dirname "$1")" && cat > "$1" && chmod "$2" "$1"', path, mode, stdin=content)

    def boot_id(self) -> str:
        """Another one after each boot."""
        return self.run("cat /proc/sys/kernel/random/boot_id").stdout.strip()

    # --- power ---

    def is_running(self) -> bool:
        """Whether its init runs, booted or on the way."""
        return cgroups.leader(self.machine) is not None

    def is_booted(self) -> bool:
        """Whether it is up: sshd and the firewall run and users can log in."""
        if not self.is_running():
            return False
        with suppress(RuntimeError, subprocess.TimeoutExpired):
            return self.run(READY, check=False).returncode == 0
        return False

    def boot_number(self) -> int | None:
        """The process that is its init, another one after each boot; None when it is off. Nothing enters the host."""
        return cgroups.leader(self.machine)

    def start(self) -> None:
        """Switches it on and comes back at once; :meth:`wait_booted` waits. Nothing happens to a host that is on."""
        if self.is_running():
            return
        self.power_off_hard()
        lower = root.root()
        if not (self.layer / "upper").is_dir():
            self._seed()
        self.switch.fresh_namespace(self.name)
        for bridge, address in self.plugs:
            self.switch.plug(self.name, address, bridge)
        groups = [str(group) for group in cgroups.make(self.machine)]
        words = ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", LAUNCH, "lab"]
        words += [str(self.layer), self.machine, str(lower), f"host-{self.name}", *groups]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )

    def wait_booted(self, timeout_s: float = PATIENCE_S) -> None:
        """Comes back when it is up; raises :class:`TimeoutError` with the end of its console where it isn't in time."""
        try:
            wait(lambda: self.is_booted() or self._has_ended(), f"boot of host {self.name}", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self._told()}") from None
        if self._has_ended():
            raise RuntimeError(f"host {self.name} ended while it booted\n{self._told()}")

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def _told(self) -> str:
        return self.console.read_text(errors="replace")[-1500:]

    def boot(self) -> None:
        """On and up."""
        self.start()
        self.wait_booted()

    def reboot(self) -> None:
        """An orderly reboot; its files stay. Comes back when the host is up again."""
        self.shut_down()
        self.boot()

    def shut_down(self, timeout_s: float = PATIENCE_S) -> None:
        """An orderly end, as ``systemctl poweroff`` does it. The host is off afterwards, in any case.

        Raises :class:`TimeoutError` with the end of its console where its plug had to be pulled."""
        self.press_power_button()
        try:
            wait(lambda: not self.is_running(), f"end of host {self.name}", timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"{error}; its plug was pulled\n{self._told()}") from None
        finally:
            self.power_off_hard()

    def press_power_button(self) -> None:
        """It begins to go down, if it is on; :meth:`shut_down` waits for the end. Nothing enters the host."""
        leader = cgroups.leader(self.machine)
        if leader is not None:
            with suppress(ProcessLookupError):
                os.kill(leader, SHUT_DOWN)

    def power_off_hard(self) -> None:
        """The plug is pulled: all that runs on it is killed at once, nothing is asked or told."""
        wait(self._killed, f"death of host {self.name}")
        if self._process is not None:
            self._process.wait()
            self._process = None
        with suppress(OSError):
            Path("/run/systemd/nspawn/propagate", self.machine).rmdir()

    def _killed(self) -> bool:
        """Kills what is left: the init first, for it takes all others along and its keeper would go without it."""
        leader = cgroups.leader(self.machine)
        for process in [leader] if leader else cgroups.processes(self.machine):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if self._process is not None:
            self._process.poll()
        return cgroups.remove(self.machine)

    def wipe(self) -> None:
        """Off, and as it was when new: its layer is emptied."""
        self.power_off_hard()
        shutil.rmtree(self.layer, ignore_errors=True)

    # --- network ---

    def cut_off(self) -> None:
        """No packet reaches it or leaves it; nobody is told."""
        self.switch.rule("add", "cut", port_of(self.name))

    def join_again(self) -> None:
        """It has its network back."""
        self.switch.rule("delete", "cut", port_of(self.name))

    def block_port(self, port: int) -> None:
        """Packets to this TCP port of the host vanish on their way, for all senders."""
        self.switch.rule("add", "blocked", f"{port_of(self.name)} . {port}")

    def unblock_port(self, port: int) -> None:
        """They pass again (what the host's own firewall says, still holds)."""
        self.switch.rule("delete", "blocked", f"{port_of(self.name)} . {port}")

    @contextmanager
    def without_network(self) -> Iterator[None]:
        """Cut off within the context."""
        self.cut_off()
        try:
            yield
        finally:
            self.join_again()

    @contextmanager
    def without_port(self, port: int) -> Iterator[None]:
        """The port blocked within the context."""
        self.block_port(port)
        try:
            yield
        finally:
            self.unblock_port(port)

    # --- keys ---

    @property
    def host_key(self) -> str:
        """The public key that the lab's known_hosts has: type and base64."""
        return " ".join((self.keys / f"{self.name}.pub").read_text().split()[:2])

    def swap_host_key(self) -> str:
        """It answers with another host key from now on, as after a re-installation; returns the new public key."""
        make = "rm -f $1 $1.pub; ssh-keygen -q -t ed25519 -N '' -C '' -f $1; cat $1.pub"
        fresh = " ".join(self.run(make, HOST_KEY).stdout.split()[:2])
        self._answer_with(fresh)
        return fresh

    def restore_host_key(self) -> None:
        """It answers with the key of known_hosts again."""
        self.write(HOST_KEY, (self.keys / self.name).read_bytes(), "0600")
        self.write(f"{HOST_KEY}.pub", (self.keys / f"{self.name}.pub").read_bytes())
        self._answer_with(self.host_key)

    def _answer_with(self, key: str) -> None:
        """sshd reads its keys again, and does so while it says that it has done it."""
        self.run("systemctl reload ssh")
        scan = "ssh-keyscan -T 5 -t ed25519 127.0.0.1"
        wait(lambda: key in self.run(scan, check=False).stdout, f"another host key of {self.name}")

    def _seed(self) -> None:
        """The layer of a new host: its names, its host key, and the users' public key."""
        shutil.rmtree(self.layer, ignore_errors=True)
        upper = self.layer / "upper"
        for folder in (upper, self.layer / "work", self.layer / "root", upper / "etc/ssh", upper / "home"):
            folder.mkdir(parents=True, mode=0o755)
        (upper / "etc/hostname").write_text(f"host-{self.name}\n")
        (upper / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
        (upper / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} host-{self.name}\n")
        key = upper / "etc/ssh/ssh_host_ed25519_key"
        shutil.copy(self.keys / self.name, key)
        shutil.copy(self.keys / f"{self.name}.pub", f"{key}.pub")
        for user, number in root.USERS.items():
            home = upper / ("root" if user == "root" else f"home/{user}")
            folder = home / ".ssh"
            folder.mkdir(parents=True)
            shutil.copy(self.keys / "id_ed25519.pub", folder / "authorized_keys")
            home.chmod(0o700)
            folder.chmod(0o700)
            for path in (home, folder, folder / "authorized_keys"):
                os.chown(path, number, number)


def make_key(path: Path) -> None:
    """A key pair without a passphrase; a pair that is there stays."""
    if not path.exists():
        sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path))
