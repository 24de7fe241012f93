"""Go the way of a client: ask a seed for the others, dial each address that it names, and follow each redirection.

Nothing is written: the keys that are asked for are read, and most likely nobody has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from slotwright.cluster.announced import AnnouncedShard
from slotwright.cluster.observation import PeerView
from slotwright.cluster.slots import key_in
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.features.clients.path_model import ClientPath, DialledNode, Redirect
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, ReplyError
from slotwright.server.addresses import escaped, parse_redirect
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.cluster_slots import parse_cluster_slots

DIAL_TIMEOUT_S = 3.0
_MOST_AT_ONCE = 32
_SALT = "slotwright-walk"

TlsProbe = Callable[[Address], Awaitable[bool]]
"""Whether what listens at an address speaks TLS, asked from the walker's place; never raises."""


@dataclass
class ClientPathProbe:
    """One walk. ``pool`` dials from ``place``, with the credentials of a client."""

    place: str
    pool: ConnectionPool
    clock: Clock
    speaks_tls: TlsProbe

    def __post_init__(self) -> None:
        self._tried: dict[Address, DialledNode] = {}
        self._turn = asyncio.Semaphore(_MOST_AT_ONCE)

    async def walk(self, seeds: Sequence[Address]) -> ClientPath:
        """Raises what the first seed's trouble is when none of them lets us in, and ServerError (not-a-cluster)."""
        await self._dial_all(seeds)
        entry = next((seed for seed in seeds if self._tried[seed].is_good), None)
        if entry is None:
            raise _no_way_in(self._tried[seeds[0]], len(seeds))
        shards = await self._map_of(entry)
        walk = ClientPath(self.place, tuple(seeds), entry, shards, (), ())
        named = [
            walk.address_of(node, host) for node in walk.nodes for host in (node.host, *node.others) if host != "?"
        ]
        await self._dial_all(named)
        good = {walk.address_of(node) for node in walk.nodes if node.host != "?"}
        asked = [address for address in good if self._tried[address].is_good]
        redirects = [
            redirect for result in await asyncio.gather(*(self._ask(at, shards) for at in asked)) for redirect in result
        ]
        await self._dial_all(redirect.goal for redirect in redirects if redirect.goal is not None)
        redirects.sort(key=lambda redirect: (redirect.asked, redirect.owner))
        members = await self._members(entry)
        return replace(walk, dialled=tuple(self._tried.values()), redirects=tuple(redirects), members=members)

    async def _dial_all(self, addresses: Iterable[Address]) -> None:
        new = [address for address in dict.fromkeys(addresses) if address not in self._tried]
        for dialled in await asyncio.gather(*map(self._dial, new)):
            self._tried[dialled.address] = dialled

    async def _dial(self, address: Address) -> DialledNode:
        async with self._turn:
            began = self.clock.now()
            try:
                connection = await self.pool.connection(address, timeout_s=DIAL_TIMEOUT_S)
                answer = await connection.call("CLUSTER", "MYID", timeout_s=DIAL_TIMEOUT_S)
            except AuthenticationError as error:
                return DialledNode(address, "locked", error.seen or error.what)
            except ReplyError as error:
                return DialledNode(address, "locked" if error.code in ("NOAUTH", "NOPERM") else "refuses", str(error))
            except ServerError as error:
                await self.pool.drop(address)
                code = error.code
                # A server that wants TLS hangs up on anything else; one that is no server may be one behind TLS.
                tls = code == "tls" or (
                    code in ("closed", "unreachable", "not-a-server", "timeout") and await self.speaks_tls(address)
                )
                return DialledNode(address, "tls" if tls else code, error.seen or error.what, speaks_tls=tls)
            took = (self.clock.now() - began) * 1000
            node_id = answer.decode(errors="replace") if isinstance(answer, bytes) else ""
            return DialledNode(address, id=node_id, took_ms=took)

    async def _map_of(self, entry: Address) -> tuple[AnnouncedShard, ...]:
        connection = await self.pool.connection(entry)
        try:
            return parse_cluster_slots(await connection.call("CLUSTER", "SLOTS"))
        except (ReplyError, ValueError) as error:
            raise ServerError(
                f"{entry} has no map for clients", code="no-map", where=str(entry), seen=str(error)
            ) from error

    async def _members(self, entry: Address) -> tuple[PeerView, ...]:
        """None where a client may not ask."""
        try:
            reply = await (await self.pool.connection(entry)).call("CLUSTER", "NODES")
            return parse_cluster_nodes(reply.decode(errors="replace") if isinstance(reply, bytes) else "", entry)
        except (ReplyError, ServerError, ValueError):
            return ()

    async def _ask(self, address: Address, shards: tuple[AnnouncedShard, ...]) -> list[Redirect]:
        """A key of every shard, in one round trip."""
        connection = await self.pool.connection(address)
        owners = [shard.nodes[0].id for shard in shards]
        try:
            replies = await connection.pipeline([("GET", b"{%b}" % key_in(shard.slots, _SALT)) for shard in shards])
        except ServerError as error:
            return [Redirect(address, owner, error=error.what) for owner in owners]
        return [
            _redirect(address, owner, reply if isinstance(reply, ReplyError) else None)
            for owner, reply in zip(owners, replies, strict=True)
        ]


def _redirect(asked: Address, owner: str, error: ReplyError | None) -> Redirect:
    if error is None:
        return Redirect(asked, owner)
    goal = parse_redirect(str(error), asked) if error.code == "MOVED" else None
    return Redirect(asked, owner, goal, "" if goal is not None else escaped(str(error))[1:-1])


def _no_way_in(first: DialledNode, seeds: int) -> ServerError:
    where = str(first.address)
    if first.code == "locked":
        return AuthenticationError(f"{where} does not let this client in", where=where, seen=first.seen)
    if first.code == "refuses":
        return ServerError(f"{where} is no node of a cluster", code="not-a-cluster", where=where, seen=first.seen)
    what = f"none of {seeds} nodes can be reached" if seeds > 1 else f"{where} can't be reached"
    hint = "it speaks TLS, and this walk does not" if first.speaks_tls else ""
    return NodeUnreachableError(what, code=first.code, where=where, seen=first.seen, hint=hint)
