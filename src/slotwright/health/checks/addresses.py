"""Nodes that announce as their address what is none, or another one than theirs."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.health.check_context import CheckContext
from slotwright.health.members import Misannounced, misannounced


def _address_faults(case: CheckContext) -> dict[str, tuple[str, int]]:
    """Id -> what is wrong with its address, and how many nodes tell it so."""
    faults: dict[str, tuple[str, int]] = {}
    for view in case.observation.views:
        for peer in view.peers:
            if peer.address_fault:
                fault, times = faults.get(peer.id, (peer.address_fault, 0))
                faults[peer.id] = (fault, times + 1)
    return faults


def invalid_addresses(case: CheckContext) -> Iterator[Finding]:
    """One finding a node."""
    for node_id, (fault, times) in sorted(_address_faults(case).items()):
        node = case.survey.node(node_id)
        tellers = "1 node" if times == 1 else f"{times} nodes"
        yield address_not_valid(node.place if node else node_id, fault, f"as {tellers} tell of {node_id[:8]}")


def wrong_announcements(case: CheckContext) -> Iterator[Finding]:
    """Members that tell another address of themselves than the one at which they answer. What follows (held failed,
    bus, views, the links of replicas) is not told beside it."""
    for node in misannounced(case.observation, case.blueprint):
        commands = ", ".join(f"CONFIG SET {name} {value}" for name, value in right_announcement(node))
        looking = f"; {len(node.lost)} nodes look for its cluster bus there, in vain" if node.lost else ""
        yield Finding(
            "announced-wrong",
            Severity.SERIOUS,
            str(node.address),
            f"the node answers here, and announces {node.announced}{looking}",
            f"slotwright repair {case.survey.name}, or on it: {commands}, and CONFIG REWRITE",
            seen=f"CLUSTER NODES of the node itself: {node.announced}",
            risk="clients are sent to that address, and reach nothing there, or another server",
        )


def right_announcement(node: Misannounced) -> tuple[tuple[str, str], ...]:
    """The settings that have it announce where it answers, and their values."""
    host = (("cluster-announce-ip", node.address.host),) if node.announced.host != node.address.host else ()
    port = (("cluster-announce-port", str(node.address.port)),) if node.announced.port != node.address.port else ()
    return host + port


def unasked_for_their_address(case: CheckContext) -> set[str]:
    """Ids of nodes that were not asked because what they announce is no address."""
    unasked = {node.id for node in case.survey.nodes if node.trouble == "not asked" and node.address is None}
    return unasked & _address_faults(case).keys() if unasked else set()


def address_not_valid(where: str, fault: str, seen: str) -> Finding:
    """``fault`` has the text of the node escaped."""
    return Finding(
        "address-not-valid",
        Severity.SERIOUS,
        where,
        "what the node announces as its address is none, so nobody is sent there by slotwright",
        "find out who set it; then on the node: CONFIG SET cluster-announce-ip ADDRESS, with one where clients and the "
        "other nodes reach it (or cluster-announce-hostname NAME), and CONFIG REWRITE",
        seen=f"{fault}, {seen}",
        risk="every client of the cluster gets this text for an address, and each makes of it what it will",
    )
