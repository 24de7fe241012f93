"""A migration cut at each of its phases, on each side: the source is never harmed, and it ends in the same proof."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator

import pytest
from redis import Redis

from slotwright.server.info import parse_info
from tests.integration.conftest import Lab, open_lab
from tests.migration.ledger import connect
from tests.migration.rig import (
    PASSWORD,
    Move,
    Target,
    engine,
    folder_of,
    make_source,
    make_target,
    wait_for_target,
    wait_for_writes,
)

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(400)]

TARGETS = ("redis-7.0", "valkey-9.1")
SLOW = {"copying": ("--pace", "0.4")}
"""What makes a phase long enough to be met."""
AVOID = ["field_time", "big", "long"]
PERSISTENT = ("--appendonly", "yes", "--appendfsync", "everysec")


@pytest.fixture(scope="module", params=TARGETS)
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Target]:
    engine(request.param)
    with open_lab(tmp_path_factory.mktemp("target"), worker_id) as lab:
        yield make_target(lab, request.param)


@pytest.fixture
def ended() -> Iterator[list[Move]]:
    moves: list[Move] = []
    yield moves
    for move in moves:
        move.forget()
        move.source.kill()


def moving(target: Target, ended: list[Move], source: str = "redis-7.0", *options: str, keys: int = 8000) -> Move:
    shutil.rmtree(folder_of(target.lab), ignore_errors=True)
    target.lab.wait(lambda: len(target.primaries()) == 3, "three primaries", 60)
    target.empty()
    move = Move(target.lab, make_source(target.lab, source, *options), target)
    ended.append(move)
    move.source.fill(keys)
    return move


PHASES = ["copying", "comparing", "ready"]


@pytest.mark.parametrize("phase", PHASES)
def test_slotwright_is_killed(target: Target, ended: list[Move], phase: str) -> None:
    move = moving(target, ended)
    with move.ledger(avoid=AVOID) as ledger:
        wait_for_writes(ledger)
        process = move.begin(*SLOW.get(phase, ()))
        move.wait_until(process, phase)
        process.kill()
        process.wait()
        assert not move.source.is_read_only()
        wait_for_writes(ledger)
        move.assert_equal(move.output(move.resume("--cutover", "--pace", "0", "--limit", "10")))
        assert move.source.is_read_only()
        wait_for_target(ledger)
        move.assert_whole(ledger)


@pytest.mark.parametrize("phase", PHASES)
def test_the_source_is_killed_and_comes_back(target: Target, ended: list[Move], phase: str) -> None:
    """With its data: it is attached to again, by itself."""
    move = moving(target, ended, "redis-7.0", *PERSISTENT)
    with move.ledger(avoid=AVOID) as ledger:
        wait_for_writes(ledger)
        process = move.begin("--cutover", *SLOW.get(phase, ())) if phase != "ready" else move.begin()
        move.wait_until(process, phase)
        move.source.kill()
        move.source.start()
        wait_for_writes(ledger)
        if phase == "ready":
            assert move.run("--cutover", "--yes").code == 0
        move.assert_equal(move.output(process))
        wait_for_target(ledger)
        told = move.assert_whole(ledger)
    assert told["doubts"] < 5, told


def test_the_source_comes_back_empty(target: Target, ended: list[Move]) -> None:
    """What it lost is in the copy: that is kept, and told."""
    move = moving(target, ended, keys=500)
    process = move.begin()
    move.wait_until(process, "ready")
    move.source.kill()
    move.source.start()
    done = move.output(process)
    assert (done.code, done.error["code"]) == (5, "source-lost-data"), done
    assert target.keys() == 500
    again = move.output(move.resume("--cutover", "--pace", "0", "--limit", "10"))
    assert (again.code, again.error["code"]) == (5, "source-lost-data"), again
    assert target.keys() == 500
    assert not move.source.is_read_only()
    given_up = move.run("--abort", "--yes")
    assert given_up.code == 0, given_up
    assert target.keys() == 500


@pytest.mark.parametrize("phase", PHASES)
def test_a_primary_of_the_target_dies(target: Target, ended: list[Move], phase: str) -> None:
    """Its replica did not have what it had acknowledged last: that is carried again."""
    move = moving(target, ended)
    victim = target.primaries()[0]
    replica = target.replica_of(victim)
    with move.ledger(avoid=AVOID) as ledger:
        wait_for_writes(ledger)
        process = move.begin(*SLOW.get(phase, ()))
        move.wait_until(process, phase)
        with target.frozen(replica):
            # What its socket has already would still reach it: it gets nothing from here on.
            client = target.client(victim)
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            offset = replication_offset(client)
            wait_for_writes(ledger, 200)
            assert replication_offset(client) > offset
            target.kill(victim)
        move.wait_for(process, lambda: replica in target.primaries(), "the replica to take over")
        wait_for_writes(ledger)
        asked = move.run("--cutover", "--yes")
        assert asked.code == 0, move.output(process).out[-2000:]
        move.assert_equal(move.output(process))
        if phase == "ready":
            proofs = [
                each for each in move.events(process) if (each["event"], each.get("task")) == ("began", "compare")
            ]
            assert len(proofs) > 1
        wait_for_target(ledger)
        move.assert_whole(ledger)
    mend(target)


def test_a_primary_of_the_target_hangs_while_it_cuts_over(target: Target, ended: list[Move]) -> None:
    """And comes back as a replica: nothing that it was told last counts. The source goes on until all is proved."""
    move = moving(target, ended)
    victim = target.primaries()[0]
    replica = target.replica_of(victim)
    with move.ledger(avoid=AVOID) as ledger:
        wait_for_writes(ledger)
        process = move.begin("--cutover")
        move.wait_until(process, "cutting over")
        with target.frozen(victim):
            if move.kept()["phase"] == "moved":
                pytest.skip("it was done before that")
            move.wait_for(None, lambda: replica in target.primaries(), "the replica to take over")
        move.assert_equal(move.output(process))
        wait_for_target(ledger)
        told = move.assert_whole(ledger)
    assert told["switch_s"] < 60, told
    mend(target)


def replication_offset(client: Redis) -> int:
    text = client.execute_command("INFO", "replication").decode()
    return int(parse_info(text)["master_repl_offset"])


def mend(target: Target) -> None:
    """Whole again for the next test."""
    done = target.lab.run("repair", target.name, "--yes", "--json", timeout=150)
    assert done.code == 0, done
    target.lab.wait(lambda: target.lab.run("check", target.name, "--json").code == 0, "a sound cluster", 90)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("side", ["source", "target"])
def test_connections_are_cut(target: Target, ended: list[Move], phase: str, side: str) -> None:
    """All of them, again and again, by the servers."""
    move = moving(target, ended)
    with move.ledger(avoid=AVOID) as ledger:
        wait_for_writes(ledger)
        process = move.begin(*SLOW.get(phase, ()))
        move.wait_until(process, phase)
        for _ in range(3 if phase == "ready" else 1):
            cut(move, side)
            wait_for_writes(ledger, 100)
        assert move.run("--cutover", "--yes").code == 0
        move.assert_equal(move.output(process))
        wait_for_target(ledger)
        move.assert_whole(ledger)


def cut(move: Move, side: str) -> None:
    if side == "source":
        move.source.client().execute_command("CLIENT", "KILL", "TYPE", "replica")
        return
    for address in move.target.primaries():
        move.target.client(address).execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


@pytest.mark.parametrize("point", ["before", "after"])
@pytest.mark.parametrize("ending", ["cutover", "abort"])
@pytest.mark.parametrize("source", ["redis-6.2", "redis-7.0"])
def test_killed_while_it_makes_the_source_read_only(
    target: Target, ended: list[Move], source: str, ending: str, point: str
) -> None:
    """Before or after the source refuses; --cutover ends it, --abort gives the source back."""
    move = moving(target, ended, source, keys=500)
    before = move.source.settings()
    # Only a migration that says "moved" lets its clients go to the target.
    permit = target.lab.folder / f"moved-{source}-{point}"
    with move.ledger(avoid=AVOID, ends_on_source=ending == "abort", permit=str(permit)) as ledger:
        wait_for_writes(ledger)
        process = move.begin("--cutover")
        if point == "before":
            move.wait_for(None, lambda: move.kept()["phase"] == "closing", "closing")
        else:
            client = move.source.client()
            reading = ("CONFIG", "GET", "min-replicas-to-write")
            move.wait_for(None, lambda: client.execute_command(*reading)[1] != b"0", "the source to refuse")
        process.kill()
        process.wait()
        if move.kept()["phase"] == "moved":
            pytest.skip("it was done before it was killed")
        assert move.seen()["phase"] == "closing"
        if ending == "abort":
            done = move.run("--abort", "--yes")
            assert done.code == 0, done
            assert move.source.settings() == before
            wait_for_writes(ledger)
            assert not move.source.is_read_only()
            move.assert_whole(ledger, on_target=False)
            return
        move.assert_equal(move.run("--cutover", "--yes"))
        assert move.source.is_read_only()
        permit.touch()
        wait_for_target(ledger)
        move.assert_whole(ledger)


def test_the_source_drops_us_for_its_output_buffer(target: Target, ended: list[Move]) -> None:
    """The plan sees that coming; who goes on nevertheless is told in the end, not copied for again and again."""
    move = moving(target, ended, "redis-7.0", "--repl-backlog-size", "16kb", keys=20_000)
    client = move.source.client()
    client.execute_command("CONFIG", "SET", "client-output-buffer-limit", "replica 1mb 1mb 1")
    with move.ledger(avoid=AVOID, ends_on_source=True, rate=300) as ledger:
        wait_for_writes(ledger)
        process = move.begin("--cutover", "--pace", "0.3", "--accept", "replica-limit")
        done = _with_big_writes(move, process)
        assert (done.code, done.error["code"]) == (5, "copy-cut"), done
        assert "client-output-buffer-limit" in done.error["hint"]
        assert not move.source.is_read_only()
        client.execute_command("CONFIG", "SET", "client-output-buffer-limit", "replica 0 0 0")
        move.assert_whole(ledger, on_target=False)


def _with_big_writes(move: Move, process: object) -> object:
    client = connect(move.source.address, PASSWORD, 0)

    def has_ended() -> bool:
        client.execute_command("SET", "much", b"x" * 300_000)
        return process.poll() is not None  # type: ignore[attr-defined]

    move.wait_for(None, has_ended, "it to give up")
    return move.output(process)  # type: ignore[arg-type]


def test_the_source_does_what_cannot_be_followed(target: Target, ended: list[Move]) -> None:
    """It ends, and --resume copies again rather than coming to the same command."""
    move = moving(target, ended, keys=500)
    client = move.source.client()
    process = move.begin()
    move.wait_until(process, "ready")
    other = move.source.client(1)
    other.execute_command("SET", "there", "x")
    done = move.output(process)
    assert (done.code, done.error["code"]) == (5, "not-followed"), done
    other.execute_command("DEL", "there")
    client.execute_command("SET", "later", "y")
    move.assert_equal(move.output(move.resume("--cutover", "--pace", "0", "--limit", "10")))


def test_the_target_is_away_when_the_source_is_wanted_back(lab: Lab, ended: list[Move]) -> None:
    """After the cutover the whole cluster dies: the source can be had back, by somebody who says what that may lose."""
    target = make_target(lab, "valkey-9.1", replicas=0)
    move = moving(target, ended, keys=100)
    before = move.source.settings()
    move.assert_equal(move.run(move.source.address, target.file, "--yes", "--cutover"))
    for address in target.addresses:
        lab.kill(address, signal.SIGKILL)
    refused = move.run("--abort", "--yes")
    assert (refused.code, refused.error["code"]) == (4, "target-written"), refused
    done = move.run("--abort", "--yes", "--accept", "lose-writes")
    assert done.code == 0, done
    assert done.json["target_trouble"]
    assert move.source.settings() == before
    assert not move.source.is_read_only()


def test_the_target_is_away_when_a_killed_run_is_given_up(lab: Lab, ended: list[Move]) -> None:
    """What could not be set back there stays noted, and the next abort does it."""
    target = make_target(lab, "valkey-9.1", replicas=0)
    move = moving(target, ended, "redis-6.2", keys=100)
    process = move.begin()
    move.wait_until(process, "ready")
    process.kill()
    process.wait()
    with target.frozen(*target.addresses):
        done = move.run("--abort", "--yes")
        assert done.code == 0, done
        assert "keys of cache may not expire" in done.err, done
        assert sorted(move.kept()["paused_expiry"]["import_mode"]) == sorted(target.addresses)
    assert move.kept()["phase"] == "aborted"
    again = move.run("--abort", move.source.address, "--yes")
    assert again.code == 0, again
    modes = [target.client(each).execute_command("CONFIG", "GET", "import-mode")[1] for each in target.addresses]
    assert modes == [b"no"] * 3
    assert move.kept()["paused_expiry"]["import_mode"] == []
