"""What a rebuild has to say of what it brought back: from where, what was left, what differs."""

from __future__ import annotations

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.slots import key_slot
from slotwright.cluster.topology import Address
from slotwright.features.rebuild.model import Rebuild, ShardCopy
from slotwright.keys.model.counts import Difference


def rebuild_findings(
    state: Rebuild, *, was_brought: bool, quarantined: int, quarantine: str, difference: Difference
) -> tuple[Finding, ...]:
    """``quarantined`` keys are in the file ``quarantine``; ``difference`` is what counting both sides gave."""
    copies = [copy for copy in state.copies if copy.why or not copy.has_data] if was_brought else []
    findings = [*map(_copy_finding, copies), *map(_left_finding, state.left_behind)]
    if quarantined:
        findings.append(_quarantine_finding(state, quarantined, quarantine))
    return by_gravity((*findings, *_difference_findings(state, difference)))


def _copy_finding(copy: ShardCopy) -> Finding:
    if not copy.has_data:
        return Finding(
            "shard-without-data",
            Severity.WARNING,
            f"shard {copy.shard}",
            f"no member of the old shard {copy.shard} had data on its disk: slots {copy.slots} came back empty",
        )
    return Finding(
        "copy-not-fresh",
        Severity.NOTE,
        f"shard {copy.shard}",
        f"the old shard {copy.shard} came back from {copy.address}",
        seen=copy.why,
    )


def _left_finding(address: Address) -> Finding:
    return Finding(
        "node-left-behind",
        Severity.WARNING,
        str(address),
        f"the old node {address} could not be reached: it may still run, and its folder is where it was",
        "when its host is back, end that server and remove its folder before clients find it",
    )


def _quarantine_finding(state: Rebuild, count: int, quarantine: str) -> Finding:
    return Finding(
        "keys-quarantined",
        Severity.WARNING,
        state.old.name,
        f"{count} keys lay on nodes that did not own their slots, and differ from the owners' ones: those were taken",
        f"look into {quarantine}; RESTORE takes the values in it",
    )


def _difference_findings(state: Rebuild, difference: Difference) -> list[Finding]:
    kinds = (
        (
            "keys-missing",
            Severity.SERIOUS,
            difference.missing,
            "did not arrive in the new cluster",
            "slotwright rebuild with the same file brings them again; keep clients away until then",
        ),
        (
            "keys-retyped",
            Severity.SERIOUS,
            difference.retyped,
            "have another type in the new cluster",
            "somebody writes to it already: compare them with the archive",
        ),
        (
            "keys-extra",
            Severity.WARNING,
            difference.extra,
            "are in the new cluster and not in the old data",
            "somebody writes to it already; nothing is lost by that",
        ),
    )
    return [
        Finding(
            code,
            severity,
            state.old.name,
            f"{len(keys)} keys {what}",
            remedy,
            seen=", ".join(f"{repr(key)[1:60]} (slot {key_slot(key)})" for _, key in keys[:5]),
        )
        for code, severity, keys, what, remedy in kinds
        if keys
    ]
