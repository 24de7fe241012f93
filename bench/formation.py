"""From the first server's start until the cluster is usable: slotwright, forming by MEET, and redis-cli.

    python bench/formation.py --nodes 6 30 100 --rounds 5 --json formation.json

One run measures all three sides, interleaved: each round forms every size once by each side, and the side that begins
changes from round to round. All sides get the same server binary, the same hosts, the same settings, and ports from the
system; the same code (bench/judge.py) says for all of them whether the cluster is usable.

    slotwright   `slotwright up --yes --json` as a whole process: the map of the cluster is written before the servers
                 start. "usable" is what it reports, its proof included; the judge must then agree.
    MEET         bench/meet.py: the servers are started, then introduced to each other.
    redis-cli    the servers are started, then `redis-cli --cluster create`, then waiting until it is usable.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil
from environment import describe, find_redis_cli
from figures import markdown, plain, shown
from judge import Judge, open_roster, shards_of
from lab import REPLICAS, Lab, Servers, child_environment, end_below, open_lab, slotwright_command
from meet import Meet

from slotwright.errors import ServerError
from slotwright.ports import ReplyError

SIDES = ("slotwright", "meet", "redis-cli")
NODE_TIMEOUT = ("cluster-node-timeout", "15000")
DELAY = ("repl-diskless-sync-delay", "5")


@dataclass(frozen=True, slots=True)
class Round:
    """One formation. Seconds; ``usable_s`` counts from the first server's start and is None when it failed.

    ``parts`` are times of its own by name: "command" (the whole process), "judged" (until the judge agreed) for
    slotwright; "create" (redis-cli alone) and "answered" (until all servers did) for the others.
    """

    side: str
    nodes: int
    number: int
    usable_s: float | None
    fault: str = ""
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Course:
    """What all rounds of a run share."""

    lab: Lab
    redis_cli: str
    timeout_s: float

    async def run(self, side: str, nodes: int, number: int) -> Round:
        """One formation, judged, and taken away again."""
        folder = self.lab.scratch(f"{number}-{nodes}-{side}")
        form = {"slotwright": self._slotwright, "meet": self._meet, "redis-cli": self._redis_cli}[side]
        try:
            usable_s, fault, parts = await form(nodes, folder)
        except (ServerError, ReplyError, OSError, TimeoutError) as error:
            usable_s, fault, parts = None, str(error) or type(error).__name__, {}
        finally:
            end_below(folder)
        return Round(side, nodes, number, None if fault else usable_s, fault, parts)

    async def _slotwright(self, nodes: int, folder: Path) -> tuple[float | None, str, dict[str, float]]:
        addresses = self.lab.addresses(nodes)
        file = self.lab.topology("bench", addresses, folder)
        began = time.monotonic()
        process = subprocess.Popen(
            [*slotwright_command(), "up", str(file), "--yes", "--json"],
            cwd=folder,
            env=child_environment(folder / "state"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            out, _ = await asyncio.to_thread(process.communicate, timeout=self.timeout_s)
        except subprocess.TimeoutExpired:
            return None, f"slotwright did not end within {self.timeout_s:.0f} s", {}
        finally:
            _end(process)
        parts = {"command": time.monotonic() - began}
        answer = json.loads(out or b"{}")
        if process.returncode != 0:
            return None, str(answer.get("error", answer))[:300], parts
        async with open_roster() as roster:
            judge = Judge(addresses, shards_of(addresses, REPLICAS), REPLICAS, roster)
            fault = await judge.fault()
            parts["agreed at once"] = float(not fault)
            if fault:
                fault = await judge.await_usable(time.monotonic() + self.timeout_s)
            parts["judged"] = time.time() - _first_start(folder)
        # Where the judge did not agree at its first look, its own time counts.
        return (answer["usable_s"] if parts["agreed at once"] else parts["judged"]), fault, parts

    async def _meet(self, nodes: int, folder: Path) -> tuple[float | None, str, dict[str, float]]:
        addresses = self.lab.addresses(nodes)
        servers = Servers(self.lab, addresses, folder)
        servers.prepare()
        try:
            async with open_roster() as roster:
                shards = shards_of(addresses, REPLICAS)
                judge = Judge(addresses, shards, REPLICAS, roster)
                deadline = time.monotonic() + self.timeout_s
                meet = Meet(addresses, shards, roster, deadline)
                began = servers.start(meet.overrides())
                fault = await judge.await_answers(deadline)
                parts = {"answered": time.monotonic() - began}
                fault = fault or await meet.form() or await judge.await_usable(deadline)
                fault = fault or await meet.restore((NODE_TIMEOUT, DELAY)) or await judge.await_usable(deadline)
                return time.monotonic() - began, fault, parts
        finally:
            servers.end()

    async def _redis_cli(self, nodes: int, folder: Path) -> tuple[float | None, str, dict[str, float]]:
        addresses = self.lab.addresses(nodes)
        servers = Servers(self.lab, addresses, folder)
        servers.prepare()
        try:
            async with open_roster() as roster:
                judge = Judge(addresses, shards_of(addresses, REPLICAS), REPLICAS, roster)
                deadline = time.monotonic() + self.timeout_s
                began = servers.start()
                fault = await judge.await_answers(deadline)
                parts = {"answered": time.monotonic() - began}
                if not fault:
                    started = time.monotonic()
                    fault = await self._create([str(address) for address in addresses], folder, deadline)
                    parts["create"] = time.monotonic() - started
                fault = fault or await judge.await_usable(deadline)
                return time.monotonic() - began, fault, parts
        finally:
            servers.end()

    async def _create(self, addresses: Sequence[str], folder: Path, deadline: float) -> str:
        options = ["--cluster-replicas", str(REPLICAS), "--cluster-yes"]
        process = subprocess.Popen(
            [self.redis_cli, "--cluster", "create", *addresses, *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            out, _ = await asyncio.to_thread(process.communicate, timeout=deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            return f"redis-cli --cluster create did not end within {self.timeout_s:.0f} s"
        finally:
            _end(process)
        last = (out.decode(errors="replace").strip().splitlines() or [""])[-1]
        return f"redis-cli --cluster create: exit {process.returncode}, {last}" if process.returncode else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """A command that still runs gets its Ctrl-C, and a little time, before it is ended."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait()


