"""Data of every type in every encoding, and what a server says of it in words that all versions have in common."""

from __future__ import annotations

import random
import string
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

FAR_MS = 4_000_000_000_000

_WORDS = random.Random()


def _noise(size: int) -> bytes:
    return bytes(_WORDS.choices(string.ascii_letters.encode(), k=size))


def fill(client: Redis) -> None:
    """Keys of all types in several databases; always the same ones."""
    _WORDS.seed(5)
    _strings(client)
    _lists(client)
    _sets(client)
    _sorted_sets(client)
    _hashes(client)
    _streams(client)
    with suppress(ResponseError):
        client.execute_command("FUNCTION", "LOAD", _library(b"short", b""))
        client.execute_command("FUNCTION", "LOAD", _library(b"long", b"-- the same words again\n" * 90))
    for key in client.keys("*"):
        if _WORDS.random() < 0.3:
            client.pexpireat(key, FAR_MS + _WORDS.randrange(10**6))
    client.select(3)
    client.mset({"in three": "3", b"{tag}\x00": b"\xff"})
    client.select(15)
    client.rpush("list of fifteen", *range(400))
    client.select(0)


def _library(name: bytes, comment: bytes) -> bytes:
    return b"#!lua name=%b\n%bredis.register_function('f_%b', function() return 1 end)" % (name, comment, name)


