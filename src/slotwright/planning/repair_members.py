"""The middle stages of a repair: passwords, addresses, who leads each shard, who follows whom, who is forgotten.

A replica is promoted only when the servers' own failover has had its time. Without a majority of primaries there is no
vote: a takeover happens by itself only where the hosts say that the primaries' processes are gone, and is asked about
where they may live on, on the other side of a partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import permutations

from slotwright.model.cluster import NodeView, Role
from slotwright.model.repair import (
    Await,
    Follow,
    Forget,
    Meet,
    Promote,
    RepairStep,
    Risk,
    SetPassword,
    StartServer,
    Thaw,
    Way,
)
from slotwright.model.survey import SurveyNode
from slotwright.model.topology import Address
from slotwright.planning.case import Case
from slotwright.planning.claims import claims
from slotwright.planning.members import ghosts, misdirections, misplaced_replicas, shard_owner, votes
from slotwright.planning.repair_processes import process_steps
from slotwright.planning.situation import Situation
from slotwright.planning.symptoms_bus import cut_off

TAKEOVER = "takeover"
FORGET = "forget"
MEET = "meet"


def password_steps(situation: Situation) -> Iterator[RepairStep]:
    """Nodes that only the former password opens, and replicas that can't log in to their primary."""
    for address in sorted(situation.other_password):
        yield RepairStep(
            SetPassword(address, is_own=True),
            "wrong-password",
            str(address),
            "give it the cluster's password: only the former one opens it",
        )
    for address, fault in situation.observation.login_faults:
        if address not in situation.other_password:
            yield RepairStep(
                SetPassword(address),
                f"replica-auth-{fault.value}",
                str(address),
                "set masterauth to the cluster's password; nothing restarts",
            )


def address_steps(situation: Situation) -> Iterator[RepairStep]:
    """Members that others look for in the wrong place.

    Where two of them own a slot, the one with the lower epoch deletes its keys of it once they hear of each other. If
    the other one has not got these, the slot is settled first; where nothing can be settled, somebody has to say so.
    """
    rivals = _rivals(situation)
    for found in misdirections(situation.observation, situation.blueprint):
        step = RepairStep(
            Meet(found.via, found.node_id, found.address),
            "address-changed" if found.is_known else "member-unknown",
            str(found.address),
            f"tell {found.via} that {found.node_id[:8]} is here" + (f", not at {found.wrong}" if found.wrong else ""),
        )
        if rivals.isdisjoint({found.via, found.address}):
            yield step
        elif not votes(situation.survey).is_enough or _is_parted(situation):
            loss = "slots have two owners among them: one of the two deletes its keys of these when they meet"
            yield replace(step, risk=Risk.LOSS, word=MEET, loss=loss)


def _is_parted(situation: Situation) -> bool:
    """Whether some of those that answer are cut off: then no slot is settled, and telling them is what ends it."""
    return bool(cut_off(Case(situation.survey, situation.observation, situation.expected, situation.exams)))


def _rivals(situation: Situation) -> set[Address]:
    """Where the nodes are that both call a slot their own, while the one that would yield has keys that the other one
    has not, or has otherwise."""
    said = claims(situation.observation.views)
    views = {view.id: view for view in situation.observation.views}
    contents, found = situation.contents, set()
    equal = Counter((twin.slot, node) for twin in contents.twins if twin.is_equal for node in (twin.owner, twin.holder))
    for one, other in permutations(said, 2):
        for slot in said[one] & said[other] if _epoch(views[one]) <= _epoch(views[other]) else ():
            if contents.keys(one, slot) > equal[slot, one]:
                found |= {views[one].address, views[other].address}
    return found


def _epoch(view: NodeView) -> int:
    return view.myself.epoch if view.myself is not None else 0


