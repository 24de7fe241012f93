"""How fast a stand-alone server's data gets into a cluster, beside a plain replica's full sync and redis-cli's import.

    python bench/migrate.py --rounds 3 [--strings 1000000] [--blobs 100000] [--rates 0 2000] [--binary PATH]

For each size of values and each rate of writes to the source, in turns:

- *full sync*: a plain replica with REPLICAOF, until its link is up: what the servers can do by themselves.
- *slotwright*: `slotwright migrate SOURCE TARGET --cutover --yes --json` as a whole process. Its copy is measured from
  the attaching to the last key answered for, its proof from the beginning of the comparison to its end.
- *redis-cli*: `redis-cli --cluster import --cluster-copy`, once, as it takes minutes.

The source has no persistence of its own and starts a diskless sync without delay, for all sides. The cluster has three
primaries without replicas, empty again before each run. A prober of its own process sends the source a GET a hundred
times a second and counts from when it was due; it also runs for a while when nothing else does. A writer of its own
process changes keys at the given rate. Every run must end with all keys, or it is reported as failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import redis
from environment import describe, find_redis_cli
from figures import markdown, plain, shown
from lab import Lab, child_environment, open_lab, slotwright_command

from slotwright.cluster.slots import split_evenly
from slotwright.cluster.topology import Address

_HOST = "127.0.0.1"
_PROBES_A_SECOND = 100
_IDLE_S = 5.0

_PROBER = """
import json, socket, sys, time
port, rate, path = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
line = socket.create_connection(("127.0.0.1", port)); line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
due, waits = time.monotonic(), []
print("ready", flush=True)
try:
    while True:
        time.sleep(max(0.0, due - time.monotonic()))
        line.sendall(b"*2\\r\\n$3\\r\\nGET\\r\\n$7\\r\\nmissing\\r\\n")
        while not line.recv(64).endswith(b"\\r\\n"): pass
        waits.append((time.time(), time.monotonic() - due))
        due = max(due + 1 / rate, time.monotonic() - 0.1)
except KeyboardInterrupt:
    open(path, "w").write(json.dumps(waits))
"""

_WRITER = """
import random, socket, sys, time
port, rate, keys, size = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
line = socket.create_connection(("127.0.0.1", port))
value, due, done = random.randbytes(size), time.monotonic(), 0
print("ready", flush=True)
batch = 10
while True:
    time.sleep(max(0.0, due - time.monotonic()))
    names = [b"key:%d" % random.randrange(keys) for _ in range(batch)]
    line.sendall(b"".join(b"*3\\r\\n$3\\r\\nSET\\r\\n$%d\\r\\n%b\\r\\n$%d\\r\\n%b\\r\\n" % (len(n), n, size, value)
                          for n in names))
    got = b""
    while got.count(b"\\n") < batch: got += line.recv(65536)
    due = max(due + batch / rate, time.monotonic() - 0.1)
