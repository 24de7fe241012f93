"""A running server's data into a cluster while a service writes on it: each acknowledged write is there, once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from redis.exceptions import ResponseError

from slotwright.cluster.slots import key_slot
from tests.engines import chosen, engine
from tests.extent import is_reduced
from tests.integration.conftest import open_lab
from tests.integration.earlier_files import remove_formats
from tests.migration.ledger import Cluster
from tests.migration.rig import (
    Move,
    Source,
    Target,
    folder_of,
    make_source,
    make_target,
    wait_for_target,
    wait_for_writes,
)

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

TARGETS = ("redis-7.0", "valkey-9.1")


@pytest.fixture(scope="module", params=chosen(*TARGETS))
def target(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Target]:
    """One cluster for all tests that leave it whole."""
    engine(request.param)
    with open_lab(tmp_path_factory.mktemp("target"), worker_id) as lab:
        settings = "cluster-databases: 16" if request.param == "valkey-9.1" else ""
        yield make_target(lab, request.param, settings=settings)


NEWEST = pytest.mark.parametrize("target", ["valkey-9.1"], indirect=True)
"""For what depends on no version of the target."""


def moving(target: Target, source: str, *options: str) -> Move:
    lab = target.lab
    shutil.rmtree(folder_of(lab), ignore_errors=True)
    target.empty()
    return Move(lab, make_source(lab, source, *options), target)


@pytest.fixture
def ended() -> Iterator[list[Move]]:
    """Moves whose processes end with the test."""
    moves: list[Move] = []
    yield moves
    for move in moves:
        move.forget()
        move.source.kill()


SLOWER = [pytest.param(label, marks=pytest.mark.slow) for label in chosen("valkey-8.1", "redis-8.2")]


@pytest.mark.parametrize("source", [*chosen("redis-6.2", "redis-7.0", "valkey-9.1"), *SLOWER])
def test_moves_under_load_in_one_go(target: Target, ended: list[Move], source: str) -> None:
    """Copied, followed, proved, cut over; the service carries on in the cluster with nothing lost and nothing twice."""
    move = moving(target, source, "--maxclients", "500")
    ended.append(move)
    move.source.fill()
    avoid = [] if target.engine.label != "redis-7.0" else ["field_time"]
    with move.ledger(avoid=avoid) as ledger:
        wait_for_writes(ledger)
        done = move.run(move.source.address, move.target.file, "--cutover", "--yes")
        found = move.assert_equal(done)
        assert move.source.is_read_only()
        wait_for_target(ledger)
        told = move.assert_whole(ledger)
    assert told["switch_s"] < 10, told
    assert found["cutover"]["wrong"] == []
    if source != "redis-6.2":
        libraries = target.libraries()
        assert len(libraries) == 3 and libraries[0] and libraries[0] == libraries[1] == libraries[2]


@NEWEST
def test_a_plan_changes_nothing(target: Target, ended: list[Move]) -> None:
    move = moving(target, "redis-7.0")
    ended.append(move)
    move.source.fill(200)
    before = (move.source.client().execute_command("DBSIZE"), move.source.settings())
    done = move.run(move.source.address, target.file, "--plan")
    assert done.code == 0, done
    assert (move.source.client().execute_command("DBSIZE"), move.source.settings()) == before
    assert target.keys() == 0
    assert not folder_of(target.lab).exists()


def test_followed_until_another_terminal_cuts_over(target: Target, ended: list[Move]) -> None:
    """With its status for everybody, and refused a second time while it is under way."""
    move = moving(target, "redis-7.0")
    ended.append(move)
    move.source.fill()
    with move.ledger(avoid=["field_time"]) as ledger:
        wait_for_writes(ledger)
        process = move.begin()
        move.wait_for(process, lambda: move.seen()["ready"], "it to be ready")
        seen = move.seen()
        assert (seen["phase"], seen["running"]) == ("follow", True)
        second = move.run(move.source.address, target.file, "--yes")
        assert (second.code, second.error["code"]) == (4, "migration-begun"), second
        again = move.run("--resume", "--yes")
        assert (again.code, again.error["code"]) == (4, "locked"), again
        wait_for_writes(ledger)
        asked = move.run("--cutover", "--yes")
        assert asked.code == 0, asked
        assert asked.json["migrations"][0]["phase"] == "moved"
        move.assert_equal(move.output(process))
        assert move.source.is_read_only()
        wait_for_target(ledger)
        move.assert_whole(ledger)
    third = move.run(move.source.address, target.file, "--yes")
    assert (third.code, third.error["code"]) == (4, "migration-begun"), third
    resumed = move.run("--resume", "--yes")
    assert (resumed.code, resumed.error["code"]) == (2, "migration-done"), resumed


@pytest.mark.parametrize("source", chosen("redis-6.2", "redis-8.2"))
@NEWEST
def test_a_source_that_can_not_be_fenced_is_refused_at_once(target: Target, ended: list[Move], source: str) -> None:
    move = moving(target, source, "--rename-command", "CONFIG", "cfg")
    ended.append(move)
    done = move.run(move.source.address, target.file, "--yes", "--cutover")
    assert done.code == 4, done
    assert done.error["code"] == "cutover-refused"
    assert "CONFIG GET, CONFIG SET; renamed or removed" in done.error["what"] and "ACL" not in done.error["hint"]
    assert move.kept()["phase"] == ""
    done = move.run(move.source.address, target.file, "--plan")
    assert done.code in (0, 3), done
    assert {each["severity"] for each in done.json["findings"] if each["code"] == "cutover-refused"} == {"warning"}


@pytest.mark.parametrize("source", chosen("redis-6.2", "redis-7.0", "valkey-9.1"))
@NEWEST
def test_our_own_calls_are_no_habit_of_clients(target: Target, ended: list[Move], source: str) -> None:
    """And what an earlier run copied is copied."""
    move = moving(target, source)
    ended.append(move)
    move.source.fill(300)

    def told() -> dict[str, str]:
        plan = move.run(move.source.address, target.file, "--plan").json
        codes = ("commands-refused", "commands-of-one-node", "transactions-unseen", "several-keys-unseen")
        return {each["code"]: each["seen"] for each in plan["findings"] if each["code"] in codes}

    before = told()
    process = move.begin()
    move.wait_for(process, lambda: move.seen()["ready"], "it to be ready")
    process.send_signal(signal.SIGTERM)
    move.output(process)
    process = move.resume()
    move.wait_for(process, lambda: move.seen()["ready"], "it to be ready again")
    status = move.run("--status").json["migrations"][0]["status"]
    assert status["keys"] == status["expected_keys"] == 300, status
    process.send_signal(signal.SIGTERM)
    move.output(process)
    assert told() == before


@NEWEST
def test_a_target_with_keys_is_refused(target: Target, ended: list[Move]) -> None:
    move = moving(target, "valkey-9.1")
    ended.append(move)
    move.source.fill(50)
    target.client(target.primaries()[0]).execute_command("SET", _key_of(target), "x")
    done = move.run(move.source.address, target.file, "--yes", "--cutover")
    assert done.code == 4, done
    assert "target-not-empty" in done.out
    assert move.kept()["phase"] == ""
    assert not move.source.is_read_only()


def _key_of(target: Target) -> bytes:
    """One that the first primary owns."""
    client = target.client(target.primaries()[0])
    owned = client.execute_command("CLUSTER", "SLOTS")
    mine = target.primaries()[0].rpartition(":")
    ranges = [(row[0], row[1]) for row in owned if (row[2][0].decode(), row[2][1]) == (mine[0], int(mine[2]))]
    number = 0
    while not any(low <= key_slot(b"%d" % number) <= high for low, high in ranges):
        number += 1
    return b"%d" % number


@NEWEST
@pytest.mark.parametrize(("phase", "number"), [("copying", signal.SIGINT), ("ready", signal.SIGTERM)])
def test_stopped_and_gone_on_with(target: Target, ended: list[Move], phase: str, number: signal.Signals) -> None:
    """Ctrl-C while it copies or SIGTERM while it follows: the source goes on, and --resume ends in the same proof. So
    it does where the release before, whose files had no formats, was stopped."""
    move = moving(target, "redis-6.2")
    ended.append(move)
    move.source.fill(8000)
    with move.ledger(avoid=["field_time"]) as ledger:
        wait_for_writes(ledger)
        process = move.begin(*(("--pace", "0.3") if phase == "copying" else ()))
        move.wait_until(process, phase)
        process.send_signal(number)
        done = move.output(process)
        assert (done.code, done.error["code"]) == (130, "interrupted"), done
        assert not move.seen()["running"]
        wait_for_writes(ledger)
        if phase == "copying":
            remove_formats(target.lab.state)
        move.assert_equal(move.output(move.resume("--cutover", "--pace", "0", "--limit", "10")))
        wait_for_target(ledger)
        move.assert_whole(ledger)


@NEWEST
def test_given_up_before_the_cutover(target: Target, ended: list[Move]) -> None:
    """Another terminal gives it up while it follows: the source was never touched; the copy stays, or goes."""
    move = moving(target, "redis-7.0")
    ended.append(move)
    before = move.source.settings()
    move.source.fill(500)
    with move.ledger(avoid=["field_time"], ends_on_source=True) as ledger:
        wait_for_writes(ledger)
        process = move.begin()
        move.wait_until(process, "ready")
        done = move.run("--abort", "--yes")
        assert done.code == 0, done
        assert move.output(process).code == 5
        assert (done.json["was"], done.json["source_was_fenced"]) == ("follow", False)
        assert move.source.settings() == before
        assert target.keys() >= 500
        wait_for_writes(ledger)
        move.assert_whole(ledger, on_target=False)
    refused = move.run(move.source.address, target.file, "--yes")
    assert refused.code == 4 and "target-not-empty" in refused.out, refused


@NEWEST
def test_given_up_while_it_copies_and_the_copy_removed(target: Target, ended: list[Move]) -> None:
    move = moving(target, "redis-7.0")
    ended.append(move)
    move.source.fill(8000)
    process = move.begin("--pace", "0.2")
    move.wait_until(process, "copying")
    declined = move.run("--abort", "--yes", "--remove-copy")
    assert declined.code == 4, declined
    assert target.keys() > 0
    done = move.run("--abort", "--yes", "--remove-copy", "--accept", "remove-copy")
    assert done.code == 0, done
    assert target.keys() == 0
    assert move.seen()["phase"] == "aborted"
    assert not move.source.is_read_only()


@NEWEST
@pytest.mark.parametrize("source", ["redis-6.2", "valkey-9.1"])
def test_given_up_after_the_cutover(target: Target, ended: list[Move], source: str) -> None:
    """The source comes back as it was, settings and rights; what was written to the target has to be accepted."""
    move = moving(target, source)
    ended.append(move)
    client = move.source.client()
    client.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@read", "+@write", "+eval", "-set")
    client.execute_command("CONFIG", "SET", "min-replicas-max-lag", "0")
    before = move.source.settings()
    move.source.fill(300)
    move.assert_equal(move.run(move.source.address, target.file, "--yes", "--cutover"))
    assert move.source.is_read_only()
    key = _key_of(target)
    target.client(target.primaries()[0]).execute_command("SET", key, "written to the target")
    refused = move.run("--abort", "--yes")
    assert (refused.code, refused.error["code"]) == (4, "target-written"), refused
    assert "lose-writes" in refused.error["hint"]
    assert move.source.is_read_only()
    done = move.run("--abort", "--yes", "--accept", "lose-writes")
    assert (done.code, done.json["written_since"], done.json["source_was_fenced"]) == (0, 1, True), done
    assert move.source.settings() == before
    assert not move.source.is_read_only()
    assert ("done", "allow-writes", move.source.address) in move.journal()


@NEWEST
@pytest.mark.parametrize("end", ["cutover", "abort", "stop"])
def test_a_run_that_was_killed_leaves_no_import_mode(target: Target, ended: list[Move], end: str) -> None:
    """The target expires nothing while it is followed, and again by itself afterwards, whoever ends it."""
    move = moving(target, "redis-6.2")
    ended.append(move)
    move.source.fill(200)
    assert _import_modes(target) == {b"no"}
    process = move.begin()
    move.wait_until(process, "ready")
    assert _import_modes(target) == {b"yes"}
    process.kill()
    process.wait()
    assert _import_modes(target) == {b"yes"}
    assert sorted(move.kept()["paused_expiry"]["import_mode"]) == sorted(target.addresses)
    if end == "cutover":
        move.assert_equal(move.run("--cutover", "--yes"))
    elif end == "abort":
        done = move.run("--abort", "--yes")
        assert done.code == 0, done
    else:
        process = move.resume()
        move.wait_until(process, "ready")
        process.send_signal(signal.SIGINT)
        assert move.output(process).code == 130
    assert _import_modes(target) == {b"no"}
    assert move.kept()["paused_expiry"] == {"import_mode": [], "has_later_deadlines": False}


@NEWEST
@pytest.mark.skipif(is_reduced(), reason="a reduced run waits for no failover of half a minute")
def test_a_new_primary_expires_nothing_either(target: Target, ended: list[Move]) -> None:
    """And a node that was away at the end is warned of, noted, and set back by an abort when it is there again."""
    move = moving(target, "redis-6.2")
    ended.append(move)
    move.source.fill(200)
    process = move.begin()
    move.wait_until(process, "ready")
    old = target.primaries()[0]
    new = target.replica_of(old)
    with target.frozen(old):
        move.wait_for(process, lambda: new in target.primaries(), "a failover")
        assert target.client(new).execute_command("CONFIG", "GET", "import-mode")[1] == b"yes"
        process.send_signal(signal.SIGINT)
        done = move.output(process)
        assert done.code == 130, done
        assert "import-mode yes" in done.err and old in done.err, done
        assert move.kept()["paused_expiry"]["import_mode"] == [old]
    move.lab.wait(lambda: old not in target.primaries(), "it to be a replica")
    done = move.run("--abort", "--yes")
    assert done.code == 0, done
    assert _import_modes(target) == {b"no"}
    assert move.kept()["paused_expiry"]["import_mode"] == []


def _import_modes(target: Target) -> set[bytes]:
    """Of all nodes, replicas too."""
    return {target.client(address).execute_command("CONFIG", "GET", "import-mode")[1] for address in target.addresses}


@pytest.mark.parametrize("end", ["resume", "abort"])
def test_deadlines_are_the_source_s_whoever_ends_it(target: Target, ended: list[Move], end: str) -> None:
    """Where a target has no import-mode, its keys have later deadlines while it is copied: noted, and undone."""
    if target.engine.label == "valkey-9.1":
        pytest.skip("it has import-mode")
    move = moving(target, "redis-7.0" if end == "abort" else "redis-6.2")
    ended.append(move)
    move.source.fill(6000)
    client, far_ms = move.source.client(), 4_102_444_800_000
    for number in range(6000):
        client.execute_command("PEXPIREAT", b"still:%d" % number, far_ms + number)
    process = move.begin("--pace", "0.2")
    move.wait_until(process, "copying")
    move.wait_for(process, lambda: target.keys() > 500, "some keys")
    process.kill()
    process.wait()
    assert move.kept()["paused_expiry"]["has_later_deadlines"]
    assert min(_deadlines(target)) > far_ms + 6000
    if end == "resume":
        move.assert_equal(move.output(move.resume("--cutover", "--pace", "0")))
        assert _deadlines(target) == [far_ms + number for number in range(6000)]
    else:
        done = move.run("--abort", "--yes")
        assert done.code == 0, done
        assert all(far_ms <= at <= far_ms + 6000 for at in _deadlines(target))
    assert not move.kept()["paused_expiry"]["has_later_deadlines"]


def _deadlines(target: Target) -> list[int]:
    found = []
    for address in target.primaries():
        client = target.client(address)
        pipe = client.pipeline(transaction=False)
        for key in client.execute_command("KEYS", "still:*"):
            pipe.execute_command("PEXPIRETIME", key)
        found += pipe.execute()
    return sorted(found)


def test_databases_get_a_prefix(target: Target, ended: list[Move]) -> None:
    move = moving(target, "redis-7.0")
    ended.append(move)
    move.source.fill(200)
    move.source.fill(200, database=3)
    refused = move.run(move.source.address, target.file, "--yes", "--cutover")
    assert refused.code == 4, refused
    _moved_in_databases(move, "prefix")


def test_databases_stay(target: Target, ended: list[Move]) -> None:
    if target.engine.label != "valkey-9.1":
        pytest.skip("one database only")
    move = moving(target, "redis-6.2")
    ended.append(move)
    move.source.fill(200)
    move.source.fill(200, database=3)
    _moved_in_databases(move, "keep")


def test_a_database_that_is_refused_after_a_resume_overwrites_nothing(target: Target, ended: list[Move]) -> None:
    """SELECT is refused and writes are not: the namesake in database 0 stays what it is."""
    if target.engine.label != "valkey-9.1":
        pytest.skip("one database only")
    move = moving(target, "redis-6.2")
    ended.append(move)
    move.source.client().set("same", "of 0")
    move.source.client(3).set("other", "of 3")
    process = move.begin("--databases", "keep")
    move.wait_until(process, "ready")
    process.kill()
    process.wait()
    for address in target.primaries():
        target.client(address).execute_command("ACL", "SETUSER", "default", "-select")
    try:
        move.source.client(3).set("same", "of 3")
        told = move.output(move.resume("--cutover"))
        assert told.error["code"] == "database-refused", told
        assert _value_of(target, "same") == b"of 0"
    finally:
        for address in target.primaries():
            target.client(address).execute_command("ACL", "SETUSER", "default", "+select")
    move.assert_equal(move.output(move.resume("--cutover")))
    assert _value_of(target, "same") == b"of 0"


def _value_of(target: Target, key: str) -> bytes | None:
    """In database 0."""
    for address in target.primaries():
        with suppress(ResponseError):
            return target.client(address).get(key)
    return None


def _moved_in_databases(move: Move, rule: str) -> None:
    with move.ledger(avoid=["field_time"], rule=rule, databases=[0, 3]) as ledger:
        wait_for_writes(ledger)
        done = move.run(move.source.address, move.target.file, "--databases", rule, "--cutover", "--yes")
        move.assert_equal(done)
        wait_for_target(ledger)
        move.assert_whole(ledger)


@pytest.mark.parametrize("source", chosen("valkey-9.1", "redis-8.2"))
def test_times_of_fields_are_not_lost_silently(target: Target, ended: list[Move], source: str) -> None:
    """A target that has none is refused, as the plan finds such a hash; one that has them gets them."""
    move = moving(target, source)
    ended.append(move)
    client = move.source.client()
    client.execute_command("HSET", "h", "f", "v")
    client.execute_command("HPEXPIREAT", "h", 4_102_444_800_000, "FIELDS", 1, "f")
    done = move.run(move.source.address, target.file, "--yes", "--cutover")
    if target.engine.label == "redis-7.0":
        assert done.code == 4, done
        assert "field" in done.out
        assert not move.source.is_read_only()
        return
    move.assert_equal(done)
    found = [value for address in target.primaries() if (value := _field_time(target, address))]
    assert found == [[4_102_444_800_000]]


def _field_time(target: Target, address: str) -> object:
    try:
        return target.client(address).execute_command("HPEXPIRETIME", "h", "FIELDS", 1, "f")
    except ResponseError:
        return None


@NEWEST
def test_another_cluster_is_the_source(target: Target) -> None:
    """Every primary of it is followed, fenced and given back; a stopped run goes on where each of them was."""
    lab = target.lab
    shutil.rmtree(folder_of(lab), ignore_errors=True)
    target.empty()
    name = f"old-{target.engine.label.replace('.', '-')}"
    old = make_target(lab, "redis-7.0", name=name, replicas=0)
    move = Move(lab, Source(lab, old.engine, name), target)
    writer = Cluster(old.addresses, old.password)

    def write(count: int, word: bytes) -> None:
        for number in range(count):
            key = b"%b:%d" % (word, number)
            writer.at(key, 0).execute_command("RPUSH", key, word)

    try:
        write(300, b"before")
        process = move.begin()
        move.wait_until(process, "ready")
        process.send_signal(signal.SIGINT)
        assert move.output(process).code == 130
        write(300, b"meanwhile")
        process = move.resume()
        move.wait_until(process, "ready")
        write(300, b"later")
        assert move.run("--cutover", "--yes").code == 0
        move.assert_equal(move.output(process))
        assert target.keys() == 900
        for address in old.addresses:
            with pytest.raises(ResponseError, match="NOREPLICAS"):
                old.client(address).execute_command("FLUSHALL")
        done = move.run("--abort", "--yes")
        assert (done.code, done.json["written_since"]) == (0, 0), done
        write(10, b"before")
    finally:
        move.forget()
        lab.run("down", name, "--yes")


def library(name: str) -> str:
    return f"#!lua name={name}\nredis.register_function('f{name}', function(keys, args) return 1 end)"


def test_a_library_is_on_every_primary(target: Target, ended: list[Move]) -> None:
    """One that was there, one that came while it followed; one that was deleted meanwhile is nowhere."""
    move = moving(target, "valkey-9.1")
    ended.append(move)
    client = move.source.client()
    for name in ("one", "two"):
        client.execute_command("FUNCTION", "LOAD", library(name))
    process = move.begin()
    move.wait_until(process, "ready")
    assert target.libraries() == [{b"one", b"two"}] * 3
    client.execute_command("FUNCTION", "LOAD", library("three"))
    client.execute_command("FUNCTION", "DELETE", "one")
    assert move.run("--cutover", "--yes").code == 0
    move.assert_equal(move.output(process))
    assert target.libraries() == [{b"two", b"three"}] * 3
