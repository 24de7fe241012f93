"""Upstream tarballs: is it source or binaries, of which server and version, for which architecture."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slotwright.adapters.engines.local import elf_machine
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.errors import HostError, InputError
from slotwright.hosts.facts.engine import Binaries, EngineForm

_SPELLINGS = {"x86_64": ("x86_64", "amd64", "x64"), "aarch64": ("aarch64", "arm64")}
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Archive:
    """A tarball. ``form`` is SOURCE or BINARIES; ``machine`` is "" for source and for scripts; ``version`` None where
    neither its files nor its name tell."""

    path: Path
    digest: str
    form: EngineForm
    kind: EngineKind
    version: ServerVersion | None
    machine: str = ""


def archive_for(path: Path, machine: str) -> Path:
    """``path``, or the tarball beside it whose name differs only in the architecture, where that is ``machine``'s."""
    for spellings in _SPELLINGS.values():
        for theirs in spellings:
            if theirs in path.name and theirs not in _SPELLINGS.get(machine, ()):
                beside = [path.with_name(path.name.replace(theirs, ours)) for ours in _SPELLINGS.get(machine, ())]
                return next((candidate for candidate in beside if candidate.is_file()), path)
    return path


def read_archive(path: Path, kind: EngineKind) -> Archive:
    """What ``path`` holds. Raises InputError for a file that isn't there or isn't such a tarball."""
    with _opened(path) as tar:
        members = [member for member in tar if member.isfile()]
        digest = _file_digest(path)
        header = next((member for member in members if _ends(member.name, ("src", "version.h"))), None)
        if header is not None:
            version = _version_of_source(_content(tar, header).decode(errors="replace"), path)
            return Archive(path, digest, EngineForm.SOURCE, version.kind, version)
        server = _server(members, kind, path)
        machine = elf_machine(_content(tar, server)[:20])
    name = PurePosixPath(server.name).name.removesuffix("-server")
    result = EngineKind(name) if name in list(EngineKind) else kind
    return Archive(path, digest, EngineForm.BINARIES, result, _version_of_name(path, server.name, result), machine)


def binaries_of(archive: Archive) -> Binaries:
    """The programs of a binary tarball, the server first, named by its kind."""
    with _opened(archive.path) as tar:
        members = [member for member in tar if member.isfile()]
        server = _server(members, archive.kind, archive.path)
        files = [(f"{archive.kind.value}-server", _content(tar, server))]
        folder = PurePosixPath(server.name).parent
        for program in ("cli", "benchmark"):
            name = f"{archive.kind.value}-{program}"
            files += [
                (name, _content(tar, member)) for member in members if PurePosixPath(member.name) == folder / name
            ]
    return Binaries(tuple(files))


def gzipped(path: Path) -> bytes:
    """The tarball as a gzipped one, whatever it is packed with: every host can unpack that."""
    content = path.read_bytes()
    if content.startswith(_GZIP_MAGIC):
        return content
    import bz2
    import lzma

    if content.startswith(b"BZh"):
        content = bz2.decompress(content)
    elif content.startswith(b"\xfd7zXZ"):
        content = lzma.decompress(content)
    return gzip.compress(content, 6, mtime=0)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as tar:
            yield tar
    except FileNotFoundError as error:
        raise InputError(f"there is no {path}", code="engine-not-available", where=str(path)) from error
    except (OSError, tarfile.TarError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(
            f"{path.name} can't be read as a tarball",
            code="engine-not-available",
            where=str(path),
            seen=str(error),
            hint="give a .tar, .tar.gz, .tar.bz2 or .tar.xz, and see that it was fetched as a whole",
        ) from error


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    return file.read()


def _ends(name: str, parts: tuple[str, ...]) -> bool:
    path = PurePosixPath(name).parts
    return path[-len(parts) :] == parts and len(path) <= len(parts) + 2


def _server(members: list[tarfile.TarInfo], kind: EngineKind, path: Path) -> tarfile.TarInfo:
    """The server of the kind that is asked for, else the only one that there is."""
    names = {PurePosixPath(member.name).name: member for member in members}
    servers = [
        member for name, member in names.items() if name in [f"{candidate.value}-server" for candidate in EngineKind]
    ]
    exact = names.get(f"{kind.value}-server")
    if exact is not None:
        return exact
    if len(servers) == 1:
        return servers[0]
    raise InputError(
        f"{path.name} holds neither a source tree (src/version.h) nor a {kind.value}-server",
        code="engine-not-available",
        where=str(path),
        hint=f"name the tarball of a release of {kind.value}",
    )


def _version_of_source(text: str, path: Path) -> ServerVersion:
    """version.h: Valkey has both names, its own version under its own."""
    for kind in (EngineKind.VALKEY, EngineKind.REDIS):
        match = re.search(rf'#define {kind.value.upper()}_VERSION "(\d+(?:\.\d+)*)"', text)
        if match:
            return ServerVersion(kind, tuple(int(part) for part in match[1].split(".")))
    raise HostError(f"src/version.h in {path.name} names no version", code="engine-not-available", where=str(path))


def _version_of_name(path: Path, inside: str, kind: EngineKind) -> ServerVersion | None:
    for text in (path.name, inside):
        match = re.search(rf"{kind.value}[-_](\d+)\.(\d+)\.(\d+)", text)
        if match:
            return ServerVersion(kind, tuple(map(int, match.groups())))
    return None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
