"""Comparing what the rest of the machine changes all the time: two readings of free space are never the same."""

from __future__ import annotations

from collections.abc import Callable


def agree(one: Callable[[], int], other: Callable[[], int], *, slack: int = 0, tries: int = 200) -> bool:
    """Whether ``other`` reads what ``one`` reads, up to ``slack``.

    Other processes may write between two readings, so ``one`` is read before and after: they agree once ``other`` lies
    in between. Who reads something else (all of a disk, what root may use) is off by far more, every time.
    """
    for _ in range(tries):
        before, found, after = one(), other(), one()
        if min(before, after) - slack <= found <= max(before, after) + slack:
            return True
    return False
