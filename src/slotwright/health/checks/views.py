"""What the nodes say of the cluster and of each other: uncovered slots, states, views that disagree, epochs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.slots import SLOT_COUNT, SlotSet
from slotwright.cluster.topology import Address
from slotwright.health.check_context import CheckContext
from slotwright.health.checks.bus import cut_off
from slotwright.health.checks.coverage import what_still_serves
from slotwright.health.members import changed_ids, misannounced, misdirections, was_never_joined
from slotwright.health.slot_claims import rival_owners, unclaimed_slots


def uncovered_slots(case: CheckContext) -> Iterator[Finding]:
    """Slots that no primary owns at all; those of a dead owner are told with the owner. Where nobody was seen, nothing
    is known of slots."""
    if not case.observation.views:
        return
    owned = sum(len(node.slots) for node in case.survey.nodes)
    if owned < SLOT_COUNT:
        count, is_alone = SLOT_COUNT - owned, owned and was_never_joined(case.survey, case.blueprint)
        yield Finding(
            "slots-uncovered",
            Severity.SERIOUS,
            case.survey.name,
            f"{count} of {SLOT_COUNT} slots belong to nobody"
            + (" that is known here: the join never happened, it seems" if is_alone else ""),
            "CLUSTER MEET HOST PORT, for each of the others, joins it with them"
            if is_alone
            else f"slotwright repair {case.survey.name} gives them to the node that has their keys, or that had them",
            risk="their keys can't be reached; "
            + (what_still_serves(case) or "with full coverage required, no key can"),
        )


def states(case: CheckContext) -> Iterator[Finding]:
    """Nodes that say cluster_state:fail though every slot has a live owner."""
    if len(case.survey.served) < SLOT_COUNT:
        return
    apart = cut_off(case) | _outsiders(case)
    for node, view in case.views():
        if not view.state_is_ok and not view.health.is_loading and node.id not in apart:
            yield Finding(
                "cluster-state-fail",
                Severity.SERIOUS,
                node.place,
                "the node says that the cluster is down",
                "wait a few seconds; if it stays so, look at its links to the other primaries",
                seen="cluster_state:fail",
                risk="it refuses its clients",
            )


def views_disagree(case: CheckContext) -> Iterator[Finding]:
    """One finding a node that sees owners, roles or members otherwise than the survey does."""
    own = {view.id: view.myself for _, view in case.views()}
    # Who can't reach the others knows old things, and the others of it: the broken links are told.
    apart = cut_off(case) | _outsiders(case)
    truth = {
        node.id: (node.role, node.slots, node.replica_of, _epoch(own.get(node.id)))
        for node in case.survey.nodes
        if node.is_reachable and node.id not in apart
    }
    explained = disagreements_covered(case)
    wrong_lines = _wrong_lines(case, truth)
    for node, view in case.views():
        if node.id in apart or (truth.keys() <= view.known_ids and wrong_lines.isdisjoint(map(id, view.peers))):
            continue
        values = {peer.id: _claim(peer) for peer in view.peers}
        wrong = sorted(node_id for node_id in truth if values.get(node_id) != truth[node_id])
        wrong = [node_id for node_id in wrong if (node.address, node_id) not in explained]
        if wrong:
            yield Finding(
                "views-disagree",
                Severity.SERIOUS,
                node.place,
                f"the node sees {len(wrong)} of {len(truth)} nodes otherwise than they see themselves",
                "wait for gossip to settle; if it stays so, compare CLUSTER NODES of the nodes named",
                seen=_disagreement(case, wrong[0], values),
                risk="clients are sent to the wrong node",
            )


def disagreements_covered(case: CheckContext) -> set[tuple[Address | None, str]]:
    """(Who looks, at whom) where a disagreement follows from a slot with two owners, or a member that isn't found."""
    views = case.observation.views
    rivals = rival_owners(case.observation)
    pairs: set[tuple[Address | None, str]] = {(view.address, node_id) for view in views for node_id in rivals}
    unclaimed = unclaimed_slots(case.survey, case.observation)
    pairs |= {(view.address, peer.id) for view in views for peer in view.peers if unclaimed and peer.slots & unclaimed}
    return pairs | {
        (misdirection.via, misdirection.node_id) for misdirection in misdirections(case.observation, case.blueprint)
    }


def epochs(case: CheckContext) -> Iterator[Finding]:
    """Two primaries with slots and one config epoch."""
    held = [(view.myself.epoch, node) for node, view in case.views() if view.myself and node.slots]
    counted = Counter(epoch for epoch, _ in held)
    for epoch, times in sorted(counted.items()):
        if times > 1:
            places = " and ".join(node.place for number, node in held if number == epoch)
            yield Finding(
                "epoch-collision",
                Severity.WARNING,
                places,
                f"{times} primaries share the config epoch {epoch}",
                "the servers settle it themselves within seconds; if not, CLUSTER BUMPEPOCH on one of them",
                risk="a conflict over a slot could not be decided",
            )


def _outsiders(case: CheckContext) -> set[str]:
    """Nodes in a place of the file that know nobody, and those that the others look for elsewhere: what they don't know
    of the others, and these of them, is told."""
    alone = {
        changed_node_id.now
        for changed_node_id in changed_ids(case.observation, case.blueprint)
        if len(changed_node_id.view.peers) == 1
    }
    return alone | {node.node_id for node in misannounced(case.observation, case.blueprint) if node.lost}


_Claim = tuple[Role, SlotSet, str | None, int | None]


def _claim(peer: PeerView) -> _Claim:
    """What a line says that all should agree on."""
    return peer.role, peer.slots, peer.replica_of, _epoch(peer)


def _wrong_lines(case: CheckContext, truth: Mapping[str, _Claim]) -> set[int]:
    """Identities of the lines that say otherwise: views share equal lines, so each is compared once."""
    lines = {id(peer): peer for view in case.observation.views for peer in view.peers}
    return {key for key, peer in lines.items() if peer.id in truth and _claim(peer) != truth[peer.id]}


def _epoch(peer: PeerView | None) -> int | None:
    """The config epoch where it decides something: of a primary with slots. A replica is shown with its primary's."""
    return peer.epoch if peer is not None and peer.role is Role.PRIMARY and peer.slots else None


def _disagreement(case: CheckContext, node_id: str, seen: Mapping[str, _Claim]) -> str:
    node = case.survey.node(node_id)
    assert node is not None
    if node_id not in seen:
        return f"doesn't know {node.place}"
    role, slots, _, epoch = seen[node_id]
    if (role, slots) == (node.role, node.slots):
        return f"has {node.place} with another config epoch ({epoch}) or another primary than it says itself"
    return f"has {node.place} as {role} of {slots or 'no slots'}, itself says {node.role} of {node.slots or 'no slots'}"
