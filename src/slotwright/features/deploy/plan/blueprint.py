"""Placement -> blueprint: every node gets its id and every primary its own epoch, before anything exists.

Unique epochs from the start mean that no collision has to be settled later (cluster.c,
clusterHandleConfigEpochCollision), and ids that are known beforehand let the map be written before any server runs.
"""

from __future__ import annotations

from collections.abc import Callable

from slotwright.cluster.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Topology
from slotwright.features.deploy.model import Placement, PlannedShard


def make_blueprint(topology: Topology, placement: Placement, new_id: Callable[[], str]) -> Blueprint:
    """``new_id`` gives 40 fresh hexadecimal digits at each call; it is the only source of randomness."""
    cluster_id = new_id()
    shards = tuple(_shard(planned, new_id) for planned in placement.shards)
    return Blueprint(cluster_id, topology.name, topology.mode, shards)


def _shard(planned: PlannedShard, new_id: Callable[[], str]) -> BlueprintShard:
    primary = BlueprintNode(planned.primary, new_id(), Role.PRIMARY, planned.number, epoch=planned.number)
    replicas = tuple(BlueprintNode(address, new_id(), Role.REPLICA, planned.number) for address in planned.replicas)
    return BlueprintShard(planned.number, new_id(), planned.slots, primary, replicas)
