"""Reading keys by name and by slot from servers that are not ready just now."""

from __future__ import annotations

import asyncio

from slotwright.cluster.topology import Address
from slotwright.keys.keyspace import KeyspaceReader
from tests.fakes.doubles import FakeClock
from tests.fakes.key_server import KeyDialer, KeyServer


def test_a_server_that_loads_its_data_is_waited_for() -> None:
    """It refuses SCAN and SELECT; that is no answer to what was asked."""
    clock = FakeClock()
    server = KeyServer(Address("source", 1), clock)
    server.data = {(0, b"a"): b"1", (3, b"b"): b"2"}
    sleep = clock.sleep

    async def and_ready(seconds: float) -> None:
        await sleep(seconds)
        server.is_loading = False

    clock.sleep = and_ready  # type: ignore[method-assign]

    async def read() -> tuple[list[bytes], bool, list[bytes]]:
        async with KeyspaceReader("source", KeyDialer([server]), [server.address], clock) as reader:
            server.is_loading = True
            first = [key async for keys in reader.scan(server.address, 0) for key in keys]
            server.is_loading = True
            has_third = await reader.has_database(3)
            server.is_loading = True
            return first, has_third, [key async for keys in reader.scan(server.address, 3) for key in keys]

    assert asyncio.run(read()) == ([b"a"], True, [b"b"])
