"""Keys of every type, and what they hold as a client reads it: what was written is compared by type and content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

TAGS = tuple(f"tag{number}" for number in range(24))
PER_TAG = 6
"""Each tag is a slot of its own that holds PER_TAG keys: what slots are moved with."""

LIFETIME_S = 3600


@dataclass(frozen=True)
class Content:
    """One key as it is read: ``lives`` says that it has a time to live."""

    kind: str
    value: object
    lives: bool = False


Data = dict[bytes, Content]


def write(client: Redis | RedisCluster, keys: Iterable[bytes]) -> None:
    """Write ``keys``, one of each type in turn."""
    for number, key in enumerate(keys):
        _WRITERS[number % len(_WRITERS)](client, key)


def names(count: int) -> Iterator[bytes]:
    """The keys that a cluster is filled with: ``count`` plain ones over all slots, and those of the tags."""
    yield from (b"user:%d" % number for number in range(count))
    yield from (b"{%s}:%d" % (tag.encode(), number) for tag in TAGS for number in range(PER_TAG))


def read(client: Redis | RedisCluster, key: bytes) -> Content | None:
    """What ``key`` holds; None when there is no such key."""
    kind = client.type(key).decode()
    if kind == "none":
        return None
    return Content(kind, _READERS[kind](client, key), client.ttl(key) >= 0)


def read_all(client: Redis | RedisCluster, keys: Iterable[bytes]) -> Data:
    found = {key: read(client, key) for key in keys}
    return {key: content for key, content in found.items() if content is not None}


def slot_of(key: bytes) -> int:
    return key_slot(key)


def _string(client: Redis | RedisCluster, key: bytes) -> None:
    client.set(key, b"text of " + key + b"\0\r\n\xff")


def _living(client: Redis | RedisCluster, key: bytes) -> None:
    client.set(key, b"lives a while: " + key, ex=LIFETIME_S)


def _hash(client: Redis | RedisCluster, key: bytes) -> None:
    client.hset(key, mapping={b"name": key, b"nul\0": b"\0", b"long": b"x" * 200})


def _list(client: Redis | RedisCluster, key: bytes) -> None:
    client.rpush(key, b"first", key, b"", b"last")


def _set(client: Redis | RedisCluster, key: bytes) -> None:
    client.sadd(key, b"1", b"2", key)


def _zset(client: Redis | RedisCluster, key: bytes) -> None:
    client.zadd(key, {b"low": -1.5, key: 7})


def _stream(client: Redis | RedisCluster, key: bytes) -> None:
    client.xadd(key, {b"field": key}, id="1-1")
    client.xadd(key, {b"field": b"\0"}, id="1-2")


_WRITERS = (_string, _hash, _list, _set, _zset, _stream, _living)

_READERS = {
    "string": lambda client, key: client.get(key),
    "hash": lambda client, key: client.hgetall(key),
    "list": lambda client, key: client.lrange(key, 0, -1),
    "set": lambda client, key: frozenset(client.smembers(key)),
    "zset": lambda client, key: client.zrange(key, 0, -1, withscores=True),
    "stream": lambda client, key: client.xrange(key),
}
