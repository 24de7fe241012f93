"""How much a run tests: the one place that decides it.

By default everything. With ``SLOTWRIGHT_TESTS=reduced``, as ``make quick`` and ``make test`` set it, of the versions of
the servers the oldest and the newest that have wheels (``engines.py``), and a fifth of each property's examples and of
what is tried again and again: each command in each situation, each cut.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings

VARIABLE = "SLOTWRIGHT_TESTS"
REDUCED, ALL = "reduced", "all"
_FEWEST = 5
_SHARES = 5

Item = TypeVar("Item")


def is_reduced() -> bool:
    """Whether this run leaves some of it out. Raises `ValueError` for a value of the variable that means nothing."""
    extent = os.environ.get(VARIABLE, ALL)
    if extent not in (REDUCED, ALL):
        raise ValueError(f"{VARIABLE} is {extent!r}: it may be {REDUCED!r} or {ALL!r}")
    return extent == REDUCED


def example_count(full: int) -> int:
    """How many examples of a property this run tries, where everything is ``full``."""
    return min(full, max(_FEWEST, full // 5)) if is_reduced() else full


def examples(full: int) -> settings:
    """The decorator of a property that wants another number of examples than the usual hundred."""
    return settings(max_examples=example_count(full))


def share(items: Sequence[Item], turn: int) -> Sequence[Item]:
    """Those of ``items`` that this run tries; of five turns in a row, each item is in one where it isn't in all."""
    return items[turn % _SHARES :: _SHARES] if is_reduced() else items
