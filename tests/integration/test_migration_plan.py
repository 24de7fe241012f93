"""Reading a source and a target for the plan of a migration: what is said is true, and nothing is changed by it."""

from __future__ import annotations

import asyncio
import shlex
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pytest
from redis import Redis, ResponseError
from redis.utils import str_if_bytes

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.servers.resp import RespDialer
from slotwright.adapters.servers.streams import SocketStreamDialer
from slotwright.cluster.findings import Finding
from slotwright.cluster.observation import Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import key_slot
from slotwright.cluster.topology import Address, EngineKind, Mode
from slotwright.errors import ServerError
from slotwright.features.migrate.model.command_sample import CommandSample, Crosser
from slotwright.features.migrate.model.plan import MigrationOptions
from slotwright.features.migrate.model.surveys import Right, Rights, SourceSurvey, TargetSurvey, Traffic
from slotwright.features.migrate.plan import plan_migration
from slotwright.features.migrate.survey.listen import listen
from slotwright.features.migrate.survey.source import survey_source
from slotwright.features.migrate.survey.target import target_of
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.model.sample import DatabaseSize
from slotwright.keys.sample_keys import Pace
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import discover, observe
from slotwright.server.commands.table import CommandTable
from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab, open_lab

pytestmark = pytest.mark.servers
T = TypeVar("T")
SOURCES = engine_params("redis-6.2", "redis-7.0", "valkey-9.1")
QUICK = Pace(span_s=0.1)
SECRET = "päss word"


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


@dataclass
class Source:
    """A stand-alone server with a password and some of everything."""

    lab: Lab
    engine: TestEngine
    address: Address
    client: Redis

    def survey(self, pace: Pace | None = None, user: str = "", password: str = SECRET) -> SourceSurvey:
        dialer = RespDialer(Secret(password), user)
        return run(survey_source(dialer, self.address, MonotonicClock(), DatabaseMap(), pace or QUICK, user=user))


@pytest.fixture(scope="module", params=SOURCES)
def source(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Source]:
    engine: TestEngine = request.param
    with open_lab(tmp_path_factory.mktemp("source"), worker_id) as lab:
        address = Address(lab.hosts[0], lab.free_port())
        lab.serve(
            engine, str(address), "--requirepass", SECRET, "--notify-keyspace-events", "KEA", "--maxmemory", "1gb",
            "--rename-command", "SWAPDB", "", "--repl-diskless-sync-delay", "0",
        )  # fmt: skip
        client = Redis(address.host, address.port, password=SECRET, socket_timeout=30)
        fill(client)
        yield Source(lab, engine, address, client)


