"""One operator with one topology file, whose verbs are the real ones of ``features`` on a simulated world."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import cast

from slotwright.app.context import Context
from slotwright.app.targets import Target, open_verifier
from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.events import Report, silent
from slotwright.cluster.record import ClusterRecord, directory_name
from slotwright.cluster.secret import Secret
from slotwright.cluster.steps import Plan
from slotwright.cluster.topology import Address, Engine, PasswordRef, PasswordSource, Topology
from slotwright.features.deploy import api
from slotwright.features.deploy.outcome import UpResult
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.verify import Verifier
from slotwright.ports import AgreeTo, AskSecret, Binary, Clock, Fleet, LoadedTopology
from tests.fakes import build
from tests.fakes.doubles import MemoryJournal
from tests.fakes.state import MemoryClusterStore, MemorySecrets, MemoryState
from tests.fakes.world import FakeDialer, FakeFleet, FakeHost, World

PASSWORD = Secret("hunter2")
FILE = Path("/etc/any.yaml")


def new_ids() -> Callable[[], str]:
    """40 hexadecimal digits each, the same ones in every test, whose beginnings differ."""
    numbers = count(1)
    return lambda: hashlib.sha1(str(next(numbers)).encode()).hexdigest()


@dataclass
class Operator:
    """``password`` None: the servers want none. ``host`` is what all addresses lead to; ``journal`` is for steps that a
    test takes by itself."""

    world: World
    topology: Topology
    password: Secret | None = PASSWORD
    report: Report = silent
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    host: FakeHost = field(init=False)
    new_id: Callable[[], str] = field(default_factory=new_ids)

    def __post_init__(self) -> None:
        self.host = FakeHost(self.world)

    async def up(self) -> UpResult:
        """Make the world what the file says."""
        return await api.up(self.context, FILE)

    async def plan(self) -> Plan:
        """What would be done."""
        return await api.plan(self.context, FILE)

    @property
    def context(self) -> Context:
        """The simulated world as ports."""
        context = context_of(self.world.state, self.world.clock, self.fleet, self.new_id)
        return replace(context, report=self.report, read_topology=self.read_topology)

    def read_topology(self, path: Path) -> LoadedTopology:
        source = PasswordSource.NONE if self.password is None else PasswordSource.INLINE
        return LoadedTopology(replace(self.topology, password=PasswordRef(source)), path, (), self.password)

    @property
    def store(self) -> MemoryClusterStore:
        return self.world.state.cluster(self.topology.name)

    @property
    def record(self) -> ClusterRecord:
        """Of a cluster that was made, or begun."""
        found = self.store.record
        assert found is not None, "nothing was made yet"
        return found

    @property
    def blueprint(self) -> Blueprint:
        return self.record.blueprint

    @property
    def target(self) -> Target:
        """The cluster as other verbs are given it."""
        return Target(self.topology.name, self.password, self.record, self.store)

    @property
    def fleet(self) -> FakeFleet:
        return FakeFleet(self.host)

    def pool(self) -> ConnectionPool:
        return ConnectionPool(FakeDialer(self.world, self.password))

    @asynccontextmanager
    async def verifier(self) -> AsyncIterator[Verifier]:
        """Looks at the cluster as every verb does."""
        async with self.pool() as pool:
            yield await open_verifier(self.context, self.target, self.fleet, pool)  # type: ignore[arg-type]

    @staticmethod
    def directory(address: Address) -> str:
        return f"{build.DATA_ROOT}/{directory_name(address)}"


def context_of(state: MemoryState, clock: Clock, fleet: object, new_id: Callable[[], str]) -> Context:
    """A world in memory as ports, whatever fleet of servers it has."""

    async def open_fleet(
        topology: Topology | None, programs: Sequence[str], report: Report, ask: AskSecret, agree: AgreeTo
    ) -> Fleet:
        return cast("Fleet", fleet)

    return Context(
        state=state,
        clock=clock,
        open_journal=state.open_journal,
        new_id=new_id,
        open_fleet=open_fleet,
        find_engine=_find_engine,
        secrets=MemorySecrets(),
        operator=lambda: "ada@control",
    )


def _find_engine(engine: Engine) -> Binary:
    return Binary("/usr/bin/valkey-server", build.VERSION)
