"""Migrations that are kept: finding one, and opening both of its sides again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from slotwright.adapters.migration_store import MigrationStore, known_migrations
from slotwright.api.context import Context
from slotwright.api.migration_ground import Ways, open_ways
from slotwright.api.source import Source, find_source
from slotwright.api.targets import find_target
from slotwright.errors import InputError, RefusedError
from slotwright.model.migration import Migration


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
async def ways_of(context: Context, migration: Migration) -> AsyncIterator[Ways]:
    """Both sides, opened as they were when it was begun."""
    async with open_ways(context, found_source(context, migration), find_target(context, migration.target)) as ways:
        yield ways


def found_source(context: Context, migration: Migration) -> Source:
    """Its source; nothing is dialled."""
    password_file = Path(migration.password_file) if migration.password_file else None
    return find_source(context, migration.source, migration.user, password_file)


def declined() -> RefusedError:
    """Somebody said no."""
    return RefusedError("not confirmed", code="declined", left="nothing was changed")


def _stores(context: Context) -> list[MigrationStore]:
    return [MigrationStore(context.state_root, name) for name in known_migrations(context.state_root)]
