"""One process of a migration: from attaching to the cutover or the stop, heard and seen by other terminals."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace

from slotwright.adapters.migration_store import MigrationStore
from slotwright.api.context import Context
from slotwright.api.migration_ground import Ways, build_migrator
from slotwright.errors import HostError, OperatorInterruptError, PartialError, SlotwrightError
from slotwright.model.comparison import Comparison, Verdict
from slotwright.model.events import Began, Ended, Moved, Warned
from slotwright.model.migration import Migration, Phase, Progress, ReadOnly, Request, Status
from slotwright.model.migration_plan import MigrationPlan
from slotwright.operations.migration.migrator import Migrator, Outcome

_TELL_S = 0.5
_ASK_S = 0.2
_TIDY_UNPROVED = 2000


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run came to."""

    name: str
    migration: Migration
    plan: MigrationPlan | None
    comparison: Comparison
    progress: tuple[Progress, ...]
    outcome: Outcome | None
    source_p50_ms: float
    source_p99_ms: float
    took_s: float

    @property
    def is_moved(self) -> bool:
        """The clients may write to the target now."""
        return self.migration.phase is Phase.MOVED

    @property
    def is_ok(self) -> bool:
        """Nothing differs."""
        return self.comparison.is_equal and not (self.outcome and self.outcome.wrong)


