"""Doing failovers on the runner: what is asked, what is believed, what is journaled, and what is not asked twice."""

from __future__ import annotations

import asyncio

import pytest

from slotwright.cluster.events import Began, Ended
from slotwright.cluster.stages import one_by_one
from slotwright.features.failover.plan import FailoverStep
from slotwright.features.failover.run import FailoverResult, FailoverSteps
from slotwright.ops.runner import Runner, StepOutcome, failures
from tests.fakes import build
from tests.fakes.doubles import Listener, MemoryJournal
from tests.fakes.operator import Operator
from tests.fakes.world import World


@pytest.fixture
def who() -> Operator:
    found = Operator(World(), build.topology())
    asyncio.run(found.up())
    found.world.effects.clear()
    return found


def step_of(who: Operator, shard: int = 0, *, is_forced: bool = False) -> FailoverStep:
    made = who.blueprint.shards[shard]
    replica, primary = made.replicas[0], made.primary
    return FailoverStep(replica.address, replica.id, str(primary.address), primary.id, made.number, is_forced=is_forced)


def run(
    who: Operator, *steps: FailoverStep, report: Listener | None = None
) -> tuple[tuple[StepOutcome[FailoverStep], ...], dict[FailoverStep, FailoverResult], MemoryJournal]:
    journal = MemoryJournal()

    async def do() -> tuple[tuple[StepOutcome[FailoverStep], ...], dict[FailoverStep, FailoverResult]]:
        async with who.pool() as pool:
            addresses = tuple(node.address for node in who.blueprint.nodes)
            handler = FailoverSteps(pool, who.world.clock, report or Listener(), addresses)
            return await Runner(handler, journal).run(one_by_one(steps)), handler.results

    return *asyncio.run(do()), journal


def test_shards_go_one_after_the_other_and_each_is_journaled(who: Operator) -> None:
    first, second, report = step_of(who, 0), step_of(who, 1), Listener()
    outcomes, results, journal = run(who, first, second, report=report)
    assert failures(outcomes) == ()
    assert [results[step].tries for step in (first, second)] == [1, 1]
    assert who.world.effects == [f"failover {first.replica}", f"failover {second.replica}"]
    entry = {"step": "failover", "where": str(first.replica), "from": first.primary, "forced": False}
    assert journal.entries[:2] == [{"phase": "intent", **entry}, {"phase": "done", **entry}]
    told = [(type(event), event.text) for event in report.events if isinstance(event, Began | Ended)]
    assert told == [(kind, step.what) for step in (first, second) for kind in (Began, Ended)]


def test_one_that_the_servers_did_meanwhile_is_not_asked_for(who: Operator) -> None:
    step = step_of(who)
    who.world.fail_over(step.replica_id)
    outcomes, results, journal = run(who, step)
    assert (failures(outcomes), results[step].tries, who.world.effects) == ((), 0, [])
    assert [entry["phase"] for entry in journal.entries] == ["intent", "done"]


def test_one_that_not_all_know_of_yet_is_waited_for_and_not_asked_again(who: Operator) -> None:
    step = step_of(who)
    late = who.world.servers[who.blueprint.shards[2].primary.address]
    before = list(late.lines)
    who.world.fail_over(step.replica_id)
    late.lines = before
    outcomes, _, journal = run(who, step)
    (error,) = failures(outcomes)
    assert (error.code, who.world.effects) == ("failover-not-settled", [])
    assert journal.entries[-1]["phase"] == "failed"


def test_an_ok_that_nothing_comes_of_is_no_failover_and_the_next_shard_is_left(who: Operator) -> None:
    first, second, report = step_of(who, 0), step_of(who, 1), Listener()
    who.world.servers[first.replica].ignores = frozenset({"FAILOVER"})
    outcomes, results, journal = run(who, first, second, report=report)
    assert [error.code for error in failures(outcomes)] == ["failover-not-happened"]
    assert (results, len(outcomes), who.world.effects) == ({}, 1, [])
    assert journal.entries[-1]["code"] == "failover-not-happened"
    last = report.events[-1]
    assert isinstance(last, Ended) and not last.is_ok


def test_a_replica_that_refuses_is_named(who: Operator) -> None:
    step = step_of(who)
    who.world.servers[step.replica].refuses = frozenset({"FAILOVER"})
    outcomes, _, _ = run(who, step)
    assert [error.code for error in failures(outcomes)] == ["failover-refused"]


def test_nothing_is_forced_over_a_primary_that_answers(who: Operator) -> None:
    outcomes, _, _ = run(who, step_of(who, is_forced=True))
    assert [error.code for error in failures(outcomes)] == ["primary-alive"]
    assert who.world.effects == []
