"""A source whose stream can be read as a replica does, and the product's replicator between it and a cluster."""

from __future__ import annotations

import asyncio
import re
import shlex
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import ResponseError

from slotwright.adapters.state.clusters import StateDirectory
from slotwright.app.context import Context
from slotwright.app.source import MigrationSource
from slotwright.app.targets import find_target
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.topology import Address
from slotwright.features.migrate.model.migration import Migration, MigrationLimits, MigrationPhase, PausedExpiry
from slotwright.features.migrate.replay.replayer import ServerCommands
from slotwright.features.migrate.run.replicator import Replicator
from slotwright.features.migrate.wiring import build_migrator, open_ways
from slotwright.keys.model.comparison import Compared, Comparison
from slotwright.keys.model.databases import DatabaseMap
from slotwright.server import replication
from slotwright.server.capabilities import capabilities_of, version_from_info
from slotwright.server.commands.parse import parse_command_table
from slotwright.server.info import parse_info
from tests.engines import TestEngine
from tests.integration.conftest import Lab

Result = TypeVar("Result")


def raw_client(address: str, database: int = 0) -> Redis:
    """A client that gives replies as they are: RESP2, bytes."""
    host, port = address.rsplit(":", 1)
    client = Redis(host, int(port), db=database, socket_timeout=30, protocol=2)
    client.response_callbacks.clear()
    return client


def info_of(client: Redis, section: str) -> dict[str, str]:
    return parse_info(client.execute_command("INFO", section).decode())


def side_of(client: Redis) -> ServerCommands:
    version = version_from_info(info_of(client, "server"))
    return ServerCommands(capabilities_of(version), parse_command_table(client.execute_command("COMMAND")))


BODIES = {"count": "redis.call('INCR', keys[1])", "add": "redis.call('INCRBY', keys[1], 7)", "nothing": "0"}


def library(name: str, body: str) -> bytes:
    """A library with one function of the same name."""
    function = f"redis.register_function('{name}', function(keys, args) return {BODIES[body]} end)"
    return f"#!lua name={name}\n{function}".encode()


class Follower:
    """A replica by its own socket: the snapshot is thrown away, the stream is kept as commands."""

    def __init__(self, address: str, replication_id: str = "", offset: int = 0) -> None:
        """From a snapshot on; or, with ``replication_id``, from ``offset`` of that history on."""
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=60)
        self._received = b""
        self._changes: list[replication.Change] = []
        for words in replication.greeting(1):
            self._socket.sendall(words)
            line = self._line()
            assert line in (b"+PONG", b"+OK"), line
        self._socket.sendall(replication.sync_request(replication_id, offset))
        self.answer = replication.parse_sync_reply(self._line())
        self.snapshot = b""
        if isinstance(self.answer, replication.FullSync):
            self.replication_id, offset = self.answer.replication_id, self.answer.offset
            self.snapshot = self._snapshot(replication.SnapshotBody(self._line()))
        self.stream = replication.CommandStream(offset)
        self._changes += self.stream.feed(self._received)

    def _line(self) -> bytes:
        while True:
            line, self._received = replication.take_line(self._received)
            if line is not None:
                return line
            self._received += self._read()

    def _read(self) -> bytes:
        data = self._socket.recv(65536)
        assert data, "the source hung up"
        return data

    def _snapshot(self, body: replication.SnapshotBody) -> bytes:
        snapshot, self._received = body.feed(self._received)
        while not body.is_whole:
            part, self._received = body.feed(self._read())
            snapshot += part
        return snapshot

    def until(self, offset: Callable[[], int]) -> list[replication.Change]:
        """All that has come since the last call, up to the offset that the source is at."""
        self._socket.settimeout(0.1)
        deadline = time.monotonic() + 60
        while self.stream.offset < offset():
            assert time.monotonic() < deadline, "the stream stands still"
            try:
                self._changes += self.stream.feed(self._read())
            except TimeoutError:
                self.acknowledge()
        changes, self._changes = self._changes, []
        self.acknowledge()
        return changes

    def acknowledge(self) -> None:
        self._socket.sendall(replication.acknowledgement(self.stream.offset))

    def close(self) -> None:
        self._socket.close()


