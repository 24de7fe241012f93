"""By law: whatever one node says, nothing fails by it, and every other node is seen as ever."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.expectation import Expectation
from slotwright.cluster.topology import Address
from slotwright.console.cluster_view import show_findings, show_survey
from slotwright.console.output import check_output, status_output
from slotwright.features.repair.plan import plan_repair
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import Argument, Connection, Dialer, Reply, ReplyError
from tests.extent import examples
from tests.fakes import build
from tests.fakes.doubles import FakeClock
from tests.fakes.operator import Operator
from tests.fakes.world import FakeDialer, World

TOKENS = [
    *(
        "",
        " ",
        "\n",
        ":",
        ",",
        "-",
        "=",
        "@",
        "[",
        "]",
        "->-",
        "-<-",
        "myself",
        "master",
        "slave",
        "fail",
        "noaddr",
        "role",
    ),
    *("9" * 400, "9" * 5000, "-1", "1e9", "18446744073709551616", "99999", "\x00", "\x1b[2J", "é", "٣", "\ud800"),
    *("connected", "0-16383", "7->-x", "a" * 40, "127.0.0.1:7001@17001", "db0:keys=", "loading:1", "role:slave"),
]


@dataclass(frozen=True)
class Wound:
    """Of the reply to command number ``command`` the part from ``start`` to ``end`` (in thousandths) is replaced; or
    the whole reply by ``whole``."""

    command: int
    start: int
    end: int
    token: str
    whole: Reply | ReplyError = b""

    def apply(self, reply: Reply | ReplyError) -> Reply | ReplyError:
        if self.whole != b"":
            return self.whole
        if isinstance(reply, list):
            return [self.apply(each) for each in reply]  # type: ignore[misc]
        if not isinstance(reply, bytes):
            return reply
        first, last = sorted((self.start * len(reply) // 1000, self.end * len(reply) // 1000))
        return reply[:first] + self.token.encode(errors="surrogatepass") + reply[last:]


WHOLE = st.sampled_from(
    [None, 0, -(2**63), [], [[]], [b"a"], [b"a", None], ReplyError(""), ReplyError("NOPERM no"), b"\xff"]
)
PLACE = st.integers(0, 1000)
WOUNDS = st.lists(
    st.one_of(
        st.builds(Wound, st.integers(0, 20), PLACE, PLACE, st.sampled_from(TOKENS)),
        st.builds(Wound, st.integers(0, 20), PLACE, PLACE, st.just(""), WHOLE),
    ),
    min_size=1,
    max_size=3,
)


@dataclass
class Wounded:
    """Implements :class:`slotwright.ports.Connection`: one whose replies are changed."""

    whole: Connection
    wounds: Sequence[Wound]

    @property
    def address(self) -> Address:
        return self.whole.address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        (reply,) = await self.pipeline([arguments], timeout_s=timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        replies = await self.whole.pipeline(commands, timeout_s=timeout_s)
        for wound in self.wounds:
            at = wound.command % len(replies)
            replies[at] = wound.apply(replies[at])
        return replies

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        raise NotImplementedError

    async def close(self) -> None:
        pass


@dataclass
class Wounding:
    """Implements :class:`slotwright.ports.Dialer`."""

    whole: Dialer
    address: Address
    wounds: Sequence[Wound]

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        connection = await self.whole.dial(address, timeout_s=timeout_s)
        return Wounded(connection, self.wounds) if address == self.address else connection


@cache
def sound() -> Operator:
    """Three shards with a replica each; a look at it changes nothing but canaries."""
    who = Operator(World(), build.topology())
    asyncio.run(who.up())
    return who


async def look(address: Address, wounds: Sequence[Wound], *, knows_file: bool) -> tuple[Verdict, RepairInput]:
    who = sound()
    dialer = Wounding(FakeDialer(who.world, who.password), address, wounds)
    expected = Expectation(who.blueprint, (("maxmemory", "0"),)) if knows_file else None
    async with ConnectionPool(dialer) as pool:
        verifier = Verifier("demo", pool, FakeClock(), lambda _, __: dialer, who.topology.addresses, "t", expected)
        verdict = await verifier.look(with_canaries=True)
    repair_input = RepairInput(
        verdict.survey, verdict.observation, verdict.findings, expected, contents=verdict.contents
    )
    return verdict, repair_input


@examples(300)
@given(st.integers(0, 5), WOUNDS, st.booleans())
def test_whatever_one_node_says(number: int, wounds: list[Wound], knows_file: bool) -> None:
    addresses = sound().topology.addresses
    verdict, repair_input = asyncio.run(look(addresses[number], wounds, knows_file=knows_file))
    seen = {view.address for view in verdict.observation.views}
    assert seen >= {*addresses} - {addresses[number]}
    assert seen | {silent.address for silent in verdict.observation.silent} == {*addresses}
    plan_repair(repair_input)
    with redirect_stdout(io.StringIO()):
        show_survey(verdict.survey)
        show_findings(verdict, is_ours=True, wrote=True)
    json.dumps([msgspec.to_builtins(each) for each in (status_output(verdict.survey), check_output(verdict))])
