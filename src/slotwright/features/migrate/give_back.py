"""The steps that give a migration up: its source takes writes again, and its target is left as was wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from slotwright.app.context import Context
from slotwright.cluster.stages import Stage, by_place, one_by_one
from slotwright.cluster.topology import Address
from slotwright.errors import PartialError
from slotwright.features.migrate.model.migration import Migration, PausedExpiry, ReadOnly
from slotwright.features.migrate.open_migration import ways_of
from slotwright.features.migrate.run.fence import Fence
from slotwright.features.migrate.wiring import expiry_pause
from slotwright.ops.runner import StepHandler

ALLOW_WRITES: Final = "allow-writes"
EMPTY_TARGET: Final = "empty-target"
RESUME_EXPIRY: Final = "resume-expiry"

_EMPTY_S = 120.0


@dataclass(frozen=True, slots=True)
class GiveBackStep:
    """``kind`` is one of the constants above; ``where`` a server of the source, or the target's name."""

    kind: str
    where: str


def plan_give_back(migration: Migration, *, removes_copy: bool) -> tuple[Stage[GiveBackStep], ...]:
    """The source first, each of its servers that was changed; expiries of the target last."""
    target = migration.target_name
    paused = _left_after(migration.paused_expiry, removes_copy=removes_copy)
    return (
        by_place([GiveBackStep(ALLOW_WRITES, before.address) for before in migration.read_only]),
        one_by_one([GiveBackStep(EMPTY_TARGET, target)] if removes_copy else []),
        one_by_one([GiveBackStep(RESUME_EXPIRY, target)] if paused != PausedExpiry() else []),
    )


def _left_after(paused: PausedExpiry, *, removes_copy: bool) -> PausedExpiry:
    """Keys that are gone have no deadlines."""
    return replace(paused, has_later_deadlines=False) if removes_copy else paused


class GiveBackSteps(StepHandler[GiveBackStep]):
    """How they are done; each may be done again. ``paused`` is what is still to be set back in the target."""

    def __init__(
        self, context: Context, migration: Migration, fence_of: Callable[[Address], Fence], *, removes_copy: bool
    ) -> None:
        self._context = context
        self._migration = migration
        self._fence_of = fence_of
        self._before: Mapping[str, ReadOnly] = {before.address: before for before in migration.read_only}
        self.paused = _left_after(migration.paused_expiry, removes_copy=removes_copy)

    async def act(self, step: GiveBackStep) -> str:
        """Raises ServerError (fence-refused) where a source says otherwise afterwards, PartialError (copy-not-removed)
        where keys are left, and what the servers raise."""
        if step.kind == ALLOW_WRITES:
            # Also one that a failover made a replica since: it would refuse writes when it is a primary again.
            await self._fence_of(Address.parse(step.where)).allow(self._before[step.where])
        elif step.kind == EMPTY_TARGET:
            await self._empty_target()
        else:
            await self._resume_expiry()
        return ""

    async def _empty_target(self) -> None:
        migration = self._migration
        async with ways_of(self._context, migration) as ways:
            for address in ways.target_side.servers:
                connection = await ways.target_pool.connection(address)
                await connection.call("FLUSHALL", timeout_s=_EMPTY_S)
            left = sum((await ways.target_side.facts()).keys.values())
            if left:
                raise PartialError(
                    f"{migration.target_name} still has {left:,} keys after it was emptied: somebody writes to it",
                    code="copy-not-removed",
                    where=migration.target_name,
                    left="the source takes writes again, as before",
                    hint="see that no client writes to the target, then run the same command again",
                )

    async def _resume_expiry(self) -> None:
        """The target expires keys by itself again, at their own time."""
        migration = replace(self._migration, paused_expiry=self.paused)
        async with ways_of(self._context, migration) as ways:
            pause = expiry_pause(ways, migration, self._keep)
            await pause.release()
            await pause.settle()

    def _keep(self, paused: PausedExpiry) -> None:
        self.paused = paused
