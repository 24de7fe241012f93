"""What a repair works with: a cluster, connected, and one look at it with all that a plan is made from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from slotwright.adapters.journal import read_journal
from slotwright.adapters.quarantine import QuarantineFile
from slotwright.adapters.state import ClusterStore
from slotwright.api.context import Context
from slotwright.api.draft import marker_of
from slotwright.api.exams import examine_hosts
from slotwright.api.maps import good_map
from slotwright.api.passwords import resolve
from slotwright.api.targets import Target, open_verifier
from slotwright.errors import HostError, SlotwrightError
from slotwright.model.cluster import Observation
from slotwright.model.files import NodeFiles
from slotwright.model.record import ClusterRecord, Stage, directory_name
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode
from slotwright.operations.mending import FilesOf, Mender
from slotwright.operations.repair import Memory
from slotwright.operations.roster import Roster
from slotwright.operations.slot_settling import Settler
from slotwright.operations.verify import Verifier
from slotwright.planning.members import changed_ids
from slotwright.planning.situation import Situation
from slotwright.ports import Fleet
from slotwright.wire.journal_lines import move_intents, parse_journal
from slotwright.wire.nodes_conf import judge_map
from slotwright.wire.server_conf import NodeConfig, effective_settings, render_server_conf
from slotwright.wire.systemd_unit import Persistence, persistence_of

_DEFAULT_NODE_TIMEOUT_MS = 15000
_MAPS_READ = 3


@dataclass(frozen=True, slots=True)
class Workshop:
    """A target, connected and locked."""

    context: Context
    target: Target
    store: ClusterStore
    fleet: Fleet
    roster: Roster
    verifier: Verifier
    former: Secret | None = field(default=None, repr=False)
    takes_back: bool = False

    @property
    def record(self) -> ClusterRecord | None:
        """Of a cluster whose processes and files are ours."""
        record = self.target.record
        return record if record is not None and record.stage is not Stage.ADOPTED else None

    async def gather(self, memory: Memory, is_full: bool) -> Situation:
        """One look, with all that a plan is made from."""
        verdict = await self.verifier.look(with_canaries=False, is_deep=is_full)
        entries = parse_journal(read_journal(self.store.journal_path))
        situation = Situation(
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
            other_password=await self._other_password(verdict.observation),
            takes_back=self.takes_back,
        )
        if self.record is None or not _needs_maps(situation):
            return situation
        maps = await self._live_maps(situation)
        return replace(situation, live_maps=maps, good_maps=self._good_maps())

    def _persistence(self) -> Persistence:
        topology = self.target.topology
        if topology is None:
            return Persistence.APPEND_ONLY
        return persistence_of(effective_settings(topology.settings, topology.mode))

    async def _live_maps(self, situation: Situation) -> tuple[str, ...]:
        """Of a few members that run; the one that has seen the latest epoch first."""
        record = self.record
        assert record is not None
        views = sorted(situation.observation.views, key=lambda view: -view.current_epoch)
        members = [view for view in views if situation.is_member(view.id) and view.mode is Mode.CLUSTER]
        found = []
        for view in members[:_MAPS_READ]:
            try:
                text = await self.fleet.at(view.address.host).read_map(
                    record.node_directory(view.address), record.blueprint.cluster_id
                )
            except HostError:
                continue
            if not judge_map(text, view.id):
                found.append(text)
        return tuple(found)

    def _good_maps(self) -> dict[Address, str]:
        record = self.record
        assert record is not None
        kept = {node.address: good_map(self.store, node.address, node.id) for node in record.blueprint.nodes}
        return {address: text for address, text in kept.items() if text is not None}

    async def _other_password(self, observation: Observation) -> frozenset[Address]:
        """Nodes that refuse the cluster's password and take the one that it had before."""
        found = set()
        for silent in observation.silent:
            if silent.code == "wrong-password" and self.former != self.target.password:
                try:
                    connection = await self.fleet.login(self.former, "").dial(silent.address)
                except SlotwrightError:
                    continue
                await connection.close()
                found.add(silent.address)
        return frozenset(found)

    def files_of(self) -> FilesOf | None:
        """How a node's files are made; None where they are not ours."""
        record = self.record
        return partial(_files, record, self.target.password) if record is not None else None

    def mender(self, quarantine: QuarantineFile) -> Mender:
        """What does the steps."""
        context = self.context
        settler = Settler(
            self.roster,
            context.clock,
            context.report,
            self.verifier.addresses,
            quarantine.write,
            self.target.password,
        )
        return Mender(
            self.fleet,
            self.roster,
            context.clock,
            context.report,
            self.verifier.addresses,
            settler,
            self.record,
            self.files_of(),
            self.target.password,
            self.fleet.login,
            self.former,
        )


async def open_workshop(context: Context, target: Target, fleet: Fleet, roster: Roster) -> Workshop:
    """Raises what :func:`open_verifier` raises."""
    verifier = await open_verifier(context, target, fleet, roster)
    store = store_of(context, target)
    record = target.record
    if record is not None and record.stage is not Stage.ADOPTED:
        verifier = replace(verifier, examine=partial(examine_hosts, fleet, record))
    return Workshop(context, target, store, fleet, roster, verifier, _former_password(target, store))


def store_of(context: Context, target: Target) -> ClusterStore:
    """A cluster that is not known here has its lock, journal and quarantine under the name of its seed."""
    if target.store is not None:
        return target.store
    assert target.seed is not None
    return context.store(f"at-{directory_name(target.seed)}")


def _former_password(target: Target, store: ClusterStore) -> Secret | None:
    """The one that the nodes were given last, where the file has another one now; else what the file has."""
    kept = store.read_password()
    if kept != target.password or target.record is None:
        return kept
    try:
        return resolve(target.record.topology.password, store)
    except SlotwrightError:
        return kept


def node_timeout_s(observation: Observation) -> float:
    """The longest that a node has."""
    values = [view.setting("cluster-node-timeout") for view in observation.views]
    return max((int(value) for value in values if value and value.isdigit()), default=_DEFAULT_NODE_TIMEOUT_MS) / 1000


def _needs_maps(situation: Situation) -> bool:
    return bool(situation.observation.silent) or any(changed_ids(situation.observation, situation.blueprint))


def _files(record: ClusterRecord, password: Secret | None, address: Address, map_text: str | None) -> NodeFiles:
    node = record.blueprint.node_at(address)
    directory = record.node_directory(address)
    config = NodeConfig(address, directory, record.topology.mode, password, record.topology.settings)
    return NodeFiles(address, directory, marker_of(record.blueprint, node), render_server_conf(config), map_text)
