"""Ship units to where they are needed at the least price: a transport problem, solved exactly.

All prices rise with the amount shipped, hence shipping along successive cheapest paths is optimal at every
step (Ahuja, Magnanti, Orlin: Network Flows, chapters 9 and 14). Between two searches for prices, everything
that lies on a path of the cheapest price is shipped: first the direct ways in the order that the caller
prefers, then the ways on which other hosts exchange one need for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_FAR = 1 << 256


@dataclass(frozen=True, slots=True)
class _Reach:
    """The price of getting one unit to each host and need, and to the cheapest open slot (``goal``)."""

    hosts: list[int]
    needs: list[int]
    goal: int


class Transport:
    """Ships all ``supplies`` (units by host) into ``slots`` (for each need, the rising prices of its units).

    ``price(host, need, units)`` is that of one more unit on this way when ``units`` go there already; it may
    not fall with ``units``. ``pairs`` (host, need) is the order in which equally good direct ways are taken.
    There must be at least as many slots as supplies, so that every unit finds one.
    """

    def __init__(
        self,
        supplies: Sequence[int],
        slots: Sequence[Sequence[int]],
        price: Callable[[int, int, int], int],
        pairs: Sequence[tuple[int, int]],
    ) -> None:
        self._left = list(supplies)
        self._slots = slots
        self._price = price
        self._pairs = pairs
        self._filled = [0] * len(slots)
        self._flow: list[dict[int, int]] = [{} for _ in slots]
        self._rows = [
            [price(host, need, 0) for need in range(len(slots))] if supply else []
            for host, supply in enumerate(supplies)
        ]

    def solve(self) -> list[dict[int, int]]:
        """For each need, how many units it gets from which host."""
        while any(self._left):
            reach = self._reach()
            while self._ship_directly(reach):
                pass
            while self._ship_by_exchange(reach):
                pass
        return [{host: units for host, units in flow.items() if units} for flow in self._flow]

    def _slot(self, need: int) -> int:
        slots, filled = self._slots[need], self._filled[need]
        return slots[filled] if filled < len(slots) else _FAR

    def _refund(self, host: int, need: int) -> int:
        return self._price(host, need, self._flow[need][host] - 1)

    def _reach(self) -> _Reach:
        hosts = [0 if left else _FAR for left in self._left]
        needs = [_FAR] * len(self._slots)
        queue = deque(host for host, left in enumerate(self._left) if left)
        while queue:
            host = queue.popleft()
            for need in self._relax_needs(hosts[host], self._rows[host], needs):
                for other, units in self._flow[need].items():
                    if units and needs[need] - self._refund(other, need) < hosts[other]:
                        hosts[other] = needs[need] - self._refund(other, need)
                        if other not in queue:
                            queue.append(other)
        return _Reach(hosts, needs, min(at + self._slot(need) for need, at in enumerate(needs)))

    @staticmethod
    def _relax_needs(at: int, row: Sequence[int], needs: list[int]) -> list[int]:
        better = [need for need, price in enumerate(row) if at + price < needs[need]]
        for need in better:
            needs[need] = at + row[need]
        return better

    def _ship_directly(self, reach: _Reach) -> bool:
        shipped = False
        for host, need in self._pairs:
            if (
                self._left[host]
                and self._rows[host][need] == reach.needs[need]
                and reach.needs[need] + self._slot(need) == reach.goal
            ):
                self._left[host] -= 1
                self._filled[need] += 1
                self._move(host, need, 1)
                shipped = True
        return shipped

    def _ship_by_exchange(self, reach: _Reach) -> bool:
        """One unit along a cheapest path, other hosts giving up one need for another; False when none is."""
        given_up: dict[int, int] = {}
        taken_by: dict[int, int] = {}
        queue = deque(host for host, left in enumerate(self._left) if left)
        starts = set(queue)
        while queue:
            host = queue.popleft()
            at = reach.hosts[host]
            for need, price in enumerate(self._rows[host]):
                if at + price != reach.needs[need] or need in taken_by:
                    continue
                taken_by[need] = host
                if reach.needs[need] + self._slot(need) == reach.goal:
                    self._apply(need, taken_by, given_up)
                    return True
                for other in self._givers(need, reach):
                    if other not in given_up and other not in starts:
                        given_up[other] = need
                        queue.append(other)
        return False

    def _givers(self, need: int, reach: _Reach) -> list[int]:
        return [
            host
            for host, units in self._flow[need].items()
            if units and reach.needs[need] - self._refund(host, need) == reach.hosts[host]
        ]

    def _apply(self, need: int, taken_by: dict[int, int], given_up: dict[int, int]) -> None:
        self._filled[need] += 1
        host = taken_by[need]
        self._move(host, need, 1)
        while host in given_up:
            need = given_up[host]
            self._move(host, need, -1)
            host = taken_by[need]
            self._move(host, need, 1)
        self._left[host] -= 1

    def _move(self, host: int, need: int, units: int) -> None:
        self._flow[need][host] = self._flow[need].get(host, 0) + units
        self._rows[host][need] = self._price(host, need, self._flow[need][host])
