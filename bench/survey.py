"""What a plan costs the clients of a source: latencies of a writer, idle, while keys are looked at, and under MONITOR.

    python bench/survey.py --binary /usr/bin/redis-server --keys 300000 --writes 2000

A process of its own writes at a steady rate over one connection and notes how long each SET took. The source, the
writer and the reader share the machine: on two cores they also take time from each other.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable, Sequence
from multiprocessing.connection import Connection as Pipe

import redis
from big_keys import serving
from environment import describe
from figures import markdown, plain

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.servers.resp import RespDialer
from slotwright.adapters.servers.streams import SocketStreamDialer
from slotwright.cluster.topology import Address
from slotwright.features.migrate.survey.listen import listen
from slotwright.features.migrate.survey.source import survey_source
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.sample_keys import Pace


def write(port: int, rate: float, pipe: Pipe) -> None:
    """SETs at ``rate`` until told to stop; then says how long each took, in milliseconds."""
    client = redis.Redis("127.0.0.1", port)
    took: list[float] = []
    due = time.perf_counter()
    while not pipe.poll():
        due += 1 / rate
        wait = due - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        before = time.perf_counter()
        client.set("written", b"x" * 100)
        took.append((time.perf_counter() - before) * 1e3)
    pipe.send(took)


def measured(port: int, rate: float, act: Callable[[], Awaitable[str]]) -> tuple[list[float], str]:
    """The writer's latencies while ``act`` goes on, sorted, and what ``act`` says of itself."""
    ours, theirs = multiprocessing.Pipe()
    writer = multiprocessing.Process(target=write, args=(port, rate, theirs))
    writer.start()
    try:
        said = asyncio.run(act())  # type: ignore[arg-type]
        ours.send(True)
        return sorted(ours.recv()), said
    finally:
        writer.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", action="append", required=True)
    parser.add_argument("--keys", type=int, default=300_000)
    parser.add_argument("--writes", type=float, default=2000)
    parser.add_argument("--paces", type=float, nargs="+", default=[5_000, 10_000, 20_000])
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args(arguments)
    rows: list[list[str]] = []
    title = ""
    for binary in chosen.binary:
        with serving(binary) as client:
            info = client.info("server")
            title = f"Valkey {info['valkey_version']}" if "valkey_version" in info else f"Redis {info['redis_version']}"
            for start in range(0, chosen.keys, 1000):
                client.mset({f"key:{n}": b"x" * 100 for n in range(start, start + 1000)})
            port = client.connection_pool.connection_kwargs["port"]
            for name, act in _acts(Address("127.0.0.1", port), chosen.paces):
                before, began = _cpu_s(client), time.monotonic()
                took, said = measured(port, chosen.writes, act)
                busy = (_cpu_s(client) - before) / (time.monotonic() - began)
                at = [took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99, 0.999)]
                rows.append(
                    [title, name, said, f"{busy:.0%}", f"{len(took):,}", *(f"{ms:.2f}" for ms in at), f"{took[-1]:.1f}"]
                )
    print(describe(title, "").line(), "\n")
    header = ["server", "while", "of itself", "server CPU", "SETs", "p50 ms", "p99", "p99.9", "max"]
    print((markdown if chosen.markdown else plain)(header, rows))


def _cpu_s(client: redis.Redis) -> float:
    """Of the server's process, in all."""
    info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def _acts(address: Address, paces: Sequence[float]) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
    async def idle() -> str:
        await asyncio.sleep(8)
        return "-"

    def looked(pace: float) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            wanted = Pace(full=True, keys_per_s=pace, most_s=12)
            survey = await survey_source(RespDialer(None), address, MonotonicClock(), DatabaseMap(), wanted)
            return f"{survey.keys.keys_per_s:,.0f} keys/s, slowed {survey.keys.slowed} times"

        return look

    async def heard() -> str:
        sample = await listen(SocketStreamDialer(None), address, MonotonicClock(), {}, DatabaseMap(), span_s=8)
        return f"{sample.commands / sample.span_s:,.0f} commands/s"

    return [
        ("nothing", idle),
        *((f"keys at {pace:,.0f}/s", looked(pace)) for pace in paces),
        ("MONITOR", heard),
    ]


if __name__ == "__main__":
    main()
