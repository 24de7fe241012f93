"""Nodes that a drill took away come back: all of them, after a failure of one, and never empty before their replica."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from slotwright.cluster.observation import Observation
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, PartialError
from slotwright.features.drill.plan import displaced_primaries
from slotwright.features.drill.run import NodeOutage, OutageSteps
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Journal
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.doubles import MemoryJournal
from tests.fakes.operator import Operator
from tests.fakes.sick_cluster import Life, sound_cluster
from tests.fakes.sick_views import observe
from tests.fakes.world import FakeFleet, FakeHost, World

NODES = (Address("h1", 7001), Address("h2", 7001))


@dataclass
class FrozenHosts:
    """A fleet of hosts that note what is asked of them; ``stuck`` is a host that can't thaw."""

    stuck: str = ""
    calls: list[str] = field(default_factory=list)
    _host: str = ""

    def at(self, host: str) -> FrozenHosts:
        return FrozenHosts(self.stuck, self.calls, host)

    async def find(self, directory: str, cluster_id: str) -> ProcessId:
        return ProcessId(7, "now")

    async def is_running(self, process: ProcessId) -> bool:
        return True

    async def freeze(self, process: ProcessId, directory: str) -> None:
        self.calls.append(f"freeze {self._host}")

    async def thaw(self, process: ProcessId, directory: str) -> None:
        if self._host == self.stuck:
            raise HostError("no answer", code="host-lost", where=self._host)
        self.calls.append(f"thaw {self._host}")


@dataclass
class FullDisk(MemoryJournal):
    """A journal on a disk that can be full."""

    is_full: bool = False

    def write(self, entry: Mapping[str, object]) -> None:
        if self.is_full:
            raise HostError("no space left", code="disk-full", where="journal.jsonl")
        super().write(entry)


@dataclass
class Record:
    name: str = "cache"

    @property
    def blueprint(self) -> Any:
        return type("Blueprint", (), {"cluster_id": "id", "nodes": ()})

    def node_directory(self, address: Address) -> str:
        return f"/data/{address}"


@dataclass
class SeenOutage(NodeOutage):
    """It sees what it is given."""

    seen: Observation = field(default_factory=lambda: Observation(()))

    async def look(self) -> Observation:
        return self.seen


def outage(hosts: FrozenHosts, journal: Journal | None = None) -> SeenOutage:
    world = cast("Any", None)
    steps = OutageSteps(cast("Any", hosts), world, cast("Any", Record()))
    return SeenOutage(steps, world, lambda event: None, journal or MemoryJournal(), is_freeze=True)


async def taken_and_back(hosts: FrozenHosts) -> NodeOutage:
    made = outage(hosts)
    await made.begin(NODES)
    assert set(made.away) == set(NODES)
    await made.end(0.0)
    return made


def test_all_come_back() -> None:
    hosts = FrozenHosts()
    made = asyncio.run(taken_and_back(hosts))
    assert hosts.calls == ["freeze h1", "freeze h2", "thaw h1", "thaw h2"]
    assert (made.away, made.has_begun) == ((), True)


def test_one_that_can_not_come_back_keeps_no_other_away() -> None:
    hosts = FrozenHosts(stuck="h1")
    with pytest.raises(PartialError) as caught:
        asyncio.run(taken_and_back(hosts))
    assert hosts.calls[-1] == "thaw h2"
    assert caught.value.code == "host-lost"
    assert caught.value.left == "nodes that the drill took away are still away: h1:7001"


def test_each_is_journaled_when_it_is_taken_away_and_when_it_is_back() -> None:
    journal = MemoryJournal()
    made = outage(FrozenHosts(stuck="h1"), journal)
    asyncio.run(made.begin(NODES))
    with pytest.raises(PartialError):
        asyncio.run(made.end(0.0))
    ends = [line for line in journal.lines if not line.startswith("intent")]
    assert ends == ["done freeze h1:7001", "done freeze h2:7001", "failed thaw h1:7001", "done thaw h2:7001"]


def test_a_journal_that_can_t_be_written_takes_nobody_away_and_keeps_nobody_away() -> None:
    hosts, journal = FrozenHosts(), FullDisk()
    made = outage(hosts, journal)
    journal.is_full = True
    with pytest.raises(HostError):
        asyncio.run(made.begin(NODES))
    assert (hosts.calls, made.away) == ([], ())
    journal.is_full = False
    asyncio.run(made.begin(NODES))
    journal.is_full = True
    asyncio.run(made.end(0.0))
    assert (hosts.calls[2:], made.away) == (["thaw h1", "thaw h2"], ())