def _strings(client: Redis) -> None:
    for number in (0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32769, 2**31 - 1, -(2**31), 2**31, 2**63 - 1):
        client.set(f"number {number}", number)
        client.set(str(number), "under an integer's name")
    for text in (b"007", b"+1", b"-0", b" 1", b"1.5", b"", b"\x00", b"\xff\xfe", b"\r\n$5\r\n", "ü€😀".encode()):
        client.set(b"text " + text, text)
    for size in (1, 44, 63, 64, 100, 127, 128, 2048, 16383, 16384, 70000, 1 << 20):
        client.set(f"random {size}", _noise(size))
        client.set(f"compressible {size}", (b"abcdefgh" * (size // 8 + 1))[:size])
    client.set(b"", b"without a name")
    client.set(b"\x00\xff\r\n", b"binary name")
    client.set(b"k" * 63, b"63")
    client.set(b"k" * 64, b"64, compressible")
    client.set(_noise(64), b"64")
    client.set(_noise(300), b"300")
    client.set(_noise(20000), b"20000")
    client.set("bits", b"\x00" * 5000 + b"\x01")
    client.pfadd("hyperloglog", *range(1000))
    client.execute_command("SETBIT", "flags", 12345, 1)


def _lists(client: Redis) -> None:
    client.rpush("list small", *range(5), "x", b"\x00\xff", -5, 2**40, 2**62)
    client.rpush("list of words", *("word " * 3 for _ in range(100)))
    client.rpush("list large", *(_noise(_WORDS.randrange(1, 90)) for _ in range(3000)))
    client.rpush("list with large", "a", _noise(9000), b"y" * 20000, "b", _noise(300_000), 1)
    client.rpush("list of empty", b"", b"")


def _sets(client: Redis) -> None:
    client.sadd("set of 16 bits", 1, 2, -3)
    client.sadd("set of 32 bits", 70000, -70000)
    client.sadd("set of 64 bits", 2**40, 5)
    client.sadd("set of many numbers", *range(5000))
    client.sadd("set small", "a", "b", 3, b"\x00", b"")
    client.sadd("set of repeats", *(f"a long common beginning {n}" for n in range(60)))
    client.sadd("set large", *(_noise(20) for _ in range(2000)))
    client.sadd("set with large", "a", _noise(5000))


def _sorted_sets(client: Redis) -> None:
    scores = {"a": 1, "b": 1.5, "c": -2.25, "d": float("inf"), "e": float("-inf"), "f": 1e300, "": 3.141592653589793}
    client.zadd("zset small", scores)
    client.zadd("zset large", scores | {f"member {n}": n / 7 for n in range(1000)})
    client.zadd("zset with large", {_noise(500): 0.1, "-0": -0.0, "17": 17})
    client.geoadd("places", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))


def _hashes(client: Redis) -> None:
    client.hset("hash small", mapping={"a": 1, "b": "x", "": "", b"\x00": b"\xff", "n": -(2**40)})
    client.hset("hash of repeats", mapping={f"field {n}": "value " * 5 for n in range(100)})
    client.hset("hash large", mapping={f"field {n}": _noise(30) for n in range(2000)})
    client.hset("hash with large", mapping={"a": _noise(5000), "b": b"z" * 5000})
    try:
        client.hset("hash ttl small", mapping={"a": 1, "b": 2, "never": b"\x00"})
        client.execute_command("HPEXPIREAT", "hash ttl small", FAR_MS, "FIELDS", 1, "a")
        client.execute_command("HPEXPIREAT", "hash ttl small", FAR_MS + 7, "FIELDS", 1, "b")
        client.hset("hash ttl large", mapping={f"field {n}": _noise(90) for n in range(1000)})
        for n in range(0, 1000, 3):
            client.execute_command("HPEXPIREAT", "hash ttl large", FAR_MS + n, "FIELDS", 1, f"field {n}")
    except ResponseError:
        client.delete("hash ttl small", "hash ttl large")


def _streams(client: Redis) -> None:
    for n in range(500):
        client.xadd("stream", {"a": n, f"field {n % 3}": _noise(n % 50)}, id=f"{1000 + n // 3}-{n % 3 + 1}")
    client.xdel("stream", "1000-1", "1100-2", "1166-2")
    client.xgroup_create("stream", "readers", id="0")
    client.xgroup_create("stream", "idle", id="$")
    client.xreadgroup("readers", "first", {"stream": ">"}, count=50)
    client.xreadgroup("readers", "second", {"stream": ">"}, count=5)
    client.xack("stream", "readers", "1000-2", "1010-1")
    client.execute_command("XGROUP", "CREATECONSUMER", "stream", "readers", "third")
    client.xadd("stream empty", {"a": 1}, id="5-5")
    client.xdel("stream empty", "5-5")
    client.xgroup_create("stream without entries", "g", id="$", mkstream=True)
    client.xadd("stream short", {"n": 1, "": b"\x00\xff"}, id="7-0")
    client.xtrim("stream", maxlen=450, approximate=False)


def contents(client: Redis, databases: int = 16) -> dict[tuple[int, bytes], Any]:
    """Every key's value, in the words of its type's commands, and when it expires; by database and key."""
    found: dict[tuple[int, bytes], Any] = {}
    for database in range(databases):
        client.select(database)
        for key in client.scan_iter(count=1000):
            found[database, key] = (_value(client, key), _expires_ms(client, key))
    client.select(0)
    return found


def _expires_ms(client: Redis, key: bytes) -> int:
    left_ms = client.pttl(key)
    seconds, microseconds = client.time()
    return left_ms if left_ms < 0 else round((left_ms + seconds * 1000 + microseconds // 1000 - FAR_MS) / 60_000)


def _value(client: Redis, key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"string":
        return client.get(key)
    if kind == b"list":
        return client.lrange(key, 0, -1)
    if kind == b"set":
        return client.smembers(key)
    if kind == b"zset":
        return client.zrange(key, 0, -1, withscores=True)
    if kind == b"hash":
        return client.hgetall(key), _field_expiries(client, key)
    assert kind == b"stream"
    return _stream(client, key)


def _field_expiries(client: Redis, key: bytes) -> Any:
    if b" ttl " not in key:
        return None
    fields = sorted(client.hkeys(key))
    try:
        return client.execute_command("HPEXPIRETIME", key, "FIELDS", len(fields), *fields)
    except ResponseError:
        return None


def _stream(client: Redis, key: bytes) -> Any:
    """Without what 6.2 doesn't know (greatest deleted id, entries added), and without times that pass."""
    about = client.xinfo_stream(key)
    groups = []
    for group in client.xinfo_groups(key):
        name = group["name"]
        consumers = sorted((one["name"], one["pending"]) for one in client.xinfo_consumers(key, name))
        pending = client.xpending_range(key, name, "-", "+", 10000)
        claims = [(one["message_id"], one["consumer"], one["times_delivered"]) for one in pending]
        groups.append((name, group["last-delivered-id"], consumers, claims))
    return client.xrange(key), about["last-generated-id"], about["length"], groups
