"""Findings on membership: who is looked for in the wrong place, who is a ghost, who follows whom, who can vote."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Observation, Role
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import Mode
from slotwright.health.members import (
    FEWEST_OWNERS,
    Misdirection,
    changed_ids,
    ghosts,
    misdirections,
    misplaced_replicas,
    votes,
)


def member_findings(survey: Survey, observation: Observation, blueprint: Blueprint | None) -> Iterator[Finding]:
    """Everything that is off with membership, but strangers (``strangers`` in ``diagnosis`` tells these)."""
    yield from _majority(survey, observation)
    yield from _changed_ids(observation, blueprint)
    yield from _ghosts(observation, blueprint)
    yield from _misdirected(observation, blueprint)
    yield from _misplaced_replicas(survey, blueprint)
    yield from shared_ids(observation)
    yield from _few_voters(survey)
    yield from _without_slots(survey, blueprint)


def _majority(survey: Survey, observation: Observation) -> Iterator[Finding]:
    count = votes(survey)
    away = [node.place for node in survey.nodes if node.role is Role.PRIMARY and node.slots and node.trouble]
    # One primary of two, or the only one: node-down says all there is to say.
    if count.is_enough or len(away) < 2 or not observation.views:
        return
    yield Finding(
        "majority-lost",
        Severity.SERIOUS,
        survey.name,
        f"{len(away)} of {count.total} primaries are away: without their votes no replica is promoted",
        "slotwright repair: it starts what only stopped, and otherwise asks before replicas take over without votes",
        seen=f"away: {', '.join(away)}",
        risk="nothing is served; if they live on elsewhere, what they acknowledge there can be lost",
    )


def shared_ids(observation: Observation) -> Iterator[Finding]:
    """Servers that began with one nodes.conf: each takes the others for itself."""
    places: dict[str, list[str]] = {}
    for view in observation.views:
        if view.mode is Mode.CLUSTER:
            places.setdefault(view.id, []).append(str(view.address))
    for node_id, addresses in places.items():
        if len(addresses) > 1:
            yield Finding(
                "id-shared",
                Severity.SERIOUS,
                " and ".join(addresses),
                f"{len(addresses)} addresses answer with one node id",
                "where these are several servers: stop all but the one with the data, remove nodes.conf from their "
                "folders, start them again, and let them join",
                seen=f"{node_id[:8]}: a folder was copied with its nodes.conf, or one server goes by several addresses",
                risk="servers with one id never join each other, and one's news is taken for the other's",
            )


def _few_voters(survey: Survey) -> Iterator[Finding]:
    """Only primaries with slots vote, and most of them must, the dead one counted (cluster.c, needed_quorum)."""
    owners = {node.id: node.place for node in survey.nodes if node.role is Role.PRIMARY and node.slots}
    copies = [node for node in survey.nodes if node.replica_of in owners]
    # Slots without an owner are told, and whose they will be is open.
    if not copies or len(owners) >= FEWEST_OWNERS or sum(len(node.slots) for node in survey.nodes) < SLOT_COUNT:
        return
    many = len(owners) > 1
    yield Finding(
        "too-few-voters",
        Severity.WARNING,
        survey.name,
        f"{len(owners)} {'primaries own' if many else 'primary owns'} all slots: when one dies, no replica is promoted",
        "give slots to a third primary; until then: slotwright failover before a primary is stopped on purpose",
        seen=f"only primaries with slots vote: {', '.join(owners.values())}",
        risk="the death of one primary ends the service until somebody steps in",
    )


def _without_slots(survey: Survey, blueprint: Blueprint | None) -> Iterator[Finding]:
    """Members that own nothing and follow nobody; those that the file doesn't name are told as that."""
    idle = [
        node.place
        for node in survey.nodes
        if node.role is Role.PRIMARY
        and not (node.slots or node.trouble)
        and node.is_reachable
        and (blueprint is None or node.is_planned)
    ]
    # Slots that belong to nobody are told, and may be theirs.
    if not idle or sum(len(node.slots) for node in survey.nodes) < SLOT_COUNT:
        return
    many = len(idle) > 1
    yield Finding(
        "member-without-slots",
        Severity.NOTE,
        survey.name if many else idle[0],
        f"{len(idle)} members own no slots and follow nobody: they serve nothing, and don't vote"
        if many
        else "the member owns no slots and follows nobody: it serves nothing, and doesn't vote",
        "CLUSTER REPLICATE makes it a replica; or give it slots, or have it forgotten",
        seen=(", ".join(idle[:6]) + (" ..." if len(idle) > 6 else "")) if many else "",
    )


