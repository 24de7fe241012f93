"""Steering a migration from another terminal: pause it, or have it copy at another rate."""

from __future__ import annotations

from slotwright.app.context import Context
from slotwright.app.jobs import end_process
from slotwright.errors import InputError, PartialError, RefusedError
from slotwright.features.migrate.model.migration import Migration, MigrationPhase, MigrationRequest, with_pace
from slotwright.features.migrate.open_migration import find_migration
from slotwright.features.migrate.store import MigrationStore

_ASK_S = 0.2
_PATIENCE_S = 5.0


async def pause_migration(context: Context, name: str | None) -> bool:
    """Ask the process that copies or follows to end, so that it can be gone on with, and wait until it has; False where
    none is running.

    Raises RefusedError (cutting-over): the source may be refusing writes just then. PartialError (still-running).
    """
    store, migration = find_migration(context, name)
    store.demand_known_formats()
    if migration.phase is MigrationPhase.CLOSING and store.is_running():
        raise RefusedError(
            f"{migration.name} is being cut over just now, and is not paused in the middle of it",
            code="cutting-over",
            where=store.name,
            left="nothing was changed",
            hint=f"wait a moment, then slotwright jobs status {store.name}",
        )
    return await end_process(context, store, MigrationRequest.STOP)


async def pace_migration(context: Context, name: str | None, bytes_s: int) -> Migration:
    """Copy at most so many bytes a second from now on, and after a resume; 0: as fast as it goes. A running process
    takes it within a second. The migration with it is returned.

    Raises InputError (no-pace) for one that is over, PartialError (pace-not-taken) where the process doesn't take it.
    """
    store, migration = find_migration(context, name)
    store.demand_known_formats()
    if not migration.needs_both_sides:
        raise InputError(
            f"{migration.name} is over: it copies nothing any more",
            code="no-pace",
            where=store.name,
            hint=f"slotwright jobs status {store.name}",
        )
    deadline = context.clock.now() + _PATIENCE_S
    try:
        while store.is_running() and context.clock.now() < deadline:
            store.ask_pace(bytes_s)
            await context.clock.sleep(_ASK_S)
            if (kept := store.read()) is not None and kept.limits.pace_bytes == bytes_s:
                return kept
    finally:
        # Nobody is to be surprised by it later.
        store.withdraw_pace()
    if store.is_running():
        raise _not_taken(store, migration)
    return _keep(store, bytes_s)


def _keep(store: MigrationStore, bytes_s: int) -> Migration:
    """For the next process. Raises RefusedError (locked) where one began just now."""
    with store.hold("jobs pace"):
        migration = store.read()
        assert migration is not None
        migration = with_pace(migration, bytes_s)
        store.write(migration)
        return migration


def _not_taken(store: MigrationStore, migration: Migration) -> PartialError:
    return PartialError(
        f"the process of {migration.name} did not take another pace in {_PATIENCE_S:.0f} s",
        code="pace-not-taken",
        where=store.name,
        seen="it answers nobody: it may be connecting, of a release before this one, or stand still",
        left="the pace is as it was",
        hint=f"slotwright jobs pause {store.name}, then try again, and slotwright jobs resume {store.name}",
    )
