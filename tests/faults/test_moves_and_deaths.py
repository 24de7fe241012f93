"""A move of a slot and a death together: what takes it over is heard of by who was importing it."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.faults import slots
from tests.faults.cluster import QUICK, Cluster, form
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


def half_moved_then_killed(lab: Lab, engine: TestEngine) -> tuple[Cluster, str]:
    """Half of a slot's keys are on the target, and the source's replica took over. Returns the replica, too."""
    cluster = form(lab, engine, settings=QUICK)
    source, _, _ = cluster.primaries()
    heir = cluster.replica_of(source)
    lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    slots.half_moved(cluster)
    cluster.kill(source)
    lab.wait(lambda: cluster.line(heir).is_primary, "the replica to take over")
    return cluster, heir


@pytest.mark.parametrize("engine", engine_params("redis-6.2", "redis-7.0", "redis-8.2", "valkey-9.1"))
def test_a_source_that_died_in_the_middle_of_a_move(lab: Lab, engine: TestEngine) -> None:
    """Redis: who imports a slot does not hear who takes it over, holds its cluster failed, and moves no key."""
    cluster, _ = half_moved_then_killed(lab, engine)
    told = cluster.repair()
    assert told.code == 0, told
    assert cluster.check().code == 0
    assert cluster.differing() == {}
    assert cluster.strays() == {}
