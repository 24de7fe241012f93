"""A walk -> what a client at that place would stumble over, each with a cause that is told once."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from slotwright.cluster.announced import Announced
from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.topology import Address
from slotwright.features.clients.path_model import ClientPath, DialledNode
from slotwright.health.checks.addresses import address_not_valid

_RISK = {
    Role.PRIMARY: "every key of its shard that a client is sent there for fails",
    Role.REPLICA: "after a failover to it, every key of its shard fails",
}


def check_walk(walk: ClientPath) -> tuple[Finding, ...]:
    """The findings, gravest first. None: every address leads to the node that it should."""
    findings = [finding for node in walk.nodes for finding in _of_node(walk, node)]
    blamed = {walk.address_of(node) for node in walk.nodes if any(one.where == _place(walk, node) for one in findings)}
    findings += _of_redirects(walk, blamed)
    findings += _of_seeds(walk, blamed)
    findings += _of_map(walk)
    return by_gravity(tuple(findings))


def _of_map(walk: ClientPath) -> Iterator[Finding]:
    """What clients are not told at all."""
    slots = sum(len(shard.slots) for shard in walk.shards)
    if slots < SLOT_COUNT:
        yield Finding(
            "map-incomplete",
            Severity.SERIOUS,
            str(walk.entry),
            f"clients are told of {slots} of {SLOT_COUNT} slots" if slots else "clients are told of no slot at all",
            f"slotwright check {walk.entry} tells why",
            seen="CLUSTER SLOTS",
            risk="clients know nowhere to go for the other keys",
        )
    for peer in walk.untold:
        yield Finding(
            "replica-not-told",
            Severity.WARNING,
            str(peer.address),
            f"{walk.entry} knows this replica, and does not tell clients of it",
            "wait some seconds after a start: servers leave a replica out until they have heard of its offset; if it "
            f"stays so, slotwright check {walk.entry}",
            seen=f"{peer.id[:8]} is in CLUSTER NODES{', as failed' if peer.is_failed else ''}, not in CLUSTER SLOTS",
            risk="no client reads from it",
        )


def _place(walk: ClientPath, node: Announced) -> str:
    return f"?:{node.port}" if node.host == "?" else str(walk.address_of(node))


def _gravity(node: Announced) -> Severity:
    return Severity.SERIOUS if node.role is Role.PRIMARY else Severity.WARNING


def _of_node(walk: ClientPath, node: Announced) -> Iterator[Finding]:
    where = _place(walk, node)
    if node.fault:
        yield address_not_valid(where, node.fault, f"clients are told so of {node.id[:8]}")
    if node.host == "?":
        if node.fault:
            return
        yield Finding(
            "announced-nowhere",
            _gravity(node),
            where,
            f"clients are sent to names, and {node.id[:8]} has none",
            "CONFIG SET cluster-announce-hostname NAME on it, or cluster-preferred-endpoint-type ip on all",
            risk=_RISK[node.role],
        )
        return
    trial = walk.trial_of(walk.address_of(node))
    assert trial is not None
    if _is_loopback_to_others(walk, node):
        yield Finding(
            "announced-loopback",
            _gravity(node),
            where,
            "clients on other hosts are sent to their own loopback",
            "CONFIG SET cluster-announce-ip ADDRESS on it, with one that clients reach, and CONFIG REWRITE; "
            + _bus(walk, node),
            seen=_answering_node(trial, node),
            risk=_RISK[node.role],
        )
    elif not trial.is_good or trial.id != node.id:
        yield _bad_address(walk, node, trial)
    for host in node.others:
        other = walk.trial_of(walk.address_of(node, host))
        if other is not None and trial.is_good and (not other.is_good or other.id != node.id):
            yield Finding(
                "other-name-astray",
                Severity.NOTE,
                str(other.address),
                f"the node is told of as {host} as well, which does not lead to it from {_from(walk)}",
                "correct cluster-announce-hostname or cluster-announce-ip, or the name's entry in the DNS",
                seen=_answering_node(other, node),
                risk="clients that prefer that one can't reach the node",
            )


def _bad_address(walk: ClientPath, node: Announced, trial: DialledNode) -> Finding:
    code, what, remedy = _trouble(walk, node, trial)
    return Finding(
        code, _gravity(node), _place(walk, node), what, remedy, seen=_answering_node(trial, node), risk=_RISK[node.role]
    )


def _trouble(walk: ClientPath, node: Announced, trial: DialledNode) -> tuple[str, str, str]:
    """Code, what, remedy."""
    address, here = trial.address, _from(walk)
    if trial.is_good:
        return (
            "announced-elsewhere",
            f"clients at {here} who are sent to {node.id[:8]} meet another node",
            "set cluster-announce-ip and cluster-announce-port to where this node is for clients; " + _bus(walk, node),
        )
    if trial.code == "locked":
        return (
            "announced-locked",
            "the node does not let in a client that another node let in",
            f"give it the password of the others: slotwright check shows which differ; seen from {here}",
        )
    known = next((dialled for dialled in walk.dialled if dialled.id == node.id and dialled.address != address), None)
    if trial.speaks_tls and (known is None or known.address.host == address.host):
        return (
            "announced-tls",
            "clients without TLS are sent to a port that speaks it",
            "let clients use TLS (slotwright client KIND --tls), or announce the plain port (cluster-announce-port)",
        )
    if known is not None:
        return (
            "announced-wrong",
            f"the node is at {known.address}, and announces another address",
            f"on it: {_announcement(address, known.address)}, and CONFIG REWRITE"
            + (f"; {_bus(walk, node, known.address.host)}" if address.host != known.address.host else ""),
        )
    remedy = (
        f"let {here} reach {address.port}/tcp there (a firewall?), or announce an address that it reaches: "
        f"{_bus(walk, node)}"
    )
    if _is_private(address):
        remedy += "; where that is behind NAT, only an address map in the client helps"
    return "announced-unreachable", f"clients at {here} can't reach an address that they are sent to", remedy


def _bus(walk: ClientPath, node: Announced, host: str = "that address") -> str:
    """What else follows the address: the other nodes connect to it as well, with the bus port that the node announces
    (clusterUpdateMyselfIp, deriveAnnouncedPorts of cluster.c), which ``cluster-announce-port`` leaves as it is."""
    port = next((peer.bus_port for peer in walk.members if peer.id == node.id and peer.bus_port), None)
    bus = f"its bus port, {port}" if port else "its bus port"
    return (
        f"the other nodes go there as well, so they must reach {bus}, at {host}; "
        "where it is another port for them, set cluster-announce-bus-port first"
    )


def _announcement(wrong: Address, right: Address) -> str:
    """What sets right what differs."""
    arguments = []
    if wrong.host != right.host:
        arguments.append(f"CONFIG SET cluster-announce-ip {right.host}")
    if wrong.port != right.port:
        arguments.append(f"CONFIG SET cluster-announce-port {right.port}")
    return ", ".join(arguments)


def _of_redirects(walk: ClientPath, blamed: set[Address]) -> Iterator[Finding]:
    """Where MOVED leads to another place than the map of the entry; each goal is told once."""
    addresses: set[Address] = set(blamed)
    refused: set[str] = set()
    homes = {node.id: walk.address_of(node) for node in walk.nodes}
    nowhere = {node.id for node in walk.nodes if node.host == "?"}
    for redirect in walk.redirects:
        if redirect.error.startswith("MOVED "):
            # That the owner is nowhere to be found has been told.
            if redirect.owner not in nowhere and str(redirect.asked) not in refused:
                refused.add(str(redirect.asked))
                yield address_not_valid(str(redirect.asked), redirect.error, "clients are redirected there")
        elif redirect.error and redirect.error not in refused:
            refused.add(redirect.error)
            yield Finding(
                "walk-refused",
                Severity.SERIOUS,
                str(redirect.asked),
                "the node neither answers for a key nor says who does",
                f"slotwright check {redirect.asked} tells why",
                seen=redirect.error,
                risk="clients get this error",
            )
        goal = redirect.goal
        if goal is None or goal in addresses or goal == homes.get(redirect.owner):
            continue
        trial = walk.trial_of(goal)
        if trial is not None and (not trial.is_good or trial.id != redirect.owner):
            addresses.add(goal)
            yield Finding(
                "redirect-astray",
                Severity.SERIOUS,
                str(redirect.asked),
                f"it sends clients to {goal} for a shard that {homes.get(redirect.owner, redirect.owner)} serves",
                "look at the findings of slotwright check; where it is sound, at cluster-announce-ip of the owner",
                seen=trial.seen or (f"{goal} is {trial.id[:8]}" if trial.id else ""),
                risk="a client that asks there first fails, or goes in circles",
            )


def _of_seeds(walk: ClientPath, blamed: set[Address]) -> Iterator[Finding]:
    for seed in walk.seeds:
        trial = walk.trial_of(seed)
        if trial is not None and not trial.is_good and seed not in blamed:
            yield Finding(
                "seed-unreachable",
                Severity.WARNING,
                str(seed),
                f"a client at {_from(walk)} can't begin at this node",
                "start it, or let it be reached; a client needs one seed that answers",
                seen=trial.seen,
                risk="an application that starts while the other seeds are down does not start",
            )


def _is_loopback_to_others(walk: ClientPath, node: Announced) -> bool:
    """Only for clients on the node's own machine is that an address: when the way in was none, others use it."""
    if not walk.address_of(node).is_loopback:
        return False
    return bool(walk.place) or not walk.entry.is_loopback


def _answering_node(trial: DialledNode, node: Announced) -> str:
    if trial.is_good:
        return "the node itself answers here" if trial.id == node.id else f"node {trial.id[:8]} answers there"
    return trial.seen


def _from(walk: ClientPath) -> str:
    return walk.place or "this machine"


def _is_private(address: Address) -> bool:
    try:
        return ipaddress.ip_address(address.host).is_private
    except ValueError:
        return False
