"""One process of a migration: from attaching to the cutover or the stop, heard and seen by other terminals."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace

from slotwright.app.context import Context
from slotwright.cluster.events import Began, Ended, Moved, Warned
from slotwright.errors import HostError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.features.migrate.model.migration import (
    CopyProgress,
    CutoverRefusal,
    Migration,
    MigrationPhase,
    MigrationRequest,
    MigrationStatus,
    PausedExpiry,
    ReadOnly,
    with_pace,
)
from slotwright.features.migrate.run.migrator import CutoverResult, Migrator
from slotwright.features.migrate.store import MigrationStore
from slotwright.features.migrate.wiring import MigrationEndpoints, build_migrator
from slotwright.keys.model.comparison import Comparison, KeyVerdict
from slotwright.ops.runner import journaled

_TELL_S = 0.5
_MOST_ASKED_S = 2.0
_ASK_S = 0.2
_TIDY_UNPROVED = 2000


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run came to."""

    name: str
    migration: Migration
    comparison: Comparison
    progress: tuple[CopyProgress, ...]
    outcome: CutoverResult | None
    source_p50_ms: float
    source_p99_ms: float
    took_s: float

    @property
    def is_moved(self) -> bool:
        """The clients may write to the target now."""
        return self.migration.phase is MigrationPhase.MOVED

    @property
    def is_ok(self) -> bool:
        """Nothing differs."""
        return self.comparison.is_equal and not (self.outcome and self.outcome.wrong)


