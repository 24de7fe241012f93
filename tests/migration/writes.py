"""What the ledger writes: each write with what it does to the model of what must be there."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.server.capabilities import Capability, capabilities_of

Command = tuple[object, ...]

ODD_NAMES = (b"", b"\x00", b"nul\x00in", b"\xff\xfe\xfd", b"sp ace\r\n$3\r\n", b"'\"%{}", "ключ".encode())
POOL = 25
FAR_MS = 4_102_444_800_000
SCRIPT = "redis.call('incr', KEYS[1]); redis.call('rpush', KEYS[2], ARGV[1]); return redis.call('get', KEYS[1])"
LIBRARY = (
    "#!lua name=lib%d\nredis.register_function('add%d', "
    "function(keys, args) return redis.call('incrby', keys[1], args[1]) end)"
)


@dataclass
class Setting:
    """What the process is told, as JSON in a file. ``databases``: those of the source that it writes in. ``permit``: a
    file without which it does not go to the target when the source refuses."""

    source: str
    source_password: str | None
    target: list[str]
    target_password: str | None
    version: list[int]
    kind: str
    folder: str
    rate: float = 400.0
    seed: int = 0
    rule: str = "refuse"
    databases: list[int] = field(default_factory=lambda: [0])
    avoid: list[str] = field(default_factory=list)
    ends_on_source: bool = False
    permit: str = ""


@dataclass
class Value:
    """What a key must be. ``deadline_ms`` is a time of the source's clock, 0 for never."""

    kind: str
    data: Any
    deadline_ms: int = 0


@dataclass
class Op:
    """Some commands, done as a whole (MULTI where there are several); ``keys`` are those that it writes. ``effect``
    does to the model what they do; ``is_known``: without looking at their replies."""

    name: str
    commands: list[Command]
    keys: list[bytes]
    effect: Callable[[World, list[Any]], None]
    is_known: bool = True