def promotion_steps(situation: Situation) -> Iterator[RepairStep]:
    """Shards whose primary is away and that have a live replica: by vote, or, without a majority, by takeover."""
    count = votes(situation.survey)
    if count.is_enough and _are_apart(situation):
        return
    for primary in _away(situation):
        best = _most_advanced(situation, primary)
        if best is None or best.address is None:
            continue
        shard = primary.shard or 0
        until = f"{best.address} takes over shard {shard}"
        if count.is_enough:
            yield from _by_vote(situation, primary, best, until)
            continue
        is_dead = _is_proven_dead(situation, primary)
        yield RepairStep(
            Promote(best.address, best.id, primary.id, primary.place, shard, Way.TAKEOVER),
            "majority-lost",
            str(best.address),
            f"take over shard {shard} from {primary.place} without votes: {count.alive} of {count.total} primaries "
            "are left" + (", and its process is gone" if is_dead else ""),
            Risk.SERVICE if is_dead else Risk.LOSS,
            "" if is_dead else TAKEOVER,
            "" if is_dead else f"if {primary.place} lives on where it can't be seen, what it acknowledges is lost",
        )


def _are_apart(situation: Situation) -> bool:
    """Whether some who vote are looked for in the wrong place: they are told first."""
    voters = {node.id: node.address for node in situation.survey.nodes if node.role is Role.PRIMARY and node.slots}
    found = misdirections(situation.observation, situation.blueprint)
    return any(each.node_id in voters or each.via in voters.values() for each in found)


def _by_vote(situation: Situation, primary: SurveyNode, best: SurveyNode, until: str) -> Iterator[RepairStep]:
    assert best.address is not None
    if until not in situation.waited:
        timeout_s = 2 * situation.node_timeout_s + 5
        yield RepairStep(Await(until, timeout_s), "node-down", primary.place, f"wait until {until}, as the servers do")
        return
    yield RepairStep(
        Promote(best.address, best.id, primary.id, primary.place, primary.shard or 0, Way.FORCE),
        "node-down",
        str(best.address),
        f"have it elected in place of {primary.place}, which does not answer",
        Risk.SERVICE,
    )


def _away(situation: Situation) -> Iterator[SurveyNode]:
    """Primaries with slots that serve nobody, and that no start will bring back within this repair.

    One that answers us lives: whether the others reach it is for them to find out.
    """
    coming = {step.where for step in process_steps(situation) if isinstance(step.action, StartServer | Thaw)}
    for node in situation.survey.nodes:
        is_away = node.trouble and not node.is_reachable and node.trouble not in ("loading", "wrong password")
        if node.role is Role.PRIMARY and node.slots and is_away and node.place not in coming:
            yield node


def _most_advanced(situation: Situation, primary: SurveyNode) -> SurveyNode | None:
    """Of the replicas that answer, the one that took most of what its primary had sent."""
    found = []
    for node in situation.survey.nodes:
        view = situation.view(node.id)
        if node.replica_of == primary.id and view is not None and not view.health.is_loading:
            found.append((view.replication.offset, view.health.keys, node.id, node))
    return max(found)[3] if found else None


def _is_proven_dead(situation: Situation, primary: SurveyNode) -> bool:
    """Its host was asked, and has no process of it."""
    exam = situation.exam(primary.address) if primary.address else None
    return exam is not None and exam.process is None


def follower_steps(situation: Situation) -> Iterator[RepairStep]:
    """Nodes that follow nobody, or the wrong one, get the primary that they should have."""
    for node, owner in _wanted_primaries(situation):
        assert node.address is not None
        yield RepairStep(
            Follow(node.address, node.id, owner.id),
            "replica-misplaced" if node.role is Role.REPLICA else "shard-without-replica",
            str(node.address),
            f"make it a replica of {owner.place} (shard {owner.shard})",
        )


def _wanted_primaries(situation: Situation) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    told: set[str] = set()
    for lost in misplaced_replicas(situation.survey, situation.blueprint):
        told.add(lost.node.id)
        if not lost.owner.trouble:
            yield lost.node, lost.owner
    for spare, bare in () if told else _surplus(situation):
        told.add(spare.id)
        yield spare, bare
    beside = {found.where for found in situation.findings if found.code == "replica-beside-primary"}
    for shard, planned in situation.planned():
        node = situation.node(planned.id)
        owner = shard_owner(situation.survey, situation.blueprint, shard.number) if situation.blueprint else None
        if node is None or owner is None or node.id in told or node.id == owner.id or not node.is_reachable:
            continue
        is_idle = node.role is Role.PRIMARY and not node.slots and not node.keys
        if (is_idle or (node.place in beside and node.replica_of != owner.id)) and not owner.trouble:
            yield node, owner
    if situation.blueprint is None:
        yield from _spares(situation)


