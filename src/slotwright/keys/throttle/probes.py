"""Connections of their own to servers whose clients we may disturb: a TIME on them waits as a client's command does."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from slotwright.cluster.topology import Address
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Dialer, Reply, ReplyError
from slotwright.server.resp_out import request

TIME = request("TIME")


class Probes(Protocol):
    """Servers that can be asked for their TIME."""

    @property
    def servers(self) -> tuple[Address, ...]:
        """Those that are to be measured now."""
        ...

    async def time(self, server: Address) -> Reply | ReplyError:
        """TIME, on a connection that nothing else of ours has to wait for. Raises ServerError."""
        ...


class NodeProbes:
    """Implements :class:`Probes` for the servers named; an async context manager."""

    def __init__(self, dialer: Dialer, servers: Sequence[Address]) -> None:
        self.servers = tuple(servers)
        self._pool = ConnectionPool(dialer)

    async def __aenter__(self) -> NodeProbes:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.__aexit__(kind, error, trace)

    async def time(self, server: Address) -> Reply | ReplyError:
        """Dialled again where the connection was lost."""
        try:
            connection = await self._pool.connection(server)
            (reply,) = await connection.exchange(TIME, 1)
        except BaseException:
            await self._pool.drop(server)
            raise
        return reply
