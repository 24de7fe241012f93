"""Hosts that have other addresses in the file than in the record: the same nodes, told by their place in the file.

A node is known by its id and its folder; where it can be reached may change. When the file has as many hosts as before,
with the same ports each, and differs in addresses alone, it says that these hosts have moved. Which node is which the
servers prove themselves, by their ids, before anything is told to anybody (``health/members.py``).
"""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.blueprint import Blueprint, BlueprintNode
from slotwright.cluster.record import ClusterRecord, HostRules, directory_name
from slotwright.cluster.topology import Address, Topology


def moved_hosts(topology: Topology, record: ClusterRecord) -> dict[str, str]:
    """Old host -> new host, of those that moved; empty where the file says anything else than that."""
    old, new = record.topology.hosts, topology.hosts
    if topology.name != record.name or len(old) != len(new):
        return {}
    if any(one.ports != other.ports for one, other in zip(old, new, strict=True)):
        return {}
    moved = {one.address: other.address for one, other in zip(old, new, strict=True) if one.address != other.address}
    # An address that was another host's would make two nodes change places: that is no move.
    return {} if {host.address for host in old} & set(moved.values()) else moved


def readdressed(topology: Topology, record: ClusterRecord) -> ClusterRecord | None:
    """The record with the addresses of the file; None where nothing moved. Folders keep the names that they were made
    with, on whatever address their host is now."""
    moved = moved_hosts(topology, record)
    if not moved:
        return None
    shards = tuple(
        replace(
            shard,
            primary=_moved(shard.primary, moved),
            replicas=tuple(_moved(node, moved) for node in shard.replicas),
        )
        for shard in record.blueprint.shards
    )
    have = replace(record.topology, hosts=topology.hosts, shards=topology.shards, via=topology.via)
    return replace(
        record,
        blueprint=replace(record.blueprint, shards=shards),
        topology=have,
        folders=_folders(record, record.blueprint, moved),
        rules=tuple(HostRules(moved.get(rules.host, rules.host), rules.rules) for rules in record.rules),
    )


def _moved(node: BlueprintNode, moved: dict[str, str]) -> BlueprintNode:
    return replace(node, address=_at(node.address, moved))


def _at(address: Address, moved: dict[str, str]) -> Address:
    return Address(moved.get(address.host, address.host), address.port)


def _folders(record: ClusterRecord, blueprint: Blueprint, moved: dict[str, str]) -> tuple[tuple[str, str], ...]:
    names = [(_at(node.address, moved), record.folder_name(node.address)) for node in blueprint.nodes]
    return tuple((str(address), name) for address, name in names if name != directory_name(address))
