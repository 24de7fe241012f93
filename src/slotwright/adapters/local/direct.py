"""Nodes without a service manager: started detached, found again by pid and start time.

A server that was started by a slotwright that died before it could note the process is found through the pid file that
the server writes itself. Either way the process itself must fit (:mod:`slotwright.adapters.local.claims`).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from slotwright.adapters.files import OTHER_DATA, host_error, write_atomically
from slotwright.adapters.local.claims import Places, foreign, is_alive, misfit, server_in
from slotwright.adapters.local.processes import identify
from slotwright.adapters.path_ownership import demand_own, demand_program
from slotwright.cluster.formats import FileKind, head_of
from slotwright.cluster.node_files import LOG_LIMIT_BYTES, LOGS_KEPT, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG, Launch
from slotwright.errors import HostError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.server.path_directives import programs_of

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "LD_LIBRARY_PATH")


def start(launch: Launch) -> ProcessId:
    """Start the server in its folder, in a session of its own, its early words going to its log. Raises HostError, and
    RefusedError where others could have written what would be run.

    The environment is not handed on: it may hold the password.
    """
    directory = Path(launch.directory)
    _demand_own_code(directory, launch.binary)
    rotate_log(directory / SERVER_LOG)
    arguments = [launch.binary, str(directory / SERVER_CONF)]
    for name, value in launch.overrides:
        arguments += [f"--{name}", value]
    try:
        pid = _spawn(arguments, directory)
    except OSError as error:
        raise _not_started(launch, error) from error
    process = identify(pid)
    if process is None:
        return ProcessId(pid, "")
    noted = json.dumps({**head_of(FileKind.PROCESS), "pid": process.pid, "started": process.started})
    try:
        write_atomically(directory / PROCESS, noted, durable=False)
    except HostError:
        # A server that can't be found again must not stay, nor what it may have started: the session is its own. It is
        # gone when that is said.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        raise
    return process


def _demand_own_code(directory: Path, binary: str) -> None:
    """All that decides on what runs: the configuration, the program, and the modules that the configuration names."""
    demand_own(directory / SERVER_CONF, instead=OTHER_DATA)
    demand_program(Path(binary))
    try:
        conf = (directory / SERVER_CONF).read_text(errors="replace")
    except OSError:
        return
    for module in programs_of(conf):
        demand_program(directory / module)


def _spawn(arguments: Sequence[str], directory: Path) -> int:
    """In the node's folder from its first moment on: a process that works elsewhere is not believed to be a node's."""
    log = os.open(directory / SERVER_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            arguments,
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o077,
        )
    finally:
        os.close(log)
    # Nobody waits for it here: whoever asks whether it runs reaps it.
    child.returncode = 0
    return child.pid


def environment() -> dict[str, str]:
    """The variables that programs of ours are started with."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


def find(directory: Path, programs: frozenset[str] = frozenset()) -> ProcessId | None:
    """The node's live process, or None. Raises RefusedError (process-foreign) where the note of its start names a live
    process that can't be it; ``programs`` are what servers are started with."""
    process, pid, reason = look(directory, programs)
    if reason:
        raise foreign(directory, pid, reason)
    return process


def look(
    directory: Path, programs: frozenset[str] = frozenset(), places: Places | None = None
) -> tuple[ProcessId | None, int, str]:
    """The node's live process; and where there is none, the pid that the note of its start names though that process
    can't be the node's, and why it can't. Where no file names one, it is the server that works in the folder."""
    noted = _noted(directory)
    reason = misfit(noted.pid, directory, programs) if noted else ""
    if noted is not None and not reason:
        return noted, 0, ""
    process = _by_pid_file(directory, programs)
    if process is None and noted is not None and is_alive(noted):
        return None, noted.pid, reason
    return process or server_in(directory, programs, places), 0, ""


def _noted(directory: Path) -> ProcessId | None:
    """What its start was noted as, if such a process lives."""
    try:
        noted = json.loads((directory / PROCESS).read_text())
        process = identify(int(noted["pid"]))
        return process if process is not None and process.started == noted["started"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _by_pid_file(directory: Path, programs: frozenset[str]) -> ProcessId | None:
    """A pid may be another process by now, and then it fits in nothing."""
    try:
        process = identify(int((directory / PID_FILE).read_text()))
    except (OSError, ValueError):
        return None
    return process if process is not None and not misfit(process.pid, directory, programs) else None


def rotate_log(log: Path) -> None:
    """Move a log over the limit aside; the server opens its log anew for each line, so it need not be told."""
    try:
        if log.stat().st_size < LOG_LIMIT_BYTES:
            return
        for number in range(LOGS_KEPT, 1, -1):
            older = log.with_name(f"{log.name}.{number - 1}")
            if older.exists():
                older.rename(log.with_name(f"{log.name}.{number}"))
        log.rename(log.with_name(f"{log.name}.1"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise host_error("rotate", log, error) from error


def _not_started(launch: Launch, error: OSError) -> HostError:
    codes = {8: "binary-wrong-architecture", 2: "binary-missing", 13: "binary-not-executable"}
    code = codes.get(error.errno or 0, "start-failed")
    if code == "binary-missing" and Path(launch.binary).exists():
        return HostError(
            f"can't start {launch.address}: its folder is gone", code="directory-missing", where=launch.directory
        )
    return HostError(f"can't start {launch.binary}: {error.strerror}", code=code, where=str(launch.address))
