"""A cluster made by hand -> the topology and the blueprint that describe it.

Nothing is invented: roles, slots, ids and settings are those that the nodes have now. Where they can't be told there is
no topology (``adoption_obstacles``). What is not well is told, and ``check`` goes on telling it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from slotwright.cluster.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.slots import SlotSet, split_evenly
from slotwright.cluster.survey import SurveyNode
from slotwright.cluster.topology import Address, Engine, EngineOrigin, HostSpec, Mode, ShardSpec, SshSpec, Topology
from slotwright.features.adopt.model import AdoptChoices, AdoptInput
from slotwright.server.setting_values import Varying, as_pairs, sort_out


@dataclass(frozen=True, slots=True)
class Adoption:
    """The outcome: ``settings`` are the canonical values of the topology's settings."""

    topology: Topology
    blueprint: Blueprint
    version: str
    binary: str
    settings: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    def record(self, topology_path: str) -> ClusterRecord:
        """What is remembered; there is no data folder that slotwright would know."""
        return ClusterRecord(
            blueprint=self.blueprint,
            topology=self.topology,
            stage=Stage.ADOPTED,
            topology_path=topology_path,
            data_root="",
            binary=self.binary,
            version=self.version,
            settings=self.settings,
        )


def adopt(adopt_input: AdoptInput, options: AdoptChoices) -> Adoption:
    """Describe what was seen, which must be without obstacles."""
    agreed, varying = sort_out([(account.address, account.settings) for account in adopt_input.accounts])
    blueprint = _blueprint(adopt_input, options)
    executables = {account.executable for account in adopt_input.accounts}
    version = _version(adopt_input)
    return Adoption(
        topology=_topology(
            adopt_input, options, blueprint, tuple(pair for entry in agreed for pair in as_pairs(*entry))
        ),
        blueprint=blueprint,
        version=version.title,
        binary=next(iter(executables)) if len(executables) == 1 else "",
        settings=agreed,
        findings=by_gravity((*_known_troubles(adopt_input), *_differences(adopt_input, options, varying))),
    )


def _blueprint(adopt_input: AdoptInput, options: AdoptChoices) -> Blueprint:
    survey = adopt_input.survey
    if survey.mode is Mode.SINGLE:
        address = adopt_input.observation.views[0].address
        node = BlueprintNode(address, options.single_id, Role.PRIMARY, 1, 1)
        shard = BlueprintShard(1, "", split_evenly(1)[0], node, ())
        return Blueprint(options.cluster_id, options.name, Mode.SINGLE, (shard,))
    shards = tuple(
        _shard(adopt_input, number, owner) for number, owner in enumerate((n for n in survey.nodes if n.slots), 1)
    )
    return Blueprint(options.cluster_id, options.name, Mode.CLUSTER, shards)


def _shard(adopt_input: AdoptInput, number: int, owner: SurveyNode) -> BlueprintShard:
    followers = sorted(
        (node for node in adopt_input.survey.nodes if node.replica_of == owner.id and node.role is Role.REPLICA),
        key=lambda node: _order(_place(node)),
    )
    view = adopt_input.observation.view_of(_place(owner))
    epoch = view.myself.epoch if view and view.myself else 0
    ids = {account.address: account.shard_id for account in adopt_input.accounts}
    return BlueprintShard(
        number,
        ids.get(_place(owner), ""),
        SlotSet.of(owner.slots.ranges),
        BlueprintNode(_place(owner), owner.id, Role.PRIMARY, number, epoch),
        tuple(BlueprintNode(_place(node), node.id, Role.REPLICA, number) for node in followers),
    )


def _place(node: SurveyNode) -> Address:
    assert node.address is not None, "a node that answered has an address"
    return node.address


