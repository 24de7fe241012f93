"""What a repair would be told of a sick cluster: views, exams, contents, maps, and the findings made from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from slotwright.model.cluster import (
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
from slotwright.model.contents import Contents, Twin
from slotwright.model.exam import HostExam, NodeExam
from slotwright.model.expectation import Expectation
from slotwright.model.facts import DirectoryState, ProcessId
from slotwright.model.slots import SlotSet
from slotwright.model.survey import Survey
from slotwright.model.topology import Mode
from slotwright.operations.repair import Memory
from slotwright.planning.claims import SlotCase, doubtful_slots, slot_cases
from slotwright.planning.diagnosis import Case, diagnose
from slotwright.planning.situation import Situation
from slotwright.planning.survey import take_survey
from slotwright.wire.journal_lines import move_intents
from tests.fakes.build import VERSION
from tests.fakes.pictures import HEALTH
from tests.fakes.sick_cluster import ALL, TIMEOUT_S, Cluster, Life, Line, Node, render_map


def situation_of(
    cluster: Cluster,
    memory: Memory,
    expected: Expectation,
    entries: Sequence[dict[str, object]] = (),
    *,
    is_full: bool = True,
) -> Situation:
    """One look, as ``api/repairing.py`` takes it."""
    observed = observe(cluster)
    survey = take_survey("demo", observed, cluster.blueprint)
    contents = contents_of(cluster, survey, observed, ALL if is_full else doubtful_slots(observed))
    exams = tuple(exams_of(cluster))
    findings = diagnose(Case(survey, observed, expected, exams, contents))
    return Situation(
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
    )


def observe(cluster: Cluster) -> Observation:
    """Every node of the file is asked at its place."""
    views, silent, faults = [], [], []
    for node in cluster.nodes.values():
        if node.life is Life.RUNNING:
            views.append(_view(cluster, node))
            if _is_refused(cluster, node):
                faults.append((node.place, LoginFault.MISSING))
        else:
            code = {Life.STOPPED: "timeout", Life.AWAY: "unreachable"}.get(node.life, "refused")
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
        _says_ok(cluster, node),
        node.epoch,
        Replication(node.me.role, node.offset, link),
        replace(HEALTH, keys=len(node.data), uptime_s=cluster.now - node.started_at),
        tuple(_peer(cluster, node, line) for line in node.table.values()),
    )


def _says_ok(cluster: Cluster, node: Node) -> bool:
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
    """Keys by slot on every primary, and those that two of them show."""
    counts: dict[str, dict[int, int]] = {}
    for node in cluster.running():
        if node.is_primary:
            mine = counts.setdefault(node.id, {})
            for slot, _ in node.data:
                if slot in slots:
                    mine[slot] = mine.get(slot, 0) + 1
    counted = Contents(counts, slots)
    twins = [twin for case in slot_cases(survey, observed, counted) for twin in _twins(cluster, case)]
    return Contents(counts, slots, tuple(twins))


def _twins(cluster: Cluster, case: SlotCase) -> Iterator[Twin]:
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
                yield Twin(case.slot, name, owner, holder, ours.data[key] == theirs.data[key])


def exams_of(cluster: Cluster) -> Iterator[HostExam]:
    """A host whose nodes are away can't be asked."""
    for host in dict.fromkeys(place.host for place in cluster.nodes):
        mine = [node for place, node in cluster.nodes.items() if place.host == host]
        if any(node.life is Life.AWAY for node in mine):
            yield HostExam(host, trouble="no route to host")
        else:
            yield HostExam(host, tuple(map(_exam, mine)), 2**34, 2**34)


def _exam(node: Node) -> NodeExam:
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
