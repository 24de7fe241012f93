"""The simulated cluster as a stage: each look at what is waited for is a second later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.ports import Dialer
from slotwright.server.capabilities import Capabilities, Capability
from tests.conformance.cast import SPARES, Cast, cast
from tests.conformance.play import Condition
from tests.conformance.rules import Layout
from tests.fakes.operator import PASSWORD
from tests.fakes.sick_cluster import TIMEOUT_S, Life, Node, dialect_of, sound_cluster
from tests.fakes.sim_server import SimDialer

_MOST_TICKS = 200


@dataclass
class SimStage:
    """Implements :class:`tests.conformance.play.Stage`."""

    cast: Cast
    capabilities: Capabilities
    dialer: Dialer = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = sound_cluster(
            self.cast.blueprint,
            self.cast.layout.persistence,
            {},
            has_shard_ids=self.capabilities.has(Capability.SHARD_IDS),
        )
        self.cluster.dialect = dialect_of(self.capabilities.version)
        for name in SPARES:
            place = self.cast.addresses[name]
            self.cluster.nodes[place] = Node(place, "", {}, {}, {}, life=Life.DEAD)
        self.dialer = SimDialer(self.cluster, lambda what, do: do(), PASSWORD.reveal(), {}, PASSWORD)

    def _node(self, name: str) -> Node:
        return self.cluster.nodes[self.cast.addresses[name]]

    async def until(self, what: str, condition: Condition) -> None:
        for _ in range(_MOST_TICKS):
            if await condition():
                return
            self.cluster.tick()
        raise AssertionError(f"the simulated cluster never comes to this: {what}")

    async def live_on(self) -> None:
        self.cluster.ticks(3 * TIMEOUT_S + 5)

    async def kill(self, name: str) -> None:
        self.cluster.kill(self._node(name))

    async def start(self, name: str) -> bool:
        try:
            self.cluster.start(self._node(name))
        except ServerError:
            return False
        return True

    async def freeze(self, name: str) -> None:
        self._node(name).life = Life.STOPPED

    async def thaw(self, name: str) -> None:
        self._node(name).life = Life.RUNNING

    async def rewrite_map(self, name: str, change: Callable[[str], str | None]) -> None:
        folder = self._node(name).folder
        folder.map = change(folder.map or "")


def sim_stage(layout: Layout, capabilities: Capabilities) -> SimStage:
    places = tuple(Address(f"127.0.0.{number}", 7000 + number) for number in range(1, 9))
    return SimStage(cast(layout, places), capabilities)
