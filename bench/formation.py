"""From the first server's start until the cluster is usable: slotwright, forming by MEET, and redis-cli.

    python bench/formation.py --nodes 6 30 100 --rounds 5 --json formation.json

One run measures all three sides, interleaved: each round forms every size once by each side, and the side that begins
changes from round to round. All sides get the same server binary, the same hosts, the same settings, and ports from the
system; the same code (bench/judge.py) says for all of them whether the cluster is usable.

    slotwright   `slotwright up --yes --json` as a whole process: the map of the cluster is written before the servers
                 start. "usable" is what it reports, its proof included; the judge must then agree at its first look.
    MEET         bench/meet.py: the servers are started, then introduced to each other.
    redis-cli    the servers are started, then `redis-cli --cluster create`, then waiting until it is usable.

Linux only: the hosts are addresses of 127/8, and start times are read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from environment import describe, find_redis_cli
from figures import markdown, plain, shown
from lab import open_lab
from sides import SIDES, Course, Round

_NAMES = {"slotwright": "slotwright", "meet": "MEET prototype", "redis-cli": "redis-cli"}


@dataclass(frozen=True, slots=True)
class Run:
    """All rounds of one run."""

    sizes: Sequence[int]
    rounds: int
    sides: Sequence[str]
    made: Sequence[Round]

    def usable(self, side: str, nodes: int) -> dict[int, float]:
        """Round -> seconds, without the rounds that failed."""
        return {
            each.number: each.usable_s
            for each in self.made
            if each.side == side and each.nodes == nodes and each.usable_s is not None
        }

    def part(self, side: str, nodes: int, name: str) -> list[float]:
        """One of the other times."""
        return [each.parts[name] for each in self.made if (each.side, each.nodes) == (side, nodes) and not each.fault]


@dataclass(frozen=True, slots=True)
class Table:
    """A title, a header and rows."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def measure(course: Course, sizes: Sequence[int], rounds: int, sides: Sequence[str]) -> list[Round]:
    """All rounds, interleaved; told on stderr while they are made."""
    made: list[Round] = []
    for number in range(rounds):
        turn = number % len(sides)
        for nodes in sizes:
            for side in [*sides[turn:], *sides[:turn]]:
                found = asyncio.run(course.run(side, nodes, number))
                made.append(found)
                told = found.fault if found.usable_s is None else f"{found.usable_s:.2f} s"
                print(f"  round {number + 1} of {rounds}  {nodes:>3} nodes  {side:<10}  {told}", file=sys.stderr)
    return made


def tables(run: Run) -> list[Table]:
    """Times, ratios, and the other times."""
    return [
        Table(
            "until usable, from the first server's start, in seconds: median (min-max)",
            ("nodes", *(_NAMES[side] for side in run.sides)),
            [
                (str(nodes), *(shown(list(run.usable(side, nodes).values()), rounds=run.rounds) for side in run.sides))
                for nodes in run.sizes
            ],
        ),
        Table(
            "how many times slotwright's time, round by round: median (min-max)",
            ("nodes", *(_NAMES[side] for side in run.sides if side != "slotwright")),
            [
                (str(nodes), *(shown(_ratios(run, side, nodes)) for side in run.sides if side != "slotwright"))
                for nodes in run.sizes
            ],
        ),
        Table(
            "other times, in seconds: median (min-max)",
            ("nodes", "slotwright up, the whole command", "until the judge agreed", "create alone"),
            [
                (
                    str(nodes),
                    shown(run.part("slotwright", nodes, "command")),
                    shown(run.part("slotwright", nodes, "judged")),
                    shown(run.part("redis-cli", nodes, "create")),
                )
                for nodes in run.sizes
            ],
        ),
    ]


def _ratios(run: Run, side: str, nodes: int) -> list[float]:
    ours, theirs = run.usable("slotwright", nodes), run.usable(side, nodes)
    return [theirs[number] / ours[number] for number in ours if number in theirs]


def remarks(run: Run) -> list[str]:
    """What a table can't say: failures, and where the judge did not agree at once."""
    told = [
        f"failed: {each.nodes} nodes, {each.side}, round {each.number + 1}: {each.fault}"
        for each in run.made
        if each.fault
    ]
    late = sum(each.is_late for each in run.made)
    if late:
        told.append(f"in {late} rounds the judge did not agree with slotwright at its first look: its time counts")
    return told


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
    run = Run(options.nodes, options.rounds, sides, made)
    print(environment.line())
    for table in tables(run):
        print(f"\n{table.title}\n")
        print((markdown if options.markdown else plain)(table.header, table.rows))
    for remark in remarks(run):
        print(f"\n{remark}")
    if options.json:
        content = {"environment": environment.fields(), "rounds": [asdict(each) for each in made]}
        Path(options.json).write_text(json.dumps(content, indent=1) + "\n")
    return int(any(each.fault and each.side == "slotwright" for each in made))


if __name__ == "__main__":
    sys.exit(main())
