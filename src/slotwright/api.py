"""The Python API: one function a verb, each a coroutine that takes a :class:`Context` first.

    >>> import asyncio
    >>> from slotwright import api
    >>> result = asyncio.run(api.up(api.Context(), Path("cluster.yaml")))      # doctest: +SKIP

``__all__`` is what is public: the names of the example in docs/reference.md. The other verbs are here for our own
programs; like every other module of the package they are private, and may change in any release.

Names are loaded when they are first used, so that a verb pays only for what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slotwright.app.context import Context as Context
    from slotwright.app.source import MigrationSource as MigrationSource
    from slotwright.app.source import find_source as find_source
    from slotwright.app.targets import Target as Target
    from slotwright.app.targets import find_target as find_target
    from slotwright.app.targets import is_target as is_target
    from slotwright.app.targets import topology_file as topology_file
    from slotwright.features.adopt.api import Adopted as Adopted
    from slotwright.features.adopt.api import AdoptOptions as AdoptOptions
    from slotwright.features.adopt.api import adopt as adopt
    from slotwright.features.adopt.api import forget as forget
    from slotwright.features.archive.api import Archived as Archived
    from slotwright.features.archive.api import archive as archive
    from slotwright.features.clients.api import client_config as client_config
    from slotwright.features.clients.api import write_config as write_config
    from slotwright.features.clients.path_api import ClientPathResult as ClientPathResult
    from slotwright.features.clients.path_api import client_test as client_test
    from slotwright.features.compare.api import CompareOptions as CompareOptions
    from slotwright.features.compare.api import compare as compare
    from slotwright.features.deploy.abort import TakenBack as TakenBack
    from slotwright.features.deploy.abort import abort_up as abort_up
    from slotwright.features.deploy.abort import plan_abort_up as plan_abort_up
    from slotwright.features.deploy.api import plan as plan
    from slotwright.features.deploy.api import up as up
    from slotwright.features.deploy.api import up_approved as up_approved
    from slotwright.features.deploy.demo import DemoOptions as DemoOptions
    from slotwright.features.deploy.demo import demo as demo
    from slotwright.features.deploy.outcome import PlanRefusedError as PlanRefusedError
    from slotwright.features.deploy.outcome import UpResult as UpResult
    from slotwright.features.drill.api import Drill as Drill
    from slotwright.features.drill.api import DrillOptions as DrillOptions
    from slotwright.features.drill.api import drill as drill
    from slotwright.features.drill.api import drill_options as drill_options
    from slotwright.features.failover.api import Failover as Failover
    from slotwright.features.failover.api import failover as failover
    from slotwright.features.failover.api import restore_plan as restore_plan
    from slotwright.features.jobs.api import jobs as jobs
    from slotwright.features.jobs.model import JobState as JobState
    from slotwright.features.jobs.model import JobView as JobView
    from slotwright.features.lifecycle.api import ShutdownImpact as ShutdownImpact
    from slotwright.features.lifecycle.api import start as start
    from slotwright.features.lifecycle.api import stop as stop
    from slotwright.features.lifecycle.destroy import Destroyed as Destroyed
    from slotwright.features.lifecycle.destroy import destroy as destroy
    from slotwright.features.look.api import SlotOfKey as SlotOfKey
    from slotwright.features.look.api import check as check
    from slotwright.features.look.api import find_node as find_node
    from slotwright.features.look.api import find_slots as find_slots
    from slotwright.features.look.api import follow_log as follow_log
    from slotwright.features.look.api import read_log as read_log
    from slotwright.features.look.api import status as status
    from slotwright.features.migrate.abort import abort_migration as abort_migration
    from slotwright.features.migrate.api import MigrateOptions as MigrateOptions
    from slotwright.features.migrate.api import cut_over as cut_over
    from slotwright.features.migrate.api import migrate as migrate
    from slotwright.features.migrate.api import migration_status as migration_status
    from slotwright.features.migrate.api import migrations as migrations
    from slotwright.features.migrate.api import plan_move as plan_move
    from slotwright.features.migrate.api import resume_migration as resume_migration
    from slotwright.features.migrate.process import Migrated as Migrated
    from slotwright.features.migrate.steer import pace_migration as pace_migration
    from slotwright.features.migrate.steer import pause_migration as pause_migration
    from slotwright.features.preflight.api import Preflight as Preflight
    from slotwright.features.preflight.api import preflight as preflight
    from slotwright.features.preflight.exec import Ran as Ran
    from slotwright.features.preflight.exec import execute as execute
    from slotwright.features.rebuild.api import RebuildPreview as RebuildPreview
    from slotwright.features.rebuild.api import rebuild as rebuild
    from slotwright.features.rebuild.phases import Rebuilt as Rebuilt
    from slotwright.features.repair.api import Repaired as Repaired
    from slotwright.features.repair.api import abort as abort
    from slotwright.features.repair.api import plan_repair as plan_repair
    from slotwright.features.repair.api import repair as repair
    from slotwright.features.repair.api import what_was_cut as what_was_cut
    from slotwright.features.watch.api import WatchUpdate as WatchUpdate
    from slotwright.features.watch.api import watch as watch

_NAMES: dict[str, tuple[str, ...]] = {
    "app.context": ("Context",),
    "app.source": (
        "MigrationSource",
        "find_source",
    ),
    "app.targets": (
        "Target",
        "find_target",
        "is_target",
        "topology_file",
    ),
    "features.adopt.api": (
        "AdoptOptions",
        "Adopted",
        "adopt",
        "forget",
    ),
    "features.archive.api": (
        "Archived",
        "archive",
    ),
    "features.clients.api": (
        "client_config",
        "write_config",
    ),
    "features.clients.path_api": (
        "ClientPathResult",
        "client_test",
    ),
    "features.compare.api": (
        "CompareOptions",
        "compare",
    ),
    "features.deploy.abort": (
        "TakenBack",
        "abort_up",
        "plan_abort_up",
    ),
    "features.deploy.api": (
        "plan",
        "up",
        "up_approved",
    ),
    "features.deploy.demo": (
        "DemoOptions",
        "demo",
    ),
    "features.deploy.outcome": (
        "PlanRefusedError",
        "UpResult",
    ),
    "features.drill.api": (
        "Drill",
        "DrillOptions",
        "drill",
        "drill_options",
    ),
    "features.failover.api": (
        "Failover",
        "failover",
        "restore_plan",
    ),
    "features.jobs.api": ("jobs",),
    "features.jobs.model": (
        "JobState",
        "JobView",
    ),
    "features.lifecycle.api": (
        "ShutdownImpact",
        "start",
        "stop",
    ),
    "features.lifecycle.destroy": (
        "Destroyed",
        "destroy",
    ),
    "features.look.api": (
        "SlotOfKey",
        "check",
        "find_node",
        "find_slots",
        "follow_log",
        "read_log",
        "status",
    ),
    "features.migrate.abort": ("abort_migration",),
    "features.migrate.api": (
        "MigrateOptions",
        "cut_over",
        "migrate",
        "migration_status",
        "migrations",
        "plan_move",
        "resume_migration",
    ),
    "features.migrate.process": ("Migrated",),
    "features.migrate.steer": (
        "pace_migration",
        "pause_migration",
    ),
    "features.preflight.api": (
        "Preflight",
        "preflight",
    ),
    "features.preflight.exec": (
        "Ran",
        "execute",
    ),
    "features.rebuild.api": (
        "RebuildPreview",
        "rebuild",
    ),
    "features.rebuild.phases": ("Rebuilt",),
    "features.repair.api": (
        "Repaired",
        "abort",
        "plan_repair",
        "repair",
        "what_was_cut",
    ),
    "features.watch.api": (
        "WatchUpdate",
        "watch",
    ),
}
"""Module -> the public names that it has."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = ["Context", "up"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"slotwright.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
