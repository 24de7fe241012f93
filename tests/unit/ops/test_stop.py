"""Stopping and taking away, on a fake world."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from slotwright.cluster.events import silent
from slotwright.cluster.observation import Role
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, PartialError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.ops.remove_nodes import NodeRemoval, count_keys
from slotwright.ops.runner import Runner, StepOutcome, failures
from slotwright.ops.stop_nodes import NodeToStop, StopNode, Stopped, Stopper, StopSteps
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.operator import Operator
from tests.fakes.world import FakeFleet, FakeHost, World


@dataclass
class LosingHost(FakeHost):
    """Nothing can be done for one node of it."""

    lost: Address | None = None

    async def kill(self, process: ProcessId, directory: str) -> None:
        self._lose(directory)
        await super().kill(process, directory)

    async def remove(self, directory: str, cluster_id: str) -> None:
        self._lose(directory)
        await super().remove(directory, cluster_id)

    def _lose(self, directory: str) -> None:
        if self.lost is not None and directory == Operator.directory(self.lost):
            raise HostError("the connection ended", code="host-lost", where=self.lost.host)


REPLICAS = {"h1:7002", "h2:7002", "h3:7002"}


@pytest.fixture
def who() -> Operator:
    found = Operator(World(), build.topology())
    asyncio.run(found.up())
    found.world.effects.clear()
    found.journal.entries.clear()
    return found


def stop(who: Operator, *places: str, kill: bool = False) -> tuple[Stopped, ...]:
    async def do() -> tuple[Stopped, ...]:
        async with who.pool() as pool:
            stopper = Stopper(who.fleet, pool, who.world.clock, silent, who.journal, is_kill=kill)
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
    done = [line.removeprefix("done stop ") for line in who.journal.lines if line.startswith("done stop ")]
    assert done == gone


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
    assert "failed stop h2:7001" in who.journal.lines
    assert {str(address) for address in who.world.servers} == {"h2:7001"} | REPLICAS


def test_a_mute_server_is_not_stopped_but_can_be_killed(who: Operator) -> None:
    who.world.servers[at("h2:7001")].is_mute = True
    with pytest.raises(PartialError) as caught:
        stop(who, "h2:7001")
    assert (caught.value.code, len(who.world.servers)) == ("timeout", 6)
    (stopped,) = stop(who, "h2:7001", kill=True)
    assert (stopped.keys, stopped.was_killed) == (None, True)


def test_taking_down_ends_all_processes_before_any_folder_goes(who: Operator) -> None:
    record = who.record
    asyncio.run(NodeRemoval(who.fleet, who.world.clock, who.journal).take_down(record))
    kinds = [effect.split()[0] for effect in who.world.effects]
    assert kinds == ["kill"] * 6 + ["empty"] * 6 + ["remove"] * 6
    assert (who.world.servers, who.world.folders) == ({}, {})
    done = [line.split()[1] for line in who.journal.lines if line.startswith("done")]
    assert done == ["kill"] * 6 + ["remove"] * 6


def test_a_host_that_is_lost_keeps_no_other_s_folders(who: Operator) -> None:
    record = who.record
    lost = at("h2:7001")
    host = LosingHost(who.world, lost=lost)
    with pytest.raises(HostError) as caught:
        asyncio.run(NodeRemoval(FakeFleet(host), who.world.clock, who.journal).take_down(record))
    assert caught.value.code == "host-lost"
    assert set(who.world.servers) == {lost}
    assert set(who.world.folders) == {who.directory(lost)}
    assert {line for line in who.journal.lines if line.startswith("failed")} == {
        "failed kill h2:7001",
        "failed remove h2:7001",
    }


def test_taking_down_what_was_half_made(who: Operator) -> None:
    who.world.kill(at("h1:7001"))
    del who.world.folders[who.directory(at("h2:7002"))]
    who.world.kill(at("h2:7002"))
    asyncio.run(NodeRemoval(who.fleet, who.world.clock, who.journal).take_down(who.record))
    assert (who.world.servers, who.world.folders) == ({}, {})


def test_data_is_set_aside_when_all_processes_have_ended(who: Operator) -> None:
    record = who.record
    moved = asyncio.run(NodeRemoval(who.fleet, who.world.clock, who.journal).set_aside(record, "/kept"))
    kinds = [effect.split()[0] for effect in who.world.effects]
    assert kinds == ["kill"] * 6 + ["strip", "move"] * 6
    assert set(moved) == set(who.world.folders)
    assert moved[0] == "/kept/h1-7001"


def test_keys_are_counted_where_anybody_answers(who: Operator) -> None:
    who.world.servers[at("h1:7001")].keys = {"a": ("1", 10**9), "b": ("2", 10**9)}
    who.world.servers[at("h2:7001")].is_mute = True

    async def do() -> int:
        async with who.pool() as pool:
            return await count_keys(pool, [node.address for node in who.blueprint.nodes])

    assert asyncio.run(do()) == 2


def test_one_that_ends_by_itself_before_its_turn_is_not_asked(who: Operator) -> None:
    primary = at("h1:7001")

    async def do() -> tuple[StepOutcome[StopNode], ...]:
        async with who.pool() as pool:
            node = NodeToStop(primary, who.directory(primary), who.blueprint.cluster_id)
            step = StopNode(node, who.world.servers[primary].process, Role.PRIMARY, 0)
            who.world.kill(primary)
            handler = StopSteps(who.fleet, pool, who.world.clock, is_kill=False)
            return await Runner(handler, who.journal).run(side_by_side([step]))

    assert failures(asyncio.run(do())) == ()
    assert who.journal.lines == ["intent stop h1:7001", "done stop h1:7001"]
