"""migrate --abort: the source takes writes again; what that would lose is counted first, and asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from slotwright.app.context import Context
from slotwright.app.source import open_source
from slotwright.cluster.events import Began, Ended, Warned
from slotwright.cluster.stages import Stage
from slotwright.errors import OperatorInterruptError, RefusedError, SlotwrightError
from slotwright.features.migrate.give_back import RESUME_EXPIRY, GiveBackStep, GiveBackSteps, plan_give_back
from slotwright.features.migrate.model.migration import Migration, MigrationPhase, MigrationRequest, PausedExpiry
from slotwright.features.migrate.open_migration import declined, find_migration, source_of, ways_of
from slotwright.features.migrate.store import MigrationStore
from slotwright.features.migrate.wiring import MigrationEndpoints, make_fence
from slotwright.keys.compare.comparer import Comparer
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import Comparison, KeyVerdict
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.runner import Runner, journaled
from slotwright.ports import Journal

AgreeToAbort = Callable[["AbortPreview"], bool]

_ASK_S = 0.2
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class AbortPreview:
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
        return bool(self.loses or (self.target_trouble and self.migration.phase is MigrationPhase.MOVED))

    @property
    def loses(self) -> int:
        """Keys of the target that the source does not have like that."""
        return self.written.count(KeyVerdict.DIFFERENT) if self.written is not None else 0


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


async def abort_migration(
    context: Context, name: str | None, agree: AgreeToAbort | None = None, *, removes_copy: bool = False
) -> Aborted:
    """Give a migration up: the source takes writes again, as it was. The copy stays in the target, unless
    ``removes_copy``.

    After the cutover both sides are compared first: keys that were written to the target since are not in the source,
    and ``agree`` is told of them. A target that is away keeps nobody from getting the source back; what could not be
    set back there is warned of, and set back by the next abort. Raises RefusedError (declined, target-written, locked).
    """
    store, migration = find_migration(context, name)
    await _end_running(context, store)
    with store.hold("migrate --abort"):
        store.demand_known_formats()
        migration = store.read() or migration
        async with _source_of(context, migration) as (pool, side):
            preview = await _what_is_given_up(context, migration, removes_copy=removes_copy)
            if agree is None and preview.may_lose:
                raise _written(preview)
            if agree is not None and not agree(preview):
                raise _written(preview) if preview.may_lose else declined()
            with (
                context.journal(store.journal_path) as journal,
                journaled(journal, {"step": "abort", "was": migration.phase.value}),
            ):
                steps = GiveBackSteps(
                    context, migration, partial(make_fence, pool, side, context.clock), removes_copy=removes_copy
                )
                stages = plan_give_back(migration, removes_copy=removes_copy)
                paused = await _give_back(context, migration, stages, steps, journal)
                store.write(replace(migration, phase=MigrationPhase.ABORTED, read_only=(), paused_expiry=paused))
            was_fenced = bool(migration.read_only)
            return Aborted(
                migration, was_fenced, preview.target_keys, preview.written, removes_copy, preview.target_trouble
            )


async def _give_back(
    context: Context,
    migration: Migration,
    stages: Sequence[Stage[GiveBackStep]],
    steps: GiveBackSteps,
    journal: Journal,
) -> PausedExpiry:
    """What could not be set back in the target is returned; it keeps nobody from getting the source back."""
    text = f"give {migration.source} back"
    context.report(Began("abort", text))
    runner, is_ok = Runner(steps, journal), False
    try:
        for stage in stages:
            for outcome in await runner.run(stage):
                if outcome.error is None:
                    continue
                if outcome.step.kind != RESUME_EXPIRY:
                    raise outcome.error
                what = f"keys of {migration.target_name} may not expire, or expire too late: {outcome.error.what}"
                context.report(Warned(f"{what}. slotwright migrate --abort {migration.source} tries again"))
        is_ok = True
    finally:
        context.report(Ended("abort", text, is_ok))
    return steps.paused


async def _what_is_given_up(context: Context, migration: Migration, *, removes_copy: bool) -> AbortPreview:
    """A target that is away keeps nobody from getting the source back, but it can't be emptied."""
    try:
        async with ways_of(context, migration) as ways:
            written = await _written_since(ways, migration) if migration.phase is MigrationPhase.MOVED else None
            return AbortPreview(migration, sum((await ways.target_side.facts()).keys.values()), written, removes_copy)
    except SlotwrightError as error:
        if removes_copy or isinstance(error, OperatorInterruptError):
            raise
        return AbortPreview(migration, 0, None, removes_copy, error.what)


def _written(preview: AbortPreview) -> RefusedError:
    name = preview.migration.target_name
    what = f"{preview.loses:,} keys of {name} are not in the source as they are there"
    if preview.target_trouble:
        what = f"{name} can't be asked whether something was written to it since the cutover"
    return RefusedError(
        what,
        code="target-written",
        where=name,
        seen=preview.target_trouble,
        left="nothing was changed",
        hint="on a terminal the question names what is lost; without one: --accept lose-writes",
    )


async def _end_running(context: Context, store: MigrationStore) -> None:
    """Ask the process that follows to end, and wait until it has."""
    deadline = context.clock.now() + _STOP_S
    if store.is_running():
        store.ask(MigrationRequest.STOP)
    while store.is_running() and context.clock.now() < deadline:
        await context.clock.sleep(_ASK_S)


async def _written_since(ways: MigrationEndpoints, migration: Migration) -> Comparison:
    """The source takes no writes since the cutover: what differs now was written to the target."""
    rate_limiter = RateLimiter(ways.context.clock)
    return await Comparer(
        ways.source_side, ways.target_side, migration.databases, ways.context.clock, ways.context.report, rate_limiter
    ).every_key()


@asynccontextmanager
async def _source_of(context: Context, migration: Migration) -> AsyncIterator[tuple[ConnectionPool, KeyspaceReader]]:
    """The source alone."""
    source = source_of(context, migration)
    async with context.fleet(source.topology) as fleet:
        source = await open_source(context, fleet, source)
        dialer = source.dialer(fleet)
        async with (
            ConnectionPool(dialer) as pool,
            KeyspaceReader(source.name, dialer, (source.address,), context.clock) as side,
        ):
            yield pool, side
