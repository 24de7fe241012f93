"""The first stages of a repair: what only stopped runs again, with its place in the cluster, and with its data.

What is on a node's own disk is the most complete copy of what it acknowledged, so starting comes before everything
else. Four cases are held back: a primary that would come back with less than its replica has waits until the replica
has taken over; damaged files are not touched while the shard has no other live copy; a place in the cluster is given
back only as the other members have it; and where nothing of a shard is left anywhere, somebody has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slotwright.model.blueprint import BlueprintNode, BlueprintShard
from slotwright.model.cluster import Role
from slotwright.model.exam import NodeExam
from slotwright.model.facts import DirectoryState
from slotwright.model.repair import (
    Await,
    EndNode,
    MendAppendLog,
    RepairStep,
    Risk,
    SetDataAside,
    StartServer,
    Thaw,
    WriteMap,
)
from slotwright.model.topology import Address
from slotwright.planning.members import changed_ids, shard_owner, votes
from slotwright.planning.situation import Situation
from slotwright.wire.nodes_conf import judge_map, map_for
from slotwright.wire.systemd_unit import Persistence

CUT_LOG = "cut-log"
_GONE = (DirectoryState.ABSENT, DirectoryState.EMPTY)


def process_steps(situation: Situation) -> Iterator[RepairStep]:
    """For every node of the file that does not answer and whose host can be asked, its next steps."""
    silent = {silent.address: silent for silent in situation.observation.silent}
    for shard, node in situation.planned():
        exam = situation.exam(node.address)
        if exam is None or node.address not in silent:
            continue
        if exam.process is not None:
            yield from _unfreeze(situation, shard, node, exam)
        elif exam.directory is DirectoryState.OURS or exam.directory in _GONE:
            yield from _revive(situation, shard, node, exam)
    yield from _back_to_their_ids(situation)


def heir(situation: Situation, shard: BlueprintShard, node: BlueprintNode) -> Address | None:
    """Where another live node serves the shard in the node's place; None where the node is still its primary for all.

    Of whatever shard that one is by the file: it may have followed this shard's primary when that died.
    """
    assert situation.blueprint is not None
    owner = shard_owner(situation.survey, situation.blueprint, shard.number)
    if owner is None or owner.id == node.id or owner.trouble or not owner.is_reachable:
        return None
    return owner.address


def copy_of(situation: Situation, node: BlueprintNode) -> Address | None:
    """A live replica that holds its data while the node itself is away; one of another primary has not got them."""
    for view in situation.observation.views:
        mine = view.myself
        if mine is None or mine.replica_of != node.id or view.id == node.id or view.health.is_loading:
            continue
        if view.replication.role is Role.REPLICA and (view.replication.offset or view.health.keys):
            return view.address
    return None


def _is_copy_to_come(situation: Situation, shard: BlueprintShard, node: BlueprintNode, *, loses_data: bool) -> bool:
    """Whether another member of the shard, frozen, or stopped with data on its disk, is to come back before it."""
    for other in shard.nodes:
        exam = situation.exam(other.address)
        seen = situation.node(other.id)
        is_silent = any(silent.address == other.address for silent in situation.observation.silent)
        if other.id == node.id or exam is None or not is_silent or seen is None or seen.replica_of != node.id:
            continue
        if exam.is_stopped:
            return True
        is_whole = exam.directory is DirectoryState.OURS and not _damage(situation, other)
        can_start = exam.process is None and other.address not in situation.failed_starts
        if loses_data and is_whole and can_start and situation.persistence is not Persistence.NONE:
            return True
    return False


def _unfreeze(situation: Situation, shard: BlueprintShard, node: BlueprintNode, exam: NodeExam) -> Iterator[RepairStep]:
    if not exam.is_stopped:
        return
    place, seen = str(node.address), situation.node(node.id)
    is_replica = seen is not None and seen.role is Role.REPLICA
    if is_replica or heir(situation, shard, node) is None:
        yield RepairStep(Thaw(node.address), "node-stopped", place, "let the process that was stopped go on")
        return
    # Woken up as the primary that it was, it would serve what waits in its sockets before it learns that it is none.
    yield RepairStep(
        EndNode(node.address), "node-stopped", place, "end the stopped process: its place was taken meanwhile"
    )
    yield RepairStep(StartServer(node.address), "node-stopped", place, "start it again, as a replica")


def _revive(situation: Situation, shard: BlueprintShard, node: BlueprintNode, exam: NodeExam) -> Iterator[RepairStep]:
    place = str(node.address)
    if node.address in situation.failed_starts and not _damage(situation, node):
        return
    is_gone = exam.directory in _GONE
    lost = "folder-lost" if is_gone else _lost_map(situation, node, exam)
    damage = _damage(situation, node)
    if _is_held_back(situation, shard, node, loses_data=bool(is_gone or damage)):
        yield from _wait_for_heir(situation, shard, node)
        return
    why = damage or lost or "node-down"
    if lost and situation.is_cluster:
        text = _place_in_cluster(situation, shard, node)
        if text is None:
            return
        if is_gone and _was_primary(situation, node):
            yield _with_nothing(situation, shard, node, text)
            return
        yield RepairStep(WriteMap(node.address, text, is_new=is_gone), why, place, _map_words(is_gone))
    elif lost and is_gone:
        return
    # A start that failed for the damage is another step than the one after it.
    how = "start it again" if damage else "start it"
    if damage:
        yield _free_of_damage(situation, shard, node, damage)
    step = RepairStep(StartServer(node.address), why, place, f"{how}, {_role(situation, shard, node)}")
    yield _at_a_risk(step) if _may_be_behind(situation, shard, node) else step


START_OLD = "start-old"


def _may_be_behind(situation: Situation, shard: BlueprintShard, node: BlueprintNode) -> bool:
    """Whether a replica that can't be seen, on a host that can't be asked, may have more than this primary's disk."""
    if (
        situation.persistence is Persistence.APPEND_ONLY
        or not situation.is_cluster
        or not _was_primary(situation, node)
    ):
        return False
    return any(situation.exam(each.address) is None and situation.view(each.id) is None for each in shard.nodes)


