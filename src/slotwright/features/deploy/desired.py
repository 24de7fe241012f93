"""The desired state with all that is needed to bring it about: the blueprint, the files, and a rehearsal of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace

from slotwright.app.server_placement import ServerPlacement
from slotwright.app.session import Work
from slotwright.cluster.blueprint import Blueprint, BlueprintNode
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.node_files import NodeFiles, marker_text
from slotwright.cluster.record import ClusterRecord, HostRules, Stage, folder_of
from slotwright.cluster.steps import Step
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.features.deploy.plan.blueprint import make_blueprint
from slotwright.features.deploy.plan.diff import Desired
from slotwright.features.deploy.plan.placement import place
from slotwright.ops.journal_read import cut_settings, parse_journal
from slotwright.ops.rehearse import RehearsalHost, Rehearsed, Script
from slotwright.server.nodes_conf import render_nodes_conf
from slotwright.server.server_conf import SECRET_DIRECTIVES, NodeConfig, effective_settings, render_server_conf


@dataclass(frozen=True, slots=True)
class Draft:
    """What should be, what is remembered of it, and each node's files."""

    desired: Desired
    record: ClusterRecord
    files: dict[Address, NodeFiles] = field(repr=False)


async def make_draft(work: Work, server_placement: ServerPlacement, *, is_prepared: bool = False) -> Draft:
    """The desired state, rehearsed where the program is there already. ``is_prepared``: the hosts were just made ready,
    so that no step for them is left.

    Raises InputError for a configuration that the program refuses, and HostError.
    """
    topology, record = work.topology, work.store.read_record()
    placement = place(topology)
    blueprint = record.blueprint if record else make_blueprint(topology, placement, work.context.new_id)
    rehearsed = Rehearsed({}, frozenset())
    if blueprint.shards and server_placement.is_ready:
        rehearsed = await _rehearse(work, server_placement, blueprint, record)
    waves = (
        server_placement.remote_hosts.waves(must_prove=not _is_formed(record))
        if server_placement.remote_hosts and not is_prepared
        else ()
    )
    findings = placement.findings if record is None else ()
    return _drafted(
        work, server_placement, blueprint, rehearsed, waves, findings + _unrehearsed(topology.name, rehearsed)
    )


def _unrehearsed(name: str, rehearsed: Rehearsed) -> tuple[Finding, ...]:
    if not rehearsed.modules:
        return ()
    return (
        Finding(
            "module-not-rehearsed",
            Severity.NOTE,
            name,
            "modules that are told of paths were not tried beforehand, nor their directives",
            "look at the log of the first node that starts: slotwright logs",
            seen=", ".join(rehearsed.modules),
            risk="a node that can't load them dies at its start",
        ),
    )


def recall_draft(work: Work, server_placement: ServerPlacement) -> Draft | None:
    """The desired state by what the last rehearsal gave; None where anything is other than it was then."""
    record, password = work.store.read_record(), work.password
    if record is None or not _is_formed(record) or not server_placement.is_ready or work.store.has_baseline():
        # Where a change was cut, nodes may have settings that neither the file nor the record says.
        return None
    is_same = record.topology == _without_secrets(work.topology) and record.version == server_placement.version.title
    if not is_same or record.binary != server_placement.binary or work.store.read_password() != password:
        return None
    if not {*dict(record.settings), "masterauth"} >= set(_cut_names(work)):
        return None
    return draft_of_record(work, server_placement, record)


def draft_of_record(work: Work, server_placement: ServerPlacement, record: ClusterRecord) -> Draft:
    """What ``record`` says should be, by the values of its own rehearsal; ``work`` has its file."""
    password = work.password
    settings = dict(record.settings) | {"masterauth": password.reveal() if password else ""}
    waves = server_placement.remote_hosts.waves(must_prove=False) if server_placement.remote_hosts else ()
    return _drafted(work, server_placement, record.blueprint, Rehearsed(settings, frozenset(settings)), waves, ())