def _changed_ids(observation: Observation, blueprint: Blueprint | None) -> Iterator[Finding]:
    for changed in changed_ids(observation, blueprint):
        yield Finding(
            "id-changed",
            Severity.SERIOUS,
            str(changed.address),
            "the node came back under another id: its nodes.conf was lost",
            "slotwright repair gives it its place in the cluster back",
            seen=f"{changed.now[:8]} instead of {changed.planned[:8]}; it knows {len(changed.view.peers)} nodes",
            risk="its shard has one member less, and the cluster a ghost",
        )


def _ghosts(observation: Observation, blueprint: Blueprint | None) -> Iterator[Finding]:
    for ghost in ghosts(observation, blueprint):
        known = len(ghost.known_to)
        yield Finding(
            "ghost-node",
            Severity.WARNING,
            ghost.id[:8],
            f"{known} node{'s' if known > 1 else ''} still know{'' if known > 1 else 's'} a member that is no more",
            "slotwright repair has it forgotten everywhere",
            seen=f"last at {ghost.address}" if ghost.address else "without an address",
            risk="it stays in every node's table, and in what clients are told",
        )


def _misdirected(observation: Observation, blueprint: Blueprint | None) -> Iterator[Finding]:
    looking: dict[tuple[str, bool], list[Misdirection]] = {}
    for misdirection in misdirections(observation, blueprint):
        looking.setdefault((misdirection.node_id, misdirection.is_known), []).append(misdirection)
    for (_, is_known), mine in looking.items():
        many = len(mine) > 1
        yield Finding(
            "address-changed" if is_known else "member-unknown",
            Severity.SERIOUS,
            str(mine[0].address),
            f"{len(mine)} node{'s' if many else ''} can't find this member: it is not where they look for it"
            if is_known
            else f"{len(mine)} node{'s' if many else ''} {'do' if many else 'does'} not know this member",
            "slotwright repair tells them where it is now",
            seen=_looked_for(mine),
            risk="it is held failed, and its slots with it" if is_known else "clients that ask them are not sent there",
        )


def _looked_for(result: list[Misdirection]) -> str:
    places = sorted({str(misdirection.wrong) for misdirection in result if misdirection.wrong})
    by = ", ".join(sorted(str(misdirection.via) for misdirection in result)[:3])
    return f"looked for at {', '.join(places)}" if places else f"not in the table of {by}"


def _misplaced_replicas(survey: Survey, blueprint: Blueprint | None) -> Iterator[Finding]:
    for lost in misplaced_replicas(survey, blueprint):
        remedy = "slotwright repair has it follow its own shard's primary again"
        if lost.is_needed:
            remedy = (
                "leave it, it is the only live copy there: bring a replica of that shard back, then slotwright repair"
            )
        primary = survey.primary_of(lost.node)
        follows = primary.place if primary else (lost.node.replica_of or "")[:8]
        yield Finding(
            "replica-misplaced",
            Severity.NOTE if lost.is_needed else Severity.WARNING,
            lost.node.place,
            f"it follows {follows}, not the primary of its shard {lost.shard}",
            remedy,
            risk=f"shard {lost.shard} has one copy less than the file wants",
        )
