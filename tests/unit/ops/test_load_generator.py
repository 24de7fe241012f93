"""A drill's client goes where MOVED leads, and nowhere else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from slotwright.cluster.topology import Address
from slotwright.ops.load_generator import LoadGenerator, WriteOutcome, _Route, _ShardClient
from slotwright.ports import Reply, ReplyError
from tests.fakes.build import at
from tests.fakes.doubles import FakeClock


@dataclass
class Moving:
    """Implements :class:`slotwright.ports.Dialer`: the first one asked sends on to ``goal``, the others answer."""

    goal: str
    dialled: list[Address] = field(default_factory=list)

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Any:
        self.dialled.append(address)

        async def call(*_: object, timeout_s: float | None = None) -> Reply:
            if address == at("h1:7001"):
                raise ReplyError(f"MOVED 1 {self.goal}")
            return b"OK"

        async def close() -> None: ...

        return SimpleNamespace(address=address, call=call, close=close)


def ask(dialer: Moving) -> WriteOutcome:
    survey: Any = None
    load = LoadGenerator(dialer, FakeClock(), survey, "t", 1.0)
    return asyncio.run(_ShardClient(load, _Route("tag", [at("h1:7001"), at("h1:7002")])).ask(("GET", "k")))


@pytest.mark.parametrize(("goal", "address"), [("h2:7001", at("h2:7001")), (":7005", at("h1:7005"))])
def test_it_follows_also_where_no_host_is_named(goal: str, address: Address) -> None:
    dialer = Moving(goal)
    assert ask(dialer) is WriteOutcome.ACKNOWLEDGED
    assert dialer.dialled == [at("h1:7001"), address]


@pytest.mark.parametrize("goal", ["?:7001", '"+evil+":1', "a b:1", "h2", "h2:70000"])
def test_what_is_no_address_is_not_dialled(goal: str) -> None:
    dialer = Moving(goal)
    assert ask(dialer) is WriteOutcome.REFUSED
    assert dialer.dialled == [at("h1:7001")]
