"""A job as every kind of them is shown."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Whether somebody works on a job; if not, how its last process ended."""

    RUNNING = "running"
    """A process works on it now."""
    PAUSED = "paused"
    """Its process was asked to end; it can be gone on with."""
    CUT = "cut"
    """Its process ended otherwise; it can be gone on with."""
    OVER = "over"
    """Done or given up."""
    NEWER = "newer"
    """A later release made it; this one doesn't touch it."""
    UNREADABLE = "unreadable"
    """Its file can't be read."""


@dataclass(frozen=True, slots=True)
class JobView:
    """``kind`` is what it is called in words, ``doing`` what it does, ``progress`` what its process told last of it, ""
    for nothing. ``began`` is the time of day, None where it can't be told. ``trouble`` says why it can't be steered,
    and ``remedy`` what to do then."""

    name: str
    kind: str
    clusters: tuple[str, ...]
    state: JobState
    doing: str
    began: float | None
    progress: str
    trouble: str = ""
    remedy: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it runs, or may be gone on with."""
        return self.state is not JobState.OVER

    @property
    def title(self) -> str:
        """``the migration old--cache``."""
        return f"the {self.kind} {self.name}"
