"""A migration as a job: what ``slotwright jobs`` does with it is what ``slotwright migrate`` does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.features.migrate.store import KIND

if TYPE_CHECKING:
    from slotwright.app.context import Context
    from slotwright.features.migrate.output.migration import MigrationOutput


class MigrationControl:
    """How migrations are shown and steered."""

    kind = KIND

    def show(self, context: Context, name: str) -> None:
        """As `migrate --status` does."""
        from slotwright.features.migrate.api import migration_status
        from slotwright.features.migrate.views import show_migrations

        show_migrations([migration_status(context, name)])

    def output(self, context: Context, name: str) -> MigrationOutput:
        """As `migrate --status --json` has it."""
        from slotwright.features.migrate.api import migration_status
        from slotwright.features.migrate.output.migration import migration_output

        return migration_output(migration_status(context, name))

    async def pause(self, context: Context, name: str) -> bool:
        """See :func:`pause_migration`."""
        from slotwright.features.migrate.steer import pause_migration

        return await pause_migration(context, name)

    def resume(self, name: str, *, as_json: bool) -> int:
        """As `migrate --resume` does."""
        from slotwright.features.migrate.cli.migrate import go_on

        return go_on(name, False, True, lambda limits: limits, False, None, as_json)

    def abort(self, name: str, *, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
        """As `migrate --abort` does."""
        from slotwright.features.migrate.cli.migrate import give_up

        return give_up(name, accepted, yes, False, as_json, "jobs abort")

    async def pace(self, context: Context, name: str, bytes_s: int) -> str:
        """See :func:`pace_migration`."""
        from slotwright.features.migrate.model.migration import MigrationPhase
        from slotwright.features.migrate.steer import pace_migration

        migration = await pace_migration(context, name, bytes_s)
        if migration.phase is MigrationPhase.COPY:
            return ""
        return "the copy is made; this holds should it be made anew, and changes are followed as they come"
