"""The line of a journal that tells its format: the first one, and none where an earlier release began the journal."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from slotwright.cluster.formats import FORMAT, FileKind, FormatTag, head_of, tag_of


def format_line() -> str:
    """What this release begins a journal with."""
    return json.dumps({"phase": FORMAT, **head_of(FileKind.JOURNAL)})


def is_format_line(entry: Mapping[str, object]) -> bool:
    """Whether an entry tells the format, and nothing of what was done."""
    return entry.get("phase") == FORMAT


def format_tags(text: str) -> Iterator[FormatTag]:
    """Every format that a journal says to have: a later release may have gone on with it."""
    for line in text.splitlines():
        # Most lines are something else, and needn't be parsed.
        if f'"{FORMAT}"' not in line:
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and is_format_line(entry):
            yield tag_of(entry)
