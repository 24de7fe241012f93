"""A client writes on while faults that leave it a primary are mended: no acknowledged write is lost."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine
from tests.faults import files, members, process_faults, slots
from tests.faults.cluster import form
from tests.faults.conftest import engine_params
from tests.faults.injected import Injection
from tests.integration.conftest import Lab
from tests.ledger import Ledger

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]

FAULTS: tuple[Injection, ...] = (
    slots.open_on_source,
    slots.half_moved,
    slots.held_twice,
    process_faults.replica_killed,
    files.map_of_a_replica,
    members.with_wrong_masterauth,
    members.replica_beside_primary,
)


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize("inject", FAULTS, ids=lambda inject: inject.__name__)
def test_no_acknowledged_write_is_lost(lab: Lab, engine: TestEngine, inject: Injection) -> None:
    cluster = form(lab, engine)
    inject(cluster)
    with Ledger(cluster.addresses, cluster.password) as ledger:
        lab.wait(lambda: len(ledger.acknowledged) > 200, "some writes")
        told = cluster.repair()
        assert told.code == 0, told
        seen = len(ledger.acknowledged)
        lab.wait(lambda: len(ledger.acknowledged) > seen + 100, "writes after the repair")
    assert ledger.lost() == []
    assert cluster.differing() == {}
    assert cluster.strays() == {}
    assert cluster.check().code == 0
