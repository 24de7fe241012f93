"""The lab: three real hosts, a stranger and a host behind another, on one machine.

    with Lab() as lab:
        lab.hosts["a"].run("uname -n")

A lab takes a number that no other has (a lock that the kernel takes back when the process dies). Its names and its
network derive from the number, so two labs can run side by side; the first has the addresses of the origin story. Hosts
have no route to anywhere but their own network. What a killed lab left is removed by the next one, by those names.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.lab import cgroups, root
from tests.lab.machine import PATIENCE_S, Host, make_key, wait
from tests.lab.network import NAMESPACES, Place, Switch, dismantle, port_of, sh

RUN = Path("/run/slotwright-lab")
NUMBERS = range(204, 220)
"""The third byte of the lab's network, 172.27.204.0/24 for the first."""
LAST_BYTES = {"a": 198, "b": 143, "c": 162}
INNER = {"a": "10.77.0.10", "d": "10.77.0.20"}
"""The network behind host a, where host d is."""


@dataclass(frozen=True, slots=True)
class SshFiles:
    """What an SSH client needs: ``ssh -F config a`` logs in as root."""

    config: Path
    key: Path
    known_hosts: Path


class Lab:
    """The hosts a, b and c, booted together; ``behind_jump`` adds d. Ends all that it started, however it ends."""

    def __init__(self, hosts: Sequence[str] = ("a", "b", "c"), *, boot: bool = True) -> None:
        self._names = tuple(hosts)
        self._boots = boot
        self._lock: IO[str] | None = None
        self._owner = 0
        self._old_handlers: dict[int, Any] = {}

    # --- life ---

    def __enter__(self) -> Lab:
        return self.open()

    def open(self) -> Lab:
        """Boots all; raises :class:`tests.lab.root.LabUnavailableError` where it can't. :meth:`close` ends it."""
        root.install_tools()
        if self._boots and cgroups.watches_left() < cgroups.WATCHES * (len(self._names) + 1):
            raise root.LabUnavailableError(
                "the lab's hosts need more inotify instances than are left (other labs run?): end some, or raise "
                "fs.inotify.max_user_instances"
            )
        self._root = root.hold()
        self._lock, number = _take_number()
        self._owner = os.getpid()
        atexit.register(self.close)
        self._catch_signals()
        try:
            self._describe(number)
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @classmethod
    def attach(cls, number: int | None = None) -> Lab:
        """The lab that another process keeps running (the first, or that of a number); leaving it ends nothing."""
        for path in sorted(RUN.glob("*/ready")):
            found = int(path.parent.name)
            if number in (None, found) and not _is_free(found):
                lab = cls(path.read_text().split())
                lab._describe(found)
                return lab
        raise root.LabUnavailableError("no lab is running: start one with python -m tests.lab.shell")

    def close(self) -> None:
        """Everything is taken down; done twice is done once. Nothing happens to a lab that is attached to."""
        if self._lock is None or os.getpid() != self._owner:
            return
        atexit.unregister(self.close)
        _sweep(self.number)
        self._lock.close()
        self._root.close()
        self._lock = None
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers = {}

    def _catch_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._old_handlers[number] = signal.signal(number, _interrupt)

    def _describe(self, number: int) -> None:
        """Sets what derives from the number."""
        self.number = number
        self.folder = RUN / str(number)
        self.prefix = f"swlab{number}"
        self.network = f"172.27.{number}.0/24"
        self.switch = Switch(self.prefix)
        keys = self.folder / "ssh"
        self.ssh = SshFiles(keys / "config", keys / "id_ed25519", keys / "known_hosts")
        self.ssh_config = self.ssh.config
        self.control = Place("control", self._address(1), None)
        self.stranger = Place("stranger", self._address(99), f"{self.prefix}-stranger")
        self._all = {name: self._host(name, keys) for name in (*self._names, "d")}
        self.hosts = {name: self._all[name] for name in self._names}

    def _address(self, last: int) -> str:
        return f"172.27.{self.number}.{last}"

    def _host(self, name: str, keys: Path) -> Host:
        if name == "d":
            address, plugs = INNER["d"], [("inner", f"{INNER['d']}/24")]
        else:
            address = self._address(LAST_BYTES[name])
            plugs = [("lab", f"{address}/24")]
        layer = layers() / f"{self.number}" / name
        return Host(name, address, plugs, self.switch, layer, keys, self.folder / f"{name}.console")

    def _build(self) -> None:
        keys = self.ssh.config.parent
        keys.mkdir(parents=True, mode=0o700)
        (self.folder / "layers").write_text(f"{layers() / str(self.number)}")
        for name in ("id_ed25519", *self._all):
            make_key(keys / name)
        self._write_ssh_files()
        self.switch.build(f"{self.control.address}/24")
        self.switch.fresh_namespace("stranger")
        self.switch.plug("stranger", f"{self.stranger.address}/24")
        if self._boots:
            self.boot()
        (self.folder / "ready").write_text(" ".join(self._names))

    def _write_ssh_files(self) -> None:
        known, config = "", ""
        for name, host in self._all.items():
            known += f"{host.address} {host.host_key}\n"
            jump = "  ProxyJump a\n" if name == "d" else ""
            config += f"Host {name} host-{name} {host.address}\n  HostName {host.address}\n{jump}"
        config += (
            f"Host *\n  User root\n  IdentityFile {self.ssh.key}\n  IdentitiesOnly yes\n"
            f"  UserKnownHostsFile {self.ssh.known_hosts}\n  GlobalKnownHostsFile /dev/null\n"
            "  StrictHostKeyChecking yes\n  ConnectTimeout 5\n"
        )
        self.ssh.known_hosts.write_text(known)
        self.ssh.config.write_text(config)

    # --- all hosts at once ---

    def boot(self) -> None:
        """All hosts are on and up; they boot side by side."""
        for host in self.hosts.values():
            host.start()
        self.wait_booted()

    def wait_booted(self, timeout_s: float = PATIENCE_S) -> None:
        """Comes back when all hosts are up."""
        for host in self.hosts.values():
            host.wait_booted(timeout_s)

    def reboot(self) -> None:
        """All hosts go down in order and come up again, side by side."""
        for host in self.hosts.values():
            host.press_power_button()
        for host in self.hosts.values():
            host.shut_down()
        self.boot()

    def power_off_hard(self) -> None:
        """The power is gone everywhere at once."""
        for host in self.hosts.values():
            host.power_off_hard()

    def renew(self) -> None:
        """All hosts are as new, and up; no rule of the switch is left."""
        self.switch.forget_rules()
        for host in self.hosts.values():
            host.wipe()
        self.boot()

    def recover(self) -> None:
        """Whatever somebody left: all hosts are up and can be reached; those that were, were not touched."""
        self.switch.forget_rules()
        for host in self.hosts.values():
            if not host.is_booted():
                host.power_off_hard()
        self.boot()
        for host in self.hosts.values():
            wait(partial(self.control.can_connect, host.address, 22), f"a connection to host {host.name}")

    def part(self, one: str, other: str) -> None:
        """No packet passes between these two hosts, either way; all others still see both."""
        for pair in _both_ways(one, other):
            self.switch.rule("add", "parted", pair)

    def rejoin(self, one: str, other: str) -> None:
        """They see each other again."""
        for pair in _both_ways(one, other):
            self.switch.rule("delete", "parted", pair)

    @contextmanager
    def behind_jump(self) -> Iterator[Host]:
        """Host d, up, that only host a can reach; it and a's second card are gone afterwards."""
        gate, hidden = self._all["a"], self._all["d"]
        plug = ("inner", f"{INNER['a']}/24")
        gate.plugs.append(plug)
        try:
            self.switch.plug("a", plug[1], "inner")
            hidden.boot()
            yield hidden
        finally:
            gate.plugs.remove(plug)
            hidden.wipe()
            self.switch.drop_namespace("d")
            self.switch.unplug("a", "eth1")


