"""The public Python API: one function a verb, each a coroutine that takes a :class:`Context` first.

    >>> import asyncio
    >>> from slotwright import api
    >>> result = asyncio.run(api.up(api.Context(), Path("cluster.yaml")))      # doctest: +SKIP

Names are loaded when they are first used, so that a verb pays only for what it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slotwright.api.adoption import Adopted, AdoptWish, adopt, forget
    from slotwright.api.archiving import Archived, archive
    from slotwright.api.clients import client_config, write_config
    from slotwright.api.comparing import CompareWish, compare
    from slotwright.api.context import Context
    from slotwright.api.deploy import PlanRefusedError, UpResult, plan, up
    from slotwright.api.everywhere import Ran, execute
    from slotwright.api.exercise import Drill, DrillWish, drill, drill_wish
    from slotwright.api.handover import Failover, failover, restore_plan
    from slotwright.api.hosts import Preflight, preflight
    from slotwright.api.inspect import SlotOfKey, check, find_node, find_slots, follow_log, read_log, status
    from slotwright.api.lifecycle import Farewell, start, stop
    from slotwright.api.migrating import (
        MigrateWish,
        cut_over,
        migrate,
        migration_status,
        migrations,
        plan_move,
        resume_migration,
    )
    from slotwright.api.migration_giving_up import abort_migration
    from slotwright.api.migration_run import Migrated
    from slotwright.api.rebuilding import LastResort, Rebuilt, rebuild
    from slotwright.api.removal import Destroyed, destroy
    from slotwright.api.repairing import Repaired, abort, plan_repair, repair, what_was_cut
    from slotwright.api.source import Source, find_source
    from slotwright.api.targets import Target, find_target, is_target, topology_file
    from slotwright.api.trial import DemoWish, demo
    from slotwright.api.walking import Walked, client_test
    from slotwright.api.watching import Moment, watch

_HOMES = {
    "AdoptWish": "adoption",
    "Adopted": "adoption",
    "adopt": "adoption",
    "forget": "adoption",
    "CompareWish": "comparing",
    "compare": "comparing",
    "Source": "source",
    "find_source": "source",
    "Walked": "walking",
    "client_test": "walking",
    "client_config": "clients",
    "write_config": "clients",
    "Context": "context",
    "DemoWish": "trial",
    "demo": "trial",
    "PlanRefusedError": "deploy",
    "UpResult": "deploy",
    "plan": "deploy",
    "up": "deploy",
    "SlotOfKey": "inspect",
    "check": "inspect",
    "find_node": "inspect",
    "find_slots": "inspect",
    "follow_log": "inspect",
    "read_log": "inspect",
    "status": "inspect",
    "Destroyed": "removal",
    "Farewell": "lifecycle",
    "destroy": "removal",
    "start": "lifecycle",
    "stop": "lifecycle",
    "Ran": "everywhere",
    "execute": "everywhere",
    "Archived": "archiving",
    "archive": "archiving",
    "Migrated": "migration_run",
    "MigrateWish": "migrating",
    "abort_migration": "migration_giving_up",
    "cut_over": "migrating",
    "migrate": "migrating",
    "migration_status": "migrating",
    "migrations": "migrating",
    "plan_move": "migrating",
    "resume_migration": "migrating",
    "LastResort": "rebuilding",
    "Rebuilt": "rebuilding",
    "rebuild": "rebuilding",
    "Repaired": "repairing",
    "abort": "repairing",
    "plan_repair": "repairing",
    "repair": "repairing",
    "what_was_cut": "repairing",
    "Moment": "watching",
    "watch": "watching",
    "Drill": "exercise",
    "DrillWish": "exercise",
    "drill": "exercise",
    "drill_wish": "exercise",
    "Failover": "handover",
    "failover": "handover",
    "restore_plan": "handover",
    "Preflight": "hosts",
    "preflight": "hosts",
    "Target": "targets",
    "find_target": "targets",
    "is_target": "targets",
    "topology_file": "targets",
}

__all__ = [
    "AdoptWish",
    "Adopted",
    "Archived",
    "CompareWish",
    "Context",
    "DemoWish",
    "Destroyed",
    "Drill",
    "DrillWish",
    "Failover",
    "Farewell",
    "LastResort",
    "MigrateWish",
    "Migrated",
    "Moment",
    "PlanRefusedError",
    "Preflight",
    "Ran",
    "Rebuilt",
    "Repaired",
    "SlotOfKey",
    "Source",
    "Target",
    "UpResult",
    "Walked",
    "abort",
    "abort_migration",
    "adopt",
    "archive",
    "check",
    "client_config",
    "client_test",
    "compare",
    "cut_over",
    "demo",
    "destroy",
    "drill",
    "drill_wish",
    "execute",
    "failover",
    "find_node",
    "find_slots",
    "find_source",
    "find_target",
    "follow_log",
    "forget",
    "is_target",
    "migrate",
    "migration_status",
    "migrations",
    "plan",
    "plan_move",
    "plan_repair",
    "preflight",
    "read_log",
    "rebuild",
    "repair",
    "restore_plan",
    "resume_migration",
    "start",
    "status",
    "stop",
    "topology_file",
    "up",
    "watch",
    "what_was_cut",
    "write_config",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
