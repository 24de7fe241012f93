"""The JSON shapes that programs may rely on; documented in docs/json.md, and never changed without ``format``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slotwright.model.findings import Finding
from slotwright.model.plan import (
    ApplySettings,
    ChangeFirewall,
    Plan,
    PrepareHost,
    ProveReach,
    Refusal,
    StartNode,
    Step,
)
from slotwright.model.survey import Survey, SurveyNode

if TYPE_CHECKING:
    from slotwright.api import SlotOfKey, UpResult
    from slotwright.operations.verify import Verdict

FORMAT = 1


def print_json(value: dict[str, Any]) -> None:
    """One object, with the version of its shape."""
    print(json.dumps({"format": FORMAT, **value}, indent=2, ensure_ascii=False))


def survey_json(survey: Survey) -> dict[str, Any]:
    """`status`."""
    return {
        "name": survey.name,
        "mode": survey.mode.value,
        "state": survey.state.value,
        "slots_covered": len(survey.served),
        "nodes": [node_json(node) for node in survey.nodes],
    }


def node_json(node: SurveyNode) -> dict[str, Any]:
    """One node of `status`; what an unreachable node would have to tell itself is null."""
    return {
        "id": node.id,
        "address": node.place,
        "port": node.address.port if node.address else None,
        "host": node.address.host if node.address else None,
        "role": node.role.value,
        "shard": node.shard,
        "slots": list(node.slots.texts()),
        "replica_of": node.replica_of,
        "link": node.link.value if node.link else None,
        "lag_bytes": node.lag_bytes,
        "keys": node.keys,
        "used_bytes": node.used_bytes,
        "version": str(node.version) if node.version else None,
        "reachable": node.is_reachable,
        "trouble": node.trouble,
    }


def finding_json(found: Finding) -> dict[str, Any]:
    """One finding."""
    return {
        "code": found.code,
        "severity": found.severity.value,
        "where": found.where,
        "what": found.what,
        "remedy": found.remedy,
        "seen": found.seen,
        "risk": found.risk,
    }


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """`check`."""
    return {
        "name": verdict.survey.name,
        "ok": verdict.is_ok,
        "state": verdict.survey.state.value,
        "slots_covered": len(verdict.survey.served),
        "proved": verdict.is_proved and verdict.is_ok,
        "findings": [finding_json(found) for found in verdict.findings],
        "unjudged": list(verdict.unjudged),
    }


def plan_json(plan: Plan) -> dict[str, Any]:
    """`plan`."""
    return {
        "name": plan.name,
        "pending": not plan.is_empty,
        "steps": [step_json(step) for step in plan.steps],
        "refusals": [refusal_json(refusal) for refusal in plan.refusals],
        "findings": [finding_json(found) for found in plan.findings],
        "unseen": list(plan.unseen),
        "digest": plan.digest,
    }


def step_json(step: Step) -> dict[str, Any]:
    """One step; ``address`` is null for those of the cluster as a whole."""
    address = getattr(step, "address", None)
    fields: dict[str, Any] = {"step": step.kind, "address": str(address) if address else None}
    if isinstance(step, PrepareHost | ChangeFirewall):
        fields |= {"host": step.host, "what": list(step.what)}
    if isinstance(step, ChangeFirewall):
        fields |= {"add": list(step.add), "remove": list(step.remove)}
    if isinstance(step, ProveReach):
        fields |= {"hosts": step.hosts, "ports": list(step.ports)}
    if isinstance(step, StartNode):
        fields["why"] = step.why
    if isinstance(step, ApplySettings):
        fields["changes"] = [{"name": each.name, "old": each.old, "new": each.new} for each in step.changes]
    return fields


def refusal_json(refusal: Refusal) -> dict[str, Any]:
    """One thing that can't be done now."""
    return {"what": refusal.what, "why": refusal.why, "hint": refusal.hint}


def up_json(result: UpResult) -> dict[str, Any]:
    """`up`, `start` and `demo`."""
    return {
        "name": result.record.name,
        "changed": bool(result.plan.steps),
        "steps": [step_json(step) for step in result.plan.steps],
        "usable_s": None if result.usable_s is None else round(result.usable_s, 3),
        "check": verdict_json(result.verdict),
        "status": survey_json(result.verdict.survey),
    }


def slot_json(found: SlotOfKey) -> dict[str, Any]:
    """One key of `slot`."""
    return {
        "key": found.key.decode(errors="backslashreplace"),
        "slot": found.slot,
        "primary": found.primary.place if found.primary else None,
        "replicas": [node.place for node in found.replicas],
    }
