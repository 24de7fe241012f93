"""What a repair works with: a cluster, connected, and one look at it with all that a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from slotwright.app.context import Context
from slotwright.app.nodes_conf_copies import good_map
from slotwright.app.passwords import resolve
from slotwright.app.targets import Target, open_verifier
from slotwright.cluster.node_files import NodeFiles
from slotwright.cluster.observation import Observation
from slotwright.cluster.record import ClusterRecord, Stage, directory_name
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import HostError, RefusedError, SlotwrightError
from slotwright.features.deploy.desired import marker_of
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.run.repairer import RepairState
from slotwright.features.repair.run.steps import FilesOf, RepairActions
from slotwright.health.disk_copies import disks_to_read
from slotwright.health.members import changed_ids, with_reset_ids
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import exam_of
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.hosts.scripts.systemd_unit import Persistence, persistence_of
from slotwright.keys.migrate_keys import migrate_limiter
from slotwright.keys.move_slots import SlotMover
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.disks import read_disks
from slotwright.ops.exams import examine_hosts
from slotwright.ops.fork_budget import ForkBudget
from slotwright.ops.journal_read import move_intents, parse_journal
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import ClusterStore, Fleet, Quarantine, Secrets
from slotwright.server.integers import integer_in
from slotwright.server.nodes_conf import check_map
from slotwright.server.server_conf import NodeConfig, effective_settings, render_server_conf

_DEFAULT_NODE_TIMEOUT_MS = 15000
_MAPS_READ = 3


@dataclass(frozen=True, slots=True)
class RepairSession:
    """A target, connected and locked."""

    context: Context
    target: Target
    store: ClusterStore
    fleet: Fleet
    pool: ConnectionPool
    verifier: Verifier
    former: Secret | None = field(default=None, repr=False)
    takes_back: bool = False

    @property
    def record(self) -> ClusterRecord | None:
        """Of a cluster whose processes and files are ours."""
        record = self.target.record
        return record if record is not None and record.stage is not Stage.ADOPTED else None

    async def gather(self, memory: RepairState, is_full: bool) -> RepairInput:
        """One look, with all that a plan is made from."""
        verdict = await self.verifier.look(with_canaries=False, is_deep=is_full)
        entries = parse_journal(self.store.read_journal())
        disks = await self._disks(memory, verdict)
        repair_input = RepairInput(
            verdict.survey,
            verdict.observation,
            verdict.findings,
            self.verifier.expected,
            verdict.exams,
            verdict.contents,
            self._persistence(),
            node_timeout_s(verdict.observation),
            intents=move_intents(entries),
            waited=frozenset(memory.waited),
            failed_starts=frozenset(memory.failed_starts),
            disks=disks,
            other_password=await self._other_password(verdict.observation),
            takes_back=self.takes_back,
            kept=self.store.read_copies(),
        )
        if self.record is None or not _needs_maps(repair_input):
            return repair_input
        maps = await self._live_maps(repair_input)
        return replace(repair_input, live_maps=maps, good_maps=self._good_maps())

    async def _disks(self, memory: RepairState, verdict: Verdict) -> Mapping[Address, NodeDisk]:
        """Of nodes that don't run and have live replicas, and of these: read once for as long as the node stays away,
        since that can take the time of reading a large file."""
        record, observation = self.record, verdict.observation
        away = {silent.address for silent in observation.silent}
        memory.disks = {address: disk for address, disk in memory.disks.items() if address in away}
        if record is None or self._persistence() is not Persistence.APPEND_ONLY:
            return {}
        exams = ((address, exam_of(verdict.exams, address)) for address in away)
        at_rest = {
            address
            for address, exam in exams
            if exam is not None and exam.process is None and exam.directory is DirectoryState.OURS
        }
        new = disks_to_read(observation, record.blueprint, at_rest - memory.disks.keys())
        if new:
            disk_by_address = await read_disks(self.fleet, self.context.clock, record, new)
            memory.disks |= {address: disk for address, disk in disk_by_address.items() if address in away}
            memory.copies |= {address: disk for address, disk in disk_by_address.items() if address not in away}
        return memory.disks | memory.copies

    def _persistence(self) -> Persistence:
        topology = self.target.topology
        if topology is None:
            return Persistence.APPEND_ONLY
        return persistence_of(effective_settings(topology.settings, topology.mode))

    async def _live_maps(self, repair_input: RepairInput) -> tuple[str, ...]:
        """Of a few members that run; the one that has seen the latest epoch first."""
        record = self.record
        assert record is not None
        views = sorted(repair_input.observation.views, key=lambda view: -view.current_epoch)
        members = [view for view in views if repair_input.is_member(view.id) and view.mode is Mode.CLUSTER]
        result = []
        for view in members[:_MAPS_READ]:
            try:
                text = await self.fleet.at(view.address.host).read_map(
                    record.node_directory(view.address), record.blueprint.cluster_id
                )
            except (HostError, RefusedError):
                continue
            if not check_map(text, view.id):
                result.append(text)
        return tuple(result)

    def _good_maps(self) -> dict[Address, str]:
        record = self.record
        assert record is not None
        kept = {node.address: good_map(self.store, node.address, node.id) for node in record.blueprint.nodes}
        return {address: text for address, text in kept.items() if text is not None}

    async def _other_password(self, observation: Observation) -> frozenset[Address]:
        """Nodes that refuse the cluster's password and take the one that it had before."""
        result = set()
        for silent in observation.silent:
            if silent.code == "wrong-password" and self.former != self.target.password:
                try:
                    connection = await self.fleet.login(self.former, "").dial(silent.address)
                except SlotwrightError:
                    continue
                await connection.close()
                result.add(silent.address)
        return frozenset(result)

    def files_of(self) -> FilesOf | None:
        """How a node's files are made; None where they are not ours."""
        record = self.record
        return partial(_files, record, self.target.password) if record is not None else None

    def actions(self, quarantine: Quarantine) -> RepairActions:
        """What does the steps."""
        context = self.context
        mover = SlotMover(
            self.pool,
            context.clock,
            context.report,
            self.verifier.addresses,
            quarantine.write,
            migrate_limiter(context.clock),
            self.fleet.login(self.target.password, ""),
            self.target.password,
        )
        return RepairActions(
            self.fleet,
            self.pool,
            context.clock,
            context.report,
            self.verifier.addresses,
            mover,
            self.record,
            self.files_of(),
            self.target.password,
            self.fleet.login,
            self.former,
            budget=self._budget(),
        )

    def _budget(self) -> ForkBudget | None:
        """None where the hosts are not ours to ask."""
        if self.record is None or self.record.stage is Stage.ADOPTED:
            return None
        return ForkBudget(self.fleet.at, self.context.clock, self.context.report)


