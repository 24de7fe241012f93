"""A service that writes on a source all the time, carries on in the target, and knows each write that was acknowledged.

A process of its own (``python -m tests.migration.ledger FILE``), so that no test's interpreter holds it up. Its keys
are of all types; it counts, moves keys across slots, runs transactions, scripts and functions, deletes, and sets
deadlines. When the source refuses a write it goes on with exactly that write in the target, as a client of the cluster.
At the end it reads everything again: each acknowledged write must be there exactly once.

A write whose connection was lost is *indeterminate*: it was done as a whole or not at all, either is right, and its
keys are never written again.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AskError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as GoneError
from redis.exceptions import TimeoutError as SilentError
from redis.retry import Retry

from slotwright.cluster.slots import key_slot
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from tests.migration.writes import Maker, Op, Setting, Value, World, now_ms

FENCES = ("NOREPLICAS", "NOPERM", "EXECABORT")
PASSING = ("LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "READONLY", "UNBLOCKED")
ELSEWHERE = (AskError, ClusterDownError, MasterDownError, ReadOnlyError, TryAgainError)
"""As redis-py has them; it takes the first word off their lines. MOVED is an ASK to it."""


class Cluster:
    """A client of a cluster that never sends a write twice: it learns the owners anew where one says MOVED."""

    def __init__(self, seeds: Sequence[str], password: str | None) -> None:
        self._seeds, self._password = list(seeds), password
        self._clients: dict[str, Redis] = {}
        self._owners: list[tuple[int, int, str]] = []

    def at(self, key: bytes, database: int) -> Redis:
        if not self._owners:
            self.learn()
        slot = key_slot(key)
        owner = next((place for first, last, place in self._owners if first <= slot <= last), None)
        if owner is None:
            self.learn()
            raise GoneError(f"nobody has slot {slot}")
        return self._client(owner, database)

    def _client(self, place: str, database: int) -> Redis:
        name = f"{place}/{database}"
        if name not in self._clients:
            self._clients[name] = connect(place, self._password, database, timeout_s=10)
        return self._clients[name]

    def learn(self) -> None:
        for place in (*self._seeds, *(owner for _, _, owner in self._owners)):
            try:
                found = self._client(place, 0).execute_command("CLUSTER", "SLOTS")
            except RedisError:
                continue
            self._owners = [(first, last, address(primary)) for first, last, primary, *_ in found]
            return


def address(node: Sequence[Any]) -> str:
    host = node[0].decode() if isinstance(node[0], bytes) else node[0]
    return f"{host}:{node[1]}"


def connect(place: str, password: str | None, database: int, timeout_s: float = 90) -> Redis:
    host, _, port = place.rpartition(":")
    once = Retry(NoBackoff(), 0)
    client = Redis(host, int(port), password=password, db=database, socket_timeout=timeout_s, retry=once, protocol=2)
    # Replies as the server gives them.
    client.response_callbacks.clear()
    return client


@dataclass
class Doubt:
    """Keys of a write whose fate nobody knows: all are as in ``before``, or (where that is known) as in ``after``."""

    database: int
    before: dict[bytes, Value | None]
    after: dict[bytes, Value | None] | None


class Ledger:
    """The process: writes until its stdin says ``stop``, then proves."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.databases = DatabaseMap(DatabaseRule(setting.rule))
        self.worlds = {number: World(number) for number in setting.databases}
        self.maker = Maker(setting)
        self.sources = {
            number: connect(setting.source, setting.source_password, number) for number in setting.databases
        }
        self.cluster = Cluster(setting.target, setting.target_password)
        self.is_moved = False
        self.doubts: list[Doubt] = []
        self.counts: dict[str, int] = {}
        self.acknowledged = 0
        self.on_target = 0
        self.longest_s = 0.0
        self.switch_s = 0.0
        self.refusals: dict[str, int] = {}
        self.troubles: list[str] = []

    def run(self) -> None:
        told = 0.0
        began, made = time.monotonic(), 0
        last = began
        while not self._is_stopped():
            number = self.maker.random.choice(self.setting.databases)
            self._do(self.worlds[number], self.maker.next(self.worlds[number]))
            made += 1
            now = time.monotonic()
            if now - last > 0.5:
                # What a hold-up cost is not made up for.
                began, made = now, 0
            last = now
            if now - told > 0.1:
                self._tell()
                told = now
            ahead = began + made / self.setting.rate - now
            if ahead > 0:
                time.sleep(ahead)
        self._tell()

    def _is_stopped(self) -> bool:
        return bool(select.select([sys.stdin], [], [], 0)[0])

    def _do(self, world: World, op: Op) -> None:
        started = time.monotonic()
        while True:
            try:
                replies = self._send(world, op)
            except BusyLoadingError:
                self._wait_a_moment()
                continue
            except (GoneError, SilentError) as error:
                self._doubt(world, op, error)
                self._reconnect()
                return
            except ResponseError as error:
                line = str(error)
                word = line.split()[0]
                if "NOREPLICAS" in line or word in FENCES or "no permissions" in line:
                    self.refusals[op.name] = self.refusals.get(op.name, 0) + 1
                    if self.setting.ends_on_source or not self._is_permitted():
                        self._wait_a_moment()
                        continue
                    assert not self.is_moved, f"the target refuses {op.name}: {line}"
                    self.is_moved = self.maker.is_cluster = True
                    self.switched_at = started
                    if op.name in self.maker.across or (len(op.keys) > 1 and op.name != "tagged"):
                        # It was not done, and a cluster would not do it.
                        return
                    continue
                if self.is_moved and (isinstance(error, ELSEWHERE) or word in PASSING):
                    self.cluster.learn()
                    self._wait_a_moment()
                    continue
                raise AssertionError(f"{op.name} {op.commands!r:.200}: {error}") from error
            break
        took = time.monotonic() - started
        self.longest_s = max(self.longest_s, took)
        op.effect(world, replies)
        self.acknowledged += 1
        self.counts[op.name] = self.counts.get(op.name, 0) + 1
        if self.is_moved:
            self.on_target += 1
            if self.on_target == 1:
                self.switch_s = time.monotonic() - self.switched_at

    def _is_permitted(self) -> bool:
        return not self.setting.permit or Path(self.setting.permit).exists()

    def _send(self, world: World, op: Op) -> list[Any]:
        commands, client = op.commands, self.sources[world.number]
        if self.is_moved:
            database, name = self.databases.target((world.number, op.keys[0]))
            prefix = self.databases.prefix(world.number)
            client = self.cluster.at(name, database)
            if prefix:
                keys = {*op.keys}
                commands = [
                    tuple(prefix + word if at and isinstance(word, bytes) and word in keys else word
                          for at, word in enumerate(command))
                    for command in commands
                ]  # fmt: skip
        if len(commands) == 1:
            return [client.execute_command(*commands[0])]
        with client.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return list(pipe.execute())

    def _doubt(self, world: World, op: Op, error: Exception) -> None:
        self.troubles.append(f"{op.name}: {error}")
        before = world.state(op.keys)
        after = None
        if op.is_known:
            op.effect(world, [])
            after = world.state(op.keys)
        self.doubts.append(Doubt(world.number, before, after))
        for key in op.keys:
            world.keys.pop(key, None)
            world.retired.add(key)
            self.maker.retire(key)

    def _reconnect(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if self.is_moved:
                    self.cluster.learn()
                    return
                for client in self.sources.values():
                    client.ping()
                return
            except RedisError:
                self._tell()
                if self._is_stopped():
                    return
                self._wait_a_moment()

    def _wait_a_moment(self) -> None:
        time.sleep(0.02)

    def _tell(self) -> None:
        told = {
            "acknowledged": self.acknowledged,
            "on_target": self.on_target,
            "longest_s": self.longest_s,
            "switch_s": self.switch_s,
            "refusals": self.refusals,
            "doubts": len(self.doubts),
            "counts": self.counts,
            "troubles": self.troubles[:20],
        }
        path = Path(self.setting.folder) / "told.json"
        path.with_suffix(".new").write_text(json.dumps(told))
        path.with_suffix(".new").rename(path)

    # The proof.

    def check(self) -> list[str]:
        """What is not as it must be."""
        wrong: list[str] = []
        for world in self.worlds.values():
            for key, value in world.keys.items():
                found = self._found(world.number, key, value)
                if found:
                    wrong.append(f"{world.number} {key!r} {value.kind}: {found}")
        for doubt in self.doubts:
            sides = [side for side in (doubt.before, doubt.after) if side is not None]
            fits = [all(not self._found(doubt.database, key, value) for key, value in side.items()) for side in sides]
            if doubt.after is not None and not any(fits):
                wrong.append(f"{doubt.database} {list(doubt.before)!r}: neither as before nor as after")
        return wrong

    def _found(self, database: int, key: bytes, value: Value | None) -> str:
        """How the key differs from ``value``, "" for not at all."""
        if self.is_moved or not self.setting.ends_on_source:
            number, name = self.databases.target((database, key))
            client = self.cluster.at(name, number)
        else:
            client, name = self.sources[database], key
        before = now_ms()
        kind = client.execute_command("TYPE", name)
        kind = kind.decode() if isinstance(kind, bytes) else str(kind)
        if value is None:
            return "" if kind == "none" else f"a {kind} is there"
        wanted = value.kind.partition("-")[0]
        if kind == "none":
            return "" if value.deadline_ms and value.deadline_ms <= now_ms() + 50 else "is gone"
        if value.deadline_ms and value.deadline_ms < before - 1000:
            return "should have expired"
        if kind != wanted:
            return f"is a {kind}"
        try:
            data = read(client, name, value)
        except ResponseError as error:
            return str(error)
        if data != value.data:
            # Its time may come between two questions.
            if value.deadline_ms and client.execute_command("TYPE", name) in (b"none", "none"):
                return "" if value.deadline_ms <= now_ms() + 50 else "is gone"
            return f"{shown(data)} instead of {shown(value.data)}"
        left = client.execute_command("PTTL", name)
        if left == -2 and value.deadline_ms and value.deadline_ms <= now_ms() + 50:
            return ""
        deadline = now_ms() + left if left >= 0 else 0
        # What was held back runs later than it was sent, and so does what it sets a time for.
        if bool(value.deadline_ms) != (left >= 0) or abs(deadline - value.deadline_ms) > 3000 + 1000 * self.longest_s:
            return f"expires at {deadline} instead of {value.deadline_ms}"
        return ""


def read(client: Redis, key: bytes, value: Value) -> Any:
    """As the model has it."""

    def ask(*words: object) -> Any:
        return client.execute_command(*words)

    if value.kind == "string":
        return ask("GET", key)
    if value.kind == "list":
        return list(ask("LRANGE", key, 0, -1))
    if value.kind == "set":
        return set(ask("SMEMBERS", key))
    if value.kind == "zset":
        found = ask("ZRANGE", key, 0, -1, "WITHSCORES")
        return {item: float(score) for item, score in zip(found[::2], found[1::2], strict=True)}
    if value.kind == "stream":
        return read_stream(ask, key, value)
    found = ask("HGETALL", key)
    pairs = dict(zip(found[::2], found[1::2], strict=True))
    if value.kind == "hash":
        return pairs
    names = list(pairs)
    times = ask("HPEXPIRETIME", key, "FIELDS", len(names), *names)
    return {name: (pairs[name], at) for name, at in zip(names, times, strict=True)}


def read_stream(ask: Callable[..., Any], key: bytes, value: Value) -> Any:
    entries = [(entry, fields[1]) for entry, fields in ask("XRANGE", key, "-", "+")]
    pending: dict[bytes, bytes] = {}
    if value.data["has_group"]:
        pending = {entry: consumer for entry, consumer, *_ in ask("XPENDING", key, b"g\x00", "-", "+", 100_000)}
    return {**value.data, "entries": entries, "pending": pending}


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}...{text[-60:]} ({len(text)})"


