"""The connections of one command: each node is dialled once, kept, and dialled again only when it was lost."""

from __future__ import annotations

import asyncio
from types import TracebackType

from slotwright.model.topology import Address
from slotwright.ports import Connection, Dialer


class Roster:
    """An async context manager; everything is hung up at its end."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._connections: dict[Address, Connection] = {}

    async def __aenter__(self) -> Roster:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))
        self._connections.clear()

    async def connection(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        """The connection to ``address``; raises what :meth:`slotwright.ports.Dialer.dial` raises."""
        if address not in self._connections:
            self._connections[address] = await self._dialer.dial(address, timeout_s=timeout_s)
        return self._connections[address]

    async def drop(self, address: Address) -> None:
        """Forget a connection that failed, so that the next use dials again."""
        connection = self._connections.pop(address, None)
        if connection is not None:
            await connection.close()
