"""Nodes that the file does not know."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.survey import SurveyNode
from slotwright.health.check_context import CheckContext
from slotwright.health.members import changed_ids, ghosts


def strangers(case: CheckContext) -> Iterator[Finding]:
    """Nodes that the file doesn't know; with slots they came from another cluster, which is told once for all."""
    if case.expected is None:
        return
    results = {ghost.id for ghost in ghosts(case.observation, case.blueprint)}
    results |= {changed_node_id.now for changed_node_id in changed_ids(case.observation, case.blueprint)}
    foreign = [node for node in case.survey.nodes if not node.is_planned and node.id not in results]
    owners = [node for node in foreign if node.slots]
    if owners:
        yield _merged(foreign, owners)
        return
    for node in foreign:
        yield Finding(
            "unknown-node",
            Severity.WARNING,
            node.place,
            f"the cluster has a node that the file doesn't name ({node.id[:8]})",
            "find out who added it: the cluster bus has no password; slotwright repair asks, then has it forgotten",
            risk="it takes part in votes, and may hold data",
        )


def _merged(foreign: list[SurveyNode], owners: list[SurveyNode]) -> Finding:
    taken = sum(len(node.slots) for node in owners)
    return Finding(
        "clusters-merged",
        Severity.SERIOUS,
        ", ".join(node.place for node in foreign[:4]) + (" ..." if len(foreign) > 4 else ""),
        f"{len(foreign)} nodes that the file doesn't name are in the cluster, and own {taken} of its slots",
        "stop writing, and slotwright archive before anything else; then bring the archived keys back with rebuild",
        seen="somebody sent CLUSTER MEET between two live clusters, or moved slots to nodes of another",
        risk="where both had a slot, one side's keys are deleted or out of reach, while every node says ok",
    )