def _first_start(folder: Path) -> float:
    """When the first server below ``folder`` started, by the system's clock (to 10 ms)."""
    started = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(folder) and process.pid != os.getpid():
                started.append(process.create_time())
    return min(started)


def measure(course: Course, sizes: Sequence[int], rounds: int, sides: Sequence[str]) -> list[Round]:
    """All rounds, interleaved; told on stderr while they are made."""
    made: list[Round] = []
    for number in range(rounds):
        turn = number % len(sides)
        for nodes in sizes:
            for side in [*sides[turn:], *sides[:turn]]:
                result = asyncio.run(course.run(side, nodes, number))
                made.append(result)
                told = result.fault if result.usable_s is None else f"{result.usable_s:.2f} s"
                print(f"  round {number + 1} of {rounds}  {nodes:>3} nodes  {side:<10}  {told}", file=sys.stderr)
    return made


def tables(made: Sequence[Round], sizes: Sequence[int], rounds: int, sides: Sequence[str]) -> list[Table]:
    """Times, ratios, and what they are made of."""
    times = Table("until usable, seconds: median (min-max)", ("nodes", *(_NAMES[side] for side in sides)), [])
    ratios = Table("how many times slotwright's, round by round: median (min-max)", ("nodes", *_NAMES_OF_OTHERS), [])
    parts = Table(
        "what else was timed, seconds: median (min-max)",
        ("nodes", "slotwright, whole command", "slotwright, until the judge agreed", "redis-cli create alone"),
        [],
    )
    for nodes in sizes:
        mine = {(each.side, each.number): each for each in made if each.nodes == nodes}
        usable = {key: each.usable_s for key, each in mine.items() if each.usable_s is not None}
        times.rows.append(
            (
                str(nodes),
                *(shown([value for key, value in usable.items() if key[0] == side], 2, rounds) for side in sides),
            )
        )
        base = {number: value for (side, number), value in usable.items() if side == "slotwright"}
        pairs = [
            [value / base[number] for (side, number), value in usable.items() if side == other and number in base]
            for other in SIDES[1:]
        ]
        ratios.rows.append((str(nodes), *(shown(pair) for pair in pairs)))
        wanted = (("slotwright", "command"), ("slotwright", "judged"), ("redis-cli", "create"))
        parts.rows.append((str(nodes), *(shown(_part(mine.values(), side, name)) for side, name in wanted)))
    return [times, ratios, parts]


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a header and rows."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


_NAMES = {"slotwright": "slotwright (map written before)", "meet": "MEET prototype", "redis-cli": "redis-cli create"}
_NAMES_OF_OTHERS = tuple(_NAMES[side] for side in SIDES[1:])


def _part(rounds: object, side: str, name: str) -> list[float]:
    assert not isinstance(rounds, str)
    return [each.parts[name] for each in rounds if each.side == side and name in each.parts]  # type: ignore[attr-defined]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time from the first server's start until the cluster is usable.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[6, 30, 100], help="sizes; 6 30 100 unless told")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; 5 unless told")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES), help="which sides; all unless told")
    parser.add_argument("--binary", default="", help="server for all sides; the embedded Valkey unless told")
    parser.add_argument("--redis-cli", default="", help="redis-cli; the one on the PATH unless told")
    parser.add_argument("--timeout", type=float, default=300, help="seconds until a formation counts as failed")
    parser.add_argument("--json", metavar="FILE", help="write every round there")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")
    return parser.parse_args()


def main() -> int:
    """Measure and print. Exit code 1 when a formation by slotwright failed."""
    options = _options()
    redis_cli = find_redis_cli(options.redis_cli)
    sides = [side for side in SIDES if side in options.sides and (side != "redis-cli" or redis_cli)]
    try:
        with open_lab(options.binary) as lab:
            environment = describe(lab.binary.version.title, redis_cli)
            print(environment.line(), file=sys.stderr)
            made = measure(Course(lab, redis_cli, options.timeout), options.nodes, options.rounds, sides)
    except KeyboardInterrupt:
        print("interrupted: all servers of the measurement were ended", file=sys.stderr)
        return 130
    print(environment.line())
    for table in tables(made, options.nodes, options.rounds, sides):
        print(f"\n{table.title}\n")
        print((markdown if options.markdown else plain)(table.header, table.rows))
    for each in made:
        if each.fault:
            print(f"\nfailed: {each.nodes} nodes, {each.side}, round {each.number + 1}: {each.fault}")
    late = [each for each in made if each.parts.get("agreed at once") == 0.0]
    if late:
        print(f"\nthe judge did not agree at its first look in {len(late)} rounds of slotwright; its own time counts")
    if options.json:
        content = {"environment": environment.fields(), "rounds": [asdict(each) for each in made]}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n")
    return int(any(each.fault and each.side == "slotwright" for each in made))


if __name__ == "__main__":
    sys.exit(main())
