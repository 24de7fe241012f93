"""How fast a snapshot is read and made into commands, on one core: no server, no network, nothing but this process.

    python bench/rdb.py --keys 1000000 --rounds 5

Three snapshots are made by hand: strings of 100 bytes, a tenth as many of 2 KiB, and six kinds of values in turn. Each
is fed in pieces of 128 KiB, as a socket gives them. Times are those of the processor, so that others on the machine
matter less; the best of the rounds is the one that was disturbed the least, and the median is given beside it.
"""

from __future__ import annotations

import argparse
import statistics
import struct
import time
from collections.abc import Callable, Iterator
from random import Random

from figures import markdown, plain

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.slots import SLOT_COUNT, key_slot
from slotwright.cluster.topology import EngineKind
from slotwright.server.rdb.dump import PLAIN, dump_payload, restore_command, set_command
from slotwright.server.rdb.strings import write_length, write_string
from slotwright.server.rdb.targets import Rewriter
from slotwright.server.rdb.walker import Entry, RdbWalker

PIECE_BYTES = 128 * 1024
OWNERS = 3
SEVEN = ServerVersion(EngineKind.REDIS, (7, 0, 15))
SEVEN_TWO = ServerVersion(EngineKind.REDIS, (7, 2, 4))


def strings(keys: int, size: int) -> bytes:
    """A snapshot of ``keys`` strings of ``size`` bytes that can't be compressed."""
    value = write_string(Random(1).randbytes(size))
    return _snapshot(b"\x00" + write_string(b"user:%d:profile" % number) + value for number in range(keys))


def mixed(keys: int) -> bytes:
    """A snapshot of six kinds of values in turn: string, hash, list, set, sorted set (packed), and a hash of 20 fields
    that is written out."""
    words = [b"field-%d" % number for number in range(16)]
    value = Random(1).randbytes(80)
    values = (
        (0, write_string(value)),
        (16, _listpack(words)),
        (18, b"\x01\x02" + _listpack(words)),
        (20, _listpack(words[:8])),
        (17, _listpack([text for number, word in enumerate(words[:8]) for text in (word, b"%d.5" % number)])),
        (4, write_length(20) + b"".join(write_string(b"f%d" % number) + write_string(value) for number in range(20))),
    )
    return _snapshot(
        b"%c%b%b" % (kind, write_string(b"key:%d" % number), written)
        for number in range(keys)
        for kind, written in (values[number % len(values)],)
    )


def _listpack(words: list[bytes]) -> bytes:
    body = b"".join(b"%c%b%c" % (0x80 | len(word), word, len(word) + 1) for word in words)
    return write_string(struct.pack("<IH", len(body) + 7, len(words)) + body + b"\xff")


def _snapshot(entries: Iterator[bytes]) -> bytes:
    return b"REDIS0011" + b"".join(entries) + b"\xff" + bytes(8)


def walk(pieces: list[bytes], is_checked: bool = True) -> int:
    """Only finds the entries; how many there are."""
    walker, keys = RdbWalker(is_checked=is_checked), 0
    for piece in pieces:
        keys += len(walker.feed(piece))
    assert walker.is_complete
    return keys


def commands(pieces: list[bytes], target: ServerVersion) -> int:
    """Finds the entries, the owner of each, and makes the bytes that would be sent to it."""
    walker, keys = RdbWalker(), 0
    rewriter = Rewriter(11, target)
    buffers: list[list[bytes]] = [[] for _ in range(OWNERS)]
    owners = [buffers[slot * OWNERS // SLOT_COUNT].append for slot in range(SLOT_COUNT)]
    for piece in pieces:
        entries = walker.feed(piece)
        keys += len(entries)
        for entry in entries:
            owners[key_slot(entry[1])](_command(entry, rewriter))
        for buffer in buffers:
            b"".join(buffer)
            buffer.clear()
    return keys


def _command(entry: Entry, rewriter: Rewriter) -> bytes:
    _, key, expires_ms, kind, value, idle_s, frequency = entry
    if kind == PLAIN:
        return set_command(key, value, expires_ms)
    if kind not in rewriter.direct:
        found = rewriter.rewrite(kind, value)
        assert found is not None
        kind, value = found
    return restore_command(key, dump_payload(kind, value, rewriter.version), expires_ms, idle_s, frequency)


def measure(work: Callable[[], int], rounds: int) -> tuple[str, str, str]:
    """Keys per second at best and in the median, and microseconds a key at best."""
    rates = []
    for _ in range(rounds):
        started_s = time.process_time()
        keys = work()
        rates.append(keys / (time.process_time() - started_s))
    return f"{max(rates):,.0f}", f"{statistics.median(rates):,.0f}", f"{1e6 / max(rates):.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Reading snapshots, and making commands of them, on one core.")
    parser.add_argument("--keys", type=int, default=1_000_000, help="strings of 100 bytes; 1000000 unless told")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each; 5 unless told")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args()
    rows = []
    for title, make in (
        (f"{options.keys:,} strings of 100 B", lambda: strings(options.keys, 100)),
        (f"{options.keys // 10:,} strings of 2 KiB", lambda: strings(options.keys // 10, 2048)),
        (f"{options.keys // 4:,} of six kinds", lambda: mixed(options.keys // 4)),
    ):
        raw = make()
        pieces = [raw[at : at + PIECE_BYTES] for at in range(0, len(raw), PIECE_BYTES)]
        del raw
        for what, work in (
            ("walk, checksum not compared", lambda pieces=pieces: walk(pieces, is_checked=False)),
            ("walk", lambda pieces=pieces: walk(pieces)),
            ("walk, slot, command", lambda pieces=pieces: commands(pieces, SEVEN_TWO)),
            ("the same, rewritten for 7.0", lambda pieces=pieces: commands(pieces, SEVEN)),
        ):
            if "rewritten" not in what or "kinds" in title:
                rows.append((title, what, *measure(work, options.rounds)))
    header = ("snapshot", "what", "keys/s, best", "median", "µs a key")
    print((markdown if options.markdown else plain)(header, rows))


if __name__ == "__main__":
    main()
