"""A source with a password, a real cluster as target, and the command between them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.engines import TestEngine, engine
from tests.integration.conftest import Lab, Outcome
from tests.migration.ledger import Running, connect, writing
from tests.migration.writes import Setting

PASSWORD = "söurce %s%% 'pass\" \\word"
PATIENCE_S = 120.0


@dataclass
class Target:
    """A cluster of three primaries with replicas, made by ``up``; used by many tests, empty for each."""

    lab: Lab
    engine: TestEngine
    addresses: list[str]
    name: str = "cache"
    file: str = "cluster.yaml"

    @property
    def password(self) -> str | None:
        return self.lab.password(self.name)

    def client(self, address: str) -> Redis:
        return connect(address, self.password, 0, timeout_s=5)

    def nodes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.lab.run("status", self.name, "--json").json["nodes"]
        return found

    def primaries(self) -> list[str]:
        """By what the nodes that answer say themselves, those with slots."""
        found = []
        for address in self.addresses:
            with suppress(RedisError):
                nodes = self.client(address).execute_command("CLUSTER", "NODES").decode()
                mine = next(line.split() for line in nodes.splitlines() if "myself" in line)
                if "master" in mine[2] and len(mine) > 8:
                    found.append(address)
        return found

    def replica_of(self, primary: str) -> str:
        nodes = [
            line.split() for line in self.client(primary).execute_command("CLUSTER", "NODES").decode().splitlines()
        ]
        mine = next(row[0] for row in nodes if "myself" in row[2])
        return next(row[1].partition("@")[0] for row in nodes if row[3] == mine and "fail" not in row[2].split(","))

    def keys(self) -> int:
        return sum(self.client(address).execute_command("DBSIZE") for address in self.primaries())

    def libraries(self) -> list[set[bytes]]:
        """The names on each primary."""
        return [
            {row[1] for row in self.client(address).execute_command("FUNCTION", "LIST")} for address in self.primaries()
        ]

    def empty(self) -> None:
        """As it was made: without what a migration that was killed left behind, too."""
        for address in self.addresses:
            with suppress(RedisError):
                self.client(address).execute_command("CONFIG", "SET", "import-mode", "no")
        for address in self.primaries():
            client = self.client(address)
            client.execute_command("FLUSHALL")
            if not self.engine.label.startswith("redis-6"):
                client.execute_command("FUNCTION", "FLUSH")

    def pids(self) -> dict[str, int]:
        found = self.lab.processes()
        return {address: found[address.replace(":", "-")] for address in self.addresses}

    def kill(self, address: str) -> None:
        self.lab.kill(address)

    @contextmanager
    def frozen(self, *addresses: str) -> Iterator[None]:
        pids = self.pids()
        for address in addresses:
            os.kill(pids[address], signal.SIGSTOP)
        try:
            yield
        finally:
            for address in addresses:
                os.kill(pids[address], signal.SIGCONT)


def make_target(
    lab: Lab, label: str, *, settings: str = "cluster-node-timeout: 3000", name: str = "cache", replicas: int = 1
) -> Target:
    file = f"{name}.yaml" if name != "cache" else "cluster.yaml"
    ports = tuple(lab.free_port() for _ in range(1 + replicas))
    lab.topology(engine(label), settings=f"{{{settings}}}", name=name, file=file, ports=ports, replicas=replicas)
    done = lab.run("up", file, "--yes", timeout=150)
    assert done.code == 0, done.out + done.err
    addresses = [f"{host}:{port}" for port in ports for host in lab.hosts]
    return Target(lab, engine(label), addresses, name, file)


@dataclass
class Source:
    """A stand-alone server that can be killed and started again."""

    lab: Lab
    engine: TestEngine
    address: str
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        folder = self.lab.folder / f"source-{self.address.rpartition(':')[2]}"
        folder.mkdir(exist_ok=True)
        host, _, port = self.address.rpartition(":")
        words = [str(self.engine.binary), "--bind", host, "--port", port, "--dir", str(folder), "--save", ""]
        words += ["--requirepass", PASSWORD, "--repl-diskless-sync-delay", "0", "--databases", "16", *self.options]
        with (folder / "log").open("a") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
        self.lab.wait(self.answers, f"{self.address} to answer", 30)

    def answers(self) -> bool:
        try:
            return bool(self.client().execute_command("PING"))
        except RedisError:
            return False

    def client(self, database: int = 0) -> Redis:
        return connect(self.address, PASSWORD, database, timeout_s=10)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def fill(self, count: int = 3000, size: int = 100, database: int = 0) -> None:
        """Keys that nobody changes, besides those of the ledger."""
        dice = random.Random(5)
        pipe = self.client(database).pipeline(transaction=False)
        for number in range(count):
            pipe.execute_command("SET", b"still:%d" % number, dice.randbytes(size))
        pipe.execute()

    def is_read_only(self) -> bool:
        """By commands, a transaction and a script."""
        client = self.client()
        refused = []
        for words in (
            ("SET", "probe", 1),
            ("EVAL", "return redis.call('set', KEYS[1], 1)", 1, "probe"),
            ("DEL", "u:1"),
        ):
            try:
                client.execute_command(*words)
            except RedisError as error:
                refused.append(str(error))
        return len(refused) == 3

    def settings(self) -> dict[str, object]:
        """What a cutover changes, and an abort has to give back."""
        client = self.client()
        users = client.execute_command("ACL", "USERS")
        return {
            "config": client.execute_command("CONFIG", "GET", "min-replicas-*"),
            "users": {name: rights(client, name) for name in users},
        }

    @property
    def log(self) -> str:
        return (self.lab.folder / f"source-{self.address.rpartition(':')[2]}" / "log").read_text()


def rights(client: Redis, name: bytes) -> object:
    found = client.execute_command("ACL", "GETUSER", name)
    return dict(zip(found[::2], found[1::2], strict=True))[b"commands"]


def make_source(lab: Lab, label: str, *options: str, host: str = "127.0.0.1") -> Source:
    source = Source(lab, engine(label), f"{host}:{lab.free_port()}", options)
    source.start()
    return source


@dataclass
class Move:
    """One migration under test. Every run of the command has the source's password in its environment."""

    lab: Lab
    source: Source
    target: Target
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {"SOURCE_PASSWORD": PASSWORD}

    def run(self, *words: str, timeout: float = 200) -> Outcome:
        return self.lab.run("migrate", *words, "--json", env=self.environment, timeout=timeout)

    def begin(self, *options: str) -> subprocess.Popen[str]:
        """``migrate SOURCE TARGET`` as a process that can be killed."""
        return self._popen("migrate", self.source.address, self.target.file, "--yes", *options)

    def resume(self, *options: str) -> subprocess.Popen[str]:
        return self._popen("migrate", "--resume", "--yes", *options)

    def resume_job(self, *words: str) -> subprocess.Popen[str]:
        return self._popen("jobs", "resume", *words)

    def _popen(self, *words: str) -> subprocess.Popen[str]:
        out = self.lab.folder / f"out-{len(self.started)}"
        err = self.lab.folder / f"err-{len(self.started)}"
        with out.open("w") as told, err.open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "slotwright", *words, "--json"],
                stdout=told, stderr=said, text=True, cwd=self.lab.folder, stdin=subprocess.DEVNULL,
                env=self.lab.environment | self.environment,
            )  # fmt: skip
        self.started.append(process)
        return process

    def output(self, process: subprocess.Popen[str]) -> Outcome:
        """What it came to, once it has ended."""
        code = process.wait(PATIENCE_S + 60)
        number = self.started.index(process)
        return Outcome(
            code, (self.lab.folder / f"out-{number}").read_text(), (self.lab.folder / f"err-{number}").read_text()
        )

    def ledger(self, **changes: Any) -> Any:
        version = [int(part) for part in self.source.engine.version_prefix.split(".") if part]
        setting = Setting(
            self.source.address,
            PASSWORD,
            self.target.addresses,
            self.target.password,
            version,
            self.source.engine.kind,
            str(self.lab.folder / f"ledger-{len(list(self.lab.folder.glob('ledger-*')))}"),
            **changes,
        )
        return writing(setting)

    def seen(self) -> dict[str, Any]:
        """`--status` of the only migration."""
        found: list[dict[str, Any]] = self.run("--status").json["migrations"]
        return found[0] if found else {"phase": None, "running": False, "ready": False, "status": None}

    def status(self) -> dict[str, Any]:
        """The status file, read directly: for many looks."""
        for path in self.lab.state.glob("migrations/*/status.json"):
            with suppress(ValueError, FileNotFoundError):
                found: dict[str, Any] = json.loads(path.read_text())
                return found
        return {"words": "", "is_ready": False, "keys": 0}

    def kept(self) -> dict[str, Any]:
        for path in self.lab.state.glob("migrations/*/migration.json"):
            with suppress(ValueError, FileNotFoundError):
                found: dict[str, Any] = json.loads(path.read_text())
                return found
        return {"phase": ""}

    def journal(self) -> list[tuple[str, str, str]]:
        """Phase, step and place of each entry."""
        (path,) = self.lab.state.glob("migrations/*/journal.jsonl")
        entries = map(json.loads, path.read_text().splitlines())
        return [(entry.get("phase", ""), entry.get("step", ""), entry.get("where", "")) for entry in entries]

    def wait_for(self, process: subprocess.Popen[str] | None, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if process is not None and process.poll() is not None:
                raise AssertionError(f"{what}: it ended with {self.output(process)}")
            assert time.monotonic() < deadline, f"waited for: {what}; {self.status()}"
            time.sleep(0.005)

    def events(self, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
        """What it has told so far."""
        lines = (self.lab.folder / f"err-{self.started.index(process)}").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def wait_until(self, process: subprocess.Popen[str], phase: str) -> None:
        """Until it is copying, comparing, ready, or cutting over."""
        task, event = {
            "copying": ("copy", "moved"),
            "comparing": ("compare", "began"),
            "ready": ("ready", "began"),
            "cutting over": ("fence", "began"),
        }[phase]

        def is_there() -> bool:
            return any((each["event"], each.get("task")) == (event, task) for each in self.events(process))

        self.wait_for(process, is_there, phase)

    def forget(self) -> None:
        """End what runs, and take away what is kept, so that the next test begins anew."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()

    def assert_whole(self, ledger: Running, *, on_target: bool = True) -> dict[str, Any]:
        """The ledger found every write, and (``on_target``) carried on there."""
        told = ledger.finish()
        assert told["wrong"] == [], told
        assert (told["on_target"] > 0) is on_target, told
        return told

    def assert_equal(self, done: Outcome) -> dict[str, Any]:
        """Moved, and everything compared equal."""
        assert done.code == 0, done.out[-3000:] + done.err[-3000:]
        found: dict[str, Any] = done.json
        assert found["phase"] == "moved", found
        assert found["ok"] and found["comparison"]["equal"], found["comparison"]["examples"]
        return found


def wait_for_writes(ledger: Running, more: int = 300, *, on_target: bool = False) -> None:
    """Until so many more were acknowledged."""
    name = "on_target" if on_target else "acknowledged"
    goal = ledger.told[name] + more
    deadline = time.monotonic() + PATIENCE_S
    while ledger.told[name] < goal:
        assert time.monotonic() < deadline, ledger.told
        time.sleep(0.02)


def wait_for_target(ledger: Running, count: int = 200) -> None:
    """Until the service has carried on in the target for so many writes."""
    deadline = time.monotonic() + PATIENCE_S
    while ledger.told["on_target"] < count:
        assert time.monotonic() < deadline, ledger.told
        time.sleep(0.02)


def folder_of(lab: Lab) -> Path:
    """What is kept of the migrations."""
    return lab.state / "migrations"
