"""Nodes without a service manager: started detached, found again by pid and start time.

A server that was started by a slotwright that died before it could note the process is found through the pid file that
the server writes itself, and believed only when that process works in the node's own folder.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from slotwright.adapters.files import host_error, write_atomically
from slotwright.adapters.processes import identify, kill, working_directory
from slotwright.errors import HostError
from slotwright.model.facts import ProcessId
from slotwright.model.files import PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG, Launch

_KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "LD_LIBRARY_PATH")
LOG_LIMIT_BYTES = 16 * 1024 * 1024
LOGS_KEPT = 3


def start(launch: Launch) -> ProcessId:
    """Start the server in a session of its own, its early words going to its log. Raises HostError.

    The environment is not handed on: it may hold the password.
    """
    directory = Path(launch.directory)
    rotate_log(directory / SERVER_LOG)
    arguments = [launch.binary, str(directory / SERVER_CONF)]
    for name, value in launch.overrides:
        arguments += [f"--{name}", value]
    mask = os.umask(0o077)
    try:
        pid = os.posix_spawn(
            launch.binary,
            arguments,
            environment(),
            setsid=True,
            setsigmask=(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(directory / SERVER_LOG), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
        )
    except OSError as error:
        raise _not_started(launch, error) from error
    finally:
        os.umask(mask)
    process = identify(pid)
    if process is None:
        return ProcessId(pid, "")
    noted = json.dumps({"pid": process.pid, "started": process.started})
    try:
        write_atomically(directory / PROCESS, noted, durable=False)
    except HostError:
        # A server that can't be found again must not stay.
        kill(process)
        raise
    return process


def environment() -> dict[str, str]:
    """The variables that programs of ours are started with."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}


def find(directory: Path) -> ProcessId | None:
    """The node's live process, or None."""
    try:
        noted = json.loads((directory / PROCESS).read_text())
        process = identify(int(noted["pid"]))
        if process is not None and process.started == noted["started"]:
            return process
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return _find_by_pid_file(directory)


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


def _find_by_pid_file(directory: Path) -> ProcessId | None:
    try:
        process = identify(int((directory / PID_FILE).read_text()))
    except (OSError, ValueError):
        return None
    if process is None or Path(working_directory(process.pid)) != directory.resolve():
        return None
    return process


def _not_started(launch: Launch, error: OSError) -> HostError:
    codes = {8: "binary-wrong-architecture", 2: "binary-missing", 13: "binary-not-executable"}
    code = codes.get(error.errno or 0, "start-failed")
    if code == "binary-missing" and Path(launch.binary).exists():
        return HostError(
            f"can't start {launch.address}: its folder is gone", code="directory-missing", where=launch.directory
        )
    return HostError(f"can't start {launch.binary}: {error.strerror}", code=code, where=str(launch.address))
