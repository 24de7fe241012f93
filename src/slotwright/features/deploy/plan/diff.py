"""Desired x observed -> plan. Made again after any cut, it goes on from what is there.

A node's way is: no folder -> created -> started -> in the cluster -> with the settings of the file. Each node is put
where it stands on that way by what was observed alone. What would need more than this (other nodes, other shards,
another engine, a restart) is refused with the reason, and then nothing at all is done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from slotwright.cluster.blueprint import Blueprint, BlueprintNode
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.observation import NodeView, Observation
from slotwright.cluster.readdress import moved_hosts
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    CreateNode,
    Fact,
    MarkFormed,
    Plan,
    Refusal,
    RememberFile,
    SettingChange,
    StartNode,
    Step,
)
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.features.deploy.plan.facts import (
    digest_of,
    host_facts,
    node_facts,
    silence_facts,
    topology_facts,
    view_facts,
)
from slotwright.health.checks.members import shared_ids
from slotwright.health.forbidden_starts import forbidden_starts
from slotwright.health.permission import Copies
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.nodes import DirectoryState, HostFacts, NodeFacts
from slotwright.hosts.node_places import check_hosts
from slotwright.hosts.scripts.systemd_unit import persistence_of
from slotwright.server.server_conf import FORMATION_OVERRIDES, effective_settings, shown_value


@dataclass(frozen=True, slots=True)
class Desired:
    """What should be. ``settings`` are canonical values as the very binary gives them (secrets inside);
    ``live`` the directives that it lets change while it runs; ``conf_digests`` those of the configurations;
    ``host_waves`` what remote hosts lack (``hosts/host_waves.py``)."""

    topology: Topology
    blueprint: Blueprint
    version: str
    settings: dict[str, str] = field(repr=False)
    live: frozenset[str] = frozenset()
    conf_digests: dict[Address, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    host_waves: tuple[tuple[Step, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class World:
    """What is. ``record`` None: the cluster isn't known here yet; nothing is known of hosts that are ``away``.

    ``disks`` are those that decide whether a node may be started (``health/disk_copies.py``); so does ``kept``: what
    nodes held when they were last proved.
    """

    record: ClusterRecord | None
    hosts: tuple[HostFacts, ...]
    observation: Observation
    away: frozenset[str] = frozenset()
    disks: Mapping[Address, NodeDisk] = field(default_factory=dict)
    kept: KeptCopies = field(default_factory=KeptCopies)

    def facts_of(self, address: Address) -> NodeFacts:
        """The facts of one node; :class:`KeyError` when it wasn't looked at."""
        for host in self.hosts:
            for node in host.nodes:
                if node.address == address:
                    return node
        raise KeyError(str(address))

    @property
    def at_rest(self) -> frozenset[Address]:
        """Nodes of ours that no process runs for: those that a start would start."""
        return frozenset(node.address for host in self.hosts for node in host.nodes if node.process is None)

    def own_view(self, address: Address) -> NodeView | None:
        """The view of the node at ``address``, if it is one that slotwright started."""
        view = self.observation.view_of(address)
        return view if view is not None and self.facts_of(address).process is not None else None


def plan_changes(desired: Desired, world: World) -> Plan:
    """The way from ``world`` to ``desired``; with refusals or serious findings the plan must not be executed."""
    refusals = tuple(_refusals(desired, world))
    intruders = tuple(_intruders(desired, world))
    named = {intruder.where for intruder in intruders}
    in_the_way = check_hosts(world.hosts, desired.topology.mode, is_remote=desired.topology.is_remote)
    findings = desired.findings + intruders
    findings += tuple(finding for finding in in_the_way if finding.code != "port-taken" or finding.where not in named)
    waves = () if refusals else tuple(tuple(wave) for wave in (*desired.host_waves, *_waves(desired, world)) if wave)
    unseen, facts = tuple(sorted(world.away)), tuple(world_facts(desired, world))
    return Plan(desired.topology.name, waves, refusals, findings, digest_of(facts), unseen, facts)


