"""The processes of a cluster's nodes, and what an interruption of work on them leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, OperatorInterruptError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.ports import Fleet

Value = TypeVar("Value")


async def guarded(fleet: Fleet, record: ClusterRecord, again: str, work: Awaitable[Value]) -> Value:
    """Do ``work``; Ctrl-C in it says what still runs, and that ``again`` finishes it."""
    try:
        return await work
    except asyncio.CancelledError:
        raise await _interrupted(fleet, record, again) from None


async def _interrupted(fleet: Fleet, record: ClusterRecord, again: str) -> OperatorInterruptError:
    everyone = await processes(fleet, record)
    running = [address for address, process in everyone.items() if process is not None]
    return OperatorInterruptError(
        "interrupted",
        where=record.name,
        left=f"{len(running)} of {len(everyone)} nodes still run; those that were told to stop go on stopping",
        hint=f"{again} finishes it; slotwright start {record.name} starts the others again",
    )


async def processes(fleet: Fleet, record: ClusterRecord) -> dict[Address, ProcessId | None]:
    """The process of every node, None for one that doesn't run, or whose host can't be asked."""
    addresses = [node.address for node in record.blueprint.nodes]
    cluster_id = record.blueprint.cluster_id
    result = await asyncio.gather(
        *(fleet.at(address.host).find(record.node_directory(address), cluster_id) for address in addresses),
        return_exceptions=True,
    )
    for outcome in result:
        if isinstance(outcome, BaseException) and not isinstance(outcome, HostError):
            raise outcome
    return {
        address: None if isinstance(candidate, BaseException) else candidate
        for address, candidate in zip(addresses, result, strict=True)
    }
