"""Why a cluster can't be adopted: what it is can't be told, or a topology file could not say it.

What is merely not well (a replica that can't log in, say) is no obstacle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Address, Mode
from slotwright.features.adopt.model import AdoptInput
from slotwright.health.checks.addresses import address_not_valid
from slotwright.server.capabilities import is_supported

FEWEST_PRIMARIES = 3
SETTLING = frozenset({"views-disagree", "node-in-handshake"})
"""Obstacles that a new or just changed cluster gets over by itself within seconds."""

_NO_TOPOLOGY = frozenset(
    {
        "id-shared",
        "loading",
        "node-down",
        "node-out-of-reach",
        "open-slot",
        "slots-uncovered",
        "views-disagree",
        "wrong-password",
    }
)
"""What diagnosis finds and that leaves open what the cluster is."""


def obstacles(adopt_input: AdoptInput) -> tuple[Finding, ...]:
    """Why there can be no topology: each serious, with the way out. Without any, the cluster can be adopted."""
    findings = list(_undecided(adopt_input))
    if adopt_input.survey.mode is Mode.SINGLE:
        findings += _single_obstacles(adopt_input)
    else:
        findings += (*_unknown_peers(adopt_input), *_names(adopt_input), *_shapes(adopt_input))
    findings += _server_obstacles(adopt_input)
    return by_gravity(tuple({(finding.code, finding.where): finding for finding in findings}.values()))


def _undecided(adopt_input: AdoptInput) -> Iterator[Finding]:
    again = f"slotwright adopt {adopt_input.seed}"
    remedies = {
        "node-down": f"start it again, or have it forgotten (CLUSTER FORGET on every other node); then {again}",
        "wrong-password": "all nodes must have one password; put it into the variable and adopt again",
        "views-disagree": f"wait for gossip to settle, then {again}; if it stays so, compare their CLUSTER NODES",
        "node-out-of-reach": f"{{was}}; or adopt from a machine that reaches what the nodes announce: "
        f"slotwright client test {adopt_input.seed}, there, tells whether it does",
        "id-shared": f"{{was}}; then {again}",
        "open-slot": f"slotwright repair {adopt_input.seed} finishes the move or takes it back; then {again}",
        "slots-uncovered": f"{{was}}; then {again}",
        "loading": f"wait until it has read its data, then {again}",
    }
    for finding in adopt_input.findings:
        if finding.code in _NO_TOPOLOGY:
            yield replace(
                finding, severity=Severity.SERIOUS, remedy=remedies[finding.code].replace("{was}", finding.remedy)
            )


def _unknown_peers(adopt_input: AdoptInput) -> Iterator[Finding]:
    """Nodes that somebody has met and that have not answered yet, or that have no address."""
    for view in adopt_input.observation.views:
        for peer in view.peers:
            if "handshake" in peer.flags:
                yield _obstacle(
                    "node-in-handshake",
                    str(peer.address or peer.id),
                    f"{view.address} is in a handshake with a node that has not answered",
                    "wait until it is over (a node gives it up after its node-timeout), then adopt again",
                )
            elif peer.address_fault:
                yield address_not_valid(peer.id, peer.address_fault, f"as {view.address} tells")
            elif peer.address is None:
                yield _obstacle(
                    "node-without-address",
                    peer.id,
                    f"{view.address} knows a node without an address",
                    f"have it forgotten: CLUSTER FORGET {peer.id} on every node; then adopt again",
                )


def _names(adopt_input: AdoptInput) -> Iterator[Finding]:
    """Nodes with two addresses: a file has one for each, and everything that follows is asked there."""
    dialled: dict[str, set[Address]] = {}
    for view in adopt_input.observation.views:
        dialled.setdefault(view.id, set()).add(view.address)
        for peer in view.peers:
            if peer.id != view.id and peer.address is not None and "handshake" not in peer.flags:
                dialled.setdefault(peer.id, set()).add(peer.address)
    for node_id, addresses in dialled.items():
        if len(addresses) > 1:
            text = " and ".join(map(str, sorted(addresses)))
            yield _obstacle(
                "two-addresses",
                str(min(addresses)),
                f"one node ({node_id[:8]}) goes by {len(addresses)} addresses",
                "give it one that all reach (cluster-announce-ip), and adopt the cluster by that one",
                seen=text,
            )


def announced_out_of_reach(seed: Address, announced: Address) -> Finding:
    """The seed answers, and neither it nor any other node does where the cluster looks for them."""
    return _obstacle(
        "two-addresses",
        str(seed),
        f"the node answers at {seed}, and announces {announced}, which can't be reached from here",
        f"adopt from a machine that reaches what the nodes announce (slotwright client test {seed} tells it); or let "
        "each announce what clients and the other nodes reach: cluster-announce-ip, cluster-announce-port, and "
        "cluster-announce-bus-port for the bus",
        seen="addresses of containers or behind NAT, with ports mapped to them, are such",
    )


def _shapes(adopt_input: AdoptInput) -> Iterator[Finding]:
    survey = adopt_input.survey
    if any(view.mode is Mode.SINGLE for view in adopt_input.observation.views):
        alone = next(view for view in adopt_input.observation.views if view.mode is Mode.SINGLE)
        what = "a member of the cluster answers as a stand-alone instance"
        yield _obstacle("mixed-modes", str(alone.address), what, "look at what runs there, then adopt again")
    for node in survey.nodes:
        if node.shard is None and node.is_reachable:
            follows = survey.primary_of(node)
            what = "the node has no slots and replicates nobody"
            if node.role is Role.REPLICA:
                what = f"the node replicates {follows.place if follows else 'an unknown node'}, which owns no slots"
            yield _obstacle(
                "node-without-shard",
                node.place,
                what,
                "give it a role (CLUSTER REPLICATE, or slots), or have it forgotten; then adopt again",
            )
    owners = [node for node in survey.nodes if node.slots]
    if owners and len(owners) < FEWEST_PRIMARIES:
        yield _obstacle(
            "too-few-primaries",
            str(adopt_input.seed),
            f"{len(owners)} primaries own all slots; a topology file needs at least {FEWEST_PRIMARIES}",
            "add primaries first: with fewer than three no failover is possible",
        )


def _single_obstacles(adopt_input: AdoptInput) -> Iterator[Finding]:
    for view in adopt_input.observation.views:
        if view.replication.role is Role.REPLICA:
            yield _obstacle(
                "is-replica",
                str(view.address),
                "the stand-alone instance is a replica; a topology file can't say that",
                "adopt its primary, or make it one (REPLICAOF NO ONE)",
            )


def _server_obstacles(adopt_input: AdoptInput) -> Iterator[Finding]:
    for view in adopt_input.observation.views:
        if not is_supported(view.version):
            what = f"{view.version.title} is older than what slotwright knows (6.2)"
            yield _obstacle("server-too-old", str(view.address), what, "upgrade it first")
    for account in adopt_input.accounts:
        if account.mode == "sentinel":
            what = "this is a Sentinel, which holds no data"
            yield _obstacle("is-sentinel", str(account.address), what, "name a server that holds data")
        if account.setting("masteruser"):
            yield _obstacle(
                "acl-users",
                str(account.address),
                "the node logs in to its primary as a user of its own (masteruser)",
                "users and access lists come later",
            )


def _obstacle(code: str, where: str, what: str, remedy: str, seen: str = "") -> Finding:
    return Finding(code, Severity.SERIOUS, where, what, remedy, seen)
