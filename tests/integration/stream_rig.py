"""A source whose stream is followed as a replica does, and a pump that does to clusters what the Replayer says."""

from __future__ import annotations

import re
import shlex
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from redis import Redis
from redis.exceptions import ResponseError

from slotwright.model.migration import DatabaseMap, Named
from slotwright.model.slots import SLOT_COUNT, key_slot
from slotwright.planning.replay import Replayer, Side
from slotwright.planning.replay_actions import (
    Acknowledge,
    Action,
    ByValue,
    CopyFunctions,
    FlushDatabase,
    Send,
    SendToAll,
    Skip,
    Stop,
    Unknowable,
)
from slotwright.planning.replay_replies import is_doubtful
from slotwright.ports import ReplyError
from slotwright.wire import replication
from slotwright.wire.command_table import parse_command_table
from slotwright.wire.flavor import version_from_info
from slotwright.wire.info import parse_info
from tests.engines import TestEngine
from tests.integration.conftest import Lab


def raw_client(address: str, database: int = 0) -> Redis:
    """A client that gives replies as they are: RESP2, bytes."""
    host, port = address.rsplit(":", 1)
    client = Redis(host, int(port), db=database, socket_timeout=10, protocol=2)
    client.response_callbacks.clear()
    return client


def info_of(client: Redis, section: str) -> dict[str, str]:
    return parse_info(client.execute_command("INFO", section).decode())


def side_of(client: Redis) -> Side:
    version = version_from_info(info_of(client, "server"))
    return Side(version, parse_command_table(client.execute_command("COMMAND")))


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
        self._socket = socket.create_connection((host, int(port)), timeout=20)
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
        deadline = time.monotonic() + 20
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
        lab.wait(self._is_followed, "the replica to be online", 20)

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

    def rest(self) -> list[replication.Change]:
        """What has come by the stream since, up to where the source is now."""
        return self.follower.until(lambda: self.offset)

    def _say(self, said: Redis, line: str) -> None:
        may_fail = line.startswith("? ")
        words = [word for text in shlex.split(line.removeprefix("? ")) for word in self._word(text)]
        if words[0] == b"@gone":
            deadline = time.monotonic() + 10
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
        socket_timeout=10,
        single_connection_client=True,
    )
    single.response_callbacks.clear()
    return single


class Cluster:
    """Three primaries without replicas."""

    def __init__(self, lab: Lab, engine: TestEngine) -> None:
        self.engine = engine
        port, name = lab.free_port(), engine.label.replace(".", "-")
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

    def import_source(self) -> None:
        """From now on the connections that write are those of an import."""
        for index, node in enumerate(self.nodes):
            self._databases[index, 0] = one_connection(node)
            self._databases[index, 0].execute_command("CLIENT", "IMPORT-SOURCE", "ON")

    def everywhere(self, database: int = 0) -> list[Redis]:
        return [self._node(index, database) for index in range(len(self.nodes))]

    def _node(self, index: int, database: int) -> Redis:
        if (index, database) not in self._databases:
            self._databases[index, database] = raw_client(self._addresses[index], database)
        return self._databases[index, database]


@dataclass
class Pump:
    """Does what the Replayer says to one cluster, one command at a time; what was said is kept for the test."""

    source: Source
    cluster: Cluster
    databases: DatabaseMap
    done: list[tuple[Sequence[bytes], Action]] = field(default_factory=list)
    later_ms: int = 0
    doubtful: set[bytes] = field(default_factory=set)
    ends: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.replayer = Replayer(self.source.side, self.cluster.side, self.databases, later_ms=self.later_ms)

    def take(self, changes: Iterable[replication.Change]) -> None:
        """All of ``changes``; the source is at the offset of the last."""
        carried: set[Named] = set()
        for _, arguments in changes:
            for action in self.replayer.replay(arguments, int(time.time() * 1000)):
                self.done.append((arguments, action))
                self._do(action, carried)

    def _do(self, action: Action, carried: set[Named]) -> None:
        match action:
            case Send():
                waits = not carried.isdisjoint((action.database, key) for key in action.keys)
                if not waits and self._is_doubtful(action):
                    self.doubtful.add(action.arguments[0])
                    waits = True
                if waits:
                    prefix = self.databases.prefix(self.replayer.database)
                    self._carry([(self.replayer.database, key.removeprefix(prefix)) for key in action.keys], carried)
            case SendToAll():
                for node in self.cluster.everywhere(action.database):
                    node.execute_command(*action.arguments)
            case FlushDatabase():
                self._flush(action.database)
            case ByValue():
                self._carry(action.keys, carried)
            case CopyFunctions():
                self._copy_functions()
            case Stop() | Unknowable():
                self.ends.append(str(action))
            case Skip() | Acknowledge():
                pass

    def _is_doubtful(self, action: Send) -> bool:
        try:
            return is_doubtful(action, self.cluster.at(action.slot, action.database).execute_command(*action.arguments))
        except ResponseError as error:
            return is_doubtful(action, ReplyError(str(error)))

    def _carry(self, keys: Iterable[Named], carried: set[Named]) -> None:
        for named in keys:
            if self.databases.target(named) in carried:
                continue
            carry(self.source, named, self.cluster, self.databases.target(named))
            carried.add(self.databases.target(named))

    def _copy_functions(self) -> None:
        libraries = self.source.client.execute_command("FUNCTION", "LIST", "WITHCODE")
        for node in self.cluster.everywhere():
            node.execute_command("FUNCTION", "FLUSH")
            for library in map(pairs, libraries):
                node.execute_command("FUNCTION", "LOAD", library[b"library_code"])

    def _flush(self, database: int) -> None:
        prefix = self.databases.prefix(database)
        for node in self.cluster.everywhere():
            for key in node.execute_command("KEYS", "*"):
                if key.startswith(prefix) if prefix else not re.match(rb"db\d+:", key):
                    node.execute_command("DEL", key)


