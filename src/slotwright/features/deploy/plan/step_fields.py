"""A step as plain fields: those of a plan's file, which are the same as in `plan --json` (``output.py``)."""

from __future__ import annotations

from typing import Any

from slotwright.cluster.steps import ApplySettings, ChangeFirewall, PrepareHost, ProveReach, StartNode, Step


def step_fields(step: Step) -> dict[str, Any]:
    """One step; ``address`` is None for those of the cluster as a whole. Secrets are ``***`` in it."""
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
        fields["changes"] = [{"name": change.name, "old": change.old, "new": change.new} for change in step.changes]
    return fields
