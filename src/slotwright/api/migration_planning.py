"""The plan of a migration, from both sides as they are now."""

from __future__ import annotations

from slotwright.api.migration_ground import Ways
from slotwright.model.migration_plan import MigrationPlan


async def make_plan(ways: Ways, wish: object) -> MigrationPlan | None:
    """Reads everything; changes nothing."""
    return None


def refuse_unfit(plan: MigrationPlan | None) -> None:
    """Raises RefusedError (migration-unfit) that names what stands in the way."""