class Source:
    """A stand-alone server, its follower, and a second server that keys can be sent to."""

    def __init__(self, lab: Lab, engine: TestEngine, database: int = 0, *options: str) -> None:
        """``database`` is the one that :meth:`say` speaks to."""
        self.engine = engine
        self.address = f"{lab.hosts[0]}:{lab.free_port()}"
        self.sink = f"{lab.hosts[1]}:{lab.free_port()}"
        lab.serve(engine, self.address, "--repl-diskless-sync-delay", "0", *options)
        lab.serve(engine, self.sink)
        self.client = raw_client(self.address, database)
        self.side = side_of(self.client)
        self.follower = Follower(self.address)
        self.refused: list[str] = []
        lab.wait(self._is_followed, "the replica to be online")

    def _is_followed(self) -> bool:
        self.follower.acknowledge()
        return "state=online" in info_of(self.client, "replication").get("slave0", "")

    @property
    def offset(self) -> int:
        return int(info_of(self.client, "replication")["master_repl_offset"])

    def write_commands(self) -> set[str]:
        """What COMMAND calls a write, subcommands after a bar."""
        found = set()
        for entry in self.side.commands.commands.values():
            name = entry.name.decode().lower()
            inner = {f"{name}|{sub.name.decode().lower()}" for sub in entry.subcommands.values() if sub.is_write}
            found |= inner or ({name} if entry.is_write else set())
        return found

    def say(self, sample: str) -> list[replication.Change]:
        """The sample's lines; what of them came by the stream."""
        self.only_say(sample)
        return self.rest()

    def only_say(self, sample: str) -> None:
        """The sample's lines, over one connection."""
        with one_connection(self.client) as said:
            for line in filter(None, (line.strip() for line in sample.splitlines())):
                self._say(said, line)

    def say_at_once(self, sample: str) -> None:
        """The sample's lines in one request, so that no time goes by between them."""
        with one_connection(self.client) as said:
            pipe = said.pipeline(transaction=False)
            for line in filter(None, (line.strip() for line in sample.splitlines())):
                pipe.execute_command(*(word for text in shlex.split(line) for word in self._word(text)))
            pipe.execute()

    def rest(self) -> list[replication.Change]:
        """What has come by the stream since, up to where the source is now."""
        return self.follower.until(lambda: self.offset)

    def _say(self, said: Redis, line: str) -> None:
        may_fail = line.startswith("? ")
        words = [word for text in shlex.split(line.removeprefix("? ")) for word in self._word(text)]
        if words[0] == b"@gone":
            deadline = time.monotonic() + 60
            while said.execute_command("EXISTS", words[1]) and time.monotonic() < deadline:
                pass
            return
        try:
            said.execute_command(*words)
        except ResponseError as error:
            if not may_fail:
                self.refused.append(f"{line}: {error}")

    def _word(self, text: str) -> list[bytes]:
        if text == "@sink":
            return [part.encode() for part in self.sink.rsplit(":", 1)]
        if text == "@functions":
            return [self.client.execute_command("FUNCTION", "DUMP")]
        if text.startswith("@library:"):
            return [library(*text.split(":")[1:])]
        if text.startswith("@dump:"):
            return [self.client.execute_command("DUMP", text.removeprefix("@dump:"))]
        if text == "@gone":
            return [b"@gone"]
        found = re.fullmatch(r"@now(ms)?(?:\+(\d+))?", text)
        if found:
            return [b"%d" % (int(time.time() * (1000 if found[1] else 1)) + int(found[2] or 0))]
        return [text.encode().decode("unicode_escape").encode("latin-1")]


def one_connection(client: Redis) -> Redis:
    arguments = dict(client.connection_pool.connection_kwargs)
    single = Redis(
        arguments["host"],
        arguments["port"],
        db=arguments["db"],
        protocol=2,
        socket_timeout=30,
        single_connection_client=True,
    )
    single.response_callbacks.clear()
    return single


class Cluster:
    """Three primaries without replicas."""

    def __init__(self, lab: Lab, engine: TestEngine) -> None:
        self.engine = engine
        self.name, self.state = engine.label.replace(".", "-"), lab.state
        port, name = lab.free_port(), self.name
        lab.topology(
            engine,
            name=name,
            password="none",
            settings="{cluster-databases: 16}" if engine.label == "valkey-9.1" else "{}",
            ports=(port,),
            replicas=0,
            file=f"{name}.yaml",
        )
        done = lab.run("up", "--yes", f"{name}.yaml")
        assert done.code == 0, done.out + done.err
        self._addresses = [f"{host}:{port}" for host in lab.hosts]
        self.nodes = [raw_client(address) for address in self._addresses]
        self._databases: dict[tuple[int, int], Redis] = {(i, 0): node for i, node in enumerate(self.nodes)}
        self._owner = [0] * SLOT_COUNT
        for first, last, primary, *_ in self.nodes[0].execute_command("CLUSTER", "SLOTS"):
            index = self._addresses.index(f"{primary[0].decode()}:{primary[1]}")
            self._owner[first : last + 1] = [index] * (last + 1 - first)
        self.side = side_of(self.nodes[0])

    def at(self, slot: int, database: int = 0) -> Redis:
        return self._node(self._owner[slot], database)

    def _node(self, index: int, database: int) -> Redis:
        if (index, database) not in self._databases:
            self._databases[index, database] = raw_client(self._addresses[index], database)
        return self._databases[index, database]


