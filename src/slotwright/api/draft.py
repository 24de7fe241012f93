"""The desired state with all that is needed to bring it about: the blueprint, the files, and a rehearsal of them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace

from slotwright.api.ground import Ground
from slotwright.api.work import Work
from slotwright.model.blueprint import Blueprint, BlueprintNode
from slotwright.model.events import Began, Ended
from slotwright.model.files import NodeFiles
from slotwright.model.findings import Finding, Severity
from slotwright.model.plan import Step
from slotwright.model.record import ClusterRecord, HostRules, Stage, folder_of
from slotwright.model.topology import Address, Mode, Topology
from slotwright.operations.rehearse import Rehearsed, Script
from slotwright.operations.rehearse import Stage as RehearsalStage
from slotwright.planning.diff import Desired
from slotwright.planning.formation import make_blueprint
from slotwright.planning.placement import place
from slotwright.wire.nodes_conf import render_nodes_conf
from slotwright.wire.server_conf import SECRET_DIRECTIVES, NodeConfig, effective_settings, render_server_conf


@dataclass(frozen=True, slots=True)
class Draft:
    """What should be, what is remembered of it, and each node's files."""

    desired: Desired
    record: ClusterRecord
    files: dict[Address, NodeFiles] = field(repr=False)


async def make_draft(work: Work, ground: Ground, *, is_prepared: bool = False) -> Draft:
    """The desired state, rehearsed where the program is there already. ``is_prepared``: the hosts were just made ready,
    so that no step for them is left.

    Raises InputError for a configuration that the program refuses, and HostError.
    """
    topology, record = work.topology, work.store.read_record()
    placement = place(topology)
    blueprint = record.blueprint if record else make_blueprint(topology, placement, work.context.new_id)
    rehearsed = Rehearsed({}, frozenset())
    if blueprint.shards and ground.is_ready:
        rehearsed = await _rehearse(work, ground, blueprint, record)
    waves = ground.estate.waves(must_prove=not _is_formed(record)) if ground.estate and not is_prepared else ()
    return _drafted(work, ground, blueprint, rehearsed, waves, placement.findings)


def recall_draft(work: Work, ground: Ground) -> Draft | None:
    """The desired state by what the last rehearsal gave; None where anything is other than it was then."""
    record, password = work.store.read_record(), work.password
    if record is None or not _is_formed(record) or not ground.is_ready:
        return None
    is_same = record.topology == _without_secrets(work.topology) and record.version == ground.version.title
    if not is_same or record.binary != ground.binary or work.store.read_password() != password:
        return None
    settings = dict(record.settings) | {"masterauth": password.reveal() if password else ""}
    waves = ground.estate.waves(must_prove=False) if ground.estate else ()
    return _drafted(work, ground, record.blueprint, Rehearsed(settings, frozenset(settings)), waves, ())


def _drafted(
    work: Work,
    ground: Ground,
    blueprint: Blueprint,
    rehearsed: Rehearsed,
    host_waves: tuple[tuple[Step, ...], ...],
    findings: tuple[Finding, ...],
) -> Draft:
    topology, record = work.topology, work.store.read_record()
    files = _files(work, blueprint, ground)
    topology = _without_secrets(topology)
    desired = Desired(
        topology,
        blueprint,
        ground.version.title,
        rehearsed.settings,
        rehearsed.live,
        {address: hashlib.sha256(file.server_conf.encode()).hexdigest() for address, file in files.items()},
        (findings if record is None else ()) + _obstacles(ground, record),
        host_waves,
    )
    kept = ClusterRecord(
        blueprint=blueprint,
        topology=topology,
        stage=record.stage if record else Stage.FORMING,
        topology_path=str(work.loaded.path.absolute()),
        data_root=ground.data_root,
        binary=ground.binary,
        version=ground.version.title,
        settings=tuple((name, value) for name, value in rehearsed.settings.items() if name not in SECRET_DIRECTIVES),
        rules=_rules(ground, record),
        folders=record.folders if record else (),
    )
    return Draft(desired, kept, files)


def _is_formed(record: ClusterRecord | None) -> bool:
    return record is not None and record.stage is Stage.FORMED


def _obstacles(ground: Ground, record: ClusterRecord | None) -> tuple[Finding, ...]:
    """What forbids making nodes on these hosts. Nodes that live there already speak for themselves."""
    if _is_formed(record):
        away = (found for found in ground.findings if found.where in ground.away)
        return tuple(replace(found, severity=Severity.WARNING) for found in away)
    return tuple(found for found in ground.findings if found.severity is Severity.SERIOUS)


def _rules(ground: Ground, record: ClusterRecord | None) -> tuple[HostRules, ...]:
    """Of hosts whose firewall was not looked at with root's eyes, what was remembered before."""
    before = record.rules if record else ()
    if ground.estate is None:
        return before
    seen = {wish.site.host for wish in ground.estate.wishes if wish.is_root}
    return ground.estate.rules() + tuple(each for each in before if each.host not in seen)


def _without_secrets(topology: Topology) -> Topology:
    """As it may be kept: a ``masterauth`` among the settings has just been proved to be the password itself."""
    return replace(
        topology, settings=tuple((name, value) for name, value in topology.settings if name not in SECRET_DIRECTIVES)
    )


async def _rehearse(work: Work, ground: Ground, blueprint: Blueprint, record: ClusterRecord | None) -> Rehearsed:
    text = f"rehearse the configuration with {ground.version.title}"
    work.context.report(Began("rehearse", text))
    before = effective_settings(record.topology.settings, record.topology.mode) if record else ()
    script = Script(
        directory=ground.rehearsal,
        binary=ground.binary,
        version=ground.version,
        mode=work.topology.mode,
        password=work.password,
        settings=work.topology.settings,
        extra_names=tuple(name for name, _ in before),
    )
    stage = RehearsalStage(work.fleet.at(ground.host), work.context.clock, work.fleet.login_on(ground.host))
    is_ok = False
    try:
        rehearsed = await stage.rehearse(script, blueprint)
        is_ok = True
    finally:
        work.context.report(Ended("rehearse", text, is_ok))
    return rehearsed


def _files(work: Work, blueprint: Blueprint, ground: Ground) -> dict[Address, NodeFiles]:
    topology, record = work.topology, work.store.read_record()
    files: dict[Address, NodeFiles] = {}
    for node in blueprint.nodes:
        directory = f"{ground.data_root}/{folder_of(record, node.address)}"
        config = NodeConfig(node.address, directory, topology.mode, work.password, topology.settings)
        is_cluster = topology.mode is Mode.CLUSTER
        files[node.address] = NodeFiles(
            node.address,
            directory,
            marker_of(blueprint, node),
            render_server_conf(config),
            render_nodes_conf(blueprint, node, ground.version) if is_cluster else None,
        )
    return files


def marker_of(blueprint: Blueprint, node: BlueprintNode) -> str:
    """What a node's folder is known by."""
    content = {"cluster_id": blueprint.cluster_id, "name": blueprint.name, "node_id": node.id, "format": 1}
    return json.dumps(content, indent=1) + "\n"
