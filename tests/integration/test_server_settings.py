"""The reader of configuration files that tests stand on, against files that real servers have rewritten."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.by_hand import start
from tests.integration.conftest import Lab
from tests.server_settings import byte_count, settings_of

pytestmark = pytest.mark.servers

PASSWORD = "a 'b\" \\c"
AS_GIVEN = (
    r'''masterauth "a 'b\" \\c"''',
    "slave-priority 51",
    "cluster-slave-validity-factor 7",
    "lua-time-limit 4000",
    "hash-max-ziplist-entries 77",
    "maxmemory 134217728",
)


@pytest.mark.parametrize("engine", engine_params())
def test_what_a_server_has_rewritten_means_the_same(lab: Lab, engine: TestEngine) -> None:
    address = f"{lab.hosts[0]}:{lab.free_port()}"
    start(lab, engine, address, *AS_GIVEN)
    file = lab.folder / f"foreign-{address.replace(':', '-')}" / "redis.conf"
    before = settings_of(file)
    with lab.client(address) as client:
        client.config_rewrite()
    after = settings_of(file)
    assert after["masterauth"] == before["masterauth"] == [PASSWORD]
    for name in ("replica-priority", "cluster-replica-validity-factor", "hash-max-listpack-entries"):
        assert after[name] == before[name]
    assert after["busy-reply-threshold"] == ["4000"]
    assert byte_count(*after["maxmemory"]) == byte_count(*before["maxmemory"]) == 128 * 2**20


@pytest.mark.parametrize(("word", "count"), [("5", 5), ("5b", 5), ("1k", 1000), ("1KB", 1024), ("2Gb", 2 * 2**30)])
def test_sizes(word: str, count: int) -> None:
    assert byte_count(word) == count
