"""What the hosts of a cluster can tell of its nodes: asked side by side, each within its own time."""

from __future__ import annotations

import asyncio

from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import SlotwrightError
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import NodeQuery
from slotwright.ports import Fleet

_TIMEOUT_S = 10.0


async def examine_hosts(fleet: Fleet, record: ClusterRecord) -> tuple[HostExam, ...]:
    """One exam a host, in the blueprint's order; one that can't be asked says why in ``trouble``. Never raises."""
    nodes: dict[str, list[Address]] = {}
    for node in record.blueprint.nodes:
        nodes.setdefault(node.address.host, []).append(node.address)
    return tuple(await asyncio.gather(*(_examine(fleet, record, host, mine) for host, mine in nodes.items())))


async def _examine(fleet: Fleet, record: ClusterRecord, host: str, nodes: list[Address]) -> HostExam:
    has_bus = record.blueprint.mode is Mode.CLUSTER
    queries = [NodeQuery(address, record.node_directory(address), has_bus) for address in nodes]
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await fleet.at(host).examine(host, record.blueprint.cluster_id, queries)
    except TimeoutError:
        return HostExam(host, trouble=f"it did not answer within {_TIMEOUT_S:.0f} s")
    except SlotwrightError as error:
        return HostExam(host, trouble=error.what)
