"""May this node start, follow, lead now? The one place that decides it, for every verb that changes roles.

Histories come first: a copy of the same history is replaced by a later one whatever the counts say. Offsets of
different histories are never compared. What a disk would bring back has no history that could be read: there its files,
and what was kept of the node when it was last seen, tell whose data it is. Counts decide only whether to ask.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.kept_copies import KeptCopies, KeptCopy
from slotwright.cluster.observation import Link, NodeView, Observation, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address
from slotwright.health.disk_copies import followers, why_behind
from slotwright.health.histories import is_copy_of_another, latest, source_of
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.scripts.systemd_unit import Persistence


@dataclass(frozen=True, slots=True)
class Start:
    """The node at ``address``, which does not run, is started with the files that it has."""

    address: Address


@dataclass(frozen=True, slots=True)
class Follow:
    """The node is made a replica: what it has is replaced by what ``primary_id`` has."""

    node_id: str
    primary_id: str


@dataclass(frozen=True, slots=True)
class Lead:
    """A replica takes the place of ``primary_id``: what the shard has is what it has, and the others copy it."""

    node_id: str
    primary_id: str


Deed = Start | Follow | Lead


class Answer(StrEnum):
    """ASK: nobody can tell which copy is right; somebody has to say so, and what goes is archived first."""

    YES = "yes"
    ASK = "ask"
    NO = "no"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``why`` says what was seen, in words for people: "" for a YES. ``other`` is the node that has the other copy."""

    answer: Answer
    why: str = ""
    other: Address | None = None


_YES = Judgement(Answer.YES)


@dataclass(frozen=True, slots=True)
class Copies:
    """Who holds what. ``disks`` are those that were read (:func:`~slotwright.health.disk_copies.disks_to_read`).

    ``own_keys`` are the keys of each primary in the slots that it owns, by node id, and ``stray_keys`` those in other
    slots, where they were counted. ``at_rest`` are nodes that do not run, by their hosts' word; ``unserved`` are ids of
    nodes that do not answer and whose slots no other node has.
    """

    seen: Observation
    members: Blueprint
    persistence: Persistence = Persistence.APPEND_ONLY
    disks: Mapping[Address, NodeDisk] = field(default_factory=dict)
    at_rest: Collection[Address] = ()
    kept: KeptCopies = field(default_factory=KeptCopies)
    own_keys: Mapping[str, int] = field(default_factory=dict)
    stray_keys: Mapping[str, int] = field(default_factory=dict)
    unserved: Collection[str] = ()


def may(deed: Deed, copies: Copies) -> Judgement:
    """Whether ``deed`` loses no copy that nobody else has, as far as can be told; the same facts give the same answer.

    YES, where the copy that goes is one of the same history and not later, or is held by another node. NO, where a
    safer way is known: the fuller copy leads first, or the owner of its slots comes back.
    """
    match deed:
        case Start():
            return _may_start(deed.address, copies)
        case Follow():
            return _may_follow(deed, copies)
        case Lead():
            return _may_lead(deed, copies)


def _may_start(address: Address, copies: Copies) -> Judgement:
    """As a primary it is copied by its replicas; as a replica it copies who leads by now."""
    for follower in followers(copies.seen, copies.members, {address}):
        if copies.persistence is Persistence.APPEND_ONLY:
            mine, copy = copies.disks.get(address), copies.disks.get(follower.address)
            why = why_behind(mine, copy, is_at_rest=follower.address in copies.at_rest)
        else:
            why = "it keeps no append-only file" if follower.view is not None else ""
        if why:
            return Judgement(Answer.NO, why, follower.address)
    node_id = next((node.id for node in copies.members.nodes if node.address == address), "")
    leader = _leader_for(node_id, copies)
    if leader is None or copies.persistence is Persistence.NONE:
        return _YES
    return _replaced(node_id, None, leader, copies)


def _may_follow(deed: Follow, copies: Copies) -> Judgement:
    view, leader = copies.seen.view_by_id(deed.node_id), copies.seen.view_by_id(deed.primary_id)
    if view is None or leader is None or not view.health.keys:
        return _YES
    mine = view.myself
    present = copies.seen.view_by_id(mine.replica_of or "") if mine is not None else None
    is_held = present is not None and view.replication.link is Link.UP
    if is_held or source_of(view, deed.primary_id, copies.seen) is not None:
        return _YES
    if mine is not None and mine.replica_of in copies.unserved and mine.replica_of != deed.primary_id:
        return Judgement(Answer.NO, "it has keys of slots whose owner does not answer")
    return _replaced(deed.node_id, view, leader, copies)


