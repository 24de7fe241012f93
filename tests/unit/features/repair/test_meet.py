"""CLUSTER MEET carries the bus port where that is not port + 10000."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from slotwright.cluster.observation import Observation
from slotwright.cluster.topology import Address
from slotwright.features.repair.model import Meet
from slotwright.features.repair.run.steps import RepairActions
from slotwright.health.members import misdirections
from tests.fakes.pictures import picture

VIA, MEMBER = Address("127.0.0.1", 7001), Address("127.0.0.1", 7002)


@dataclass
class Server:
    """A node that knows the member once it was told."""

    calls: list[tuple[object, ...]] = field(default_factory=list)

    async def connection(self, _: Address) -> Server:
        return self

    async def call(self, *arguments: object, timeout_s: float | None = None) -> bytes:
        self.calls.append(arguments)
        return f"{'b' * 40} {MEMBER}@27002 master - 0 1 1 connected\n".encode()


@dataclass
class Clock:
    def now(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("bus_port", "arguments"),
    [(27002, ("127.0.0.1", 7002, 27002)), (17002, ("127.0.0.1", 7002)), (None, ("127.0.0.1", 7002))],
)
def test_the_bus_port_is_told_where_it_is_another_one(bus_port: int | None, arguments: tuple[object, ...]) -> None:
    server = Server()
    rest = cast("Any", None)
    actions = RepairActions(rest, cast("Any", server), cast("Any", Clock()), rest, (), rest)
    asyncio.run(actions.act(Meet(VIA, "b" * 40, MEMBER, bus_port)))
    assert server.calls[0] == ("CLUSTER", "MEET", *arguments)


def test_it_is_what_the_member_says_of_itself() -> None:
    seen = picture({"sees": {"h1:7001": {"h2:7001": {"address": None, "connected": False}}}})
    views = tuple(
        replace(view, peers=tuple(replace(peer, bus_port=27001) if peer.id == view.id else peer for peer in view.peers))
        for view in seen.observation.views
    )
    found = misdirections(Observation(views), seen.blueprint)
    assert [(str(one.address), one.bus_port) for one in found] == [("h2:7001", 27001)]
