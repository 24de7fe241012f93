"""migrate: a running server's data into a cluster, live; followed until the cutover, or given up.

One process copies and follows, and holds the migration's lock. Other terminals read its status and leave it a request.
What was cut is gone on with: from the offset that was kept where the source still has that history, else with a new
copy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.migration_store import MigrationStore, known_migrations, migration_name
from slotwright.api.context import Context
from slotwright.api.migration_ground import open_ways
from slotwright.api.migration_known import declined, find_migration, ways_of
from slotwright.api.migration_planning import make_plan, refuse_unfit
from slotwright.api.migration_run import Migrated, MigrationRun
from slotwright.api.source import find_source
from slotwright.api.targets import find_target
from slotwright.errors import InputError, PartialError, RefusedError
from slotwright.model.events import Began, Ended, Moved
from slotwright.model.migration import DatabaseMap, Limits, Migration, Phase, Request, Status
from slotwright.model.migration_plan import MigrationPlan, MigrationWish

AgreeToMigrate = Callable[[MigrationPlan], bool]

_ASK_S = 0.2


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
            raise declined()
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
            return await MigrationRun(context, ways, store, migration, plan, wish.cuts_over).go()


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
        async with ways_of(context, migration) as ways:
            return await MigrationRun(context, ways, store, migration, None, cuts_over).go()


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
