"""The first stages of a repair: what only stopped runs again, with its place in the cluster, and with its data.

What is on a node's own disk is the most complete copy of what it acknowledged, so starting comes before everything
else. Four cases are held back: a primary that would come back with less than its replica has (its files are gone, cut,
or older than what the replica took) waits until the replica has taken over; damaged files are not touched while the
shard has no other live copy; a place in the cluster is given back only as the other members have it; and where nothing
of a shard is left anywhere, somebody has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slotwright.cluster.blueprint import BlueprintNode, BlueprintShard
from slotwright.cluster.observation import NodeView, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, EngineKind
from slotwright.features.repair.model import (
    Await,
    CutAppendLog,
    EndNode,
    RepairStep,
    Risk,
    SetDataAside,
    StartServer,
    Thaw,
    WriteMap,
)
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.health.histories import is_copy_of_another
from slotwright.health.members import changed_ids, shard_owner, votes
from slotwright.health.permission import Answer, Follow, Judgement, Start
from slotwright.health.slot_claims import claims
from slotwright.hosts.facts.disk import AppendLog
from slotwright.hosts.facts.exam import NodeExam
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.server.capabilities.data_files import drops_strays_when_it_leads
from slotwright.server.nodes_conf import check_map, map_for

CUT_LOG = "cut-log"
_GONE = (DirectoryState.ABSENT, DirectoryState.EMPTY)


def process_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """For every node of the file that does not answer and whose host can be asked, its next steps."""
    silent = {silent.address: silent for silent in repair_input.observation.silent}
    for shard, node in repair_input.planned():
        exam = repair_input.exam(node.address)
        result = repair_input.node(node.id)
        if exam is None or node.address not in silent:
            continue
        if exam.process is None and result is not None and result.is_seen_alive:
            # It runs, and its host does not know it for ours: nothing is started or made beside it.
            continue
        if exam.process is not None:
            yield from _unfreeze(repair_input, shard, node, exam)
        elif exam.directory is DirectoryState.OURS or exam.directory in _GONE:
            yield from _revive(repair_input, shard, node, exam)
    yield from _back_to_their_ids(repair_input)


def heir(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> Address | None:
    """Where another live node serves the shard in the node's place; None where the node is still its primary for all.

    Of whatever shard that one is by the file: it may have followed this shard's primary when that died.
    """
    assert repair_input.blueprint is not None
    owner = shard_owner(repair_input.survey, repair_input.blueprint, shard.number)
    owner = owner or repair_input.node(repair_input.holder(shard))
    if owner is None or owner.id == node.id or owner.trouble or not owner.is_reachable:
        return None
    return owner.address


def copy_of(repair_input: RepairInput, node: BlueprintNode) -> Address | None:
    """A live replica that holds its data while the node itself is away; one of another primary has not got them."""
    for view in repair_input.observation.views:
        mine = view.myself
        if mine is None or mine.replica_of != node.id or view.id == node.id or view.health.is_loading:
            continue
        if is_copy_of_another(view, node.id, repair_input.observation):
            continue
        if view.replication.role is Role.REPLICA and (view.replication.offset or view.health.keys):
            return view.address
    return None


def _is_copy_to_come(
    repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, *, loses_data: bool
) -> bool:
    """Whether another member of the shard, frozen, or stopped with data on its disk, is to come back before it."""
    for other in shard.nodes:
        exam = repair_input.exam(other.address)
        result = repair_input.node(other.id)
        is_silent = any(silent.address == other.address for silent in repair_input.observation.silent)
        if other.id == node.id or exam is None or not is_silent or result is None or result.replica_of != node.id:
            continue
        if exam.is_stopped:
            return True
        is_whole = exam.directory is DirectoryState.OURS and not _damage(repair_input, other)
        can_start = exam.process is None and other.address not in repair_input.failed_starts
        if loses_data and is_whole and can_start and repair_input.persistence is not Persistence.NONE:
            return True
    return False


def _unfreeze(
    repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, exam: NodeExam
) -> Iterator[RepairStep]:
    if not exam.is_stopped:
        return
    place, result = str(node.address), repair_input.node(node.id)
    is_replica = result is not None and result.role is Role.REPLICA
    if is_replica or heir(repair_input, shard, node) is None:
        yield RepairStep(Thaw(node.address), "node-stopped", place, "let the process that was stopped go on")
        return
    # Woken up as the primary that it was, it would serve what waits in its sockets before it learns that it is none.
    yield RepairStep(
        EndNode(node.address), "node-stopped", place, "end the stopped process: its place was taken meanwhile"
    )
    yield RepairStep(StartServer(node.address), "node-stopped", place, "start it again, as a replica")


def _revive(
    repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, exam: NodeExam
) -> Iterator[RepairStep]:
    place = str(node.address)
    if node.address in repair_input.failed_starts and not _damage(repair_input, node):
        return
    is_gone = exam.directory in _GONE
    lost = "folder-lost" if is_gone else _lost_map(repair_input, node, exam)
    damage = _damage(repair_input, node)
    loses_data = bool(is_gone or damage or repair_input.is_behind(node.address))
    if _is_held_back(repair_input, shard, node, loses_data=loses_data):
        yield from _wait_for_heir(repair_input, shard, node)
        return
    why = damage or lost or "node-down"
    if lost and repair_input.is_cluster:
        text = _place_in_cluster(repair_input, shard, node)
        if text is None:
            return
        if is_gone and _was_primary(repair_input, shard, node):
            yield _with_nothing(shard, node, text)
            return
        yield RepairStep(WriteMap(node.address, text, is_new=is_gone), why, place, _describe_map(is_gone))
    elif lost and is_gone:
        return
    # A start that failed for the damage is another step than the one after it.
    how = "start it again" if damage else "start it"
    if damage:
        yield _free_of_damage(repair_input, shard, node, damage)
    elif not _was_primary(repair_input, shard, node) and _is_cut(repair_input, node):
        yield RepairStep(
            SetDataAside(node.address),
            why,
            place,
            f"move its cut append-only file aside: it copies everything from {heir(repair_input, shard, node)}",
        )
    step = RepairStep(StartServer(node.address), why, place, f"{how}, {_role(repair_input, shard, node)}")
    judgement = repair_input.may(Start(node.address)) if repair_input.is_cluster and not is_gone else None
    strays = _stray_copies(repair_input, node)
    if judgement is not None and judgement.answer is Answer.ASK:
        yield replaces_copy(step, judgement)
    elif strays is not None:
        yield _losing_strays(step, strays[1])
    else:
        yield _at_a_risk(step) if _may_be_behind(repair_input, shard, node) else step


START_OLD = "start-old"
REPLACE_COPY = "replace-copy"


def replaces_copy(step: RepairStep, judgement: Judgement) -> RepairStep:
    """A node that would copy what is no continuation of its own data: somebody has to say which one is right."""
    loss = f"what it has: {judgement.why} (the files are archived first)"
    return replace(step, risk=Risk.LOSS, word=REPLACE_COPY, loss=loss)


def _may_be_behind(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> bool:
    """Whether a replica that can't be seen, on a host that can't be asked, may have more than this primary's disk."""
    has_all = repair_input.persistence is Persistence.APPEND_ONLY and not repair_input.is_behind(node.address)
    if has_all or not repair_input.is_cluster or not _was_primary(repair_input, shard, node):
        return False
    return any(
        repair_input.exam(blueprint_node.address) is None and repair_input.view(blueprint_node.id) is None
        for blueprint_node in shard.nodes
    )


