"""The old nodes of a rebuild: ended and set aside step by step, and again after any cut."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from slotwright.cluster.events import silent
from slotwright.cluster.topology import Address
from slotwright.errors import PartialError
from slotwright.features.rebuild.model import Rebuild, RebuildPhase
from slotwright.features.rebuild.run.old_nodes import OldNodes
from tests.fakes import build
from tests.fakes.fuse import KilledError
from tests.fakes.operator import Operator
from tests.fakes.world import World


@pytest.fixture
def who() -> Operator:
    return made()


def made() -> Operator:
    found = Operator(World(), build.topology())
    asyncio.run(found.up())
    found.world.effects.clear()
    found.journal.entries.clear()
    return found


def under_way(who: Operator, *left: Address) -> Rebuild:
    return Rebuild(RebuildPhase.ASIDE, who.record, "/archive", "/kept", is_empty=False, left_behind=left)


def set_aside(who: Operator, *left: Address) -> bool:
    """Whether a look after it says that nothing is left to do."""

    async def do() -> bool:
        async with who.pool() as pool:
            nodes = OldNodes(who.fleet, pool, who.world.clock, silent, who.journal)
            rebuild = under_way(who, *left)
            assert not await nodes.are_aside(rebuild)
            await nodes.set_aside(rebuild)
            return await nodes.are_aside(rebuild)

    return asyncio.run(do())


def done(who: Operator) -> list[str]:
    return [line.split()[1] for line in who.journal.lines if line.startswith("done")]


def test_all_save_and_go_and_then_their_folders_are_moved(who: Operator) -> None:
    assert set_aside(who)
    assert (who.world.servers, done(who)) == ({}, ["stop"] * 6 + ["set-aside"] * 6)
    assert all(folder.startswith("/kept/") for folder in who.world.folders)


def test_one_that_does_not_answer_is_killed(who: Operator) -> None:
    mute = who.blueprint.nodes[2].address
    who.world.servers[mute].is_mute = True
    assert set_aside(who)
    assert done(who) == ["stop"] * 5 + ["kill"] + ["set-aside"] * 6
    assert who.world.servers == {}


def test_one_whose_folder_was_taken_away_under_it_ends_too(who: Operator) -> None:
    homeless = who.blueprint.nodes[2].address
    del who.world.folders[who.directory(homeless)]
    assert set_aside(who)
    assert f"done end {homeless}" in who.journal.lines
    assert who.world.servers == {}


def test_one_that_can_t_save_goes_on_running_and_no_folder_is_moved(who: Operator) -> None:
    full = who.blueprint.nodes[2].address
    who.world.servers[full].refuses = frozenset({"SHUTDOWN"})
    with pytest.raises(PartialError) as caught:
        set_aside(who)
    assert (caught.value.code, set(who.world.servers)) == ("save-failed", {full})
    assert not [folder for folder in who.world.folders if folder.startswith("/kept/")]


def test_who_is_left_behind_is_neither_ended_nor_moved(who: Operator) -> None:
    left = who.blueprint.nodes[2].address
    assert set_aside(who, left)
    assert set(who.world.servers) == {left}
    assert who.directory(left) in who.world.folders


@pytest.mark.parametrize("effects", range(12))
def test_cut_anywhere_the_same_again_finishes_it(effects: int) -> None:
    who = made()
    who.world.fuse = effects
    with suppress(KilledError):
        set_aside(who)
    who.world.fuse = None
    assert set_aside(who)
    assert who.world.servers == {}
    assert len([folder for folder in who.world.folders if folder.startswith("/kept/")]) == 6


def test_the_phases_that_are_left_and_what_comes_after_each(who: Operator) -> None:
    rebuild = under_way(who)
    assert [step.kind for step in rebuild.steps_left] == ["rebuild-aside", "rebuild-form"]
    aside, form = rebuild.steps_left
    assert (rebuild.after(aside).phase, rebuild.after(form).phase) == (RebuildPhase.FORM, RebuildPhase.COPY)
    copying = replace(rebuild, phase=RebuildPhase.COPY)
    assert copying.steps_left == (form,)
    assert copying.after(form) == copying