def carry(source: Source, named: Named, cluster: Cluster, to: Named) -> None:
    """The value of one key, by DUMP and RESTORE, or by commands where the target can't read the former."""
    origin, key, there = raw_client(source.address, named[0]), to[1], cluster.at(key_slot(to[1]), to[0])
    there.execute_command("DEL", key)
    payload = origin.execute_command("DUMP", named[1])
    if payload is None:
        return
    ttl_ms = max(0, origin.execute_command("PTTL", named[1]))
    try:
        there.execute_command("RESTORE", key, ttl_ms, payload)
    except ResponseError:
        _carry_by_commands(origin, named[1], there, key)
        if ttl_ms:
            there.execute_command("PEXPIRE", key, ttl_ms)


def _carry_by_commands(origin: Redis, key: bytes, there: Redis, to: bytes) -> None:
    kind = origin.execute_command("TYPE", key)
    if kind == b"string":
        there.execute_command("SET", to, origin.execute_command("GET", key))
    elif kind == b"list":
        there.execute_command("RPUSH", to, *origin.execute_command("LRANGE", key, 0, -1))
    elif kind == b"set":
        there.execute_command("SADD", to, *origin.execute_command("SMEMBERS", key))
    elif kind == b"hash" and (fields := origin.execute_command("HGETALL", key)):
        there.execute_command("HSET", to, *fields)
        _carry_field_times(origin, key, there, to, fields[::2])
    elif kind == b"zset":
        scored = origin.execute_command("ZRANGE", key, 0, -1, "WITHSCORES")
        there.execute_command("ZADD", to, *reversed(scored))
    elif kind == b"stream":
        _carry_stream(origin, key, there, to)


def _carry_field_times(origin: Redis, key: bytes, there: Redis, to: bytes, names: Sequence[bytes]) -> None:
    try:
        times = origin.execute_command("HPEXPIRETIME", key, "FIELDS", len(names), *names)
        for name, at_ms in zip(names, times, strict=True):
            if at_ms > 0:
                there.execute_command("HPEXPIREAT", to, at_ms, "FIELDS", 1, name)
    except ResponseError as error:
        assert "unknown command" in str(error)


def _carry_stream(origin: Redis, key: bytes, there: Redis, to: bytes) -> None:
    whole = pairs(origin.execute_command("XINFO", "STREAM", key, "FULL", "COUNT", 0))
    there.execute_command("XGROUP", "CREATE", to, "-", "0", "MKSTREAM")
    there.execute_command("XGROUP", "DESTROY", to, "-")
    for entry, fields in whole[b"entries"]:
        there.execute_command("XADD", to, entry, *fields)
    counted = ("ENTRIESADDED", whole[b"entries-added"], "MAXDELETEDID", whole[b"max-deleted-entry-id"])
    there.execute_command("XSETID", to, whole[b"last-generated-id"], *counted)
    for group in map(pairs, whole[b"groups"]):
        name, read = group[b"name"], group[b"entries-read"]
        counted_read = () if read is None else ("ENTRIESREAD", read)
        there.execute_command("XGROUP", "CREATE", to, name, group[b"last-delivered-id"], *counted_read)
        for consumer in map(pairs, group[b"consumers"]):
            there.execute_command("XGROUP", "CREATECONSUMER", to, name, consumer[b"name"])
        for entry, consumer, at_ms, count in group[b"pending"]:
            claim = ("TIME", at_ms, "RETRYCOUNT", count, "FORCE", "JUSTID")
            there.execute_command("XCLAIM", to, name, consumer, 0, entry, *claim)


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