class World:
    """The model of one database."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.keys: dict[bytes, Value] = {}
        self.retired: set[bytes] = set()

    def get(self, key: bytes, kind: str, empty: Callable[[], Any]) -> Any:
        found = self.keys.get(key)
        if found is None:
            found = self.keys[key] = Value(kind, empty())
        return found.data

    def put(self, key: bytes, kind: str, data: Any, deadline_ms: int = 0) -> None:
        self.keys[key] = Value(kind, data, deadline_ms)

    def put_count(self, key: bytes, by: int) -> None:
        there = self.get(key, "string", lambda: b"0")
        self.keys[key].data = b"%d" % (int(there) + by)

    def tidy(self, *names: bytes) -> None:
        for key in names:
            found = self.keys.get(key)
            if found is not None and found.kind not in ("string", "stream") and not found.data:
                del self.keys[key]

    def state(self, names: Sequence[bytes]) -> dict[bytes, Value | None]:
        return {key: copy.deepcopy(self.keys.get(key)) for key in names}


class Maker:
    """Makes the next write at random, of those that the source can do. ``is_cluster``: none across slots."""

    def __init__(self, setting: Setting) -> None:
        self.random = random.Random(setting.seed)
        self.number = 0
        self.generation: dict[bytes, int] = {}
        self.is_cluster = False
        version = tuple(setting.version)
        capabilities = capabilities_of(ServerVersion(EngineKind(setting.kind), version))
        self.has_functions = capabilities.has(Capability.FUNCTIONS)
        self.has_field_times = capabilities.has(Capability.FIELD_EXPIRY)
        self.has_expire_at = version >= (6, 2)
        self.libraries: list[int] = []
        self.avoid = {*setting.avoid}
        self.across = {name for name, _ in self._choices()[1]}

    def next(self, world: World) -> Op:
        while True:
            self.number += 1
            everywhere, across = self._choices()
            pool = everywhere if self.is_cluster else everywhere + across
            ((name, _),) = self.random.choices(pool, [weight for _, weight in pool])
            if name in self.avoid:
                continue
            op: Op | None = getattr(self, f"_{name}")(world)
            if op is not None and not any(key in world.retired for key in op.keys):
                return op

    def _choices(self) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
        one = [
            ("unique", 14), ("short", 3), ("odd", 3), ("count", 10), ("count_by", 6), ("count_float", 2),
            ("hash_count", 4), ("push", 10), ("push_left", 3), ("pop", 4), ("add", 8), ("remove", 3), ("take", 2),
            ("score", 6), ("score_by", 3), ("lowest", 2), ("fields", 6), ("unfield", 2), ("append", 3), ("bits", 2),
            ("entry", 6), ("read", 3), ("acknowledge", 2), ("trim", 1), ("expire", 4), ("persist", 2), ("delete", 3),
            ("big", 0.3), ("long", 0.3), ("tagged", 3),
        ]  # fmt: skip
        if self.has_field_times:
            one += [("field_time", 4)]
        across = [
            ("rename", 4), ("move_member", 3), ("move_element", 3), ("union", 2), ("bits_of", 2), ("copy", 3),
            ("sort", 2), ("set_many", 3), ("set_new", 2), ("transaction", 5), ("script", 4), ("intersect", 2),
        ]  # fmt: skip
        if self.has_functions:
            across += [("library", 0.5), ("function", 2)]
        return one, across

    # Names.

    def name(self, kind: bytes, at: int | None = None) -> bytes:
        at = self.random.randrange(POOL) if at is None else at
        base = b"%b:%d" % (kind, at)
        generation = self.generation.get(base, 0)
        return base + b":%d" % generation if generation else base

    def retire(self, key: bytes) -> None:
        base = b":".join(key.split(b":")[:2])
        self.generation[base] = self.generation.get(base, 0) + 1

    def some(self, world: World, kind: bytes, wants: Callable[[Value], bool] = lambda _: True) -> bytes | None:
        names = [self.name(kind, at) for at in range(POOL)]
        there = [key for key in names if key in world.keys and key not in world.retired and wants(world.keys[key])]
        return self.random.choice(there) if there else None

    # Single keys.

    def _unique(self, _: World) -> Op:
        key, value = b"u:%d" % self.number, b"%d-" % self.number + self.random.randbytes(self.random.randrange(60))
        options: Command = ()
        deadline = 0
        how = self.random.randrange(8)
        if how == 0:
            options, deadline = ("EX", 5000), now_ms() + 5_000_000
        elif how == 1:
            deadline = FAR_MS + self.number
            options = ("PXAT", deadline)
        elif how == 2:
            options, deadline = ("PX", 7_000_000, "NX"), now_ms() + 7_000_000
        return Op("unique", [("SET", key, value, *options)], [key], lambda w, _: w.put(key, "string", value, deadline))

    def _short(self, _: World) -> Op:
        key, span = b"short:%d" % self.number, self.random.choice((40, 300, 1500))
        return Op(
            "short",
            [("SET", key, b"x", "PX", span)],
            [key],
            lambda w, _: w.put(key, "string", b"x", now_ms() + span),
        )

    def _odd(self, world: World) -> Op:
        key, value = self.random.choice(ODD_NAMES), b"%d\x00" % self.number
        return Op("odd", [("SET", key, value)], [key], lambda w, _: w.put(key, "string", value))

    def _count(self, _: World) -> Op:
        key = self.name(b"c")
        return Op("count", [("INCR", key)], [key], lambda w, _: w.put_count(key, 1))

    def _count_by(self, _: World) -> Op:
        key, by = self.name(b"c"), self.random.randrange(1, 1000)
        return Op("count_by", [("INCRBY", key, by)], [key], lambda w, _: w.put_count(key, by))

    def _count_float(self, _: World) -> Op:
        key = self.name(b"f")

        def effect(w: World, _: list[Any]) -> None:
            there = w.get(key, "string", lambda: b"0")
            w.keys[key].data = float_text(float(there) + 0.25)

        return Op("count_float", [("INCRBYFLOAT", key, "0.25")], [key], effect)

    def _hash_count(self, _: World) -> Op:
        key, name = self.name(b"hc"), b"%d" % self.random.randrange(4)

        def effect(w: World, _: list[Any]) -> None:
            fields = w.get(key, "hash", dict)
            fields[name] = b"%d" % (int(fields.get(name, b"0")) + 7)

        return Op("hash_count", [("HINCRBY", key, name, 7)], [key], effect)

    def _push(self, _: World) -> Op:
        key, items = self.name(b"l"), [b"%d.%d" % (self.number, n) for n in range(self.random.randrange(1, 4))]
        return Op("push", [("RPUSH", key, *items)], [key], lambda w, _: w.get(key, "list", list).extend(items))

    def _push_left(self, _: World) -> Op:
        key, item = self.name(b"l"), b"%d" % self.number
        return Op("push_left", [("LPUSH", key, item)], [key], lambda w, _: w.get(key, "list", list).insert(0, item))

    def _pop(self, world: World) -> Op | None:
        key = self.some(world, b"l")
        if key is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].data.pop(0)
            w.tidy(key)

        return Op("pop", [("LPOP", key)], [key], effect)

    def _add(self, _: World) -> Op:
        key, items = self.name(b"s"), [b"%d" % self.number, b"m%d" % self.random.randrange(30)]
        return Op("add", [("SADD", key, *items)], [key], lambda w, _: w.get(key, "set", set).update(items))

    def _remove(self, world: World) -> Op | None:
        key = self.some(world, b"s")
        if key is None:
            return None
        item = self.random.choice(sorted(world.keys[key].data))

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].data.discard(item)
            w.tidy(key)

        return Op("remove", [("SREM", key, item)], [key], effect)

    def _take(self, world: World) -> Op | None:
        key = self.some(world, b"s")
        if key is None:
            return None

        def effect(w: World, replies: list[Any]) -> None:
            w.keys[key].data.discard(replies[0])
            w.tidy(key)

        return Op("take", [("SPOP", key)], [key], effect, is_known=False)

    def _score(self, _: World) -> Op:
        key, item, score = self.name(b"z"), b"%d" % (self.number % 40), float(self.number)
        return Op(
            "score", [("ZADD", key, score, item)], [key], lambda w, _: w.get(key, "zset", dict).update({item: score})
        )

    def _score_by(self, _: World) -> Op:
        key, item = self.name(b"z"), b"m%d" % self.random.randrange(5)

        def effect(w: World, _: list[Any]) -> None:
            scores = w.get(key, "zset", dict)
            scores[item] = scores.get(item, 0.0) + 1.5

        return Op("score_by", [("ZINCRBY", key, 1.5, item)], [key], effect)

    def _lowest(self, world: World) -> Op | None:
        key = self.some(world, b"z")
        if key is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            scores = w.keys[key].data
            del scores[min(scores, key=lambda item: (scores[item], item))]
            w.tidy(key)

        return Op("lowest", [("ZPOPMIN", key)], [key], effect)

    def _fields(self, _: World) -> Op:
        key, pairs = self.name(b"h"), {b"%d" % (self.number % 50): b"%d\xff" % self.number, b"\x00": b""}
        flat = [word for pair in pairs.items() for word in pair]
        return Op("fields", [("HSET", key, *flat)], [key], lambda w, _: w.get(key, "hash", dict).update(pairs))

    def _unfield(self, world: World) -> Op | None:
        key = self.some(world, b"h")
        if key is None:
            return None
        name = self.random.choice(sorted(world.keys[key].data))

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].data.pop(name, None)
            w.tidy(key)

        return Op("unfield", [("HDEL", key, name)], [key], effect)

    def _field_time(self, world: World) -> Op:
        key, name, deadline = self.name(b"ht"), b"%d" % (self.number % 9), FAR_MS + self.number
        number = b"%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            w.get(key, "hash-times", dict)[name] = (number, deadline)

        commands: list[Command] = [("HSET", key, name, number), ("HPEXPIREAT", key, deadline, "FIELDS", 1, name)]
        return Op("field_time", commands, [key], effect)

    def _append(self, _: World) -> Op:
        key, more = self.name(b"a"), b"%d;" % self.number

        def effect(w: World, _: list[Any]) -> None:
            there = w.get(key, "string", bytes)
            w.keys[key].data = there + more

        return Op("append", [("APPEND", key, more)], [key], effect)

    def _bits(self, _: World) -> Op:
        key, at = self.name(b"b"), self.random.randrange(256)

        def effect(w: World, _: list[Any]) -> None:
            data = bytearray(w.get(key, "string", bytes))
            data.extend(bytes(max(0, at // 8 + 1 - len(data))))
            data[at // 8] |= 0x80 >> (at % 8)
            w.keys[key].data = bytes(data)

        return Op("bits", [("SETBIT", key, at, 1)], [key], effect)

    def _entry(self, _: World) -> Op:
        key, entry = self.name(b"x"), b"%d-%d" % (self.number, self.random.randrange(3))
        commands: list[Command] = [("XADD", key, entry, b"f", b"%d" % self.number)]
        number = b"%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            w.get(key, "stream", new_stream)["entries"].append((entry, number))

        return Op("entry", commands, [key], effect)

    def _read(self, world: World) -> Op | None:
        key = self.some(world, b"x")
        if key is None:
            return None
        there = world.keys[key].data
        if not there["has_group"]:

            def begin(w: World, _: list[Any]) -> None:
                w.keys[key].data["has_group"] = True

            return Op("read", [("XGROUP", "CREATE", key, b"g\x00", "0")], [key], begin)

        def effect(w: World, _: list[Any]) -> None:
            data = w.keys[key].data
            for entry, _number in [each for each in data["entries"] if later(each[0], data["last"])][:3]:
                data["pending"][entry] = b"bob"
                data["last"] = entry

        return Op("read", [("XREADGROUP", "GROUP", b"g\x00", b"bob", "COUNT", 3, "STREAMS", key, ">")], [key], effect)

    def _acknowledge(self, world: World) -> Op | None:
        key = self.some(world, b"x", lambda value: bool(value.data["pending"]))
        if key is None:
            return None
        entry = self.random.choice(sorted(world.keys[key].data["pending"]))
        commands: list[Command] = [("XACK", key, b"g\x00", entry)]
        return Op("acknowledge", commands, [key], lambda w, _: w.keys[key].data["pending"].pop(entry))

    def _trim(self, world: World) -> Op | None:
        key = self.some(world, b"x", lambda value: len(value.data["entries"]) > 20)
        if key is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].data["entries"] = w.keys[key].data["entries"][-20:]

        return Op("trim", [("XTRIM", key, "MAXLEN", "=", 20)], [key], effect)

    def _expire(self, world: World) -> Op | None:
        key = self.some(world, self.random.choice((b"c", b"l", b"s", b"z", b"h", b"a")))
        if key is None:
            return None
        how = self.random.randrange(4)
        span = self.random.randrange(3000, 9000)
        command: Command = (("EXPIRE", key, span), ("PEXPIRE", key, span * 1000))[how % 2]
        deadline = now_ms() + span * 1000
        if how > 1:
            deadline = FAR_MS + self.number
            command = ("PEXPIREAT", key, deadline)

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].deadline_ms = deadline

        return Op("expire", [command], [key], effect)

    def _persist(self, world: World) -> Op | None:
        key = self.some(world, self.random.choice((b"c", b"l", b"s", b"z", b"h")), lambda value: value.deadline_ms > 0)
        if key is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.keys[key].deadline_ms = 0

        return Op("persist", [("PERSIST", key)], [key], effect)

    def _delete(self, world: World) -> Op | None:
        kinds = (b"c", b"f", b"hc", b"l", b"s", b"z", b"h", b"a", b"b", b"x", b"dst", b"ht", b"big")
        keys = [key for kind in self.random.sample(kinds, 2) if (key := self.some(world, kind)) is not None]
        if self.is_cluster:
            keys = keys[:1]
        if not keys:
            return None

        def effect(w: World, _: list[Any]) -> None:
            for key in keys:
                w.keys.pop(key, None)

        return Op("delete", [(self.random.choice(("DEL", "UNLINK")), *keys)], keys, effect)

    def _big(self, _: World) -> Op:
        key, value = self.name(b"big", self.random.randrange(4)), self.random.randbytes(1_200_000)
        return Op("big", [("SET", key, value)], [key], lambda w, _: w.put(key, "string", value))

    def _long(self, _: World) -> Op:
        key = self.name(b"l", self.random.randrange(3))
        items = [b"%d.%d" % (self.number, n) for n in range(3000)]
        return Op("long", [("RPUSH", key, *items)], [key], lambda w, _: w.get(key, "list", list).extend(items))

    def _tagged(self, _: World) -> Op:
        one, two, number = b"{t}:1", b"{t}:2", b"%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            w.put_count(one, 1)
            w.get(two, "list", list).append(number)

        return Op("tagged", [("INCR", one), ("RPUSH", two, number)], [one, two], effect)

    # Across slots.

    def _rename(self, world: World) -> Op | None:
        kind = self.random.choice((b"c", b"l", b"s", b"z", b"h", b"a"))
        old = self.some(world, kind)
        if old is None:
            return None
        new = self.name(kind)
        if new == old or new in world.retired:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.keys[new] = w.keys.pop(old)

        return Op("rename", [("RENAME", old, new)], [old, new], effect)

    def _move_member(self, world: World) -> Op | None:
        old, new = self.some(world, b"s"), self.name(b"s")
        if old is None or new == old:
            return None
        item = self.random.choice(sorted(world.keys[old].data))

        def effect(w: World, _: list[Any]) -> None:
            w.keys[old].data.discard(item)
            w.get(new, "set", set).add(item)
            w.tidy(old)

        return Op("move_member", [("SMOVE", old, new, item)], [old, new], effect)

    def _move_element(self, world: World) -> Op | None:
        old, new = self.some(world, b"l"), self.name(b"l")
        if old is None or new == old:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.get(new, "list", list).insert(0, w.keys[old].data.pop())
            w.tidy(old)

        return Op("move_element", [("LMOVE", old, new, "RIGHT", "LEFT")], [old, new], effect)

    def _union(self, world: World) -> Op | None:
        one, two, to = self.some(world, b"z"), self.some(world, b"z"), self.name(b"dst")
        if one is None or two is None or one == two:
            return None

        def effect(w: World, _: list[Any]) -> None:
            found = dict(w.keys[one].data)
            for item, score in w.keys[two].data.items():
                found[item] = found.get(item, 0.0) + score
            w.put(to, "zset", found)

        return Op("union", [("ZUNIONSTORE", to, 2, one, two)], [to], effect)

    def _intersect(self, world: World) -> Op | None:
        one, two, to = self.some(world, b"s"), self.some(world, b"s"), self.name(b"dst")
        if one is None or two is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.put(to, "set", w.keys[one].data & w.keys[two].data)
            w.tidy(to)

        return Op("intersect", [("SINTERSTORE", to, one, two)], [to], effect)

    def _bits_of(self, world: World) -> Op | None:
        one, two, to = self.some(world, b"b"), self.some(world, b"b"), self.name(b"dst")
        if one is None or two is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            first, second = w.keys[one].data, w.keys[two].data
            size = max(len(first), len(second))
            pairs = zip(first.ljust(size, b"\0"), second.ljust(size, b"\0"), strict=True)
            w.put(to, "string", bytes(a | b for a, b in pairs))

        return Op("bits_of", [("BITOP", "OR", to, one, two)], [to], effect)

    def _copy(self, world: World) -> Op | None:
        old, new = self.some(world, self.random.choice((b"l", b"h", b"z", b"x"))), self.name(b"dst")
        if old is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.keys[new] = copy.deepcopy(w.keys[old])

        return Op("copy", [("COPY", old, new, "REPLACE")], [new], effect)

    def _sort(self, world: World) -> Op | None:
        old, new = self.some(world, b"s"), self.name(b"dst")
        if old is None:
            return None

        def effect(w: World, _: list[Any]) -> None:
            w.put(new, "list", sorted(w.keys[old].data))

        return Op("sort", [("SORT", old, "ALPHA", "STORE", new)], [new], effect)

    def _set_many(self, _: World) -> Op:
        keys, value = [self.name(b"a") for _ in range(3)], b"m%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            for key in keys:
                w.put(key, "string", value)

        return Op("set_many", [("MSET", *(word for key in keys for word in (key, value)))], keys, effect)

    def _set_new(self, _: World) -> Op:
        keys = [b"u:%d:%d" % (self.number, n) for n in range(2)]

        def effect(w: World, _: list[Any]) -> None:
            for key in keys:
                w.put(key, "string", b"nx")

        return Op("set_new", [("MSETNX", *(word for key in keys for word in (key, b"nx")))], keys, effect)

    def _transaction(self, _: World) -> Op:
        one, two, three, number = self.name(b"c"), self.name(b"l"), self.name(b"h"), b"%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            w.put_count(one, 3)
            w.get(two, "list", list).append(number)
            w.get(three, "hash", dict)[b"t"] = number

        commands: list[Command] = [("INCRBY", one, 3), ("RPUSH", two, number), ("HSET", three, b"t", number)]
        return Op("transaction", commands, [one, two, three], effect)

    def _script(self, _: World) -> Op:
        one, two, number = self.name(b"c"), self.name(b"l"), b"%d" % self.number

        def effect(w: World, _: list[Any]) -> None:
            w.put_count(one, 1)
            w.get(two, "list", list).append(number)

        return Op("script", [("EVAL", SCRIPT, 2, one, two, number)], [one, two], effect)

    def _library(self, _: World) -> Op | None:
        if len(self.libraries) > 5:
            return None
        number = self.number
        code = LIBRARY % (number, number)
        return Op("library", [("FUNCTION", "LOAD", code)], [], lambda w, _: self.libraries.append(number))

    def _function(self, _: World) -> Op | None:
        if not self.libraries:
            return None
        key, number = self.name(b"c"), self.random.choice(self.libraries)
        commands: list[Command] = [("FCALL", f"add{number}", 1, key, 5)]
        return Op("function", commands, [key], lambda w, _: w.put_count(key, 5))


def new_stream() -> dict[str, Any]:
    return {"entries": [], "has_group": False, "last": b"0-0", "pending": {}}


def later(one: bytes, other: bytes) -> bool:
    return tuple(map(int, one.split(b"-"))) > tuple(map(int, other.split(b"-")))


def float_text(number: float) -> bytes:
    return (f"{number:.17f}".rstrip("0").rstrip(".") or "0").encode()


def now_ms() -> int:
    return int(time.time() * 1000)
