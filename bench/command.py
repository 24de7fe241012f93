"""What the command itself costs: whole processes, from start to exit, beside an empty Python and redis-cli.

    python bench/command.py --runs 10

A six-node cluster is made first, and taken away at the end. Every command runs once before the measurement, so that
byte code is cached as in a normal installation; then all of them take turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from environment import describe, find_redis_cli
from figures import markdown, plain, spread
from lab import child_environment, open_lab, slotwright_command

NODES = 6
NAME = "bench"


@dataclass(frozen=True, slots=True)
class Contender:
    """A command, its name in the table, and its times in milliseconds."""

    title: str
    command: Sequence[str]
    times_ms: list[float] = field(default_factory=list)


def contenders(seed: str, redis_cli: str) -> list[Contender]:
    """What is measured; ``seed`` is a node of the cluster."""
    slotwright = slotwright_command()
    found = [
        Contender("python -c pass", (sys.executable, "-c", "pass")),
        Contender("slotwright --help", (*slotwright, "--help")),
        Contender(f"slotwright status, {NODES} nodes", (*slotwright, "status", NAME)),
        Contender(f"slotwright check, {NODES} nodes", (*slotwright, "check", NAME)),
    ]
    if redis_cli:
        check = (redis_cli, "--cluster", "check", seed)
        found.append(Contender(f"redis-cli --cluster check, {NODES} nodes", check))
    return found


def measure(found: Sequence[Contender], runs: int, env: Mapping[str, str], folder: Path) -> None:
    """One run to warm up, then ``runs`` in turns."""
    for number in range(runs + 1):
        for contender in found:
            began = time.perf_counter()
            _run(contender.command, env, folder)
            took_ms = (time.perf_counter() - began) * 1000
            if number:
                contender.times_ms.append(took_ms)


def _run(command: Sequence[str], env: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _rows(found: Sequence[Contender]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for contender in found:
        times = spread(contender.times_ms)
        if times is not None:
            rows.append((contender.title, f"{times.low:.0f}", f"{times.middle:.0f}", f"{times.high:.0f}"))
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The cost of the command itself, as whole processes.")
    parser.add_argument("--runs", type=int, default=10, help="runs of each command; 10 unless told")
    parser.add_argument("--binary", default="", help="the server; the embedded Valkey unless told")
    parser.add_argument("--redis-cli", default="", help="redis-cli; the one on the PATH unless told")
    parser.add_argument("--json", metavar="FILE", help="write every time there")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args()
    redis_cli = find_redis_cli(options.redis_cli)
    try:
        with open_lab(options.binary) as lab:
            environment = describe(lab.binary.version.title, redis_cli)
            env = child_environment(lab.folder / "state")
            addresses = lab.addresses(NODES)
            file = lab.topology(NAME, addresses, lab.folder)
            _run([*slotwright_command(), "up", str(file), "--yes"], env, lab.folder)
            found = contenders(str(addresses[0]), redis_cli)
            measure(found, options.runs, env, lab.folder)
    except KeyboardInterrupt:
        print("interrupted: all servers of the measurement were ended", file=sys.stderr)
        return 130
    print(environment.line(), f"\n\nwhole processes, milliseconds, {options.runs} runs each\n")
    print((markdown if options.markdown else plain)(("command", "min", "median", "max"), _rows(found)))
    if options.json:
        times = {contender.title: contender.times_ms for contender in found}
        Path(options.json).write_text(json.dumps({"environment": environment.fields(), "ms": times}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
