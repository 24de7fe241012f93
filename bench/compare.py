"""How fast a comparison is, and what it costs the source: a stand-alone server against a cluster that holds the same.

    python bench/compare.py --keys 1000000 --rounds 5

Both are filled with the same commands, so that nothing was copied; then `Comparer` compares all keys, several rounds,
in this process. ``strings`` are of 100 bytes; ``mixed`` are strings, and small lists, sets, hashes, sorted sets and
streams in equal parts, half of the keys with an expiry. Every comparison has to find all keys equal, or the run fails.
The waits are those of the source, by its own clock (`keys/throttle/rate_limiter.py`), while it is compared.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from environment import describe
from figures import plain, shown
from lab import Lab, Servers, find_binary, open_lab

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.servers.resp import RespDialer
from slotwright.cluster.events import silent
from slotwright.cluster.slots import SlotRange, key_slot, split_evenly
from slotwright.cluster.topology import Address
from slotwright.keys.compare.comparer import Comparer
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import Comparison
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.throttle.rate_limiter import LIMIT_MS, RateLimiter
from slotwright.server.resp_out import request

_CHUNK = 5000
_LATER_MS = 4_102_444_800_000

Commands = Iterator[tuple[bytes, list[bytes]]]
"""Keys, each with what writes it."""


@dataclass(frozen=True, slots=True)
class Run:
    """One comparison: what it found, and the seconds of the processor that it took."""

    found: Comparison
    cpu_s: float


def strings(count: int) -> Commands:
    """Strings of 100 bytes without an expiry."""
    for number in range(count):
        key = b"string:%09d" % number
        yield key, [request("SET", key, (b"%d." % number).ljust(100, b"x"))]


def mixed(count: int) -> Commands:
    """Six types in turn, every other key with an expiry."""
    for number in range(count):
        key = b"mixed:%09d" % number
        expiry = [request("PEXPIREAT", key, _LATER_MS + number)] if number % 4 < 2 else []
        yield key, [_typed(key, number % 6, [b"%d-%d" % (number, each) for each in range(8)]), *expiry]


def _typed(key: bytes, kind: int, texts: Sequence[bytes]) -> bytes:
    match kind:
        case 0:
            return request("SET", key, texts[0].ljust(100, b"x"))
        case 1:
            return request("RPUSH", key, *texts)
        case 2:
            return request("SADD", key, *texts)
        case 3:
            return request("HSET", key, *(word for text in texts for word in (text, b"value")))
        case 4:
            return request("ZADD", key, *(word for at, text in enumerate(texts) for word in (str(at + 0.1), text)))
    return request("XADD", key, "1-1", b"field", texts[0])


class Filler:
    """Writes the same into the source and into the owners of the slots."""

    def __init__(self, source: Address, owners: Sequence[Address]) -> None:
        self._source = socket.create_connection((source.host, source.port))
        self._owners = [socket.create_connection((owner.host, owner.port)) for owner in owners]
        self._index = {slot: at for at, slots in enumerate(split_evenly(len(owners))) for slot in slots}

    def fill(self, data: Commands) -> None:
        """All of it, in chunks."""
        for sock in (self._source, *self._owners):
            self._ask(sock, [request("FLUSHALL")])
        chunk: list[tuple[bytes, list[bytes]]] = []
        for each in data:
            chunk.append(each)
            if len(chunk) == _CHUNK:
                self._write(chunk)
                chunk = []
        self._write(chunk)

    def _write(self, chunk: Sequence[tuple[bytes, list[bytes]]]) -> None:
        parts: list[list[bytes]] = [[] for _ in self._owners]
        for key, commands in chunk:
            parts[self._index[key_slot(key)]] += commands
        self._ask(self._source, [command for _, commands in chunk for command in commands])
        for sock, part in zip(self._owners, parts, strict=True):
            self._ask(sock, part)

    @staticmethod
    def _ask(sock: socket.socket, commands: Sequence[bytes]) -> None:
        if not commands:
            return
        sock.sendall(b"".join(commands))
        sock.sendall(request("ECHO", "the end"))
        heard = b""
        while not heard.endswith(b"$7\r\nthe end\r\n"):
            heard += sock.recv(1 << 20)
        if heard.startswith(b"-") or b"\r\n-" in heard:
            raise SystemExit(f"a server refuses: {heard[heard.find(b'-') :][:200]!r}")


def start_source(lab: Lab, binary: str) -> tuple[Address, subprocess.Popen[bytes]]:
    """A stand-alone server."""
    (address,) = lab.addresses(1)
    folder = lab.scratch("source")
    words = [find_binary(binary).path, "--port", str(address.port), "--bind", address.host, "--save", ""]
    process = subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for(lambda: _answers(address, request("PING"), b"+PONG"), f"{address} to answer")
    return address, process


def start_target(lab: Lab) -> tuple[tuple[Address, ...], Servers]:
    """A cluster of three primaries without replicas: nobody else takes time from the two that are measured."""
    addresses = lab.addresses(3)
    servers = Servers(lab, addresses, lab.scratch("target"))
    servers.prepare()
    servers.start([("save", ""), ("appendonly", "no"), ("cluster-require-full-coverage", "yes")])
    for address, slots in zip(addresses, split_evenly(3), strict=True):
        wait_for(lambda address=address: _answers(address, request("PING"), b"+PONG"), f"{address} to answer")
        piece: SlotRange = slots.ranges[0]
        _ask(address, request("CLUSTER", "ADDSLOTS", *range(piece.first, piece.last + 1)))
        _ask(address, request("CLUSTER", "MEET", addresses[0].host, addresses[0].port))
    for address in addresses:
        wait_for(
            lambda address=address: _answers(address, request("CLUSTER", "INFO"), b"cluster_state:ok"),
            f"{address} to be in the cluster",
        )
    return addresses, servers


async def compare(source: Address, target: Sequence[Address], pace: float, limit_ms: float = LIMIT_MS) -> Run:
    """All keys, once."""
    clock = MonotonicClock()
    before = resource.getrusage(resource.RUSAGE_SELF)
    async with (
        KeyspaceReader("source", RespDialer(None), [source], clock) as one,
        KeyspaceReader("target", RespDialer(None), target, clock) as other,
    ):
        rate_limiter = RateLimiter(clock, pace=pace, limit_ms=limit_ms)
        found = await Comparer(one, other, DatabaseMap(), clock, silent, rate_limiter).every_key()
    after = resource.getrusage(resource.RUSAGE_SELF)
    if not found.is_equal:
        raise SystemExit(f"not equal: {found.examples[:3]}")
    return Run(found, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """At most half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited 30 s for {what}")
        time.sleep(0.05)


