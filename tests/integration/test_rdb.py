"""Snapshots of real servers: walked, put into the target's form, restored into every other server, and compared."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from slotwright.server.capabilities import Capability, version_from_info
from slotwright.server.rdb.dump import PLAIN, dump_payload, read_dump, restore_command, set_command
from slotwright.server.rdb.targets import Rewriter
from slotwright.server.rdb.walker import Entry, RdbWalker
from tests.engines import TestEngine, engine_params
from tests.integration.rdb_contents import contents, fill
from tests.integration.rdb_servers import full_sync, server, snapshot

pytestmark = pytest.mark.servers

Contents = dict[tuple[int, bytes], Any]


@dataclass(frozen=True)
class Source:
    """A server's snapshot, and what its commands said."""

    raw: bytes
    contents: Contents
    dumps: dict[tuple[int, bytes], bytes]
    walker: RdbWalker
    entries: list[Entry]


@cache
def source(engine: TestEngine) -> Source:
    with server(engine, "--maxmemory-policy", "noeviction") as client:
        fill(client)
        raw, said = snapshot(client), contents(client)
        dumps = {}
        for database, key in said:
            client.select(database)
            dumps[database, key] = client.dump(key)
    walker = RdbWalker()
    entries = walker.feed(raw)
    return Source(raw, said, dumps, walker, entries)


@pytest.fixture(params=engine_params())
def engine(request: pytest.FixtureRequest) -> TestEngine:
    return request.param


@pytest.fixture(params=engine_params())
def target(request: pytest.FixtureRequest) -> TestEngine:
    return request.param


def test_each_key_has_the_bytes_that_dump_gives(engine: TestEngine) -> None:
    of = source(engine)
    assert of.walker.is_complete and not of.walker.rest
    assert {(entry[0], entry[1]) for entry in of.entries} == set(of.contents)
    for database, key, _, kind, value, _, _ in of.entries:
        dumped = of.dumps[database, key]
        if kind == PLAIN:
            assert of.contents[database, key][0] == value
            assert read_dump(dumped)[0] == 0
        else:
            assert dumped == dump_payload(kind, value, of.walker.version)


def test_the_pieces_do_not_matter(engine: TestEngine) -> None:
    of, chance = source(engine), random.Random(7)
    for largest in (3, 100, 5000, 300_000):
        walker, entries, at = RdbWalker(), [], 0
        while at < len(of.raw):
            end = at + chance.randint(1, largest)
            entries += walker.feed(of.raw[at:end])
            at = end
        assert walker.is_complete and entries == of.entries


@pytest.mark.parametrize(("policy", "place"), [("allkeys-lru", 5), ("allkeys-lfu", 6)])
def test_how_a_key_was_used_arrives(engine: TestEngine, policy: str, place: int) -> None:
    with server(engine, "--maxmemory-policy", policy, "--maxmemory", "100mb") as client:
        for number in range(200):
            client.set(f"key {number}", number)
            client.rpush(f"list {number}", number)
        walker = RdbWalker()
        entries = walker.feed(snapshot(client))
        assert len(entries) == 400
        assert all(entry[place] >= 0 and entry[11 - place] == -1 for entry in entries)
        client.flushall()
        for _, key, expires_ms, kind, value, idle_s, _ in entries:
            if kind != PLAIN:
                often, idle = (99, -1) if place == 6 else (-1, idle_s + 1000)
                payload = dump_payload(kind, value, walker.version)
                _send(client, restore_command(key, payload, expires_ms, idle, often))
                seen = client.object("freq" if place == 6 else "idletime", key)
                assert 95 <= seen <= 99 if place == 6 else 1000 <= seen < 1030


def test_every_value_arrives(engine: TestEngine, target: TestEngine) -> None:
    of = source(engine)
    with server(target) as client:
        version = version_from_info(client.info("server"))
        rewriter = Rewriter(of.walker.version, version)
        left = set()
        for database, key, expires_ms, kind, value, _, _ in of.entries:
            if kind not in rewriter.direct:
                found = rewriter.rewrite(kind, value)
                if found is None:
                    left.add((database, key))
                    continue
                kind, value = found
            client.select(database)
            if kind == PLAIN:
                _send(client, set_command(key, value, expires_ms))
            else:
                _send(client, restore_command(key, dump_payload(kind, value, rewriter.version), expires_ms))
        assert not (left and target.capabilities.has(Capability.FIELD_EXPIRY))
        assert all(key.startswith(b"hash ttl") for _, key in left)
        assert contents(client) == {named: said for named, said in of.contents.items() if named not in left}


DISKLESS = ("--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0")


def test_a_replica_that_says_its_version_is_sent_everything(engine: TestEngine) -> None:
    with server(engine, *DISKLESS) as client:
        fill(client)
        mark, pieces = full_sync(client, str(version_from_info(client.info("server"))))
        walker, entries = RdbWalker(), []
        while len(walker.rest) < len(mark):
            entries += walker.feed(next(pieces))
        assert walker.is_complete and walker.rest.startswith(mark)
        assert walker.version == source(engine).walker.version
        assert {entry[:2] for entry in entries} == set(source(engine).contents)
        assert walker.aux[b"repl-stream-db"] == b"0"
        pieces.close()


def test_valkey_9_takes_a_replica_that_says_nothing_for_an_old_one(engine: TestEngine) -> None:
    """So it has to be told: a hash whose fields expire can't be sent to an old one, and the whole sync fails."""
    if engine.label != "valkey-9.1":
        pytest.skip("it sends all replicas the same")
    with server(engine, *DISKLESS) as client:
        client.set("key", "value")
        mark, pieces = full_sync(client)
        walker = RdbWalker()
        while len(walker.rest) < len(mark):
            walker.feed(next(pieces))
        pieces.close()
        assert walker.version == 11
        client.hset("hash", "field", "value")
        client.execute_command("HEXPIRE", "hash", 1000, "FIELDS", 1, "field")
        _, pieces = full_sync(client)
        walker = RdbWalker()
        for piece in pieces:
            walker.feed(piece)
        assert not walker.is_complete


def test_field_expiries_are_among_what_is_compared(engine: TestEngine) -> None:
    if not engine.capabilities.has(Capability.FIELD_EXPIRY):
        pytest.skip("its hash fields don't expire")
    of = source(engine)
    said = of.contents[0, b"hash ttl small"][0][1]
    assert len(said) == 3 and said.count(-1) == 1
    assert sum(ms > 0 for ms in of.contents[0, b"hash ttl large"][0][1]) == 334


def test_a_value_that_was_damaged_is_not_taken(engine: TestEngine) -> None:
    with server(engine) as client:
        client.rpush("list", *range(10))
        kind, value, version = read_dump(client.dump("list"))
        right = dump_payload(kind, value, version)
        _send(client, restore_command(b"right", right))
        with pytest.raises(ResponseError, match="checksum"):
            _send(client, restore_command(b"wrong", right[:5] + b"\x7e" + right[6:]))


def _send(client: Redis, command: bytes) -> None:
    """Sends what the wire module made, byte for byte."""
    connection = client.connection_pool.get_connection()
    try:
        connection.send_packed_command([command])
        assert connection.read_response() == b"OK"
    finally:
        client.connection_pool.release(connection)
