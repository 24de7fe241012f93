"""`migrate --plan --json`; documented in docs/json.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slotwright.cli.views.json import finding_json
from slotwright.model.command_sample import CommandSample, Crossing
from slotwright.model.migration_plan import MigrationPlan
from slotwright.model.source_survey import SourceSurvey, TargetSurvey
from slotwright.planning.hash_tags import shown_key


def migration_plan_json(plan: MigrationPlan) -> dict[str, Any]:
    """`migrate --plan --json`. Keys are shown abbreviated and printable, as for people."""
    return {
        "source": _source_json(plan.source),
        "target": _target_json(plan.target),
        "databases": {"rule": plan.wish.databases.rule.value, "template": plan.wish.databases.template},
        "accepted": sorted(plan.wish.accepted),
        "sample": _sample_json(plan.sample) if plan.sample is not None else None,
        "refused": plan.is_refused,
        "findings": [finding_json(found) for found in plan.findings],
        "shares": [
            {
                "address": str(share.address),
                "share": round(share.share, 4),
                "added_bytes": share.added_bytes,
                "expected_bytes": share.expected_bytes,
                "maxmemory_bytes": share.limit_bytes,
            }
            for share in plan.shares
        ],
        "big_keys": [
            {
                "database": key.named[0],
                "key": shown_key(key.named[1]),
                "type": key.type,
                "bytes": key.bytes,
                "elements": key.elements,
                "dump_s": round(blocking.dump_s, 6) if blocking else None,
                "restore_s": round(blocking.restore_s, 6) if blocking else None,
            }
            for key, blocking in zip(plan.source.keys.biggest, plan.blocking, strict=True)
        ],
        "steps": [
            {
                "step": step.kind,
                "what": step.what,
                "estimate_s": None if step.took_s is None else round(step.took_s, 3),
            }
            for step in plan.steps
        ],
        "estimated_from": plan.rates.basis,
    }


def _source_json(source: SourceSurvey) -> dict[str, Any]:
    memory, feeding, traffic, keys = source.memory, source.feeding, source.traffic, source.keys
    return {
        "address": str(source.address),
        "version": source.version.title,
        "mode": source.mode.value,
        "role": source.role.value,
        "primary": str(source.primary) if source.primary else None,
        "uptime_s": source.uptime_s,
        "keys": source.total_keys,
        "databases": [
            {
                "database": database.number,
                "keys": database.keys,
                "with_ttl": database.with_ttl,
                "average_ttl_ms": database.average_ttl_ms,
                "with_field_ttl": database.with_field_ttl,
            }
            for database in source.databases
        ],
        "looked_at": keys.looked_at,
        "complete": keys.is_complete,
        "types": [{"type": kind.type, "keys": kind.keys, "bytes": kind.bytes} for kind in keys.kinds],
        "functions": list(source.functions),
        "modules": list(source.modules),
        "used_bytes": memory.used_bytes,
        "data_bytes": source.data_bytes,
        "maxmemory_bytes": memory.maxmemory_bytes,
        "maxmemory_policy": memory.policy,
        "evicted_keys": memory.evicted_keys,
        "clients": feeding.clients,
        "replicas": feeding.replicas,
        "commands_per_s": round(traffic.commands_per_s, 1),
        "writes_per_s": round(traffic.writes_per_s, 1),
        "ping_ms": round(traffic.ping_ms, 3),
        "calls": dict(source.calls),
        "user": source.rights.user,
        "rights": {name: right.value for name, right in source.rights.rights},
        "unread": list(source.unread),
    }


def _target_json(target: TargetSurvey) -> dict[str, Any]:
    return {
        "name": target.name,
        "cluster": target.is_cluster,
        "versions": [version.title for version in target.versions],
        "databases": target.databases,
        "keys": target.keys,
        "primaries": [
            {
                "address": str(primary.address),
                "slots": list(primary.slots.texts()),
                "used_bytes": primary.used_bytes,
                "maxmemory_bytes": primary.maxmemory_bytes,
                "maxmemory_policy": primary.policy,
                "keys": primary.keys,
                "replicas": primary.replicas,
            }
            for primary in target.primaries
        ],
        "silent": [str(address) for address in target.silent],
    }


def _sample_json(sample: CommandSample) -> dict[str, Any]:
    return {
        "span_s": round(sample.span_s, 3),
        "commands": sample.commands,
        "several_keys": sample.several_keys,
        "transactions": sample.transactions,
        "scripts": sample.scripts,
        "ended_early": sample.cut,
        "unread": sample.unread,
        "databases": {str(number): count for number, count in sample.databases},
        "crossings": [_crossing_json(crossing) for crossing in sample.crossings],
        "undeclared": [
            {"script": one.name, "calls": one.calls, "undeclared": one.undeclared, "examples": list(one.examples)}
            for one in sample.undeclared
        ],
        "hash_tags": [
            {
                "kind": advice.kind.value,
                "for": advice.crosser,
                "before": advice.before,
                "after": advice.after,
                "groups": advice.groups,
                "tags": advice.tags,
                "largest_share": round(advice.largest_share, 4),
            }
            for advice in sample.advice
        ],
        "commands_otherwise": _calls_json([(odd.name, odd.calls, odd.clients) for odd in sample.odd]),
    }


def _crossing_json(crossing: Crossing) -> dict[str, Any]:
    return {
        "kind": crossing.kind.value,
        "name": crossing.name,
        "calls": crossing.calls,
        "across_slots": crossing.across,
        "examples": [list(group) for group in crossing.examples],
        "clients": list(crossing.clients),
        "databases": list(crossing.databases),
    }


def _calls_json(calls: Sequence[tuple[str, int, tuple[str, ...]]]) -> list[dict[str, Any]]:
    return [{"name": name, "calls": count, "clients": list(clients)} for name, count, clients in calls]
