"""Observation -> findings. Nothing is asked and nothing is changed here; cause is told apart from consequence.

Every judge below takes the same :class:`Case` and yields what it finds. No finding at all means: every node answers,
says that the cluster is ok and sees it as all others do; all slots are served; every replica is in sync with its
primary and stands on another host; and, where there is a file, roles and settings are those of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from slotwright.model.cluster import Link, PeerView, Role
from slotwright.model.findings import Finding, Severity, by_gravity
from slotwright.model.slots import SLOT_COUNT, SlotSet
from slotwright.model.survey import SurveyNode
from slotwright.model.topology import Address, Mode
from slotwright.planning.case import Case, Judge
from slotwright.planning.claims import rival_owners, slot_cases, unclaimed_slots
from slotwright.planning.member_symptoms import member_findings
from slotwright.planning.members import changed_ids, ghosts, misdirections, misplaced_replicas
from slotwright.planning.slot_symptoms import slot_findings
from slotwright.planning.symptoms_bus import bus_links, cut_off
from slotwright.planning.symptoms_coverage import replicas_required, what_still_serves
from slotwright.planning.symptoms_data import came_back_empty, shared_directories, unpersisted
from slotwright.planning.symptoms_disk import filling_disks, log_remedy, persistence, rewrites, torn_logs
from slotwright.planning.symptoms_down import cause_of, evidence
from slotwright.planning.symptoms_host import clocks, open_files
from slotwright.planning.symptoms_login import login_finding
from slotwright.planning.symptoms_memory import killed, near_limits, overcommitted
from slotwright.wire.server_conf import SECRET_DIRECTIVES

__all__ = ["Case", "Judge", "diagnose"]

LAG_LIMIT_BYTES = 1024 * 1024


def diagnose(case: Case) -> tuple[Finding, ...]:
    """All findings, gravest first."""
    judges = _ALWAYS + (_IN_A_CLUSTER if case.survey.mode is Mode.CLUSTER else ())
    return by_gravity(tuple(found for judge in judges for found in judge(case)))


def silent_nodes(case: Case) -> Iterator[Finding]:
    """Nodes that don't answer; what follows from that for their shard is said here too."""
    reasons = {silent.address: silent.reason for silent in case.observation.silent}
    told = set(_told_of_members(case))
    for node in case.survey.nodes:
        if (node.is_reachable and node.trouble != "failed") or node.id in told:
            continue
        reason = reasons.get(node.address, "") if node.address else ""
        lost = case.survey.mode is Mode.SINGLE or (node.role is Role.PRIMARY and bool(node.slots))
        cause = cause_of(case, node)
        further = cause.seen if cause else evidence(case, node) if not node.is_reachable else ""
        yield Finding(
            cause.code if cause else "node-down" if node.trouble != "wrong password" else "wrong-password",
            Severity.SERIOUS if lost or node.trouble == "wrong password" else Severity.WARNING,
            node.place,
            _silence(node, case) + (f": {cause.what}" if cause else ""),
            (cause.remedy if cause else "") or _silence_remedy(node, case),
            seen="; ".join(part for part in (reason, further) if part),
            risk=_silence_risk(node, case),
        )


def _told_of_members(case: Case) -> Iterator[str]:
    """Ids whose silence follows from what is told of who is a member: strangers are not asked, and a node that came
    back under another id is away under its own."""
    if case.expected is None:
        return
    yield from (node.id for node in case.survey.nodes if not node.is_planned and node.trouble == "not asked")
    away = {found.planned for found in changed_ids(case.observation, case.blueprint)}
    yield from (node.id for node in case.survey.nodes if node.id in away and not node.slots)


def _outsiders(case: Case) -> set[str]:
    """Nodes in a place of the file that know nobody: what they don't know of the others, and these of them, is told."""
    return {found.now for found in changed_ids(case.observation, case.blueprint) if len(found.view.peers) == 1}


