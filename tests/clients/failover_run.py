"""One run: a cluster, an application of every kind on it, a primary's death and a planned failover."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from redis import Redis

from slotwright.cluster.slots import SlotSet, key_in
from slotwright.features.clients.configs.kind import ClientKind
from slotwright.features.clients.configs.kinds import KINDS, kind_of
from tests.clients.builds import Missing, Program, build
from tests.clients.client_processes import Application, ClientProcesses
from tests.clients.judge import Event, Suffered, acknowledged, suffered
from tests.engines import TestEngine
from tests.integration.conftest import Lab

NODE_TIMEOUT_MS = 2000
PERIOD_MS = 40
SHARDS = range(3)
STARTS_S, HEALS_S, SETTLES_S, SETTLES_AGAIN_S = 40.0, 30.0, 1.5, 15.0
PLAIN_HEALS_S = 75.0
"""By their own defaults some wait for a minute."""


@dataclass(frozen=True)
class Contender:
    """An application of a run; ``boot`` counts for Spring Boot alone."""

    kind: ClientKind
    boot: int = 3

    @property
    def label(self) -> str:
        return f"{self.kind.name}-{self.boot}" if self.kind.name == "spring-boot" else self.kind.name


CONTENDERS = (
    *(Contender(kind) for kind in KINDS if kind.is_run),
    Contender(kind_of("spring-boot", 2), 2),
)


@dataclass(frozen=True)
class Fate:
    """What one application went through."""

    death: Suffered
    failover: Suffered
    acknowledged: int
    lost: int
    lost_before_death: int
    is_alive: bool
    complaint: str


@dataclass
class FailoverRun:
    """``missing`` says why a contender did not take part; ``takeover_s`` how long the shard had no primary."""

    engine: str
    takeover_s: float = 0.0
    fates: dict[str, Fate] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def run_failovers(lab: Lab, engine: TestEngine, *, is_plain: bool) -> FailoverRun:
    """``is_plain``: each client with its own defaults in place of what is generated."""
    lab.topology(engine, settings=f'{{cluster-node-timeout: "{NODE_TIMEOUT_MS}"}}')
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.out + up.err
    status = lab.run("status", "--json").json
    failover_run = FailoverRun(engine.label)
    programs = _build_all(lab, failover_run, status, is_plain=is_plain)
    with ClientProcesses() as processes:
        events = _live_through(lab, failover_run, processes, programs, status, is_plain=is_plain)
        alive = {each.name: each.is_alive for each in processes.applications}
    _judge(lab, failover_run, processes.applications, events, status, alive)
    return failover_run


def _build_all(lab: Lab, failover_run: FailoverRun, status: dict, *, is_plain: bool) -> dict[str, Program]:
    programs = {}
    for contender in CONTENDERS:
        generated = lab.folder / "generated" / contender.label
        words = ("--boot", str(contender.boot)) if contender.kind.name == "spring-boot" else ()
        made = lab.run("client", contender.kind.name, "-o", str(generated), *words)
        assert made.code == 0, made.err
        if is_plain and contender.kind.name == "spring-boot":
            (generated / contender.kind.file).write_text(_plain_spring(contender.boot, _seeds(status)))
        try:
            programs[contender.label] = build(contender.kind, generated, lab.folder / "build" / contender.label)
        except Missing as reason:
            failover_run.missing[contender.label] = str(reason)
    return programs


def _seeds(status: dict) -> list[str]:
    return [node["address"] for node in status["nodes"]]


def _plain_spring(boot: int, seeds: list[str]) -> str:
    """Seeds and password, and nothing else."""
    prefix = "spring.data.redis" if boot == 3 else "spring.redis"
    return f"{prefix}.cluster.nodes: {','.join(seeds)}\n{prefix}.password: ${{REDIS_PASSWORD}}\n"


def _live_through(
    lab: Lab,
    failover_run: FailoverRun,
    processes: ClientProcesses,
    programs: dict[str, Program],
    status: dict,
    *,
    is_plain: bool,
) -> tuple[Event, Event]:
    password = lab.password()
    assert password
    environment = {
        "REDIS_PASSWORD": password,
        "APP_TAGS": ",".join(_tags(status)),
        "APP_PERIOD_MS": str(PERIOD_MS),
        "APP_SEEDS": ",".join(_seeds(status)),
    } | ({"APP_DEFAULTS": "1"} if is_plain else {})
    (lab.folder / "logs").mkdir()
    for label, program in programs.items():
        # One after another: twelve that start at once keep each other from it.
        started = processes.start(label, program, environment | {"APP_PREFIX": label}, lab.folder / "logs" / label)
        _wait(lambda app=started: not app.is_alive or all(app.good(shard, 0) >= 5 for shard in SHARDS), STARTS_S)
    _wait(lambda: processes.serve(SHARDS, 0, 20), STARTS_S)

    victim = _primary(status, 0)
    heirs = [node["address"] for node in status["nodes"] if node["replica_of"] == victim["id"]]
    died = time.time()
    lab.kill(victim["address"])
    _wait(lambda: any(_is_primary(lab, heir, password) for heir in heirs), HEALS_S)
    failover_run.takeover_s = (taken := time.time()) - died
    _wait(lambda: processes.serve(SHARDS, taken, 10), PLAIN_HEALS_S if is_plain else HEALS_S)
    time.sleep(SETTLES_S)
    death = Event("death", 0, died, time.time())

    again = lab.run("up", "--yes")
    assert again.code == 0, again.out + again.err
    back = time.time()
    _wait(lambda: processes.serve(SHARDS, back, 10), SETTLES_AGAIN_S)
    now = lab.run("status", "--json").json
    second = _owner(now, _primary(status, 1)["slots"])
    replica = next(node for node in now["nodes"] if node["replica_of"] == second["id"])
    began = time.time()
    handed = lab.run("failover", replica["address"], "--yes")
    assert handed.code == 0, handed.out + handed.err
    done = time.time()
    _wait(lambda: processes.serve(SHARDS, done, 10), SETTLES_AGAIN_S)
    time.sleep(SETTLES_S)
    return death, Event("failover", 1, began, time.time())


def _judge(
    lab: Lab,
    failover_run: FailoverRun,
    applications: list[Application],
    events: tuple[Event, Event],
    status: dict,
    alive: dict[str, bool],
) -> None:
    tags = _tags(status)
    owners = [_owner(lab.run("status", "--json").json, _primary(status, shard)["slots"]) for shard in SHARDS]
    clients = [lab.client(owner["address"], lab.password()) for owner in owners]
    death, failover = events
    for each in applications:
        confirmed = acknowledged(each.operations)
        lost = _lost(clients, each.name, tags, confirmed)
        failover_run.fates[each.name] = Fate(
            suffered(each.operations, death),
            suffered(each.operations, failover),
            len(confirmed),
            len(lost),
            sum(shard == death.shard and confirmed[shard, n] <= death.began + 0.1 for shard, n in lost),
            alive[each.name],
            each.complaint,
        )


def _lost(
    clients: list[Redis], prefix: str, tags: list[str], confirmed: dict[tuple[int, int], float]
) -> list[tuple[int, int]]:
    lost = []
    for shard in SHARDS:
        numbers = [number for at, number in confirmed if at == shard]
        with clients[shard].pipeline(transaction=False) as pipeline:
            for number in numbers:
                pipeline.get(f"{prefix}:{{{tags[shard]}}}:{number}")
            found = pipeline.execute()
        lost += [(shard, n) for n, value in zip(numbers, found, strict=True) if value != str(n).encode()]
    return lost


def _primary(status: dict, shard: int) -> dict:
    return next(node for node in status["nodes"] if node["role"] == "primary" and node["shard"] == shard + 1)


def _owner(status: dict, slots: list[str]) -> dict:
    return next(node for node in status["nodes"] if node["role"] == "primary" and node["slots"] == slots)


def _tags(status: dict) -> list[str]:
    return [key_in(SlotSet.parse(_primary(status, shard)["slots"]), "app").decode() for shard in SHARDS]


def _is_primary(lab: Lab, address: str, password: str) -> bool:
    with lab.client(address, password) as client:
        return client.role()[0] == b"master"


def _wait(condition: Callable[[], bool], limit_s: float) -> bool:
    """Whether it came true in time: what did not is judged later."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False
