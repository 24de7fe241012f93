"""How many changes of a source's stream one core can take: cut into commands, and decided on.

No server and no socket: the stream is made here, and handed over in pieces of 64 KiB as a socket gives them. Counted is
the processor's time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable

from environment import describe
from figures import markdown, plain, shown

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.features.migrate.replay.replayer import Replayer, ServerCommands
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.server.commands.parse import parse_command_table
from slotwright.server.replication import Change, CommandStream, pack

_PIECE = 65536
_NOW_MS = 1_700_000_000_000
_NAMES = (b"set", b"incr", b"hset", b"pexpireat", b"lpush", b"zadd")
_VALUE = b"v" * 100

STREAMS: dict[str, Callable[[bytes], tuple[bytes, ...]]] = {
    "SET k v": lambda key: (b"SET", key, _VALUE),
    "SET k v PXAT ms": lambda key: (b"SET", key, _VALUE, b"PXAT", b"1700000900000"),
    "SET k v PX ms (Redis 6.2)": lambda key: (b"SET", key, _VALUE, b"PX", b"900000"),
    "INCR k": lambda key: (b"INCR", key),
    "HSET k f v": lambda key: (b"HSET", key, b"field", _VALUE),
    "LPUSH k v": lambda key: (b"LPUSH", key, _VALUE),
    "PEXPIREAT k ms": lambda key: (b"PEXPIREAT", key, b"1700000900000"),
    "DEL k": lambda key: (b"DEL", key),
    "MSET of 10": lambda key: (b"MSET", *(word for n in range(10) for word in (key + b"%d" % n, _VALUE))),
    "RENAME k l": lambda key: (b"RENAME", key, key + b"'"),
}


def _replayer(rule: DatabaseRule, database: int, version: tuple[int, ...]) -> Replayer:
    lines = [[name, -2, [b"write"], 1, 1, 1] for name in _NAMES]
    lines += [
        [b"del", -2, [b"write"], 1, -1, 1],
        [b"rename", 3, [b"write"], 1, 2, 1],
        [b"mset", -3, [b"write"], 1, -1, 2],
    ]
    side = ServerCommands(ServerVersion(EngineKind.REDIS, version), parse_command_table(lines))
    return Replayer(side, side, DatabaseMap(rule), database)


def _cut(data: bytes) -> Iterable[list[Change]]:
    stream = CommandStream(0)
    for start in range(0, len(data), _PIECE):
        yield stream.feed(data[start : start + _PIECE])
    assert stream.offset == len(data)


def _rate(count: int, work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return count / (time.process_time() - began)


def _measure(command: Callable[[bytes], tuple[bytes, ...]], version: tuple[int, ...], count: int) -> tuple[float, ...]:
    data = b"".join(pack(*command(b"key:%09d" % n)) for n in range(count))

    def cut() -> None:
        for _ in _cut(data):
            pass

    def decide(rule: DatabaseRule, database: int) -> Callable[[], None]:
        def work() -> None:
            replay = _replayer(rule, database, version).replay
            for changes in _cut(data):
                for _, arguments in changes:
                    replay(arguments, _NOW_MS)

        return work

    whole, prefixed = decide(DatabaseRule.REFUSE, 0), decide(DatabaseRule.PREFIX, 3)
    return _rate(count, cut), _rate(count, whole), _rate(count, prefixed)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="changes in a stream")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in STREAMS}
    for _ in range(chosen.rounds):
        for name, command in STREAMS.items():
            version = (6, 2) if "6.2" in name else (7, 0)
            found[name].append(_measure(command, version, chosen.count))
    header = ("stream of", "cut, k/s", "cut and decided, k/s", "the same with a prefix, k/s")
    rows = [(name, *(shown([one[at] / 1000 for one in rates], 0) for at in range(3))) for name, rates in found.items()]
    print(describe("no server", "").line())
    print((markdown if chosen.markdown else plain)(header, rows))


if __name__ == "__main__":
    main()
