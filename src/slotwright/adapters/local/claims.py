"""Which process is a node's server: what its folder says of that is a claim, and is held against the process itself.

A pid file and ``process.json`` are written by whoever runs as the server, and pids are used again. So a process counts
as a node's, and is signalled, only when it is ours (every one of its users), runs a server's program and works in the
node's folder. Just before a signal all of it is looked at again.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from slotwright.adapters.local import processes
from slotwright.adapters.local.processes import workplaces
from slotwright.adapters.path_ownership import user_name
from slotwright.errors import RefusedError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.hosts.scripts.trust import claim_remedy
from slotwright.server.programs import is_server_program

Places = Mapping[tuple[int, int], Sequence[int]]
"""Pids by the device and inode of the folder that they work in."""


def misfit(pid: int, folder: Path, programs: frozenset[str] = frozenset()) -> str:
    """Why the process can't be the server of the node in ``folder``, "" when it can. ``programs`` are files that
    servers are started with, besides those that are called like one."""
    users = processes.users(pid)
    if users != {os.geteuid()}:
        return f"it runs as {' and '.join(map(user_name, sorted(users))) or 'a user that can not be seen'}"
    program = processes.executable(pid)
    known = frozenset(os.path.realpath(text) for text in programs)
    if not is_server_program(program, known):
        return f"it runs {_plain(program) or 'a program that can not be seen'}, which is no server"
    if not processes.works_in(pid, folder):
        return f"it works in {_plain(processes.working_directory(pid)) or 'a folder that can not be seen'}"
    return ""


def _plain(text: str) -> str:
    """For people to read: a path is whatever its maker wanted."""
    return "".join(line if line.isprintable() else "?" for line in text)


def servers_in(
    folder: Path, programs: frozenset[str] = frozenset(), places: Places | None = None
) -> tuple[ProcessId, ...]:
    """Every process that could be the server of that node, whatever its folder says, with what these forked to save.

    ``places`` is where all processes work, for who asks about many folders.
    """
    try:
        status = folder.stat()
    except OSError:
        return ()
    there = (workplaces() if places is None else places).get((status.st_dev, status.st_ino), [])
    result = (processes.identify(pid) for pid in there if not misfit(pid, folder, programs))
    return tuple(process for process in result if process is not None)


def server_in(folder: Path, programs: frozenset[str], places: Places | None) -> ProcessId | None:
    """The one server that works there, where no file says which it is; None where there are several, or none."""
    result = [process for process in servers_in(folder, programs, places) if processes.leads_session(process.pid)]
    return result[0] if len(result) == 1 else None


def signal_server(
    process: ProcessId, folder: Path, sign: int = signal.SIGKILL, programs: frozenset[str] = frozenset()
) -> None:
    """Signal exactly that process, only as the server of the node in ``folder``; nothing happens when it is gone.

    Raises RefusedError (process-foreign) for one that is not.
    """

    def may_be(pid: int) -> bool:
        reason = misfit(pid, folder, programs)
        if reason and is_alive(process):
            raise foreign(folder, pid, reason)
        return not reason

    processes.kill(process, sign, may_be)


def is_alive(process: ProcessId) -> bool:
    """Whether it lives and can tell what it is: one that ends just now has no program any more."""
    return processes.is_running(process) and not processes.is_ending(process.pid)


def foreign(folder: Path, pid: int, reason: str, host: str = "") -> RefusedError:
    """What is said of a claim that is not true."""
    return RefusedError(
        f"pid {pid} is not the server of {folder}, though the files there say so: {reason}",
        code="process-foreign",
        where=f"{host}:{folder}" if host else str(folder),
        seen=f"pid {pid}: {reason}",
        left="no signal was sent to it",
        hint=claim_remedy(str(folder)),
    )
