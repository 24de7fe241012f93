"""Fresh snapshots of running nodes, so that what is copied from their disks is what they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from slotwright.errors import ServerError
from slotwright.model.topology import Address
from slotwright.operations.roster import Roster
from slotwright.ports import Clock, Connection, Reply, ReplyError
from slotwright.wire.info import parse_info

_POLL_S = 0.1
_PATIENCE_S = 3600.0


async def save_all(roster: Roster, clock: Clock, addresses: Sequence[Address]) -> dict[Address, str]:
    """BGSAVE on every node, side by side, waited for; "" for a node that saved, else why it did not."""
    outcomes = await asyncio.gather(*(_save(roster, clock, address) for address in addresses))
    return dict(zip(addresses, outcomes, strict=True))


async def _save(roster: Roster, clock: Clock, address: Address) -> str:
    try:
        connection = await roster.connection(address)
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
