"""migrate: a running server's data into a cluster, live; followed until the cutover, or given up.

One process copies and follows, and holds the migration's lock. Other terminals read its status and leave it a request.
What was cut is gone on with: from the offset that was kept where the source still has that history, else with a new
copy.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.migration_store import MigrationStore, known_migrations, migration_name
from slotwright.api.context import Context
from slotwright.api.migration_ground import Ways, build_migrator, fences, open_ways
from slotwright.api.migration_planning import make_plan, refuse_unfit
from slotwright.api.source import Source, find_source, open_source
from slotwright.api.targets import find_target
from slotwright.errors import InputError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.model.comparison import Comparison, Verdict
from slotwright.model.events import Began, Ended, Moved
from slotwright.model.migration import (
    DatabaseMap,
    Limits,
    Migration,
    Phase,
    Progress,
    ReadOnly,
    Request,
    Status,
)
from slotwright.model.migration_plan import MigrationPlan, MigrationWish
from slotwright.operations.brake import Brake
from slotwright.operations.compare import Comparer
from slotwright.operations.migration.migrator import Migrator, Outcome
from slotwright.operations.roster import Roster
from slotwright.operations.side import Side

AgreeToMigrate = Callable[[MigrationPlan], bool]
AgreeToAbort = Callable[["Giving"], bool]

_TELL_S = 0.5
_ASK_S = 0.2
_TIDY_UNPROVED = 2000
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class MigrateWish:
    """What to move, and how. ``accepted`` are codes of serious findings that the operator takes upon himself;
    ``sample_s`` how long to listen with MONITOR (0: not at all); ``reads_all``: the plan looks at every key.
    ``cuts_over``: as soon as it is ready."""

    source: str
    target: str | None
    user: str = ""
    password_file: Path | None = None
    databases: DatabaseMap = field(default_factory=DatabaseMap)
    limits: Limits = field(default_factory=Limits)
    accepted: frozenset[str] = frozenset()
    sample_s: float = 0.0
    reads_all: bool = False
    cuts_over: bool = False


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


@dataclass(frozen=True, slots=True)
class Giving:
    """What an abort is about to do. ``target_keys`` are all that the target has now; ``written``: how it differs from
    the source since the cutover, None before it. ``target_trouble``: why the target can't be asked, "" where it can."""

    migration: Migration
    target_keys: int
    written: Comparison | None
    removes_copy: bool
    target_trouble: str = ""

    @property
    def may_lose(self) -> bool:
        """Whether something was written to the target alone, as far as is known."""
        return bool(self.loses or (self.target_trouble and self.migration.phase is Phase.MOVED))

    @property
    def loses(self) -> int:
        """Keys of the target that the source does not have like that."""
        return self.written.count(Verdict.DIFFERENT) if self.written is not None else 0


@dataclass(frozen=True, slots=True)
class Aborted:
    """``was_fenced``: the source had refused writes; ``migration`` is as it was before. ``target_trouble``: why the
    target could not be asked."""

    migration: Migration
    was_fenced: bool
    target_keys: int
    written: Comparison | None
    removed_copy: bool
    target_trouble: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """A migration as it is kept, and as its process told last. ``is_running``: such a process is there."""

    name: str
    migration: Migration
    status: Status | None
    is_running: bool


async def plan_move(context: Context, wish: MigrateWish) -> MigrationPlan:
    """What stands in the way, and what would be done. Nothing is changed."""
    source = find_source(context, wish.source, wish.user, wish.password_file)
    async with open_ways(context, source, find_target(context, wish.target)) as ways:
        return await make_plan(
            ways, MigrationWish(wish.databases, wish.accepted), wish.sample_s, reads_all=wish.reads_all
        )


async def migrate(context: Context, wish: MigrateWish, agree: AgreeToMigrate | None = None) -> Migrated:
    """Begin a migration and go on until it is cut over or stopped.

    Raises RefusedError (migration-unfit, migration-begun, declined, locked): nothing was changed then; PartialError for
    what can be gone on with by :func:`resume_migration`.
    """
    source = find_source(context, wish.source, wish.user, wish.password_file)
    target = find_target(context, wish.target)
    store = MigrationStore(context.state_root, migration_name(wish.source, target.name))
    known = store.read()
    if known is not None and not known.is_over:
        raise _begun(store, known)
    async with open_ways(context, source, target) as ways:
        plan = await make_plan(
            ways, MigrationWish(wish.databases, wish.accepted), wish.sample_s, reads_all=wish.reads_all
        )
        refuse_unfit(plan)
        if agree is not None and not agree(plan):
            raise _declined()
        migration = Migration(
            wish.source,
            # To be found from any directory.
            target.name if target.record is not None else wish.target or target.name,
            target.name,
            wish.user,
            str(wish.password_file.absolute()) if wish.password_file else "",
            wish.databases,
            wish.limits,
            Phase.COPY,
            context.clock.wall(),
        )
        with lock.hold(store.lock_path, "migrate", store.name):
            known = store.read()
            if known is not None and not known.is_over:
                raise _begun(store, known)
            store.write(migration)
            return await _Run(context, ways, store, migration, plan, wish.cuts_over).go()