class Following:
    """The product's migration of a source into a cluster, as :class:`MigrationRun` has it, in a thread of its own: it
    has copied, and follows until the end of the block.

    ``is_behind``: it counts as lagging, until :meth:`catch_up`.
    """

    def __init__(self, source: Source, cluster: Cluster, databases: DatabaseMap, *, is_behind: bool = False) -> None:
        self.cluster, self.databases = cluster, databases
        self._source, self._is_behind = source, is_behind
        self._context = Context(StateDirectory(cluster.state))
        self.kept = PausedExpiry()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()

    def __enter__(self) -> Following:
        self._thread.start()
        self._run(self._open())
        if not self._is_behind:
            self.catch_up()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)
        self._loop.close()

    def take(self) -> None:
        """Until all that the source has done is answered for in the target. Raises what ended the following."""
        self._run(self._take(self._source.offset))

    def catch_up(self) -> None:
        """The target lags no more, and has the source's deadlines."""
        self._run(self._catch_up())

    def prove(self) -> Comparison:
        """As before a cutover; everything that differs is carried by value."""
        return self._run(self._migrator.prove())

    def prove_rest(self) -> tuple[Compared, ...]:
        """As a cutover does: the keys that changed since, and stay different."""
        return self._run(self._prove_rest(self._source.offset))

    @property
    def replicator(self) -> Replicator:
        return self._migrator.lines[0].replicator

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """It gets no time: whatever the source does waits in the source."""
        has_stopped, goes_on = threading.Event(), threading.Event()

        def stand() -> None:
            has_stopped.set()
            goes_on.wait(60)

        self._loop.call_soon_threadsafe(stand)
        assert has_stopped.wait(20)
        try:
            yield
        finally:
            goes_on.set()

    async def _open(self) -> None:
        address, name = self._source.address, self.cluster.name
        source = MigrationSource(address, Address.parse(address))
        migration = Migration(
            address, name, name, "", "", self.databases, MigrationLimits(), MigrationPhase.COPY, 0.0,
            paused_expiry=self.kept,
        )  # fmt: skip
        target = find_target(self._context, name)
        ways = await self._stack.enter_async_context(open_ways(self._context, source, target))
        self._migrator = await build_migrator(ways, migration, self._keep)
        await self._stack.enter_async_context(self._migrator.running())

    def _keep(self, paused: PausedExpiry) -> None:
        self.kept = paused

    async def _take(self, offset: int) -> None:
        async with asyncio.timeout(60):
            while self.replicator.offset < offset or not self.replicator.is_drained:
                await self._migrator.watch(0.002)

    async def _catch_up(self) -> None:
        await self.replicator.caught_up()
        await self._migrator.expiry.settle()
        self.replicator.carry_late_keys()

    async def _prove_rest(self, offset: int) -> tuple[Compared, ...]:
        await self._take(offset)
        return await self._migrator.recheck(0)

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)


def pairs(reply: Sequence[object]) -> dict[bytes, object]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


@dataclass(frozen=True)
class Content:
    """A key's value as it can be compared between versions. ``deadline_ms`` is -1 without."""

    kind: bytes
    value: object
    deadline_ms: int


def content(client: Redis, key: bytes, *, has_field_times: bool) -> Content:
    kind = client.execute_command("TYPE", key)
    ttl_ms = client.execute_command("PTTL", key)
    deadline_ms = ttl_ms if ttl_ms < 0 else int(time.time() * 1000) + ttl_ms
    return Content(kind, _value(client, key, kind, has_field_times), deadline_ms)


def _value(client: Redis, key: bytes, kind: bytes, has_field_times: bool) -> object:
    if kind == b"string":
        return client.execute_command("GET", key)
    if kind == b"list":
        return client.execute_command("LRANGE", key, 0, -1)
    if kind == b"set":
        return sorted(client.execute_command("SMEMBERS", key))
    if kind == b"zset":
        flat = client.execute_command("ZRANGE", key, 0, -1, "WITHSCORES")
        return [(member, float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)]
    if kind == b"stream":
        return _stream(client, key)
    if kind == b"hash":
        fields = pairs(client.execute_command("HGETALL", key))
        if not has_field_times:
            return fields
        names = sorted(fields)
        times = client.execute_command("HPEXPIRETIME", key, "FIELDS", len(names), *names)
        return {name: (fields[name], at) for name, at in zip(names, times, strict=True)}
    return None


def _stream(client: Redis, key: bytes) -> object:
    whole = pairs(client.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    groups = {}
    for group in map(pairs, whole[b"groups"]):
        consumers = sorted({consumer[b"name"] for consumer in map(pairs, group[b"consumers"])} - {b"silent"})
        pending = sorted(tuple(one) for one in group[b"pending"])
        groups[group[b"name"]] = (group[b"last-delivered-id"], group.get(b"entries-read"), consumers, pending)
    counted = (whole.get(b"entries-added"), whole.get(b"max-deleted-entry-id"))
    return whole[b"entries"], whole[b"last-generated-id"], counted, groups