def _drafted(
    work: Work,
    server_placement: ServerPlacement,
    blueprint: Blueprint,
    rehearsed: Rehearsed,
    host_waves: tuple[tuple[Step, ...], ...],
    findings: tuple[Finding, ...],
) -> Draft:
    topology, record = work.topology, work.store.read_record()
    files = _files(work, blueprint, server_placement)
    topology = _without_secrets(topology)
    desired = Desired(
        topology,
        blueprint,
        server_placement.version.title,
        rehearsed.settings,
        rehearsed.live,
        {address: hashlib.sha256(file.server_conf.encode()).hexdigest() for address, file in files.items()},
        findings + _obstacles(server_placement, record),
        host_waves,
    )
    kept = ClusterRecord(
        blueprint=blueprint,
        topology=topology,
        stage=record.stage if record else Stage.FORMING,
        topology_path=str(work.loaded.path.absolute()),
        data_root=server_placement.data_root,
        binary=server_placement.binary,
        version=server_placement.version.title,
        settings=tuple((name, value) for name, value in rehearsed.settings.items() if name not in SECRET_DIRECTIVES),
        rules=_rules(server_placement, record),
        folders=record.folders if record else (),
    )
    return Draft(desired, kept, files)


def _is_formed(record: ClusterRecord | None) -> bool:
    return record is not None and record.stage is Stage.FORMED


def _obstacles(server_placement: ServerPlacement, record: ClusterRecord | None) -> tuple[Finding, ...]:
    """What forbids making nodes on these hosts. Nodes that live there already speak for themselves."""
    if _is_formed(record):
        away = (finding for finding in server_placement.findings if finding.where in server_placement.away)
        return tuple(replace(finding, severity=Severity.WARNING) for finding in away)
    return tuple(finding for finding in server_placement.findings if finding.severity is Severity.SERIOUS)


def _rules(server_placement: ServerPlacement, record: ClusterRecord | None) -> tuple[HostRules, ...]:
    """Of hosts whose firewall was not looked at with root's eyes, what was remembered before."""
    before = record.rules if record else ()
    if server_placement.remote_hosts is None:
        return before
    results = {options.site.host for options in server_placement.remote_hosts.options if options.is_root}
    return server_placement.remote_hosts.rules() + tuple(
        host_rules for host_rules in before if host_rules.host not in results
    )


def _without_secrets(topology: Topology) -> Topology:
    """As it may be kept: a ``masterauth`` among the settings has just been proved to be the password itself."""
    return replace(
        topology, settings=tuple((name, value) for name, value in topology.settings if name not in SECRET_DIRECTIVES)
    )


def _cut_names(work: Work) -> tuple[str, ...]:
    """What a node may have that no file says: of a step that was cut, or of a change that was cut between two."""
    cut, baseline = cut_settings(parse_journal(work.store.read_journal())), work.store.read_baseline()
    names = {name for names in cut.values() for name in names} | set(baseline.names if baseline is not None else ())
    return tuple(sorted(names))


async def _rehearse(
    work: Work, server_placement: ServerPlacement, blueprint: Blueprint, record: ClusterRecord | None
) -> Rehearsed:
    text = f"rehearse the configuration with {server_placement.version.title}"
    work.context.report(Began("rehearse", text))
    # What a node may have that was never kept: the file before this one, and what was being set when it was cut.
    before = [name for name, _ in effective_settings(record.topology.settings, record.topology.mode)] if record else []
    script = Script(
        directory=server_placement.rehearsal,
        binary=server_placement.binary,
        version=server_placement.version,
        mode=work.topology.mode,
        password=work.password,
        settings=work.topology.settings,
        extra_names=(*before, *_cut_names(work)),
    )
    stage = RehearsalHost(
        work.fleet.at(server_placement.host), work.context.clock, work.fleet.login_on(server_placement.host)
    )
    is_ok = False
    try:
        rehearsed = await stage.rehearse(script, blueprint)
        is_ok = True
    finally:
        work.context.report(Ended("rehearse", text, is_ok))
    return rehearsed


def _files(work: Work, blueprint: Blueprint, server_placement: ServerPlacement) -> dict[Address, NodeFiles]:
    topology, record = work.topology, work.store.read_record()
    files: dict[Address, NodeFiles] = {}
    for node in blueprint.nodes:
        directory = f"{server_placement.data_root}/{folder_of(record, node.address)}"
        config = NodeConfig(node.address, directory, topology.mode, work.password, topology.settings)
        is_cluster = topology.mode is Mode.CLUSTER
        files[node.address] = NodeFiles(
            directory,
            marker_of(blueprint, node),
            render_server_conf(config),
            render_nodes_conf(blueprint, node, server_placement.version) if is_cluster else None,
        )
    return files


def marker_of(blueprint: Blueprint, node: BlueprintNode) -> str:
    """What a node's folder is known by."""
    return marker_text(blueprint.cluster_id, blueprint.name, node.id)
