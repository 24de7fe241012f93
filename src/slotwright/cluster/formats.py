"""Formats of the files that slotwright keeps: the number of each kind, and what happens to a file with another number.

Each file says in which format it is (``"format": 1``) and which release wrote it (``"slotwright": "0.1.0"``). A number
goes up only when a release that knows the old one would misread the new file: a further field needs no new number,
since what a release doesn't know it keeps when it writes the file again. A file without a number has format 1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from slotwright import __version__
from slotwright.errors import RefusedError

FORMAT = "format"
WRITER = "slotwright"
FIRST = 1
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,39}")
_HIGHEST = 10**9


class FileKind(StrEnum):
    """What is kept: on the control machine, in each node's folder (MARKER, PROCESS), and where people put it (PLAN)."""

    RECORD = "record"
    REBUILD = "rebuild"
    BASELINE = "baseline"
    COPIES = "copies"
    MIGRATION = "migration"
    MIGRATION_STATUS = "migration-status"
    SOURCE_CALLS = "source-calls"
    JOURNAL = "journal"
    ARCHIVE = "archive"
    MARKER = "marker"
    PROCESS = "process"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class KnownFormats:
    """``current`` is what this release writes; it reads from ``oldest`` on."""

    current: int
    oldest: int = FIRST

    def has(self, number: int | None) -> bool:
        """Whether this release can read it."""
        return number is not None and self.oldest <= number <= self.current


KNOWN: Mapping[FileKind, KnownFormats] = {
    FileKind.RECORD: KnownFormats(1),
    FileKind.REBUILD: KnownFormats(1),
    FileKind.BASELINE: KnownFormats(1),
    FileKind.COPIES: KnownFormats(1),
    FileKind.MIGRATION: KnownFormats(1),
    FileKind.MIGRATION_STATUS: KnownFormats(1),
    FileKind.SOURCE_CALLS: KnownFormats(1),
    FileKind.JOURNAL: KnownFormats(1),
    FileKind.ARCHIVE: KnownFormats(1),
    FileKind.MARKER: KnownFormats(1),
    FileKind.PROCESS: KnownFormats(1),
    FileKind.PLAN: KnownFormats(1),
}


@dataclass(frozen=True, slots=True)
class FormatTag:
    """What a file says of its own format. ``number`` is None for what is no number of a format; ``writer`` is the
    release that wrote it, "" where the file doesn't say."""

    number: int | None
    writer: str = ""

    def is_known(self, kind: FileKind) -> bool:
        """Whether this release can read a file of that kind with this number."""
        return KNOWN[kind].has(self.number)

    def describe(self, kind: FileKind) -> str:
        """``was written by slotwright 0.9 in format 3; this slotwright 0.5 knows up to 2``."""
        number = f"format {self.number}" if self.number is not None else "a format that is no number"
        known = KNOWN[kind]
        limit = f"reads from {known.oldest} on" if self._is_older(kind) else f"knows up to {known.current}"
        writer = f"slotwright {self.writer}" if self.writer else "another slotwright"
        return f"was written by {writer} in {number}; this slotwright {__version__} {limit}"

    def remedy(self, kind: FileKind) -> str:
        """Which release to use."""
        writer = f"slotwright {self.writer}" if self.writer else "the slotwright that wrote it"
        if self._is_older(kind):
            return f"use {writer}, or a release after it that still reads this format"
        return f"use {writer} or newer"

    def _is_older(self, kind: FileKind) -> bool:
        return self.number is not None and self.number < KNOWN[kind].oldest


def head_of(kind: FileKind) -> dict[str, object]:
    """What a file of that kind begins with."""
    return {FORMAT: KNOWN[kind].current, WRITER: __version__}


def tag_of(content: object) -> FormatTag:
    """What the content of a JSON file says; format 1 where it says nothing."""
    if not isinstance(content, Mapping):
        return FormatTag(FIRST)
    number, writer = content.get(FORMAT, FIRST), content.get(WRITER)
    is_number = isinstance(number, int) and not isinstance(number, bool) and 0 < number < _HIGHEST
    return FormatTag(number if is_number else None, writer_of(writer))


def writer_of(value: object) -> str:
    """The release that a file names, "" for what is no version: people read it in errors."""
    return value if isinstance(value, str) and _VERSION.fullmatch(value) else ""


def demand_known(kind: FileKind, tag: FormatTag, title: str, where: str) -> None:
    """Raise RefusedError (format-newer, format-older) for a format that this release can't read.

    ``title`` names the file in words: ``the record of cache``.
    """
    if tag.is_known(kind):
        return
    raise RefusedError(
        f"{title} {tag.describe(kind)}",
        code="format-older" if tag.number is not None and tag.number < KNOWN[kind].oldest else "format-newer",
        where=where,
        left="nothing was changed",
        hint=tag.remedy(kind),
    )
