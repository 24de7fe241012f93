"""Do steps, whatever they change: journal the intent, look, act, read back, journal the outcome.

Nothing is rolled back here but what a step left half set. Work that was cut is observed and planned again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Generic

from slotwright.cluster.stages import Stage, StepT
from slotwright.errors import OperatorInterruptError, ServerError, SlotwrightError
from slotwright.ops.fork_budget import ForkBudget
from slotwright.ports import Journal


@contextmanager
def journaled(journal: Journal, entry: Mapping[str, object]) -> Iterator[dict[str, object]]:
    """Write the intent before, and how it ended after, whatever happens inside; also for work that takes hours and is
    supervised rather than a step. What is put into the mapping stands in the journal with the end. A journal that can't
    be written hides no error."""
    journal.write({"phase": "intent", **entry})
    told: dict[str, object] = {}
    try:
        yield told
    except (asyncio.CancelledError, OperatorInterruptError):
        with suppress(SlotwrightError):
            journal.write({"phase": "cut", **entry, **told})
        raise
    except Exception as error:
        code = error.code if isinstance(error, SlotwrightError) else type(error).__name__
        with suppress(SlotwrightError):
            journal.write({"phase": "failed", **entry, "code": code, **told})
        raise
    journal.write({"phase": "done", **entry, **told})


@dataclass(frozen=True, slots=True)
class LenientJournal:
    """Implements :class:`slotwright.ports.Journal`: notes what can be noted. For what has to be done all the same where
    nothing can be, as on a full disk: nodes brought back, and what makes room."""

    journal: Journal

    def write(self, entry: Mapping[str, object]) -> None:
        """Append where that can be."""
        with suppress(SlotwrightError):
            self.journal.write(entry)

    def close(self) -> None:
        """Let go of the file."""
        self.journal.close()


class StepHandler(Generic[StepT]):
    """How steps of some kinds are done. All but :meth:`act` may be left as they are."""

    def fields(self, step: StepT) -> Mapping[str, object]:
        """What the journal keeps of the step besides its kind and place."""
        return {}

    def timeout_s(self, step: StepT) -> float | None:
        """How long acting and reading back may take together; None where they bound themselves."""
        return None

    def forks_on(self, step: StepT) -> str:
        """The host on which the step makes a server fork (a save, a rewrite, a full copy), "" where it makes none. It
        has ended when acting ends."""
        return ""

    async def is_done(self, step: StepT) -> bool:
        """Whether nothing is left to do, looked at just before; False as well where only acting can tell."""
        return False

    async def act(self, step: StepT) -> str:
        """Do it; what came of it in few words, "" for nothing to add. Raises SlotwrightError."""
        raise NotImplementedError

    async def read_back(self, step: StepT) -> None:
        """Look whether it is so now. Raises SlotwrightError where it is not."""

    async def put_back(self, step: StepT) -> None:
        """Undo what a failed step left half set. Raises SlotwrightError where it can't; that error counts then."""


@dataclass(frozen=True, slots=True)
class StepOutcome(Generic[StepT]):
    """``words`` say what came of a step that was done; ``error`` why it was not."""

    step: StepT
    words: str = ""
    error: SlotwrightError | None = None


@dataclass(frozen=True, slots=True)
class Runner(Generic[StepT]):
    """Does stages, one handler for all of their steps. ``started`` and ``ended`` are told of each step as it goes.
    With a ``budget``, one step at a time forks on a host, and only while nothing else does."""

    handler: StepHandler[StepT]
    journal: Journal
    budget: ForkBudget | None = None
    started: Callable[[StepT], None] = lambda step: None
    ended: Callable[[StepOutcome[StepT]], None] = lambda outcome: None

    async def run(self, stage: Stage[StepT]) -> tuple[StepOutcome[StepT], ...]:
        """The outcomes of the steps that were begun. Never raises for a step that failed; what was begun is ended
        first, whatever else is raised."""
        lanes, outcomes = list(stage.lanes), list[StepOutcome[StepT]]()
        if stage.has_canary and lanes:
            outcomes += await self._lane(lanes.pop(0), stage)
            if failures(outcomes):
                return tuple(outcomes)
        limit = asyncio.Semaphore(stage.at_once or max(1, len(lanes)))

        async def limited(lane: tuple[StepT, ...]) -> list[StepOutcome[StepT]]:
            async with limit:
                return await self._lane(lane, stage)

        for result in await asyncio.gather(*map(limited, lanes), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
            outcomes += result
        return tuple(outcomes)

    async def _lane(self, lane: tuple[StepT, ...], stage: Stage[StepT]) -> list[StepOutcome[StepT]]:
        outcomes: list[StepOutcome[StepT]] = []
        for step in lane:
            outcomes.append(await self._step(step))
            if outcomes[-1].error is not None and not stage.goes_on:
                break
        return outcomes

    async def _step(self, step: StepT) -> StepOutcome[StepT]:
        entry = {"step": step.kind, "where": step.where, **self.handler.fields(step)}
        try:
            with journaled(self.journal, entry):
                self.started(step)
                outcome = StepOutcome(step, await self._done(step))
        except OperatorInterruptError:
            raise
        except SlotwrightError as error:
            outcome = StepOutcome(step, error=error)
        self.ended(outcome)
        return outcome

    async def _done(self, step: StepT) -> str:
        if await self.handler.is_done(step):
            return ""
        try:
            return await self._acted(step)
        except SlotwrightError as error:
            try:
                await self.handler.put_back(step)
            except SlotwrightError as worse:
                worse.seen = "; after: ".join(filter(None, (worse.seen, error.what)))
                raise worse from error
            raise

    async def _acted(self, step: StepT) -> str:
        timeout_s = self.handler.timeout_s(step)
        try:
            async with self._turn(step), asyncio.timeout(timeout_s) as limit:
                words = await self.handler.act(step)
                await self.handler.read_back(step)
                return words
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ServerError(
                f"{step.where}: {step.kind} was not done in {timeout_s:g} s", code="step-timeout", where=step.where
            ) from error

    def _turn(self, step: StepT) -> AbstractAsyncContextManager[None]:
        host = self.handler.forks_on(step)
        return self.budget.turn(host) if host and self.budget is not None else nullcontext()


def failures(outcomes: Sequence[StepOutcome[StepT]]) -> tuple[SlotwrightError, ...]:
    """The errors of the steps that were not done."""
    return tuple(outcome.error for outcome in outcomes if outcome.error is not None)
