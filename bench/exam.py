"""What a host's answer about its nodes costs: read by this process from /proc, and by one script of a shell.

    python bench/exam.py --nodes 6 60 200 --rounds 7

Both are ways of :meth:`slotwright.ports.Host.examine`: ``LocalHost`` for this machine, and ``RemoteHost``, which has
nothing but a shell, here the one of this machine, so that no network is in it. Clusters are made by `slotwright up` and
taken away again. The two ways take turns on the same nodes, and each runs once before.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from environment import describe
from figures import markdown, plain, shown
from lab import open_lab
from observe import NAME, Stand, standing

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local.folders import read_marker
from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor
from slotwright.hosts.facts.nodes import NodeQuery
from slotwright.ports import Host


def _queries(stand: Stand) -> tuple[str, list[NodeQuery]]:
    """The cluster's id, and its nodes with their folders."""
    folders = stand.folder / "state" / "clusters" / NAME / "nodes"
    queries = [NodeQuery(address, str(folders / f"{address.host}-{address.port}")) for address in stand.addresses]
    return read_marker(Path(queries[0].directory))["cluster_id"], queries


async def _took(host: Host, cluster_id: str, queries: Sequence[NodeQuery]) -> float:
    began = time.perf_counter()
    exam = await host.examine("", cluster_id, queries)
    took_s = time.perf_counter() - began
    if any(node.process is None for node in exam.nodes):
        raise SystemExit("the host does not see every node's process")
    return took_s


async def measure(stand: Stand, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round, by way."""
    cluster_id, queries = _queries(stand)
    shell = LocalShell("local")
    detached = DetachedSupervisor(shell, NAME, "nobody")
    ways: dict[str, Host] = {"process": LocalHost(), "shell": RemoteHost(shell, "", detached, detached)}
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(-1, rounds):
        for name in list(ways)[:: -1 if number % 2 else 1]:
            took_s = await _took(ways[name], cluster_id, queries)
            if number >= 0:
                times[name].append(took_s)
    return times


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The time of one host's exam, by this process and by a shell.")
    parser.add_argument("--nodes", type=int, nargs="+", default=[6, 60, 200], help="sizes; 6 60 200 unless told")
    parser.add_argument("--rounds", type=int, default=7, help="rounds; 7 unless told")
    parser.add_argument("--binary", default="", help="the server; the embedded Valkey unless told")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    options = parser.parse_args()
    rows = []
    with open_lab(options.binary) as lab:
        environment = describe(lab.binary.version.title, "")
        for nodes in options.nodes:
            with standing(lab, nodes, "", 600) as stand:
                times = asyncio.run(measure(stand, options.rounds))
                rows.append((f"{nodes} nodes", shown(times["process"], 3), shown(times["shell"], 3)))
                print(f"  {rows[-1]}", file=sys.stderr)
    print(environment.line(), f"\n\nseconds: median (min-max) of {options.rounds} rounds\n")
    print((markdown if options.markdown else plain)(("cluster", "in this process", "by a shell's script"), rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
