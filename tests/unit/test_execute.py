"""Doing a plan on a fake world: what is journaled when, and what becomes of a step that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from slotwright.errors import PartialError, ServerError, SlotwrightError
from slotwright.model.cluster import Role
from slotwright.model.events import Began, Ended, Moved
from slotwright.model.plan import (
    ApplySettings,
    AwaitUsable,
    CreateNode,
    Plan,
    RememberFile,
    SealRecord,
    SettingChange,
    StartNode,
    Step,
)
from slotwright.model.record import Stage
from slotwright.operations.execute import Executor, describe_wave
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.doubles import Listener
from tests.fakes.up import Operator
from tests.fakes.world import FakeHost, Server, World

SIX = build.topology()
FIRST, SECOND, THIRD = at("h1:7001"), at("h2:7001"), at("h3:7001")


def operator(**settings: str) -> Operator:
    return Operator(World(), build.topology(settings=settings))


def formed(**settings: str) -> Operator:
    found = operator(**settings)
    asyncio.run(found.up())
    found.world.effects.clear()
    found.journal.entries.clear()
    return found


def execute(who: Operator, *waves: Sequence[Step], host: FakeHost | None = None) -> Executor:
    """The executor after it has done these waves; what it raises passes through."""

    async def do() -> Executor:
        async with who.roster() as roster:
            executor = who.executor(roster, host)
            kept.append(executor)
            await executor.execute(Plan("demo", tuple(map(tuple, waves))))
            return executor

    kept: list[Executor] = []
    return asyncio.run(do())


def create(place: str) -> CreateNode:
    return CreateNode(at(place), Role.PRIMARY, 1)


def start(place: str, *, forming: bool = False) -> StartNode:
    return StartNode(at(place), Role.PRIMARY, 1, "test", forming)


def change(place: str, name: str) -> ApplySettings:
    return ApplySettings(at(place), (SettingChange(name, "old", "new"),))


def drift(who: Operator, place: str, **settings: str) -> Server:
    server = who.world.servers[at(place)]
    server.settings |= {name.replace("_", "-"): value for name, value in settings.items()}
    return server


def test_each_step_is_journaled_before_and_after() -> None:
    who = operator()
    execute(who, [create("h1:7001")])
    assert who.journal.lines == ["intent create h1:7001", "done create h1:7001"]


def test_the_intent_is_written_before_anything_happens() -> None:
    who = operator()
    who.world.record = build.record(SIX, Stage.FORMING)
    who.world.fuse = 0
    with pytest.raises(Exception, match="folder"):
        execute(who, [create("h1:7001")])
    assert who.journal.lines == ["intent create h1:7001"]


def test_all_intents_of_a_wave_come_before_its_work_and_the_next_wave_after_it() -> None:
    who = operator()
    execute(who, [create("h1:7001"), create("h2:7001")], [start("h1:7001", forming=True)])
    assert who.journal.lines[-2:] == ["intent start h1:7001", "done start h1:7001"]
    assert sorted(who.journal.lines[:4]) == [
        "done create h1:7001",
        "done create h2:7001",
        "intent create h1:7001",
        "intent create h2:7001",
    ]


def test_steps_without_an_address_are_the_cluster_s() -> None:
    who = operator()
    execute(who, [SealRecord("demo")])
    assert who.journal.lines == ["intent seal demo", "done seal demo"]


def test_a_failed_step_lets_the_others_of_its_wave_end_and_stops_the_next() -> None:
    who = formed()
    who.world.servers[SECOND].refuses = frozenset({"maxmemory"})
    for place in ("h1:7001", "h2:7001", "h3:7001"):
        drift(who, place, maxmemory="9")
    wave = [change(place, "maxmemory") for place in ("h2:7001", "h1:7001", "h3:7001")]
    with pytest.raises(ServerError) as caught:
        execute(who, wave, [RememberFile("demo", "")])
    assert (caught.value.code, caught.value.where) == ("setting-refused", "h2:7001")
    assert [who.world.servers[address].settings["maxmemory"] for address in (FIRST, SECOND, THIRD)] == ["0", "9", "0"]
    assert sorted(line for line in who.journal.lines if not line.startswith("intent")) == [
        "done set h1:7001",
        "done set h3:7001",
        "failed set h2:7001",
    ]


def test_a_failure_s_code_is_journaled_and_no_secret() -> None:
    who = formed()
    drift(who, "h1:7001", masterauth="sesame").refuses = frozenset({"masterauth"})
    with pytest.raises(ServerError) as caught:
        execute(who, [change("h1:7001", "masterauth")])
    assert who.journal.entries[-1] == {
        "phase": "failed",
        "step": "set",
        "where": "h1:7001",
        "code": "setting-refused",
    }
    assert "hunter2" not in str(who.journal.entries) + str(vars(caught.value))


def test_settings_are_written_to_the_file_set_and_read_back() -> None:
    who = formed(maxmemory="5")
    server = drift(who, "h1:7001", maxmemory="9")
    execute(who, [change("h1:7001", "maxmemory")])
    assert server.settings["maxmemory"] == "5"
    assert who.world.effects == ["conf /data/h1-7001", "set h1:7001 maxmemory"]


def test_a_setting_that_did_not_take_effect_is_told() -> None:
    who = formed()
    drift(who, "h1:7001", maxmemory="9").ignores = frozenset({"maxmemory"})
    with pytest.raises(PartialError, match="maxmemory did not take effect") as caught:
        execute(who, [change("h1:7001", "maxmemory")])
    assert (caught.value.code, caught.value.where) == ("setting-not-taken", "h1:7001")


def test_a_configuration_file_alone_is_written_without_asking_the_server() -> None:
    who = formed()
    who.world.servers[FIRST].is_mute = True
    execute(who, [ApplySettings(FIRST, (), rewrite_only=True)])
    assert who.world.effects == ["conf /data/h1-7001"]


def test_a_forming_start_lowers_the_timings_for_that_process_alone() -> None:
    who = operator()
    execute(who, [create("h1:7001")], [start("h1:7001", forming=True)])
    assert who.world.servers[FIRST].settings["repl-diskless-sync-delay"] == "0"
    assert "repl-diskless-sync-delay" not in who.world.folders["/data/h1-7001"]["server.conf"]


def test_a_later_start_takes_the_configuration_of_now() -> None:
    who = formed()
    who.world.kill(FIRST)
    who.topology = replace(SIX, settings=(("maxmemory", "7"),))
    execute(who, [start("h1:7001")])
    settings = who.world.servers[FIRST].settings
    assert (settings["maxmemory"], settings["repl-diskless-sync-delay"]) == ("7", "5")


def test_a_server_that_dies_at_its_start_is_quoted() -> None:
    who = operator()
    execute(who, [create("h1:7001")])
    log = "12:M 23 Nov 2026 02:29:25.984 # Failed listening on port 7001 (tcp), aborting.\n"
    with pytest.raises(ServerError) as caught:
        execute(who, [start("h1:7001", forming=True)], host=FakeHost(who.world, log=log, dies_at_start=True))
    error = caught.value
    assert (error.code, error.where, error.seen) == (
        "start-failed",
        "h1:7001",
        "Failed listening on port 7001 (tcp), aborting.",
    )


def test_a_server_that_dies_without_a_word() -> None:
    who = operator()
    execute(who, [create("h1:7001")])
    with pytest.raises(ServerError) as caught:
        execute(who, [start("h1:7001", forming=True)], host=FakeHost(who.world, dies_at_start=True))
    assert caught.value.seen == "it said nothing"


def test_the_seal_and_the_new_file_are_kept_in_the_record() -> None:
    who = operator()
    execute(who, [SealRecord("demo")])
    assert who.world.record is not None and who.world.record.stage is Stage.FORMED
    who.topology = build.topology(allow=True)
    execute(who, [RememberFile("demo", "")])
    assert (who.world.record.stage, who.world.record.topology) == (Stage.FORMED, who.topology)


def test_progress_says_what_runs() -> None:
    who = operator()
    executor = execute(who, [create("h1:7001")], [start("h1:7001", forming=True)])
    assert executor.progress.done == 2
    assert executor.progress.started == {FIRST: who.world.servers[FIRST].process}
    assert executor.progress.first_start == 1000.0


def test_nothing_started_no_first_start() -> None:
    assert execute(operator(), [create("h1:7001")]).progress.first_start is None


def test_waves_are_told_from_begin_to_end() -> None:
    who, heard = operator(), Listener()
    who.report = heard
    execute(who, [create("h1:7001"), create("h2:7001")])
    began, first, second, ended = heard.events
    assert isinstance(began, Began) and isinstance(ended, Ended) and ended.is_ok
    assert isinstance(first, Moved) and isinstance(second, Moved)
    assert [(first.done, first.total), (second.done, second.total)] == [(1, 2), (2, 2)]
    assert {event.task for event in (began, first, second, ended)} == {"wave-1"}


def test_a_wave_that_failed_ends_so() -> None:
    who, heard = formed(), Listener()
    who.report = heard
    drift(who, "h1:7001", maxmemory="9").refuses = frozenset({"maxmemory"})
    with pytest.raises(SlotwrightError):
        execute(who, [change("h1:7001", "maxmemory")])
    last = heard.events[-1]
    assert isinstance(last, Ended) and not last.is_ok


def test_the_whole_way_is_journaled() -> None:
    who = operator()
    asyncio.run(who.up())
    kinds = [line.split()[1] for line in who.journal.lines if line.startswith("done")]
    assert kinds == ["create"] * 6 + ["start"] * 6 + ["wait"] + ["set"] * 6 + ["seal"]
    assert len(who.journal.lines) == 2 * len(kinds)


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        ((create("h1:7001"), create("h2:7001")), "create 2 nodes"),
        ((start("h1:7001"),), "start 1 node"),
        ((AwaitUsable(6),), "6 nodes"),
        ((change("h1:7001", "maxmemory"), change("h2:7001", "hz")), "hz, maxmemory on 2 nodes"),
        ((SealRecord("demo"),), "demo"),
        ((RememberFile("demo", ""),), "demo"),
    ],
)
def test_waves_in_words(wave: tuple[Step, ...], words: str) -> None:
    assert words in describe_wave(wave)
