"""How long we wait before each piece of work, while the clients of a server have to wait for us."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Delay:
    """``now_s`` is the wait: it grows by ``growth`` with each measurement that is too slow, from ``shortest_s`` up to
    ``longest_s``, and falls by a fifth with each one that is not. ``raises`` counts how often it grew."""

    shortest_s: float = 0.002
    longest_s: float = 0.1
    growth: float = 2.0
    now_s: float = 0.0
    raises: int = 0

    def adapt(self, *, is_slow: bool) -> None:
        """After each measurement."""
        if is_slow:
            self.raises += 1
            self.now_s = min(self.longest_s, max(self.shortest_s, self.growth * self.now_s))
        else:
            self.now_s = self.now_s * 0.8 if self.now_s > self.shortest_s else 0.0
