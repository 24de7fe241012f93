"""Many nodes that don't answer are waited for side by side, on a loop whose clock jumps to whatever is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import Argument, Connection, Dialer, Reply, ReplyError
from tests.fakes import build
from tests.fakes.doubles import FakeClock
from tests.fakes.operator import Operator
from tests.fakes.world import FakeDialer, World


class JumpingLoop(asyncio.SelectorEventLoop):
    """Time passes only when everybody waits, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def jump(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        self._selector.select = jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now


@dataclass
class Hanging:
    """Implements :class:`slotwright.ports.Connection`: takes everything, says nothing."""

    address: Address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        await self.pipeline([arguments], timeout_s=timeout_s)
        return None

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        await asyncio.sleep(timeout_s or 5.0)
        raise NodeUnreachableError(f"{self.address} did not answer", code="timeout")

    async def close(self) -> None:
        pass


@dataclass
class Mixed:
    """Implements :class:`slotwright.ports.Dialer`: some hang before they are logged in to, some after, some are gone;
    the others are those of a world."""

    world: Dialer
    ways: dict[Address, str]
    dials: list[Address] = field(default_factory=list)

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        self.dials.append(address)
        match self.ways.get(address):
            case "no login":
                await asyncio.sleep(timeout_s)
                raise NodeUnreachableError(f"{address} did not answer", code="timeout")
            case "no reply":
                return Hanging(address)
            case "gone":
                raise NodeUnreachableError(f"nothing listens on {address}", code="refused")
        return await self.world.dial(address, timeout_s=timeout_s)


@cache
def _sixty() -> Operator:
    """Formed once: looks leave it as it is."""
    who = Operator(World(), build.topology(hosts=3, ports=20))
    asyncio.run(who.up())
    return who


def _looked(ways: Sequence[str]) -> tuple[Verdict, Mixed, float]:
    """A cluster of 60 of which as many fail as there are ``ways``: the verdict, and the seconds that it took."""
    who = _sixty()
    addresses = who.topology.addresses

    seen: list[tuple[Verdict, Mixed, float]] = []  # not the task's result, which asyncio would print to itself

    async def look() -> None:
        dialer = Mixed(FakeDialer(who.world, who.password), dict(zip(addresses, ways, strict=False)))
        async with ConnectionPool(dialer) as pool:
            verifier = Verifier("demo", pool, FakeClock(), lambda _, __: dialer, addresses, "token")
            began = asyncio.get_running_loop().time()
            verdict = await verifier.look(with_canaries=True)
            seen.append((verdict, dialer, asyncio.get_running_loop().time() - began))

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.run(look())
    return seen[0]


@pytest.mark.parametrize(
    ("ways", "seconds"),
    [
        ([], 0),
        (["gone"] * 59, 0),
        (["no login"], 4),
        (["no reply"], 4),
        (["no login"] * 30, 4),
        (["no reply"] * 59, 4),
        (["no reply", "no login", "gone"] * 19, 4),
    ],
)
def test_time_outs_never_add_up(ways: list[str], seconds: float) -> None:
    verdict, dialer, took = _looked(ways)
    assert took == pytest.approx(seconds, abs=0.01)
    assert len(verdict.observation.silent) == len(ways)
    # The first try, and a second one for those that were late.
    assert len(dialer.dials) == 60 + len(ways) - ways.count("gone")
