"""All views -> one survey. A reachable node's word on itself counts most; of a silent one, what the others say.

Where two primaries claim one slot the higher epoch is believed, as the servers do (cluster.c,
clusterUpdateSlotsConfigWith). That they disagree at all is a finding of its own, made in ``diagnosis``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import Link, NodeView, Observation, PeerView, Role, SilentNode
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.survey import UNREADABLE, ClusterState, Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode

_TROUBLES = {
    "refused": "down",
    "unreachable": "unreachable",
    "timeout": "hangs",
    "closed": "down",
    "loading": "loading",
    "wrong-password": "wrong password",
    "not-a-server": "not a server",
    "answers-unreadable": UNREADABLE,
    "maxclients": "lets nobody in",
    "no-permission": "refuses our user",
    "tls": "speaks TLS",
}


def take_survey(name: str, observation: Observation, blueprint: Blueprint | None) -> Survey:
    """``blueprint`` None: a cluster that slotwright did not make."""
    if _is_single(observation, blueprint):
        return _single(name, observation, blueprint)
    lines = _believed_lines(observation)
    lines |= {node_id: line for node_id, line in _planned_lines(blueprint).items() if _is_missing(line, lines)}
    owners = _owners(lines)
    shards = _shard_numbers(lines, owners, blueprint)
    planned = {node.id for node in blueprint.nodes} if blueprint else set(lines)
    # Where the file has a silent member, not where others look for it: there its host can be asked about it.
    places = {node.id: node.address for node in blueprint.nodes} if blueprint else {}
    lines = {node_id: replace(line, address=places.get(node_id, line.address)) for node_id, line in lines.items()}
    nodes = tuple(
        _node(line, owners.get(line.id, SlotSet()), shards, observation, line.id in planned) for line in lines.values()
    )
    nodes = tuple(sorted(nodes, key=_order))
    served = SlotSet.of(
        piece for node in nodes if node.role is Role.PRIMARY and node.serves for piece in node.slots.ranges
    )
    return Survey(name, Mode.CLUSTER, _state(nodes, served, observation), served, nodes)


def _is_single(observation: Observation, blueprint: Blueprint | None) -> bool:
    if blueprint is not None:
        return blueprint.mode is Mode.SINGLE
    return bool(observation.views) and all(view.mode is Mode.SINGLE for view in observation.views)


def _single(name: str, observation: Observation, blueprint: Blueprint | None) -> Survey:
    everything = SlotSet((SlotRange(0, 16383),))
    nodes = [
        SurveyNode(
            id=view.id,
            address=view.address,
            role=view.replication.role,
            slots=SlotSet(),
            replica_of=None,
            shard=1,
            is_reachable=True,
            link=view.replication.link,
            keys=view.health.keys,
            used_bytes=view.health.used_bytes,
            version=view.version,
            trouble="loading" if view.health.is_loading else "",
        )
        for view in observation.views
    ]
    ids = {node.address: node.id for node in blueprint.nodes} if blueprint else {}
    nodes += [
        SurveyNode(
            id=ids.get(silent.address, ""),
            address=silent.address,
            role=Role.PRIMARY,
            slots=SlotSet(),
            replica_of=None,
            shard=1,
            is_reachable=False,
            trouble=_trouble(silent),
        )
        for silent in observation.silent
    ]
    state = ClusterState.DOWN if any(node.trouble for node in nodes) or not nodes else ClusterState.OK
    return Survey(name, Mode.SINGLE, state, SlotSet() if state is ClusterState.DOWN else everything, tuple(nodes))


def _believed_lines(observation: Observation) -> dict[str, PeerView]:
    """Id -> the line that is believed: the node's own, else what most of the views say."""
    lines = {node_id: _most_frequent(result) for node_id, result in _lines_by_node(observation).items()}
    for view in observation.views:
        mine = view.myself
        if mine is not None:
            # That the others hold it failed is something that a node can't know of itself.
            held = lines[view.id].flags & {"fail"} if view.id in lines else frozenset()
            lines[view.id] = replace(mine, address=mine.address or view.address, flags=mine.flags | held)
    return lines


def _lines_by_node(observation: Observation) -> dict[str, list[tuple[PeerView, int]]]:
    """Id -> the lines on it, with how often each was said. Views share equal lines, so this goes by identity: it is a
    matter of speed alone that a line said by all is counted here and not compared again and again."""
    counts = Counter(chain.from_iterable(map(id, view.peers) for view in observation.views))
    lines = {id(line): line for view in observation.views for line in view.peers}
    values: dict[str, list[tuple[PeerView, int]]] = {}
    for key, line in lines.items():
        if "handshake" not in line.flags:
            values.setdefault(line.id, []).append((line, counts[key]))
    return values


def _most_frequent(result: list[tuple[PeerView, int]]) -> PeerView:
    """One line for all of them; of those said equally often, that with the highest epoch, then the first."""
    counted: dict[tuple[Role, str | None, SlotSet, int], int] = {}
    for line, times in result:
        key = (line.role, line.replica_of, line.slots, line.epoch)
        counted[key] = counted.get(key, 0) + times
    most = max(counted.items(), key=lambda item: (item[1], item[0][3]))[0]
    best = next(line for line, _ in result if (line.role, line.replica_of, line.slots, line.epoch) == most)
    failed = any(line.is_failed for line, _ in result)
    addressed = next((line.address for line, _ in result if line.address), None)
    flags = best.flags | {"fail"} if failed else best.flags
    return replace(best, flags=flags, address=best.address or addressed)