def _silence(node: SurveyNode, case: Case) -> str:
    role = f"{node.role} of shard {node.shard}" if node.shard else node.role.value
    if node.role is Role.PRIMARY and not node.slots and node.shard:
        role = f"former {role}"
    role = "instance" if case.survey.mode is Mode.SINGLE else role
    said = {
        "hangs": f"the {role} is there but does not answer",
        "loading": f"the {role} is loading its data",
        "wrong password": f"the {role} refuses our password",
        "failed": f"the {role} is held failed by the other nodes"
        + (", though it answers" if node.is_reachable else ""),
        "not asked": f"the {role} was not asked: its address is unknown",
    }
    return said.get(node.trouble, f"the {role} is down")


def _silence_risk(node: SurveyNode, case: Case) -> str:
    if case.survey.mode is Mode.SINGLE:
        return "nothing is served"
    if node.slots and node.role is Role.PRIMARY:
        others = what_still_serves(case)
        until = ", until a replica takes over" if node.shard and _copies(case, node.shard) else ""
        return f"slots {node.slots} are not served{until}" + (f"; meanwhile {others}" if others else "")
    if node.shard and _copies(case, node.shard) == 0:
        return f"shard {node.shard} has no copy: one more death loses it"
    return "less redundancy than planned"


def _silence_remedy(node: SurveyNode, case: Case) -> str:
    if node.trouble == "wrong password":
        return "give the password that the cluster was made with"
    if node.trouble == "loading":
        return "wait until it has read its files"
    if not node.is_planned:
        return "start it again, or have it forgotten with CLUSTER FORGET on every node"
    if node.trouble == "hangs":
        ours = f": slotwright stop --kill {node.place}, then slotwright start {node.place}" if case.expected else ""
        return "look at its host; if it stays so, end it and start it again" + ours
    if node.is_reachable and node.address is not None:
        tries = "; slotwright preflight tries every pair" if case.expected else ""
        return f"let the others through to its cluster bus, port {node.address.bus_port}{tries}"
    return case.repair("start its server again")


def _copies(case: Case, shard: int) -> int:
    return sum(
        node.role is Role.REPLICA and node.is_reachable and node.link is Link.UP for node in case.survey.shard(shard)
    )


def uncovered_slots(case: Case) -> Iterator[Finding]:
    """Slots that no primary owns at all; those of a dead owner are told with the owner."""
    owned = sum(len(node.slots) for node in case.survey.nodes)
    if owned < SLOT_COUNT:
        yield Finding(
            "slots-uncovered",
            Severity.SERIOUS,
            case.survey.name,
            f"{SLOT_COUNT - owned} of {SLOT_COUNT} slots belong to nobody",
            f"slotwright repair {case.survey.name} gives them to the node that has their keys, or that had them",
            risk="their keys can't be reached; "
            + (what_still_serves(case) or "with full coverage required, no key can"),
        )


def states(case: Case) -> Iterator[Finding]:
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


def views_disagree(case: Case) -> Iterator[Finding]:
    """One finding a node that sees owners, roles or members otherwise than the survey does."""
    own = {view.id: view.myself for _, view in case.views()}
    # Who can't reach the others knows old things, and the others of it: the broken links are told.
    apart = cut_off(case) | _outsiders(case)
    truth = {
        node.id: (node.role, node.slots, node.replica_of, _epoch(own.get(node.id)))
        for node in case.survey.nodes
        if node.is_reachable and node.id not in apart
    }
    explained = disagreements_told_otherwise(case)
    wrong_lines = _wrong_lines(case, truth)
    for node, view in case.views():
        if node.id in apart or (truth.keys() <= view.known_ids and wrong_lines.isdisjoint(map(id, view.peers))):
            continue
        seen = {peer.id: _claim(peer) for peer in view.peers}
        wrong = sorted(node_id for node_id in truth if seen.get(node_id) != truth[node_id])
        wrong = [node_id for node_id in wrong if (node.address, node_id) not in explained]
        if wrong:
            yield Finding(
                "views-disagree",
                Severity.SERIOUS,
                node.place,
                f"the node sees {len(wrong)} of {len(truth)} nodes otherwise than they see themselves",
                "wait for gossip to settle; if it stays so, compare CLUSTER NODES of the nodes named",
                seen=_disagreement(case, wrong[0], seen),
                risk="clients are sent to the wrong node",
            )


