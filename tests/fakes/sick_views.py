"""What a repair would be told of a sick cluster: views, exams, contents, maps, and the findings made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from slotwright.cluster.expectation import Expectation
from slotwright.cluster.key_holders import Contents, DuplicateKey
from slotwright.cluster.observation import (
    Link,
    LoginFault,
    NodeView,
    Observation,
    OpenSlot,
    PeerView,
    Replication,
    Role,
    SilentNode,
)
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.survey import Survey
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import Address, Mode
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.run.repairer import RepairState
from slotwright.health import CheckContext, diagnose
from slotwright.health.disk_copies import disks_to_read
from slotwright.health.slot_claims import SlotClaims, doubtful_slots, slot_claims, unclaimed_slots
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.hosts.facts.exam import HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, ProcessId
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.ops.journal_read import move_intents
from tests.fakes.build import VERSION
from tests.fakes.pictures import HEALTH
from tests.fakes.sick_cluster import ALL, TIMEOUT_S, Cluster, Life, Line, Node, render_map


def situation_of(
    cluster: Cluster,
    memory: RepairState,
    expected: Expectation,
    entries: Sequence[dict[str, object]] = (),
    *,
    is_full: bool = True,
) -> RepairInput:
    """One look, as ``features/repair/api.py`` takes it."""
    observed = observe(cluster)
    survey = take_survey("demo", observed, cluster.blueprint)
    contents = contents_of(cluster, survey, observed, ALL if is_full else doubtful_slots(observed))
    exams = tuple(exams_of(cluster))
    findings = diagnose(CheckContext(survey, observed, expected, exams, contents))
    return RepairInput(
        survey,
        observed,
        findings,
        expected,
        exams,
        contents,
        cluster.persistence,
        float(TIMEOUT_S),
        tuple(_live_maps(cluster)),
        cluster.good_maps,
        move_intents(entries),
        frozenset(memory.waited),
        frozenset(memory.failed_starts),
        disks_of(cluster, observed),
    )


def disks_of(cluster: Cluster, observed: Observation) -> dict[Address, NodeDisk]:
    """As ``features/repair/session.py`` has them read, where nodes keep an append-only file."""
    at_rest = {
        place
        for place, node in cluster.nodes.items()
        if node.life is Life.DEAD and node.folder.state is DirectoryState.OURS
    }
    if cluster.persistence is not Persistence.APPEND_ONLY:
        return {}
    return {place: _disk(cluster.nodes[place]) for place in disks_to_read(observed, cluster.blueprint, at_rest)}


def _disk(node: Node) -> NodeDisk:
    if node.life is not Life.DEAD or not node.folder.has_lost_end:
        return NodeDisk(AppendLog.WHOLE, 0.0)
    return NodeDisk(AppendLog.CUT if node.folder.data else AppendLog.ABSENT)


def observe(cluster: Cluster) -> Observation:
    """Every node of the file is asked at its place."""
    views, silent, faults = [], [], []
    for node in cluster.nodes.values():
        if node.life is Life.RUNNING and not node.keeps_us_out:
            views.append(_view(cluster, node))
            if _is_refused(cluster, node):
                faults.append((node.place, LoginFault.MISSING))
        else:
            code = {Life.DEAD: "refused", Life.AWAY: "unreachable"}.get(node.life, "timeout")
            silent.append(SilentNode(node.place, code, code))
    return Observation(tuple(views), tuple(silent), tuple(faults))


def _is_refused(cluster: Cluster, node: Node) -> bool:
    """By its primary, that is: one that does not answer can't be tried."""
    line = node.table.get(node.me.primary or "")
    primary = cluster.nodes.get(line.address) if line is not None and line.address else None
    return not node.has_password and not node.is_linked and primary is not None and primary.life is Life.RUNNING


def _view(cluster: Cluster, node: Node) -> NodeView:
    is_replica = not node.is_primary
    link = (Link.UP if node.is_linked else Link.DOWN) if is_replica else None
    return NodeView(
        node.place,
        node.id,
        Mode.CLUSTER,
        VERSION,
        says_ok(cluster, node),
        node.epoch,
        Replication(
            node.me.role,
            node.offset,
            link,
            history=node.history,
            former_history=node.former_history,
            former_until=node.former_until,
        ),
        replace(HEALTH, keys=len(node.data), uptime_s=cluster.now - node.started_at),
        tuple(_peer(cluster, node, line) for line in node.table.values()),
    )


