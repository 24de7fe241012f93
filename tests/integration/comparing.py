"""Data of every type for a comparison, written by the same commands on both sides, so that nothing was copied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from redis import Redis

from slotwright.cluster.slots import key_slot, split_evenly

FAR_MS = 4_102_444_800_000
ODD_KEYS = (
    b"",
    b"nul\x00inside",
    b"\xff\xfe not text",
    b"with space",
    b"{tag}one",
    b"{tag}two",
    b"\r\n$5\r\n",
    "ключ".encode(),
)

Command = tuple[object, ...]


def all_types(prefix: bytes = b"t:", copies: int = 8) -> list[Command]:
    """Every type, in small and large encodings, with and without expiries; ids are fixed, so that both sides agree."""
    made: list[Command] = [("SET", key, b"value of " + key) for key in ODD_KEYS]
    for copy in range(copies):
        key = prefix + b"%d" % copy
        names = [b"%d-%d" % (copy, number) for number in range(30)]
        many = [b"%d-%d" % (copy, number) for number in range(700)]
        made += [
            ("SET", key + b":number", 12345 + copy),
            ("SET", key + b":raw", b"\x00\xff" * 50),
            ("SET", key + b":empty", b""),
            ("SET", key + b":long", b"%d" % copy * 40_000),
            ("PEXPIREAT", key + b":raw", FAR_MS + copy),
            ("RPUSH", key + b":list", *names),
            ("RPUSH", key + b":biglist", *many, b"x" * 9000),
            ("SADD", key + b":intset", *range(copy, copy + 40)),
            ("SADD", key + b":set", *(names if copy % 2 else names[::-1])),
            ("SADD", key + b":bigset", *many),
            ("HSET", key + b":hash", *(word for name in names for word in (name, b"v\x00" + name))),
            ("HSET", key + b":bighash", *(word for name in many for word in (name, name))),
            ("ZADD", key + b":zset", *(word for at, name in enumerate(names) for word in (at / 3, name))),
            ("ZADD", key + b":zset", "inf", b"last", "-inf", b"first", "1e300", b"huge"),
            ("ZADD", key + b":bigzset", *(word for at, name in enumerate(many) for word in (at % 7, name))),
            ("PEXPIREAT", key + b":hash", FAR_MS + copy),
        ]
        stream = key + b":stream"
        made += [("XADD", stream, f"{number}-1", b"field", name) for number, name in enumerate(names, 1)]
        made += [
            ("XDEL", stream, "3-1"),
            ("XGROUP", "CREATE", stream, b"group", "0"),
            ("XREADGROUP", "GROUP", b"group", b"bob", "COUNT", 5, "STREAMS", stream, ">"),
            ("XREADGROUP", "GROUP", b"group", b"eve\xff", "COUNT", 2, "STREAMS", stream, ">"),
            ("XACK", stream, b"group", "1-1"),
        ]
    return made


@dataclass
class Owners:
    """A cluster's primaries by slot, for commands of one key."""

    clients: Sequence[Redis]
    index: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for at, slots in enumerate(split_evenly(len(self.clients))):
            self.index |= dict.fromkeys(slots, at)

    def of(self, key: bytes) -> Redis:
        return self.clients[self.index[key_slot(key)]]

    def run(self, commands: Sequence[Command]) -> None:
        """Each where its key is."""
        for client in self.clients:
            mine = [command for command in commands if self.of(key_of(command)) is client]
            run(client, mine)

    def every(self, work: Callable[[Redis], object]) -> None:
        for client in self.clients:
            work(client)


def key_of(command: Command) -> bytes:
    """The second word; of XGROUP the third, of XREADGROUP the one after STREAMS."""
    at = {"XGROUP": 2, "XREADGROUP": -2}.get(str(command[0]), 1)
    key = command[at]
    assert isinstance(key, bytes)
    return key


def run(client: Redis, commands: Sequence[Command]) -> None:
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        pipe.execute()