async def resume_migration(
    context: Context,
    name: str | None,
    *,
    cuts_over: bool = False,
    limits: Callable[[Limits], Limits] = lambda limits: limits,
) -> Migrated:
    """Go on with a migration that was cut or stopped; ``cuts_over``: as soon as it is ready. ``limits`` says which hold
    from now on, given those that did.

    Raises InputError where there is none to go on with, RefusedError (locked) where a process does it already.
    """
    store, migration = find_migration(context, name)
    if migration.phase is Phase.MOVED:
        raise InputError(
            f"{migration.name} is done: the source was cut over",
            code="migration-done",
            where=store.name,
            hint="slotwright migrate --abort gives the source back, and says what that would lose",
        )
    with lock.hold(store.lock_path, "migrate --resume", store.name):
        migration = store.read() or migration
        migration = replace(migration, limits=limits(migration.limits))
        async with _ways_of(context, migration) as ways:
            return await _Run(context, ways, store, migration, None, cuts_over).go()


def migrations(context: Context) -> tuple[Seen, ...]:
    """All that are kept, the newest first."""
    return tuple(_seen(context, name) for name in known_migrations(context.state_root))


def migration_status(context: Context, name: str | None) -> Seen:
    """One of them; None: the only one, or the newest that is not over."""
    store, _ = find_migration(context, name)
    return _seen(context, store.name)


async def cut_over(context: Context, name: str | None) -> Seen | Migrated:
    """Ask the process that follows to cut over, and wait until it has; where there is none, go on and do it here.

    Raises PartialError (not-cut-over) where that process ended otherwise.
    """
    store, migration = find_migration(context, name)
    if not lock.is_held(store.lock_path):
        return await resume_migration(context, store.name, cuts_over=True)
    store.ask(Request.CUTOVER)
    text = f"cut over {migration.name}"
    context.report(Began("ask", text))
    try:
        while lock.is_held(store.lock_path):
            status = store.read_status()
            context.report(Moved("ask", status.words if status else ""))
            await context.clock.sleep(_ASK_S)
    finally:
        # Nobody is to be surprised by it later.
        store.withdraw(Request.CUTOVER)
    seen = _seen(context, store.name)
    is_moved = seen.migration.phase is Phase.MOVED
    context.report(Ended("ask", text, is_moved))
    if not is_moved:
        raise PartialError(
            f"{migration.name} was not cut over",
            code="not-cut-over",
            where=store.name,
            seen=seen.status.words if seen.status else "",
            left="the source is as it was",
            hint="the other terminal says why; slotwright migrate --resume goes on",
        )
    return seen


async def abort_migration(
    context: Context, name: str | None, agree: AgreeToAbort | None = None, *, removes_copy: bool = False
) -> Aborted:
    """Give a migration up: the source takes writes again, as it was. The copy stays in the target, unless
    ``removes_copy``.

    After the cutover both sides are compared first: keys that were written to the target since are not in the source,
    and ``agree`` is told of them. A target that is away keeps nobody from getting the source back. Raises RefusedError
    (declined, target-written, locked).
    """
    store, migration = find_migration(context, name)
    await _end_running(context, store)
    with lock.hold(store.lock_path, "migrate --abort", store.name):
        migration = store.read() or migration
        async with _source_of(context, migration) as (roster, side):
            giving = await _what_is_given_up(context, migration, removes_copy=removes_copy)
            if agree is None and giving.may_lose:
                raise _written(giving)
            if agree is not None and not agree(giving):
                raise _written(giving) if giving.may_lose else _declined()
            journal = context.open_journal(store.journal_path)
            journal.write({"phase": "intent", "step": "abort", "was": migration.phase.value})
            text = f"give {migration.source} back"
            context.report(Began("abort", text))
            for fence in fences(roster, side, context.clock):
                before = next((each for each in migration.read_only if each.address == str(fence.address)), None)
                if before is not None:
                    await fence.allow(before)
            if removes_copy:
                await _remove_copy(context, migration)
            store.write(replace(migration, phase=Phase.ABORTED, read_only=()))
            journal.write({"phase": "done", "step": "abort"})
            context.report(Ended("abort", text))
            was_fenced = bool(migration.read_only)
            return Aborted(
                migration, was_fenced, giving.target_keys, giving.written, removes_copy, giving.target_trouble
            )


async def _what_is_given_up(context: Context, migration: Migration, *, removes_copy: bool) -> Giving:
    """A target that is away keeps nobody from getting the source back, but it can't be emptied."""
    try:
        async with _ways_of(context, migration) as ways:
            written = await _written_since(ways, migration) if migration.phase is Phase.MOVED else None
            return Giving(migration, sum((await ways.target_side.facts()).keys.values()), written, removes_copy)
    except SlotwrightError as error:
        if removes_copy or isinstance(error, OperatorInterruptError):
            raise
        return Giving(migration, 0, None, removes_copy, error.what)


