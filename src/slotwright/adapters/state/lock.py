"""One operator at a time: a lock that the system takes back when its holder dies, with the holder's name in it."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from slotwright.adapters.files import OTHER_STATE, host_error, make_own_directory
from slotwright.adapters.path_ownership import demand_own
from slotwright.errors import HostError, RefusedError

_TRIES = 100


@contextmanager
def hold(path: Path, verb: str, name: str) -> Iterator[None]:
    """Hold the lock of cluster ``name`` while ``verb`` works; flock(2) frees it with its holder's death.

    Raises RefusedError (code ``locked``) that names the holder, or (``folder-unsafe``) where others may write there.
    """
    handle = _take(path, name)
    try:
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(_holder(verb)).encode(), 0)
        except OSError as error:
            _leave_nothing(path)
            raise host_error("write", path, error) from error
        yield
        if path.exists():
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def is_held(path: Path) -> bool:
    """Whether somebody holds it just now."""
    try:
        handle = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def _take(path: Path, name: str) -> int:
    """Open and lock. A holder that takes its cluster away removes the file: a lock on what is no longer there is none,
    so it is taken again on the new one. Only who finds it locked says that somebody works.

    Raises HostError where none can be made.
    """
    error: HostError | None = None
    for _ in range(_TRIES):
        opened = _open(path)
        if isinstance(opened, HostError):
            error = opened
            continue
        handle = opened
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise _locked(path, name) from None
        except OSError as refusal:
            os.close(handle)
            raise _told(host_error("lock", path, refusal)) from refusal
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)
    raise error or _told(HostError(f"can't lock {path}: it is replaced again and again", where=str(path)))


def _told(error: HostError) -> HostError:
    error.left, error.hint = "nothing was changed", OTHER_STATE
    return error


def _open(path: Path) -> int | HostError:
    """What went wrong when the folder was taken away between making it and opening the file in it, or seems to be."""
    try:
        make_own_directory(path.parent, instead=OTHER_STATE)
        demand_own(path, instead=OTHER_STATE)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError as error:
        return _told(host_error("open", path, error))
    except OSError as error:
        raise _told(host_error("open", path, error)) from error
    except HostError as error:
        if isinstance(error.__cause__, (FileNotFoundError, FileExistsError)):
            return _told(error)
        error.hint = OTHER_STATE
        raise


def _leave_nothing(path: Path) -> None:
    """Take an empty lock away again, with the folders that were made for it."""
    with contextlib.suppress(OSError):
        path.unlink()
        for folder in list(path.parents)[:3]:
            folder.rmdir()


def operator() -> str:
    """Who runs this, for others to see: ``user@host``."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _holder(verb: str) -> dict[str, object]:
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "verb": verb, "user": _user(), "host": socket.gethostname(), "since": since}


def _locked(path: Path, name: str) -> RefusedError:
    try:
        holder = json.loads(path.read_text())
        who = "`slotwright {verb}`, pid {pid} of {user} on {host}, since {since}".format(**holder)
    except (OSError, ValueError, KeyError):
        who = "another slotwright"
    return RefusedError(
        f"somebody else is working on {name}",
        code="locked",
        where=name,
        seen=who,
        left="nothing was changed",
        hint="wait until it is done, then try again",
    )