def _topology(
    adopt_input: AdoptInput, options: AdoptChoices, blueprint: Blueprint, settings: tuple[tuple[str, str], ...]
) -> Topology:
    is_cluster = blueprint.mode is Mode.CLUSTER
    counts = Counter(len(shard.replicas) for shard in blueprint.shards)
    return Topology(
        name=options.name,
        engine=_engine(adopt_input, options),
        hosts=hosts_of([node.address for node in blueprint.nodes], options.ssh),
        replicas=max(counts, key=lambda count: (counts[count], -count)) if is_cluster else 0,
        shards=tuple(
            ShardSpec(shard.primary.address, tuple(node.address for node in shard.replicas))
            for shard in blueprint.shards
        )
        if is_cluster
        else (),
        password=options.password,
        settings=settings,
        mode=blueprint.mode,
        allow_colocated_replicas=any(
            node.address.host == shard.primary.address.host for shard in blueprint.shards for node in shard.replicas
        ),
    )


def hosts_of(addresses: list[Address], ssh: SshSpec | None) -> tuple[HostSpec, ...]:
    """One entry a host, by number where the addresses are numbers; its ports in order."""
    ordered = sorted(set(addresses), key=_order)
    hosts = dict.fromkeys(address.host for address in ordered)
    return tuple(
        HostSpec(host, tuple(address.port for address in ordered if address.host == host), ssh=ssh) for host in hosts
    )


def _order(address: Address) -> tuple[int, int, str, int]:
    try:
        number = ipaddress.ip_address(address.host)
    except ValueError:
        return (9, 0, address.host, address.port)
    return (number.version, int(number), "", address.port)


def _engine(adopt_input: AdoptInput, options: AdoptChoices) -> Engine:
    """The folder of the program that all nodes run, where it is really there under its usual name."""
    kind = _version(adopt_input).kind
    folders = {_folder(account.executable, kind.value, options.programs) for account in adopt_input.accounts}
    folder = next(iter(folders)) if len(folders) == 1 else ""
    return Engine(kind, EngineOrigin.DIRECTORY, folder) if folder else Engine(kind, EngineOrigin.PATH)


def _folder(executable: str, kind: str, programs: frozenset[str]) -> str:
    folder, _, name = executable.rpartition("/")
    return folder if folder and name == f"{kind}-server" and executable in programs else ""


def _version(adopt_input: AdoptInput) -> ServerVersion:
    return Counter(view.version for view in adopt_input.observation.views).most_common(1)[0][0]


def _known_troubles(adopt_input: AdoptInput) -> Iterator[Finding]:
    """What diagnosis found, with the remedy that there is from now on."""
    for finding in adopt_input.findings:
        if finding.code == "unpersisted":  # told as no-persistence: the file will ask for it
            continue
        is_login = finding.code.startswith("replica-auth-")
        yield replace(finding, remedy="slotwright up sets masterauth on it; nothing restarts") if is_login else finding


def _differences(adopt_input: AdoptInput, options: AdoptChoices, varying: tuple[Varying, ...]) -> Iterator[Finding]:
    """What a cluster made by slotwright would have otherwise, and that matters."""
    yield from _unread_settings(adopt_input)
    yield from _other_bus_ports(adopt_input)
    yield from _without_masterauth(adopt_input, options)
    yield from _without_file(adopt_input)
    yield from _without_password(adopt_input, options)
    yield from _without_persistence(adopt_input)
    versions = Counter(view.version.title for view in adopt_input.observation.views)
    if len(versions) > 1:
        yield Finding(
            "versions-differ",
            Severity.WARNING,
            options.name,
            f"the nodes run {len(versions)} versions of the server",
            "bring all nodes to one version",
            seen=", ".join(f"{title} on {count}" for title, count in versions.most_common()),
        )
    if _engine(adopt_input, options).origin is EngineOrigin.PATH:
        yield Finding(
            "engine-not-told",
            Severity.NOTE,
            options.name,
            "where the servers' program lies could not be told: the file says `from: path`",
            "write its folder there if you like; nothing uses it as long as the cluster is an adopted one",
            seen=", ".join(sorted({account.executable or "nothing" for account in adopt_input.accounts})),
        )
    for candidate in varying:
        yield Finding(
            "settings-vary",
            Severity.WARNING,
            candidate.name,
            f"the nodes have different values of {candidate.name}: the file doesn't say it",
            f"write the one that all shall have under `settings`, then slotwright up: {candidate.name}",
            seen="; ".join(f"{value or 'empty'} on {_listed(nodes)}" for value, nodes in candidate.values),
        )


