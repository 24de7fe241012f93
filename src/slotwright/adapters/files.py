"""Writing files so that they are whole or not there: temp + fsync + rename, with the mode from the first byte on.

What is kept between two commands is a :class:`KeptFile`: it has the number of its format
(:mod:`slotwright.cluster.formats`), and fields that this release doesn't know stay in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from slotwright.adapters.path_ownership import demand_own
from slotwright.cluster.formats import FileKind, demand_known, head_of, tag_of
from slotwright.errors import HostError

Kept = TypeVar("Kept")

NOTHING: Mapping[str, object] = MappingProxyType({})
OTHER_STATE = "choose another place for slotwright's state with the variable SLOTWRIGHT_STATE"
OTHER_DATA = "choose another place with `data:` in the file"


def make_directory(path: Path, mode: int = 0o700) -> None:
    """Make ``path`` and its parents; what is made gets ``mode``. Raises HostError."""
    try:
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=mode, exist_ok=True)
    except OSError as error:
        raise host_error("make the folder", path, error) from error


def make_own_directory(path: Path, *, instead: str = "") -> None:
    """The same for what we read again and act upon, 0700; ``instead``: where else it could be.

    Raises HostError, or RefusedError (folder-unsafe) where others made it or could change it.
    """
    demand_own(path, instead=instead)
    make_directory(path)
    # Between that look and the making, somebody else may have made it.
    demand_own(path, instead=instead)


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace ``path`` as a whole. Raises HostError; a half-written file is never left behind.

    ``durable`` False leaves out the fsyncs: for what a power cut makes meaningless anyway. Bytes that were no UTF-8
    when a path or a password was read are the same bytes again.
    """
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    # A name that nobody can foresee: in a folder of others, a link could wait there.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
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


@dataclass(frozen=True, slots=True)
class KeptFile(Generic[Kept]):
    """A JSON file that is kept between two commands: where, what is in it, and what errors call it."""

    path: Path
    type: type[Kept]
    kind: FileKind
    title: str


def read_kept(file: KeptFile[Kept]) -> Kept | None:
    """What :func:`write_kept` wrote; None where there is no such file. Raises HostError (record-unreadable), and
    RefusedError: format-newer for one that a later release wrote in another format, folder-unsafe where others could
    have written it."""
    import msgspec

    data = _bytes_of(file)
    if data is None:
        return None
    try:
        demand_known(file.kind, tag_of(msgspec.json.decode(data)), file.title, str(file.path))
        return msgspec.json.decode(data, type=file.type)
    except (ValueError, RecursionError) as error:
        raise _unreadable(file, error) from error


def read_loosely(path: Path, kind: type[Kept]) -> Kept | None:
    """Those fields of a kept file that ``kind`` has, whatever else it holds and in whatever format; None where they
    can't be read. Only for what nothing but words is made of. Raises RefusedError (folder-unsafe)."""
    import msgspec

    demand_own(path, instead=OTHER_STATE)
    with contextlib.suppress(OSError, ValueError, RecursionError):
        return msgspec.json.decode(path.read_bytes(), type=kind)
    return None


def write_kept(
    file: KeptFile[Kept], value: Kept, *, is_new: bool = False, beside: Mapping[str, object] = NOTHING
) -> None:
    """Replace the file by the value as JSON, durably. Raises what :func:`kept_text` raises, and HostError."""
    make_own_directory(file.path.parent, instead=OTHER_STATE)
    write_atomically(file.path, kept_text(file, value, is_new=is_new, beside=beside))


def kept_text(
    file: KeptFile[Kept], value: Kept, *, is_new: bool = False, beside: Mapping[str, object] = NOTHING
) -> bytes:
    """The value as JSON, with the number of its format, and with what the file has that this release doesn't know.

    Kept are unknown fields of the file itself, and of objects that are fields of a known object; those of objects
    in a list are lost. ``is_new``: the value has nothing to do with what the file held, and takes nothing over.
    ``beside`` are further fields that every kind of a job has.
    Raises RefusedError (format-newer): a file of another format is never replaced.
    """
    import msgspec

    fields = [msgspec.json.decode(msgspec.json.encode(part)) for part in (value, dict(beside))]
    content = {**head_of(file.kind), **fields[0], **fields[1]}
    before = _content_before(file)
    if before and not is_new:
        _keep_unknown(value, content, before)
    return msgspec.json.format(msgspec.json.encode(content), indent=1)


def _content_before(file: KeptFile[Kept]) -> dict[str, Any]:
    """Empty for a file that isn't there or that is no JSON object: nothing can be taken over from that."""
    import msgspec

    try:
        content = msgspec.json.decode(_bytes_of(file) or b"{}")
    except (ValueError, RecursionError):
        return {}
    demand_known(file.kind, tag_of(content), file.title, str(file.path))
    return content if isinstance(content, dict) else {}


def _keep_unknown(value: object, content: dict[str, Any], before: dict[str, Any]) -> None:
    """Add the fields of ``before`` that ``content``, which ``value`` was encoded to, doesn't have."""
    for name, old in before.items():
        inner = getattr(value, name, None)
        if name not in content:
            content[name] = old
        elif is_dataclass(inner) and isinstance(content[name], dict) and isinstance(old, dict):
            _keep_unknown(inner, content[name], old)


def _bytes_of(file: KeptFile[Kept]) -> bytes | None:
    """None where there is no such file. Raises HostError (record-unreadable) and RefusedError (folder-unsafe)."""
    demand_own(file.path, instead=OTHER_STATE)
    try:
        return file.path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: KeptFile[Kept], error: Exception) -> HostError:
    seen = str(error).splitlines()[0]
    return HostError(f"{file.title} can't be read", code="record-unreadable", where=str(file.path), seen=seen)


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
