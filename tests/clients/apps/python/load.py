"""Writes and reads at a steady rate on every shard, and prints a line of JSON for each operation."""

import asyncio
import json
import os
import sys
import threading
import time

TAGS = os.environ["APP_TAGS"].split(",")
PREFIX = os.environ["APP_PREFIX"]
PERIOD_S = int(os.environ["APP_PERIOD_MS"]) / 1000
SEEDS = [(host, int(port)) for host, _, port in (seed.rpartition(":") for seed in os.environ["APP_SEEDS"].split(","))]
IS_PLAIN = "APP_DEFAULTS" in os.environ
_turn = threading.Lock()


def run(store):
    """A thread a shard, until standard input ends; ``store`` has set and get."""
    for shard in range(len(TAGS)):
        threading.Thread(target=_write, args=(store, shard), daemon=True).start()
    sys.stdin.read()
    _end()


async def run_async(store):
    """A task a shard."""
    tasks = [asyncio.create_task(_write_async(store, shard)) for shard in range(len(TAGS))]
    await asyncio.to_thread(sys.stdin.read)
    del tasks
    _end()


def _write(store, shard):
    for number, started in _steps():
        acknowledged, error = 0.0, ""
        try:
            store.set(_key(shard, number), str(number))
            acknowledged = time.time()
            error = _difference(store.get(_key(shard, number)), number)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        _say(shard, number, acknowledged, error)
        time.sleep(max(0, started + PERIOD_S - time.monotonic()))


async def _write_async(store, shard):
    for number, started in _steps():
        acknowledged, error = 0.0, ""
        try:
            await store.set(_key(shard, number), str(number))
            acknowledged = time.time()
            error = _difference(await store.get(_key(shard, number)), number)
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
        _say(shard, number, acknowledged, error)
        await asyncio.sleep(max(0, started + PERIOD_S - time.monotonic()))


def _steps():
    number = 0
    while True:
        yield number, time.monotonic()
        number += 1


def _key(shard, number):
    return f"{PREFIX}:{{{TAGS[shard]}}}:{number}"


def _difference(found, number):
    return "" if found == str(number).encode() else f"read back {found!r}"


def _say(shard, number, acknowledged, error):
    line = json.dumps({"t": time.time(), "shard": shard, "n": number, "ack": acknowledged, "error": error})
    with _turn:
        print(line, flush=True)


def _end():
    sys.stdout.flush()
    os._exit(0)
