"""Which nodes a drill takes away and which may come back when; whether that is a drill or an outage; and what its load
says of it afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, Observation, Role
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import HostError, SlotwrightError
from slotwright.health.disk_copies import followers
from slotwright.health.forbidden_starts import forbidden_starts
from slotwright.health.permission import Copies
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.hosts.scripts.systemd_unit import Persistence, persistence_of
from slotwright.server.server_conf import effective_settings


class OutageKind(StrEnum):
    """What is done to a process."""

    KILL = "kill"
    FREEZE = "freeze"
    START = "start"
    THAW = "thaw"


@dataclass(frozen=True, slots=True)
class OutageStep:
    """The node at ``address``, which runs or ran as ``process``, is taken away or brought back."""

    kind: OutageKind
    address: Address
    process: ProcessId

    @property
    def where(self) -> str:
        """The node."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class DrillTargets:
    """``nodes`` are taken away at once; ``shards`` are those among theirs that lose their primary."""

    nodes: tuple[Address, ...]
    shards: tuple[int, ...]


def choose_victims(survey: Survey, *, node: Address | None = None, host: str = "") -> DrillTargets | Finding:
    """The named node, or all nodes of the named host, or the primary of the first shard.

    A Finding says why it would not be a drill: no replica in sync could take over, or most primaries would be away.
    """
    owners = [other for other in survey.nodes if other.role is Role.PRIMARY and other.slots]
    if survey.mode is Mode.SINGLE or not owners:
        return _no(survey.name, "there is no cluster to take over from it", "drills are for clusters")
    taken = [other for other in survey.nodes if other.address and _is_meant(other, owners[0], node, host)]
    if not taken:
        return _no(str(node or host), "it has no node there", "slotwright status shows the nodes")
    lost = [owner for owner in owners if owner in taken]
    if len(lost) * 2 >= len(owners):
        return _no(
            str(node or host),
            f"{len(lost)} of {len(owners)} primaries would be away: no majority is left",
            "spread them",
        )
    for candidate in lost:
        heirs = [
            other
            for other in survey.nodes
            if other.replica_of == candidate.id and other not in taken and other.link is Link.UP and not other.trouble
        ]
        if not heirs:
            return _no(
                candidate.place, "no replica in sync is left to take over", "slotwright check says what is wrong"
            )
    addresses = tuple(other.address for other in taken if other.address is not None)
    return DrillTargets(addresses, tuple(other.shard for other in lost if other.shard is not None))


def _is_meant(candidate: SurveyNode, first: SurveyNode, node: Address | None, host: str) -> bool:
    if node is not None:
        return candidate.address == node
    if host:
        return candidate.address is not None and candidate.address.host == host
    return candidate.id == first.id


def _no(where: str, why: str, remedy: str) -> Finding:
    return Finding("not-a-drill", Severity.SERIOUS, where, f"that would be an outage, not a drill: {why}", remedy)


def displaced_primaries(
    blueprint: Blueprint, away: Collection[Address], observation: Observation
) -> frozenset[Address]:
    """Primaries among those that are ``away`` whose slots another node has by now, as any of the others says."""
    ids = {node.id: node.address for node in blueprint.nodes if node.address in away}
    lines = (view.peer(node_id) for view in observation.views for node_id in ids if view.id != node_id)
    return frozenset(
        ids[line.id] for line in lines if line is not None and line.role is Role.PRIMARY and not line.slots
    )


def unsafe_starts(record: ClusterRecord, copies: Copies) -> dict[Address, SlotwrightError]:
    """Nodes among those at rest that must not come back yet: they would come back with less than a replica has, which
    would follow them, or copy another one's data; or such a replica does not answer, so that nobody knows."""
    unsafe: dict[Address, SlotwrightError] = {}
    for found in forbidden_starts(record.topology, copies):
        error = HostError(found.what, code=found.code, where=found.where, seen=found.seen, hint=found.remedy)
        unsafe[Address.parse(found.where)] = error
    # With an append-only file a start brings back what was there, and disks tell who has more.
    keeps_all = copies.persistence is Persistence.APPEND_ONLY
    for follower in followers(copies.seen, record.blueprint, copies.at_rest):
        if follower.view is None and follower.address not in copies.at_rest and not keeps_all:
            error = HostError(
                f"{follower.primary} would come back with less than its replica {follower.address} may have",
                code="empty-primary-start",
                where=str(follower.primary),
                seen="that replica does not answer now",
            )
            unsafe.setdefault(follower.primary, error)
    return unsafe


def persistence(record: ClusterRecord) -> Persistence:
    """What its nodes keep on disk."""
    return persistence_of(effective_settings(record.topology.settings, record.topology.mode))


def longest_gap(moments: Sequence[float], since: float, until: float) -> float:
    """The longest time without an event among ``moments`` (sorted), of which some part lies between the two times."""
    edges = [since, *(moment for moment in moments if since < moment < until), until]
    before = [moment for moment in moments if moment <= since]
    after = [moment for moment in moments if moment >= until]
    edges[0] = before[-1] if before else since
    edges[-1] = after[0] if after else until
    return max((later - earlier for earlier, later in pairwise(edges)), default=0.0)
