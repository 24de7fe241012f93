"""How long a full look takes: `slotwright check` as a whole process, beside `redis-cli --cluster check`.

    python bench/observe.py --nodes 6 60 200 --rounds 7

Clusters are made one size after the other, each by `slotwright up`, and taken away again by `slotwright destroy`. The
two commands take turns, and the one that begins changes from round to round. Each runs once before the measurement.

On the cluster of the size that ``--hurt`` names, the same is measured again while replicas are missing: one killed, two
hanging (SIGSTOP), ten hanging. A command that has not ended after ``--limit`` seconds is ended, and where that happens
before the measurement already, it is not tried again in that scene.

The two don't look at the same: slotwright reads INFO, the whole of CLUSTER NODES and every setting of the file from
each node, compares all views, and writes and reads a key on every shard.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import redis
from environment import describe, find_redis_cli
from figures import markdown, plain, shown
from lab import Lab, child_environment, open_lab, slotwright_command

from slotwright.cluster.topology import Address

NAME = "bench"
HANGING = (2, 10)
_FORMING_S = 600.0


@dataclass(frozen=True, slots=True)
class Took:
    """One run of a command: seconds of the clock, and of the processor. ``code`` None: it was ended at the limit."""

    wall_s: float
    cpu_s: float
    code: int | None


@dataclass(frozen=True, slots=True)
class Scene:
    """A cluster as it was, and what the commands took on it; ``code`` is the exit code that slotwright must give."""

    title: str
    nodes: int
    code: int
    ours: list[Took] = field(default_factory=list)
    theirs: list[Took] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Stand:
    """A cluster that stands in a folder of the lab."""

    folder: Path
    addresses: tuple[Address, ...]
    env: Mapping[str, str]
    redis_cli: str
    limit_s: float

    def measure(self, scene: Scene, rounds: int) -> Scene:
        """One run of each to warm up, then ``rounds`` in turns. Raises SystemExit for an unexpected exit code."""
        sides = [(scene.ours, (*slotwright_command(), "check", NAME))]
        if self.redis_cli:
            sides.append((scene.theirs, (self.redis_cli, "--cluster", "check", str(self.addresses[0]))))
        for number in range(-1, rounds):
            for times, command in sides if number % 2 else sides[::-1]:
                if times and times[0].code is None:
                    continue
                took = self._run(command)
                if times is scene.ours and took.code not in (scene.code, None):
                    raise SystemExit(f"{scene.title}: slotwright check: exit {took.code}, not {scene.code}")
                if number >= 0 or took.code is None:
                    times.append(took)
        print(f"  {scene.title}: {shown([took.wall_s for took in scene.ours])} s", file=sys.stderr)
        return scene

    def _run(self, command: Sequence[str]) -> Took:
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        code: int | None = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = process.wait(self.limit_s)
        wall_s = time.perf_counter() - began
        if code is None:
            process.kill()
            process.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Took(wall_s, cpu_s, code)

    def replicas(self, most: int) -> list[int]:
        """Process ids of up to ``most`` replicas, never that of the node that redis-cli is pointed at."""
        found = []
        for address in self.addresses[1:]:
            with redis.Redis(address.host, address.port) as client:
                info = client.info()
            if info["role"] == "slave":
                found.append(int(info["process_id"]))
        return found[:most]

    @contextlib.contextmanager
    def hanging(self, count: int) -> Iterator[None]:
        """``count`` replicas stopped, and going on afterwards."""
        pids = self.replicas(count)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def heal(self) -> None:
        """Until check finds nothing."""
        slotwright(self, "start", NAME, codes=(0, 3))
        until = time.monotonic() + 120
        while self._run((*slotwright_command(), "check", NAME)).code:
            if time.monotonic() > until:
                raise SystemExit("the cluster is not sound again after two minutes")
            time.sleep(1)


def slotwright(stand: Stand, *words: str, codes: Sequence[int] = (0,)) -> None:
    """A command that has to end with one of ``codes``."""
    done = subprocess.run(
        [*slotwright_command(), *words],
        cwd=stand.folder,
        env=stand.env,
        capture_output=True,
        text=True,
        timeout=_FORMING_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode not in codes:
        raise SystemExit(f"slotwright {' '.join(words)}: exit {done.returncode}\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def standing(lab: Lab, nodes: int, redis_cli: str, limit_s: float) -> Iterator[Stand]:
    """A sound cluster of ``nodes`` nodes, taken away at the end."""
    folder = lab.scratch(str(nodes))
    addresses = lab.addresses(nodes)
    file = lab.topology(NAME, addresses, folder)
    stand = Stand(folder, addresses, child_environment(folder / "state"), redis_cli, limit_s)
    slotwright(stand, "up", str(file), "--yes")
    yield stand
    slotwright(stand, "destroy", NAME, "--yes")


def measure(lab: Lab, options: argparse.Namespace, redis_cli: str) -> list[Scene]:
    """All scenes, told on stderr while they are measured."""
    scenes = []
    for nodes in options.nodes:
        with standing(lab, nodes, redis_cli, options.limit) as stand:
            scenes.append(stand.measure(Scene(f"{nodes} nodes", nodes, 0), options.rounds))
            if nodes == options.hurt:
                scenes += _hurt(stand, nodes, options.rounds)
    return scenes


def _hurt(stand: Stand, nodes: int, rounds: int) -> list[Scene]:
    scenes = []
    for pid in stand.replicas(1):
        os.kill(pid, signal.SIGKILL)
    scenes.append(stand.measure(Scene(f"{nodes} nodes, one dead", nodes, 3), rounds))
    stand.heal()
    for count in HANGING:
        if 2 * count <= nodes:
            with stand.hanging(count):
                scenes.append(stand.measure(Scene(f"{nodes} nodes, {count} hanging", nodes, 3), rounds))
            stand.heal()
    return scenes


def rows(scenes: Sequence[Scene], limit_s: float) -> list[tuple[str, ...]]:
    """The table."""
    return [
        (
            scene.title,
            _told(scene.ours, limit_s),
            shown([took.cpu_s for took in scene.ours if took.code is not None]),
            _told(scene.theirs, limit_s),
        )
        for scene in scenes
    ]


def _told(times: Sequence[Took], limit_s: float) -> str:
    ended = [took.wall_s for took in times if took.code is not None]
    left = len(times) - len(ended)
    if left and not ended:
        return f"not ended after {limit_s:g}"
    return shown(ended) + (f", {left} not ended after {limit_s:g}" if left else "")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The time that a full look at a cluster takes, as whole processes.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[6, 60, 200], help="sizes; 6 60 200 unless told")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; 7 unless told")
    parser.add_argument("--hurt", type=int, default=60, help="the size that is also measured with nodes missing; 60")
    parser.add_argument("--limit", type=float, default=20, help="seconds until a command is ended; 20 unless told")
    parser.add_argument("--binary", default="", help="the server; the embedded Valkey unless told")
    parser.add_argument("--redis-cli", default="", help="redis-cli; the one on the PATH unless told")
    parser.add_argument("--json", metavar="FILE", help="write every time there")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    return parser.parse_args()


def main() -> int:
    """Measure and print."""
    options = _options()
    redis_cli = find_redis_cli(options.redis_cli)
    try:
        with open_lab(options.binary) as lab:
            environment = describe(lab.binary.version.title, redis_cli)
            scenes = measure(lab, options, redis_cli)
    except KeyboardInterrupt:
        print("interrupted: all servers of the measurement were ended", file=sys.stderr)
        return 130
    print(environment.line(), f"\n\nwhole processes, in seconds: median (min-max) of {options.rounds} rounds\n")
    header = ("cluster", "slotwright check", "its processor time", "redis-cli --cluster check")
    print((markdown if options.markdown else plain)(header, rows(scenes, options.limit)))
    if options.json:
        content = {"environment": environment.fields(), "scenes": [asdict(scene) for scene in scenes]}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
