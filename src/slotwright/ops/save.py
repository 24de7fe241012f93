"""Fresh snapshots of running nodes, so that what is copied from their disks is what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slotwright.cluster.topology import Address
from slotwright.errors import HostError, ServerError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.fork_budget import ForkBudget
from slotwright.ports import Clock, Connection, Reply, ReplyError
from slotwright.server.info import parse_info

_POLL_S = 0.1
_PATIENCE_S = 3600.0


async def save_all(
    pool: ConnectionPool, clock: Clock, budget: ForkBudget, addresses: Sequence[Address]
) -> dict[Address, str]:
    """BGSAVE on every node, hosts side by side and one node of a host after the other, waited for; "" for a node that
    saved, else why it did not."""

    async def save(address: Address) -> str:
        try:
            async with budget.turn(address.host):
                return await _save(pool, clock, address)
        except HostError as error:
            return error.what

    outcomes = await asyncio.gather(*map(save, addresses))
    return dict(zip(addresses, outcomes, strict=True))


async def _save(pool: ConnectionPool, clock: Clock, address: Address) -> str:
    try:
        connection = await pool.connection(address)
        before = await connection.call("LASTSAVE")
        try:
            await connection.call("BGSAVE", "SCHEDULE")
        except ReplyError as error:
            if "in progress" not in str(error):
                return str(error)
        return await _await_save(connection, clock, before)
    except (ServerError, ReplyError) as error:
        return error.what if isinstance(error, ServerError) else str(error)


async def _await_save(connection: Connection, clock: Clock, before: Reply) -> str:
    """LASTSAVE counts in seconds, so a save within the same second is told by the absence of a running one."""
    deadline = clock.now() + _PATIENCE_S
    while clock.now() < deadline:
        text = await connection.call("INFO", "persistence")
        info = parse_info(text.decode(errors="replace") if isinstance(text, bytes) else "")
        is_busy = info.get("rdb_bgsave_in_progress") == "1" or info.get("aof_rewrite_scheduled") == "1"
        if not is_busy and (
            info.get("rdb_last_save_time") != str(before) or info.get("rdb_changes_since_last_save") == "0"
        ):
            return "" if info.get("rdb_last_bgsave_status") == "ok" else "its background save failed"
        if not is_busy and info.get("rdb_last_bgsave_status") == "err":
            return "its background save failed"
        await clock.sleep(_POLL_S)
    return f"its save took longer than {_PATIENCE_S:g} s"
