"""What still serves while slots are not served, and writes that are refused for want of replicas."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.health.check_context import CheckContext
from slotwright.server.integers import integer_in


def what_still_serves(case: CheckContext) -> str:
    """How the others behave while some slots are not served, by their own settings; "" where these are not known."""
    views = [view for _, view in case.views()]
    full = {value for view in views if (value := view.setting("cluster-require-full-coverage")) is not None}
    if not full:
        return ""
    if full == {"no"}:
        return "the other slots go on being served (cluster-require-full-coverage no)"
    reads = {view.setting("cluster-allow-reads-when-down") for view in views} == {"yes"}
    if full == {"yes"}:
        but = ", except reads (cluster-allow-reads-when-down yes)" if reads else ""
        # Until the time-out has passed nobody knows yet that it is gone.
        when = ", once the others hold it failed" if any(view.state_is_ok for view in views) else ""
        return f"no key of any slot is served{but}{when} (cluster-require-full-coverage yes)"
    return "some nodes go on serving, others refuse everything: they differ in cluster-require-full-coverage"


def replicas_required(case: CheckContext) -> Iterator[Finding]:
    """Primaries that refuse writes because too few replicas follow (min-replicas-to-write)."""
    for node, view in case.views():
        wanted = integer_in(view.setting("min-replicas-to-write")) or 0
        good = view.replication.good_replicas
        if not node.slots or good is None or good >= wanted:
            continue
        there = sum(other.replica_of == node.id for other in case.survey.nodes)
        back = case.repair("bring its replicas back") + "; or lower min-replicas-to-write"
        yield Finding(
            "replicas-required",
            Severity.SERIOUS,
            node.place,
            f"the primary of shard {node.shard} refuses writes: {good} of {wanted} required replicas follow it",
            back if there >= wanted else f"lower min-replicas-to-write: the shard has {there} in all; or add some",
            seen=f"min-replicas-to-write {wanted}, min_slaves_good_slaves {good}",
            risk="clients get NOREPLICAS for every write",
        )