def _at_a_risk(step: RepairStep) -> RepairStep:
    return replace(
        step,
        risk=Risk.LOSS,
        word=START_OLD,
        loss="it comes back with less than it had; a replica that lives on where it can't be seen would follow it",
    )


def _lost_map(situation: Situation, node: BlueprintNode, exam: NodeExam) -> str:
    """The code of what is wrong with its map; a stand-alone instance has none."""
    if not situation.is_cluster or not judge_map(exam.map_text or "", node.id):
        return ""
    return "map-lost" if exam.map_text is None else "map-broken"


def _map_words(is_gone: bool) -> str:
    what = "make its folder anew" if is_gone else "give it its nodes.conf back"
    return f"{what}, under the id that it had"


def _role(situation: Situation, shard: BlueprintShard, node: BlueprintNode) -> str:
    if not situation.is_cluster:
        return "the instance"
    leading = heir(situation, shard, node)
    if leading is not None:
        return f"as a replica of {leading} (shard {shard.number})"
    return f"{'the primary' if _was_primary(situation, node) else 'a replica'} of shard {shard.number}"


def _was_primary(situation: Situation, node: BlueprintNode) -> bool:
    """Whether slots are still its own by what all others say, so that what it comes back with is what they get."""
    seen = situation.node(node.id)
    return seen is None or (seen.role is Role.PRIMARY and bool(seen.slots))


def _is_held_back(situation: Situation, shard: BlueprintShard, node: BlueprintNode, *, loses_data: bool) -> bool:
    """Whether it is a primary that would come back with less than its live replica has."""
    would_lose = loses_data or situation.persistence is not Persistence.APPEND_ONLY
    is_led = not _was_primary(situation, node)
    if not situation.is_cluster or not would_lose or is_led:
        return False
    is_to_come = _is_copy_to_come(situation, shard, node, loses_data=loses_data)
    return is_to_come or copy_of(situation, node) is not None


