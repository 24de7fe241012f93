"""Good copies of the nodes' maps: what a node whose own ``nodes.conf`` is lost can be given back.

They are taken after each change that succeeded, when the nodes agree, and stand with the journal. A copy replaces an
older one only when it is whole, the node's own, and knows every node of the blueprint; the older one stays beside it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from slotwright.adapters.files import make_directory, write_atomically
from slotwright.adapters.state import ClusterStore
from slotwright.api.context import Context
from slotwright.errors import HostError
from slotwright.model.blueprint import BlueprintNode
from slotwright.model.events import Warned
from slotwright.model.record import ClusterRecord, Stage, directory_name
from slotwright.model.topology import Address, Mode
from slotwright.ports import Clock, Fleet
from slotwright.wire.nodes_conf import judge_map, nodes_of, same_map

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
    path = _path(store, address)
    for each in (path, _before(path)):
        text = _text(each)
        if text and not judge_map(text, node_id):
            return text
    return None


async def _keep(
    clock: Clock, fleet: Fleet, record: ClusterRecord, store: ClusterStore, node: BlueprintNode
) -> Warned | None:
    host = node.address.host
    try:
        text, reason = await _read(clock, fleet, record, node)
        if not reason:
            _save(_path(store, node.address), text, node.id)
    except HostError as error:
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
        reason = judge_map(text, node.id)
        if not reason:
            unknown = {each.id for each in record.blueprint.nodes} - nodes_of(text)
            return text, f"one that does not know {', '.join(sorted(unknown))}" if unknown else ""
    return text, reason


def _save(path: Path, text: str, node_id: str) -> None:
    old = _text(path)
    if old is not None and same_map(old, text):
        return
    make_directory(path.parent)
    if old is not None and not judge_map(old, node_id):
        write_atomically(_before(path), old)
    write_atomically(path, text)


def _path(store: ClusterStore, address: Address) -> Path:
    return store.maps_path / f"{directory_name(address)}.conf"


def _before(path: Path) -> Path:
    return path.with_name(f"{path.name}.1")


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None
