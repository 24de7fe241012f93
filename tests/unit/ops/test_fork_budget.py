"""One fork of a server at a time on a host: what is waited for, for how long, and what is not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from slotwright.cluster.events import Began, Ended
from slotwright.cluster.stages import side_by_side
from slotwright.errors import HostError
from slotwright.ops.fork_budget import PATIENCE_S, ForkBudget
from slotwright.ops.runner import Runner, StepHandler, failures
from slotwright.ports import Host
from tests.fakes.doubles import FakeClock, Listener, MemoryJournal


@dataclass
class Machine:
    """Tells how many forks there are, look by look; the last number stays."""

    counts: list[int] = field(default_factory=lambda: [0])
    is_away: bool = False

    async def count_forks(self) -> int:
        if self.is_away:
            raise HostError("it can't be asked", code="host-unreachable", where="a")
        return self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]


@dataclass
class Saves(StepHandler[Any]):
    """Steps that fork where they are; how many worked on one machine at once is kept."""

    machine_of: dict[str, Machine]
    now: dict[int, int] = field(default_factory=dict)
    most: int = 0

    def forks_on(self, step: Any) -> str:
        return step.where

    async def act(self, step: Any) -> str:
        key = id(self.machine_of[step.where])
        self.now[key] = self.now.get(key, 0) + 1
        self.most = max(self.most, self.now[key])
        for _ in range(5):
            await asyncio.sleep(0)
        self.now[key] -= 1
        return ""


@dataclass(frozen=True)
class Save:
    where: str
    kind = "save"


def budget_of(machines: dict[str, Machine], clock: FakeClock, listener: Listener) -> ForkBudget:
    return ForkBudget(lambda host: cast(Host, machines[host]), clock, listener)


def test_forks_of_whomever_are_waited_for_and_told() -> None:
    clock, listener, machines = FakeClock(), Listener(), {"a": Machine([2, 2, 1, 0])}
    began = clock.now()

    async def run() -> float:
        async with budget_of(machines, clock, listener).turn("a"):
            return clock.now()

    assert asyncio.run(run()) == pytest.approx(began + 0.75)
    assert [type(event) for event in listener.events] == [Began, Ended]


def test_nothing_is_told_where_nothing_is_in_the_way() -> None:
    clock, listener = FakeClock(), Listener()
    machines = {"quiet": Machine(), "away": Machine(is_away=True)}

    async def run() -> None:
        for host in machines:
            async with budget_of(machines, clock, listener).turn(host):
                pass

    asyncio.run(run())
    assert (listener.events, clock.now()) == ([], FakeClock().now())


def test_after_an_hour_the_step_is_not_done() -> None:
    clock, listener, journal = FakeClock(least_s=60), Listener(), MemoryJournal()
    machines = {"a": Machine([3])}
    handler = Saves(machines)
    runner = Runner(handler, journal, budget_of(machines, clock, listener))
    (error,) = failures(asyncio.run(runner.run(side_by_side([Save("a")]))))
    assert (error.code, error.where, handler.most) == ("host-busy", "a", 0)
    assert "3 servers" in error.what and clock.now() - FakeClock().now() >= PATIENCE_S
    assert journal.lines == ["intent save a", "failed save a"]


def test_one_at_a_time_on_a_machine_whatever_it_is_called() -> None:
    one, other = Machine(), Machine()
    handler = Saves({"a": one, "a-too": one, "b": other})
    runner = Runner(handler, MemoryJournal(), budget_of(handler.machine_of, FakeClock(), Listener()))
    outcomes = asyncio.run(runner.run(side_by_side([Save("a"), Save("a-too"), Save("b"), Save("a")])))
    assert (len(outcomes), failures(outcomes), handler.most) == (4, (), 1)


def test_without_a_budget_nobody_waits() -> None:
    handler = Saves({"a": Machine([9])})
    asyncio.run(Runner(handler, MemoryJournal()).run(side_by_side([Save("a"), Save("a")])))
    assert handler.most == 2
