"""A compact language for what is seen of a cluster, spoken by the tables (JSON) and by the unit tests alike.

A picture begins sound: three hosts h1, h2, h3 with the ports 7001 and 7002 each, so that the shards are
``h1:7001 h2:7002``, ``h2:7001 h3:7002`` and ``h3:7001 h1:7002``. What is given is what differs from that:

``topology``      {"hosts": 3, "ports": 2, "replicas": 1, "allow": false, "mode": "cluster"}
``silent``        {place: code}: doesn't answer; its peers have no link to it either, unless it is ``reached``
``reached``       [place]: silent to us alone, its peers have live links to it
``failed_over``   {old primary: new primary}: all agree
``says``          {place: {...}}: of itself, see :func:`_told`
``sees``          {place or "*": {place: {...}}}: of a line of CLUSTER NODES, see :func:`_line`; null: doesn't know it
``strangers``     [{"id", "address", "role", "replica_of", "slots", "flags"}]: lines that all have besides
``views``         {place: {"id"}}: the strangers' own views
``login_faults``  {place: "missing" or "rejected"}
``file``          false: a cluster without a file; else {"settings": {...}}
``exams``         {place: {...}}: what its host says of a node, see :func:`_exam`; hosts that are named here were asked
``hosts``         {host: {"memory", "trouble"}}: a host as such
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from slotwright.cluster.blueprint import Blueprint, BlueprintNode
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.findings import Finding
from slotwright.cluster.observation import (
    Health,
    Link,
    LoginFault,
    NodeView,
    Observation,
    OpenSlot,
    PeerView,
    Replication,
    Role,
    ServerVersion,
    SilentNode,
)
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import EngineKind, Mode
from slotwright.health import CheckContext, diagnose
from slotwright.hosts.facts.exam import HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, ProcessId
from tests.fakes.build import VERSION, at, blueprint, topology

Given = Mapping[str, Any]

HEALTH = Health(60, 1000, 0, False, True, True, True, 0)


def picture(given: Given) -> CheckContext:
    """The case that ``given`` describes."""
    shape = dict(given.get("topology", {}))
    wanted = topology(**{**shape, "mode": Mode(shape.get("mode", "cluster"))})
    made = blueprint(wanted)
    observed = observation(given, made)
    file = given.get("file", {})
    expected = None
    if file is not False:
        expected = Expectation(made, tuple(file.get("settings", {}).items()), wanted.allow_colocated_replicas)
    survey = take_survey("demo", observed, made if expected else None)
    return CheckContext(survey, observed, expected, tuple(_exams(given, made)))


def _exams(given: Given, made: Blueprint) -> Iterator[HostExam]:
    exams, hosts = given.get("exams", {}), given.get("hosts", {})
    asked = dict.fromkeys([*hosts, *(at(place).host for place in exams)])
    for host in asked:
        said = hosts.get(host, {})
        nodes = [node for node in made.nodes if node.address.host == host and "trouble" not in said]
        silent = given.get("silent", {})
        yield HostExam(
            host,
            tuple(_exam(node, exams.get(str(node.address), {}), str(node.address) not in silent) for node in nodes),
            said.get("memory", 2**34),
            said.get("trouble", ""),
        )


def _exam(node: BlueprintNode, given: Given, is_running: bool) -> NodeExam:
    """``folder`` "absent"..., ``reason`` and ``remedy`` of one that is "unsafe"; ``state`` a letter (the process is
    there); ``map`` (text or null), ``log``, ``free``, ``data``, ``nofile``, ``ended``."""
    state = given.get("state", "S" if is_running else "")
    line = f"{node.id} {node.address.host}:1@10001 myself,master - 0 0 1 connected\n"
    return NodeExam(
        node.address,
        DirectoryState(given.get("folder", "ours")),
        ProcessId(1, "boot:1") if state else None,
        state,
        given.get("nofile", 10032),
        None if state else given.get("map", line + "vars currentEpoch 1 lastVoteEpoch 0\n"),
        given.get("log", ""),
        given.get("free", 10**11),
        given.get("data", 0),
        given.get("ended", ""),
        given.get("reason", ""),
        given.get("remedy", ""),
    )


def findings(**given: Any) -> list[str]:
    """``"serious node-down h1:7001"`` and so on."""
    return told(diagnose(picture(given)))


def told(found: tuple[Finding, ...]) -> list[str]:
    return [f"{one.severity} {one.code} {one.where}" for one in found]


def observation(given: Given, made: Blueprint) -> Observation:
    """What all nodes say, the silent ones apart."""
    silent = given.get("silent", {})
    lines = {str(node.address): line for node, line in _sound_lines(made, given.get("failed_over", {}))}
    for stranger in given.get("strangers", ()):
        lines[stranger["address"] or stranger["id"]] = _stranger(stranger)
    for place in set(silent) & set(lines) - set(given.get("reached", ())):
        lines[place] = replace(lines[place], is_connected=False)
    views = [_view(str(node.address), lines, given, made) for node in made.nodes if str(node.address) not in silent]
    views += [_view(place, lines, given, made) for place in given.get("views", {})]
    return Observation(
        tuple(views),
        tuple(SilentNode(at(place), code, f"{place}: {code}") for place, code in silent.items()),
        tuple((at(place), LoginFault(fault)) for place, fault in given.get("login_faults", {}).items()),
    )


def _sound_lines(made: Blueprint, failed_over: Mapping[str, str]) -> list[tuple[BlueprintNode, PeerView]]:
    found = []
    for shard in made.shards:
        moved = {str(node.address): failed_over.get(str(node.address)) for node in shard.nodes}
        heir = next((to for to in moved.values() if to), None)
        owner = next((node for node in shard.nodes if str(node.address) == heir), shard.primary)
        for node in shard.nodes:
            was_owner = heir is not None and node is shard.primary
            is_owner = node is owner
            found.append(
                (
                    node,
                    PeerView(
                        node.id,
                        node.address,
                        frozenset({"master", "fail"} if was_owner else {"master" if is_owner else "slave"}),
                        Role.PRIMARY if is_owner or was_owner else Role.REPLICA,
                        None if is_owner or was_owner else owner.id,
                        shard.primary.epoch + (10 if heir and not was_owner else 0),
                        True,
                        shard.slots if is_owner else SlotSet(),
                    ),
                )
            )
    return found


def _stranger(given: Given) -> PeerView:
    return PeerView(
        given["id"],
        at(given["address"]) if given["address"] else None,
        frozenset(given.get("flags", "master").split(",")),
        Role(given.get("role", "primary")),
        given.get("replica_of"),
        given.get("epoch", 0),
        True,
        SlotSet.parse(given.get("slots", "").split()),
    )


def _view(place: str, lines: Mapping[str, PeerView], given: Given, made: Blueprint) -> NodeView:
    own = lines[place]
    seen = {**given.get("sees", {}).get("*", {}), **given.get("sees", {}).get(place, {})}
    peers = []
    for subject, line in lines.items():
        changed = _line(line, seen[subject], lines) if subject in seen else line
        if changed is not None:
            peers.append(replace(changed, flags=changed.flags | {"myself"}) if subject == place else changed)
    mine = next((peer for peer in peers if peer.id == own.id), own)
    offset = 0 if made.mode is Mode.SINGLE else 5_000_000
    is_replica = mine.role is Role.REPLICA
    view = NodeView(
        address=at(place),
        id=own.id,
        mode=made.mode,
        version=VERSION,
        state_is_ok=True,
        current_epoch=9,
        replication=Replication(mine.role, offset, Link.UP if is_replica else None),
        health=HEALTH,
        peers=tuple(peers) if made.mode is Mode.CLUSTER else (),
    )
    return _told(view, given.get("says", {}).get("*", {}) | given.get("says", {}).get(place, {}))


def _told(view: NodeView, says: Given) -> NodeView:
    """``state`` "fail"; ``link``, ``syncing``, ``down_s``, ``behind`` (bytes); ``used``, ``maxmemory``,
    ``loading``, ``save_ok``, ``append_ok``, ``rewrite_ok``, ``aof`` (false: none), ``aof_bytes``, ``keys``,
    ``uptime``, ``maxclients``, ``policy``; ``good`` replicas; ``skew`` and ``doubt`` (seconds), ``misconf``;
    ``version`` "redis 7.0.15"; ``settings`` {...}."""
    replication = replace(
        view.replication,
        link=Link(says["link"]) if "link" in says else view.replication.link,
        is_syncing=says.get("syncing", False),
        down_s=says.get("down_s"),
        offset=view.replication.offset - says.get("behind", 0),
        good_replicas=says.get("good"),
    )
    health = replace(
        view.health,
        used_bytes=says.get("used", 1000),
        maxmemory_bytes=says.get("maxmemory", 0),
        is_loading=says.get("loading", False),
        last_save_ok=says.get("save_ok", True),
        last_append_ok=says.get("append_ok", True),
        keys=says.get("keys", 0),
        last_rewrite_ok=says.get("rewrite_ok", True),
        has_append_log=says.get("aof", True),
        append_log_bytes=says.get("aof_bytes", 0),
        uptime_s=says.get("uptime", 60),
        maxclients=says.get("maxclients", 10000),
        maxmemory_policy=says.get("policy", ""),
    )
    version = view.version
    if "version" in says:
        kind, numbers = says["version"].split()
        version = ServerVersion(EngineKind(kind), tuple(map(int, numbers.split("."))))
    return replace(
        view,
        state_is_ok=says.get("state", "ok") == "ok",
        replication=replication,
        health=health,
        version=version,
        settings=tuple(says.get("settings", {}).items()),
        clock_skew_s=says.get("skew"),
        clock_doubt_s=says.get("doubt", 0.0),
        misconf=says.get("misconf", ""),
    )


def _line(line: PeerView, seen: Given | None, lines: Mapping[str, PeerView]) -> PeerView | None:
    """``flags``, ``role``, ``replica_of`` (a place), ``slots``, ``epoch``, ``address`` (null), ``announced`` (another
    place), ``bus`` (its port), ``fault`` (what is wrong with its address), ``connected``, ``migrating`` and
    ``importing`` ({slot: place})."""
    if seen is None:
        return None
    changed = replace(
        line,
        flags=frozenset(seen["flags"].split(",")) if "flags" in seen else line.flags,
        role=Role(seen["role"]) if "role" in seen else line.role,
        slots=SlotSet.parse(seen["slots"].split()) if "slots" in seen else line.slots,
        epoch=seen.get("epoch", line.epoch),
        address=None if "address" in seen or "fault" in seen else line.address,
        address_fault=seen.get("fault", ""),
        bus_port=seen.get("bus"),
        is_connected=seen.get("connected", line.is_connected),
        migrating=tuple(OpenSlot(int(slot), lines[to].id) for slot, to in seen.get("migrating", {}).items()),
        importing=tuple(OpenSlot(int(slot), lines[to].id) for slot, to in seen.get("importing", {}).items()),
    )
    if "announced" in seen:
        changed = replace(changed, address=at(seen["announced"]))
    if "replica_of" in seen:
        changed = replace(changed, replica_of=lines[seen["replica_of"]].id if seen["replica_of"] else None)
    return changed
