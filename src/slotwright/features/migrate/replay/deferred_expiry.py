"""Deadlines that are kept away: for a target that would else expire keys while it lags behind the source.

A deadline that is later by :data:`LATER_MS` is told from any that a client uses, so that it can be taken off again.
"""

from __future__ import annotations

from typing import Final

LATER_MS: Final = 1 << 52
"""142,000 years. Twice as much fits into the 64 bits that every server has for a deadline."""


def later(expires_ms: int, by_ms: int) -> int:
    """A deadline (milliseconds since 1970) that is ``by_ms`` later. One that is too far away to come is left alone."""
    return expires_ms if expires_ms >= LATER_MS else expires_ms + by_ms


def taken_off(expires_ms: int) -> int | None:
    """The source's deadline, of one that is :data:`LATER_MS` later; None for one that is not."""
    return expires_ms - LATER_MS if LATER_MS <= expires_ms < 2 * LATER_MS else None
