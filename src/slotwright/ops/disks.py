"""The disks of nodes that a start would bring back, and of the replicas that would follow them: asked side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Address
from slotwright.errors import SlotwrightError
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.ports import Clock, Fleet


async def read_disks(
    fleet: Fleet, clock: Clock, record: ClusterRecord, addresses: Collection[Address]
) -> dict[Address, NodeDisk]:
    """One disk for each address that is the record's; one that can't be read says why. Never raises."""
    mine = [node.address for node in record.blueprint.nodes if node.address in addresses]
    disks = await asyncio.gather(*(_read(fleet, clock, record, address) for address in mine))
    return dict(zip(mine, disks, strict=True))


async def _read(fleet: Fleet, clock: Clock, record: ClusterRecord, address: Address) -> NodeDisk:
    asked_at = clock.wall()
    try:
        disk = await fleet.at(address.host).read_disk(
            record.node_directory(address), record.blueprint.cluster_id, record.binary
        )
    except SlotwrightError:
        return NodeDisk(AppendLog.UNREAD)
    # Each host tells an age by its own clock: hosts' clocks are never held against each other.
    written_at = None if disk.written_at is None else asked_at + disk.written_at
    return replace(disk, written_at=written_at)
