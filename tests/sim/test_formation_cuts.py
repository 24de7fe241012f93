"""Formation and repair, cut anywhere: whatever is left, observing and planning again ends in a whole, sealed cluster.

What runs is the real ``features.deploy.api``; the hosts, the servers and the state directory are those of
``tests/fakes/world.py``, where a fuse kills the operator's process at any single effect.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.node_files import NODES_CONF
from slotwright.cluster.record import Stage
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.steps import ApplySettings, AwaitUsable, Plan, StartNode
from slotwright.cluster.topology import Address, HostSpec, Topology
from slotwright.features.deploy.plan.placement import place
from tests.extent import examples
from tests.fakes import build
from tests.fakes.fuse import KilledError
from tests.fakes.operator import Operator
from tests.fakes.world import BUILT_IN, World

LIVE_CHANGES = st.dictionaries(
    st.sampled_from(["maxmemory", "maxmemory-policy", "cluster-node-timeout", "appendonly"]),
    st.sampled_from(["1048576", "2097152", "allkeys-lru", "no", "yes", "30000"]),
    max_size=3,
)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    """Three to nine nodes on one to four hosts, with up to two replicas a shard."""
    replicas = draw(st.integers(0, 2))
    nodes = draw(st.integers(3 * (1 + replicas), 9))
    hosts = draw(st.integers(1, min(4, nodes)))
    sizes = Counter(number % hosts for number in range(nodes))
    specs = tuple(HostSpec(f"h{at}", tuple(range(7001, 7001 + size))) for at, size in sorted(sizes.items()))
    return Topology("any", build.ENGINE, specs, replicas, allow_colocated_replicas=True)


def run(operator: Operator, fuse: int | None = None, before: str = "") -> Plan | None:
    """One ``up``; None when it was cut: after ``fuse`` effects, or before the first one that begins so. What must hold
    after every one of them is held here."""
    world = operator.world
    nodes = {directory: files for directory, files in world.folders.items() if directory.startswith(build.DATA_ROOT)}
    maps = {directory: files.get(NODES_CONF) for directory, files in nodes.items()}
    world.fuse, world.ends_before = fuse, before
    try:
        done = asyncio.run(operator.up()).plan
    except KilledError:
        done = None
    world.renew()
    for directory, text in maps.items():
        assert text is None or world.folders[directory][NODES_CONF] == text, "a map was overwritten"
    return done


def assert_whole(operator: Operator) -> None:
    world, made = operator.world, operator.blueprint
    assert operator.record.stage is Stage.FORMED
    assert asyncio.run(operator.plan()).is_empty
    assert world.servers.keys() == {node.address for node in made.nodes}
    world.clock.time += 60  # who was started last is ready; a canary that was cut lives no longer
    assert [server.id for server in world.servers.values() if not server.is_ok] == []
    assert [key for server in world.servers.values() for key in server.live_keys()] == []
    served = SlotSet.of(piece for server in world.servers.values() for piece in server.me.slots.ranges)
    assert str(served) == "0-16383"
    assert all(server.link_is_up for server in world.servers.values() if not server.me.is_primary)
    wanted = settings_of(operator)
    for server in world.servers.values():
        assert server.id == made.node_at(server.address).id
        assert {name: server.settings[name] for name in wanted} == wanted


def settings_of(operator: Operator) -> dict[str, str]:
    """What the servers have to say, by the rehearsal of the last `up`."""
    password = operator.password
    return dict(operator.record.settings) | ({"masterauth": password.reveal()} if password else {})


def assert_made_once(world: World) -> None:
    counted = Counter(effect for effect in world.effects if effect.startswith(("folder", "map", "start")))
    assert set(counted.values()) == {1}, "made or started twice"


def formed(topology: Topology) -> Operator:
    operator = Operator(World(), topology)
    run(operator)
    operator.world.effects.clear()
    return operator


def effects_of_forming(topology: Topology) -> int:
    world = World()
    run(Operator(world, topology))
    return world.burnt


SMALL = build.topology(hosts=3, ports=2, replicas=1)


@pytest.mark.parametrize("cut", range(effects_of_forming(SMALL)))
def test_six_nodes_cut_at_every_effect(cut: int) -> None:
    operator = Operator(World(), SMALL)
    assert run(operator, fuse=cut) is None
    run(operator)
    assert_whole(operator)
    assert_made_once(operator.world)


@examples(60)
@given(topologies(), st.lists(st.integers(0, 115), max_size=4))
def test_any_formation_cut_any_number_of_times(topology: Topology, cuts: list[int]) -> None:
    operator = Operator(World(), topology)
    for cut in cuts:
        run(operator, fuse=cut)
    run(operator)
    assert_whole(operator)
    assert_made_once(operator.world)


@examples(60)
@given(st.data())
def test_servers_that_die_between_two_cuts_are_started_again(data: st.DataObject) -> None:
    topology = data.draw(topologies())
    operator = Operator(World(), topology)
    for cut in data.draw(st.lists(st.integers(10, 115), min_size=1, max_size=3)):
        run(operator, fuse=cut)
        for address in data.draw(st.sets(st.sampled_from(sorted(topology.addresses)))):
            if address in operator.world.servers:
                operator.world.kill(address)
    run(operator)
    assert_whole(operator)
    assert not [effect for effect, times in Counter(operator.world.effects).items() if "map" in effect and times > 1]


@examples(50)
@given(st.data())
def test_the_killed_nodes_of_a_formed_cluster_are_started_and_nothing_else(data: st.DataObject) -> None:
    operator = formed(data.draw(topologies()))
    killed = data.draw(st.sets(st.sampled_from(sorted(operator.topology.addresses)), min_size=1))
    for address in killed:
        operator.world.kill(address)
    plan = asyncio.run(operator.plan())
    nodes = operator.blueprint.nodes
    is_hurried = len(killed) == len(nodes)
    assert plan.waves[:2] == (
        tuple(
            StartNode(node.address, node.role, node.shard, "its process is gone", is_hurried)
            for node in nodes
            if node.address in killed
        ),
        (AwaitUsable(len(nodes)),),
    )
    restoring = [step for wave in plan.waves[2:] for step in wave]
    assert [type(step) for step in restoring] == [ApplySettings] * len(nodes) * is_hurried
    for cut in data.draw(st.lists(st.integers(0, 12), max_size=3)):
        run(operator, fuse=cut)
    run(operator)
    assert_whole(operator)


@examples(50)
@given(st.data())
def test_settings_that_a_running_server_takes_are_set_whatever_is_cut(data: st.DataObject) -> None:
    operator = formed(data.draw(topologies()))
    changed = data.draw(LIVE_CHANGES)
    before = BUILT_IN | settings_of(operator)
    operator.topology = replace(operator.topology, settings=tuple(changed.items()))
    wanted = {name: value for name, value in changed.items() if before[name] != value}
    plan = asyncio.run(operator.plan())
    assert plan.refusals == ()
    sets = [step for step in plan.steps if isinstance(step, ApplySettings)]
    assert all({change.name: change.new for change in step.changes} == wanted for step in sets)
    assert [step.address for step in sets] == ([node.address for node in operator.blueprint.nodes] if changed else [])
    assert [step.kind for step in plan.steps[len(sets) :]] == (["wait", "remember"] if changed else [])
    for cut in data.draw(st.lists(st.integers(0, 20), max_size=3)):
        run(operator, fuse=cut)
    run(operator)
    assert_whole(operator)


@examples(40)
@given(st.data())
def test_killed_nodes_and_new_settings_together(data: st.DataObject) -> None:
    operator = formed(data.draw(topologies()))
    killed = data.draw(st.sets(st.sampled_from(sorted(operator.topology.addresses)), min_size=1))
    for address in killed:
        operator.world.kill(address)
    operator.topology = replace(operator.topology, settings=tuple(data.draw(LIVE_CHANGES).items()))
    plan = asyncio.run(operator.plan())
    assert {step.address for step in plan.steps if isinstance(step, StartNode)} == killed
    if len(killed) < len(operator.topology.addresses):
        assert {step.address for step in plan.steps if isinstance(step, ApplySettings)}.isdisjoint(killed)
    for cut in data.draw(st.lists(st.integers(0, 20), max_size=3)):
        run(operator, fuse=cut)
    run(operator)
    assert_whole(operator)


@examples(20)
@given(st.data())
def test_a_setting_that_needs_a_restart_is_refused_while_any_node_runs(data: st.DataObject) -> None:
    operator = formed(data.draw(topologies()))
    killed = data.draw(st.sets(st.sampled_from(sorted(operator.topology.addresses))))
    for address in killed:
        operator.world.kill(address)
    operator.topology = replace(operator.topology, settings=(("databases", "32"),))
    plan = asyncio.run(operator.plan())
    if len(killed) < len(operator.topology.addresses):
        assert [refusal.what for refusal in plan.refusals] == ["set databases"]
        assert plan.waves == ()
    else:
        for cut in data.draw(st.lists(st.integers(0, 20), max_size=3)):
            run(operator, fuse=cut)
        run(operator)
        assert_whole(operator)


def test_a_lost_folder_of_a_formed_cluster_is_not_made_anew() -> None:
    operator = formed(SMALL)
    gone = build.at("h1:7001")
    operator.world.kill(gone)
    del operator.world.folders[operator.directory(gone)]
    plan = asyncio.run(operator.plan())
    assert [refusal.what for refusal in plan.refusals] == ["make h1:7001 anew"]
    assert plan.waves == ()


def test_settings_edited_after_a_cut_reach_the_nodes_that_were_made_but_not_started() -> None:
    operator = Operator(World(), SMALL)
    run(operator, before="start h")
    operator.topology = replace(SMALL, settings=(("maxmemory", "1048576"),))
    run(operator)
    assert_whole(operator)


def test_a_setting_that_needs_a_restart_edited_after_a_cut_does_not_lead_into_a_refusal() -> None:
    operator = Operator(World(), SMALL)
    run(operator, before="start h")
    operator.topology = replace(SMALL, settings=(("databases", "32"),))
    run(operator)
    assert asyncio.run(operator.plan()).refusals == ()


def test_a_setting_that_needs_a_restart_edited_while_servers_form_is_taken_after_a_stop() -> None:
    operator = Operator(World(), SMALL)
    run(operator, before="start h2:7002")
    operator.topology = replace(SMALL, settings=(("databases", "32"),))
    assert [refusal.what for refusal in asyncio.run(operator.plan()).refusals] == ["set databases"]
    for address in list(operator.world.servers):
        operator.world.kill(address)
    run(operator)
    assert_whole(operator)


def test_the_lowered_timings_of_a_formation_are_put_back_after_a_cut_before_that() -> None:
    operator = Operator(World(), SMALL)
    run(operator, before="write")
    assert {server.settings["repl-diskless-sync-delay"] for server in operator.world.servers.values()} == {"0"}
    run(operator)
    assert {server.settings["repl-diskless-sync-delay"] for server in operator.world.servers.values()} == {"5"}


def test_the_shapes_that_are_drawn_can_all_be_placed() -> None:
    topology = Topology("any", build.ENGINE, (HostSpec("h0", tuple(range(7001, 7010))),), 2)
    assert [len(shard.replicas) for shard in place(topology).shards] == [2, 2, 2]
    assert BUILT_IN["repl-diskless-sync-delay"] == "5"
    assert Address("h0", 7001) in topology.addresses
