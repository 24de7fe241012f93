"""Progress events: what a long verb tells while it works. Values only; a view decides how they look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Began:
    """Some work began; ``task`` names it until its end."""

    task: str
    text: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The work goes on: ``done`` of ``total`` (0: unknown), and in words where it is."""

    task: str
    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """The work ended well or not; ``text`` may replace the one that it began with."""

    task: str
    text: str
    is_ok: bool = True


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the operator should know, and that stops nothing."""

    text: str
    where: str = ""


Event = Began | Moved | Ended | Warned
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """A report that nobody reads."""
