"""What every plan is made of: steps, in stages of lanes.

The steps of one lane are done in order, lanes side by side, stages one after the other. This says nothing of what the
steps are; ``ops/runner.py`` does them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Step(Protocol):
    """One thing to do at one place; a value."""

    @property
    def kind(self) -> str:
        """What is done, in the journal's word."""
        ...

    @property
    def where(self) -> str:
        """The node, the host or the cluster."""
        ...


StepT = TypeVar("StepT", bound=Step)


@dataclass(frozen=True, slots=True)
class Stage(Generic[StepT]):
    """``at_once``: how many lanes at the same time, 0 for all. ``has_canary``: the first lane goes alone, and where it
    fails, nothing else is tried. ``goes_on``: a failed step does not end its lane."""

    lanes: tuple[tuple[StepT, ...], ...]
    at_once: int = 0
    has_canary: bool = False
    goes_on: bool = False

    @property
    def steps(self) -> tuple[StepT, ...]:
        """All steps, lane by lane."""
        return tuple(step for lane in self.lanes for step in lane)


def side_by_side(steps: Sequence[StepT], *, at_once: int = 0, has_canary: bool = False) -> Stage[StepT]:
    """Each step in a lane of its own."""
    return Stage(tuple((step,) for step in steps), at_once, has_canary)


def one_by_one(steps: Sequence[StepT], *, goes_on: bool = False) -> Stage[StepT]:
    """All steps in one lane."""
    return Stage((tuple(steps),) if steps else (), goes_on=goes_on)


def by_place(steps: Sequence[StepT]) -> Stage[StepT]:
    """The steps of one place in their order, places side by side."""
    lanes: dict[str, list[StepT]] = {}
    for step in steps:
        lanes.setdefault(step.where, []).append(step)
    return Stage(tuple(map(tuple, lanes.values())))