@dataclass
class MigrationRun:
    """One process of a migration, from attaching to the cutover or the stop."""

    context: Context
    ways: Ways
    store: MigrationStore
    migration: Migration
    plan: MigrationPlan | None
    cuts_over: bool
    _is_stopped: bool = False

    async def go(self) -> Migrated:
        """Raises PartialError for what can be gone on with, OperatorInterruptError on Ctrl-C."""
        began = self.context.clock.now()
        journal = self.context.open_journal(self.store.journal_path)
        journal.write({"phase": "intent", "step": "migrate", "source": self.migration.source})
        self.store.take_request()
        migrator = await build_migrator(self.ways, self.migration)
        task = asyncio.current_task()
        assert task is not None
        stopping = asyncio.create_task(self._heed(task))
        telling = asyncio.create_task(self._tell(migrator))
        outcome: Outcome | None = None
        try:
            async with migrator.running():
                self._keep(migrator, Phase.FOLLOW)
                comparison = await migrator.prove()
                outcome = await self._follow(migrator)
                comparison = migrator.comparison or comparison
        except asyncio.CancelledError:
            if self._is_stopped:
                task.uncancel()
                raise self._stopped(migrator) from None
            raise self._interrupted(migrator) from None
        finally:
            for each in (telling, stopping):
                each.cancel()
            await asyncio.gather(telling, stopping, return_exceptions=True)
            with contextlib.suppress(SlotwrightError):
                self._keep(migrator, self.migration.phase)
        if outcome is not None and not outcome.wrong:
            self.migration = replace(self.migration, phase=Phase.MOVED, moved_at=self.context.clock.wall())
            self._note_moved()
        journal.write({"phase": "done", "step": "migrate", "now": self.migration.phase.value})
        migrator.words = _last_words(comparison, outcome)
        await self._tell_once(migrator, lag=0)
        guards = [line.pump.ground.guard for line in migrator.lines]
        return Migrated(
            self.store.name,
            self.migration,
            self.plan,
            comparison,
            tuple(line.pump.progress for line in migrator.lines),
            outcome,
            max(guard.percentile(0.5) for guard in guards),
            max(guard.percentile(0.99) for guard in guards),
            self.context.clock.now() - began,
        )

    def _note_moved(self) -> None:
        """All is done but this note."""
        try:
            self.store.write(self.migration)
        except HostError as error:
            error.left = "everything is in the target and the source refuses writes; only the note of it is missing"
            error.hint = "make room there, then slotwright migrate --cutover writes it; --abort gives the source back"
            raise

    async def _heed(self, task: asyncio.Task[object]) -> None:
        """Another terminal wants an end, whatever we are at."""
        while self.store.requested() is not Request.STOP:
            await self.context.clock.sleep(_ASK_S)
        self.store.take_request()
        self._is_stopped = True
        task.cancel()

    def _stopped(self, migrator: Migrator) -> PartialError:
        return PartialError(
            f"{self.migration.name} was stopped from another terminal",
            code="stopped",
            where=self.store.name,
            seen=migrator.words,
            left="the source goes on as before; the copy stays in the target, as far as it was made",
            hint="slotwright migrate --status says whether it was given up; if not, --resume goes on",
        )

    def _interrupted(self, migrator: Migrator) -> OperatorInterruptError:
        is_closing = self.migration.phase is Phase.CLOSING
        left = (
            "the source may refuse writes already; everything is in the target"
            if is_closing
            else "the source is as it was; the copy stays in the target and is not followed any more"
        )
        hint = "slotwright migrate --cutover ends it" if is_closing else "slotwright migrate --resume goes on"
        return OperatorInterruptError(
            "interrupted", where=self.store.name, seen=migrator.words, left=left, hint=f"{hint}; --abort gives it up"
        )

    async def _follow(self, migrator: Migrator) -> Outcome:
        """Until somebody wants the cutover; its outcome."""
        text = "ready: the target follows"
        self.context.report(Began("ready", text))
        while not self.cuts_over:
            await migrator.watch(_ASK_S)
            if self.store.requested() is Request.CUTOVER:
                self.store.take_request()
                self.cuts_over = True
            self.context.report(Moved("ready", self._words(migrator)))
            if migrator.is_shaken:
                await migrator.prove()
            elif migrator.unproved > _TIDY_UNPROVED:
                await migrator.recheck()
        self.context.report(Ended("ready", text))

        def intend(before: tuple[ReadOnly, ...]) -> None:
            self.migration = replace(self.migration, phase=Phase.CLOSING if before else Phase.FOLLOW, read_only=before)
            try:
                self.store.write(self.migration)
            except HostError as error:
                error.left = "writes on the source go on; nothing was cut over"
                error.hint = "make room there, then slotwright migrate --cutover tries again"
                raise

        return await migrator.cut_over(intend)

    def _words(self, migrator: Migrator) -> str:
        changes = sum(line.pump.progress.changes for line in migrator.lines)
        return (
            f"ready: {changes:,} changes followed, {migrator.unproved:,} keys to prove again. "
            "slotwright migrate --cutover (another terminal) ends it; Ctrl-C stops following"
        )

    def _keep(self, migrator: Migrator, phase: Phase) -> None:
        phase = self.migration.phase if self.migration.phase is Phase.CLOSING else phase
        self.migration = replace(self.migration, phase=phase, positions=migrator.positions)
        self.store.write(self.migration)

    async def _tell(self, migrator: Migrator) -> None:
        """Status for other terminals, and the position on disk."""
        is_warned = False
        while True:
            await self.context.clock.sleep(_TELL_S)
            try:
                await self._tell_once(migrator, await asyncio.wait_for(migrator.lag(), 2.0))
                if self.migration.phase is Phase.FOLLOW:
                    self._keep(migrator, Phase.FOLLOW)
            except HostError as error:
                # A full disk here is no reason to stop following: a later run compares everything anyway.
                if not is_warned:
                    self.context.report(Warned(f"{error.what}: --status is not told, --resume may copy again"))
                is_warned = True
            except (SlotwrightError, TimeoutError):
                continue

    async def _tell_once(self, migrator: Migrator, lag: int) -> None:
        done = [line.pump.progress for line in migrator.lines]
        guards = [line.pump.ground.guard for line in migrator.lines]
        self.store.write_status(
            Status(
                self.context.clock.wall(),
                migrator.words,
                sum(each.keys for each in done),
                sum(line.expected_keys for line in migrator.lines),
                sum(each.changes for each in done),
                sum(each.by_value for each in done),
                sum(each.mended for each in done),
                lag,
                migrator.held,
                migrator.unproved,
                max(guard.percentile(0.5) for guard in guards),
                max(guard.percentile(0.99) for guard in guards),
                migrator.comparison is not None,
            )
        )


def _last_words(comparison: Comparison, outcome: Outcome | None) -> str:
    """For whoever asked from another terminal."""
    if outcome is None:
        return "stopped"
    if outcome.wrong:
        return f"not cut over: {len(outcome.wrong):,} keys stay different"
    held_ms = outcome.pause.total_s * 1000
    equal = comparison.count(Verdict.EQUAL)
    return f"moved: {equal:,} keys equal when all were compared; writes were held for {held_ms:,.0f} ms"