def _may_lead(deed: Lead, copies: Copies) -> Judgement:
    view = copies.seen.view_by_id(deed.node_id)
    if view is None:
        return _YES
    if is_copy_of_another(view, deed.primary_id, copies.seen):
        return Judgement(Answer.NO, "what it has was copied from another primary")
    best, *others = latest_copies(deed.primary_id, copies.seen) or (view,)
    if view.replication.history == best.replication.history and view.replication.offset < best.replication.offset:
        return Judgement(Answer.NO, f"{best.address} has a later copy", best.address)
    rivals = [other for other in (best, *others) if other.replication.history != view.replication.history]
    if not rivals:
        return _YES
    names = ", ".join(f"{rival.address} ({rival.health.keys} keys)" for rival in rivals)
    why = f"its {view.health.keys} keys and those of {names} come from different primaries"
    return Judgement(Answer.ASK, why, rivals[0].address)


def latest_copies(primary_id: str, seen: Observation) -> tuple[NodeView, ...]:
    """The latest copy of each history among the replicas of ``primary_id`` that answer, without those that have another
    primary's data: more than one where nobody can tell which of them is right."""
    views = (view for view in seen.views if view.myself is not None and view.myself.replica_of == primary_id)
    return tuple(
        latest(view for view in views if not view.health.is_loading and not is_copy_of_another(view, primary_id, seen))
    )


def _leader_for(node_id: str, copies: Copies) -> NodeView | None:
    """Whom the node would copy: its primary, or who serves its shard by now; None where it is that one itself, or
    nobody that answers serves it."""
    views = sorted(copies.seen.views, key=lambda view: -view.current_epoch)
    line = next((line for view in views if (line := view.peer(node_id)) is not None), None)
    if line is None or (line.role is Role.PRIMARY and line.slots):
        return None
    leader = copies.seen.view_by_id(line.replica_of or "")
    if leader is not None and _slots_of(leader):
        return leader
    shard = next(shard for shard in copies.members.shards if any(node.id == node_id for node in shard.nodes))
    return max(
        (view for view in views if _slots_of(view) & shard.slots),
        key=lambda view: len(_slots_of(view) & shard.slots),
        default=None,
    )


def _slots_of(view: NodeView) -> SlotSet:
    mine = view.myself
    return mine.slots if mine is not None and mine.role is Role.PRIMARY else SlotSet()


def _replaced(node_id: str, view: NodeView | None, leader: NodeView, copies: Copies) -> Judgement:
    """Whether the copy of ``node_id`` may be replaced by the one of ``leader``; ``view`` None: it does not answer."""
    kept = copies.kept.of(node_id) if view is None else None
    history, offset = _position(view, kept)
    if _continues(leader, history, offset):
        return _YES
    own = copies.own_keys.get(leader.id, leader.health.keys)
    told = leader.replication
    theirs = copies.kept.shards_of(told.history) | copies.kept.shards_of(told.former_history)
    mine = copies.kept.shards_of(history)
    had = view.health.keys if view is not None else kept.keys if kept is not None else None
    where = str(leader.address)
    if mine and theirs and mine.isdisjoint(theirs):
        why = f"what {where} has was the data of shard {min(theirs)}, and this node had that of shard {min(mine)}"
        return Judgement(Answer.ASK, why, leader.address)
    if not own and copies.stray_keys.get(leader.id):
        why = f"{where} has no key of its own slots, and {copies.stray_keys[leader.id]} of others'"
        return Judgement(Answer.ASK, why, leader.address)
    if not own and kept is None and view is None and any(_keys_of(other) for other in copies.seen.views):
        return Judgement(Answer.ASK, f"{where} has no key, and nobody knows how many this node has", leader.address)
    if had and 2 * own < had:
        why = f"{where} has {own} keys of a history that is not this node's, which had {had}"
        return Judgement(Answer.ASK, why, leader.address)
    return _YES


def _keys_of(view: NodeView) -> int:
    return view.health.keys if _slots_of(view) else 0


def _position(view: NodeView | None, kept: KeptCopy | None) -> tuple[str, int]:
    if view is not None:
        return view.replication.history, view.replication.offset
    return (kept.history, kept.offset) if kept is not None else ("", 0)


def _continues(leader: NodeView, history: str, offset: int) -> bool:
    """Whether the leader's data is of that history, and not older."""
    told = leader.replication
    if not history:
        return False
    is_same = history == told.history and offset <= told.offset
    return is_same or (history == told.former_history and offset < told.former_until)
