"""What an application's own lines say of an event: what it lost, and for how long it was without service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Operation:
    """A write and a read back. ``at`` is when it ended, in seconds since 1970; ``acknowledged_at`` when the server
    confirmed the write, 0 where it did not; ``error`` "" where both went well."""

    at: float
    shard: int
    number: int
    acknowledged_at: float
    error: str

    @property
    def is_good(self) -> bool:
        return not self.error


@dataclass(frozen=True)
class Event:
    """Something that was done to one shard, and the time in which its traces are looked for."""

    name: str
    shard: int
    began: float
    ended: float


@dataclass(frozen=True)
class Suffered:
    """``outage_s``: the longest time without a good operation on the shard; ``elsewhere_s`` on any of the others.
    ``is_over``: there were good operations again before the event's time ended."""

    outage_s: float
    elsewhere_s: float
    errors: int
    is_over: bool
    sample: str


def suffered(operations: Sequence[Operation], event: Event) -> Suffered:
    """Of one application, in one event."""
    shards = {each.shard for each in operations}
    inside = [each for each in operations if event.began <= each.at <= event.ended]
    bad = Counter(each.error for each in inside if not each.is_good)
    after = [each for each in inside if each.is_good and each.shard == event.shard]
    # Those that ended in the first moments were under way, or were answered by a primary that was not dead yet.
    is_over = bool(after) and after[-1].at >= event.ended - 2
    return Suffered(
        outage_s=_longest_gap(operations, event.shard, event),
        elsewhere_s=max((_longest_gap(operations, shard, event) for shard in shards - {event.shard}), default=0.0),
        errors=sum(bad.values()),
        is_over=is_over,
        sample=bad.most_common(1)[0][0] if bad else "",
    )


def _longest_gap(operations: Sequence[Operation], shard: int, event: Event) -> float:
    good = [each.at for each in operations if each.shard == shard and each.is_good and each.at <= event.ended]
    before = max((at for at in good if at < event.began), default=event.began)
    times = [before, *(at for at in good if at >= event.began), event.ended]
    return max(later - earlier for earlier, later in pairwise(times))


def acknowledged(operations: Sequence[Operation]) -> dict[tuple[int, int], float]:
    """(shard, number) of each write that the server confirmed -> when."""
    return {(each.shard, each.number): each.acknowledged_at for each in operations if each.acknowledged_at}