def _declined() -> RefusedError:
    return RefusedError("not confirmed", code="declined", left="nothing was changed")


def _written(giving: Giving) -> RefusedError:
    name = giving.migration.target_name
    what = f"{giving.loses:,} keys of {name} are not in the source as they are there"
    if giving.target_trouble:
        what = f"{name} can't be asked whether something was written to it since the cutover"
    return RefusedError(
        what,
        code="target-written",
        where=name,
        seen=giving.target_trouble,
        left="nothing was changed",
        hint="on a terminal the question names what is lost; without one: --accept lose-writes",
    )


async def _end_running(context: Context, store: MigrationStore) -> None:
    """Ask the process that follows to end, and wait until it has."""
    deadline = context.clock.now() + _STOP_S
    if lock.is_held(store.lock_path):
        store.ask(Request.STOP)
    while lock.is_held(store.lock_path) and context.clock.now() < deadline:
        await context.clock.sleep(_ASK_S)


async def _written_since(ways: Ways, migration: Migration) -> Comparison:
    """The source takes no writes since the cutover: what differs now was written to the target."""
    brake = Brake(ways.context.clock)
    return await Comparer(
        ways.source_side, ways.target_side, migration.databases, ways.context.clock, ways.context.report, brake
    ).every_key()


async def _remove_copy(context: Context, migration: Migration) -> None:
    async with _ways_of(context, migration) as ways:
        for address in ways.target_side.servers:
            connection = await ways.target_roster.connection(address)
            await connection.call("FLUSHALL", timeout_s=120)


def find_migration(context: Context, name: str | None) -> tuple[MigrationStore, Migration]:
    """By its name or by its source; None: the only one that is not over. Raises InputError."""
    known = [(store, found) for store in _stores(context) if (found := store.read()) is not None]
    open_ones = [(store, found) for store, found in known if not found.is_over]
    if name is None:
        if len(open_ones) == 1:
            return open_ones[0]
        what = "there is no migration" if not open_ones else "there are several migrations"
    else:
        chosen = [(store, found) for store, found in known if name in (store.name, found.source, found.name)]
        if chosen:
            return chosen[0]
        what = f"there is no migration {name}"
    names = ", ".join(store.name for store, _ in open_ones or known)
    raise InputError(
        what, code="no-migration", hint=f"name one of: {names}" if names else "slotwright migrate SOURCE TARGET"
    )


@asynccontextmanager
async def _ways_of(context: Context, migration: Migration) -> AsyncIterator[Ways]:
    async with open_ways(context, _found_source(context, migration), find_target(context, migration.target)) as ways:
        yield ways


@asynccontextmanager
async def _source_of(context: Context, migration: Migration) -> AsyncIterator[tuple[Roster, Side]]:
    """The source alone."""
    source = _found_source(context, migration)
    async with context.fleet(source.topology) as fleet:
        source = await open_source(context, fleet, source)
        dialer = source.dialer(fleet)
        async with Roster(dialer) as roster, Side(source.name, dialer, (source.address,), context.clock) as side:
            yield roster, side


def _found_source(context: Context, migration: Migration) -> Source:
    password_file = Path(migration.password_file) if migration.password_file else None
    return find_source(context, migration.source, migration.user, password_file)


def _stores(context: Context) -> list[MigrationStore]:
    return [MigrationStore(context.state_root, name) for name in known_migrations(context.state_root)]


def _seen(context: Context, name: str) -> Seen:
    store = MigrationStore(context.state_root, name)
    migration = store.read()
    assert migration is not None
    return Seen(name, migration, store.read_status(), lock.is_held(store.lock_path))


def _begun(store: MigrationStore, known: Migration) -> RefusedError:
    is_moved = known.phase is Phase.MOVED
    return RefusedError(
        f"{known.name} was {'cut over' if is_moved else 'begun'} already",
        code="migration-begun",
        where=store.name,
        left="nothing was changed",
        hint="slotwright migrate --abort gives the source back"
        if is_moved
        else "slotwright migrate --resume goes on with it, --abort gives it up",
    )


@dataclass
class _Run:
    """One process of a migration, from attaching to the cutover or the stop."""

    context: Context
    ways: Ways
    store: MigrationStore
    migration: Migration
    plan: MigrationPlan | None
    cuts_over: bool
    _is_stopped: bool = False

    async def go(self) -> Migrated:
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
            self.store.write(self.migration)
        journal.write({"phase": "done", "step": "migrate", "now": self.migration.phase.value})
        migrator.words = "moved" if self.migration.phase is Phase.MOVED else "stopped"
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
            self.store.write(self.migration)

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
        while True:
            await self.context.clock.sleep(_TELL_S)
            try:
                await self._tell_once(migrator, await asyncio.wait_for(migrator.lag(), 2.0))
            except (SlotwrightError, TimeoutError):
                continue
            if self.migration.phase is Phase.FOLLOW:
                self._keep(migrator, Phase.FOLLOW)

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