def _surplus(situation: Situation) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    """A replica of a shard that has more than the file wants, for one that has fewer and no member of its own left.

    So it is after a failover to a replica of another shard: that one leads now, and is missed at home.
    """
    lacking, rich = _balance(situation)
    for number, owner in lacking:
        assert situation.blueprint is not None
        members = [situation.node(node.id) for node in situation.blueprint.shards[number - 1].nodes]
        if any(node is not None and node.id != owner.id and (node.trouble or not node.slots) for node in members):
            continue
        if rich:
            best = min(
                rich, key=lambda each: (_host(each) == _host(owner), not _is_beside(situation, each), each.place)
            )
            rich.remove(best)
            yield best, owner


def _balance(situation: Situation) -> tuple[list[tuple[int, SurveyNode]], list[SurveyNode]]:
    """Shards with fewer replicas than the file wants, and those replicas that others have beyond it."""
    lacking: list[tuple[int, SurveyNode]] = []
    rich: list[SurveyNode] = []
    nodes = situation.survey.nodes
    for shard in situation.blueprint.shards if situation.blueprint else ():
        owner = shard_owner(situation.survey, situation.blueprint, shard.number) if situation.blueprint else None
        if owner is None or owner.trouble or not owner.is_reachable:
            continue
        followers = [node for node in nodes if node.replica_of == owner.id and node.is_reachable and not node.trouble]
        if len(followers) < len(shard.replicas):
            lacking.append((shard.number, owner))
        else:
            followers.sort(key=lambda node: (not _is_beside(situation, node), node.place))
            rich += followers[: len(followers) - len(shard.replicas)]
    return lacking, rich


def _is_beside(situation: Situation, node: SurveyNode) -> bool:
    primary = situation.survey.primary_of(node)
    return primary is not None and _host(primary) == _host(node)


def _spares(situation: Situation) -> Iterator[tuple[SurveyNode, SurveyNode]]:
    """Without a file: an empty primary without slots follows one that has no replica, on another host if it can."""
    nodes = situation.survey.nodes
    if not any(node.role is Role.REPLICA for node in nodes):
        return
    bare = [
        node
        for node in nodes
        if node.slots and not node.trouble and not any(other.replica_of == node.id for other in nodes)
    ]
    spare = [
        node
        for node in nodes
        if node.is_reachable and node.role is Role.PRIMARY and not node.slots and not node.keys and not node.trouble
    ]
    for node in spare:
        if bare:
            best = min(bare, key=lambda owner: (_host(owner) == _host(node), owner.place))
            bare.remove(best)
            yield node, best


def _host(node: SurveyNode) -> str:
    return node.address.host if node.address else ""


def forget_steps(situation: Situation) -> Iterator[RepairStep]:
    """Ghosts, and, when somebody says so, strangers without slots."""
    for ghost in ghosts(situation.observation, situation.blueprint):
        yield RepairStep(
            Forget(ghost.id, ghost.known_to),
            "ghost-node",
            ghost.id[:8],
            f"have it forgotten by {len(ghost.known_to)} nodes",
        )
    strangers = {found.where for found in situation.findings if found.code == "unknown-node"}
    for node in situation.survey.nodes:
        if node.place in strangers and not node.slots and not node.is_planned:
            on = tuple(
                view.address for view in situation.observation.views if view.id != node.id and view.peer(node.id)
            )
            yield RepairStep(
                Forget(node.id, on),
                "unknown-node",
                node.place,
                f"have the node {node.id[:8]}, which the file does not name, forgotten by {len(on)} nodes",
                Risk.LOSS,
                FORGET,
                f"{node.place} is no member any more; if it was wanted, it has to be added again",
            )