def disagreements_told_otherwise(case: Case) -> set[tuple[Address | None, str]]:
    """(Who looks, at whom) where a disagreement follows from a slot with two owners, or a member that isn't found."""
    views = case.observation.views
    rivals = rival_owners(case.observation)
    pairs: set[tuple[Address | None, str]] = {(view.address, node_id) for view in views for node_id in rivals}
    unclaimed = unclaimed_slots(case.survey, case.observation)
    pairs |= {(view.address, peer.id) for view in views for peer in view.peers if unclaimed and peer.slots & unclaimed}
    return pairs | {(found.via, found.node_id) for found in misdirections(case.observation, case.blueprint)}


_Claim = tuple[Role, SlotSet, str | None, int | None]


def _claim(peer: PeerView) -> _Claim:
    """What a line says that all should agree on."""
    return peer.role, peer.slots, peer.replica_of, _epoch(peer)


def _wrong_lines(case: Case, truth: Mapping[str, _Claim]) -> set[int]:
    """Identities of the lines that say otherwise: views share equal lines, so each is compared once."""
    lines = {id(peer): peer for view in case.observation.views for peer in view.peers}
    return {key for key, peer in lines.items() if peer.id in truth and _claim(peer) != truth[peer.id]}


def _epoch(peer: PeerView | None) -> int | None:
    """The config epoch where it decides something: of a primary with slots. A replica is shown with its primary's."""
    return peer.epoch if peer is not None and peer.role is Role.PRIMARY and peer.slots else None


def _disagreement(case: Case, node_id: str, seen: Mapping[str, _Claim]) -> str:
    node = case.survey.node(node_id)
    assert node is not None
    if node_id not in seen:
        return f"doesn't know {node.place}"
    role, slots, _, epoch = seen[node_id]
    if (role, slots) == (node.role, node.slots):
        return f"has {node.place} with another config epoch ({epoch}) or another primary than it says itself"
    return f"has {node.place} as {role} of {slots or 'no slots'}, itself says {node.role} of {node.slots or 'no slots'}"


def epochs(case: Case) -> Iterator[Finding]:
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


def slots(case: Case) -> Iterator[Finding]:
    """Slots that two nodes own, that a dead mover left open, or whose keys are where they should not be."""
    # Who can't reach the others still claims what another one took over; it serves nobody, and its links are told.
    apart = cut_off(case)
    cases = slot_cases(case.survey, case.observation, case.contents)
    told = tuple(each for each in cases if len(each.claimants) < 2 or apart.isdisjoint(each.claimants))
    return slot_findings(case.survey, told, case.contents)


def members(case: Case) -> Iterator[Finding]:
    """Ghosts, changed ids and addresses, replicas of the wrong primary, a lost majority."""
    return member_findings(case.survey, case.observation, case.blueprint)


def replica_links(case: Case) -> Iterator[Finding]:
    """Replicas that are not in sync, with the cause where it is known."""
    faults = dict(case.observation.login_faults)
    dead = {node.id for node in case.survey.nodes if not node.is_reachable or node.trouble == "loading"}
    lost = {(found.via, found.node_id) for found in misdirections(case.observation, case.blueprint)}
    for node, view in case.views():
        if node.link is not Link.DOWN or node.replica_of in dead or (view.address, node.replica_of) in lost:
            continue
        fault = faults.get(view.address)
        if fault is not None:
            yield login_finding(case, node, fault)
            continue
        state = "is copying its primary's data" if view.replication.is_syncing else "has lost its primary"
        yield Finding(
            "replica-link-down",
            Severity.WARNING if view.replication.is_syncing else Severity.SERIOUS,
            node.place,
            f"the replica of shard {node.shard} {state}",
            "wait for the copy to end" if view.replication.is_syncing else log_remedy(case, node),
            seen=f"link down for {view.replication.down_s} s" if view.replication.down_s else "",
            risk=f"shard {node.shard} has one copy less",
        )


