"""The end of the origin story: the old single instance moves into the cluster under load, its data and its clients.

One story, told in order: the move, then a Spring Boot service through a failover; then moves that meet an accident.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from slotwright.cluster.slots import SlotSet, key_in
from slotwright.features.clients.configs.kinds import kind_of
from tests.clients.builds import Missing, build
from tests.clients.client_processes import ClientProcesses
from tests.clients.judge import Event, acknowledged, suffered
from tests.lab.damaged_cluster import QUICK, DamagedCluster
from tests.lab.machines import Lab
from tests.lab.old_server import PASSWORD, STILL, WORD, OldServer, old_server
from tests.lab.operator import Operator, Outcome, eventually
from tests.lab.secret_scanner import SecretScanner, files_below, files_on, journal_lines
from tests.migration.ledger import Running, writing
from tests.migration.writes import Setting

pytestmark = pytest.mark.timeout(900)

FEW = 20_000
"""For moves that meet with an accident; as many megabytes a second as make their copy last some seconds."""
SLOWLY = ("--pace", "0.5")
SHARDS = range(3)
PERIOD_MS = 40
PATIENCE_S = 120.0
SETTLES_S = 60.0
AWAY_S = 25.0
"""SSH gives a host up after three unanswered questions, one each 3 s."""
LOAD = 300.0
"""Writes a second."""


@dataclass
class Move:
    """A source, a target and what was said of the move between them."""

    operator: Operator
    source: OldServer
    folder: Path
    file: str = "cluster.yaml"
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def setting(self) -> Setting:
        """For a ledger that works here."""
        seeds = [f"{host.address}:{port}" for port in (6379, 6380) for host in self.operator.lab.hosts.values()]
        password = self.operator.environment["CACHE_PASSWORD"]
        return Setting(self.source.address, PASSWORD, seeds, password, [6, 2], "redis", str(self.folder), rate=LOAD)

    def run(self, *words: str) -> Outcome:
        return self.operator.run("migrate", *words, "--json", timeout_s=600)

    def go(self, *words: str) -> Outcome:
        """All of it in one go."""
        return self.run(self.source.address, self.file, "--cutover", "--yes", *words)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A process of its own, whose pipes are read by :meth:`end` alone: what it says must fit into them."""
        # Not with --json, which tells of each step.
        process = self.operator.begin("migrate", self.source.address, self.file, "--yes", *words)
        self.started.append(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> Outcome:
        out, err = process.communicate(timeout=PATIENCE_S * 2)
        return Outcome(process.returncode, out, err, 0.0)

    def status(self) -> dict[str, Any]:
        """As its process told last, read directly: for many looks."""
        for path in self.operator.state.glob("migrations/*/status.json"):
            with suppress(ValueError, FileNotFoundError):
                found: dict[str, Any] = json.loads(path.read_text())
                return found
        return {"words": "", "keys": 0}

    def wait_for(self, process: subprocess.Popen[str], condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert process.poll() is None, f"{what}: {self.end(process).text}"
            assert time.monotonic() < deadline, f"waited for {what}: {self.status()}"
            time.sleep(0.02)

    def wait_until_copying(self, process: subprocess.Popen[str], keys: int) -> None:
        """Until that many keys were copied, and not all of them."""
        self.wait_for(process, lambda: self.status()["keys"] >= keys, f"{keys} keys")
        assert "copying" in self.status()["words"], self.status()

    def wait_until_ready(self, process: subprocess.Popen[str]) -> None:
        self.wait_for(process, lambda: self.status()["words"] == "ready", "its being ready")

    def has_moved(self, done: Outcome) -> dict[str, Any]:
        """Every key is equal, and the source is read-only."""
        found = done.succeeded().json
        assert found["phase"] == "moved", found
        assert found["ok"] and found["comparison"]["equal"], found["comparison"]["examples"]
        assert found["comparison"]["keys"]["different"] == found["comparison"]["keys"]["not-comparable"] == 0
        assert found["comparison"]["keys"]["equal"] > 0
        assert found["cutover"]["wrong"] == []
        assert self.source.is_read_only()
        return found

    def compare(self) -> Outcome:
        return self.operator.run("compare", self.source.address, self.file, "--json", timeout_s=300)


def is_whole(ledger: Running) -> dict[str, Any]:
    """The service carried on in the cluster, and each acknowledged write is there exactly once."""
    eventually(lambda: ledger.told["on_target"] > 200, "writes on the target", PATIENCE_S)
    told = ledger.finish()
    assert told["wrong"] == [], told
    return told


@pytest.fixture(scope="module")
def damaged(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> DamagedCluster:
    """The cluster of three hosts, empty."""
    operator = Operator(lab, tmp_path_factory.mktemp("move"))
    operator.environment["SOURCE_PASSWORD"] = PASSWORD
    damaged = DamagedCluster(operator)
    operator.topology(settings=QUICK)
    operator.up().succeeded()
    return damaged


def is_empty(damaged: DamagedCluster) -> bool:
    """Whether all primaries were found empty; where not, they are emptied for the next look."""
    primaries = [damaged.connect(primary, 30) for primary in damaged.primaries()]
    found = [primary.dbsize() for primary in primaries]
    for primary in primaries:
        primary.flushall()
    return not any(found)


@contextmanager
def moving(damaged: DamagedCluster, folder: Path, keys: int) -> Iterator[tuple[Move, Running]]:
    """A source with so many keys and a service on it, an empty target, and nothing known of other moves."""
    shutil.rmtree(damaged.operator.state / "migrations", ignore_errors=True)
    eventually(damaged.is_whole, "six sound nodes")
    eventually(lambda: is_empty(damaged), "an empty cluster", 60)
    with old_server(damaged.lab.control.address, folder / "old") as source:
        source.fill(keys)
        move = Move(damaged.operator, source, folder / "ledger")
        try:
            with writing(move.setting()) as ledger:
                eventually(lambda: ledger.told["acknowledged"] > 300, "the service's first writes")
                yield move, ledger
        finally:
            for process in move.started:
                if process.poll() is None:
                    process.kill()
                process.communicate()


# The story.


@dataclass
class Story:
    """What happened, and what was seen."""

    damaged: DamagedCluster
    plan: Outcome
    done: Outcome
    told: dict[str, Any]
    scanner: SecretScanner
    is_read_only: bool
    files: dict[str, list[str]]
    journals: dict[str, int]
    page: str


@pytest.fixture(scope="module")
def story(damaged: DamagedCluster, tmp_path_factory: pytest.TempPathFactory) -> Story:
    operator, scanner = damaged.operator, SecretScanner((WORD,))
    with moving(damaged, tmp_path_factory.mktemp("source"), STILL) as (move, ledger):
        plan = operator.run("migrate", move.source.address, "cluster.yaml", "--plan")
        with scanner.open():
            done = move.go("--html", "report.html")
        assert done.code == 0, done.text[-3000:]
        is_read_only = move.source.is_read_only()
        told = is_whole(ledger)
        hosts = damaged.lab.hosts.values()
        files = {host.name: files_on(host, (WORD,)) for host in hosts}
        files["control"] = files_below(operator.folder, (WORD,))
        journals = {host.name: journal_lines(host, (WORD,)) for host in hosts}
    page = (operator.folder / "report.html").read_text()
    return Story(damaged, plan, done, told, scanner, is_read_only, files, journals, page)


def test_every_key_is_equal_and_no_acknowledged_write_is_lost(story: Story) -> None:
    found = story.done.succeeded().json
    keys = found["comparison"]["keys"]
    print(f"moved in {found['took_s']:.1f} s: {keys}; {found['cutover']}; the service: {story.told['acknowledged']}")
    assert found["phase"] == "moved"
    assert found["ok"] and found["comparison"]["equal"]
    assert keys["equal"] >= STILL
    assert keys["different"] == keys["not-comparable"] == 0
    assert {"string", "hash", "list", "set", "zset", "stream"} <= found["comparison"]["types"].keys()
    assert story.told["wrong"] == [] and story.told["troubles"] == []
    assert story.told["acknowledged"] > story.told["on_target"] > 0


def test_the_plan_changes_nothing_and_finds_nothing_in_the_way(story: Story) -> None:
    assert story.plan.code == 0, story.plan.text
    assert "nothing was changed" in story.plan.out


def test_the_source_is_read_only_and_the_pause_is_told(story: Story) -> None:
    assert story.is_read_only
    cutover = story.done.json["cutover"]
    assert cutover["held_by"] == "CLIENT PAUSE WRITE"
    assert 0 < cutover["drained_s"] <= cutover["proved_s"] <= cutover["held_s"] < 10
    assert "moved" in story.page and "writes held" in story.page and "CLIENT PAUSE WRITE" in story.page


def test_nobody_saw_the_source_s_password(story: Story) -> None:
    assert story.scanner.rounds > 100
    assert story.scanner.seen == set()
    assert WORD not in story.done.text + story.plan.text + story.page
    assert {name: found for name, found in story.files.items() if found} == {}
    assert set(story.journals.values()) == {0}


def test_the_cluster_is_sound_afterwards(story: Story) -> None:
    eventually(story.damaged.is_whole, "six sound nodes")
    assert story.damaged.operator.check().succeeded().json["ok"]


# The service.


def test_a_spring_boot_service_carries_on_over_a_failover(story: Story, tmp_path: Path) -> None:
    """With exactly the generated configuration, and never started again."""
    damaged, operator = story.damaged, story.damaged.operator
    generated = tmp_path / "service"
    operator.run("client", "spring-boot", "-o", str(generated)).succeeded()
    try:
        program = build(kind_of("spring-boot", 3), generated, tmp_path / "build")
    except Missing as reason:
        pytest.skip(str(reason))
    status = operator.run("status", "--json").json
    slots = [node["slots"] for node in status["nodes"] if node["role"] == "primary"]
    environment = {
        "REDIS_PASSWORD": operator.environment["CACHE_PASSWORD"],
        "APP_TAGS": ",".join(key_in(SlotSet.parse(each), "app").decode() for each in slots),
        "APP_PREFIX": "spring",
        "APP_PERIOD_MS": str(PERIOD_MS),
    }
    with ClientProcesses() as processes:
        service = processes.start("spring-boot", program, environment, tmp_path / "log")

        def serves(since: float, at_least: int = 20) -> bool:
            assert service.is_alive, service.complaint
            return all(service.good(shard, since) >= at_least for shard in SHARDS)

        eventually(lambda: serves(0), "the service's first writes", PATIENCE_S)
        # A planned failover of the first shard: its replica takes over.
        began = time.time()
        first = damaged.at(next(node["address"] for node in status["nodes"] if node["slots"] == slots[0]))
        heir = damaged.replica_of(first)
        operator.run("failover", damaged.address(heir), "--yes", "--json").succeeded()
        done = time.time()
        eventually(lambda: serves(done), "the service after a failover", SETTLES_S)
        planned = Event("failover", 0, began, time.time())
        # The second shard's host loses its node.
        second = damaged.at(next(node["address"] for node in status["nodes"] if node["slots"] == slots[1]))
        replica = damaged.replica_of(second)
        died = time.time()
        damaged.take_down(second)
        damaged.wait_for_takeover(replica, (second,))
        taken = time.time()
        eventually(lambda: serves(taken), "the service after a primary's death", SETTLES_S)
        death = Event("death", 1, died, time.time())
        damaged.start(second)
    for event in (planned, death):
        found = suffered(service.operations, event)
        print(f"{event.name}: {found}")
        assert found.is_over, found
    print(f"the servers' own takeover: {taken - died:.1f} s")
    eventually(damaged.is_whole, "six sound nodes")
    # Replication is asynchronous: what the primary confirmed in its last moment may be gone, and nothing else.
    lost = [
        (shard, number)
        for (shard, number), at in acknowledged(service.operations).items()
        if not (shard == death.shard and died - 1 <= at <= died + 1)
        and damaged.client().get(f"spring:{{{environment['APP_TAGS'].split(',')[shard]}}}:{number}")
        != str(number).encode()
    ]
    assert lost == []


# Accidents.


def as_planned(damaged: DamagedCluster) -> None:
    """A primary on each host. A replica may be behind for a moment after that, and `failover` tells of it."""
    told = damaged.operator.run("failover", "--restore-plan", "cache", "--yes", "--json")
    assert told.code in (0, 3), told.text
    damaged.wait_until_whole()
    assert {node.port for node in damaged.primaries()} == {6379}


@pytest.fixture
def direct(damaged: DamagedCluster) -> str:
    """The same cluster's file, with its nodes reached straight."""
    return damaged.operator.write(f"{damaged.operator.file.read_text()}via: direct\n", "direct.yaml").name


@pytest.mark.parametrize("way", ["ssh", "direct"])
def test_a_host_that_is_cut_off_while_its_primary_takes_the_copy(
    damaged: DamagedCluster, tmp_path: Path, way: str, direct: str
) -> None:
    """Nothing ends the connection to it. The migration finds the new primary by itself, and ends equal."""
    as_planned(damaged)
    with moving(damaged, tmp_path, FEW) as (move, ledger):
        move.file = direct if way == "direct" else move.file
        process = move.begin("--cutover", "--html", "report.html", *SLOWLY)
        move.wait_until_copying(process, FEW // 10)
        with damaged.lab.hosts["b"].without_network():
            done = move.end(process)
            assert done.code == 0, done.text
            assert "moved" in done.out, done.text
            assert move.source.is_read_only()
            told = is_whole(ledger)
    print(f"{way}: the service: {told['acknowledged']} writes, {told['longest_s']:.1f} s the longest")
    eventually(damaged.is_whole, "six sound nodes")
    assert damaged.operator.check().code in (0, 3)


def test_a_host_that_is_cut_off_while_changes_are_followed(damaged: DamagedCluster, tmp_path: Path) -> None:
    as_planned(damaged)
    with moving(damaged, tmp_path, FEW) as (move, ledger):
        process = move.begin()
        move.wait_until_ready(process)
        cut = damaged.primaries()[0].host
        with damaged.lab.hosts[cut].without_network():
            before = move.status()["changes"]
            # More than what it had under way: it writes to the new primary.
            move.wait_for(process, lambda: move.status()["changes"] > before + 3000, "changes followed")
            move.wait_until_ready(process)
            asked = move.run("--cutover", "--yes")
            assert asked.code == 0, asked.text
            done = move.end(process)
            assert done.code == 0, done.text
            assert "moved" in done.out, done.text
            is_whole(ledger)
    eventually(damaged.is_whole, "six sound nodes")


def test_a_network_that_comes_back_is_used_again(damaged: DamagedCluster, tmp_path: Path) -> None:
    """All hosts were away for longer than SSH waits for them. The same process follows on and ends equal."""
    as_planned(damaged)
    with moving(damaged, tmp_path, FEW) as (move, ledger):
        process = move.begin()
        move.wait_until_ready(process)
        with ExitStack() as away:
            for host in damaged.lab.hosts.values():
                away.enter_context(host.without_network())
            begun = time.monotonic()
            move.wait_for(process, lambda: time.monotonic() - begun > AWAY_S, "the end of patience")
        eventually(damaged.is_whole, "six sound nodes")
        before = move.status()["changes"]
        move.wait_for(process, lambda: move.status()["changes"] > before + 1000, "changes followed")
        move.wait_until_ready(process)
        asked = move.run("--cutover", "--yes")
        assert asked.code == 0, asked.text
        done = move.end(process)
        assert done.code == 0, done.text
        assert "moved" in done.out, done.text
        is_whole(ledger)
    eventually(damaged.is_whole, "six sound nodes")


def test_killed_while_it_follows_it_goes_on_and_ends_equal(damaged: DamagedCluster, tmp_path: Path) -> None:
    as_planned(damaged)
    with moving(damaged, tmp_path, FEW) as (move, ledger):
        # 1 MB of history, which is the default, is written while nobody follows.
        move.source.client().execute_command("CONFIG", "SET", "repl-backlog-size", 64 * 1024 * 1024)
        process = move.begin()
        move.wait_until_ready(process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        more = ledger.told["acknowledged"] + 500
        eventually(lambda: ledger.told["acknowledged"] > more, "more writes")
        seen = move.run("--status").succeeded().json["migrations"]
        assert [(each["running"], each["phase"]) for each in seen] == [(False, "follow")]
        found = move.has_moved(move.run("--resume", "--cutover", "--yes"))
        assert found["copied_keys"] == 0, "the history was still there: nothing had to be copied again"
        is_whole(ledger)
    eventually(damaged.is_whole, "six sound nodes")
