"""Servers built from source, kept on this machine by tarball, architecture and libc; shipped to hosts of their like.

A server that was built against a libc runs with the same one and with every later one, so the one host of an
architecture with the oldest libc builds for all (of those that can build at all).
"""

from __future__ import annotations

import base64
import binascii
import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.files import OTHER_STATE, make_own_directory, write_atomically
from slotwright.adapters.path_ownership import demand_own
from slotwright.errors import HostError
from slotwright.hosts.facts.engine import Binaries, EngineHost, WantedEngine


@dataclass(frozen=True, slots=True)
class Build:
    """What a build made, and the libc that it was made with."""

    binaries: Binaries
    libc_version: tuple[int, ...]


def suits(build_libc: tuple[int, ...], host: EngineHost) -> bool:
    """Whether a server built against that libc can start on ``host``."""
    return build_libc <= host.libc_version


def choose_builder(hosts: Sequence[EngineHost]) -> tuple[EngineHost, list[EngineHost]] | None:
    """Which host of one architecture and libc family builds, and for which of them; None where none can."""
    able = [host for host in hosts if host.can_build]
    if not able:
        return None
    builder = min(able, key=lambda host: host.libc_version)
    return builder, [host for host in hosts if suits(builder.libc_version, host)]


def read_build(cache: Path, wanted: WantedEngine, host: EngineHost) -> Build | None:
    """The newest build that runs on ``host``; one that is damaged is as good as none."""
    builds = [_read(path) for path in (cache / "builds").glob(f"{_stem(wanted, host.libc)}-*.build")]
    fit = [build for build in builds if build is not None and suits(build.libc_version, host)]
    return max(fit, key=lambda build: build.libc_version, default=None)


def keep_build(cache: Path, wanted: WantedEngine, libc: str, build: Build) -> None:
    """Write it: one line of JSON, then the files one after the other, gzipped. Raises HostError."""
    folder = cache / "builds"
    make_own_directory(folder, instead=OTHER_STATE)
    content = b"".join(data for _, data in build.binaries.files)
    head = {
        "files": [[name, len(data)] for name, data in build.binaries.files],
        "libc": build.libc_version,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    version = ".".join(map(str, build.libc_version))
    path = folder / f"{_stem(wanted, libc)}-{version}.build"
    write_atomically(path, json.dumps(head).encode() + b"\n" + gzip.compress(content, 6, mtime=0))


def parse_build(output: str, libc_version: tuple[int, ...]) -> Build:
    """What the script BUILD printed. Raises ValueError where it isn't whole."""
    names, digest, *lines = output.splitlines()
    content = gzip.decompress(base64.b64decode("".join(lines)))
    arguments = names.split()
    sizes = [(name, int(size)) for name, size in zip(arguments[::2], arguments[1::2], strict=True)]
    return _cut(sizes, content, digest, libc_version)


def build_of(output: str, host: EngineHost) -> Build:
    """The same, in the host's words: raises HostError (build-failed)."""
    try:
        return parse_build(output, host.libc_version)
    except (ValueError, binascii.Error, EOFError, OSError) as error:
        raise HostError(
            f"what was built on {host.host} did not arrive as a whole",
            code="build-failed",
            where=host.host,
            seen=str(error),
            hint="run the same command again",
        ) from error


def _stem(wanted: WantedEngine, libc: str) -> str:
    return f"{wanted.name}-{wanted.machine}-{libc or 'libc'}"


def _read(path: Path) -> Build | None:
    demand_own(path, instead=OTHER_STATE)
    try:
        head, _, packed = path.read_bytes().partition(b"\n")
        fields = json.loads(head)
        sizes = [(str(name), int(size)) for name, size in fields["files"]]
        return _cut(sizes, gzip.decompress(packed), fields["sha256"], tuple(fields["libc"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None


def _cut(sizes: list[tuple[str, int]], content: bytes, digest: str, libc: tuple[int, ...]) -> Build:
    if hashlib.sha256(content).hexdigest() != digest or sum(size for _, size in sizes) != len(content):
        raise ValueError("the checksum is wrong")
    files, at = [], 0
    for name, size in sizes:
        files.append((name, content[at : at + size]))
        at += size
    return Build(Binaries(tuple(files)), libc)
