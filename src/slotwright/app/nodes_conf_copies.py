"""Good copies of the nodes' maps: what a node whose own ``nodes.conf`` is lost can be given back.

They are taken after each change that succeeded, when the nodes agree, and stand with the journal. A copy replaces an
older one only when it is whole, the node's own, and knows every node of the blueprint; the older one stays beside it.
"""

from __future__ import annotations

import asyncio

from slotwright.app.context import Context
from slotwright.cluster.blueprint import BlueprintNode
from slotwright.cluster.events import Warned
from slotwright.cluster.record import ClusterRecord, Stage, directory_name
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import HostError, RefusedError
from slotwright.ports import Clock, ClusterStore, Fleet
from slotwright.server.nodes_conf import check_map, nodes_of, same_map

_TRIES = 4
_AGAIN_S = 0.05


async def keep_maps(context: Context, fleet: Fleet, record: ClusterRecord, store: ClusterStore) -> None:
    """Take a copy of every node's map that is good. What can't be had keeps its older copy, and is a warning."""
    if record.blueprint.mode is not Mode.CLUSTER or record.stage is Stage.ADOPTED:
        return
    nodes = record.blueprint.nodes
    troubles = await asyncio.gather(*(_keep(context.clock, fleet, record, store, node) for node in nodes))
    for trouble in dict.fromkeys(filter(None, troubles)):
        context.report(trouble)


def good_map(store: ClusterStore, address: Address, node_id: str) -> str | None:
    """The newest whole copy of the map of the node at ``address``; None where there is none."""
    for label in _labels(address):
        text = store.read_map(label)
        if text and not check_map(text, node_id):
            return text
    return None


async def _keep(
    clock: Clock, fleet: Fleet, record: ClusterRecord, store: ClusterStore, node: BlueprintNode
) -> Warned | None:
    host = node.address.host
    try:
        text, reason = await _read(clock, fleet, record, node)
        if not reason:
            _save(store, node, text)
    except (HostError, RefusedError) as error:
        return Warned(f"no new copy of its nodes' maps: {error.what}", host)
    return Warned(f"no new copy of its map: what is on the disk is {reason}", str(node.address)) if reason else None


async def _read(clock: Clock, fleet: Fleet, record: ClusterRecord, node: BlueprintNode) -> tuple[str, str]:
    """The map and what is wrong with it. Servers before 7.0 write it in place: a half one may be whole at once."""
    directory, cluster_id = record.node_directory(node.address), record.blueprint.cluster_id
    text = reason = ""
    for attempt in range(_TRIES):
        if attempt:
            await clock.sleep(_AGAIN_S)
        text = await fleet.at(node.address.host).read_map(directory, cluster_id)
        reason = check_map(text, node.id)
        if not reason:
            unknown = {blueprint_node.id for blueprint_node in record.blueprint.nodes} - nodes_of(text)
            return text, f"one that does not know {', '.join(sorted(unknown))}" if unknown else ""
    return text, reason


def _save(store: ClusterStore, node: BlueprintNode, text: str) -> None:
    label, before = _labels(node.address)
    old = store.read_map(label)
    if old is not None and same_map(old, text):
        return
    if old is not None and not check_map(old, node.id):
        store.write_map(before, old)
    store.write_map(label, text)


def _labels(address: Address) -> tuple[str, str]:
    """Of the newest copy, and of the one before."""
    label = f"{directory_name(address)}.conf"
    return label, f"{label}.1"
