"""A client with a memory: it writes keys of its own to every shard at a given rate, and knows what became of each.

A write is *acknowledged*, *refused* (the server said no, or nobody took the connection: it can't have happened) or
*indeterminate* (sent, and no answer: it may have). Keys are used once, so what is read in the end tells which of the
acknowledged writes are lost, and nothing is counted as lost that was never promised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.observation import Role
from slotwright.cluster.slots import key_in
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.ports import Clock, Connection, Dialer, Reply, ReplyError
from slotwright.server.addresses import parse_redirect

_ANSWER_S = 1.0
_DIAL_S = 0.5
_PAUSE_S = 0.02
_LIFETIME_S = 3600


class WriteOutcome(StrEnum):
    """What became of a request."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    INDETERMINATE = "indeterminate"


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``began`` and ``ended`` in seconds of the clock."""

    shard: int
    key: str
    is_write: bool
    outcome: WriteOutcome
    began: float
    ended: float


@dataclass(slots=True)
class _Route:
    """Where a shard's requests go now: the node last known to take them, and its others to try."""

    tag: str
    addresses: list[Address]
    at: int = 0

    @property
    def address(self) -> Address:
        return self.addresses[self.at % len(self.addresses)]

    def leave(self, address: Address) -> None:
        """It failed somebody; where others have gone on already, nothing happens."""
        if self.address == address:
            self.at += 1

    def lead_to(self, address: Address) -> None:
        """What MOVED said."""
        if address not in self.addresses:
            self.addresses.append(address)
        self.at = self.addresses.index(address)


@dataclass(slots=True)
class LoadGenerator:
    """``rate`` is in writes a second over all shards; as many reads go beside them."""

    dialer: Dialer
    clock: Clock
    survey: Survey
    token: str
    rate: float
    entries: list[Entry] = field(default_factory=list)
    _routes: dict[int, _Route] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _ends: bool = False

    def start(self) -> None:
        """One writer and one reader a shard."""
        for shard in sorted({node.shard for node in self.survey.nodes if node.shard is not None}):
            nodes = self.survey.shard(shard)
            owner = next((node for node in nodes if node.role is Role.PRIMARY and node.slots), None)
            if owner is None:
                continue
            addresses = [node.address for node in nodes if node.address is not None]
            self._routes[shard] = _Route(key_in(owner.slots, "slotwright").decode(), addresses)
        for shard in self._routes:
            self._tasks += [asyncio.create_task(self._write(shard)), asyncio.create_task(self._read(shard))]

    async def stop(self) -> None:
        """Every request that is under way is waited for."""
        self._ends = True
        await asyncio.gather(*self._tasks)

    def acknowledged(self, shard: int) -> list[Entry]:
        """Writes of a shard that the server promised, in order."""
        return [entry for entry in self.entries if entry.shard == shard and entry.is_write and _is_ok(entry)]

    async def lost(self) -> tuple[str, ...]:
        """Acknowledged keys that are not there; all keys are removed on the way. Raises what can't be read."""
        missing: list[str] = []
        for shard, route in self._routes.items():
            keys = [entry.key for entry in self.acknowledged(shard)]
            unsure = [
                entry.key for entry in self.entries if entry.shard == shard and entry.is_write and not _is_ok(entry)
            ]
            client = _ShardClient(self, route)
            for at in range(0, len(keys), 200):
                part = keys[at : at + 200]
                result = await client.insist(("MGET", *part))
                values = result if isinstance(result, list) else [None] * len(part)
                missing += [key for key, value in zip(part, values, strict=True) if value is None]
            for at in range(0, len(keys + unsure), 200):
                await client.insist(("UNLINK", *(keys + unsure)[at : at + 200]))
            await client.close()
        return tuple(missing)

    async def _write(self, shard: int) -> None:
        route, number = self._routes[shard], 0
        client = _ShardClient(self, route)
        async for _ in self._beats():
            number += 1
            key = f"{{{route.tag}}}:drill:{self.token}:{number}"
            await self._note(client, shard, key, ("SET", key, number, "EX", _LIFETIME_S), is_write=True)
        await client.close()

    async def _read(self, shard: int) -> None:
        route = self._routes[shard]
        client = _ShardClient(self, route)
        key = f"{{{route.tag}}}:drill:{self.token}:1"
        async for _ in self._beats():
            await self._note(client, shard, key, ("GET", key), is_write=False)
        await client.close()

    async def _note(
        self, client: _ShardClient, shard: int, key: str, command: tuple[str | int, ...], *, is_write: bool
    ) -> None:
        began = self.clock.now()
        outcome = await client.ask(command)
        self.entries.append(Entry(shard, key, is_write, outcome, began, self.clock.now()))
        if outcome is not WriteOutcome.ACKNOWLEDGED:
            await self.clock.sleep(_PAUSE_S)

    async def _beats(self) -> AsyncIterator[None]:
        """Once for each request that a shard's client is to make."""
        interval = len(self._routes) / self.rate
        beat = self.clock.now()
        while not self._ends:
            yield
            beat = max(beat + interval, self.clock.now() - interval)
            await self.clock.sleep(max(0.0, beat - self.clock.now()))


class _ShardClient:
    """A connection that follows a shard to wherever it is served."""

    def __init__(self, load: LoadGenerator, route: _Route) -> None:
        self._load = load
        self._route = route
        self._connection: Connection | None = None
        self.reply: Reply = None

    async def ask(self, command: tuple[str | int, ...], hops: int = 3) -> WriteOutcome:
        """One request, led on by MOVED at the most ``hops`` times."""
        address = self._route.address
        try:
            if self._connection is None or self._connection.address != address:
                await self.close()
                self._connection = await self._load.dialer.dial(address, timeout_s=_DIAL_S)
        except ServerError:
            self._route.leave(address)
            return WriteOutcome.REFUSED
        try:
            self.reply = await self._connection.call(*command, timeout_s=_ANSWER_S)
        except ReplyError as error:
            goal = parse_redirect(str(error), address) if error.code == "MOVED" else None
            if goal is not None and hops:
                self._route.lead_to(goal)
                return await self.ask(command, hops - 1)
            if error.code not in ("CLUSTERDOWN", "TRYAGAIN", "LOADING"):
                self._route.leave(address)
            return WriteOutcome.REFUSED
        except NodeUnreachableError:
            await self.close()
            self._route.leave(address)
            return WriteOutcome.INDETERMINATE
        return WriteOutcome.ACKNOWLEDGED

    async def insist(self, command: tuple[str | int, ...]) -> Reply:
        """Until it is answered, for half a minute. Raises ServerError."""
        deadline = self._load.clock.now() + 30
        while await self.ask(command) is not WriteOutcome.ACKNOWLEDGED:
            if self._load.clock.now() > deadline:
                raise ServerError(
                    f"what was written to {self._route.address} can't be read back",
                    code="ledger-unreadable",
                    where=str(self._route.address),
                )
            await self._load.clock.sleep(_PAUSE_S)
        return self.reply

    async def close(self) -> None:
        """Hang up."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


def _is_ok(entry: Entry) -> bool:
    return entry.outcome is WriteOutcome.ACKNOWLEDGED