def lagging_replicas(case: Case) -> Iterator[Finding]:
    """Replicas that are far behind."""
    for node in case.survey.nodes:
        if (node.lag_bytes or 0) > LAG_LIMIT_BYTES:
            yield Finding(
                "replica-lagging",
                Severity.WARNING,
                node.place,
                f"the replica is {(node.lag_bytes or 0) / 1048576:.1f} MB behind its primary",
                "look at its network and its disk",
                risk="that much is lost if the primary dies now",
            )


def bare_primaries(case: Case) -> Iterator[Finding]:
    """Shards without any replica, where the cluster has replicas elsewhere or the file wants them."""
    wants = any(node.role is Role.REPLICA for node in case.survey.nodes) or (
        case.expected is not None and any(shard.replicas for shard in case.expected.blueprint.shards)
    )
    misplaced = tuple(misplaced_replicas(case.survey, case.blueprint))
    for node in case.survey.nodes:
        if not wants or not node.slots or node.shard is None:
            continue
        others = [other for other in case.survey.shard(node.shard) if other is not node]
        if any(lost.owner.id == node.id for lost in misplaced):
            continue
        # A member of the shard that is away has been named with what its absence risks.
        if all(other.role is Role.PRIMARY and other.is_reachable and not other.trouble for other in others):
            yield Finding(
                "shard-without-replica",
                Severity.WARNING,
                node.place,
                f"shard {node.shard} has no replica",
                "give it one: CLUSTER REPLICATE on a node without slots",
                risk="the shard is lost with this node",
            )


def colocated_replicas(case: Case) -> Iterator[Finding]:
    """A replica on its primary's host, also when a failover made it so."""
    if case.expected is not None and case.expected.allow_colocated_replicas:
        return
    for node in case.survey.nodes:
        primary = case.survey.primary_of(node)
        if primary is None or node.address is None or primary.address is None:
            continue
        if node.address.host == primary.address.host and not _is_one_machine(case):
            yield Finding(
                "replica-beside-primary",
                Severity.WARNING,
                node.place,
                f"the replica of shard {node.shard} is on its primary's host",
                "move one of them to another host",
                risk=f"the death of {node.address.host} takes the whole shard",
            )


def _is_one_machine(case: Case) -> bool:
    return len({node.address.host for node in case.survey.nodes if node.address}) == 1


def moved_roles(case: Case) -> Iterator[Finding]:
    """Shards whose primary is not the one that the file wants: a failover happened."""
    if case.expected is None:
        return
    shard_of = {node.id: node.shard for node in case.expected.blueprint.nodes}
    owners: dict[int, SurveyNode] = {}
    for node in case.survey.nodes:
        if node.slots and node.id in shard_of:
            owners.setdefault(shard_of[node.id], node)
    for shard in case.expected.blueprint.shards:
        owner = owners.get(shard.number)
        if owner is not None and owner.id != shard.primary.id and owner.is_reachable:
            yield Finding(
                "role-moved",
                Severity.NOTE,
                owner.place,
                f"a failover made it the primary of shard {shard.number}, in place of {shard.primary.address}",
                f"none needed; to bring it back: slotwright failover {shard.primary.address}",
            )


