"""A primary gives its last slot away, on clusters of every kind: what servers then refuse, and what they hear first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from slotwright.cluster.key_holders import QuarantinedKey
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import EngineKind
from slotwright.keys.migrate_keys import migrate_limiter
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.keys.move_slots import SlotMover
from slotwright.nodes.connections import ConnectionPool
from slotwright.server.capabilities import capabilities_of
from tests.conformance.cast import MEMBERS, SLOT_C
from tests.conformance.rules import Layout
from tests.conformance.simulated import SimStage, sim_stage
from tests.fakes.doubles import FakeClock, Listener
from tests.fakes.operator import PASSWORD
from tests.fakes.sim_server import SimDialer

VERSIONS = (
    ServerVersion(EngineKind.REDIS, (6, 2, 0)),
    ServerVersion(EngineKind.REDIS, (8, 2, 0)),
    ServerVersion(EngineKind.VALKEY, (9, 1, 0)),
)


class _TickingClock(FakeClock):
    """The cluster lives on while we wait."""

    stage: SimStage

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        self.stage.cluster.tick()


async def _nothing_differs(keys: Sequence[QuarantinedKey]) -> None:
    assert not keys


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.title)
@pytest.mark.parametrize("is_told_at_once", [True, False])
def test_the_last_slot_goes_with_its_keys(version: ServerVersion, is_told_at_once: bool) -> None:
    stage = sim_stage(Layout(), capabilities_of(version))
    cluster, places, ids = stage.cluster, stage.cast.addresses, stage.cast.ids
    giver, taker = cluster.nodes[places["c"]], cluster.nodes[places["a"]]
    giver.data[SLOT_C, b"x"] = "value"
    cluster.tick()

    def change(what: str, do: Callable[[], object]) -> None:
        do()
        if is_told_at_once:
            cluster.tick()

    clock = _TickingClock()
    clock.stage = stage

    async def settle() -> None:
        dialer = SimDialer(cluster, change, PASSWORD.reveal(), {}, PASSWORD)
        async with ConnectionPool(dialer) as pool:
            step = SettleSlots(places["a"], ids["a"], SlotSet.from_slots([SLOT_C]), (places["c"],), (), False)
            everybody = tuple(places[name] for name in MEMBERS)
            limiter = migrate_limiter(clock)
            await SlotMover(pool, clock, Listener(), everybody, _nothing_differs, limiter, dialer).settle(step)

    asyncio.run(settle())
    assert taker.data == {(SLOT_C, b"x"): "value"}
    assert SLOT_C in taker.me.slots
    cluster.ticks(5)
    assert not giver.is_primary or version.numbers < (7, 0)
    assert not any((*node.migrating, *node.importing) for node in cluster.running())
