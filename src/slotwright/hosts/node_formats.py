"""A node's folder that a later release wrote in a format that this one doesn't know: it is ours, and left alone.

What a folder says of its own formats stands in two files: the marker, and the note of its process. On this machine
``adapters/local/folders.py`` reads them, on remote hosts ``hosts/scripts/trust/formats.sh``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from slotwright.cluster.formats import FileKind, FormatTag, writer_of
from slotwright.cluster.node_files import MARKER, PROCESS
from slotwright.errors import RefusedError

FORMATTED = {MARKER: FileKind.MARKER, PROCESS: FileKind.PROCESS}
"""The files of a node's folder that have a format of ours, by their names."""


@dataclass(frozen=True, slots=True)
class UnknownFormat:
    """The file of the folder, by its name, whose format this release doesn't know, and what it says of itself."""

    file: str
    tag: FormatTag

    @property
    def reason(self) -> str:
        """For people; it begins with the file's name."""
        return f"its {self.file} {self.tag.describe(FORMATTED[self.file])}"

    @property
    def remedy(self) -> str:
        """Which release to use."""
        return self.tag.remedy(FORMATTED[self.file])

    def refusal(self, directory: str, host: str = "") -> RefusedError:
        """``host`` is "" for this machine."""
        where = f"{host}:{directory}" if host else directory
        return RefusedError(
            f"the folder {where} is left alone: {self.reason}",
            code="directory-newer",
            where=where,
            left="nothing was changed",
            hint=self.remedy,
        )


def parse_unknown_format(facts: str) -> UnknownFormat | None:
    """What ``unknown_format`` of ``formats.sh`` printed: ``FILE NUMBER WRITER``, "-" for what can't be told."""
    fields = facts.split(" ")
    if len(fields) != 3 or fields[0] not in FORMATTED:
        return None
    file, number, writer = fields
    is_number = re.fullmatch(r"[0-9]{1,9}", number) is not None
    return UnknownFormat(file, FormatTag(int(number) if is_number else None, writer_of(writer)))
