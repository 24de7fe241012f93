"""A connection that was tried from one host to a port of another, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ReachOutcome(StrEnum):
    """OPEN: connected to a real listener. SHUT: it was not let through. UNTRIED: there was no way to try."""

    OPEN = "open"
    SHUT = "shut"
    UNTRIED = "untried"


@dataclass(frozen=True, slots=True)
class Trial:
    """``source`` and ``goal`` are hosts; ``seen`` are the system's words where it is not open."""

    source: str
    goal: str
    port: int
    is_bus: bool
    outcome: ReachOutcome
    seen: str = ""