def _planned_lines(blueprint: Blueprint | None) -> dict[str, PeerView]:
    """What the blueprint would have, for nodes that nobody speaks of."""
    if blueprint is None:
        return {}
    return {
        node.id: PeerView(
            id=node.id,
            address=node.address,
            flags=frozenset({"absent"}),
            role=node.role,
            replica_of=None if node.role is Role.PRIMARY else shard.primary.id,
            epoch=node.epoch,
            is_connected=False,
            slots=shard.slots if node.role is Role.PRIMARY else SlotSet(),
        )
        for shard in blueprint.shards
        for node in shard.nodes
    }


def _is_missing(line: PeerView, lines: dict[str, PeerView]) -> bool:
    return line.id not in lines


def _owners(lines: dict[str, PeerView]) -> dict[str, SlotSet]:
    """Id -> the slots that it owns, every slot once: the higher epoch wins, then the smaller id."""
    taken = SlotSet()
    owners: dict[str, SlotSet] = {}
    primaries = [line for line in lines.values() if line.role is Role.PRIMARY and line.slots]
    # A word of the blueprint alone ("absent") counts less than any that a server said.
    for line in sorted(primaries, key=lambda line: ("absent" in line.flags, -line.epoch, line.id)):
        owners[line.id] = line.slots - taken
        taken = taken | line.slots
    return owners


def _shard_numbers(
    lines: dict[str, PeerView], owners: dict[str, SlotSet], blueprint: Blueprint | None
) -> dict[str, int]:
    """Id -> number of its shard, counted in order of the first slot; replicas get their primary's."""
    holders = sorted((slots.ranges[0].first, node_id) for node_id, slots in owners.items() if slots)
    numbers = {node_id: number for number, (_, node_id) in enumerate(holders, 1)}
    for line in lines.values():
        if line.role is Role.REPLICA and line.replica_of in numbers:
            numbers[line.id] = numbers[line.replica_of]
    if blueprint is not None and len(holders) == len(blueprint.shards):
        for node in blueprint.nodes:
            numbers.setdefault(node.id, node.shard)
    return numbers


def _node(
    line: PeerView,
    slots: SlotSet,
    shards: dict[str, int],
    observation: Observation,
    is_planned: bool,
) -> SurveyNode:
    view = observation.view_by_id(line.id)
    base = SurveyNode(
        id=line.id,
        address=view.address if view else line.address,
        role=line.role,
        slots=slots,
        replica_of=line.replica_of,
        shard=shards.get(line.id),
        is_reachable=view is not None,
        is_planned=is_planned,
    )
    if view is None:
        return replace(
            base,
            trouble=_silent_trouble(line, observation),
            is_seen_alive=is_seen_alive(line.id, observation),
            is_held_failed=is_held_failed(line.id, observation),
        )
    return replace(
        base,
        trouble="loading" if view.health.is_loading else "failed" if line.is_failed else "",
        link=view.replication.link,
        lag_bytes=_lag(view, observation.view_by_id(line.replica_of or "")),
        keys=view.health.keys,
        used_bytes=view.health.used_bytes,
        version=view.version,
    )


def is_seen_alive(node_id: str, observation: Observation) -> bool:
    """Whether a node that answers us has a live bus link to the node and does not suspect it.

    It lives then, whatever keeps us out: a full connection table, a packet filter, an ACL. A link is not called live
    while a ping on it is unanswered for half a node time-out (``nodes/observe.py``).
    """
    return any(reaches(view, node_id) for view in observation.views if view.id != node_id)


def reaches(view: NodeView, node_id: str) -> bool:
    """Whether the node that has this view has a live link to the other one, and does not suspect it."""
    line = view.peer(node_id)
    return line is not None and line.is_connected and not line.is_failed and not line.is_suspected


def is_held_failed(node_id: str, observation: Observation) -> bool:
    """Whether a node that answers us holds the node failed, and none of them sees it alive."""
    lines = (view.peer(node_id) for view in observation.views if view.id != node_id)
    held = any(line is not None and line.is_failed for line in lines)
    return held and not is_seen_alive(node_id, observation)


def _silent_trouble(line: PeerView, observation: Observation) -> str:
    for silent in observation.silent:
        if silent.address == line.address:
            return _trouble(silent)
    return "failed" if line.is_failed else "down" if "absent" in line.flags else "not asked"


def _trouble(silent: SilentNode) -> str:
    return _TROUBLES.get(silent.code, silent.code)


def _lag(view: NodeView, primary: NodeView | None) -> int | None:
    if view.replication.role is not Role.REPLICA or primary is None or view.replication.link is not Link.UP:
        return None
    return max(0, primary.replication.offset - view.replication.offset)


def _order(node: SurveyNode) -> tuple[int, bool, Address]:
    return (node.shard or 1 << 20, node.role is Role.REPLICA, node.address or Address("", 0))


def _state(nodes: tuple[SurveyNode, ...], served: SlotSet, observation: Observation) -> ClusterState:
    saying_fail = sum(not view.state_is_ok for view in observation.views if view.mode is Mode.CLUSTER)
    if len(served) < 16384 or 2 * saying_fail > len(observation.views):
        return ClusterState.DOWN
    broken = any(node.trouble or node.link is Link.DOWN for node in nodes)
    followed = {node.replica_of for node in nodes if node.serves}
    bare = any(node.role is Role.REPLICA for node in nodes) and any(
        node.slots and node.id not in followed for node in nodes
    )
    return ClusterState.DEGRADED if broken or bare or saying_fail else ClusterState.OK
