"""Doing steps of any kind: what is journaled when, who goes first, and what becomes of a step that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.stages import Stage, by_place, one_by_one, side_by_side
from slotwright.errors import HostError, OperatorInterruptError, PartialError, ServerError
from slotwright.ops.runner import LenientJournal, Runner, StepHandler, StepOutcome, failures, journaled
from tests.fakes.doubles import MemoryJournal


@dataclass(frozen=True)
class Turn:
    """A step that turns something at a place."""

    where: str
    what: str = "it"
    kind = "turn"


async def nothing(step: Turn) -> None:
    return None


@dataclass
class Turner(StepHandler[Turn]):
    """Keeps what it was asked, in order."""

    does: Callable[[Turn], Awaitable[object]] = nothing
    reads: Callable[[Turn], Awaitable[None]] = nothing
    puts_back: Callable[[Turn], Awaitable[None]] = nothing
    done_already: frozenset[str] = frozenset()
    most_s: float | None = None
    log: list[str] = field(default_factory=list)

    def fields(self, step: Turn) -> dict[str, object]:
        return {"what": step.what} if step.what != "it" else {}

    def timeout_s(self, step: Turn) -> float | None:
        return self.most_s

    async def is_done(self, step: Turn) -> bool:
        return step.where in self.done_already

    async def act(self, step: Turn) -> str:
        self.log.append(f"act {step.where}")
        await self.does(step)
        return f"turned {step.where}"

    async def read_back(self, step: Turn) -> None:
        self.log.append(f"read {step.where}")
        await self.reads(step)

    async def put_back(self, step: Turn) -> None:
        self.log.append(f"back {step.where}")
        await self.puts_back(step)


def refusing(*places: str) -> Callable[[Turn], Awaitable[None]]:
    async def refuse(step: Turn) -> None:
        if step.where in places:
            raise ServerError(f"{step.where} refuses", code="refused", where=step.where)

    return refuse


def run(handler: Turner, stage: Stage[Turn]) -> tuple[tuple[StepOutcome[Turn], ...], MemoryJournal]:
    journal = MemoryJournal()
    return asyncio.run(Runner(handler, journal).run(stage)), journal


A, B, C = Turn("a"), Turn("b"), Turn("c")


def test_intent_act_read_back_outcome() -> None:
    handler = Turner()
    (outcome,), journal = run(handler, side_by_side([Turn("a", "the tap")]))
    assert (outcome.words, outcome.error) == ("turned a", None)
    assert handler.log == ["act a", "read a"]
    entry = {"step": "turn", "where": "a", "what": "the tap"}
    assert journal.entries == [{"phase": "intent", **entry}, {"phase": "done", **entry}]


def test_what_is_done_already_is_not_done_again_and_journaled_as_done() -> None:
    handler = Turner(done_already=frozenset("a"))
    _, journal = run(handler, side_by_side([A]))
    assert handler.log == []
    assert journal.lines == ["intent turn a", "done turn a"]


def test_a_failed_step_is_put_back_and_the_others_beside_it_end() -> None:
    handler = Turner(does=refusing("b"))
    outcomes, journal = run(handler, side_by_side([A, B, C]))
    assert [error.where for error in failures(outcomes)] == ["b"]
    assert len(outcomes) == 3
    assert "back b" in handler.log and "back a" not in handler.log
    assert (
        journal.entries[-1]["phase"] == "done"
        and {"phase": "failed", "code": "refused"}.items()
        <= next(entry for entry in journal.entries if entry["phase"] == "failed").items()
    )


def test_what_reads_otherwise_than_it_was_set_has_failed() -> None:
    handler = Turner(reads=refusing("a"))
    outcomes, journal = run(handler, side_by_side([A]))
    assert len(failures(outcomes)) == 1
    assert handler.log == ["act a", "read a", "back a"]
    assert journal.lines == ["intent turn a", "failed turn a"]


def test_what_can_not_be_put_back_is_what_is_told() -> None:
    async def stuck(step: Turn) -> None:
        raise PartialError("half of it is set", code="half-set", where=step.where)

    outcomes, journal = run(Turner(does=refusing("a"), puts_back=stuck), side_by_side([A]))
    (error,) = failures(outcomes)
    assert (error.code, type(error.__cause__)) == ("half-set", ServerError)
    assert journal.entries[-1]["code"] == "half-set"


def test_where_the_canary_fails_nothing_else_is_tried() -> None:
    handler = Turner(does=refusing("a"))
    outcomes, journal = run(handler, side_by_side([A, B, C], has_canary=True))
    assert [outcome.step for outcome in outcomes] == [A]
    assert journal.lines == ["intent turn a", "failed turn a"]


def test_a_sound_canary_goes_before_all_others() -> None:
    handler = Turner()
    outcomes, _ = run(handler, side_by_side([A, B, C], has_canary=True))
    assert [outcome.step for outcome in outcomes] == [A, B, C]
    assert handler.log[:2] == ["act a", "read a"]


def test_a_lane_ends_with_its_first_failure_unless_it_goes_on() -> None:
    first, second = Turn("a", "first"), Turn("a", "second")
    outcomes, _ = run(Turner(does=refusing("a")), by_place([first, B, second]))
    assert {outcome.step for outcome in outcomes} == {first, B}
    outcomes, _ = run(Turner(does=refusing("a")), one_by_one([first, B, second], goes_on=True))
    assert [outcome.step for outcome in outcomes] == [first, B, second]


@pytest.mark.parametrize(("at_once", "most"), [(0, 4), (1, 1), (2, 2)])
def test_no_more_lanes_at_once_than_wanted(at_once: int, most: int) -> None:
    running: set[str] = set()
    seen: list[int] = []

    async def work(step: Turn) -> None:
        running.add(step.where)
        for _ in range(5):
            seen.append(len(running))
            await asyncio.sleep(0)
        running.discard(step.where)

    outcomes, _ = run(Turner(does=work), side_by_side([A, B, C, Turn("d")], at_once=at_once))
    assert len(outcomes) == 4
    assert max(seen) == most


def test_a_step_that_takes_too_long_is_ended_put_back_and_named() -> None:
    async def hang(step: Turn) -> None:
        await asyncio.Event().wait()

    handler = Turner(does=hang, most_s=0.01)
    (outcome,), _ = run(handler, side_by_side([A]))
    assert outcome.error is not None and outcome.error.code == "step-timeout"
    assert handler.log == ["act a", "back a"]


def test_an_interruption_is_journaled_for_each_step_that_it_cut() -> None:
    journal = MemoryJournal()

    async def interrupted() -> None:
        begun = asyncio.Event()

        async def hang(step: Turn) -> None:
            begun.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(Runner(Turner(does=hang), journal).run(side_by_side([A, B])))
        await begun.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(interrupted())
    assert sorted(journal.lines) == ["cut turn a", "cut turn b", "intent turn a", "intent turn b"]


def test_a_fault_of_ours_is_journaled_and_raised_when_the_others_have_ended() -> None:
    journal = MemoryJournal()

    async def fault(step: Turn) -> None:
        if step == A:
            raise KeyError("x")
        await asyncio.sleep(0)

    with pytest.raises(KeyError):
        asyncio.run(Runner(Turner(does=fault), journal).run(side_by_side([A, B])))
    ends = [line for line in journal.lines if not line.startswith("intent")]
    assert sorted(ends) == ["done turn b", "failed turn a"]


def test_each_step_is_told_of_as_it_goes() -> None:
    told: list[str] = []
    runner = Runner(
        Turner(does=refusing("b")),
        MemoryJournal(),
        started=lambda step: told.append(f"started {step.where}"),
        ended=lambda outcome: told.append(f"ended {outcome.step.where} {outcome.error is None}"),
    )
    asyncio.run(runner.run(one_by_one([A, B])))
    assert told == ["started a", "ended a True", "started b", "ended b False"]


@pytest.mark.parametrize(
    ("error", "phase", "code"),
    [
        (ServerError("no", code="refused"), "failed", "refused"),
        (OperatorInterruptError("interrupted"), "cut", None),
        (asyncio.CancelledError(), "cut", None),
        (ValueError("x"), "failed", "ValueError"),
    ],
)
def test_supervised_work_is_journaled_however_it_ends(error: BaseException, phase: str, code: str | None) -> None:
    journal = MemoryJournal()
    with pytest.raises(type(error)), journaled(journal, {"step": "copy", "where": "cache"}):
        raise error
    assert journal.lines == ["intent copy cache", f"{phase} copy cache"]
    assert journal.entries[-1].get("code") == code


def test_what_supervised_work_tells_stands_with_its_good_end() -> None:
    journal = MemoryJournal()
    with journaled(journal, {"step": "copy", "where": "cache"}) as told:
        told["keys"] = 7
    assert journal.entries[-1] == {"phase": "done", "step": "copy", "where": "cache", "keys": 7}


@dataclass
class BrokenJournal(MemoryJournal):
    """Fails for one reason or another."""

    error: Exception = field(default_factory=lambda: HostError("no space left", code="disk-full"))

    def write(self, entry: Mapping[str, object]) -> None:
        raise self.error


def test_a_step_that_can_t_be_journaled_is_not_done_unless_it_has_to_be() -> None:
    handler, stage = Turner(), side_by_side([A])
    outcomes = asyncio.run(Runner(handler, BrokenJournal()).run(stage))
    assert ([error.code for error in failures(outcomes)], handler.log) == (["disk-full"], [])
    outcomes = asyncio.run(Runner(handler, LenientJournal(BrokenJournal())).run(stage))
    assert (failures(outcomes), handler.log) == ((), ["act a", "read a"])


def test_a_fault_of_ours_in_the_journal_is_never_hidden() -> None:
    journal = LenientJournal(BrokenJournal(error=KeyError("x")))
    with pytest.raises(KeyError):
        asyncio.run(Runner(Turner(), journal).run(side_by_side([A])))
