"""How much is asked of a server at once: as much as holds it for a few milliseconds, and no more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class BatchSize:
    """``now`` counts in whatever unit its user does, between ``fewest`` and ``most``; a batch shall hold the server for
    about ``goal_ms``.

    What even the quickest batch takes is not the batches' fault (two hosts that are far apart): below twice of that,
    smaller ones would only be more of them.
    """

    now: int
    fewest: int
    most: int
    goal_ms: float
    _quickest_ms: float = float("inf")
    _last_ms: float = 0.0

    def held(self, milliseconds: float) -> None:
        """A batch held the server for so long: the next ones are smaller, or larger."""
        self._last_ms = milliseconds
        self._quickest_ms = min(self._quickest_ms, milliseconds)
        goal_ms = max(self.goal_ms, 2 * self._quickest_ms)
        if milliseconds > goal_ms:
            self.shrink()
        elif milliseconds <= 0.6 * goal_ms:
            self.now = min(self.most, self.now + self.most // 40)

    def shrink(self) -> None:
        """By a third."""
        self.now = max(self.fewest, self.now * 2 // 3)

    def shrink_if_it_helps(self) -> None:
        """Clients wait: smaller batches help them where ours are long."""
        if self._last_ms > 2 * self._quickest_ms:
            self.shrink()