"""


@dataclass(slots=True)
class Scene:
    """One size of values under one rate of writes; seconds and keys a second of each side, waits in ms."""

    title: str
    keys: int
    size: int
    rate: int
    full_sync: list[float] = field(default_factory=list)
    copy: list[float] = field(default_factory=list)
    proof: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    held_ms: list[float] = field(default_factory=list)
    imported: list[float] = field(default_factory=list)
    idle_p99: list[float] = field(default_factory=list)
    sync_p99: list[float] = field(default_factory=list)
    copy_p99: list[float] = field(default_factory=list)
    proof_p99: list[float] = field(default_factory=list)
    import_p99: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


class Stand:
    """The source, the cluster, and what is started beside them."""

    def __init__(self, lab: Lab, binary: str, redis_cli: str) -> None:
        self.lab, self.binary, self.redis_cli = lab, binary, redis_cli
        self.source, *self.primaries = (self._start(cluster=number > 0) for number in range(4))
        self._form()

    def fill(self, keys: int, size: int) -> None:
        """Random values: the snapshot's compression finds nothing in them, so every side moves all bytes."""
        line = socket.create_connection((_HOST, self.source))
        line.sendall(b"FLUSHALL\r\n")
        pool, rest = random.Random(1).randbytes(1 << 20), 1
        for first in range(0, keys, 1000):
            commands = []
            for number in range(first, min(keys, first + 1000)):
                name, at = b"key:%d" % number, number * 7919 % (len(pool) - size)
                commands.append(
                    b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(name), name, size, pool[at : at + size])
                )
            line.sendall(b"".join(commands))
            rest += len(commands)
            got = 0
            while got < rest:
                got += line.recv(1 << 16).count(b"\n")
            rest = 0
        line.close()

    def empty_cluster(self) -> None:
        """As before the first run."""
        for port in self.primaries:
            redis.Redis(_HOST, port).flushall()

    def cluster_keys(self) -> int:
        """On all primaries."""
        return sum(redis.Redis(_HOST, port).dbsize() for port in self.primaries)

    def full_sync(self) -> float:
        """Seconds until a fresh replica has it all."""
        port = self._start(cluster=False)
        replica = redis.Redis(_HOST, port)
        began = time.monotonic()
        replica.replicaof(_HOST, str(self.source))
        while replica.info("replication").get("master_link_status") != "up":
            time.sleep(0.01)
        took = time.monotonic() - began
        replica.shutdown(nosave=True)
        return took

    @contextmanager
    def probed(self) -> Iterator[list[tuple[float, float]]]:
        """Gives, when the block has ended, what was seen in it: the time of day and how long a GET took, in seconds."""
        path, found = self.lab.folder / "waits.json", []
        with self._beside(_PROBER, str(self.source), str(_PROBES_A_SECOND), str(path)):
            yield found
        found += [tuple(each) for each in json.loads(path.read_text())]

    @contextmanager
    def written(self, rate: int, keys: int, size: int) -> Iterator[None]:
        """Under a writer."""
        if not rate:
            yield
            return
        with self._beside(_WRITER, str(self.source), str(rate), str(keys), str(size)):
            yield

    @contextmanager
    def _beside(self, code: str, *arguments: str) -> Iterator[None]:
        program = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert program.stdout is not None
            program.stdout.readline()
            yield
        finally:
            program.send_signal(signal.SIGINT)
            program.wait(10)

    def _start(self, *, cluster: bool) -> int:
        port = self.lab.port()
        folder = self.lab.scratch(f"server-{port}")
        more = ["--cluster-enabled", "yes"] if cluster else []
        subprocess.Popen(
            [self.binary, "--port", str(port), "--bind", _HOST, "--dir", str(folder), "--save", "", "--appendonly",
             "no", "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0", "--repl-diskless-load",
             "swapdb" if not cluster else "disabled", *more],
            cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                redis.Redis(_HOST, port).ping()
                return port
            except redis.ConnectionError:
                time.sleep(0.02)

    def _form(self) -> None:
        for number, (port, slots) in enumerate(zip(self.primaries, split_evenly(3), strict=True)):
            node = redis.Redis(_HOST, port)
            node.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            node.execute_command("CLUSTER", "ADDSLOTS", *slots)
        for port in self.primaries[1:]:
            redis.Redis(_HOST, self.primaries[0]).execute_command("CLUSTER", "MEET", _HOST, port)
        while not all(
            b"cluster_state:ok" in redis.Redis(_HOST, port).execute_command("CLUSTER", "INFO")
            and len(redis.Redis(_HOST, port).execute_command("CLUSTER", "SLOTS")) == len(self.primaries)
            for port in self.primaries
        ):
            time.sleep(0.05)


def migrate(stand: Stand, scene: Scene) -> None:
    """One run of slotwright; the source is given back afterwards."""
    stand.empty_cluster()
    state = stand.lab.scratch(f"state-{len(scene.whole_s)}-{scene.title.replace(' ', '-')}-{time.monotonic_ns()}")
    env = child_environment(state)
    target = str(Address(_HOST, stand.primaries[0]))
    command = [
        *slotwright_command(),
        "migrate",
        str(Address(_HOST, stand.source)),
        target,
        "--cutover",
        "--yes",
        "--json",
    ]
    started = time.monotonic()
    with stand.probed() as waits:
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    whole = time.monotonic() - started
    if done.returncode != 0:
        scene.failed.append(f"slotwright: exit code {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}")
        return
    answer = json.loads(done.stdout)
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    if stand.cluster_keys() < answer["cutover"]["target_keys"] or not answer["ok"]:
        scene.failed.append("slotwright: not all keys are there")
        return
    for task, rates, percentiles in (
        ("copy", scene.copy, scene.copy_p99),
        ("compare", scene.proof, scene.proof_p99),
    ):
        began, ended = _span(events, task)
        rates.append(scene.keys / (ended - began))
        percentiles += _p99([each for each in waits if began <= each[0] <= ended])
    scene.whole_s.append(whole)
    scene.held_ms.append(answer["cutover"]["held_s"] * 1000)
    undo = [*slotwright_command(), "migrate", "--abort", "--yes", "--json"]
    subprocess.run(undo, env=env, capture_output=True, check=True)


def _span(events: list[dict[str, object]], task: str) -> tuple[float, float]:
    """When ``task`` began and ended, as time of day."""
    at = {str(each["event"]): float(str(each["at"])) for each in events if each.get("task") == task}
    return at["began"], at["ended"]


def _p99(waits: Sequence[tuple[float, float]]) -> list[float]:
    """In ms; nothing where nothing was seen."""
    ordered = sorted(wait for _, wait in waits)
    return [ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000] if ordered else []


def run(stand: Stand, scene: Scene, rounds: int, *, with_import: bool) -> None:
    """All sides in turns."""
    stand.fill(scene.keys, scene.size)
    with stand.written(scene.rate, scene.keys, scene.size):
        with stand.probed() as waits:
            time.sleep(_IDLE_S)
        scene.idle_p99 += _p99(waits)
        for number in range(rounds):
            for side in ("sync", "ours") if number % 2 == 0 else ("ours", "sync"):
                if side == "sync":
                    with stand.probed() as waits:
                        took = stand.full_sync()
                    scene.sync_p99 += _p99(waits)
                    scene.full_sync.append(scene.keys / took)
                else:
                    migrate(stand, scene)
        if with_import and stand.redis_cli:
            stand.empty_cluster()
            words = [
                "--cluster",
                "import",
                f"{_HOST}:{stand.primaries[0]}",
                "--cluster-from",
                f"{_HOST}:{stand.source}",
            ]
            began = time.monotonic()
            with stand.probed() as waits:
                subprocess.run([stand.redis_cli, *words, "--cluster-copy"], capture_output=True, check=False)
            scene.import_p99 += _p99(waits)
            took = time.monotonic() - began
            if stand.cluster_keys() < scene.keys:
                scene.failed.append(f"redis-cli: {stand.cluster_keys():,} of {scene.keys:,} keys")
            scene.imported.append(scene.keys / took)


def _rows(scenes: list[Scene]) -> tuple[list[str], list[list[str]], list[str], list[list[str]]]:
    speed = [
        [
            scene.title,
            shown(scene.full_sync, 0),
            shown(scene.copy, 0),
            shown(scene.imported, 0),
            _ratio(scene.copy, scene.full_sync),
            _ratio(scene.copy, scene.imported),
            shown(scene.proof, 0),
            shown(scene.whole_s, 1),
            shown(scene.held_ms, 0),
        ]
        for scene in scenes
    ]
    heads = [
        "",
        "full sync",
        "slotwright",
        "redis-cli",
        "of full sync",
        "times redis-cli",
        "proof",
        "whole s",
        "held ms",
    ]
    waits = [
        [
            scene.title,
            shown(scene.idle_p99, 1),
            shown(scene.sync_p99, 1),
            shown(scene.copy_p99, 1),
            shown(scene.proof_p99, 1),
            shown(scene.import_p99, 1),
        ]
        for scene in scenes
    ]
    return heads, speed, ["p99 in ms", "alone", "full sync", "copy", "proof", "redis-cli"], waits


def _ratio(ours: list[float], theirs: list[float]) -> str:
    if not ours or not theirs:
        return "-"
    pairs = list(zip(ours, theirs, strict=False)) if len(theirs) > 1 else [(each, theirs[0]) for each in ours]
    return shown([one / other for one, other in pairs])


def main() -> None:
    """Measure, print, and end with 1 where a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--strings", type=int, default=1_000_000, help="keys of 100 bytes")
    parser.add_argument("--blobs", type=int, default=100_000, help="keys of 2 KiB")
    parser.add_argument("--rates", type=int, nargs="*", default=[0, 2000])
    parser.add_argument("--binary", default="")
    parser.add_argument("--redis-cli", default="")
    parser.add_argument("--no-import", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    redis_cli = find_redis_cli(chosen.redis_cli)
    scenes = []
    with open_lab(chosen.binary) as lab:
        print(describe(lab.binary.version.title, redis_cli).line(), flush=True)
        stand = Stand(lab, lab.binary.path, redis_cli)
        for keys, size in ((chosen.strings, 100), (chosen.blobs, 2048)):
            for rate in chosen.rates if keys else []:
                scene = Scene(f"{keys:,} x {size} B, {f'{rate:,} writes/s' if rate else 'idle'}", keys, size, rate)
                run(stand, scene, chosen.rounds, with_import=not chosen.no_import)
                scenes.append(scene)
                for failure in scene.failed:
                    print(f"failed: {scene.title}: {failure}", flush=True)
    table = markdown if chosen.markdown else plain
    heads, speed, wait_heads, waits = _rows(scenes)
    print("", "keys a second, median (min-max)", table(heads, speed), "", table(wait_heads, waits), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(scene) for scene in scenes], indent=1))
    sys.exit(1 if any(scene.failed for scene in scenes) else 0)


if __name__ == "__main__":
    os.environ.pop("REDISCLI_AUTH", None)
    main()
