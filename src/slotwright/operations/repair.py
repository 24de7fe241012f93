"""Look, plan, do the first stage, look again: until nothing is left to mend, or nothing more can be mended here.

No stage stands on the one before it having worked: each look starts from nothing. A step that changes who owns, leads
or knows what is done only when two looks, a second apart, both want it: gossip on its way looks like a fault for a
moment. A step that was done and is still wanted is waited for, then given up with what was seen. What fails is told in
the end; the other steps go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from slotwright.errors import HostError, PartialError, ServerError, SlotwrightError
from slotwright.model.events import Began, Ended, Report
from slotwright.model.repair import (
    Await,
    BumpEpoch,
    Follow,
    Forget,
    Meet,
    Promote,
    RepairPlan,
    RepairStep,
    Risk,
    SettleSlots,
    StartServer,
)
from slotwright.model.topology import Address
from slotwright.operations.mending import Mender
from slotwright.planning.repair import plan_repair
from slotwright.planning.situation import Situation
from slotwright.ports import Clock, Journal

STEADY_S = 1.0
_POLL_S = 0.25
_MOST_ROUNDS = 200
_MORE_PATIENCE_S = 10.0
_NEEDS_STEADINESS = (Meet, Promote, Follow, BumpEpoch, SettleSlots, Forget)
_ONE_BY_ONE = (Promote, SettleSlots, Follow)


@dataclass(slots=True)
class Memory:
    """What this run has learnt and a look can't show: what was waited for in vain, who died at its start, what was
    consented to, and when each step was done; ``is_unsteady``: a loss that one look wanted, and the next one not."""

    waited: set[str] = field(default_factory=set)
    failed_starts: set[Address] = field(default_factory=set)
    asked: dict[str, bool] = field(default_factory=dict)
    is_unsteady: bool = False
    since: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DoneStep:
    """A step that was done, and what came of it."""

    step: RepairStep
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class FailedStep:
    """A step that could not be done."""

    step: RepairStep
    error: SlotwrightError


@dataclass(slots=True)
class Course:
    """How a repair went."""

    done: list[DoneStep] = field(default_factory=list)
    refused: list[RepairStep] = field(default_factory=list)
    failed: list[FailedStep] = field(default_factory=list)


Gather = Callable[[Memory, bool], Awaitable[Situation]]
"""One look. The flag: a full one, with the keys of every slot."""

Consent = Callable[[RepairStep], Awaitable[bool]]
"""Whether a step of Risk.LOSS may be done; archives what it would destroy before it says yes."""


@dataclass(frozen=True, slots=True)
class Repairer:
    """Repairs one cluster; ``course`` can be read at any time, also after an error."""

    gather: Gather
    mender: Mender
    consent: Consent
    journal: Journal
    clock: Clock
    report: Report
    course: Course = field(default_factory=Course)
    memory: Memory = field(default_factory=Memory)

    async def run(self) -> RepairPlan:
        """Everything that can be mended, one stage after the other; returns the last plan. Never raises for a step."""
        for _ in range(_MOST_ROUNDS):
            situation = await self.gather(self.memory, True)
            plan = plan_repair(situation)
            self.memory.is_unsteady = False
            stage = await self._allowed(plan)
            if not stage and self.memory.is_unsteady:
                continue
            if not stage:
                return plan
            fresh = [step for step in stage if step.key not in self.memory.since]
            if not fresh:
                self._give_up_late(stage, situation)
                await self.clock.sleep(_POLL_S)
                continue
            ready = await self._steady(fresh)
            await self._do(ready)
            self.memory.since |= {step.key: self.clock.now() for step in ready}
        return plan

    async def _allowed(self, plan: RepairPlan) -> list[RepairStep]:
        """The first stage with a step that may be done; a step behind a refused one in its place waits with it."""
        failed = {each.step.key for each in self.course.failed}
        blocked: set[str] = {each.step.where for each in self.course.failed if each.step.key in _keys(plan)}
        for stage in plan.stages:
            allowed = []
            for step in stage:
                if step.key in failed or step.where in blocked:
                    continue
                if step.risk is Risk.LOSS and not await self._consents(step):
                    blocked.add(step.where)
                    continue
                allowed.append(step)
            if allowed:
                return allowed
        return []

    async def _consents(self, step: RepairStep) -> bool:
        """Asked once, and only about what a second look wants as well: a loss is no matter of a moment."""
        asked = self.memory.asked
        if step.key not in asked:
            if not await self._is_steady(step):
                self.memory.is_unsteady = True
                return False
            asked[step.key] = await self.consent(step)
            if not asked[step.key]:
                self.course.refused.append(step)
                self._forgive_start(step.where)
        return asked[step.key]

    async def _is_steady(self, step: RepairStep) -> bool:
        await self.clock.sleep(STEADY_S)
        return step.key in _keys(plan_repair(await self.gather(self.memory, True)))

    def _give_up_late(self, stage: Iterable[RepairStep], situation: Situation) -> None:
        """Steps that were done, and that the look still wants after all patience."""
        patience_s = 2 * situation.node_timeout_s + _MORE_PATIENCE_S
        for step in stage:
            if self.clock.now() - self.memory.since[step.key] > patience_s:
                error = ServerError(
                    f"{step.what}: done, and nothing came of it",
                    code="repair-without-effect",
                    where=step.where,
                    seen=f"{step.why} is still there after {patience_s:.0f} s",
                    hint="slotwright check says what is there",
                )
                self.course.failed.append(FailedStep(step, error))

    async def _steady(self, stage: list[RepairStep]) -> list[RepairStep]:
        """Those steps of the stage that a second look wants as well."""
        if not any(isinstance(step.action, _NEEDS_STEADINESS) for step in stage):
            return stage
        await self.clock.sleep(STEADY_S)
        again = _keys(plan_repair(await self.gather(self.memory, True)))
        return [step for step in stage if step.key in again]

    async def _do(self, stage: list[RepairStep]) -> None:
        """Places side by side, the steps of one place in order; what moves slots or leads shards one by one."""
        single = [step for step in stage if isinstance(step.action, _ONE_BY_ONE)]
        places: dict[str, list[RepairStep]] = {}
        for step in stage:
            if step not in single:
                places.setdefault(step.where, []).append(step)
        for done in await asyncio.gather(*(self._in_order(steps) for steps in places.values()), return_exceptions=True):
            if isinstance(done, BaseException):
                raise done
        await self._in_order(single, goes_on=True)

    async def _in_order(self, steps: list[RepairStep], *, goes_on: bool = False) -> None:
        for step in steps:
            if not await self._journaled(step) and not goes_on:
                return

    async def _journaled(self, step: RepairStep) -> bool:
        entry = journal_entry(step)
        self.journal.write({"phase": "intent", **entry})
        self.report(Began(step.key, f"{step.where}: {step.what}"))
        try:
            outcome = await self._act(step)
        except SlotwrightError as error:
            self.journal.write({"phase": "failed", **entry, "code": error.code})
            self.report(Ended(step.key, f"{step.where}: {error.what}", is_ok=False))
            self._remember_failure(step, error)
            return False
        self.journal.write({"phase": "done", **entry})
        self.report(Ended(step.key, f"{step.where}: {step.what}" + (f" ({outcome})" if outcome else "")))
        self.course.done.append(DoneStep(step, outcome))
        if isinstance(step.action, StartServer):
            self._forgive_start(step.where)
        return True

    def _forgive_start(self, where: str) -> None:
        """A start that failed before its damage was known counts no more once another came off, or the damage's own
        remedy was refused."""
        self.course.failed = [
            each
            for each in self.course.failed
            if each.step.where != where or not isinstance(each.step.action, StartServer)
        ]

    def _remember_failure(self, step: RepairStep, error: SlotwrightError) -> None:
        # A start that failed may have another remedy, and keys that differ a question: the next plan knows.
        if step.action.kind == "start" and isinstance(error, ServerError):
            self.memory.failed_starts.add(step.action.address)  # type: ignore[union-attr]
        if not (isinstance(error, PartialError) and error.code == "key-differs"):
            self.course.failed.append(FailedStep(step, error))

    async def _act(self, step: RepairStep) -> str:
        if isinstance(step.action, Await):
            return await self._wait(step.action)
        try:
            return await self.mender.act(step.action, step.key)
        except (ServerError, HostError) as error:
            error.where = error.where or step.where
            raise

    async def _wait(self, action: Await) -> str:
        """Until the plan does not want it any more; in vain is no failure, the next plan knows it."""
        started = self.clock.now()
        while self.clock.now() - started < action.timeout_s:
            plan = plan_repair(await self.gather(self.memory, False))
            if not any(isinstance(step.action, Await) and step.action.until == action.until for step in plan.steps):
                return f"after {self.clock.now() - started:.1f} s"
            await self.clock.sleep(_POLL_S)
        self.memory.waited.add(action.until)
        return f"in vain, {action.timeout_s:.0f} s"


def journal_entry(step: RepairStep) -> dict[str, object]:
    """What the journal keeps of a step; of slots, where they go, so that a cut move is finished in its direction."""
    entry: dict[str, object] = {"step": step.action.kind, "where": step.where, "why": step.why}
    if isinstance(step.action, SettleSlots):
        entry |= {"slots": list(step.action.slots.texts()), "owner": step.action.owner_id}
    return entry


def _keys(plan: RepairPlan) -> set[str]:
    return {step.key for step in plan.steps}