def test_nothing_taken_nothing_brought_back() -> None:
    hosts = FrozenHosts()
    asyncio.run(outage(hosts).end(0.0))
    assert hosts.calls == []


def killed(*places: str, **settings: str) -> tuple[Operator, NodeOutage, ConnectionPool]:
    """A formed cluster, in which the nodes at ``places`` were killed by a drill."""
    who = Operator(World(), build.topology(settings={"appendonly": "no", **settings}))
    asyncio.run(who.up())
    for number, server in enumerate(who.world.servers.values()):
        server.keys[f"k{number}"] = ("v", 1e12)
    pool = who.pool()
    steps = OutageSteps(cast("Any", who.fleet), who.world.clock, who.record)
    made = NodeOutage(steps, pool, lambda event: None, MemoryJournal(), is_freeze=False)
    asyncio.run(made.begin([at(place) for place in places]))
    assert not {at(place) for place in places} & who.world.servers.keys()
    return who, made, pool


def test_a_frozen_primary_whose_place_was_taken_is_displaced() -> None:
    wanted = build.blueprint(build.topology())
    cluster = sound_cluster(wanted, Persistence.APPEND_ONLY, {}, has_shard_ids=True)
    first, second, _ = (shard.primary.address for shard in wanted.shards)
    replica = wanted.shards[1].replicas[0].address
    away = {first, replica}
    cluster.nodes[first].life = cluster.nodes[replica].life = Life.STOPPED
    assert displaced_primaries(wanted, away, observe(cluster)) == frozenset()
    cluster.ticks(15)
    assert displaced_primaries(wanted, away, observe(cluster)) == {first}
    assert displaced_primaries(wanted, {second}, observe(cluster)) == frozenset()


def primary_and_replica(who: Operator) -> tuple[Address, Address]:
    shard = who.blueprint.shards[0]
    return shard.primary.address, shard.replicas[0].address


def test_a_primary_that_would_start_empty_stays_away_and_keeps_no_other_away() -> None:
    first = Operator(World(), build.topology(settings={"appendonly": "no"}))
    asyncio.run(first.up())
    primary, _ = primary_and_replica(first)
    other_replica = first.blueprint.shards[1].replicas[0].address
    who, made, _ = killed(str(primary), str(other_replica))
    with pytest.raises(PartialError) as caught:
        asyncio.run(made.end(who.world.clock.now() + 1))
    assert (caught.value.code, set(made.away)) == ("empty-primary-start", {primary})
    assert other_replica in who.world.servers


def test_nor_is_it_started_where_its_replica_does_not_answer_on_a_connection_that_was_cut() -> None:
    first = Operator(World(), build.topology(settings={"appendonly": "no"}))
    asyncio.run(first.up())
    primary, replica = primary_and_replica(first)
    who, made, pool = killed(str(primary))

    async def cut_and_back() -> None:
        # A signal that comes in the middle of a look leaves its connections closed in the pool.
        await (await pool.connection(replica)).close()
        await made.end(who.world.clock.now() + 1)

    with pytest.raises(PartialError):
        asyncio.run(cut_and_back())
    assert primary not in who.world.servers
    who.world.servers[replica].is_mute = True
    with pytest.raises(PartialError) as caught:
        asyncio.run(made.end(who.world.clock.now() + 1))
    assert caught.value.code == "empty-primary-start"


def test_one_that_was_never_killed_runs_on_and_is_not_started() -> None:
    first = Operator(World(), build.topology(settings={"appendonly": "no"}))
    asyncio.run(first.up())
    _, replica = primary_and_replica(first)
    who, made, _ = killed()
    made.steps.away[replica] = who.world.servers[replica].process
    asyncio.run(made.end(who.world.clock.now()))
    assert (made.away, f"start {replica}" in who.world.effects[-1:]) == ((), False)


def test_one_that_dies_at_its_start_is_away_and_says_why() -> None:
    first = Operator(World(), build.topology(settings={"appendonly": "no"}))
    asyncio.run(first.up())
    _, replica = primary_and_replica(first)
    who, made, _ = killed(str(replica))
    who_dies = FakeHost(who.world, log="# Fatal error, can't open the append log", dies_at_start=True)
    made.steps.fleet = cast("Any", FakeFleet(who_dies))
    with pytest.raises(PartialError) as caught:
        asyncio.run(made.end(who.world.clock.now()))
    assert (caught.value.code, made.away) == ("start-failed", (replica,))