def _answers(address: Address, data: bytes, words: bytes) -> bool:
    try:
        return words in _ask(address, data)
    except OSError:
        return False


def _ask(address: Address, data: bytes) -> bytes:
    with socket.create_connection((address.host, address.port), timeout=5) as sock:
        sock.sendall(data)
        return sock.recv(1 << 16)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--source", default="", help="the source's server program; the embedded Valkey unless told")
    parser.add_argument("--target", default="", help="the target's server program")
    parser.add_argument("--pace", type=float, default=0.0, help="keys a second at the most")
    parser.add_argument("--limit", type=float, default=LIMIT_MS, help="hold back when the source lets wait longer, ms")
    parser.add_argument("--only", choices=("strings", "mixed"), default="")
    chosen = parser.parse_args()
    with open_lab(chosen.target) as lab:
        source, process = start_source(lab, chosen.source)
        target, servers = start_target(lab)
        print(describe(lab.binary.version.title, "").line())
        print(f"source: {find_binary(chosen.source).version.title}; {chosen.keys:,} keys; {chosen.rounds} rounds\n")
        filler = Filler(source, target)
        rows = []
        for name, make in (("strings", strings), ("mixed", mixed)):
            if chosen.only not in ("", name):
                continue
            filler.fill(make(chosen.keys))
            print(f"  {name}: filled", file=sys.stderr)
            runs: list[Run] = []
            for _ in range(chosen.rounds):
                runs.append(asyncio.run(compare(source, target, chosen.pace, chosen.limit)))
                print(f"    {runs[-1].found.keys_per_s:,.0f} keys/s", file=sys.stderr)
            rows.append(
                (
                    name,
                    shown([run.found.keys_per_s / 1000 for run in runs], 0),
                    shown([run.cpu_s for run in runs], 1),
                    shown([run.found.load.p50 for run in runs]),
                    shown([run.found.load.p99 for run in runs]),
                    shown([run.found.load.worst for run in runs]),
                    shown([run.found.load.longest_batch for run in runs], 0),
                )
            )
        head = ("data", "1000 keys/s", "our CPU, s", "wait p50, ms", "p99", "worst", "longest batch, ms")
        print(plain(head, rows))
        servers.end()
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