def _waves(desired: Desired, world: World) -> Iterator[list[Step]]:
    stage = world.record.stage if world.record else Stage.FORMING
    nodes = _present(desired, world)
    create = [node for node in nodes if _needs_creation(world.facts_of(node.address), desired.topology.mode)]
    start = [node for node in nodes if world.facts_of(node.address).process is None]
    yield [CreateNode(node.address, node.role, node.shard) for node in create]
    # With every node away there are only first syncs to come: they need not wait for further replicas.
    is_hurried = desired.topology.mode is Mode.CLUSTER and (stage is Stage.FORMING or len(start) == len(nodes))
    yield [StartNode(node.address, node.role, node.shard, _why(node, create, stage), is_hurried) for node in start]
    changes = list(_setting_steps(desired, world))
    if stage is Stage.FORMED:
        yield changes
    # With a host away nothing would ever be usable again: what can be started is started, and the proof says the rest.
    if (start or changes or stage is Stage.FORMING) and not world.away:
        yield [AwaitUsable(len(nodes))]
    yield [*(changes if stage is Stage.FORMING else ()), *(_restoring(desired, start) if is_hurried else ())]
    if stage is Stage.FORMING:
        yield [MarkFormed(desired.topology.name)]
    elif world.record is not None and world.record.topology != desired.topology:
        yield [RememberFile(desired.topology.name, "keep the file's new text")]


def _present(desired: Desired, world: World) -> tuple[BlueprintNode, ...]:
    """The nodes that can be worked on: their hosts are there, and no later release wrote their folders."""
    nodes = (node for node in desired.blueprint.nodes if node.address.host not in world.away)
    return tuple(node for node in nodes if world.facts_of(node.address).directory.state is not DirectoryState.NEWER)


def _needs_creation(facts: NodeFacts, mode: Mode) -> bool:
    directory = facts.directory
    if facts.process is not None:
        return False
    if directory.state is not DirectoryState.OURS:
        return True
    return not directory.conf_digest or (mode is Mode.CLUSTER and not directory.has_nodes_conf)


def _why(node: BlueprintNode, created: list[BlueprintNode], stage: Stage) -> str:
    if node in created or stage is Stage.FORMING:
        return "new"
    return "its process is gone"


def _restoring(desired: Desired, started: list[BlueprintNode]) -> Iterator[Step]:
    """The timings that are lowered on the nodes started now are put back."""
    changes = tuple(
        SettingChange(name, lowered, desired.settings[name])
        for name, lowered in FORMATION_OVERRIDES
        if name in desired.settings and desired.settings[name] != lowered
    )
    if changes and desired.topology.mode is Mode.CLUSTER:
        for node in started:
            yield ApplySettings(node.address, changes)


def _setting_steps(desired: Desired, world: World) -> Iterator[Step]:
    for node in _present(desired, world):
        view = world.own_view(node.address)
        if view is None:
            continue
        changes = tuple(_changes(desired, world, view))
        digest = world.facts_of(node.address).directory.conf_digest
        if changes or digest != desired.conf_digests.get(node.address, digest):
            yield ApplySettings(node.address, changes)


def _changes(desired: Desired, world: World, view: NodeView) -> Iterator[SettingChange]:
    for name, value in view.settings:
        wanted = desired.settings.get(name, value)
        if wanted != value:
            was, then = (_as_written(name, text, desired, world) for text in (value, wanted))
            yield SettingChange(name, shown_value(name, was), shown_value(name, then))


def _as_written(name: str, value: str, desired: Desired, world: World) -> str:
    """``64mb`` rather than ``67108864`` where a file, the new or the kept one, has it so."""
    texts = dict(desired.topology.settings)
    if name in texts and desired.settings.get(name) == value:
        return texts[name]
    if world.record is not None and dict(world.record.settings).get(name) == value:
        return dict(world.record.topology.settings).get(name, value)
    return value


