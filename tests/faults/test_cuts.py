"""`kill -9` of a repair at every entry of its journal and at any moment: `resume` goes on, and no write is lost."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import TestEngine
from tests.faults import data, members, slots
from tests.faults.cluster import Cluster, form
from tests.faults.conftest import engine_params
from tests.integration.conftest import Lab
from tests.ledger import Ledger

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
FEWEST_ENTRIES = 8
MOMENTS_S = (0.4, 0.8, 1.2, 1.8, 2.4, 3.2, 4.5)


def break_three_things(cluster: Cluster, turn: int) -> None:
    """A move cut in the middle, a replica that can't log in, and a dead one; in another place at each turn."""
    primaries = cluster.primaries()
    source, target, other = (primaries[(turn + number) % 3] for number in range(3))
    slot, keys = fullest_slot(cluster, source)
    slots.open_both(cluster, slot, source, target)
    slots.move(cluster, source, target, keys[: len(keys) // 2])
    members.break_masterauth(cluster, cluster.replica_of(target), "not the password")
    dead = cluster.replica_of(other)
    cluster.kill(dead)
    cluster.wait_until_failed(dead)


def fullest_slot(cluster: Cluster, source: str) -> tuple[int, list[bytes]]:
    """Of those that ``source`` owns."""
    owned = cluster.line(source).slots
    by_slot: dict[int, list[bytes]] = {}
    for key in cluster.known:
        if data.slot_of(key) in owned:
            by_slot.setdefault(data.slot_of(key), []).append(key)
    return max(by_slot.items(), key=lambda item: (len(item[1]), item[0]))


def cut(cluster: Cluster, entries: int) -> bool:
    """Repair until ``entries`` were written to the journal; False when it came to its end before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.cut_runner", cluster.target, str(entries)],
        cwd=ROOT,
        env=cluster.lab.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def journal(lab: Lab) -> list[dict]:
    path = lab.state / "clusters/cache/journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_whole(cluster: Cluster, what: str) -> None:
    assert cluster.differing() == {}, what
    cluster.lab.wait(cluster.is_in_sync, "every replica to be in sync")
    assert cluster.strays() == {}, what
    check = cluster.check()
    assert check.code == 0, (what, check)


@pytest.mark.parametrize("engine", engine_params())
def test_killed_after_every_entry_of_the_journal(lab: Lab, engine: TestEngine) -> None:
    cluster = form(lab, engine)
    with Ledger(cluster.addresses, cluster.password) as ledger:
        for entries in itertools.count(1):
            break_three_things(cluster, entries)
            was_cut = cut(cluster, entries) and journal(lab)[-1]["phase"] != "end"
            what = f"cut after entry {entries}: {journal(lab)[-1]}"
            if was_cut:
                resumed = cluster.run("resume", cluster.target, "--yes", "--json")
                assert resumed.code == 0, (what, resumed)
                assert resumed.json["check"]["ok"], (what, resumed)
            assert_whole(cluster, what)
            if not was_cut:
                break
    assert entries >= FEWEST_ENTRIES, "there is not so little to be written"
    assert len(ledger.acknowledged) > entries
    assert ledger.lost() == []


@pytest.mark.parametrize("engine", engine_params())
def test_killed_at_any_moment(lab: Lab, engine: TestEngine) -> None:
    cluster = form(lab, engine)
    with Ledger(cluster.addresses, cluster.password) as ledger:
        for turn, moment_s in enumerate(MOMENTS_S):
            break_three_things(cluster, turn)
            process = lab.popen("repair", cluster.target, "--yes")
            try:
                process.communicate(timeout=moment_s)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            what = f"killed after {moment_s} s: {journal(lab)[-1]}"
            resumed = cluster.run("resume", cluster.target, "--yes", "--json")
            if resumed.code == 2:
                # Before the first entry, or after the last one, nothing was cut: it is a repair as any other.
                assert resumed.error["code"] == "nothing-cut", (what, resumed)
                resumed = cluster.repair()
            assert resumed.code == 0, (what, resumed)
            assert_whole(cluster, what)
    assert ledger.lost() == []


@pytest.mark.parametrize("engine", engine_params())
def test_a_move_that_was_cut_is_taken_back(lab: Lab, engine: TestEngine) -> None:
    """`abort`: the slot is with its former owner again, with all of its keys."""
    cluster = form(lab, engine)
    source = cluster.primaries()[0]
    slot, keys = cluster.slot_with_keys(source)
    slots.half_moved(cluster)
    assert cut(cluster, 2)
    told = cluster.run("abort", cluster.target, "--yes", "--json")
    assert told.code == 0, told
    assert slot in cluster.line(source).slots
    assert cluster.execute(source, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(keys)
    assert_whole(cluster, "aborted")
