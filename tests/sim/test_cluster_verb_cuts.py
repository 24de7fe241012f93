"""Verbs that move roles and take nodes away, cut at every effect: the cluster is whole again with what is typed then.

Each is the real function of its feature, on the simulated cluster of ``tests/fakes/sim_*.py``, whose nodes vote, gossip
and copy. Held after every effect and every second: no value is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import PasswordRef, PasswordSource
from slotwright.errors import SlotwrightError
from slotwright.features.drill.api import DrillOptions, drill
from slotwright.features.failover.api import failover, restore_plan
from slotwright.features.lifecycle.api import start, stop
from slotwright.features.repair.api import repair
from slotwright.hosts.scripts.systemd_unit import Persistence
from tests.fakes import build
from tests.fakes.build import blueprint, topology
from tests.fakes.sick_cluster import ALL, TIMEOUT_S, Cluster, Data, Key, Life, Node, sound_cluster
from tests.fakes.sim_world import LoopClock, SimClock, SimLoop, SimWorld
from tests.fakes.state import MemoryClusterStore
from tests.sim.cuts import Law, Verb

WANTED = replace(
    topology(3, 2, 1, settings={"cluster-node-timeout": f"{TIMEOUT_S * 1000}"}),
    password=PasswordRef(PasswordSource.INLINE),
)
MADE = blueprint(WANTED)
MOST_TICKS = 2000


@dataclass
class Made:
    """A sound cluster with keys."""

    world: SimWorld
    before: set[tuple[Key, str]] = field(default_factory=set)

    @property
    def cluster(self) -> Cluster:
        return self.world.cluster

    @property
    def store(self) -> MemoryClusterStore:
        return self.world.store

    def watch(self) -> None:
        assert self.cluster.now < MOST_TICKS, "it does not end"
        gone = self.before - self.cluster.values()
        assert not gone, f"lost: {sorted(gone)} after {self.world.effects}"

    def primary(self, shard: int) -> Node:
        return self.cluster.nodes[MADE.shards[shard].primary.address]

    def replica(self, shard: int) -> Node:
        return self.cluster.nodes[MADE.shards[shard].replicas[0].address]


def made(
    prepare: Callable[[Made], object] = lambda scene: None, persistence: Persistence = Persistence.APPEND_ONLY
) -> Made:
    slots = [shard.slots.ranges[0].first + offset for offset in (1, 5) for shard in MADE.shards]
    data: Data = {(slot, b"key-%d" % number): f"{slot}-{number}" for slot in slots for number in range(2)}
    cluster = sound_cluster(MADE, persistence, data, has_shard_ids=True)
    settings = () if persistence is Persistence.APPEND_ONLY else (("appendonly", "no"),)
    wanted = replace(WANTED, settings=(*WANTED.settings, *settings))
    scene = Made(SimWorld(cluster=cluster, record=build.record(wanted, made=MADE)), cluster.values())
    prepare(scene)
    scene.world.watch = scene.watch
    return scene


def sound(scene: Made) -> None:
    """All of it runs, and every slot has one owner, with a replica; links of a failover that was cut take a moment."""
    scene.cluster.ticks(2)
    nodes = scene.cluster.nodes.values()
    assert [node.place for node in nodes if node.life is not Life.RUNNING] == []
    owned = [node.me.slots for node in nodes if node.is_primary]
    assert SlotSet.of(piece for slots in owned for piece in slots.ranges) == ALL
    assert sum(map(len, owned)) == len(ALL)
    assert all(node.is_linked for node in nodes if not node.is_primary)
    held = {value for node in nodes if node.is_primary for value in node.data.items()}
    assert held >= scene.before


def leads(shard: int, scene: Made) -> None:
    assert scene.replica(shard).me.slots == MADE.shards[shard].slots
    sound(scene)


async def mend(scene: Made) -> None:
    await repair(scene.world.context, scene.world.target)


def test_failover() -> None:
    async def to_the_replica(scene: Made) -> None:
        await failover(scene.world.context, str(scene.replica(1).place), "demo")

    _hold(20, "failover", Law(made, to_the_replica, partial(leads, 1)), 0)


def test_failover_over_a_dead_primary() -> None:
    async def over_the_dead(scene: Made) -> None:
        await failover(scene.world.context, str(scene.replica(1).place), "demo", force=True)

    def leads_and_is_followed(scene: Made) -> None:
        assert scene.replica(1).me.slots == MADE.shards[1].slots
        scene.cluster.start(scene.primary(1))
        scene.cluster.ticks(3)
        leads(1, scene)

    make = partial(made, lambda scene: scene.cluster.kill(scene.primary(1)))
    _hold(18, "failover --force", Law(make, over_the_dead, leads_and_is_followed), 1)


def displaced(scene: Made) -> None:
    for shard in (0, 2):
        scene.cluster.elect(scene.replica(shard), is_forced=True)
    scene.cluster.ticks(3)


def test_roles_brought_back() -> None:
    def as_planned(scene: Made) -> None:
        assert [scene.primary(shard).me.slots for shard in range(3)] == [shard.slots for shard in MADE.shards]
        sound(scene)

    law = Law(partial(made, displaced), lambda scene: restore_plan(scene.world.context, scene.world.target), as_planned)
    _hold(20, "failover --restore-plan", law, 2)


def in_time_of_its_own(scene: Made, work: Coroutine[Any, Any, object]) -> object:
    """The load writes while the drill waits."""
    scene.world.clock = LoopClock(scene.world)  # type: ignore[assignment]
    try:
        with asyncio.Runner(loop_factory=partial(SimLoop, scene.world)) as runner:
            return runner.run(work)
    finally:
        scene.world.clock = SimClock(scene.world)


def drilled(options: DrillOptions, goes_on: Verb[Made] = mend, make: Callable[[], Made] = made) -> Law[Made]:
    async def take_away(scene: Made) -> None:
        done = await drill(scene.world.context, scene.world.target, options)
        assert done.is_passed, done

    def all_back(scene: Made) -> None:
        assert [node.place for node in scene.cluster.nodes.values() if node.life is not Life.RUNNING] == []

    return Law(make, take_away, sound, goes_on, after_signal=all_back, run=in_time_of_its_own)


def test_drill_that_kills() -> None:
    _hold(20, "drill", drilled(DrillOptions(rate=6)), 3)


async def bring_back(scene: Made) -> None:
    await start(scene.world.context, scene.world.target)


def test_drill_that_kills_and_a_start_after_it() -> None:
    _hold(20, "drill, then start", drilled(DrillOptions(rate=6), bring_back), 1)


def only_in_memory(scene: Made) -> None:
    """Nobody has saved: a node that is killed has nothing."""
    for node in scene.cluster.nodes.values():
        node.snapshot = {}


async def bring_back_if_it_may(scene: Made) -> None:
    """A primary that would come back empty is not started ahead of its replica; a repair waits for that one."""
    with suppress(SlotwrightError):
        await bring_back(scene)
    await mend(scene)


def test_drill_of_nodes_whose_keys_are_in_memory_alone() -> None:
    make = partial(made, only_in_memory, Persistence.SNAPSHOTS)
    _hold(20, "drill of nodes without a log", drilled(DrillOptions(rate=6), bring_back_if_it_may, make), 2)


def at_rest(scene: Made) -> None:
    only_in_memory(scene)
    for node in scene.cluster.nodes.values():
        scene.cluster.kill(node, saves=True)


def test_a_stop_of_all_and_a_start() -> None:
    """What was saved with the stop comes back."""

    async def stop_all(scene: Made) -> None:
        await stop(scene.world.context, scene.world.target)

    def started_again(scene: Made) -> None:
        assert all(node.life is Life.DEAD for node in scene.cluster.nodes.values())
        asyncio.run(bring_back(scene))
        sound(scene)

    make = partial(made, only_in_memory, Persistence.SNAPSHOTS)
    _hold(20, "stop of voters", Law(make, stop_all, started_again), 3)
    make = partial(made, at_rest, Persistence.SNAPSHOTS)
    _hold(60, "start of voters", Law(make, bring_back, sound), 3)


def test_a_primary_stopped_and_started() -> None:
    async def stop_one(scene: Made) -> None:
        await stop(scene.world.context, scene.world.target, [str(scene.primary(0).place)])

    def started_again(scene: Made) -> None:
        assert [node.place for node in scene.cluster.nodes.values() if node.life is Life.DEAD] == [
            MADE.shards[0].primary.address
        ]
        asyncio.run(bring_back(scene))
        sound(scene)

    _hold(5, "stop of one", Law(made, stop_one, started_again), 2)


def test_a_former_primary_is_started() -> None:
    def voted_out(scene: Made) -> None:
        scene.cluster.kill(scene.primary(0), saves=True)
        scene.cluster.ticks(12)
        assert scene.replica(0).is_primary

    _hold(20, "start of a former primary", Law(partial(made, voted_out), bring_back, sound), 4)


def test_drill_that_freezes() -> None:
    _hold(20, "drill --freeze", drilled(DrillOptions(rate=6, is_freeze=True)), 4)


def test_drill_of_a_planned_failover() -> None:
    _hold(20, "drill --planned", drilled(DrillOptions(rate=6, is_planned=True)), 0)


def time_passes(scene: Made) -> None:
    """Until somebody looks; whoever is away for long is voted out meanwhile."""
    scene.cluster.ticks(7 * len(scene.world.effects) % 30)


def _hold(least: int, verb: str, law: Law[Made], turn: int) -> None:
    cuts = replace(law, after_cut=time_passes).hold(turn)
    print(f"{verb}: {cuts} cuts")
    assert cuts >= least
