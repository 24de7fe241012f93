"""Nodes that announce as their address what is none."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.health.check_context import CheckContext


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
