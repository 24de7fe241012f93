"""Blueprint -> nodes.conf: the cluster's map as each server would have written it itself.

A server that starts with such a file is a member of its cluster from its first moment: no MEET, no handshake, no
window in which slots are lost (cluster.c, clusterLoadConfig; the format is stable since 3.0, later versions read the
earlier ones' lines). Servers since 7.2 want the shard id of every node (auxiliary field), or each of them invents one.
"""

from __future__ import annotations

from slotwright.model.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.model.cluster import Role, ServerVersion
from slotwright.wire.flavor import has_shard_ids


def render_nodes_conf(blueprint: Blueprint, me: BlueprintNode, version: ServerVersion) -> str:
    """The file of node ``me``: every node a line, then the epochs."""
    lines = [
        _line(shard, node, is_me=node == me, with_shard_id=has_shard_ids(version))
        for shard in blueprint.shards
        for node in shard.nodes
    ]
    highest = max(node.epoch for node in blueprint.nodes)
    return "\n".join([*lines, f"vars currentEpoch {highest} lastVoteEpoch 0", ""])


def _line(shard: BlueprintShard, node: BlueprintNode, *, is_me: bool, with_shard_id: bool) -> str:
    aux = f",,tls-port=0,shard-id={shard.id}" if with_shard_id else ""
    endpoint = f"{node.address.host}:{node.address.port}@{node.address.bus_port}{aux}"
    role = "master" if node.role is Role.PRIMARY else "slave"
    primary = "-" if node.role is Role.PRIMARY else shard.primary.id
    # A replica is shown with its primary's epoch, as the server itself writes it.
    words = [node.id, endpoint, f"myself,{role}" if is_me else role, primary, "0", "0"]
    words += [str(shard.primary.epoch), "connected"]
    if node.role is Role.PRIMARY:
        words += shard.slots.texts()
    return " ".join(words)
