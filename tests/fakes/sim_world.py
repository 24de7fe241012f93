"""The simulated cluster as ports: what a verb of ``features`` is given in place of real servers, hosts and a disk."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field

from slotwright.app.context import Context
from slotwright.app.targets import Target
from slotwright.cluster.record import ClusterRecord, directory_name
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.ports import Connection, Dialer, LoginDialer
from tests.fakes.fuse import Fuse
from tests.fakes.operator import PASSWORD, context_of, new_ids
from tests.fakes.sick_cluster import Cluster, Key
from tests.fakes.sim_host import SimHost
from tests.fakes.sim_server import SimDialer
from tests.fakes.state import MemoryClusterStore, MemoryState
from tests.fakes.world import FakeDialer, FakeHost, World


@dataclass(slots=True)
class SimClock:
    """Implements :class:`slotwright.ports.Clock`: every sleep is a tick of the cluster, or as many as it lasts."""

    world: SimWorld

    def now(self) -> float:
        return float(self.world.cluster.now)

    def wall(self) -> float:
        return float(self.world.cluster.now)

    async def sleep(self, seconds: float) -> None:
        for _ in range(max(1, int(seconds))):
            self.world.tick()
        await asyncio.sleep(0)


class SimLoop(asyncio.SelectorEventLoop):
    """A loop whose time is the cluster's: it passes when everybody waits, at once, and a tick comes with each second.

    For what sleeps side by side: with :class:`SimClock` the seconds of all sleepers would add up.
    """

    def __init__(self, world: SimWorld) -> None:
        self._world, self._now = world, float(world.cluster.now)
        super().__init__(_Skipping(self._pass))

    def time(self) -> float:
        return self._now

    def _pass(self, seconds: float) -> None:
        until = self._now + seconds
        while self._world.cluster.now + 1 <= until:
            self._now = self._world.cluster.now + 1.0
            self._world.tick()
        self._now = until


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing but what is there already."""

    def __init__(self, skip: Callable[[float], None]) -> None:
        super().__init__()
        self._skip = skip

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        assert ready or timeout is not None, "everybody waits for ever"
        if not ready and timeout:
            self._skip(timeout)
        return ready


@dataclass(slots=True)
class LoopClock:
    """Implements :class:`slotwright.ports.Clock` in a :class:`SimLoop`; no sleep is shorter than ``least_s``."""

    world: SimWorld
    least_s: float = 0.5

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return float(self.world.cluster.now)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, self.least_s))


@dataclass(frozen=True, slots=True)
class BothDialer:
    """Implements :class:`slotwright.ports.Dialer` for nodes, and for what is rehearsed beside them."""

    nodes: SimDialer
    rehearsals: FakeDialer

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        is_node = address in self.nodes.cluster.nodes
        return await (self.nodes if is_node else self.rehearsals).dial(address, timeout_s=timeout_s)


@dataclass
class SimWorld(Fuse):
    """A cluster that was made, with the operator's state. ``watch`` is called after every effect, and every second."""

    cluster: Cluster = field(kw_only=True)
    record: ClusterRecord = field(kw_only=True)
    watch: Callable[[], None] = lambda: None
    expiries: dict[Key, int] = field(default_factory=dict)
    new_id: Callable[[], str] = field(default_factory=new_ids)
    rehearsals: World = field(init=False)

    def __post_init__(self) -> None:
        self.rehearsals = World(watch=lambda: self.burn("rehearsal"))
        self.state, self.clock = MemoryState(self.effect, self.burn), SimClock(self)
        self.store.record, self.store.password = self.record, PASSWORD
        self.store.maps = {f"{directory_name(place)}.conf": text for place, text in self.cluster.good_maps.items()}

    @property
    def store(self) -> MemoryClusterStore:
        return self.state.cluster(self.record.name)

    @property
    def context(self) -> Context:
        return context_of(self.state, self.clock, self, self.new_id)

    @property
    def target(self) -> Target:
        return Target(self.record.name, PASSWORD, self.store.record, self.store)

    def change(self, what: str, do: Callable[[], object]) -> None:
        """One effect; see :class:`Fuse`."""
        self.effect(what)
        do()
        self.watch()

    def tick(self) -> None:
        """A second passes; canaries go by themselves."""
        self.cluster.tick()
        for key in [key for key, dies in self.expiries.items() if dies < self.cluster.now]:
            del self.expiries[key]
            for node in self.cluster.nodes.values():
                node.data.pop(key, None)
        self.watch()

    # The port of a fleet.

    def at(self, host: str) -> SimHost:
        return SimHost(self.cluster, self.change, host, FakeHost(self.rehearsals))

    def login(self, password: Secret | None, username: str) -> Dialer:
        nodes = SimDialer(self.cluster, self.change, PASSWORD.reveal(), self.expiries, password)
        return BothDialer(nodes, FakeDialer(self.rehearsals, password))

    def login_on(self, host: str) -> LoginDialer:
        return self.login

    async def close(self) -> None:
        pass
