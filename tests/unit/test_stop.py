"""Stopping and taking away, on a fake world."""

from __future__ import annotations

import asyncio

import pytest

from slotwright.errors import PartialError
from slotwright.model.events import silent
from slotwright.operations.stop import NodeToStop, Stopped, Stopper
from slotwright.operations.undo import Undo, count_keys
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.up import Operator
from tests.fakes.world import World

REPLICAS = {"h1:7002", "h2:7002", "h3:7002"}


@pytest.fixture
def who() -> Operator:
    found = Operator(World(), build.topology())
    asyncio.run(found.up())
    found.world.effects.clear()
    return found


def stop(who: Operator, *places: str, kill: bool = False) -> tuple[Stopped, ...]:
    async def do() -> tuple[Stopped, ...]:
        async with who.roster() as roster:
            stopper = Stopper(who.fleet, roster, who.world.clock, silent, is_kill=kill)
            cluster_id = who.blueprint.cluster_id
            return await stopper.stop([NodeToStop(at(text), who.directory(at(text)), cluster_id) for text in places])

    return asyncio.run(do())


def everyone(who: Operator) -> list[str]:
    return [str(node.address) for node in who.blueprint.nodes]


@pytest.mark.parametrize("kill", [False, True])
def test_replicas_go_before_primaries(who: Operator, kill: bool) -> None:
    stopped = stop(who, *everyone(who), kill=kill)
    gone = [effect.split()[-1] for effect in who.world.effects]
    assert set(gone[:3]) == REPLICAS and len(gone) == 6
    assert [str(node.address) for node in stopped] == sorted(gone)
    assert {node.was_killed for node in stopped} == {kill}
    assert who.world.servers == {}


def test_nodes_that_do_not_run_are_left_out(who: Operator) -> None:
    who.world.kill(at("h1:7001"))
    assert [str(node.address) for node in stop(who, "h1:7001", "h2:7001")] == ["h2:7001"]
    assert stop(who, "h1:7001") == ()


def test_a_server_that_can_t_save_goes_on_and_the_others_stop(who: Operator) -> None:
    who.world.servers[at("h2:7001")].refuses = frozenset({"SHUTDOWN"})
    with pytest.raises(PartialError) as caught:
        stop(who, "h1:7001", "h2:7001", "h3:7001")
    assert (caught.value.code, caught.value.where) == ("save-failed", "h2:7001")
    assert "--kill" in caught.value.hint
    assert {str(address) for address in who.world.servers} == {"h2:7001"} | REPLICAS


def test_a_mute_server_is_not_stopped_but_can_be_killed(who: Operator) -> None:
    who.world.servers[at("h2:7001")].is_mute = True
    with pytest.raises(PartialError) as caught:
        stop(who, "h2:7001")
    assert (caught.value.code, len(who.world.servers)) == ("timeout", 6)
    (stopped,) = stop(who, "h2:7001", kill=True)
    assert (stopped.keys, stopped.was_killed) == (None, True)


def test_taking_down_ends_all_processes_before_any_folder_goes(who: Operator) -> None:
    record = who.world.record
    assert record is not None
    asyncio.run(Undo(who.fleet, who.world.clock).take_down(record))
    kinds = [effect.split()[0] for effect in who.world.effects]
    assert kinds == ["kill"] * 6 + ["remove"] * 6
    assert (who.world.servers, who.world.folders) == ({}, {})


def test_taking_down_what_was_half_made(who: Operator) -> None:
    record = who.world.record
    assert record is not None
    who.world.kill(at("h1:7001"))
    del who.world.folders[who.directory(at("h2:7002"))]
    who.world.kill(at("h2:7002"))
    asyncio.run(Undo(who.fleet, who.world.clock).take_down(record))
    assert (who.world.servers, who.world.folders) == ({}, {})


def test_data_is_set_aside_when_all_processes_have_ended(who: Operator) -> None:
    record = who.world.record
    assert record is not None
    moved = asyncio.run(Undo(who.fleet, who.world.clock).set_aside(record, "/kept"))
    kinds = [effect.split()[0] for effect in who.world.effects]
    assert kinds == ["kill"] * 6 + ["move"] * 6
    assert set(moved) == set(who.world.folders)
    assert moved[0] == "/kept/h1-7001"


def test_keys_are_counted_where_anybody_answers(who: Operator) -> None:
    who.world.servers[at("h1:7001")].keys = {"a": ("1", 10**9), "b": ("2", 10**9)}
    who.world.servers[at("h2:7001")].is_mute = True

    async def do() -> int:
        async with who.roster() as roster:
            return await count_keys(roster, [node.address for node in who.blueprint.nodes])

    assert asyncio.run(do()) == 2
