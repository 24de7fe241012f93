"""A cluster made by hand -> the topology and the blueprint that describe it.

Nothing is invented: roles, slots, ids and settings are those that the nodes have now. Where they can't be told there is
no topology (``adoption_obstacles``). What is not well is told, and ``check`` goes on telling it.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from slotwright.model.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.model.cluster import Role, ServerVersion
from slotwright.model.findings import Finding, Severity, by_gravity
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.slots import SlotSet, split_evenly
from slotwright.model.survey import SurveyNode
from slotwright.model.topology import (
    Address,
    Engine,
    EngineOrigin,
    HostSpec,
    Mode,
    ShardSpec,
    SshSpec,
    Topology,
)
from slotwright.planning.adoption_settings import Varying, as_pairs, sort_out
from slotwright.planning.sighting import Sighting, Wish


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


def adopt(sighting: Sighting, wish: Wish) -> Adoption:
    """Describe what was seen, which must be without obstacles."""
    agreed, varying = sort_out([(account.address, account.settings) for account in sighting.accounts])
    blueprint = _blueprint(sighting, wish)
    executables = {account.executable for account in sighting.accounts}
    version = _version(sighting)
    return Adoption(
        topology=_topology(sighting, wish, blueprint, tuple(pair for each in agreed for pair in as_pairs(*each))),
        blueprint=blueprint,
        version=version.title,
        binary=next(iter(executables)) if len(executables) == 1 else "",
        settings=agreed,
        findings=by_gravity((*_known_troubles(sighting), *_differences(sighting, wish, varying))),
    )


def _blueprint(sighting: Sighting, wish: Wish) -> Blueprint:
    survey = sighting.survey
    if survey.mode is Mode.SINGLE:
        address = sighting.observation.views[0].address
        node = BlueprintNode(address, wish.single_id, Role.PRIMARY, 1, 1)
        shard = BlueprintShard(1, "", split_evenly(1)[0], node, ())
        return Blueprint(wish.cluster_id, wish.name, Mode.SINGLE, (shard,))
    shards = tuple(
        _shard(sighting, number, owner) for number, owner in enumerate((n for n in survey.nodes if n.slots), 1)
    )
    return Blueprint(wish.cluster_id, wish.name, Mode.CLUSTER, shards)


def _shard(sighting: Sighting, number: int, owner: SurveyNode) -> BlueprintShard:
    followers = sorted(
        (node for node in sighting.survey.nodes if node.replica_of == owner.id and node.role is Role.REPLICA),
        key=lambda node: _order(_place(node)),
    )
    view = sighting.observation.view_of(_place(owner))
    epoch = view.myself.epoch if view and view.myself else 0
    ids = {account.address: account.shard_id for account in sighting.accounts}
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


def _topology(sighting: Sighting, wish: Wish, blueprint: Blueprint, settings: tuple[tuple[str, str], ...]) -> Topology:
    is_cluster = blueprint.mode is Mode.CLUSTER
    counts = Counter(len(shard.replicas) for shard in blueprint.shards)
    return Topology(
        name=wish.name,
        engine=_engine(sighting, wish),
        hosts=hosts_of([node.address for node in blueprint.nodes], wish.ssh),
        replicas=max(counts, key=lambda count: (counts[count], -count)) if is_cluster else 0,
        shards=tuple(
            ShardSpec(shard.primary.address, tuple(node.address for node in shard.replicas))
            for shard in blueprint.shards
        )
        if is_cluster
        else (),
        password=wish.password,
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


def _engine(sighting: Sighting, wish: Wish) -> Engine:
    """The folder of the program that all nodes run, where it is really there under its usual name."""
    kind = _version(sighting).kind
    folders = {_folder(account.executable, kind.value, wish.programs) for account in sighting.accounts}
    folder = next(iter(folders)) if len(folders) == 1 else ""
    return Engine(kind, EngineOrigin.DIRECTORY, folder) if folder else Engine(kind, EngineOrigin.PATH)


def _folder(executable: str, kind: str, programs: frozenset[str]) -> str:
    folder, _, name = executable.rpartition("/")
    return folder if folder and name == f"{kind}-server" and executable in programs else ""


def _version(sighting: Sighting) -> ServerVersion:
    return Counter(view.version for view in sighting.observation.views).most_common(1)[0][0]


def _known_troubles(sighting: Sighting) -> Iterator[Finding]:
    """What diagnosis found, with the remedy that there is from now on."""
    for found in sighting.findings:
        if found.code == "unpersisted":  # told as no-persistence: the file will ask for it
            continue
        is_login = found.code.startswith("replica-auth-")
        yield replace(found, remedy="slotwright up sets masterauth on it; nothing restarts") if is_login else found


def _differences(sighting: Sighting, wish: Wish, varying: tuple[Varying, ...]) -> Iterator[Finding]:
    """What a cluster made by slotwright would have otherwise, and that matters."""
    yield from _without_masterauth(sighting, wish)
    yield from _without_file(sighting)
    yield from _without_password(sighting, wish)
    yield from _without_persistence(sighting)
    versions = Counter(view.version.title for view in sighting.observation.views)
    if len(versions) > 1:
        yield Finding(
            "versions-differ",
            Severity.WARNING,
            wish.name,
            f"the nodes run {len(versions)} versions of the server",
            "bring all nodes to one version",
            seen=", ".join(f"{title} on {count}" for title, count in versions.most_common()),
        )
    if _engine(sighting, wish).origin is EngineOrigin.PATH:
        yield Finding(
            "engine-not-told",
            Severity.NOTE,
            wish.name,
            "where the servers' program lies could not be told: the file says `from: path`",
            "write its folder there if you like; nothing uses it as long as the cluster is an adopted one",
            seen=", ".join(sorted({account.executable or "nothing" for account in sighting.accounts})),
        )
    for each in varying:
        yield Finding(
            "settings-vary",
            Severity.WARNING,
            each.name,
            f"the nodes have different values of {each.name}: the file doesn't say it",
            f"write the one that all shall have under `settings`, then slotwright up: {each.name}",
            seen="; ".join(f"{value or 'empty'} on {_listed(nodes)}" for value, nodes in each.values),
        )


def _without_masterauth(sighting: Sighting, wish: Wish) -> Iterator[Finding]:
    if wish.secret is None or not any(node.role is Role.REPLICA for node in sighting.survey.nodes):
        return
    told = {found.where for found in sighting.findings if found.code.startswith("replica-auth-")}
    lacking = [
        account.address
        for account in sighting.accounts
        if account.setting("masterauth") not in (None, wish.secret.reveal()) and str(account.address) not in told
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


def _without_file(sighting: Sighting) -> Iterator[Finding]:
    without = [account.address for account in sighting.accounts if not account.config_file]
    if without:
        yield Finding(
            "no-config-file",
            Severity.WARNING,
            _listed(without),
            f"{_counted(without)} without a configuration file: started by its command line alone",
            "start them with one (redis-server FILE) at the next occasion",
            risk="what is set while they run is lost at a restart, so slotwright up will set nothing there",
        )


def _without_password(sighting: Sighting, wish: Wish) -> Iterator[Finding]:
    exposed = [account.address for account in sighting.accounts if not account.address.is_loopback]
    if exposed and wish.secret is None:
        yield Finding(
            "no-password",
            Severity.WARNING,
            _listed(exposed),
            "there is no password: anyone who reaches these addresses can read and change the data",
            "set requirepass and masterauth on all nodes, then adopt again",
        )


def _without_persistence(sighting: Sighting) -> Iterator[Finding]:
    bare = [a.address for a in sighting.accounts if a.setting("appendonly") == "no" and a.setting("save") == ""]
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
