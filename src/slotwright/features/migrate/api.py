"""migrate: a running server's data into a cluster, live; followed until the cutover, or given up.

One process copies and follows, and holds the migration's lock. Other terminals read its status and leave it a request.
What was cut is gone on with: from the offset that was kept where the source still has that history, else with a new
copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.source import find_source
from slotwright.app.targets import find_target
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.errors import InputError, PartialError, RefusedError
from slotwright.features.migrate.make_plan import make_plan, refuse_unfit
from slotwright.features.migrate.model.migration import (
    CutoverRefusal,
    Migration,
    MigrationLimits,
    MigrationPhase,
    MigrationRequest,
    MigrationStatus,
)
from slotwright.features.migrate.model.plan import MigrationOptions, MigrationPlan
from slotwright.features.migrate.open_migration import declined, find_migration, ways_of
from slotwright.features.migrate.process import Migrated, MigrationRun
from slotwright.features.migrate.store import MigrationStore, known_migrations, migration_name
from slotwright.features.migrate.wiring import open_ways
from slotwright.keys.model.databases import DatabaseMap

AgreeToMigrate = Callable[[MigrationPlan], bool]

_ASK_S = 0.2


@dataclass(frozen=True, slots=True)
class MigrateOptions:
    """What to move, and how. ``accepted`` are codes of serious findings that the operator takes upon himself;
    ``sample_s`` how long to listen with MONITOR (0: not at all); ``reads_all``: the plan looks at every key.
    ``cuts_over``: as soon as it is ready."""

    source: str
    target: str | None
    user: str = ""
    password_file: Path | None = None
    databases: DatabaseMap = field(default_factory=DatabaseMap)
    limits: MigrationLimits = field(default_factory=MigrationLimits)
    accepted: frozenset[str] = frozenset()
    sample_s: float = 0.0
    reads_all: bool = False
    cuts_over: bool = False


@dataclass(frozen=True, slots=True)
class MigrationView:
    """A migration as it is kept, and as its process told last. ``is_running``: such a process is there."""

    name: str
    migration: Migration
    status: MigrationStatus | None
    is_running: bool


async def plan_move(context: Context, options: MigrateOptions) -> MigrationPlan:
    """What stands in the way, and what would be done. Nothing is changed."""
    source = find_source(context, options.source, options.user, options.password_file)
    async with open_ways(context, source, find_target(context, options.target)) as ways:
        return await make_plan(
            ways,
            MigrationOptions(options.databases, options.accepted, options.cuts_over),
            options.sample_s,
            reads_all=options.reads_all,
        )


async def migrate(context: Context, options: MigrateOptions, agree: AgreeToMigrate | None = None) -> Migrated:
    """Begin a migration and go on until it is cut over or stopped.

    Raises RefusedError (migration-unfit, migration-begun, declined, locked): nothing was changed then; PartialError for
    what can be gone on with by :func:`resume_migration`.
    """
    source = find_source(context, options.source, options.user, options.password_file)
    target = find_target(context, options.target)
    store = MigrationStore(context.state_root, migration_name(options.source, target.name))
    known = store.read()
    if known is not None and not known.is_over:
        raise _begun(store, known)
    async with open_ways(context, source, target) as ways:
        plan = await make_plan(
            ways,
            MigrationOptions(options.databases, options.accepted, options.cuts_over),
            options.sample_s,
            reads_all=options.reads_all,
        )
        refuse_unfit(plan)
        if agree is not None and not agree(plan):
            raise declined()
        migration = Migration(
            options.source,
            # To be found from any directory.
            target.name if target.record is not None else options.target or target.name,
            target.name,
            options.user,
            str(options.password_file.absolute()) if options.password_file else "",
            options.databases,
            options.limits,
            MigrationPhase.COPY,
            context.clock.wall(),
            clusters=tuple(
                side.name for side in (source.target, target) if side is not None and side.record is not None
            ),
        )
        with store.hold("migrate"):
            store.demand_known_formats()
            known = store.read()
            if known is not None and not known.is_over:
                raise _begun(store, known)
            if known is not None:
                # What an abort could not set back in the target is set back by this one.
                migration = replace(migration, paused_expiry=known.paused_expiry)
            store.begin(migration)
            return await MigrationRun(context, ways, store, migration, options.cuts_over).go()


async def resume_migration(
    context: Context,
    name: str | None,
    *,
    cuts_over: bool = False,
    limits: Callable[[MigrationLimits], MigrationLimits] = lambda limits: limits,
) -> Migrated:
    """Go on with a migration that was cut or stopped; ``cuts_over``: as soon as it is ready. ``limits`` says which hold
    from now on, given those that did.

    Raises InputError where there is none to go on with, RefusedError (locked) where a process does it already.
    """
    store, migration = find_migration(context, name)
    if migration.phase is MigrationPhase.MOVED:
        raise InputError(
            f"{migration.name} is done: the source was cut over",
            code="migration-done",
            where=store.name,
            hint="slotwright migrate --abort gives the source back, and says what that would lose",
        )
    with store.hold("migrate --resume"):
        store.demand_known_formats()
        migration = store.read() or migration
        migration = replace(migration, limits=limits(migration.limits))
        async with ways_of(context, migration) as ways:
            return await MigrationRun(context, ways, store, migration, cuts_over).go()


def migrations(context: Context) -> tuple[MigrationView, ...]:
    """All that are kept, the newest first."""
    return tuple(_view_of(context, name) for name in known_migrations(context.state_root))


def migration_status(context: Context, name: str | None) -> MigrationView:
    """One of them; None: the only one, or the newest that is not over."""
    store, _ = find_migration(context, name)
    return _view_of(context, store.name)


async def cut_over(context: Context, name: str | None) -> MigrationView | Migrated:
    """Ask the process that follows to cut over, and wait until it has; where there is none, go on and do it here.

    Raises PartialError (not-cut-over) where that process ended otherwise; RefusedError (source-is-replica) where it
    refused, and follows on.
    """
    store, migration = find_migration(context, name)
    if not store.is_running():
        return await resume_migration(context, store.name, cuts_over=True)
    asked_at = context.clock.wall()
    store.ask(MigrationRequest.CUTOVER)
    text = f"cut over {migration.name}"
    context.report(Began("ask", text))
    try:
        while store.is_running():
            status = store.read_status()
            if status is not None and status.refusal is not None and status.refusal.at >= asked_at:
                context.report(Ended("ask", text, is_ok=False))
                raise _refused(status.refusal)
            context.report(Moved("ask", status.words if status else ""))
            await context.clock.sleep(_ASK_S)
    finally:
        # Nobody is to be surprised by it later.
        store.withdraw(MigrationRequest.CUTOVER)
    view = _view_of(context, store.name)
    is_moved = view.migration.phase is MigrationPhase.MOVED
    context.report(Ended("ask", text, is_moved))
    if not is_moved:
        raise PartialError(
            f"{migration.name} was not cut over",
            code="not-cut-over",
            where=store.name,
            seen=view.status.words if view.status else "",
            left="the source is as it was",
            hint="the other terminal says why; slotwright migrate --resume goes on",
        )
    return view


def _refused(refusal: CutoverRefusal) -> RefusedError:
    return RefusedError(
        refusal.what,
        code="source-is-replica",
        where=refusal.where,
        seen=refusal.seen,
        left="the source is as it was, and nothing was cut over; the other terminal follows on",
        hint=refusal.hint,
    )


def _view_of(context: Context, name: str) -> MigrationView:
    store = MigrationStore(context.state_root, name)
    migration = store.read()
    assert migration is not None
    return MigrationView(name, migration, store.read_status(), store.is_running())


def _begun(store: MigrationStore, known: Migration) -> RefusedError:
    is_moved = known.phase is MigrationPhase.MOVED
    return RefusedError(
        f"{known.name} was {'cut over' if is_moved else 'begun'} already",
        code="migration-begun",
        where=store.name,
        left="nothing was changed",
        hint="slotwright migrate --abort gives the source back"
        if is_moved
        else "slotwright migrate --resume goes on with it, --abort gives it up",
    )
