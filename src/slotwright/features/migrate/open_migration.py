"""Migrations that are kept: finding one, and opening both of its sides again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.source import MigrationSource, find_source
from slotwright.app.targets import find_target
from slotwright.errors import InputError, RefusedError
from slotwright.features.migrate.model.migration import Migration
from slotwright.features.migrate.store import MigrationStore, known_migrations
from slotwright.features.migrate.wiring import MigrationEndpoints, open_ways


def find_migration(context: Context, name: str | None) -> tuple[MigrationStore, Migration]:
    """By its name or by its source; None: the only one that is not over. By its name none but it is read. Raises
    InputError."""
    if name in known_migrations(context.state_root):
        store = MigrationStore(context.state_root, name)
        if (migration := store.read()) is not None:
            return store, migration
    known = [(store, migration) for store in _stores(context) if (migration := store.read()) is not None]
    open_ones = [(store, migration) for store, migration in known if not migration.is_over]
    if name is None:
        if len(open_ones) == 1:
            return open_ones[0]
        what = "there is no migration" if not open_ones else "there are several migrations"
    else:
        chosen = [
            (store, migration) for store, migration in known if name in (store.name, migration.source, migration.name)
        ]
        if chosen:
            return chosen[0]
        what = f"there is no migration {name}"
    names = ", ".join(store.name for store, _ in open_ones or known)
    raise InputError(
        what, code="no-migration", hint=f"name one of: {names}" if names else "slotwright migrate SOURCE TARGET"
    )


@asynccontextmanager
async def ways_of(context: Context, migration: Migration) -> AsyncIterator[MigrationEndpoints]:
    """Both sides, opened as they were when it was begun."""
    async with open_ways(context, source_of(context, migration), find_target(context, migration.target)) as ways:
        yield ways


def source_of(context: Context, migration: Migration) -> MigrationSource:
    """Its source; nothing is dialled."""
    password_file = Path(migration.password_file) if migration.password_file else None
    return find_source(context, migration.source, migration.user, password_file)


def declined() -> RefusedError:
    """Somebody said no."""
    return RefusedError("not confirmed", code="declined", left="nothing was changed")


def _stores(context: Context) -> list[MigrationStore]:
    return [MigrationStore(context.state_root, name) for name in known_migrations(context.state_root)]