def _at_a_risk(step: RepairStep) -> RepairStep:
    return replace(
        step,
        risk=Risk.LOSS,
        word=START_OLD,
        loss="it comes back with less than it had; a replica that lives on where it can't be seen would follow it",
    )


def _lost_map(repair_input: RepairInput, node: BlueprintNode, exam: NodeExam) -> str:
    """The code of what is wrong with its map; a stand-alone instance has none."""
    if not repair_input.is_cluster or not check_map(exam.map_text or "", node.id):
        return ""
    return "map-lost" if exam.map_text is None else "map-broken"


def _describe_map(is_gone: bool) -> str:
    what = "make its folder anew" if is_gone else "give it its nodes.conf back"
    return f"{what}, under the id that it had"


def _role(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> str:
    if not repair_input.is_cluster:
        return "the instance"
    leading = heir(repair_input, shard, node)
    if leading is not None:
        return f"as a replica of {leading} (shard {shard.number})"
    return f"{'the primary' if _was_primary(repair_input, shard, node) else 'a replica'} of shard {shard.number}"


def _was_primary(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> bool:
    """Whether what it comes back with is what all others get: slots are its own by what they say, or those of its shard
    belong to nobody."""
    result = repair_input.node(node.id)
    if result is None:
        return True
    if result.role is not Role.PRIMARY:
        return False
    assert repair_input.blueprint is not None
    is_led = shard_owner(repair_input.survey, repair_input.blueprint, shard.number) or repair_input.holder(shard)
    return bool(result.slots) or not is_led


def _is_held_back(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, *, loses_data: bool) -> bool:
    """Whether it is a primary that would come back with less than its live replica has."""
    would_lose = loses_data or repair_input.persistence is not Persistence.APPEND_ONLY
    would_lose = would_lose or _is_kept_by_heir(repair_input, node)
    if not repair_input.is_cluster or not would_lose or not _was_primary(repair_input, shard, node):
        return False
    is_to_come = _is_copy_to_come(repair_input, shard, node, loses_data=loses_data)
    return is_to_come or copy_of(repair_input, node) is not None


def _stray_copies(repair_input: RepairInput, node: BlueprintNode) -> tuple[NodeView, int] | None:
    """A live replica of it that has keys of slots which other nodes own, and how many, on a server that deletes these
    when it starts (Valkey: cluster_legacy.c, verifyClusterConfigWithData)."""
    result = repair_input.node(node.id)
    if result is None or not result.slots:
        return None
    owned = (other.slots for other in repair_input.survey.nodes if other.id != node.id)
    others = SlotSet.of(piece for slots in owned for piece in slots.ranges)
    for view in repair_input.observation.views:
        is_copy = view.myself is not None and view.myself.replica_of == node.id
        counts = repair_input.contents.copies.get(view.id, {}) if is_copy else {}
        keys = sum(count for slot, count in counts.items() if slot in others)
        if keys and view.version.kind is EngineKind.VALKEY:
            return view, keys
    return None


def _is_kept_by_heir(repair_input: RepairInput, node: BlueprintNode) -> bool:
    """Whether what it would delete at its start stays with a replica that takes over first."""
    found = _stray_copies(repair_input, node)
    return found is not None and not drops_strays_when_it_leads(found[0].version)


def _is_cut(repair_input: RepairInput, node: BlueprintNode) -> bool:
    disk = repair_input.disks.get(node.address)
    return disk is not None and disk.append_log in (AppendLog.CUT, AppendLog.INCOMPLETE)


def _wait_for_heir(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> Iterator[RepairStep]:
    """Nothing more where there are no votes, or where it was waited for in vain: then the replica is promoted first
    (``repair_members``), and the node comes back behind it. A replica that is still to come back does so first."""
    copy, result = copy_of(repair_input, node), repair_input.node(node.id)
    until = f"{copy} takes over shard {shard.number}"
    can_come = votes(repair_input.survey).is_enough and result is not None and bool(result.slots)
    if copy is not None and until not in repair_input.waited and can_come:
        why = repair_input.is_behind(node.address)
        yield RepairStep(
            Await(until, 2 * repair_input.node_timeout_s + 5),
            "node-down",
            str(node.address),
            f"wait until {until}: started now, {node.address} would come back with less than it has"
            + (f" ({why})" if why else ""),
        )


def _damage(repair_input: RepairInput, node: BlueprintNode) -> str:
    codes = [finding.code for finding in repair_input.findings if finding.where == str(node.address)]
    return next((code for code in codes if code in ("append-log-damaged", "snapshot-damaged")), "")


def _free_of_damage(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, damage: str) -> RepairStep:
    place, other = str(node.address), heir(repair_input, shard, node)
    if not _was_primary(repair_input, shard, node):
        return RepairStep(
            SetDataAside(node.address),
            damage,
            place,
            f"move its damaged files aside: it copies everything from {other or 'its primary'}",
        )
    if damage == "append-log-damaged":
        return RepairStep(
            CutAppendLog(node.address),
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


def _with_nothing(shard: BlueprintShard, node: BlueprintNode, text: str) -> RepairStep:
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


def _place_in_cluster(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode) -> str | None:
    """The node's map: as a live member has it, else the last good copy of its own; None: neither knows it."""
    leading = heir(repair_input, shard, node)
    view = repair_input.observation.view_of(leading) if leading else None
    for text in repair_input.live_maps:
        try:
            return map_for(text, node.id, view.id if view else "")
        except ValueError:
            continue
    kept = repair_input.good_maps.get(node.address)
    return kept if kept is not None and not check_map(kept, node.id) else None


LOSE_STRAYS = "lose-strays"


def _drops_strays(view: NodeView, *, saves: bool) -> bool:
    """Whether keys of others' slots go at its next start: a replica copies its primary, and Valkey deletes them."""
    return not saves or view.version.kind is EngineKind.VALKEY


def _strays(repair_input: RepairInput, shard: BlueprintShard, node: BlueprintNode, view: NodeView) -> int:
    """Keys that it holds of slots that other shards' nodes own."""
    assert repair_input.blueprint is not None
    owner = shard_owner(repair_input.survey, repair_input.blueprint, shard.number)
    own = {view.id, node.id, owner.id if owner is not None else ""}
    slots = [slots for node_id, slots in claims(repair_input.observation.views).items() if node_id not in own]
    others = SlotSet.of(piece for each in slots for piece in each.ranges)
    return sum(keys for slot, keys in repair_input.contents.counts.get(view.id, {}).items() if slot in others)


def _losing_strays(step: RepairStep, keys: int) -> RepairStep:
    many = f"{keys} key{'s' if keys > 1 else ''}"
    return replace(
        step,
        risk=Risk.LOSS,
        word=LOSE_STRAYS,
        loss=f"{many} of slots that other nodes own (all is archived first)",
    )


def _back_to_their_ids(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Nodes that came back under a new id: without slots of their own they take their old place again."""
    shards = {node.id: (shard, node) for shard, node in repair_input.planned()}
    for changed_node_id in changed_ids(repair_input.observation, repair_input.blueprint):
        shard, node = shards[changed_node_id.planned]
        exam = repair_input.exam(changed_node_id.address)
        text = _place_in_cluster(repair_input, shard, node)
        mine = changed_node_id.view.myself
        if exam is None or exam.process is None or text is None or mine is None:
            continue
        is_alone = not any(peer.is_connected for peer in changed_node_id.view.peers if peer.id != changed_node_id.now)
        if mine.slots and not is_alone:
            continue
        is_superseded = not _was_primary(repair_input, shard, node)
        if _is_held_back(repair_input, shard, node, loses_data=not changed_node_id.view.health.keys):
            yield from _wait_for_heir(repair_input, shard, node)
            continue
        place = str(changed_node_id.address)
        saves = bool(changed_node_id.view.health.keys) and not is_superseded
        step = RepairStep(
            EndNode(changed_node_id.address, saves=saves),
            "id-changed",
            place,
            f"end the node {changed_node_id.now[:8]}",
        )
        leader = repair_input.observation.view_of(heir(repair_input, shard, node) or changed_node_id.address)
        judgement = repair_input.may(Follow(changed_node_id.now, leader.id)) if leader is not None else None
        if is_superseded and judgement is not None and judgement.answer is Answer.ASK:
            step = replaces_copy(step, judgement)
        is_at_risk = _drops_strays(changed_node_id.view, saves=saves)
        strays = _strays(repair_input, shard, node, changed_node_id.view) if is_at_risk else 0
        yield _losing_strays(step, strays) if strays else step
        yield RepairStep(
            WriteMap(changed_node_id.address, text), "id-changed", place, f"give it back the id {node.id[:8]}"
        )
        yield RepairStep(StartServer(changed_node_id.address), "id-changed", place, "start it in its old place")
