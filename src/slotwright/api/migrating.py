"""migrate: a running server's data into a cluster, live; followed until the cutover, or given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.migration_store import MigrationStore, known_migrations, migration_name
from slotwright.api.comparing import open_comparer
from slotwright.api.context import Context
from slotwright.api.migration_ground import Grounds, open_grounds
from slotwright.api.migration_planning import refuse_unfit
from slotwright.errors import InputError, PartialError, RefusedError
from slotwright.model.comparison import Comparison
from slotwright.model.events import Began, Ended
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
from slotwright.model.migration_plan import MigrationPlan
from slotwright.operations.migration.migrator import Migrator, Outcome

AgreeToMigrate = Callable[[MigrationPlan], bool]

_TELL_S = 0.5
_KEEP_S = 1.0
_ASK_S = 0.2


@dataclass(frozen=True, slots=True)
class MigrateWish:
    """What to move, and how. ``accepted`` are codes of serious findings that the operator takes upon himself;
    ``sample_s`` how long to listen with MONITOR (0: not at all). ``cuts_over``: as soon as it is ready."""

    source: str
    target: str | None
    user: str = ""
    password_file: Path | None = None
    databases: DatabaseMap = field(default_factory=DatabaseMap)
    limits: Limits = field(default_factory=Limits)
    accepted: frozenset[str] = frozenset()
    sample_s: float = 0.0
    cuts_over: bool = False


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run came to. ``outcome`` None: it was stopped before the cutover, and can be gone on with."""

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
