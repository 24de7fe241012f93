"""Forming by CLUSTER MEET, as fast as it goes: the road that slotwright did not take, kept so that it can be measured.

All servers start with a short cluster-node-timeout and no wait before a full sync. Epochs and slots are given out
first; then every node is told of every other one in one pipelined write (from a hundred nodes on only one node is told
of all, because a full mesh of handshakes grows slower there). A replica is told of its primary as soon as it knows it.
At the end both settings are put back and read back. Everything is polled each 20 ms.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from judge import POLL_S

from slotwright.cluster.slots import SlotSet, split_evenly
from slotwright.cluster.topology import Address
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import setting_value
from slotwright.ports import ReplyError

MANY = 100
"""From so many nodes on: MEET from one seed, and a longer time-out against false failures."""

_DELAY = "repl-diskless-sync-delay"
_TIMEOUT = "cluster-node-timeout"


@dataclass(frozen=True, slots=True)
class Meet:
    """A formation of ``addresses``: the first of them are primaries, then come the replicas, shard by shard."""

    addresses: tuple[Address, ...]
    shards: int
    pool: ConnectionPool
    deadline: float

    def overrides(self) -> tuple[tuple[str, str], ...]:
        """What the servers are started with."""
        timeout_ms = 2000 if len(self.addresses) >= MANY else 500
        return ((_TIMEOUT, str(timeout_ms)), (_DELAY, "0"))

    async def form(self) -> str:
        """All servers answer already. Returns the fault, "" when every replica follows its primary."""
        primaries, replicas = self.addresses[: self.shards], self.addresses[self.shards :]
        ids = await asyncio.gather(*(self._id(address) for address in primaries))
        # Replicas to be get the lower epochs. Without any, two of them collide, one is raised above its later primary,
        # and Valkey 9 then ignores what it says as stale: some views never agree again.
        slots = [*split_evenly(self.shards), *(SlotSet() for _ in replicas)]
        givings = zip([*primaries, *replicas], self._epochs(), slots, strict=True)
        await asyncio.gather(*(self._give(*giving) for giving in givings))
        await asyncio.gather(*(self._introduce(address) for address in self._speakers()))
        followed = [(address, ids[at % self.shards]) for at, address in enumerate(self._far_first(replicas))]
        faults = await asyncio.gather(*(self._replicate(address, node_id) for address, node_id in followed))
        return next((fault for fault in faults if fault), "")

    async def restore(self, settings: Sequence[tuple[str, str]]) -> str:
        """Put the settings back, and read them back."""
        faults = await asyncio.gather(*(self._restore(address, settings) for address in self.addresses))
        return next((fault for fault in faults if fault), "")

    def _epochs(self) -> list[int]:
        count = len(self.addresses)
        return [*range(count - self.shards + 1, count + 1), *range(1, count - self.shards + 1)]

    def _speakers(self) -> tuple[Address, ...]:
        return self.addresses[:1] if len(self.addresses) >= MANY else self.addresses

    def _far_first(self, replicas: Sequence[Address]) -> list[Address]:
        """Turned, so that most replicas are not on their primary's host: addresses go round the hosts."""
        hosts = len({address.host for address in self.addresses})
        turn = next((turn for turn in range(1, hosts) if (self.shards + turn) % hosts), 0)
        return [*replicas[turn:], *replicas[:turn]]

    async def _id(self, address: Address) -> str:
        reply = await (await self.pool.connection(address)).call("CLUSTER", "MYID")
        assert isinstance(reply, bytes)
        return reply.decode()

    async def _give(self, address: Address, epoch: int, slots: SlotSet) -> None:
        numbers = [slot for piece in slots.ranges for slot in range(piece.first, piece.last + 1)]
        connection = await self.pool.connection(address)
        commands: list[tuple[str | int, ...]] = [("CLUSTER", "SET-CONFIG-EPOCH", epoch)]
        if numbers:
            commands.append(("CLUSTER", "ADDSLOTS", *numbers))
        for reply in await connection.pipeline(commands):
            if isinstance(reply, ReplyError):
                raise reply

    async def _introduce(self, address: Address) -> None:
        connection = await self.pool.connection(address)
        others = [other for other in self.addresses if other != address]
        await connection.pipeline([("CLUSTER", "MEET", other.host, other.port) for other in others])

    async def _replicate(self, address: Address, primary: str) -> str:
        connection = await self.pool.connection(address)
        while True:
            try:
                await connection.call("CLUSTER", "REPLICATE", primary)
            except ReplyError as error:
                if time.monotonic() > self.deadline:
                    return f"{address}: {error}"
                await asyncio.sleep(POLL_S)
            else:
                return ""

    async def _restore(self, address: Address, settings: Sequence[tuple[str, str]]) -> str:
        connection = await self.pool.connection(address)
        for name, value in settings:
            await connection.call("CONFIG", "SET", name, value)
            found = setting_value(await connection.call("CONFIG", "GET", name))
            if found != value:
                return f"{address}: {name} is {found}, not {value}"
        return ""
