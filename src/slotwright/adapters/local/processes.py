"""Processes of this machine: told apart by pid and start, and who listens on a port."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from slotwright.cluster.topology import Address
from slotwright.hosts.facts.nodes import PortOwner, ProcessId

_PROC = Path("/proc")
_SERVERS = ("redis-server", "valkey-server")


def identify(pid: int) -> ProcessId | None:
    """The identity of the live process ``pid``; None when there is none, or only a zombie."""
    if pid <= 0:
        return None
    started = _started_linux(pid) if (_PROC / "self" / "stat").exists() else _started_elsewhere(pid)
    return ProcessId(pid, started) if started else None


def is_running(process: ProcessId) -> bool:
    """Whether exactly that process is alive; a child of ours that ended is reaped on the way."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    return identify(process.pid) == process


def kill(process: ProcessId, sign: int = signal.SIGKILL, may_be: Callable[[int], bool] = lambda pid: True) -> None:
    """Signal exactly that process; nothing happens when it is gone.

    ``may_be`` is asked for its pid just before the signal whether that is to be sent, and may raise. The process is
    held by a file descriptor meanwhile, so that no other one can get its pid in between (pidfd_open(2), Linux 5.3).
    """
    with _held(process.pid) as handle:
        if not is_running(process) or not may_be(process.pid):
            return
        with contextlib.suppress(ProcessLookupError):
            if handle is None:
                os.kill(process.pid, sign)
            else:
                signal.pidfd_send_signal(handle, sign)


@contextmanager
def _held(pid: int) -> Iterator[int | None]:
    """None where there is no such process, or where the system has no such thing."""
    handle = None
    with contextlib.suppress(AttributeError, OSError):
        handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        if handle is not None:
            os.close(handle)


def is_ending(pid: int) -> bool:
    """Whether it has no memory any more: it is about to be a zombie, and tells neither its program nor its folder."""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "statm").read_text().startswith("0 ")
    return False


def users(pid: int) -> frozenset[int]:
    """Who the process is: its real, effective and saved users, and that for files; empty where that can't be seen."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text(errors="replace").splitlines():
            if line.startswith("Uid:"):
                return frozenset(map(int, line.split()[1:]))
    if _PROC.exists():
        return frozenset()
    import psutil

    with contextlib.suppress(psutil.Error):
        return frozenset(psutil.Process(pid).uids())
    return frozenset()


def executable(pid: int) -> str:
    """The file of its program, `` (deleted)`` after it for one that is there no more; "" where it can't be seen."""
    with contextlib.suppress(OSError):
        return str((_PROC / str(pid) / "exe").readlink())
    if _PROC.exists():
        return ""
    import psutil

    with contextlib.suppress(psutil.Error):
        return str(psutil.Process(pid).exe())
    return ""


def works_in(pid: int, folder: Path) -> bool:
    """Whether the folder, by whatever path, is where the process works."""
    with contextlib.suppress(OSError):
        return os.path.samestat((_PROC / str(pid) / "cwd").stat(), folder.stat())
    if _PROC.exists():
        return False
    place = working_directory(pid)
    with contextlib.suppress(OSError):
        return bool(place) and os.path.samestat(Path(place).stat(), folder.stat())
    return False


def workplaces() -> dict[tuple[int, int], list[int]]:
    """Device and inode of the folders that processes work in, with their pids, as far as they can be seen."""
    values: dict[tuple[int, int], list[int]] = {}
    for pid in _pids():
        with contextlib.suppress(OSError):
            place = os.stat(f"{_PROC}/{pid}/cwd" if _PROC.exists() else working_directory(pid))  # noqa: PTH116
            values.setdefault((place.st_dev, place.st_ino), []).append(pid)
    return values


def _pids() -> list[int]:
    if _PROC.exists():
        return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]
    import psutil

    return list(psutil.pids())


def leads_session(pid: int) -> bool:
    """Whether a session was made for it, as servers are started; what a server forks is in its session."""
    with contextlib.suppress(OSError):
        return os.getsid(pid) == pid
    return False


def working_directory(pid: int) -> str:
    """Where the process works, "" where the system doesn't tell."""
    with contextlib.suppress(OSError):
        return str((_PROC / str(pid) / "cwd").readlink())
    if _PROC.exists():
        return ""
    import psutil

    with contextlib.suppress(psutil.Error):
        return str(psutil.Process(pid).cwd())
    return ""


def bind_error(address: Address, port: int) -> str:
    """Why a server could not listen there: "in-use", "not-local", "denied", or "" when it could."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, port))
            probe.listen(1)
        except OSError as error:
            named = {errno.EADDRINUSE: "in-use", errno.EADDRNOTAVAIL: "not-local", errno.EACCES: "denied"}
            return named.get(error.errno or 0, "not-local")
    return ""


def free_port(host: str, highest: int = 65535) -> int:
    """A port of ``host`` that nobody listens on now, and whose bus port is free as well; at the most ``highest``."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for _ in range(200):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
            port = int(probe.getsockname()[1])
        if port <= highest and not bind_error(Address(host, port), min(port + 10000, 65535)):
            return port
    raise OSError(errno.EADDRINUSE, "no free port found")


def count_forks() -> int:
    """How many servers have a server as their parent: they were forked, and never executed anything. In the kernel a
    copy has its parent's name, whatever it calls itself."""
    import psutil

    servers = {
        entry.info["pid"]: entry.info["ppid"]
        for entry in psutil.process_iter(["pid", "ppid", "name", "status"])
        if (entry.info["name"] or "").startswith(_SERVERS) and entry.info["status"] != psutil.STATUS_ZOMBIE
    }
    return sum(parent in servers for parent in servers.values())


def port_owner(host: str, port: int) -> PortOwner:
    """Who listens on ``port`` of ``host``, as far as this user may know."""
    import psutil

    try:
        sockets = psutil.net_connections("tcp")
    except psutil.Error:
        return PortOwner(0, "")
    for entry in sockets:
        if entry.status != psutil.CONN_LISTEN or not entry.laddr:
            continue
        if entry.laddr.port == port and _covers(entry.laddr.ip, host):
            return PortOwner(entry.pid or 0, _command(entry.pid))
    return PortOwner(0, "")


def _covers(listening: str, host: str) -> bool:
    return listening in (host, "0.0.0.0", "::")


def _command(pid: int | None) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).name() if pid else ""
    return ""


@cache
def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _started_linux(pid: int) -> str:
    """Boot id and start ticks (proc(5), stat field 22): neither moves when the wall clock is set."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else f"{_boot_id()}:{fields[19]}"


def _started_elsewhere(pid: int) -> str:
    import psutil

    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return f"{process.create_time():.2f}"
    return ""