def _unread_settings(adopt_input: AdoptInput) -> Iterator[Finding]:
    unread = [account.address for account in adopt_input.accounts if not account.settings]
    if unread:
        yield Finding(
            "settings-unread",
            Severity.WARNING,
            _listed(unread),
            f"{_counted(unread)} without an answer to CONFIG GET: settings, masterauth and persistence are not known",
            "let CONFIG be asked under its own name (rename-command, ACL), then adopt again; or write them yourself",
            risk="the file says nothing of them, and what it leaves out means slotwright's own values",
        )


def _other_bus_ports(adopt_input: AdoptInput) -> Iterator[Finding]:
    other = [
        view.address
        for view in adopt_input.observation.views
        if view.myself and view.myself.address and view.myself.bus_port not in (None, view.myself.address.bus_port)
    ]
    if other:
        yield Finding(
            "bus-port-not-told",
            Severity.NOTE,
            _listed(other),
            f"{_counted(other)} with a bus port that is not port + 10000, which a topology file can't say",
            "none: repair takes it from the node itself; whatever is made anew from the file has the usual one",
        )


def _without_masterauth(adopt_input: AdoptInput, options: AdoptChoices) -> Iterator[Finding]:
    if options.secret is None or not any(node.role is Role.REPLICA for node in adopt_input.survey.nodes):
        return
    results = {finding.where for finding in adopt_input.findings if finding.code.startswith("replica-auth-")}
    lacking = [
        account.address
        for account in adopt_input.accounts
        if account.setting("masterauth") not in (None, options.secret.reveal()) and str(account.address) not in results
    ]
    if lacking:
        yield Finding(
            "masterauth-missing",
            Severity.WARNING,
            _listed(lacking),
            f"{_counted(lacking)} without the password for the primary that it may have to follow one day",
            "slotwright up sets masterauth on them; nothing restarts",
            risk="after a failover they can't replicate, and reconnect for ever",
        )


def _without_file(adopt_input: AdoptInput) -> Iterator[Finding]:
    without = [account.address for account in adopt_input.accounts if not account.config_file]
    if without:
        yield Finding(
            "no-config-file",
            Severity.WARNING,
            _listed(without),
            f"{_counted(without)} without a configuration file: started by its command line alone",
            "start them with one (redis-server FILE) at the next occasion",
            risk="what is set while they run is lost at a restart, so slotwright up will set nothing there",
        )


def _without_password(adopt_input: AdoptInput, options: AdoptChoices) -> Iterator[Finding]:
    exposed = [account.address for account in adopt_input.accounts if not account.address.is_loopback]
    if exposed and options.secret is None:
        yield Finding(
            "no-password",
            Severity.WARNING,
            _listed(exposed),
            "there is no password: anyone who reaches these addresses can read and change the data",
            "set requirepass and masterauth on all nodes, then adopt again",
        )


def _without_persistence(adopt_input: AdoptInput) -> Iterator[Finding]:
    bare = [a.address for a in adopt_input.accounts if a.setting("appendonly") == "no" and a.setting("save") == ""]
    if bare:
        yield Finding(
            "no-persistence",
            Severity.NOTE,
            _listed(bare),
            f"{_counted(bare)} without anything kept on disk",
            "set appendonly or save in the file, if the data is worth it",
            risk="a primary that restarts is empty, and its replicas empty themselves after it",
        )


def _counted(addresses: list[Address]) -> str:
    return f"{len(addresses)} node{'' if len(addresses) == 1 else 's'}"


def _listed(addresses: list[Address] | tuple[Address, ...]) -> str:
    names = [str(address) for address in addresses]
    return ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
