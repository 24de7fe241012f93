"""The proof, against real servers of several versions: equal data is equal whatever its encoding, and one change of
each kind is found and named, and nothing else is."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.engines import chosen, engine
from tests.integration.comparing import FAR_MS, Owners, all_types, run
from tests.integration.conftest import Lab, Outcome, open_lab

pytestmark = pytest.mark.servers

PAIRS = [
    (source, target)
    for target in chosen("redis-7.0", "valkey-9.1")
    for source in chosen("redis-6.2", "redis-7.0", "valkey-9.1")
]
PASSWORD = "söurce 'pass\" \\word\t!"


@dataclass
class Two:
    """A stand-alone source and a cluster of three primaries."""

    lab: Lab
    source: str
    one: Redis
    other: Owners
    primaries: list[str]

    def compare(self, *options: str, expect: int = 0) -> dict[str, Any]:
        done = self.run(*options, "--json")
        assert done.code == expect, done.out + done.err
        return done.json

    def run(self, *options: str, password: str = PASSWORD) -> Outcome:
        return self.lab.run("compare", self.source, "cluster.yaml", *options, env={"SOURCE_PASSWORD": password})

    @property
    def is_vague(self) -> bool:
        return str(self.one.info("server")["redis_version"]).startswith("6.2")

    def refill(self) -> None:
        self.one.flushall()
        self.other.every(lambda client: client.flushall())
        commands = all_types()
        run(self.one, commands)
        self.other.run(commands)


def open_two(lab: Lab, source: str, target: str, *, settings: str = "{}", replicas: int = 0) -> Two:
    lab.topology(engine(target), replicas=replicas, settings=settings, ports=(lab.free_port(),) if not replicas else ())
    done = lab.run("up", "--yes")
    assert done.code == 0, done.out + done.err
    place = f"127.0.0.1:{lab.free_port()}"
    lab.serve(engine(source), place, "--requirepass", PASSWORD)
    status = lab.run("status", "--json").json
    primaries = [node["address"] for node in status["nodes"] if node["role"] == "primary"]
    clients = [lab.client(address, lab.password()) for address in primaries]
    return Two(lab, place, lab.client(place, PASSWORD), Owners(clients), primaries)


@pytest.fixture(scope="module", params=PAIRS, ids=lambda pair: "-to-".join(pair))
def two(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Two]:
    with open_lab(tmp_path_factory.mktemp("two"), worker_id) as lab:
        yield open_two(lab, *request.param)


def by_key(found: dict[str, Any]) -> dict[str, list[str]]:
    return {each["key"]: each["aspects"] for each in found["examples"]}


def test_the_same_commands_give_equal_keys_whatever_the_versions(two: Two) -> None:
    two.refill()
    found = two.compare()
    assert found["equal"]
    assert found["keys"] == {"equal": two.one.dbsize(), "expired": 0, "not-comparable": 0, "different": 0}
    assert set(found["types"]) == {"string", "list", "set", "zset", "hash", "stream"}
    assert found["source"]["addresses"] == [two.source]
    assert sorted(found["target"]["addresses"]) == sorted(two.primaries)
    assert sum(sum(each.values()) for each in found["slots"].values()) == two.one.dbsize()


def test_one_change_of_each_kind_is_named_and_nothing_else(two: Two) -> None:
    two.refill()
    t = two.other

    def change(key: bytes, *command: object) -> None:
        t.of(key).execute_command(*command)

    change(b"t:0:number", "DEL", b"t:0:number")
    change(b"only here", "SET", b"only here", 1)
    change(b"\x00\xff", "SET", b"\x00\xff", 1)
    change(b"t:1:number", "DEL", b"t:1:number")
    change(b"t:1:number", "RPUSH", b"t:1:number", 12346)
    change(b"nul\x00inside", "SET", b"nul\x00inside", b"value of nul\x00insidf")
    change(b"t:0:long", "SETRANGE", b"t:0:long", 39_999, b"1")
    # Without PEXPIRETIME (6.2) the source's expiry is known within some ms.
    change(b"t:2:raw", "PEXPIREAT", b"t:2:raw", FAR_MS + (50 if two.is_vague else 3))
    change(b"t:3:raw", "PERSIST", b"t:3:raw")
    change(b"t:3:number", "PEXPIREAT", b"t:3:number", FAR_MS)
    change(b"t:0:list", "LSET", b"t:0:list", 17, b"other")
    change(b"t:1:list", "RPUSH", b"t:1:list", b"")
    change(b"t:0:set", "SREM", b"t:0:set", b"0-7")
    change(b"t:0:set", "SADD", b"t:0:set", b"0-77")
    change(b"t:0:bigset", "SREM", b"t:0:bigset", b"0-77")
    change(b"t:0:hash", "HSET", b"t:0:hash", b"0-3", b"v")
    change(b"t:1:bighash", "HDEL", b"t:1:bighash", b"1-3")
    change(b"t:0:zset", "ZINCRBY", b"t:0:zset", 0.1, b"0-3")
    change(b"t:0:stream", "XADD", b"t:0:stream", "100-1", b"a", b"b")
    change(b"t:1:stream", "XACK", b"t:1:stream", b"group", "2-1")
    change(b"t:2:stream", "XGROUP", "SETID", b"t:2:stream", b"group", "2-1")
    change(b"t:3:stream", "XGROUP", "DELCONSUMER", b"t:3:stream", b"group", b"bob")
    change(b"t:4:stream", "XGROUP", "CREATE", b"t:4:stream", b"second", "0")
    change(b"t:5:stream", "XCLAIM", b"t:5:stream", b"group", b"eve\xff", 0, "2-1")
    expected = {
        "t:0:number": ["missing"],
        "only here": ["extra"],
        "\x00\\xff": ["extra"],
        "t:1:number": ["type"],
        "nul\x00inside": ["value"],
        "t:0:long": ["value"],
        "t:2:raw": ["expiry"],
        "t:3:raw": ["expiry"],
        "t:3:number": ["expiry"],
        "t:0:list": ["value"],
        "t:1:list": ["value"],
        "t:0:set": ["value"],
        "t:0:bigset": ["value"],
        "t:0:hash": ["value"],
        "t:1:bighash": ["value"],
        "t:0:zset": ["value"],
        "t:0:stream": ["value"],
        **{f"t:{number}:stream": ["groups"] for number in (1, 2, 3, 4, 5)},
    }
    found = two.compare(expect=3)
    assert by_key(found) == expected
    assert found["keys"]["different"] == len(expected)
    assert found["keys"]["equal"] == two.one.dbsize() - (len(expected) - 2)
    assert found["aspects"]["extra"] == 2
    text = two.run()
    assert text.code == 3
    assert "not equal: 22 of" in text.out
    assert "and 2 more" in text.out
    assert "nul\\x00inside" in text.out
    assert max(map(len, text.out.splitlines())) <= 100


def test_a_key_that_expires_on_the_way_is_no_difference(two: Two) -> None:
    two.refill()
    now = int(time.time() * 1000)
    for number in range(200):
        command = ("SET", b"soon:%d" % number, "x", "PXAT", now + 200 + 2 * number)
        two.one.execute_command(*command)
        if number % 2:
            two.other.run([command])
    # Of the others the target knows nothing. They are looked at for 1.3 s, and then their time has come.
    found = two.compare()
    assert found["keys"]["different"] == 0
    assert found["keys"]["equal"] >= two.one.dbsize()


def test_big_values_are_compared_in_pieces(two: Two) -> None:
    two.one.flushall()
    two.other.every(lambda client: client.flushall())
    many = [b"%d" % number * 20 for number in range(20_000)]
    scored = [word for at, text in enumerate(many) for word in (at / 7, text)]
    data = [
        ("RPUSH", b"list", *many),
        ("SADD", b"set", *many),
        ("HSET", b"hash", *(word for text in many for word in (text, text[::-1]))),
        ("ZADD", b"zset", *scored),
        ("SET", b"string", b"0123456789abcdef" * 200_000),
    ]
    data += [("XADD", b"stream", f"{number}-1", b"f", text) for number, text in enumerate(many, 1)]
    data += [
        ("XGROUP", "CREATE", b"stream", b"g", "0"),
        ("XREADGROUP", "GROUP", b"g", b"bob", "COUNT", 3000, "STREAMS", b"stream", ">"),
    ]
    run(two.one, data)
    two.other.run(data)
    assert two.compare()["equal"]
    changes = [
        ("LSET", b"list", 15_000, b"other"),
        ("SREM", b"set", many[-1]),
        ("HSET", b"hash", many[7], b"other"),
        ("ZADD", b"zset", 1.5, many[19_999]),
        ("SETRANGE", b"string", 3_000_000, b"X"),
        ("XCLAIM", b"stream", b"g", b"eve", 0, "2500-1"),
    ]
    two.other.run(changes)
    two.other.run([("SADD", b"set", b"another")])
    found = two.compare(expect=3)
    assert by_key(found) == {
        **{key: ["value"] for key in ("list", "set", "hash", "zset", "string")},
        "stream": ["groups"],
    }


def test_a_source_whose_writes_are_paused_is_read(two: Two) -> None:
    two.refill()
    two.one.client_pause(20_000, all=False)
    try:
        assert two.compare()["equal"]
    finally:
        two.one.client_unpause()


def test_the_page_has_everything_in_it(two: Two) -> None:
    two.refill()
    key = b"<b>&\xff"
    two.other.of(key).set(key, 1)
    done = two.run("--html", "proof.html")
    assert done.code == 3
    page = (two.lab.folder / "proof.html").read_text()
    assert "&lt;b&gt;&amp;\\xff" in page
    assert "<svg" in page
    assert "http" not in page


def test_databases_of_the_source_are_extra_names_in_the_target(two: Two) -> None:
    two.refill()
    with Redis(*two.source.split(":"), password=PASSWORD, db=3) as third:  # type: ignore[arg-type]
        third.set(b"k\xff", "v")
        third.rpush(b"gone", 1)
    two.other.of(b"db3:k\xff").set(b"db3:k\xff", "v")
    two.other.of(b"db3:more").set(b"db3:more", "v")
    found = two.compare("--prefix", expect=3)
    assert {(each["database"], each["key"], *each["aspects"]) for each in found["examples"]} == {
        (3, "gone", "missing"),
        (3, "more", "extra"),
    }
    # Without a prefix the same database is meant.
    found = two.compare(expect=3)
    assert {(each["database"], each["key"], *each["aspects"]) for each in found["examples"]} == {
        (3, "gone", "missing"),
        (3, "k\\xff", "missing"),
        (0, "db3:k\\xff", "extra"),
        (0, "db3:more", "extra"),
    }


def test_a_wrong_password_says_where_it_came_from(two: Two) -> None:
    done = two.run("--json", password="wrong")
    assert done.code == 1
    assert done.error["code"] == "wrong-password"
    assert "SOURCE_PASSWORD" in done.error["hint"]


@pytest.fixture
def pair(tmp_path: Any, worker_id: str) -> Iterator[Two]:
    with open_lab(tmp_path, worker_id) as lab:
        yield open_two(lab, "redis-7.0", "valkey-9.1", replicas=1)


def test_a_list_of_100_mb_costs_neither_memory_nor_the_source(pair: Two) -> None:
    for start in range(0, 100_000, 1000):
        command = ("RPUSH", b"big", *(b"%d." % number + b"x" * 1000 for number in range(start, start + 1000)))
        run(pair.one, [command])
        pair.other.run([command])
    work = pair.lab.popen("compare", pair.source, "cluster.yaml", "--json", env={"SOURCE_PASSWORD": PASSWORD})
    peak = 0
    while work.poll() is None:
        lines = Path(f"/proc/{work.pid}/status").read_text().splitlines()
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))])
        time.sleep(0.05)
    out, err = work.communicate()
    assert work.returncode == 0, err
    assert Outcome(0, out, err).json["types"] == {"list": {"equal": 1}}
    assert 10_000 < peak < 90_000, "kB; Python and our modules alone have about 50 MB"
    pair.other.run([("LSET", b"big", 99_999, b"the last")])
    assert by_key(pair.compare(expect=3)) == {"big": ["value"]}


def test_a_failover_of_the_target_in_the_middle(pair: Two) -> None:
    pair.one.flushall()
    data = [("SET", b"key:%d" % number, b"x" * 100) for number in range(60_000)]
    run(pair.one, data)
    pair.other.run(data)
    for client in pair.other.clients:
        client.wait(1, 5000)
    work = pair.lab.popen(
        "compare", pair.source, "cluster.yaml", "--json", "--pace", "10000", env={"SOURCE_PASSWORD": PASSWORD}
    )
    assert work.stderr is not None
    for line in work.stderr:
        if '"moved"' in line:
            break
    pair.lab.kill(pair.primaries[1], signal.SIGKILL)
    out, err = work.communicate(timeout=90)
    assert work.returncode == 0, out + err
    found = Outcome(0, out, err).json
    assert found["keys"]["equal"] == 60_000
    assert pair.primaries[1] not in found["target"]["addresses"]


def test_databases_of_a_cluster_that_has_some(tmp_path: Any, worker_id: str) -> None:
    with open_lab(tmp_path, worker_id) as lab:
        two = open_two(lab, "redis-6.2", "valkey-9.1", settings="{cluster-databases: 8}")
        with Redis(*two.source.split(":"), password=PASSWORD, db=5) as fifth:  # type: ignore[arg-type]
            for number in range(300):
                fifth.set(b"k%d" % number, number)
        ports = [address.split(":") for address in two.primaries]
        owners = Owners([Redis(host, int(port), password=lab.password(), db=5) for host, port in ports])
        for number in range(300):
            key = b"k%d" % number
            owners.of(key).set(key, number)
        found = two.compare()
        assert found["keys"]["equal"] == 300
        assert found["target"]["keys"] == {"5": 300}
        owners.of(b"more").set(b"more", 1)
        two.other.of(b"k1").set(b"k1", 1)
        found = two.compare(expect=3)
        assert {(each["database"], each["key"], *each["aspects"]) for each in found["examples"]} == {
            (5, "more", "extra"),
            (0, "k1", "extra"),
        }


def test_fields_that_expire(tmp_path: Any, worker_id: str) -> None:
    with open_lab(tmp_path, worker_id) as lab:
        two = open_two(lab, "redis-8.2", "valkey-9.1")
        commands: list[tuple[object, ...]] = []
        for number in range(20):
            key = b"h%d" % number
            commands += [
                ("HSET", key, b"a", 1, b"b", 2, b"c\x00", 3),
                ("HPEXPIREAT", key, FAR_MS + number, "FIELDS", 1, b"c\x00"),
            ]
        run(two.one, commands)
        two.other.run(commands)
        assert two.compare()["equal"]
        two.other.of(b"h3").execute_command("HPERSIST", b"h3", "FIELDS", 1, b"c\x00")
        two.other.of(b"h4").execute_command("HPEXPIREAT", b"h4", FAR_MS, "FIELDS", 1, b"c\x00")
        found = two.compare(expect=3)
        assert by_key(found) == {"h3": ["field-expiry"], "h4": ["field-expiry"]}


def test_a_cluster_as_the_source(tmp_path: Any, worker_id: str) -> None:
    with open_lab(tmp_path, worker_id) as lab:
        two = open_two(lab, "redis-7.0", "valkey-9.1")
        lab.topology(engine("redis-7.0"), name="old", replicas=0, ports=(lab.free_port(),), file="old.yaml")
        assert lab.run("up", "old.yaml", "--yes").code == 0
        status = lab.run("status", "old", "--json").json
        clients = [lab.client(node["address"], lab.password("old")) for node in status["nodes"]]
        Owners(clients).run(all_types())
        two.other.run(all_types())
        done = lab.run("compare", "old", "cache", "--json")
        assert done.code == 0, done.out + done.err
        assert len(done.json["source"]["addresses"]) == 3
        two.other.of(b"t:0:list").rpush(b"t:0:list", 1)
        assert by_key(lab.run("compare", status["nodes"][0]["address"], "cache", "--json").json) == {
            "t:0:list": ["value"]
        }
