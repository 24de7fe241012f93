"""Nodes that answer us and don't reach each other: the cluster bus is blocked between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import NodeView, PeerView, Role
from slotwright.cluster.survey import SurveyNode
from slotwright.health.check_context import CheckContext
from slotwright.health.members import bus_place, misannounced

SETTLE_S = 5
"""Links come and go right after a start."""

Pair = tuple[SurveyNode, SurveyNode]


def broken_links(case: CheckContext) -> tuple[Pair, ...]:
    """Who can't reach whom, though both answer us."""
    # Views share equal lines, so each is looked at once; mostly none is broken.
    lines = {id(peer): peer for view in case.observation.views for peer in view.peers}
    broken = {key for key, peer in lines.items() if _is_broken(peer)}
    if not broken:
        return ()
    views = {node.id: (node, view) for node, view in case.views() if _is_settled(node, view)}
    return tuple(
        (node, views[peer.id][0])
        for node, view in views.values()
        for peer in view.peers
        if id(peer) in broken and peer.id in views and peer.id != node.id
    )


def _is_settled(node: SurveyNode, view: NodeView) -> bool:
    return view.health.uptime_s >= SETTLE_S and node.trouble in ("", "failed") and not view.health.is_loading


def _is_broken(peer: PeerView) -> bool:
    if peer.flags & {"handshake", "noaddr"}:
        return False
    return not peer.is_connected or peer.is_suspected or peer.is_failed


def cut_off(case: CheckContext) -> frozenset[str]:
    """Ids of the nodes that reach fewer than half of the others: what they say of the cluster is old."""
    missing = Counter(node.id for node, _ in broken_links(case))
    return frozenset(node_id for node_id, count in missing.items() if 2 * count > len(case.survey.nodes) - 1)


def bus_links(case: CheckContext) -> Iterator[Finding]:
    """One finding a node that many can't reach, or that reaches few; else one a pair."""
    pairs = broken_links(case)
    # That the others hold a node failed is told of that node, with what follows for its shard.
    failed = {node.id for node in case.survey.nodes if node.trouble == "failed"}
    failed |= {lost.node_id for lost in misannounced(case.observation, case.blueprint)}
    many = max(2, (len(case.survey.nodes) - 1) / 2)
    hears, reaches = Counter(to.id for _, to in pairs), Counter(by.id for by, _ in pairs)
    deaf = {to.id: to for _, to in pairs if hears[to.id] >= many}
    alone = {by.id: by for by, _ in pairs if reaches[by.id] >= many}
    if len(deaf) > max(2, len(case.survey.nodes) / 2):
        yield _finding(
            Severity.SERIOUS,
            case.survey.name,
            f"{len(deaf)} nodes don't reach each other's cluster bus, though all of them answer",
            "no failure is seen, no replica takes over, and the nodes refuse their clients after cluster-node-timeout",
            case,
            _names(list(deaf.values())),
        )
        return
    for node in deaf.values():
        if node.id not in failed:
            yield _deaf(case, node, [by for by, to in pairs if to is node])
    for node in alone.values():
        if node.id not in deaf and node.id not in failed:
            yield _alone(case, node, [to for by, to in pairs if by is node])
    for by, to in pairs:
        if not {by.id, to.id} & (deaf.keys() | alone.keys() | failed):
            yield _finding(
                Severity.WARNING,
                f"{by.place} -> {bus_place(case.observation, to)}",
                f"{by.place} does not reach the cluster bus of {to.place}, though both answer",
                "while it lasts, the two know of each other only by the others; a vote may fail",
                case,
            )


def _deaf(case: CheckContext, node: SurveyNode, by: list[SurveyNode]) -> Finding:
    voters = [other for other in case.survey.nodes if other.role is Role.PRIMARY and other.slots]
    is_grave = 2 * sum(other.role is Role.PRIMARY and bool(other.slots) for other in by) > len(voters)
    risk = "the others may come to hold it failed" if is_grave else "votes and news reach it late or not at all"
    return _finding(
        Severity.SERIOUS if is_grave else Severity.WARNING,
        bus_place(case.observation, node),
        f"{len(by)} nodes can't reach the cluster bus of {node.place}, which answers its clients",
        risk,
        case,
        _names(by),
    )


def _alone(case: CheckContext, node: SurveyNode, to: list[SurveyNode]) -> Finding:
    return _finding(
        Severity.SERIOUS,
        node.place,
        f"{node.place} can't reach the cluster bus of {len(to)} nodes, though all of them answer",
        "it does not see failovers, and sends its clients to nodes that are no longer right",
        case,
        _names(to),
    )


def _finding(severity: Severity, where: str, what: str, risk: str, case: CheckContext, seen: str = "") -> Finding:
    return Finding(
        "bus-link-down",
        severity,
        where,
        what,
        "let the bus port of each through, both ways (in CLUSTER NODES it stands behind the @)"
        + ("; slotwright preflight tries every pair" if case.expected else ": firewalls, security groups, bind"),
        seen=seen,
        risk=risk,
    )


def _names(nodes: list[SurveyNode]) -> str:
    return ", ".join(node.place for node in nodes[:5]) + (" ..." if len(nodes) > 5 else "")