def strangers(case: Case) -> Iterator[Finding]:
    """Nodes that the file doesn't know; with slots they came from another cluster, which is told once for all."""
    if case.expected is None:
        return
    told = {ghost.id for ghost in ghosts(case.observation, case.blueprint)}
    told |= {found.now for found in changed_ids(case.observation, case.blueprint)}
    foreign = [node for node in case.survey.nodes if not node.is_planned and node.id not in told]
    owners = [node for node in foreign if node.slots]
    if owners:
        yield _merged(foreign, owners)
        return
    for node in foreign:
        yield Finding(
            "unknown-node",
            Severity.WARNING,
            node.place,
            f"the cluster has a node that the file doesn't name ({node.id[:8]})",
            "find out who added it: the cluster bus has no password; slotwright repair asks, then has it forgotten",
            risk="it takes part in votes, and may hold data",
        )


def _merged(foreign: list[SurveyNode], owners: list[SurveyNode]) -> Finding:
    taken = sum(len(node.slots) for node in owners)
    return Finding(
        "clusters-merged",
        Severity.SERIOUS,
        ", ".join(node.place for node in foreign[:4]) + (" ..." if len(foreign) > 4 else ""),
        f"{len(foreign)} nodes that the file doesn't name are in the cluster, and own {taken} of its slots",
        "stop writing, and slotwright archive before anything else; then bring the archived keys back with rebuild",
        seen="somebody sent CLUSTER MEET between two live clusters, or moved slots to nodes of another",
        risk="where both had a slot, one side's keys are deleted or out of reach, while every node says ok",
    )


def settings_differ(case: Case) -> Iterator[Finding]:
    """Settings that run with another value than the file gives."""
    if case.expected is None or not case.expected.settings:
        return
    wanted = dict(case.expected.settings)
    locked_out = {address for address, _ in case.observation.login_faults}
    for node, view in case.views():
        # A wrong masterauth that has shown its consequence is told with it.
        told_apart = SECRET_DIRECTIVES if view.address in locked_out else ()
        wrong = [
            (name, value)
            for name, value in view.settings
            if wanted.get(name, value) != value and name not in told_apart
        ]
        if wrong:
            told = ", ".join(_difference(name, value, wanted[name]) for name, value in wrong)
            yield Finding(
                "settings-differ",
                Severity.WARNING,
                node.place,
                "a setting is not that of the file" if len(wrong) == 1 else f"{len(wrong)} settings are not the file's",
                "slotwright up",
                seen=told,
            )


def _difference(name: str, now: str, wanted: str) -> str:
    return f"{name} differs" if name in SECRET_DIRECTIVES else f"{name} is {now}, the file says {wanted}"


def loading(case: Case) -> Iterator[Finding]:
    """Nodes that are reading their data: some versions answer meanwhile."""
    for node in case.survey.nodes:
        if node.is_reachable and node.trouble == "loading":
            yield Finding(
                "loading",
                Severity.SERIOUS if node.slots or case.survey.mode is Mode.SINGLE else Severity.WARNING,
                node.place,
                "the node is loading its data",
                "wait until it has read its files",
                risk="until then it serves nothing",
            )


def versions(case: Case) -> Iterator[Finding]:
    """More than one server version."""
    found = sorted({view.version for _, view in case.views()})
    if len(found) > 1:
        yield Finding(
            "versions-mixed",
            Severity.NOTE,
            case.survey.name,
            f"{len(found)} server versions run",
            "finish the upgrade",
            seen=", ".join(version.title for version in found),
        )


_ALWAYS: tuple[Judge, ...] = (
    silent_nodes,
    persistence,
    rewrites,
    filling_disks,
    torn_logs,
    near_limits,
    overcommitted,
    killed,
    unpersisted,
    shared_directories,
    clocks,
    open_files,
    loading,
    settings_differ,
)
_IN_A_CLUSTER: tuple[Judge, ...] = (
    uncovered_slots,
    states,
    views_disagree,
    epochs,
    slots,
    members,
    replica_links,
    lagging_replicas,
    bare_primaries,
    colocated_replicas,
    moved_roles,
    strangers,
    versions,
    bus_links,
    replicas_required,
    came_back_empty,
)