# For tests.


@dataclass
class Running:
    """The process as a test sees it."""

    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def told(self) -> dict[str, Any]:
        assert self.process.poll() is None, (self.folder / "errors").read_text()
        try:
            found: dict[str, Any] = json.loads((self.folder / "told.json").read_text())
        except FileNotFoundError:
            return {"acknowledged": 0, "on_target": 0}
        return found

    def finish(self) -> dict[str, Any]:
        """Stop writing, and prove: what was told, with ``wrong``."""
        out, _ = self.process.communicate(b"stop\n", timeout=120)
        assert self.process.returncode == 0, (self.folder / "errors").read_text()
        found: dict[str, Any] = json.loads(out)
        return found


@contextmanager
def writing(setting: Setting) -> Iterator[Running]:
    """A ledger that writes from the beginning to the end, or to :meth:`Running.finish`."""
    folder = Path(setting.folder)
    folder.mkdir(parents=True, exist_ok=True)
    given = folder / "setting.json"
    given.write_text(json.dumps(asdict(setting)))
    with (folder / "errors").open("w") as errors:
        words = [sys.executable, "-m", "tests.migration.ledger", str(given)]
        root = Path(__file__).parents[2]
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, cwd=root)
    try:
        yield Running(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def main() -> None:
    setting = Setting(**json.loads(Path(sys.argv[1]).read_text()))
    ledger = Ledger(setting)
    ledger.run()
    sys.stdin.read()
    wrong = ledger.check()
    keys = sum(len(world.keys) for world in ledger.worlds.values())
    told = json.loads((Path(setting.folder) / "told.json").read_text())
    print(json.dumps({**told, "keys": keys, "wrong": wrong[:50], "wrongs": len(wrong)}))


if __name__ == "__main__":
    main()
