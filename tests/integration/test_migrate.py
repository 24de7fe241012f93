"""A running server's data into a cluster while a service writes on it: each acknowledged write is there exactly once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator

import pytest

from tests.integration.conftest import Lab, open_lab
from tests.migration_rig import (
    Move,
    Target,
    engine,
    folder_of,
    make_source,
    make_target,
    wait_for_target,
    wait_for_writes,
)

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

TARGETS = ("redis-7.0", "valkey-9.1")


@pytest.fixture(scope="module", params=TARGETS)
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Target]:
    """One cluster for all tests that leave it whole."""
    engine(request.param)
    with open_lab(tmp_path_factory.mktemp("target"), worker_id) as lab:
        settings = "cluster-databases: 16" if request.param == "valkey-9.1" else ""
        yield make_target(lab, request.param, settings=settings)


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


@pytest.mark.parametrize("source", ["redis-6.2", "redis-7.0", "valkey-9.1"])
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
