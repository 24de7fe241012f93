"""Look, plan, do the first stage, look again: until nothing is left to mend, or nothing more can be mended here.

No stage stands on the one before it having worked: each look starts from nothing. A step that changes who owns, leads
or knows what is done only when two looks, a second apart, both want it: gossip on its way looks like a fault for a
moment. A step that was done and is still wanted is waited for, then given up with what was seen. What fails is told in
the end; the other steps go on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Report
from slotwright.cluster.stages import by_place, one_by_one
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, PartialError, ServerError, SlotwrightError
from slotwright.features.repair.model import (
    Await,
    BumpEpoch,
    Follow,
    Forget,
    Meet,
    Promote,
    RepairPlan,
    RepairStep,
    Risk,
    StartServer,
)
from slotwright.features.repair.plan import plan_repair
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.run.steps import RepairActions
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.ops.runner import Runner, StepHandler, StepOutcome
from slotwright.ports import Clock, Journal

STEADY_S = 1.0
_POLL_S = 0.25
_MOST_ROUNDS = 200
_MORE_PATIENCE_S = 10.0
_NEEDS_STEADINESS = (Meet, Promote, Follow, BumpEpoch, SettleSlots, Forget)
_ONE_BY_ONE = (Promote, SettleSlots)


@dataclass(slots=True)
class RepairState:
    """What this run has learnt and a look can't show: what was waited for in vain, who died at its start, what was
    consented to, and when each step was done; ``is_unsteady``: a loss that one look wanted, and the next one not.
    ``disks`` are those of nodes that were away when they were read, ``copies`` those of their live replicas."""

    waited: set[str] = field(default_factory=set)
    failed_starts: set[Address] = field(default_factory=set)
    asked: dict[str, bool] = field(default_factory=dict)
    is_unsteady: bool = False
    since: dict[str, float] = field(default_factory=dict)
    disks: dict[Address, NodeDisk] = field(default_factory=dict)
    copies: dict[Address, NodeDisk] = field(default_factory=dict)


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
class RepairOutcome:
    """How a repair went."""

    done: list[DoneStep] = field(default_factory=list)
    refused: list[RepairStep] = field(default_factory=list)
    failed: list[FailedStep] = field(default_factory=list)


Gather = Callable[[RepairState, bool], Awaitable[RepairInput]]
"""One look. The flag: a full one, with the keys of every slot."""

Consent = Callable[[RepairStep], Awaitable[bool]]
"""Whether a step of Risk.LOSS may be done; archives what it would destroy before it says yes."""


@dataclass(frozen=True, slots=True)
class Repairer:
    """Repairs one cluster; ``course`` can be read at any time, also after an error."""

    gather: Gather
    actions: RepairActions
    consent: Consent
    journal: Journal
    clock: Clock
    report: Report
    course: RepairOutcome = field(default_factory=RepairOutcome)
    memory: RepairState = field(default_factory=RepairState)

    async def run(self) -> RepairPlan:
        """Everything that can be mended, one stage after the other; returns the last plan. Never raises for a step."""
        for _ in range(_MOST_ROUNDS):
            repair_input = await self.gather(self.memory, True)
            plan = plan_repair(repair_input)
            self.memory.is_unsteady = False
            stage = await self._allowed(plan)
            if not stage and self.memory.is_unsteady:
                continue
            if not stage:
                return plan
            fresh = [step for step in stage if step.key not in self.memory.since]
            if not fresh:
                self._give_up_late(stage, repair_input)
                await self.clock.sleep(_POLL_S)
                continue
            ready = await self._steady(fresh)
            await self._do(ready)
            self.memory.since |= {step.key: self.clock.now() for step in ready}
        return plan

    async def _allowed(self, plan: RepairPlan) -> list[RepairStep]:
        """The first stage with a step that may be done; a step behind a refused one in its place waits with it."""
        failed = {failed_step.step.key for failed_step in self.course.failed}
        blocked: set[str] = {
            failed_step.step.where for failed_step in self.course.failed if failed_step.step.key in _keys(plan)
        }
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

    def _give_up_late(self, stage: Iterable[RepairStep], repair_input: RepairInput) -> None:
        """Steps that were done, and that the look still wants after all patience."""
        patience_s = 2 * repair_input.node_timeout_s + _MORE_PATIENCE_S
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
        """Places side by side, the steps of one place in order; what moves slots or leads shards one by one. Where a
        new replica takes a full copy, the budget of its primary's host says when."""
        single = [step for step in stage if isinstance(step.action, _ONE_BY_ONE)]
        budget = self.actions.budget
        runner = Runner(_RepairSteps(self), self.journal, budget, started=self._started, ended=self._ended)
        await runner.run(by_place([step for step in stage if step not in single]))
        await runner.run(one_by_one(single, goes_on=True))

    def _started(self, step: RepairStep) -> None:
        self.report(Began(step.key, f"{step.where}: {step.what}"))

    def _ended(self, outcome: StepOutcome[RepairStep]) -> None:
        step, error = outcome.step, outcome.error
        if error is not None:
            self.report(Ended(step.key, f"{step.where}: {error.what}", is_ok=False))
            self._remember_failure(step, error)
            return
        words = f" ({outcome.words})" if outcome.words else ""
        self.report(Ended(step.key, f"{step.where}: {step.what}{words}"))
        self.course.done.append(DoneStep(step, outcome.words))
        if isinstance(step.action, StartServer):
            self._forgive_start(step.where)

    def _forgive_start(self, where: str) -> None:
        """A start that failed before its damage was known counts no more once another came off, or the damage's own
        remedy was refused."""
        self.course.failed = [
            failed_step
            for failed_step in self.course.failed
            if failed_step.step.where != where or not isinstance(failed_step.step.action, StartServer)
        ]

    def _remember_failure(self, step: RepairStep, error: SlotwrightError) -> None:
        # A start that failed may have another remedy, and keys that differ a question: the next plan knows.
        if step.action.kind == "start" and isinstance(error, ServerError):
            self.memory.failed_starts.add(step.action.address)  # type: ignore[union-attr]
        if not (isinstance(error, PartialError) and error.code == "key-differs"):
            self.course.failed.append(FailedStep(step, error))

    async def act(self, step: RepairStep) -> str:
        """Do one step; what came of it in few words. Raises ServerError, HostError."""
        if isinstance(step.action, Await):
            return await self._wait(step.action)
        try:
            return await self.actions.act(step.action, step.key)
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


class _RepairSteps(StepHandler[RepairStep]):
    """Each action reads back itself what it was meant to bring about (``steps.py``)."""

    def __init__(self, repairer: Repairer) -> None:
        self._repairer = repairer

    def forks_on(self, step: RepairStep) -> str:
        """A primary forks for the full copy of a replica that it did not have before."""
        return step.action.primary_host if isinstance(step.action, Follow) else ""

    def fields(self, step: RepairStep) -> Mapping[str, object]:
        """Why; and of slots, where they go, so that a cut move is finished in its direction."""
        if isinstance(step.action, SettleSlots):
            slots = list(step.action.slots.texts())
            return {"why": step.why, "slots": slots, "owner": step.action.owner_id}
        return {"why": step.why}

    async def act(self, step: RepairStep) -> str:
        """As the repairer does it."""
        return await self._repairer.act(step)


def _keys(plan: RepairPlan) -> set[str]:
    return {step.key for step in plan.steps}
