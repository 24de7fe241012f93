"""What the disk of a node that does not run would bring back, as its host sees it. Collected, not judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AppendLog(StrEnum):
    """An append-only file. INCOMPLETE: a file that its manifest names is missing. CUT: its end can't be read.
    UNREAD: nobody could look, or the tool did not say."""

    ABSENT = "absent"
    WHOLE = "whole"
    INCOMPLETE = "incomplete"
    CUT = "cut"
    UNREAD = "unread"


@dataclass(frozen=True, slots=True)
class NodeDisk:
    """``written_at`` is when the append-only file was last written to, in seconds since 1970 of the control machine's
    clock, give or take ``doubt_s`` (None: there is none).
    """

    append_log: AppendLog
    written_at: float | None = None
    doubt_s: float = 0.0
