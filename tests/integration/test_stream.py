"""Every write command of every supported source, said to real ones and done to real clusters by the product."""

from __future__ import annotations

import os
import re
from random import Random

import pytest

from slotwright.cluster.slots import key_slot
from slotwright.errors import PartialError
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.server.replication import Continued, FullSync
from tests.engines import TestEngine, engine, engine_params
from tests.integration.conftest import Lab
from tests.integration.stream_rig import (
    Cluster,
    Content,
    Follower,
    Following,
    Source,
    content,
    info_of,
    one_connection,
    raw_client,
)
from tests.integration.write_samples import BETWEEN_DATABASES, ELSEWHERE, EMPTYING, SAMPLES, TOGETHER

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


DOUBTFUL = {"bitop", "xadd", "xtrim", "xautoclaim", "hgetex", "hpersist", "hpexpireat"}
"""Samples with options that only the newest Redis has, entries that are gone, fields that aren't there."""

REDIS_ALONE = {"vadd", "vrem", "vsetattr"}
"""Samples with values that no Valkey and no Redis before 8.0 takes in any form."""

FIELD_TIMES = {"hexpire", "hexpireat", "hgetex", "hpersist", "hpexpire", "hpexpireat", "hsetex"}
"""Samples whose hashes a target without field times can't hold: a plan refuses such a source."""


@pytest.fixture(scope="module", params=engine_params("redis-7.0", "valkey-9.1"))
def cluster(request: pytest.FixtureRequest, shared: Lab) -> Cluster:
    """The oldest and the newest target."""
    return Cluster(shared, request.param)


def differences(source: Source, following: Following, database: int, names: set[bytes]) -> list[str]:
    """Of the source's keys and of ``names``, those that are not the same in the cluster."""
    origin = raw_client(source.address, database)
    has_times = all(side.commands.get(b"HPEXPIRETIME") for side in (source.side, following.cluster.side))
    found = []
    for key in sorted(names | set(origin.execute_command("KEYS", "*"))):
        to = following.databases.target((database, key))
        there = following.cluster.at(key_slot(to[1]), to[0])
        wanted = content(origin, key, has_field_times=has_times)
        seen = content(there, to[1], has_field_times=has_times)
        if not alike(wanted, seen):
            found.append(f"{key!r} in {following.cluster.engine.label}: {wanted} -> {seen}")
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