@dataclass
class MigrationRun:
    """One process of a migration, from attaching to the cutover or the stop."""

    context: Context
    ways: MigrationEndpoints
    store: MigrationStore
    migration: Migration
    cuts_over: bool
    _is_stopped: bool = False
    _is_asked: bool = False
    _refusal: CutoverRefusal | None = None

    async def go(self) -> Migrated:
        """Raises PartialError for what can be gone on with, OperatorInterruptError on Ctrl-C."""
        with (
            self.context.journal(self.store.journal_path) as journal,
            journaled(journal, {"step": "migrate", "source": self.migration.source}) as told,
        ):
            migrated = await self._go()
            told["now"] = self.migration.phase.value
            return migrated

    async def _go(self) -> Migrated:
        began = self.context.clock.now()
        self.store.take_request()
        self._take_pace()
        migrator = await build_migrator(self.ways, self.migration, self._keep_expiry)
        self.migration = replace(self.migration, is_paused=False)
        self.store.write(self.migration)
        if self.cuts_over:
            # Rather now than after the copy.
            await migrator.refuse_hopeless()
        task = asyncio.current_task()
        assert task is not None
        heeding = asyncio.create_task(self._heed(task, migrator))
        telling = asyncio.create_task(self._tell(migrator))
        outcome: CutoverResult | None = None
        try:
            async with migrator.running():
                self._keep(migrator, MigrationPhase.FOLLOW)
                comparison = await migrator.prove()
                outcome = await self._follow(migrator)
                comparison = migrator.comparison or comparison
        except asyncio.CancelledError:
            self.migration = replace(self.migration, is_paused=True)
            if self._is_stopped:
                task.uncancel()
                raise self._stopped(migrator) from None
            raise self._interrupted(migrator) from None
        finally:
            for candidate in (telling, heeding):
                candidate.cancel()
            await asyncio.gather(telling, heeding, return_exceptions=True)
            with contextlib.suppress(SlotwrightError):
                self._keep(migrator, self.migration.phase)
        if outcome is not None and not outcome.wrong:
            self.migration = replace(self.migration, phase=MigrationPhase.MOVED, moved_at=self.context.clock.wall())
            self._note_moved()
        migrator.words = _final_status(comparison, outcome)
        await self._tell_once(migrator, lag=0)
        guards = [line.replicator.ground.guard for line in migrator.lines]
        return Migrated(
            self.store.name,
            self.migration,
            comparison,
            tuple(line.replicator.progress for line in migrator.lines),
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

    async def _heed(self, task: asyncio.Task[object], migrator: Migrator) -> None:
        """Another terminal wants another pace, or an end, whatever we are at."""
        while self.store.requested() is not MigrationRequest.STOP:
            if self._take_pace():
                migrator.limit(self.migration.limits)
            await self.context.clock.sleep(_ASK_S)
        self.store.take_request()
        self._is_stopped = True
        task.cancel()

    def _take_pace(self) -> bool:
        """Whether another terminal wanted another pace; it holds from now on, and is kept."""
        bytes_s = self.store.take_pace()
        if bytes_s is None:
            return False
        self.migration = with_pace(self.migration, bytes_s)
        # One that can't be kept holds all the same; who asked sees that it was not kept.
        with contextlib.suppress(HostError):
            self.store.write(self.migration)
        return True

    def _stopped(self, migrator: Migrator) -> PartialError:
        return PartialError(
            f"{self.migration.name} was stopped from another terminal",
            code="stopped",
            where=self.store.name,
            seen=migrator.words,
            left="the source may refuse writes already; everything is in the target"
            if self.migration.phase is MigrationPhase.CLOSING
            else "the source goes on as before; the copy stays in the target, as far as it was made",
            hint="slotwright migrate --status says whether it was given up; if not, --resume goes on",
        )

    def _interrupted(self, migrator: Migrator) -> OperatorInterruptError:
        is_closing = self.migration.phase is MigrationPhase.CLOSING
        left = (
            "the source may refuse writes already; everything is in the target"
            if is_closing
            else "the source is as it was; the copy stays in the target and is not followed any more"
        )
        hint = "slotwright migrate --cutover ends it" if is_closing else "slotwright migrate --resume goes on"
        return OperatorInterruptError(
            "interrupted", where=self.store.name, seen=migrator.words, left=left, hint=f"{hint}; --abort gives it up"
        )

    async def _follow(self, migrator: Migrator) -> CutoverResult:
        """Until somebody wants the cutover; its outcome. What another terminal asked for and can't be is said to it,
        and the following goes on."""
        while True:
            await self._until_wanted(migrator)
            try:
                return await migrator.cut_over(self._intend)
            except RefusedError as error:
                if not self._is_asked:
                    raise
                await self._say_refused(migrator, error)

    async def _say_refused(self, migrator: Migrator, error: RefusedError) -> None:
        self.cuts_over = self._is_asked = False
        self._refusal = CutoverRefusal(self.context.clock.wall(), error.what, error.where, error.seen, error.hint)
        self.context.report(Warned(f"the cutover was refused: {error.what}", error.where))
        migrator.words = "ready; the cutover was refused"
        # Who asked is told by this; a full disk here is no reason to stop following.
        with contextlib.suppress(HostError):
            await self._tell_once(migrator, lag=0)

    async def _until_wanted(self, migrator: Migrator) -> None:
        text = "ready: the target follows"
        self.context.report(Began("ready", text))
        while not self.cuts_over:
            await migrator.watch(_ASK_S)
            if self.store.requested() is MigrationRequest.CUTOVER:
                self.store.take_request()
                self.cuts_over = self._is_asked = True
                self._refusal = None
            self.context.report(Moved("ready", self._status_line(migrator)))
            if migrator.needs_full_compare:
                await migrator.prove()
            elif migrator.dirty_keys > _TIDY_UNPROVED:
                await migrator.recheck()
        self.context.report(Ended("ready", text))

    def _intend(self, before: tuple[ReadOnly, ...]) -> None:
        self.migration = replace(
            self.migration, phase=MigrationPhase.CLOSING if before else MigrationPhase.FOLLOW, read_only=before
        )
        try:
            self.store.write(self.migration)
        except HostError as error:
            error.left = "writes on the source go on; nothing was cut over"
            error.hint = "make room there, then slotwright migrate --cutover tries again"
            raise

    def _status_line(self, migrator: Migrator) -> str:
        changes = sum(line.replicator.progress.changes for line in migrator.lines)
        return (
            f"ready: {changes:,} changes followed, {migrator.dirty_keys:,} keys to prove again. "
            "slotwright migrate --cutover (another terminal) ends it; Ctrl-C stops following"
        )

    def _keep(self, migrator: Migrator, phase: MigrationPhase) -> None:
        phase = self.migration.phase if self.migration.phase is MigrationPhase.CLOSING else phase
        self.migration = replace(self.migration, phase=phase, positions=migrator.positions)
        self.store.write(self.migration)

    def _keep_expiry(self, paused: PausedExpiry) -> None:
        self.migration = replace(self.migration, paused_expiry=paused)
        self.store.write(self.migration)

    async def _tell(self, migrator: Migrator) -> None:
        """Status for other terminals, and the position on disk."""
        is_warned = False
        while True:
            await self.context.clock.sleep(_TELL_S)
            try:
                async with asyncio.timeout(_MOST_ASKED_S):
                    lag = await migrator.lag()
                await self._tell_once(migrator, lag)
                if self.migration.phase is MigrationPhase.FOLLOW:
                    self._keep(migrator, MigrationPhase.FOLLOW)
            except HostError as error:
                # A full disk here is no reason to stop following: a later run compares everything anyway.
                if not is_warned:
                    self.context.report(Warned(f"{error.what}: --status is not told, --resume may copy again"))
                is_warned = True
            except (SlotwrightError, TimeoutError):
                continue

    async def _tell_once(self, migrator: Migrator, lag: int) -> None:
        self.ways.own_calls.keep()
        done = [line.replicator.progress for line in migrator.lines]
        guards = [line.replicator.ground.guard for line in migrator.lines]
        self.store.write_status(
            MigrationStatus(
                self.context.clock.wall(),
                migrator.words,
                sum(line.copied_keys for line in migrator.lines),
                sum(line.expected_keys for line in migrator.lines),
                sum(progress.changes for progress in done),
                sum(progress.by_value for progress in done),
                sum(progress.mended for progress in done),
                lag,
                migrator.held,
                migrator.dirty_keys,
                max(guard.percentile(0.5) for guard in guards),
                max(guard.percentile(0.99) for guard in guards),
                migrator.comparison is not None,
                self._refusal,
            )
        )


def _final_status(comparison: Comparison, outcome: CutoverResult | None) -> str:
    """For whoever asked from another terminal."""
    if outcome is None:
        return "stopped"
    if outcome.wrong:
        return f"not cut over: {len(outcome.wrong):,} keys stay different"
    pause = outcome.pause
    how = (
        f"{pause.primary} stood still before"
        if pause.primary
        else f"writes were held for {pause.total_s * 1e3:,.0f} ms"
    )
    return f"moved: {comparison.count(KeyVerdict.EQUAL):,} keys equal when all were compared; {how}"
