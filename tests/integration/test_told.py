"""What clients are told right after a cluster was proved."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("engine", engine_params())
def test_once_it_is_proved_every_node_tells_clients_of_every_node(engine: TestEngine, lab: Lab) -> None:
    lab.topology(engine)
    up = lab.run("up", "--yes")
    assert up.code == 0, up.err
    found = lab.run("client", "test")
    nodes = [node["address"] for node in lab.run("status", "--json").json["nodes"]]
    assert found.code == 0 and "every node is found" in found.out, found.out
    for address in nodes:
        with lab.client(address, lab.password()) as client:
            rows = client.execute_command("CLUSTER", "SLOTS")
        assert len(rows) == 3 and all(len(row) == 4 for row in rows), (address, rows)
