"""A compact language for what ``planning.diff`` is given and what it gives back; the tables and unit tests speak it.

``file``      {"hosts", "ports", "replicas", "settings", ...}: the topology that is wanted (default: three hosts, two
              ports, one replica)
``record``    null, or {"stage": "forming"/"formed", "file": {...} as above, "version": "..."}; default: formed, same
``nodes``     {place or "*": state}: absent, empty, marked (marker alone), unmapped (no map), created, running, foreign,
              other, unwritable, newer (and running), taken (port), bus-taken, denied, elsewhere (not an address of
              this machine)
``hosts``     {host: free bytes}
``wanted``    canonical settings; ``live`` those that may change while a server runs (default: all)
``seen``      {place or "*": {...}}: the settings that a node runs with; running nodes run with what is wanted
``conf``      [place]: their configuration file is an older one
``silent``    {place: code}; ``squatters`` {place: {"keys", "peers", "settings"}}: servers that are not ours
``ids``       {place: id}: a node of ours that answers with another id
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import NodeView, Observation, SilentNode
from slotwright.cluster.record import Stage
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    CreateNode,
    MarkFormed,
    Plan,
    RememberFile,
    StartNode,
    Step,
)
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.features.deploy.plan.diff import Desired, World, plan_changes
from slotwright.hosts.facts.nodes import DirectoryFact, DirectoryState, HostFacts, NodeFacts, PortOwner, ProcessId
from tests.fakes import build
from tests.fakes.build import VERSION, at
from tests.fakes.pictures import observation

Given = Mapping[str, Any]

ROOM = 10**12
_OURS = ("marked", "unmapped", "created", "running", "stopped")
_STATES = {
    "absent": DirectoryState.ABSENT,
    "empty": DirectoryState.EMPTY,
    "foreign": DirectoryState.FOREIGN,
    "other": DirectoryState.OTHER_CLUSTER,
    "unwritable": DirectoryState.UNWRITABLE,
    "newer": DirectoryState.NEWER,
}
_ERRORS = {"taken": "in-use", "denied": "denied", "elsewhere": "not-local"}


def situation(given: Given) -> tuple[Desired, World]:
    """What is wanted, and what is."""
    wanted = _topology(given.get("file", {}))
    kept = given.get("record", {})
    record = None
    made = build.blueprint(wanted)
    if kept is not None:
        have = _topology(kept["file"]) if "file" in kept else wanted
        made = build.blueprint(have)
        record = build.record(have, Stage(kept.get("stage", "formed")), made)
        record = replace(record, version=kept.get("version", VERSION.title))
    values = {"appendonly": "yes", **given.get("wanted", {})}
    desired = Desired(
        wanted,
        made,
        VERSION.title,
        values,
        frozenset(given.get("live", values)),
        {node.address: "new" for node in made.nodes},
    )
    return desired, World(record, tuple(_hosts(given, wanted, made)), _observed(given, wanted, made, values))


def plan(**given: Any) -> Plan:
    return plan_changes(*situation(given))


def waves(found: Plan) -> list[list[str]]:
    """Each wave as words; steps of all nodes as ``create *``."""
    return [_folded([_word(step) for step in wave], found) for wave in found.waves]


def refused(found: Plan) -> list[str]:
    return [refusal.what for refusal in found.refusals]


def blockers(found: Plan) -> list[str]:
    return [f"{one.code} {one.where}" for one in found.blockers]


def _topology(given: Given) -> Topology:
    shape = {name: value for name, value in given.items() if name not in ("data", "drop", "engine")}
    wanted = build.topology(**{**shape, "mode": Mode(shape.get("mode", "cluster"))})
    if "data" in given:
        wanted = replace(wanted, data_directory=given["data"])
    if "engine" in given:
        wanted = replace(wanted, engine=replace(wanted.engine, kind=build.EngineKind(given["engine"])))
    return wanted


def _state_of(given: Given, address: Address) -> str:
    nodes = given.get("nodes", {})
    default = "absent" if given.get("record", {}) is None else "running"
    return str(nodes.get(str(address), nodes.get("*", default)))


def _hosts(given: Given, wanted: Topology, made: Blueprint) -> Iterator[HostFacts]:
    for host in wanted.hosts:
        nodes = tuple(_facts(given, address, made) for address in host.node_addresses)
        yield HostFacts(host.address, nodes, given.get("hosts", {}).get(host.address, ROOM))


def _facts(given: Given, address: Address, made: Blueprint) -> NodeFacts:
    state = _state_of(given, address)
    is_squatted = str(address) in given.get("squatters", {})
    path = f"/data/{address.host}-{address.port}"
    fact = DirectoryFact(path, _STATES.get(state, DirectoryState.ABSENT))
    if state in _OURS or (is_squatted and given.get("record", {}) is not None):
        fact = DirectoryFact(
            path,
            DirectoryState.OURS,
            "demo",
            has_nodes_conf=state not in ("marked", "unmapped"),
            conf_digest="" if state == "marked" else "old" if str(address) in given.get("conf", ()) else "new",
        )
    if state == "running" and not is_squatted:
        return NodeFacts(address, fact, ProcessId(address.port, f"boot:{address}"))
    port_error = "in-use" if is_squatted else _ERRORS.get(state, "")
    return NodeFacts(
        address,
        fact,
        port_error=port_error,
        port_owner=PortOwner(4711, "redis-server") if port_error == "in-use" else None,
        bus_error="in-use" if state == "bus-taken" else "",
        bus_owner=PortOwner(4712, "nginx") if state == "bus-taken" else None,
    )


def _observed(given: Given, wanted: Topology, made: Blueprint, values: Mapping[str, str]) -> Observation:
    """Only the addresses of the file are asked."""
    seen, silent, squatters = given.get("seen", {}), given.get("silent", {}), given.get("squatters", {})
    views = []
    for view in observation({}, made).views:
        place = str(view.address)
        if view.address not in wanted.addresses:
            continue
        if place in squatters:
            views.append(_squatter(view, squatters[place]))
        elif _state_of(given, view.address) in ("running", "newer") and place not in silent:
            settings = {**values, **seen.get("*", {}), **seen.get(place, {})}
            own_id = given.get("ids", {}).get(place, view.id)
            views.append(replace(view, id=own_id, settings=tuple(settings.items())))
    return Observation(
        tuple(views), tuple(SilentNode(at(place), code, f"{place}: {code}") for place, code in silent.items())
    )


def _squatter(view: NodeView, given: Given) -> NodeView:
    peers = view.peers[: given.get("peers", 0)]
    return replace(
        view,
        id="f" * 40,
        peers=tuple(replace(peer, id=f"{number:f>40}") for number, peer in enumerate(peers)),
        settings=tuple(given.get("settings", {}).items()),
        health=replace(view.health, keys=given.get("keys", 0)),
    )


def _word(step: Step) -> str:
    match step:
        case CreateNode():
            return f"create {step.address}"
        case StartNode():
            return f"start {step.address}" + (" hurried" if step.is_hurried else "")
        case ApplySettings(address, changes):
            told = " ".join(f"{change.name}:{change.old}->{change.new}" for change in changes)
            return f"set {address} {told}" if changes else f"rewrite {address}"
        case AwaitUsable(nodes):
            return f"wait {nodes}"
        case MarkFormed():
            return "seal"
        case RememberFile():
            return "remember"


def _folded(words: list[str], found: Plan) -> list[str]:
    """``create h1:7001``, ``create h2:7001`` ... of all six nodes is ``create *``."""
    places = {f"h{host}:{port}" for host in (1, 2, 3) for port in (7001, 7002)}
    parted = [word.split(" ", 2) for word in words]
    if len(words) == 6 and {parts[1] for parts in parted if len(parts) > 1} == places:
        rest = {" ".join((parts[0], "*", *parts[2:])) for parts in parted}
        if len(rest) == 1:
            return list(rest)
    return words


def as_words(steps: Iterable[Step]) -> list[str]:
    return [_word(step) for step in steps]