def _wait_for_heir(situation: Situation, shard: BlueprintShard, node: BlueprintNode) -> Iterator[RepairStep]:
    """Nothing more where there are no votes, or where it was waited for in vain: then the replica is promoted first
    (``repair_members``), and the node comes back behind it. A replica that is still to come back does so first."""
    copy = copy_of(situation, node)
    until = f"{copy} takes over shard {shard.number}"
    if copy is not None and until not in situation.waited and votes(situation.survey).is_enough:
        yield RepairStep(
            Await(until, 2 * situation.node_timeout_s + 5),
            "node-down",
            str(node.address),
            f"wait until {until}: started now, {node.address} would come back with less than it has",
        )


def _damage(situation: Situation, node: BlueprintNode) -> str:
    codes = [found.code for found in situation.findings if found.where == str(node.address)]
    return next((code for code in codes if code in ("append-log-damaged", "snapshot-damaged")), "")


def _free_of_damage(situation: Situation, shard: BlueprintShard, node: BlueprintNode, damage: str) -> RepairStep:
    place, other = str(node.address), heir(situation, shard, node)
    if not _was_primary(situation, node):
        return RepairStep(
            SetDataAside(node.address),
            damage,
            place,
            f"move its damaged files aside: it copies everything from {other or 'its primary'}",
        )
    if damage == "append-log-damaged":
        return RepairStep(
            MendAppendLog(node.address),
            damage,
            place,
            "cut what can't be read off its append-only file: there is no other copy of the shard",
            Risk.LOSS,
            CUT_LOG,
            "every write after the damaged place is lost (the whole file is archived first)",
        )
    return RepairStep(
        SetDataAside(node.address),
        damage,
        place,
        "move its damaged snapshot aside and start empty: there is no other copy of the shard",
        Risk.LOSS,
        f"lose-shard-{shard.number}",
        f"all keys of shard {shard.number} (the damaged file is archived first)",
    )


def _with_nothing(situation: Situation, shard: BlueprintShard, node: BlueprintNode, text: str) -> RepairStep:
    """Its folder is gone, and nobody else has the shard's data now."""
    return RepairStep(
        WriteMap(node.address, text, is_new=True),
        "folder-lost",
        str(node.address),
        f"make its folder anew, empty: no live node has the data of shard {shard.number}",
        Risk.LOSS,
        f"lose-shard-{shard.number}",
        f"all keys of shard {shard.number}; a replica that comes back later would follow the empty primary",
    )


def _place_in_cluster(situation: Situation, shard: BlueprintShard, node: BlueprintNode) -> str | None:
    """The node's map: as a live member has it, else the last good copy of its own; None: neither knows it."""
    leading = heir(situation, shard, node)
    view = situation.observation.view_of(leading) if leading else None
    for text in situation.live_maps:
        try:
            return map_for(text, node.id, view.id if view else "")
        except ValueError:
            continue
    kept = situation.good_maps.get(node.address)
    return kept if kept is not None and not judge_map(kept, node.id) else None


def _back_to_their_ids(situation: Situation) -> Iterator[RepairStep]:
    """Nodes that came back under a new id: without slots of their own they take their old place again."""
    shards = {node.id: (shard, node) for shard, node in situation.planned()}
    for found in changed_ids(situation.observation, situation.blueprint):
        shard, node = shards[found.planned]
        exam = situation.exam(found.address)
        text = _place_in_cluster(situation, shard, node)
        mine = found.view.myself
        if exam is None or exam.process is None or text is None or mine is None:
            continue
        is_alone = not any(peer.is_connected for peer in found.view.peers if peer.id != found.now)
        if mine.slots and not is_alone:
            continue
        is_superseded = not _was_primary(situation, node)
        if _is_held_back(situation, shard, node, loses_data=not found.view.health.keys):
            yield from _wait_for_heir(situation, shard, node)
            continue
        place = str(found.address)
        saves = bool(found.view.health.keys) and not is_superseded
        yield RepairStep(EndNode(found.address, saves=saves), "id-changed", place, f"end the node {found.now[:8]}")
        yield RepairStep(WriteMap(found.address, text), "id-changed", place, f"give it back the id {node.id[:8]}")
        yield RepairStep(StartServer(found.address), "id-changed", place, "start it in its old place")
