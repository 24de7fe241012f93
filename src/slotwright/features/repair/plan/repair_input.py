"""What a plan of repairs is made from: what the servers say, what the hosts say, what the journal remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slotwright.cluster.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.findings import Finding
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.key_holders import Contents
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.health.permission import Answer, Copies, Deed, Judgement, Start, may
from slotwright.health.slot_claims import unclaimed_slots
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam, NodeExam, exam_of
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.keys.model.slot_moves import MoveIntent


@dataclass(frozen=True, slots=True)
class RepairInput:
    """``findings`` are those of a diagnosis of the same look.

    ``exams`` are empty where the hosts are not ours to touch; then nothing is planned for processes and files.
    ``live_maps`` are whole ``nodes.conf`` of members that run, ``good_maps`` the kept copies of the nodes' own.
    ``waited`` names what was waited for in vain, ``failed_starts`` nodes that were started and died.
    ``disks`` are those of nodes that a live replica would follow once they are started, and of these replicas.
    ``other_password``: nodes that only the cluster's former password opens. ``takes_back``: moves are to be undone.
    ``kept`` is what the nodes held when they were last proved.
    """

    survey: Survey
    observation: Observation
    findings: tuple[Finding, ...] = ()
    expected: Expectation | None = None
    exams: tuple[HostExam, ...] = ()
    contents: Contents = field(default_factory=Contents)
    persistence: Persistence = Persistence.APPEND_ONLY
    node_timeout_s: float = 15.0
    live_maps: tuple[str, ...] = field(default=(), repr=False)
    good_maps: dict[Address, str] = field(default_factory=dict, repr=False)
    intents: tuple[MoveIntent, ...] = ()
    waited: frozenset[str] = frozenset()
    failed_starts: frozenset[Address] = frozenset()
    disks: Mapping[Address, NodeDisk] = field(default_factory=dict)
    other_password: frozenset[Address] = frozenset()
    takes_back: bool = False
    kept: KeptCopies = field(default_factory=KeptCopies)

    @property
    def blueprint(self) -> Blueprint | None:
        """What the file wants; None for a cluster without one."""
        return self.expected.blueprint if self.expected else None

    def is_member(self, node_id: str) -> bool:
        """Whether the node belongs to this cluster: by the file; without one, every node that was seen."""
        return self.blueprint is None or any(node.id == node_id for node in self.blueprint.nodes)

    def address_of(self, node_id: str) -> Address:
        """Where the node was seen, or where the file has it; :class:`KeyError` for neither."""
        for node in self.survey.nodes:
            if node.id == node_id and node.address is not None:
                return node.address
        raise KeyError(node_id)

    def view(self, node_id: str) -> NodeView | None:
        """What the node says; None for one that does not answer."""
        return next((view for view in self.observation.views if view.id == node_id), None)

    def node(self, node_id: str) -> SurveyNode | None:
        """The node in the survey."""
        return next((node for node in self.survey.nodes if node.id == node_id), None)

    @property
    def at_rest(self) -> frozenset[Address]:
        """Nodes that do not run, by their hosts' word."""
        nodes = (node for host in self.exams for node in host.nodes)
        return frozenset(node.address for node in nodes if node.process is None)

    def is_behind(self, address: Address) -> str:
        """Why the node must not be started ahead of its replicas; "" where it may."""
        if self.persistence is not Persistence.APPEND_ONLY:
            return ""
        judgement = self.may(Start(address))
        return judgement.why if judgement.answer is Answer.NO else ""

    def may(self, deed: Deed) -> Judgement:
        """Whether ``deed`` loses no copy that nobody else has; without a file nobody knows what was planned: yes."""
        if self.blueprint is None:
            return Judgement(Answer.YES)
        owned = {view.id: view.myself.slots for view in self.observation.views if view.myself is not None}
        counted = {node: counts for node, counts in self.contents.counts.items() if node in owned}
        own = {
            node: sum(keys for slot, keys in counts.items() if slot in owned[node]) for node, counts in counted.items()
        }
        stray = {node: sum(counts.values()) - own[node] for node, counts in counted.items()}
        copies = Copies(
            self.observation,
            self.blueprint,
            self.persistence,
            self.disks,
            self.at_rest,
            self.kept,
            own,
            stray,
            self._unserved(),
        )
        return may(deed, copies)

    def _unserved(self) -> frozenset[str]:
        """Once another node has taken its slots over, what its replicas have is old."""
        is_short = bool(unclaimed_slots(self.survey, self.observation))
        nodes = (node for node in self.survey.nodes if not node.is_reachable)
        return frozenset(node.id for node in nodes if node.slots or is_short)

    def exam(self, address: Address) -> NodeExam | None:
        """What the host says of the node; None where it was not asked."""
        return exam_of(self.exams, address)

    def holder(self, shard: BlueprintShard, least_keys: int = 1) -> str:
        """Id of the member that runs as a primary and has most keys of the shard's slots, ``least_keys`` at the least;
        "" for none. With it the slots of a shard that nobody leads stay together."""
        counts = self.contents.counts
        held = {
            node.id: sum(keys for slot, keys in counts[node.id].items() if slot in shard.slots)
            for node in shard.nodes
            if node.id in counts
        }
        best = max(held, key=lambda node_id: (held[node_id], node_id), default="")
        return best if held.get(best, -1) >= least_keys else ""

    def planned(self) -> Iterator[tuple[BlueprintShard, BlueprintNode]]:
        """The file's nodes with their shards; nothing without a file, or for a stand-alone instance."""
        if self.blueprint is not None:
            for shard in self.blueprint.shards:
                for node in shard.nodes:
                    yield shard, node

    @property
    def is_cluster(self) -> bool:
        """Not a stand-alone instance."""
        return self.survey.mode is Mode.CLUSTER