def says_ok(cluster: Cluster, node: Node) -> bool:
    owners = [line for line in node.table.values() if line.role is Role.PRIMARY and line.slots]
    alive = [line for line in owners if line.failed_at is None and not cluster.suspects(node, line.id)]
    served = SlotSet.of(piece for line in owners if line.failed_at is None for piece in line.slots.ranges)
    return 2 * len(alive) > len(owners) and len(served) == len(ALL)


def _peer(cluster: Cluster, node: Node, line: Line) -> PeerView:
    is_me = line.id == node.id
    flags = {"master" if line.role is Role.PRIMARY else "slave"}
    flags |= {"myself"} if is_me else set()
    flags |= {"fail"} if line.failed_at is not None else {"fail?"} if cluster.suspects(node, line.id) else set()
    flags |= {"noaddr"} if line.address is None else set()
    migrating = tuple(OpenSlot(slot, to) for slot, to in sorted(node.migrating.items())) if is_me else ()
    importing = tuple(OpenSlot(slot, source) for slot, source in sorted(node.importing.items())) if is_me else ()
    return PeerView(
        line.id,
        line.address,
        frozenset(flags),
        line.role,
        line.primary,
        line.epoch,
        is_me or cluster.is_linked_to(node, line.id),
        line.slots,
        migrating,
        importing,
    )


def contents_of(cluster: Cluster, survey: Survey, observed: Observation, slots: SlotSet) -> Contents:
    """Keys by slot on every primary, those that two of them show, and those of nobody's slots on replicas."""
    counts: dict[str, dict[int, int]] = {}
    copies: dict[str, dict[int, int]] = {}
    nobodys = unclaimed_slots(survey, observed)
    for node in cluster.running():
        if not node.is_primary and nobodys and not node.keeps_us_out:
            held = copies.setdefault(node.id, {})
            for slot, _ in node.data:
                if slot in nobodys:
                    held[slot] = held.get(slot, 0) + 1
        if node.is_primary and not node.keeps_us_out:
            mine = counts.setdefault(node.id, {})
            for slot, _ in node.data:
                if slot in slots:
                    mine[slot] = mine.get(slot, 0) + 1
    counted = Contents(counts, copies=copies)
    duplicates = [duplicate for case in slot_claims(survey, observed, counted) for duplicate in _twins(cluster, case)]
    return replace(counted, duplicates=tuple(duplicates))


def _twins(cluster: Cluster, case: SlotClaims) -> Iterator[DuplicateKey]:
    """Only between nodes that show their keys: owners, and those that import the slot."""
    importers = [node for node, _ in case.importing]
    readable = [node for node, _ in case.keys if node in case.claimants or node in importers]
    owner = next((node for node in readable if node in case.claimants), readable[0] if readable else "")
    ours = cluster.by_id(owner)
    for holder in readable:
        theirs = cluster.by_id(holder)
        if holder == owner or ours is None or theirs is None:
            continue
        for name in theirs.keys_of(case.slot):
            key = (case.slot, name)
            if key in ours.data:
                yield DuplicateKey(case.slot, name, owner, holder, ours.data[key] == theirs.data[key])


def exams_of(cluster: Cluster) -> Iterator[HostExam]:
    """A host whose nodes are away can't be asked."""
    for host in dict.fromkeys(place.host for place in cluster.nodes):
        mine = [node for place, node in cluster.nodes.items() if place.host == host]
        if any(node.life is Life.AWAY or node.keeps_us_out for node in mine):
            yield HostExam(host, trouble="no route to host")
        else:
            yield HostExam(host, tuple(map(exam_of_node, mine)), 2**34)


def exam_of_node(node: Node) -> NodeExam:
    is_dead = node.life is Life.DEAD
    return NodeExam(
        node.place,
        node.folder.state if is_dead else DirectoryState.OURS,
        None if is_dead else ProcessId(1, "boot:1"),
        "" if is_dead else "T" if node.life is Life.STOPPED else "S",
        10032,
        node.folder.map if is_dead else None,
        node.folder.log if is_dead else "",
        10**11,
        1,
    )


def _live_maps(cluster: Cluster) -> list[str]:
    members = {node.id for node in cluster.blueprint.nodes}
    nodes = sorted((node for node in cluster.running() if node.id in members), key=lambda node: -node.epoch)
    return [render_map(cluster, node) for node in nodes[:3]]