def _refusals(desired: Desired, world: World) -> Iterator[Refusal]:
    record = world.record
    if record is None:
        return
    yield from _topology_refusals(desired.topology, record)
    has_nodes = any(node.directory.state is DirectoryState.OURS for host in world.hosts for node in host.nodes)
    if record.version != desired.version and (has_nodes or record.stage is Stage.FORMED):
        yield Refusal(
            f"{record.version} -> {desired.version}",
            "the cluster runs another server version; rolling upgrades come later",
            "name the binaries of the running version in the file",
        )
    if set(desired.topology.addresses) != set(record.topology.addresses):
        return
    # A formation that was cut after it was usable may be in use: with keys in it, no node is made anew either.
    if record.stage is Stage.FORMED or any(view.health.keys for view in world.observation.views):
        yield from _lost_directories(desired, world)
    yield from _restart_refusals(desired, world)


def _topology_refusals(wanted: Topology, record: ClusterRecord) -> Iterator[Refusal]:
    have = record.topology
    added = [str(address) for address in wanted.addresses if address not in have.addresses]
    gone = [str(address) for address in have.addresses if address not in wanted.addresses]
    back = "undo that change in the file, or destroy the cluster and make it anew"
    moved = moved_hosts(wanted, record)
    if moved:
        yield Refusal(
            "; ".join(f"{old} -> {new}" for old, new in moved.items()),
            "the hosts have other addresses in the file than they had",
            "slotwright repair FILE, if they are the same hosts: it finds their nodes there and tells the others",
        )
        return
    if added:
        yield Refusal(f"add {', '.join(added)}", "adding nodes to a cluster (scaling) comes later", back)
    if gone:
        yield Refusal(f"remove {', '.join(gone)}", "taking nodes out of a cluster (scaling) comes later", back)
    if wanted.mode is not have.mode:
        yield Refusal(f"mode {have.mode} -> {wanted.mode}", "turning one into the other comes later", back)
    if wanted.replicas != have.replicas:
        yield Refusal(
            f"replicas {have.replicas} -> {wanted.replicas}", "changing the number of replicas comes later", back
        )
    if wanted.shards != have.shards:
        yield Refusal("other explicit shards", "moving roles between nodes comes later", back)
    if wanted.engine.kind is not have.engine.kind:
        yield Refusal(f"engine {have.engine.kind} -> {wanted.engine.kind}", "changing the server comes later", back)
    if wanted.data_directory != have.data_directory:
        yield Refusal(
            f"data {have.data_directory or 'the default place'} -> {wanted.data_directory or 'the default place'}",
            "moving the nodes' folders comes later",
            back,
        )


def _lost_directories(desired: Desired, world: World) -> Iterator[Refusal]:
    for node in _present(desired, world):
        facts = world.facts_of(node.address)
        # What can't be believed or read is a finding of its own: nothing is said of what is in the folder.
        if not facts.directory.state.hides_process and _needs_creation(facts, desired.topology.mode):
            yield Refusal(
                f"make {node.address} anew",
                f"its folder {facts.directory.path} or the map in it is gone, and with it what the cluster knows it by",
                "put the folder back; replacing a node comes later",
            )


def _restart_refusals(desired: Desired, world: World) -> Iterator[Refusal]:
    """Settings that the server takes only at its start, on nodes that run."""
    names = {
        change.name
        for node in _present(desired, world)
        if (view := world.own_view(node.address)) is not None
        for change in _changes(desired, world, view)
        if change.name not in desired.live
    }
    names |= _hidden_changes(desired, world)
    for name in sorted(names):
        yield Refusal(
            f"set {name}",
            "the server takes it only at its start; rolling restarts come later",
            f"slotwright stop {desired.topology.name}, then slotwright up (the cluster is away meanwhile)",
        )


def _hidden_changes(desired: Desired, world: World) -> set[str]:
    """Directives that CONFIG GET doesn't show (rename-command, loadmodule): told by the file's text alone."""
    # A configuration that is written already was written for a start: that node has it.
    behind = [
        node
        for node in _present(desired, world)
        if world.own_view(node.address) is not None
        and world.facts_of(node.address).directory.conf_digest != desired.conf_digests.get(node.address)
    ]
    if world.record is None or not behind:
        return set()
    before, after = world.record.topology.settings, desired.topology.settings
    touched = {name for name, _ in set(before) ^ set(after)}
    shown = set(desired.settings) | {"primaryauth", "primaryuser"}
    return touched - shown


