"""The connections of one command: each node is dialled once, kept, and dialled again only when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.ports import Connection, Dialer, ReplyError


class ConnectionPool:
    """An async context manager; everything is hung up at its end."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._connections: dict[Address, Connection] = {}
        self._name = ""

    async def __aenter__(self) -> ConnectionPool:
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
            await self._show_name(self._connections[address])
        return self._connections[address]

    async def take_name(self, name: str) -> None:
        """Give every connection a name that others see (CLIENT LIST), those to come as well."""
        self._name = name
        await asyncio.gather(*(self._show_name(connection) for connection in self._connections.values()))

    async def _show_name(self, connection: Connection) -> None:
        if self._name:
            # A server that loads, or that doesn't answer, is not kept from being worked on by that.
            with contextlib.suppress(ReplyError, ServerError):
                await connection.call("CLIENT", "SETNAME", self._name)

    async def drop(self, address: Address) -> None:
        """Forget a connection that failed, so that the next use dials again."""
        connection = self._connections.pop(address, None)
        if connection is not None:
            await connection.close()
