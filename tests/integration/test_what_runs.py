"""What the tests take for a server that runs."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("engine", engine_params())
def test_a_forked_copy_is_no_server(lab: Lab, engine: TestEngine) -> None:
    address = f"{lab.hosts[0]}:{lab.free_port()}"
    process = lab.serve(engine, address, "--rdb-key-save-delay", "100000000")
    with lab.client(address) as client:
        client.set("key", "value")
        client.bgsave()
    lab.wait(lambda: len(lab.running()) == 2 and len(lab.servers()) == 1, "the copy to have its title")
    assert set(lab.servers()) == {process.pid}