def _copies(desired: Desired, world: World) -> Copies:
    kept = persistence_of(effective_settings(desired.topology.settings, desired.topology.mode))
    return Copies(world.observation, desired.blueprint, kept, world.disks, world.at_rest, world.kept)


def _intruders(desired: Desired, world: World) -> Iterator[Finding]:
    """Servers at our addresses that don't answer, or that answer as somebody else; and starts that would lose keys."""
    yield from _locked_out(world)
    yield from shared_ids(world.observation)
    yield from forbidden_starts(desired.topology, _copies(desired, world))
    for silent in world.observation.silent:
        facts = world.facts_of(silent.address)
        if silent.code == "wrong-password" and facts.process is None:
            yield Finding(
                "wrong-password",
                Severity.SERIOUS,
                str(silent.address),
                f"a server that refuses our password is at {silent.address}",
                "stop the server that is there, or choose another port in the file",
                seen=f"port taken by {facts.port_owner}",
            )
        elif silent.code != "wrong-password" and facts.process is not None and silent.code != "loading":
            yield Finding(
                "node-not-answering",
                Severity.SERIOUS,
                str(silent.address),
                "the node runs but does not answer",
                f"slotwright logs {silent.address}; slotwright stop {desired.topology.name} {silent.address}",
                seen=silent.reason,
            )
    ids = {node.address: node.id for node in desired.blueprint.nodes}
    for view in world.observation.views:
        owner = world.facts_of(view.address).port_owner
        if world.facts_of(view.address).directory.state is DirectoryState.NEWER:
            # A finding of its own. The server may well be its node's.
            continue
        if world.facts_of(view.address).process is None:
            yield from _squatter(view, f"port taken by {owner}" if owner else "")
        elif desired.topology.mode is Mode.CLUSTER and ids.get(view.address, view.id) != view.id:
            yield _other_member(view, "")


def _locked_out(world: World) -> Iterator[Finding]:
    """Our own nodes that refuse the password of the file: one finding, however many they are."""
    shut = [
        silent.address
        for silent in world.observation.silent
        if silent.code == "wrong-password" and world.facts_of(silent.address).process is not None
    ]
    if shut:
        more = f" and {len(shut) - 1} more nodes refuse" if len(shut) > 1 else " refuses"
        yield Finding(
            "wrong-password",
            Severity.SERIOUS,
            str(shut[0]),
            f"{shut[0]}{more} the password of the file",
            "give the password that the cluster was made with; changing it comes later",
        )


def _squatter(view: NodeView, seen: str) -> Iterator[Finding]:
    """A server that slotwright did not start, where a node of the file should be."""
    if len(view.peers) > 1 or any(peer.slots for peer in view.peers):
        yield _other_member(view, seen)
    elif view.health.keys:
        yield Finding(
            "node-not-empty",
            Severity.SERIOUS,
            str(view.address),
            f"a {view.version.title} with {view.health.keys} keys runs there, not started by slotwright",
            "choose another port in the file; slotwright changes nothing in it",
            seen=seen,
            risk="its keys would be lost",
        )


def _other_member(view: NodeView, seen: str) -> Finding:
    return Finding(
        "node-of-another-cluster",
        Severity.SERIOUS,
        str(view.address),
        f"a member of another cluster answers there ({len(view.peers)} nodes, id {view.id[:8]})",
        "choose another port in the file; slotwright changes nothing in it",
        seen=seen,
    )


def world_facts(desired: Desired, world: World) -> Iterator[Fact]:
    """What the plan depends on; memory, clients, keys and offsets may move without making it stale."""
    yield from topology_facts(desired.topology)
    yield Fact("server version", desired.version)
    yield Fact("record stage", world.record.stage.value if world.record else "none")
    yield from host_facts(desired.host_waves, world.away)
    for host in world.hosts:
        for node in host.nodes:
            yield from node_facts(node, desired.conf_digests.get(node.address, ""))
    for view in world.observation.views:
        yield from view_facts(view, desired.settings)
    yield from silence_facts(world.observation)
