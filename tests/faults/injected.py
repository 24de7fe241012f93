"""What an injection leaves behind for the test to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.cluster import Cluster


def nothing() -> None:
    """Nothing has to be done by an operator first."""


@dataclass(frozen=True)
class InjectedFault:
    """``relieve`` is what only an operator can do (free a disk, take a stranger away); ``lost`` are keys that the fault
    itself destroyed, before anybody could repair anything."""

    relieve: Callable[[], None] = nothing
    lost: frozenset[bytes] = frozenset()


Injection = Callable[[Cluster], InjectedFault | None]
