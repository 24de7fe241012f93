"""Processes of this machine: told apart by pid and start, and who listens on a port."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from functools import cache
from pathlib import Path

from slotwright.model.facts import PortOwner, ProcessId
from slotwright.model.topology import Address

_PROC = Path("/proc")


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


def kill(process: ProcessId, sign: int = signal.SIGKILL) -> None:
    """Signal exactly that process; nothing happens when it is gone."""
    if is_running(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, sign)


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
