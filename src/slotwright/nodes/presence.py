"""Who else is at work on a cluster, seen from the cluster's side: two control machines share no lock.

Whoever changes a cluster gives all of its connections a name, then looks whether another such name is there. The name
goes with the connection: nobody has to clean up after a crash. Whoever sees another one gives way, so of two that begin
at the same moment at the most one goes on; both giving way is safe.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slotwright.cluster.topology import Address
from slotwright.errors import RefusedError, ServerError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import ReplyError

_MOST_ASKED = 12
"""Two operators name all of their connections: asking the same few nodes, in order of address, is enough."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who changes a cluster: ``who`` is user@host, ``token`` this run's own."""

    verb: str
    who: str
    token: str

    @property
    def name(self) -> str:
        """As a connection's name, in which a server allows no blanks (networking.c, clientSetNameOrReply)."""
        return f"slotwright/{self.verb}/{re.sub(r'[^!-~]|/', '_', self.who)}/{self.token}"


async def claim(pool: ConnectionPool, addresses: Sequence[Address], operator: Operator, cluster: str) -> None:
    """Be seen on every connection from now on. Raises RefusedError (locked) that names who is at work already."""
    await pool.take_name(operator.name)
    asked = sorted(addresses)[:_MOST_ASKED]
    results = await asyncio.gather(*(_others(pool, address, operator) for address in asked))
    for others in results:
        for verb, who in others:
            raise RefusedError(
                f"somebody else is working on {cluster}",
                code="locked",
                where=cluster,
                seen=f"`slotwright {verb}` of {who}, connected to its nodes",
                left="nothing was changed",
                hint="wait until it is done, then try again",
            )


async def _others(pool: ConnectionPool, address: Address, operator: Operator) -> list[tuple[str, str]]:
    try:
        connection = await pool.connection(address)
        reply = await connection.call("CLIENT", "LIST")
    except ReplyError:
        return []
    except ServerError:
        await pool.drop(address)
        return []
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    return [(verb, who) for verb, who, token in _named(text) if token != operator.token]


def _named(text: str) -> Iterator[tuple[str, str, str]]:
    for match in re.finditer(r" name=slotwright/([^/ ]+)/([^/ ]+)/([^/ ]+) ", text):
        yield match[1], match[2], match[3]