def _both_ways(one: str, other: str) -> tuple[str, str]:
    return f"{port_of(one)} . {port_of(other)}", f"{port_of(other)} . {port_of(one)}"


def layers() -> Path:
    """Where the hosts' own files are: on disk, and gone with the lab."""
    return root.cache() / "layers"


def _interrupt(number: int, _frame: object) -> None:
    """A polite end is an end as by Ctrl-C: contexts and fixtures are left in order."""
    raise KeyboardInterrupt(f"signal {number}")


def _locked(number: int) -> IO[str] | None:
    """The lock of a number, or None where a lab has it."""
    RUN.mkdir(parents=True, exist_ok=True)
    lock = (RUN / f"{number}.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _is_free(number: int) -> bool:
    lock = _locked(number)
    if lock is None:
        return False
    lock.close()
    return True


def _take_number() -> tuple[IO[str], int]:
    """The lock of the first free number, cleaned of what a killed lab left there (and so are all others)."""
    taken: tuple[IO[str], int] | None = None
    for number in NUMBERS:
        if taken is not None and not (RUN / f"{number}.lock").exists():
            continue
        lock = _locked(number)
        if lock is None:
            print(f"lab: 172.27.{number}.0/24 is taken by another lab", file=sys.stderr, flush=True)
            continue
        _sweep(number)
        if taken is None and not sh("ip", "-o", "route", "show", "root", f"172.27.{number}.0/24").stdout.strip():
            taken = (lock, number)
        else:
            lock.close()
    if taken is None:
        raise root.LabUnavailableError("no network is free for the lab: 172.27.204.0/24 to 172.27.219.0/24 are in use")
    return taken


def _sweep(number: int) -> None:
    """Ends and removes all that a lab of this number has; its lock must be ours."""
    prefix = f"swlab{number}"
    for machine in sorted(cgroups.names(f"{prefix}-")):
        name = re.sub("^.*-", "", machine)
        Host(name, "", [], Switch(prefix), RUN, RUN, RUN).power_off_hard()
    dismantle(prefix)
    folder = RUN / str(number)
    with suppress(FileNotFoundError):
        shutil.rmtree((folder / "layers").read_text(), ignore_errors=True)
        shutil.rmtree(folder)


def traces(number: int) -> list[str]:
    """All that is on this machine of a lab of this number, but its lock file: nothing, once it is taken down."""
    prefix = f"swlab{number}"
    found = [f"group {name}" for name in cgroups.names(f"{prefix}-")]
    found += [f"namespace {path.name}" for path in NAMESPACES.glob(f"{prefix}-*")]
    found += [f"link {prefix}"] if sh("ip", "link", "show", prefix, check=False).returncode == 0 else []
    found += [f"folder {path}" for path in (layers() / str(number), RUN / str(number)) if path.exists()]
    found += [f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if prefix in line]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if f"{prefix}-".encode() in process.read_bytes():
                found.append(f"process {process.parent.name}")
    return found