def fill(client: Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for n in range(1500):
        pipe.set(f"string:{n}", b"\x00\xff" * 20, ex=10_000 if n % 3 == 0 else None)
    for n in range(300):
        pipe.hset(f"hash:{n}", mapping={"a": "1", "b": "2"})
    pipe.set("big", b"x" * 5_000_000)
    pipe.rpush(b"list\x00\n\"'{", *[b"e" * 50] * 1000)
    pipe.sadd("set", *range(2000))
    pipe.zadd("zset", {str(n): n for n in range(20_000)})
    pipe.xadd("stream", {"f": "v"})
    pipe.execute()
    client.execute_command("SELECT", 3)
    other = client.pipeline(transaction=False)
    for n in range(50):
        other.set(f"three:{n}", n)
    other.execute()
    client.execute_command("SELECT", 0)
    client.mget("string:1", "string:2")


def state_of(client: Redis) -> dict[str, object]:
    """Everything that a survey could change, and nothing that the time changes."""
    found: dict[str, object] = {"keys": client.info("keyspace"), "config": client.config_get("*")}
    info = client.info()
    for name in (
        "role",
        "connected_slaves",
        "rdb_changes_since_last_save",
        "total_forks",
        "latest_fork_usec",
        "aof_enabled",
    ):
        found[name] = info.get(name)
    keyspace = found["keys"]
    assert isinstance(keyspace, dict)
    for database in keyspace.values():
        database.pop("avg_ttl")
    return found


def test_everything_that_is_read_is_right(source: Source) -> None:
    before = state_of(source.client)
    survey = source.survey()
    assert state_of(source.client) == before
    assert survey.version.kind is EngineKind(source.engine.kind)
    assert str(survey.version).startswith(source.engine.version_prefix)
    assert (survey.mode, survey.role, survey.primary) == (Mode.SINGLE, Role.PRIMARY, None)
    assert [(one.number, one.keys, one.with_ttl) for one in survey.databases] == [(0, 1805, 500), (3, 50, 0)]
    assert 9_000_000 < survey.databases[0].average_ttl_ms <= 10_000_000
    assert (survey.keys.looked_at, survey.keys.total, survey.keys.is_complete) == (1855, 1855, True)
    kinds = {kind.type: kind.keys for kind in survey.keys.kinds}
    assert kinds == {"string": 1551, "hash": 300, "list": 1, "set": 1, "zset": 1, "stream": 1}
    assert survey.keys.kinds[0].type == "string"
    biggest = survey.keys.biggest
    assert (biggest[0].named, biggest[0].type, biggest[0].elements) == ((0, b"big"), "string", 5_000_000)
    assert (biggest[1].named, biggest[1].elements) == ((0, b"zset"), 20_000)
    assert {key.named: key.elements for key in biggest}[(0, b"list\x00\n\"'{")] == 1000
    assert sum(survey.keys.bytes_by_slot) == survey.keys.bytes
    assert survey.keys.bytes_by_slot[key_slot(b"big")] >= 5_000_000
    assert 0.5 < survey.keys.bytes / survey.memory.data_bytes < 1.5
    assert (survey.memory.maxmemory_bytes, survey.memory.policy) == (2**30, "noeviction")
    assert survey.memory.system_bytes > 2**28
    assert survey.notifications
    feeding = survey.feeding
    assert (feeding.limit_bytes, feeding.soft_limit_bytes, feeding.soft_limit_s) == (256 * 2**20, 64 * 2**20, 60)
    assert feeding.backlog_bytes in (2**20, 10 * 2**20)
    assert feeding.maxclients > feeding.clients > 0
    assert dict(survey.calls)["mget"] == 1
    assert dict(survey.calls)["select"] >= 2
    mget, mset = survey.commands.get(b"mget"), survey.commands.get(b"mset")
    assert mget is not None
    assert (mget.first, mget.last, mget.step, mget.is_write) == (1, -1, 1, False)
    assert mset is not None
    assert mset.is_write
    assert having(survey.rights, Right.ALLOWED) >= {"psync", "replconf", "client|pause", "dump", "monitor"}
    assert survey.rights.all_keys is True
    assert survey.unread == ()


def test_a_sample_says_that_it_is_one(source: Source) -> None:
    survey = source.survey(Pace(full=False, sampled=600, biggest=3, span_s=0.1))
    keys = survey.keys
    assert not keys.is_complete
    assert 500 <= keys.looked_at <= 1600
    assert keys.total == 1855
    assert 0.5 < keys.scale * sum(kind.keys for kind in keys.kinds) / 1855 < 2
    assert len(keys.biggest) == 3


def test_the_pace_is_kept(source: Source) -> None:
    survey = source.survey(Pace(keys_per_s=2000, span_s=0.1))
    assert survey.keys.is_complete
    assert survey.keys.keys_per_s < 3500
    hurried = source.survey(Pace(keys_per_s=500, most_s=0.3, span_s=0.1))
    assert not hurried.keys.is_complete


def test_writes_are_seen(source: Source) -> None:
    over = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        client = Redis(source.address.host, source.address.port, password=SECRET)
        while not over.wait(0.005):
            with client.pipeline(transaction=False) as many:
                for _ in range(50):
                    many.set("string:1", b"\x00\xff" * 20)
                written += 50
                many.execute()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        traffic = source.survey(Pace(span_s=1)).traffic
    finally:
        over.set()
        writer.join()
    # They were counted over a second at the least.
    assert 20 < traffic.writes_per_s <= written
    assert traffic.input_bytes_per_s > 20 * 40
    assert traffic.ping_ms > 0


def test_a_user_who_may_little(source: Source) -> None:
    source.client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~string:*", "+@all", "-@admin", "-dump")
    try:
        survey = source.survey(user="app", password="pw")
        rights = survey.rights
        assert rights.user == "app"
        assert having(rights, Right.DENIED) >= {"psync", "replconf", "client|pause", "config|get", "dump"}
        assert rights.of("scan") is Right.ALLOWED
        assert rights.all_keys is False
        assert "NOPERM" in rights.denial
        assert survey.unread
        codes = ("right-missing", "keys-forbidden", "cutover-refused")
        remedies = [found.remedy for found in planned(survey) if found.code in codes]
        assert len(remedies) == 3
        for remedy in remedies:
            typed(source.client, remedy)
        source.client.execute_command("ACL", "SETUSER", "app", "+acl")
        rights = source.survey(user="app", password="pw").rights
        assert having(rights, Right.ALLOWED) >= {"psync", "replconf", "client|pause", "config|get", "dump"}
        assert rights.all_keys is True
        source.client.execute_command("ACL", "SETUSER", "app", "-info")
        with pytest.raises(ServerError) as caught:
            source.survey(user="app", password="pw")
        assert caught.value.code == "not-permitted"
    finally:
        source.client.execute_command("ACL", "DELUSER", "app")


def planned(survey: SourceSurvey) -> tuple[Finding, ...]:
    """For that source, whatever the target."""
    return plan_migration(survey, TargetSurvey("cache", is_cluster=False), MigrationOptions()).findings


def typed(client: Redis, remedy: str) -> None:
    """The command that a remedy begins with, as in redis-cli."""
    client.execute_command(*shlex.split(remedy.partition("   (")[0]))


def test_remedies_work_when_they_are_typed(source: Source) -> None:
    survey = source.survey()
    names = ("client-output-buffer-limit", "repl-backlog-size", "maxclients")
    before = {name: source.client.config_get(name)[name] for name in names}
    pressed = replace(
        survey,
        databases=(DatabaseSize(0, 10**8),),
        traffic=Traffic(1, 9000, 9000, 10**7, 10**6),
        feeding=replace(survey.feeding, clients=survey.feeding.maxclients),
    )
    codes = ("replica-limit", "backlog-small", "maxclients-reached")
    found = {one.code: one.remedy for one in planned(pressed) if one.code in codes}
    assert set(found) == set(codes)
    try:
        for remedy in found.values():
            typed(source.client, remedy)
        feeding = source.survey().feeding
        assert feeding.limit_bytes is not None
        assert feeding.limit_bytes > 10**9
        assert feeding.backlog_bytes is not None
        assert feeding.backlog_bytes > 60 * 10**6
        assert feeding.maxclients > survey.feeding.maxclients
    finally:
        for name, value in before.items():
            source.client.config_set(name, value)


def test_functions_are_named(source: Source) -> None:
    if source.engine.label == "redis-6.2":
        pytest.skip("6.2 has no functions")
    code = "#!lua name=mine\nredis.register_function('f', function(keys, args) return 1 end)"
    source.client.execute_command("FUNCTION", "LOAD", code)
    try:
        assert source.survey().functions == ("mine",)
    finally:
        source.client.execute_command("FUNCTION", "DELETE", "mine")


def test_fields_that_expire_are_counted(source: Source) -> None:
    try:
        source.client.execute_command("HEXPIRE", "hash:1", 1000, "FIELDS", 1, "a")
    except ResponseError:
        pytest.skip("this version has no fields that expire")
    assert source.survey().databases[0].with_field_ttl == 1
    source.client.execute_command("HPERSIST", "hash:1", "FIELDS", 1, "a")


def test_a_replica_says_of_whom(source: Source) -> None:
    address = Address(source.lab.hosts[1], source.lab.free_port())
    process = source.lab.serve(
        source.engine, str(address), "--replicaof", source.address.host, str(source.address.port),
        "--masterauth", SECRET, "--requirepass", SECRET,
    )  # fmt: skip
    try:
        client = Redis(address.host, address.port, password=SECRET)
        source.lab.wait(lambda: client.info("replication")["master_link_status"] == "up", "the replica's link")
        dialer = RespDialer(Secret(SECRET))
        survey = run(survey_source(dialer, address, MonotonicClock(), DatabaseMap()))
        assert (survey.role, survey.primary, survey.link_is_up) == (Role.REPLICA, source.address, True)
        assert survey.keys.looked_at == 1855
    finally:
        process.kill()
        process.wait()


CALLS = (
    "GET a", "MSET a 1 b 2", "MGET a b", "BLPOP a b 0", "SMOVE a b m", "RENAME a b", "BITOP AND d a b", "COPY a b",
    "EVAL s 2 a b c", "ZUNIONSTORE d 2 a b", "ZINTER 2 a b WITHSCORES", "XREAD COUNT 1 STREAMS a b 0 0",
    "XREADGROUP GROUP g c STREAMS a >", "SORT a STORE d", "GEORADIUS a 1 2 3 m STORE d", "MIGRATE h 1 a 0 10",
    "PFMERGE d a b", "LMOVE a b LEFT RIGHT", "XADD a * f v", "OBJECT ENCODING a", "FCALL f 1 a", "LMPOP 2 a b LEFT",
    "BLMPOP 0 1 a LEFT", "SINTERCARD 2 a b", "ZMPOP 1 a MIN", "LCS a b", "SORT_RO a", "ZRANGESTORE d a 0 1",
    "EVAL_RO s 2 a b", "EVALSHA_RO s 1 a", "FCALL_RO f 1 a", "ZUNION 2 a b", "ZDIFF 2 a b", "ZINTERCARD 2 a b",
    "XREADGROUP GROUP streams c COUNT 1 STREAMS a b > >", "XGROUP CREATE a g $", "XINFO STREAM a", "MEMORY USAGE a",
    "STRALGO LCS KEYS a b", "GEORADIUS_RO a 1 2 3 m", "GEORADIUSBYMEMBER a m 3 m STOREDIST d", "EXISTS a b c",
    "MIGRATE h 1 '' 0 10 KEYS a b", "BZMPOP 0 2 a b MIN", "MSETEX 2 a 1 b 2 EX 9",
    "GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m",
)  # fmt: skip


def test_keys_are_where_the_server_has_them(source: Source) -> None:
    table = source.survey().commands
    seen = 0
    for line in CALLS:
        words = tuple(word.encode() for word in shlex.split(line))
        try:
            theirs = source.client.execute_command("COMMAND GETKEYS", *words)
        except ResponseError:
            assert not table.knows(words), line
            continue
        seen += 1
        assert {key.decode() for key in table.keys(words)} == set(map(str_if_bytes, theirs)), line
    assert seen >= 29


SCRIPT = "redis.call('SET', KEYS[1], 1); redis.call('GET', 'user:7:other'); return 1"


def listened(source: Source) -> CommandSample:
    """One second, in which a client does what a cluster would not."""
    table = source.survey().commands

    def act() -> None:
        client = Redis(source.address.host, source.address.port, password=SECRET)
        for n in range(5):
            client.mget(f"user:{n}:name", f"user:{n}:mail")
        client.mget("{user}:1", "{user}:2")
        pipe = client.pipeline(transaction=True)
        pipe.get("cart:1").get("user:1")
        pipe.execute()
        client.eval(SCRIPT, 1, "string:1")
        client.execute_command("SELECT", 3)
        client.get(b'three:\x00\xff"\\\r\n')
        client.keys("nothing*")

    async def both() -> CommandSample:
        dialer = SocketStreamDialer(Secret(SECRET))
        hearing = asyncio.create_task(
            listen(dialer, source.address, MonotonicClock(), table, DatabaseMap(), span_s=2.0)
        )
        await asyncio.to_thread(
            source.lab.wait, lambda: "flags=O" in str(source.client.execute_command("CLIENT", "LIST")), "the monitor"
        )
        await asyncio.to_thread(act)
        return await hearing

    return run(both())


def test_what_is_heard(source: Source) -> None:
    before = source.client.dbsize()
    sample = listened(source)
    assert source.client.dbsize() == before
    found = {(one.kind, one.name): (one.across, one.calls) for one in sample.crossings}
    assert found[(Crosser.COMMAND, "MGET")] == (5, 6)
    assert found[(Crosser.TRANSACTION, "GET")] == (1, 1)
    (script,) = [one for one in sample.crossings if one.kind is Crosser.SCRIPT]
    assert (script.across, script.calls) == (1, 1)
    assert {advice.crosser: advice.after for advice in sample.advice}["MGET"] == "{user:0}:name"
    assert [(one.undeclared, one.examples) for one in sample.undeclared] == [(1, ("user:7:other",))]
    assert dict(sample.databases)[3] >= 2
    assert {"keys", "select"} <= {odd.name for odd in sample.odd}
    assert 1.9 < sample.span_s < 4
    assert (sample.cut, sample.unread) == ("", 0)
    assert all(len(one.clients) == 1 for one in sample.crossings)
    assert "flags=O" not in str(source.client.execute_command("CLIENT", "LIST"))


def test_listening_ends_at_its_bytes(source: Source) -> None:
    over = threading.Event()

    def noise() -> None:
        client = Redis(source.address.host, source.address.port, password=SECRET)
        while not over.is_set():
            client.get("string:1")

    writer = threading.Thread(target=noise)
    writer.start()
    try:
        dialer = SocketStreamDialer(Secret(SECRET))
        sample = run(
            listen(
                dialer, source.address, MonotonicClock(), CommandTable(), DatabaseMap(), span_s=30, most_bytes=10_000
            )
        )
    finally:
        over.set()
        writer.join()
    assert sample.cut
    assert sample.span_s < 20
    assert sample.unread == 0


def test_who_may_not_listen_is_told_how(source: Source) -> None:
    source.client.execute_command("ACL", "SETUSER", "deaf", "on", ">pw", "allkeys", "+@all", "-monitor")
    try:
        dialer = SocketStreamDialer(Secret("pw"), "deaf")
        with pytest.raises(ServerError) as caught:
            run(listen(dialer, source.address, MonotonicClock(), CommandTable(), DatabaseMap(), span_s=5))
        assert caught.value.code == "monitor-refused"
        assert "+monitor" in caught.value.hint
    finally:
        source.client.execute_command("ACL", "DELUSER", "deaf")


def having(rights: Rights, right: Right) -> set[str]:
    """The names with that answer."""
    return {name for name, found in rights.rights if found is right}


async def target_alone(address: Address) -> TargetSurvey:
    async with ConnectionPool(RespDialer(None)) as pool:
        return await target_of(pool, str(address), await observe(pool, await discover(pool, address)))


def test_source_and_target_make_a_plan(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings="{maxmemory: 100mb, cluster-databases: 4}")
    assert lab.run("up", "--yes", timeout=60).code == 0
    port = lab.free_port()
    source = Address(lab.hosts[0], port)
    lab.serve(embedded, str(source))
    client = Redis(source.host, source.port)
    client.mset({f"key:{n}": "v" * 100 for n in range(3000)})
    client.execute_command("SELECT", 3)
    client.set("a", 1)
    status = lab.run("status", "--json").json
    seed = Address.parse(status["nodes"][0]["address"])
    password = lab.password()
    assert password is not None

    async def look() -> tuple[SourceSurvey, Any]:
        async with ConnectionPool(RespDialer(Secret(password))) as pool:
            target = await target_of(pool, "cache", await observe(pool, await discover(pool, seed)))
        return await survey_source(RespDialer(None), source, MonotonicClock(), DatabaseMap()), target

    survey, target = run(look())
    assert target.is_cluster
    assert target.state_is_ok
    assert len(target.primaries) == 3
    assert all(primary.replicas == 1 and primary.maxmemory_bytes == 100 * 2**20 for primary in target.primaries)
    assert (target.databases, target.keys, len(target.served)) == (4, 0, 16384)
    plan = plan_migration(survey, target, MigrationOptions())
    assert {found.code for found in plan.findings if found.severity.value == "serious"} == {"databases-in-use"}
    assert plan.is_refused
    assert 0.25 < plan.shares[0].share < 0.42
    member = run(survey_source(RespDialer(Secret(password)), seed, MonotonicClock(), DatabaseMap(), QUICK))
    assert member.mode is Mode.CLUSTER
    assert "source-in-cluster" in {found.code for found in planned(member)}
    alone = run(target_alone(source))
    assert not alone.is_cluster
    assert abs(sum(share.added_bytes for share in plan.shares) - survey.data_bytes) < 10
