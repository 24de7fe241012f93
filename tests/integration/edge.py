"""Every verb as a command line, a world of its own for each run, and what no run may do, whatever the situation."""

from __future__ import annotations

import json
import os
import shutil
import signal
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tests.engines import TestEngine
from tests.extent import share
from tests.integration.conftest import USUAL, Lab, Outcome, Start

LINES: dict[str, tuple[tuple[str, ...], ...]] = {
    "demo": (("demo", "--from", "/nowhere"),),
    "init": (("init", "new.yaml"),),
    "preflight": (("preflight", "{file}"),),
    "plan": (("plan", "{file}"), ("plan", "{file}", "-o", "change.plan")),
    "up": (("up", "{file}", "--yes"),),
    "adopt": (("adopt", "{address}", "-o", "new.yaml", "--name", "other"), ("adopt", "--forget", "cache")),
    "status": (("status", "{file}"), ("status", "{address}")),
    "check": (("check", "cache"), ("check", "{address}")),
    "repair": (("repair", "{file}", "--plan"), ("repair", "{address}", "--yes")),
    "resume": (("resume", "cache", "--yes"),),
    "abort": (("abort", "cache", "--yes"), ("abort", "{file}", "--plan")),
    "failover": (("failover", "{address}", "--yes"), ("failover", "--restore-plan", "{file}", "--yes")),
    "watch": (("watch", "cache"),),
    "client": (("client", "redis-py", "cache"), ("client", "test", "cache"), ("client", "test", "{address}")),
    "slot": (("slot", "a key", "--target", "cache"),),
    "logs": (("logs", "{address}"),),
    "start": (("start", "cache"),),
    "stop": (("stop", "{file}", "--yes"),),
    "destroy": (("destroy", "cache", "--yes"),),
    "list": (("list",),),
    "drill": (("drill", "cache", "--yes"),),
    "archive": (("archive", "{file}", "-o", "archived"),),
    "rebuild": (("rebuild", "{file}", "--yes"),),
    "migrate": (
        ("migrate", "{address}", "{file}", "--plan"),
        ("migrate", "{address}", "{file}", "--yes"),
        ("migrate", "--status"),
        ("migrate", "--resume"),
        ("migrate", "--abort", "--yes"),
    ),
    "jobs": (
        ("jobs",),
        ("jobs", "list", "--all"),
        ("jobs", "status"),
        ("jobs", "pause"),
        ("jobs", "resume"),
        ("jobs", "abort", "--yes"),
        ("jobs", "pace", "10mb"),
    ),
    "compare": (("compare", "{address}", "cache"), ("compare", "127.0.0.1:1", "{address}")),
    "exec": (("exec", "{file}", "--", "uptime"),),
    "bundle": (("bundle", "{file}", "-o", "."),),
    "completion": (("completion", "bash"),),
}
"""Every line ends by itself, without the network, without a server that is left running, and without a change of this
machine (``preflight --fix`` has none): the folder of ``bundle`` holds something, the demo has no server program, and at
the nodes' places is somebody else."""

ENDLESS = {"watch"}
INTERRUPTED = {"watch": 5.0, "repair": 15.0}
"""Ctrl-C after so many seconds: a repair waits for a minute for nodes that may still come."""

HEAVY = ("plan", "up", "start", "rebuild", "preflight")
"""These start a server, to rehearse its configuration or to look at the kernel: more than all others together."""
WITHOUT_JSON = {"completion"}
WITHOUT_SERVERS = {"demo", "init", "logs", "list", "jobs", "exec", "bundle", "completion"}
"""What the servers say is nothing to these."""

CODES = {0, 1, 2, 3, 4, 5, 130}
NEVER_SAID = ("Traceback", "Exception ignored", "never retrieved", "never awaited", "Unclosed", "ResourceWarning")


@dataclass(frozen=True)
class World:
    """A cluster that was up once, and whose nodes are gone: its folder, to be copied, and where its nodes were."""

    lab: Lab
    folder: Path
    addresses: tuple[tuple[str, int], ...]

    def copy(self, name: str) -> Lab:
        """A world of its own for one run, at another path."""
        folder = self.lab.folder / name
        shutil.copytree(self.folder, folder)
        for path in [*folder.rglob("record.json"), *folder.rglob("server.conf")]:
            path.write_text(path.read_text().replace(str(self.folder), str(folder)))
        environment = self.lab.environment | {"SLOTWRIGHT_STATE": str(folder / "state"), "HOME": str(folder)}
        return replace(self.lab, folder=folder, environment=environment)


def make_world(lab: Lab, engine: TestEngine) -> World:
    """Three primaries, brought up and killed."""
    folder = lab.folder / "world"
    folder.mkdir()
    inner = replace(lab, folder=folder, environment=lab.environment | {"SLOTWRIGHT_STATE": f"{folder}/state"})
    port = lab.free_port()
    inner.topology(engine, ports=(port,), replicas=0)
    made = inner.run("up", "--yes")
    assert made.code == 0, made
    for pid in inner.processes().values():
        os.kill(pid, signal.SIGKILL)
    inner.wait(lambda: not inner.servers(), "the nodes to be gone")
    return World(lab, folder, tuple((host, port) for host in lab.hosts))


