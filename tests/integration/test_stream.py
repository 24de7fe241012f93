"""Every write command of every supported source, said to a real one, followed as a replica, done to real clusters."""

from __future__ import annotations

import os
import re
from random import Random

import pytest

from slotwright.model.migration import DatabaseMap, DatabaseRule
from slotwright.model.slots import key_slot
from slotwright.wire.flavor import has_import_mode
from slotwright.wire.replication import Continued, FullSync
from tests.engines import ENGINES, TestEngine, engine_params
from tests.integration.conftest import Lab
from tests.integration.stream_rig import (
    Cluster,
    Content,
    Follower,
    Pump,
    Source,
    content,
    info_of,
    one_connection,
    raw_client,
)
from tests.integration.write_samples import BETWEEN_DATABASES, ELSEWHERE, EMPTYING, SAMPLES, TOGETHER

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


DOUBTFUL = {b"BITOP", b"XADD", b"XTRIM", b"XCLAIM", b"HPERSIST", b"HPEXPIREAT"}
"""Options that only the newest Redis has, entries that are gone, fields that aren't there."""


@pytest.fixture(scope="module")
def clusters(shared: Lab) -> list[Cluster]:
    """The oldest and the newest target."""
    found = [engine for engine in ENGINES if engine.label in ("redis-7.0", "valkey-9.1") and engine.directory]
    if not found:
        pytest.skip("neither Redis 7.0 nor Valkey 9.1 on this machine")
    return [Cluster(shared, engine) for engine in found]


def differences(source: Source, pump: Pump, database: int, names: set[bytes]) -> list[str]:
    """Of the source's keys and of ``names``, those that are not the same in the pump's cluster."""
    origin = raw_client(source.address, database)
    has_times = all(side.commands.get(b"HPEXPIRETIME") for side in (source.side, pump.cluster.side))
    found = []
    for key in sorted(names | set(origin.execute_command("KEYS", "*"))):
        to = pump.databases.target((database, key))
        there = pump.cluster.at(key_slot(to[1]), to[0])
        wanted = content(origin, key, has_field_times=has_times)
        seen = content(there, to[1], has_field_times=has_times)
        if not alike(wanted, seen):
            found.append(f"{key!r} in {pump.cluster.engine.label}: {wanted} -> {seen}")
    return found


def alike(wanted: Content, seen: Content) -> bool:
    if wanted.kind == b"vectorset":
        return True
    near = abs(wanted.deadline_ms - seen.deadline_ms) < 2000
    return wanted.kind == seen.kind and near and _plain(wanted.value, seen.value) == _plain(seen.value, wanted.value)


