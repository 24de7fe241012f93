"""How long one big key holds a server up: DUMP at the source, RESTORE at the target; and what MONITOR costs.

    python bench/big_keys.py --binary /usr/bin/redis-server --binary .../valkey-server --megabytes 32 --rounds 3

Times are the server's own (INFO commandstats, usec of the command), so the way to it is not in them: this is how long
every other client waits. For each type a key of small elements (8 bytes) and one of large ones (256 bytes) is made, of
about the same memory; from the two a time an element and a time a byte follow, which
`features/migrate/plan/big_keys.py` has.

MONITOR: the same pipelined SETs with and without somebody who listens.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis
from environment import describe
from figures import markdown, plain

from slotwright.adapters.local.processes import free_port

KINDS = ("string", "list", "set", "zset", "hash", "stream")
_SIZES = (8, 256)


@dataclass(frozen=True, slots=True)
class Measured:
    """One key: its elements, its memory on the source, and what the two commands took."""

    kind: str
    element_bytes: int
    elements: int
    memory_bytes: int
    dump_s: float
    restore_s: float


@contextlib.contextmanager
def serving(binary: str) -> Iterator[redis.Redis]:
    """A server of its own, without persistence."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port("127.0.0.1", 55000)
        words = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            client = redis.Redis("127.0.0.1", port, socket_timeout=60)
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)
            yield client
        finally:
            process.terminate()
            process.wait()


def fill(client: redis.Redis, kind: str, size: int, megabytes: int) -> None:
    """A key of about that much memory, of elements of ``size`` bytes."""
    client.flushall()
    if kind == "string":
        client.set("key", b"x" * megabytes * 2**20)
        return
    script = """
    local pad = string.rep('x', ARGV[4] - 8)
    for n = tonumber(ARGV[2]), tonumber(ARGV[3]) do
      local e = string.format('%08d', n) .. pad
      if ARGV[1] == 'list' then redis.call('RPUSH', KEYS[1], e)
      elseif ARGV[1] == 'set' then redis.call('SADD', KEYS[1], e)
      elseif ARGV[1] == 'zset' then redis.call('ZADD', KEYS[1], n + 0.5, e)
      elseif ARGV[1] == 'hash' then redis.call('HSET', KEYS[1], e, n)
      else redis.call('XADD', KEYS[1], n .. '-1', 'f', e) end
    end"""
    start = 1
    while (client.memory_usage("key") or 0) < megabytes * 2**20:
        client.eval(script, 1, "key", kind, start, start + 9999, size)
        start += 10000


def length(client: redis.Redis, kind: str) -> int:
    """Elements; of a string, none."""
    count = {"list": "llen", "set": "scard", "zset": "zcard", "hash": "hlen", "stream": "xlen"}.get(kind)
    return int(getattr(client, count)("key")) if count else 0


def took_s(client: redis.Redis, *words: object) -> tuple[float, object]:
    """What the server itself spent on one command, and its reply."""
    client.config_resetstat()
    reply = client.execute_command(*words, NEVER_DECODE=True)
    stats = client.info("commandstats")
    return stats[f"cmdstat_{str(words[0]).lower()}"]["usec"] / 1e6, reply


def measure(client: redis.Redis, kind: str, size: int, megabytes: int, rounds: int) -> Measured:
    """The medians of ``rounds``."""
    fill(client, kind, size, megabytes)
    elements, memory = length(client, kind), client.memory_usage("key")
    dumps, restores = [], []
    for _ in range(rounds):
        dump_s, payload = took_s(client, "DUMP", "key")
        dumps.append(dump_s)
        restores.append(took_s(client, "RESTORE", "copy", 0, payload)[0])
        client.delete("copy")
    return Measured(kind, size, elements, memory, statistics.median(dumps), statistics.median(restores))


def rates(small: Measured, large: Measured, of: str) -> tuple[float, float]:
    """Seconds an element and seconds a byte that explain both; never negative."""
    if not small.elements:
        return 0.0, max(getattr(small, of) / small.memory_bytes, getattr(large, of) / large.memory_bytes)
    a, b = getattr(small, of), getattr(large, of)
    det = small.elements * large.memory_bytes - large.elements * small.memory_bytes
    each = (a * large.memory_bytes - b * small.memory_bytes) / det
    byte = (small.elements * b - large.elements * a) / det
    if byte < 0:
        return max(a / small.elements, b / large.elements), 0.0
    if each < 0:
        return 0.0, max(a / small.memory_bytes, b / large.memory_bytes)
    return each, byte


def listening_cost(client: redis.Redis, span_s: float) -> tuple[float, float]:
    """SETs a second of one pipelining client, alone and while a MONITOR is read as fast as it comes."""

    def writes_per_s() -> float:
        pipe = client.pipeline(transaction=False)
        for n in range(500):
            pipe.set(f"key:{n}", b"x" * 100)
        done, start = 0, time.monotonic()
        packed = client.connection_pool.get_connection()
        commands = packed.pack_commands([("SET", f"key:{n}", b"x" * 100) for n in range(500)])
        while time.monotonic() - start < span_s:
            packed.send_packed_command(commands)
            for _ in range(500):
                packed.read_response()
            done += 500
        rate = done / (time.monotonic() - start)
        client.connection_pool.release(packed)
        return rate

    alone = writes_per_s()
    pool = client.connection_pool.connection_kwargs
    with socket.create_connection((pool["host"], pool["port"])) as ear:
        ear.sendall(b"MONITOR\r\n")
        ear.settimeout(1)
        over = threading.Event()

        def read() -> None:
            while not over.is_set():
                with contextlib.suppress(TimeoutError):
                    ear.recv(262144)

        reader = threading.Thread(target=read)
        reader.start()
        listened = writes_per_s()
        over.set()
        reader.join()
    return alone, listened


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", required=True)
    parser.add_argument("--megabytes", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args(arguments)
    show = markdown if chosen.markdown else plain
    rows: list[list[str]] = []
    costs: list[list[str]] = []
    title = ""
    for binary in chosen.binary:
        with serving(binary) as client:
            info = client.info("server")
            title = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
            for kind in KINDS:
                small, large = (measure(client, kind, size, chosen.megabytes, chosen.rounds) for size in _SIZES)
                dump, restore = rates(small, large, "dump_s"), rates(small, large, "restore_s")
                rows.append(
                    [
                        kind,
                        title,
                        f"{small.elements:,} / {large.elements:,}",
                        f"{small.dump_s * 1e3:.0f} / {large.dump_s * 1e3:.0f}",
                        f"{small.restore_s * 1e3:.0f} / {large.restore_s * 1e3:.0f}",
                        f"{dump[0] * 1e9:.0f} + {dump[1] * 1e9:.2f}",
                        f"{restore[0] * 1e9:.0f} + {restore[1] * 1e9:.2f}",
                    ]
                )
            client.flushall()
            alone, listened = listening_cost(client, 3.0)
            costs.append([title, f"{alone:,.0f}", f"{listened:,.0f}", f"{1 - listened / alone:.0%}"])
    print(describe(title, "").line(), "\n")
    header = ["type", "server", "elements", "DUMP ms", "RESTORE ms", "DUMP ns/element + ns/B", "RESTORE the same"]
    print(show(header, rows), "\n")
    print(show(["server", "SET/s alone", "SET/s under MONITOR", "less"], costs))


if __name__ == "__main__":
    main()
