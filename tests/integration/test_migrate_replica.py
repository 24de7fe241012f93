"""A source whose writes are taken by somebody else: cut over only while that one stands still."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest
from redis.exceptions import RedisError

from slotwright.server.info import parse_info
from tests.extent import is_reduced, share
from tests.integration.conftest import open_lab
from tests.migration.rig import PASSWORD, Move, Source, Target, engine, folder_of, make_source, make_target

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

OFTEN = ("--repl-ping-replica-period", "1")
"""Life signs of a primary that a test need not wait for; ten seconds unless set."""


@pytest.fixture(scope="module", params=share(["redis-6.2", "valkey-9.1"], 0))
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Target]:
    """A cluster of the oldest and one of the newest engine; the sources are of the same."""
    engine(request.param)
    with open_lab(tmp_path_factory.mktemp("target"), worker_id) as lab:
        yield make_target(lab, request.param)


@dataclass
class Pair:
    """A primary and its replica, which is the source of ``move``."""

    move: Move
    primary: Source
    replica: Source
    acknowledged: list[bytes] = field(default_factory=list)

    def has(self, field_name: str, value: str) -> bool:
        told = self.replica.client().execute_command("INFO", "replication").decode()
        return parse_info(told).get(field_name) == value

    @contextmanager
    def writing(self, pause_s: float = 0.002) -> Iterator[None]:
        """A client of the primary that never stops, and knows what was acknowledged."""
        ends = threading.Event()

        def write() -> None:
            client = self.primary.client()
            while not ends.is_set():
                key = b"write:%d" % len(self.acknowledged)
                with suppress(RedisError):
                    if client.execute_command("SET", key, b"x" * 20):
                        self.acknowledged.append(key)
                ends.wait(pause_s)

        thread = threading.Thread(target=write)
        thread.start()
        try:
            self.wait(lambda: len(self.acknowledged) > 20, "writes")
            yield
        finally:
            ends.set()
            thread.join()

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 60) -> None:
        self.move.lab.wait(condition, what, timeout)

    def assert_everything_is_there(self) -> None:
        """In the target: what was still, and each acknowledged write."""
        found = 0
        for address in self.move.target.primaries():
            client = self.move.target.client(address)
            found += len({*client.execute_command("KEYS", "write:*")} & {*self.acknowledged})
        assert found == len(self.acknowledged)
        assert self.move.target.keys() == self.primary.client().execute_command("DBSIZE") == 500 + found

    def settings(self) -> list[dict[str, object]]:
        return [self.primary.settings(), self.replica.settings()]


@pytest.fixture
def pair(target: Target) -> Iterator[Pair]:
    lab = target.lab
    shutil.rmtree(folder_of(lab), ignore_errors=True)
    target.empty()
    primary = make_source(lab, target.engine.label, *OFTEN, "--masterauth", PASSWORD)
    primary.fill(500)
    host, _, port = primary.address.rpartition(":")
    replica = make_source(lab, target.engine.label, *OFTEN, "--masterauth", PASSWORD, "--replicaof", host, port)
    pair = Pair(Move(lab, replica, target), primary, replica)
    pair.wait(lambda: pair.has("master_link_status", "up"), "the replica's link")
    try:
        yield pair
    finally:
        pair.move.forget()
        primary.kill()
        replica.kill()


def test_refused_while_its_primary_takes_writes_and_done_when_it_stands_still(pair: Pair) -> None:
    move, before = pair.move, pair.settings()
    with pair.writing():
        plan = move.run(pair.replica.address, move.target.file, "--plan")
        (found,) = [found for found in plan.json["findings"] if found["code"] == "source-is-replica"]
        assert "would be refused now" in found["what"] and pair.primary.address in found["what"], found
        done = move.run(pair.replica.address, move.target.file, "--cutover", "--yes")
        assert (done.code, done.error["code"]) == (4, "cutover-refused"), done
        assert move.target.keys() == 0 and move.kept()["phase"] == ""

        process = move.begin()
        move.wait_until(process, "ready")
        done = move.run("--cutover", "--yes")
        assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
        assert f"migrate {pair.primary.address}" in done.error["hint"] and "goes on changing" in done.error["what"]
        seen = move.seen()
        assert (process.poll(), seen["phase"], seen["running"]) == (None, "follow", True)
        assert "goes on changing" in seen["status"]["refused"]
        assert pair.settings() == before
    asked = time.monotonic()
    done = move.run("--cutover", "--yes")
    assert done.code == 0, done
    assert time.monotonic() - asked > 10, "it was watched"
    cutover = move.assert_equal(move.output(process))["cutover"]
    assert (cutover["primary"], cutover["still_s"] >= 10) == (pair.primary.address, True)
    pair.assert_everything_is_there()
    assert move.run("--abort", "--yes").code == 0
    assert pair.settings() == before


@pytest.mark.skipif(is_reduced(), reason="a reduced run waits for fewer primaries that stand still")
def test_refused_at_the_very_end_whatever_was_taken_on(pair: Pair) -> None:
    """And with --resume."""
    move, before = pair.move, pair.settings()
    words = (pair.replica.address, move.target.file, "--cutover", "--yes", "--accept", "cutover-refused")
    with pair.writing():
        for each in (words, ("--resume", "--cutover", "--yes")):
            done = move.run(*each)
            assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
            assert move.kept()["phase"] == "follow" and pair.settings() == before
    done = move.run("--resume", "--cutover", "--yes")
    move.assert_equal(done)
    pair.assert_everything_is_there()


@pytest.mark.skipif(is_reduced(), reason="a reduced run waits for fewer primaries that stand still")
def test_a_primary_that_refuses_writes_stands_still(pair: Pair) -> None:
    move, client = pair.move, pair.primary.client()
    with pair.writing():
        process = move.begin()
        move.wait_until(process, "ready")
        client.execute_command("CONFIG", "SET", "min-replicas-to-write", 1000000)
        assert move.run("--cutover", "--yes").code == 0
        move.assert_equal(move.output(process))
    pair.assert_everything_is_there()


def test_a_link_that_is_down_is_no_standing_still(pair: Pair) -> None:
    move = pair.move
    process = move.begin()
    move.wait_until(process, "ready")
    client = pair.replica.client()
    client.execute_command("CONFIG", "SET", "masterauth", "wrong")
    client.execute_command("CLIENT", "KILL", "TYPE", "master")
    pair.wait(lambda: pair.has("master_link_status", "down"), "the link to be down")
    with pair.writing():
        done = move.run("--cutover", "--yes")
        assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
        assert "is down" in done.error["what"] and process.poll() is None
        plan = move.run(pair.replica.address, move.target.file, "--plan")
        (found,) = [found for found in plan.json["findings"] if found["code"] == "source-is-replica"]
        assert (plan.code, found["severity"]) == (3, "serious"), "as it was before"
    # One that is gone for good is left in this way.
    client.execute_command("REPLICAOF", "NO", "ONE")
    pair.acknowledged.clear()
    done = move.run("--cutover", "--yes")
    assert done.code == 0, done
    cutover = move.assert_equal(move.output(process))["cutover"]
    assert (cutover["primary"], cutover["held_by"]) == (None, "CLIENT PAUSE WRITE")
    assert pair.replica.is_read_only() and move.target.keys() == 500


def test_a_replica_that_takes_writes_itself(pair: Pair) -> None:
    pair.replica.client().execute_command("CONFIG", "SET", "replica-read-only", "no")
    done = pair.move.run(pair.replica.address, pair.move.target.file, "--cutover", "--yes")
    assert (done.code, done.error["code"]) == (4, "cutover-refused"), done
    assert "replica-read-only" in done.error["what"]


def test_a_source_that_becomes_a_replica_meanwhile(pair: Pair) -> None:
    """A failover, as a Sentinel does it: the copy was begun at the primary."""
    move = pair.move
    move.source = pair.primary
    process = move.begin()
    move.wait_until(process, "ready")
    pair.replica.client().execute_command("REPLICAOF", "NO", "ONE")
    pair.primary.client().execute_command("REPLICAOF", *pair.replica.address.split(":"))
    old, pair.primary, pair.replica = pair.primary, pair.replica, pair.primary
    pair.wait(lambda: pair.has("master_link_status", "up"), "the old primary to follow")
    with pair.writing():
        done = move.run("--cutover", "--yes")
        assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
        assert old.client().execute_command("CONFIG", "GET", "min-replicas-to-write")[1] == b"0"
    assert move.run("--cutover", "--yes").code == 0
    move.assert_equal(move.output(process))
    pair.assert_everything_is_there()


def test_a_node_of_a_cluster_that_becomes_a_replica_meanwhile(target: Target) -> None:
    """Its slots are another's: those who lead now are moved, after --resume."""
    lab = target.lab
    shutil.rmtree(folder_of(lab), ignore_errors=True)
    target.empty()
    name = f"old-{target.engine.label.replace('.', '-')}"
    old = make_target(lab, target.engine.label, name=name)
    move = Move(lab, Source(lab, old.engine, name), target)
    try:
        process = move.begin()
        move.wait_until(process, "ready")
        primary = old.primaries()[0]
        assert lab.run("failover", old.replica_of(primary), name, "--yes").code == 0
        done = move.run("--cutover", "--yes")
        assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
        assert "--resume" in done.error["hint"] and process.poll() is None
        for address in old.primaries():
            old.client(address).execute_command("FLUSHALL")
        process.send_signal(signal.SIGINT)
        assert move.output(process).code == 130
        move.assert_equal(move.run("--resume", "--cutover", "--yes"))
    finally:
        move.forget()
        lab.run("destroy", name, "--yes")


@pytest.mark.slow
def test_a_primary_that_says_nothing_is_not_known_to_stand_still(pair: Pair) -> None:
    """It hangs; to the replica the link is up until repl-timeout (60 s). Then, with the life signs of a default."""
    move, asked = pair.move, ("--cutover", "--yes")
    process = move.begin()
    move.wait_until(process, "ready")
    assert pair.primary.process is not None
    pair.primary.process.send_signal(signal.SIGSTOP)
    try:
        done = move.run(*asked)
        assert (done.code, done.error["code"]) == (4, "source-is-replica"), done
        assert "can't be told" in done.error["what"] and "PING" in done.error["seen"]
    finally:
        pair.primary.process.send_signal(signal.SIGCONT)
    pair.primary.client().execute_command("CONFIG", "SET", "repl-ping-replica-period", 10)
    pair.wait(lambda: pair.has("master_link_status", "up"), "the replica's link")
    assert move.run(*asked).code == 0
    move.assert_equal(move.output(process))
    pair.assert_everything_is_there()