Prepare = Callable[[Lab], None]


@dataclass(frozen=True)
class Run:
    """One command line in one situation, and what came of it."""

    words: tuple[str, ...]
    outcome: Outcome
    lab: Lab

    @property
    def error(self) -> Mapping[str, object]:
        return json.loads(self.outcome.out)["error"]


def run_all(
    world: World,
    situation: str,
    prepare: Prepare = lambda lab: None,
    start: Start = USUAL,
    env: Mapping[str, str] | None = None,
    *,
    verbs: Collection[str] = LINES,
    file: str = "cluster.yaml",
    is_cold: bool = False,
) -> list[Run]:
    """Every verb in a prepared copy of the world, side by side. Half of the lines are for people and half for programs;
    which ones differs from situation to situation. Of the heavy verbs there is one in each, in turns, unless
    SLOTWRIGHT_TEST_MATRIX=whole. A reduced run has a share of the lines in each
    situation."""
    host, port = world.addresses[0]
    turn, is_whole = zlib.crc32(situation.encode()), os.environ.get("SLOTWRIGHT_TEST_MATRIX") == "whole"
    lines = [line for verb in verbs for line in LINES[verb]]
    filled = [tuple(word.format(file=file, address=f"{host}:{port}") for word in line) for line in lines]
    filled = [line for line in filled if is_whole or line[0] not in HEAVY or line[0] == HEAVY[turn % len(HEAVY)]]
    parity = turn % 2

    def run(job: tuple[int, tuple[str, ...]]) -> Run:
        number, words = job
        if number % 2 == parity and words[0] not in WITHOUT_JSON:
            words = _before_dashes(words, "--json")
        lab = world.copy(f"{situation}-{number}")
        prepare(lab)
        how = replace(start, interrupt_after_s=INTERRUPTED[words[0]]) if words[0] in INTERRUPTED else start
        return Run(words, lab.run(*words, env=dict(env or {}), start=how, timeout=100, is_cold=is_cold), lab)

    with ThreadPoolExecutor(12) as pool:
        return list(pool.map(run, share([*enumerate(filled)], turn)))


def _before_dashes(line: tuple[str, ...], option: str) -> tuple[str, ...]:
    at = line.index("--") if "--" in line else len(line)
    return (*line[:at], option, *line[at:])


def faults(runs: Sequence[Run], *, is_stdout_read: bool = True, bears: Sequence[str] = ()) -> list[str]:
    """What is wrong with how they ended; ``bears`` are error codes that are right here and nowhere else."""
    return [
        f"{' '.join(run.words)}: {fault}\n  code {run.outcome.code}\n  out {run.outcome.out[-800:]}\n"
        f"  err {run.outcome.err[-2500:]}"
        for run in runs
        for fault in _faults(run, is_stdout_read, {*bears})
    ]


def _faults(run: Run, is_stdout_read: bool, bears: set[str]) -> Iterator[str]:
    outcome, is_json = run.outcome, "--json" in run.words
    for words in NEVER_SAID:
        if words in outcome.out + outcome.err:
            yield f"says {words}"
    if outcome.code not in CODES:
        yield "its exit code is in no document"
    if is_json and is_stdout_read:
        yield from _faults_of_json(run, bears)
    elif is_stdout_read and outcome.code not in (0, 3) and not outcome.out:
        if not outcome.err.startswith("error: ") and "\nerror: " not in outcome.err:
            yield "says no error"
        elif "  next   " not in outcome.err and "\n  " not in outcome.err and "not confirmed" not in outcome.err:
            yield "says nothing of what to do next"
        if "in a way that it does not know" in outcome.err and "internal-error" not in bears:
            yield "met what nothing was prepared for"


def _faults_of_json(run: Run, bears: set[str]) -> Iterator[str]:
    outcome = run.outcome
    try:
        objects = _objects(outcome.out, is_lines=run.words[0] in ENDLESS)
    except ValueError:
        yield "stdout is no JSON"
        return
    if not objects:
        if run.words[0] not in ENDLESS or outcome.code:
            yield "stdout is empty"
        return
    error = objects[-1].get("error")
    if error is None:
        # An answer: some have another exit code than 0 and 3 (steps of a repair that failed).
        return
    if not error["what"] or not error["code"]:
        yield "the error says nothing"
    if not any(error.get(name) for name in ("hint", "problems", "findings", "refusals")):
        yield "the error says nothing of what to do next"
    if error["code"] == "internal-error" and "internal-error" not in bears:
        yield "met what nothing was prepared for"


def _objects(out: str, *, is_lines: bool) -> list[dict]:
    texts = out.splitlines() if is_lines else [out] if out.strip() else []
    found = [json.loads(text) for text in texts]
    if not all(isinstance(each, dict) for each in found):
        raise ValueError("no object")
    return found