def empty(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.execute_command("FLUSHALL")
        node.execute_command("FUNCTION", "FLUSH")


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize(
    ("rule", "database"),
    [(DatabaseRule.REFUSE, 0), (DatabaseRule.PREFIX, 3), (DatabaseRule.KEEP, 3)],
)
def test_every_write_command(lab: Lab, cluster: Cluster, engine: TestEngine, rule: DatabaseRule, database: int) -> None:
    if rule is DatabaseRule.KEEP and cluster.engine.label != "valkey-9.1":
        pytest.skip("one database only")
    source = Source(lab, engine, database)
    unsaid = source.write_commands() - set(SAMPLES) - set(ELSEWHERE)
    assert not unsaid, "write commands without a sample"
    empty(cluster)
    known = source.write_commands()
    databases = DatabaseMap(rule)
    for name in EMPTYING:
        with Following(source, cluster, databases) as following:
            source.only_say(SAMPLES[name])
            if (name, rule) == ("flushdb", DatabaseRule.PREFIX):
                # Its keys share a database with others in the target: only a new copy helps.
                with pytest.raises(PartialError, match="emptied its database 3"):
                    following.take()
                continue
            following.take()
            assert not differences(source, following, database, set())
    doubtful: set[str] = set()
    takes = cluster.side.commands.get
    lacking = set() if takes(b"HPEXPIRE") else FIELD_TIMES
    with Following(source, cluster, databases) as following:
        for name, sample in {**SAMPLES, **TOGETHER}.items():
            if (name in SAMPLES and name not in known) or name in (*BETWEEN_DATABASES, *EMPTYING, *lacking):
                continue
            before = following.replicator.progress.mended
            source.only_say(sample)
            if os.environ.get("SLOTWRIGHT_SHOW_STREAM"):
                for _, arguments in source.rest():
                    print(engine.label, name, "<-", b" ".join(arguments)[:150])
            following.take()
            if following.replicator.progress.mended != before:
                doubtful.add(name)
        wrong = differences(source, following, database, set()) + source.refused
    refused = set() if takes(b"VADD") else REDIS_ALONE
    assert doubtful <= DOUBTFUL | refused, "what the target did not do is by value, so nobody sees it but here"
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
def test_anything_in_one_go(lab: Lab, cluster: Cluster, engine: TestEngine) -> None:
    """Thousands of commands on few keys, of which some wait for their value while others go on."""
    source = Source(lab, engine)
    empty(cluster)
    chance = Random(5)
    templates = [" ".join(text.split()) for text in ANYTHING.split(";")]
    keys, values = ("a", "b", "{t}1", "{t}2", "{t}3", "{t}4", "{t}5"), ("x", "y", "7", "z")
    with Following(source, cluster, DatabaseMap()) as following:
        for _ in range(12):
            chosen = [chance.choice(templates).replace("KEYS", "\0") for _ in range(200)]
            lines = [
                "? " + re.sub(r"\b[KV]\b", lambda m: chance.choice(keys if m[0] == "K" else values), text)
                for text in chosen
            ]
            source.only_say("\n".join(lines).replace("\0", "KEYS"))
            following.take()
            assert not differences(source, following, 0, {key.encode() for key in keys})


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
def test_clients_that_waited(lab: Lab, cluster: Cluster, engine: TestEngine) -> None:
    """What a blocked client gets is in the stream as what it came to."""
    source = Source(lab, engine)
    empty(cluster)
    source.only_say("XGROUP CREATE blocked:g g $ MKSTREAM")
    with Following(source, cluster, DatabaseMap()) as following:
        for waiting, push in BLOCKED:
            if source.side.commands.get(waiting[0].encode()) is None:
                continue
            with one_connection(source.client) as client:
                client.connection.send_command(*waiting)
                lab.wait(lambda: info_of(source.client, "clients")["blocked_clients"] == "1", "the client to wait")
                source.only_say(push)
                assert client.connection.read_response()
        following.take()
        assert not differences(source, following, 0, set())


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
def test_between_databases(lab: Lab, cluster: Cluster, engine: TestEngine) -> None:
    source = Source(lab, engine)
    empty(cluster)
    said = """
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
        """
    keeps = cluster.engine.label == "valkey-9.1"
    with Following(source, cluster, DatabaseMap(DatabaseRule.KEEP if keeps else DatabaseRule.PREFIX)) as following:
        if not keeps:
            said = said.replace("FLUSHDB", "DEL f")
        source.only_say(said)
        following.take()
        found = [text for database in (0, 5, 9) for text in differences(source, following, database, {b"a", b"f"})]
        assert not found
        source.only_say("SWAPDB 0 5")
        with pytest.raises(PartialError, match="SWAPDB 0 5"):
            following.take()
    source.only_say("FLUSHALL\nSET a 1")
    with Following(source, cluster, DatabaseMap()) as following:
        source.only_say("MOVE a 5")
        with pytest.raises(PartialError, match="MOVE"):
            following.take()


def test_scripts_that_come_as_they_were_called(lab: Lab, cluster: Cluster) -> None:
    """Redis before 7.0 with lua-replicate-commands no."""
    source = Source(lab, engine("redis-6.2"), 0, "--lua-replicate-commands", "no")
    empty(cluster)
    with Following(source, cluster, DatabaseMap()) as following:
        changes = source.say("""EVAL "return redis.call('SET', KEYS[1], 'v')" 1 a""")
        assert changes[-1][1][0].upper() == b"EVAL"
        following.take()
        assert not differences(source, following, 0, set())
        source.only_say("""EVAL "return redis.call('SET', 'b', 'v')" 0""")
        with pytest.raises(PartialError, match="EVAL: it does not tell its keys"):
            following.take()
