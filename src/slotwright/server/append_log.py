"""The manifest of an append-only file in parts, and what the server's tool says of a part.

Since 7.0 the file is a folder with a manifest, a line a part: ``file NAME seq N type b|i|h`` (aof.c,
aofLoadManifestFromFile): one base, the increments after it in the order of their numbers, and history that is only
waiting to be deleted. Redis 8.2 adds ``startoffset N``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE = re.compile(r'file ("(?:[^"\\]|\\.)*"|\S+) seq (\d+) type ([bhi])(?: |$)')
_ESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class AppendPart:
    """``name`` is that of a file beside the manifest; increments are appended to, the base is not."""

    name: str
    number: int
    is_increment: bool


def parse_manifest(text: str) -> tuple[AppendPart, ...]:
    """The parts that a start would load, in that order. Raises ValueError for text that is no manifest, or names a
    file that does not lie beside it."""
    parts = tuple(_parts(text))
    return tuple(sorted(parts, key=lambda part: (part.is_increment, part.number)))


def _parts(text: str) -> Iterator[AppendPart]:
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:
            raise ValueError(f"not a line of a manifest: {line[:80]!r}")
        name, number, kind = match.groups()
        name = _ESCAPE.sub(r"\1", name[1:-1]) if name.startswith('"') else name
        if "/" in name or name in ("", ".", ".."):
            raise ValueError(f"not the name of a file beside its manifest: {name[:80]!r}")
        if kind != "h":
            yield AppendPart(name, int(number), kind == "i")