async def open_session(context: Context, target: Target, fleet: Fleet, pool: ConnectionPool) -> RepairSession:
    """Raises what :func:`open_verifier` raises."""
    verifier = await open_verifier(context, target, fleet, pool)
    store = store_of(context, target)
    record = target.record
    if record is not None and record.stage is not Stage.ADOPTED:
        verifier = replace(verifier, examine=partial(examine_hosts, fleet, record))
    elif record is not None:
        record = await _with_reset_ids(record, verifier)
        target = replace(target, record=record)
        verifier = replace(verifier, expected=target.expectation)
    return RepairSession(
        context, target, store, fleet, pool, verifier, _former_password(context.secrets, target, store)
    )


async def _with_reset_ids(record: ClusterRecord, verifier: Verifier) -> ClusterRecord:
    """An adopted node that was reset can't be given its former id: it is a member under the one that it has now."""
    observation = (await verifier.look(with_canaries=False)).observation
    return replace(record, blueprint=with_reset_ids(record.blueprint, observation))


def store_of(context: Context, target: Target) -> ClusterStore:
    """A cluster that is not known here has its lock, journal and quarantine under the name of its seed."""
    if target.store is not None:
        return target.store
    assert target.seed is not None
    return context.store(f"at-{directory_name(target.seed)}")


def _former_password(secrets: Secrets, target: Target, store: ClusterStore) -> Secret | None:
    """The one that the nodes were given last, where the file has another one now; else what the file has."""
    kept = store.read_password()
    if kept != target.password or target.record is None:
        return kept
    try:
        return resolve(secrets, target.record.topology.password, store)
    except SlotwrightError:
        return kept


def node_timeout_s(observation: Observation) -> float:
    """The longest that a node has."""
    results = [integer_in(view.setting("cluster-node-timeout")) for view in observation.views]
    return max((limit_ms for limit_ms in results if limit_ms is not None), default=_DEFAULT_NODE_TIMEOUT_MS) / 1000


def _needs_maps(repair_input: RepairInput) -> bool:
    return bool(repair_input.observation.silent) or any(changed_ids(repair_input.observation, repair_input.blueprint))


def _files(record: ClusterRecord, password: Secret | None, address: Address, map_text: str | None) -> NodeFiles:
    node = record.blueprint.node_at(address)
    directory = record.node_directory(address)
    config = NodeConfig(address, directory, record.topology.mode, password, record.topology.settings)
    return NodeFiles(directory, marker_of(record.blueprint, node), render_server_conf(config), map_text)