def _plain(value: object, other: object) -> object:
    """``value`` without what is None in either: what only one of the versions counts."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        both = zip(value, other, strict=True)
        return tuple(_plain(one, two) for one, two in both if one is not None and two is not None)
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: _plain(one, other.get(key)) for key, one in value.items()}
    return value


def empty(clusters: list[Cluster]) -> None:
    for cluster in clusters:
        for node in cluster.nodes:
            node.execute_command("FLUSHALL")
            node.execute_command("FUNCTION", "FLUSH")


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize(
    ("rule", "database"),
    [(DatabaseRule.REFUSE, 0), (DatabaseRule.PREFIX, 3), (DatabaseRule.KEEP, 3)],
)
def test_every_write_command(
    lab: Lab, clusters: list[Cluster], engine: TestEngine, rule: DatabaseRule, database: int
) -> None:
    source = Source(lab, engine, database)
    unsaid = source.write_commands() - set(SAMPLES) - set(ELSEWHERE)
    assert not unsaid, "write commands without a sample"
    fit = [c for c in clusters if rule is not DatabaseRule.KEEP or c.engine.label == "valkey-9.1"]
    pumps = [Pump(source, cluster, DatabaseMap(rule)) for cluster in fit]
    empty(fit)
    wrong: list[str] = []
    known = source.write_commands()
    samples = {name: SAMPLES[name] for name in (*EMPTYING, *sorted(set(SAMPLES) - set(EMPTYING)))}
    for name, sample in {**samples, **TOGETHER}.items():
        if (name in SAMPLES and name not in known) or name in BETWEEN_DATABASES:
            continue
        changes = source.say(sample)
        if os.environ.get("SLOTWRIGHT_SHOW_STREAM"):
            for _, arguments in changes:
                print(engine.label, name, "<-", b" ".join(arguments)[:150])
        for pump in pumps:
            try:
                pump.take(changes)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
    rest = source.rest()
    for pump in pumps:
        pump.take(rest)
        wrong += differences(source, pump, database, set()) + pump.ends
    wrong += source.refused
    for pump in pumps:
        assert pump.doubtful <= DOUBTFUL, "what the target did not do is by value, so nobody sees it but here"
    assert not wrong, "\n".join(wrong)
    source.rest()
    assert source.follower.stream.offset == source.offset


ANYTHING = """
    SET K V; SET K V EX 900; SET K V NX; SET K V KEEPTTL; SET K V XX GET; INCR K; APPEND K V; SETRANGE K 3 V;
    GETDEL K; GETEX K EX 800; GETEX K PERSIST; MSET K V K V; MSETNX K V K V; DEL K K; UNLINK K; EXPIRE K 900;
    PERSIST K; RENAME K K; RENAMENX K K; COPY K K; COPY K K REPLACE; RPUSH K V V; LPUSH K V; LPOP K; RPOP K 2;
    LMOVE K K LEFT RIGHT; RPOPLPUSH K K; LTRIM K 0 3; LINSERT K BEFORE V V; SADD K V V; SREM K V; SMOVE K K V;
    SPOP K; SUNIONSTORE K K K; SINTERSTORE K K K; SORT K ALPHA STORE K; HSET K V V; HDEL K V; HINCRBY K V 3;
    HINCRBYFLOAT K V 1.5; ZADD K 1 V 2 V; ZINCRBY K 1.1 V; ZPOPMIN K; ZUNIONSTORE K 2 K K; ZRANGESTORE K K 0 1;
    PFADD K V; PFMERGE K K; PFCOUNT K; BITOP OR K K K; SETBIT K 9 1; XADD K * V V; XADD K MAXLEN ~ 3 * V V;
    XDEL K 0-1; XTRIM K MAXLEN 2; GEOADD K 13.3 38.1 V; GEOSEARCHSTORE K K FROMLONLAT 13 38 BYRADIUS 900 km;
    EVAL "return redis.call('SPOP', KEYS[1])" 1 K
    """


@pytest.mark.parametrize("engine", engine_params())
def test_anything_in_one_go(lab: Lab, clusters: list[Cluster], engine: TestEngine) -> None:
    """Thousands of commands on few keys, of which some wait for their value while others go on."""
    source = Source(lab, engine)
    empty(clusters)
    chance = Random(5)
    templates = [" ".join(text.split()) for text in ANYTHING.split(";")]
    keys, values = ("a", "b", "{t}1", "{t}2", "{t}3", "{t}4", "{t}5"), ("x", "y", "7", "z")
    pumps = [Pump(source, cluster, DatabaseMap()) for cluster in clusters]
    for _ in range(12):
        chosen = [chance.choice(templates).replace("KEYS", "\0") for _ in range(200)]
        lines = [
            "? " + re.sub(r"\b[KV]\b", lambda m: chance.choice(keys if m[0] == "K" else values), text)
            for text in chosen
        ]
        changes = source.say("\n".join(lines).replace("\0", "KEYS"))
        for pump in pumps:
            pump.take(changes)
            assert not differences(source, pump, 0, {key.encode() for key in keys}) + pump.ends


BLOCKED = (
    (("BLPOP", "blocked:a", "0"), "RPUSH blocked:a 1 2"),
    (("BLMOVE", "blocked:b", "blocked:c", "LEFT", "RIGHT", "0"), "RPUSH blocked:b 1 2"),
    (("BRPOPLPUSH", "{blocked}b", "{blocked}c", "0"), "RPUSH {blocked}b 1 2"),
    (("BZPOPMIN", "blocked:d", "0"), "ZADD blocked:d 1 a 2 b"),
    (("BLMPOP", "0", "1", "blocked:e", "LEFT", "COUNT", "5"), "RPUSH blocked:e 1 2"),
    (("BZMPOP", "0", "1", "blocked:f", "MAX"), "ZADD blocked:f 1 a 2 b"),
    (("XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "blocked:g", ">"), "XADD blocked:g 1-1 f v"),
)


@pytest.mark.parametrize("engine", engine_params())
def test_clients_that_waited(lab: Lab, clusters: list[Cluster], engine: TestEngine) -> None:
    """What a blocked client gets is in the stream as what it came to."""
    source = Source(lab, engine)
    empty(clusters)
    source.only_say("XGROUP CREATE blocked:g g $ MKSTREAM")
    for waiting, push in BLOCKED:
        if source.side.commands.get(waiting[0].encode()) is None:
            continue
        with one_connection(source.client) as client:
            client.connection.send_command(*waiting)
            lab.wait(lambda: info_of(source.client, "clients")["blocked_clients"] == "1", "the client to wait", 10)
            source.only_say(push)
            assert client.connection.read_response()
    changes = source.rest()
    for pump in (Pump(source, cluster, DatabaseMap()) for cluster in clusters):
        pump.take(changes)
        assert not differences(source, pump, 0, set()) + pump.ends


@pytest.mark.parametrize("engine", engine_params())
def test_a_stream_that_goes_on(lab: Lab, engine: TestEngine) -> None:
    """After the connection was lost: from the very next byte, and without a word on the database."""
    source = Source(lab, engine, 3)
    first = source.say("SET before 1")
    assert [arguments for _, arguments in first if arguments[0] == b"SELECT"] == [[b"SELECT", b"3"]]
    lost = source.follower
    lost.close()
    source.only_say("SET between 2")
    source.follower = Follower(source.address, lost.replication_id, lost.stream.offset)
    assert isinstance(source.follower.answer, Continued)
    assert source.follower.answer.replication_id == lost.replication_id
    said = [arguments for _, arguments in source.say("SET after 3") if arguments != [b"PING"]]
    assert said == [[b"SET", b"between", b"2"], [b"SET", b"after", b"3"]]
    assert source.follower.stream.offset == source.offset
    unknown = Follower(source.address, "0" * 40, 5)
    assert isinstance(unknown.answer, FullSync), "of a history that the source doesn't know"
    unknown.close()


@pytest.mark.parametrize("engine", engine_params())
def test_between_databases(lab: Lab, clusters: list[Cluster], engine: TestEngine) -> None:
    source = Source(lab, engine)
    empty(clusters)
    changes = source.say("""
        MSET a 1 b 2 c 3
        MOVE a 5
        COPY b b DB 5
        COPY c d DB 5 REPLACE
        SELECT 5
        SET e 4 EX 900
        MOVE e 0
        SELECT 9
        SET f 1
        FLUSHDB
        SET g 1
        """)
    prefixed = DatabaseMap(DatabaseRule.PREFIX)
    maps = {"redis-7.0": prefixed, "valkey-9.1": DatabaseMap(DatabaseRule.KEEP)}
    pumps = [Pump(source, cluster, maps[cluster.engine.label]) for cluster in clusters]
    for pump in pumps:
        pump.take(changes)
        found = [text for database in (0, 5, 9) for text in differences(source, pump, database, {b"a", b"f"})]
        assert not found + pump.ends
    swap = source.say("SWAPDB 0 5")
    for pump in pumps:
        pump.take(swap)
        assert "SWAPDB 0 5" in pump.ends[0]
    refusing = Pump(source, clusters[0], DatabaseMap())
    refusing.take(changes)
    assert "MOVE" in refusing.ends[0]


def test_scripts_that_come_as_they_were_called(lab: Lab, clusters: list[Cluster]) -> None:
    """Redis before 7.0 with lua-replicate-commands no."""
    engine = ENGINES[0]
    if engine.directory is None:
        pytest.skip("no Redis 6.2 on this machine")
    source = Source(lab, engine, 0, "--lua-replicate-commands", "no")
    empty(clusters)
    changes = source.say("""EVAL "return redis.call('SET', KEYS[1], 'v')" 1 a""")
    assert changes[-1][1][0].upper() == b"EVAL"
    pump = Pump(source, clusters[0], DatabaseMap())
    pump.take(changes)
    assert not differences(source, pump, 0, set()) + pump.ends
    pump.take(source.say("""EVAL "return redis.call('SET', 'b', 'v')" 0"""))
    assert "Unknowable" in pump.ends[0]


def test_nothing_expires_before_the_source_says_so(lab: Lab, clusters: list[Cluster]) -> None:
    """What a lagging target would lose: a key that is prolonged in the source after its first deadline here. Valkey
    keeps it by import-mode, others by a deadline that is far away."""
    source = Source(lab, ENGINES[-1])
    empty(clusters)
    changes = source.say("""
        SET prolonged 41 PX 300
        INCR prolonged
        PERSIST prolonged
        SET moved 1 PX 300
        EXPIRE moved 900
        SET gone 1 PX 300
        """)
    source.only_say("@gone gone")
    for cluster in clusters:
        imports = has_import_mode(cluster.side.version)
        if imports:
            for node in cluster.nodes:
                node.execute_command("CONFIG", "SET", "import-mode", "yes")
            cluster.import_source()
        later_ms = 0 if imports else 100 * 365 * 86_400_000
        pump = Pump(source, cluster, DatabaseMap(), later_ms=later_ms)
        pump.take(changes[:-1])
        assert not pump.doubtful
        pump.take([changes[-1], *source.rest()])
        for node in cluster.nodes:
            if imports:
                node.execute_command("CONFIG", "SET", "import-mode", "no")
            for key in node.execute_command("KEYS", "*"):
                at_ms = node.execute_command("PEXPIRETIME", key)
                if at_ms > later_ms > 0:
                    node.execute_command("PEXPIREAT", key, at_ms - later_ms)
        assert not differences(source, pump, 0, {b"gone"}) + pump.ends
