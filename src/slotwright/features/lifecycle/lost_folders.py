"""Servers of ours that run on without their folder: no host finds them, for what names their process lay in it.

Who they are they say themselves: they let us in, and were started with the configuration of that folder.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from slotwright.cluster.node_files import SERVER_CONF
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, RefusedError, SlotwrightError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, Fleet, ReplyError
from slotwright.server.info import parse_info

_END_S = 20.0
_POLL_S = 0.05


async def find_lost(
    fleet: Fleet, pool: ConnectionPool, record: ClusterRecord, addresses: Sequence[Address]
) -> tuple[Address, ...]:
    """Nodes that answer while their host finds no process in their folder."""
    result = await asyncio.gather(*(_is_lost(fleet, pool, record, address) for address in addresses))
    return tuple(address for address, is_lost in zip(addresses, result, strict=True) if is_lost)


def folder_lost(addresses: Sequence[Address], otherwise: str) -> RefusedError:
    """Of what would save or keep the data of these: it can't."""
    return RefusedError(
        f"{', '.join(map(str, addresses))}: the folder is gone, and the server runs on: its data is in memory alone",
        code="folder-lost",
        where=str(addresses[0]),
        left="nothing was changed",
        hint=f"let its replica take over first (slotwright failover REPLICA); or {otherwise}",
    )


async def end_lost(pool: ConnectionPool, clock: Clock, addresses: Sequence[Address]) -> None:
    """End them by their client ports; nothing is saved, as there is no place to save to. Raises PartialError for one
    that does not end."""
    for address in addresses:
        # Who obeys hangs up; whether it did is asked below.
        with contextlib.suppress(NodeUnreachableError, ReplyError):
            await (await pool.connection(address)).call("SHUTDOWN", "NOSAVE")
        deadline = clock.now() + _END_S
        while await _answers(pool, address):
            if clock.now() > deadline:
                raise PartialError(
                    f"{address} has lost its folder, and does not end",
                    code="not-stopped",
                    where=str(address),
                    left="its process runs; what the others had is gone",
                    hint="end it by its pid: the server that listens on that port",
                )
            await clock.sleep(_POLL_S)


async def _answers(pool: ConnectionPool, address: Address) -> bool:
    await pool.drop(address)
    try:
        await pool.connection(address)
    except SlotwrightError:
        return False
    return True


async def _is_lost(fleet: Fleet, pool: ConnectionPool, record: ClusterRecord, address: Address) -> bool:
    directory = record.node_directory(address)
    try:
        if await fleet.at(address.host).find(directory, record.blueprint.cluster_id) is not None:
            return False
        reply = await (await pool.connection(address)).call("INFO", "server")
    except (SlotwrightError, ReplyError):
        return False
    info = parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
    return info.get("config_file") == f"{directory}/{SERVER_CONF}"
