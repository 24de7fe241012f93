"""Writing files so that they are whole or not there: temp + fsync + rename, with the mode from the first byte on."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import TypeVar

from slotwright.errors import HostError

Kept = TypeVar("Kept")


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make ``path`` and its parents; what is made gets ``mode``. Raises HostError."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)
    except OSError as error:
        raise host_error("make the folder", path, error) from error


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace ``path`` as a whole. Raises HostError; a half-written file is never left behind.

    ``durable`` False leaves out the fsyncs: for what a power cut makes meaningless anyway.
    """
    data = content.encode() if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        draft.rename(path)
        if durable:
            sync_directory(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise host_error("write", path, error) from error


def read_kept(path: Path, kind: type[Kept], what: str) -> Kept | None:
    """What :func:`write_kept` wrote; None where there is no such file. Raises HostError (record-unreadable), in which
    ``what`` names it."""
    import msgspec

    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise HostError(
            f"{what} can't be read", code="record-unreadable", where=str(path), seen=str(error).splitlines()[0]
        ) from error


def write_kept(path: Path, value: object) -> None:
    """Replace ``path`` by the value as JSON, durably."""
    import msgspec

    make_directory(path.parent)
    write_atomically(path, msgspec.json.format(msgspec.json.encode(value), indent=1))


def is_draft(name: str) -> bool:
    """Whether a file of this name is what a killed :func:`write_atomically` left."""
    return name.startswith(".") and name.endswith(".tmp")


def clear_drafts(folder: Path) -> None:
    """Remove what killed writers left in ``folder``: a draft of a configuration holds the password."""
    with contextlib.suppress(OSError):
        for path in [entry for entry in folder.iterdir() if is_draft(entry.name)]:
            path.unlink()


def sync_directory(path: Path) -> None:
    """Make renames and creations in ``path`` durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def host_error(action: str, path: Path, error: OSError) -> HostError:
    """A HostError in the operator's words for what the system said."""
    codes = {errno.ENOSPC: "disk-full", errno.EDQUOT: "disk-full", errno.EROFS: "not-writable"}
    codes |= {errno.EACCES: "not-writable", errno.EPERM: "not-writable"}
    code = codes.get(error.errno or 0, "host-files")
    hints = {
        "disk-full": "free some room there, or choose another folder with `data:` in the file",
        "not-writable": "make it writable for this user, or choose another folder with `data:` in the file",
    }
    return HostError(f"can't {action} {path}: {error.strerror}", code=code, where=str(path), hint=hints.get(code, ""))
