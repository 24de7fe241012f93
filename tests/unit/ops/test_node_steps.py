"""Doing a plan on a fake world: what is journaled when, and what becomes of a step that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import pytest

from slotwright.app.server_placement import survey
from slotwright.app.session import at_work
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.cluster.observation import Role
from slotwright.cluster.record import Stage
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    CreateNode,
    MarkFormed,
    Plan,
    RememberFile,
    SettingChange,
    StartNode,
    Step,
    canary_of,
)
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.features.deploy.desired import make_draft
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.node_steps import Executor, StepContext, describe_wave, put_back_settings
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.doubles import Listener
from tests.fakes.fuse import KilledError
from tests.fakes.operator import FILE, Operator
from tests.fakes.world import FakeFleet, FakeHost, Server, World

DEFAULTS = {"maxmemory": "0", "maxmemory-policy": "noeviction"}
SIX = build.topology()
FIRST, SECOND, THIRD = at("h1:7001"), at("h2:7001"), at("h3:7001")


def operator(**settings: str) -> Operator:
    return Operator(World(), build.topology(settings=DEFAULTS | settings))


def formed(**settings: str) -> Operator:
    found = operator(**settings)
    asyncio.run(found.up())
    found.world.effects.clear()
    found.store.entries.clear()
    return found


def lines(who: Operator) -> list[str]:
    return [f"{entry['phase']} {entry['step']} {entry['where']}" for entry in who.store.entries if "step" in entry]


def execute(who: Operator, *waves: Sequence[Step], host: FakeHost | None = None, fuse: int | None = None) -> Executor:
    """The executor after it has done these waves, with the files of a real draft; what it raises passes through."""

    async def do() -> Executor:
        context = who.context
        async with at_work(context, who.read_topology(FILE), "up") as work:
            draft = await make_draft(work, await survey(work))
            if who.store.record is None:
                who.store.record = draft.record
            async with who.verifier() as verifier:
                executor = Executor(
                    StepContext(
                        FakeFleet(host or who.host),  # type: ignore[arg-type]
                        work.pool,
                        context.open_journal(who.store.journal_path),
                        context.clock,
                        who.report,
                        verifier,
                        who.store.write_record,
                        draft.record,
                        draft.files,
                        draft.desired.settings,
                    )
                )
                who.world.fuse = fuse
                await executor.execute(Plan("demo", tuple(map(tuple, waves))))
            return executor

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
    assert lines(who) == ["intent create h1:7001", "done create h1:7001"]


def test_the_intent_is_written_before_anything_happens() -> None:
    who = operator()
    with pytest.raises(KilledError, match="folder"):
        execute(who, [create("h1:7001")], fuse=1)
    assert lines(who) == ["intent create h1:7001"]


def test_all_intents_of_a_wave_come_before_its_work_and_the_next_wave_after_it() -> None:
    who = operator()
    execute(who, [create("h1:7001"), create("h2:7001")], [start("h1:7001", forming=True)])
    assert lines(who)[-2:] == ["intent start h1:7001", "done start h1:7001"]
    assert sorted(lines(who)[:4]) == [
        "done create h1:7001",
        "done create h2:7001",
        "intent create h1:7001",
        "intent create h2:7001",
    ]


def test_steps_without_an_address_are_the_cluster_s() -> None:
    who = operator()
    execute(who, [MarkFormed("demo")])
    assert lines(who) == ["intent seal demo", "done seal demo"]


def test_a_failed_step_lets_the_others_of_its_wave_end_and_stops_the_next() -> None:
    who = formed()
    who.world.servers[SECOND].refuses = frozenset({"maxmemory"})
    for place in ("h1:7001", "h2:7001", "h3:7001"):
        drift(who, place, maxmemory="9")
    wave = [change(place, "maxmemory") for place in ("h1:7001", "h2:7001", "h3:7001")]
    with pytest.raises(ServerError) as caught:
        execute(who, wave, [RememberFile("demo", "")])
    assert (caught.value.code, caught.value.where) == ("setting-refused", "h2:7001")
    assert [who.world.servers[address].settings["maxmemory"] for address in (FIRST, SECOND, THIRD)] == ["0", "9", "0"]
    assert sorted(line for line in lines(who) if not line.startswith("intent")) == [
        "done set h1:7001",
        "done set h3:7001",
        "failed set h2:7001",
    ]


def test_what_the_first_node_refuses_is_tried_on_no_other_and_put_back() -> None:
    who = formed()
    who.world.servers[FIRST].refuses = frozenset({"maxmemory-policy"})
    for place in ("h1:7001", "h2:7001", "h3:7001"):
        drift(who, place, maxmemory="9", maxmemory_policy="volatile-lru")
    who.world.effects.clear()
    changes = (SettingChange("maxmemory", "9", "0"), SettingChange("maxmemory-policy", "volatile-lru", "noeviction"))
    with pytest.raises(ServerError) as caught:
        execute(who, [ApplySettings(at(place), changes) for place in ("h1:7001", "h2:7001", "h3:7001")])
    assert (caught.value.code, caught.value.where) == ("setting-refused", "h1:7001")
    assert [who.world.servers[address].settings["maxmemory"] for address in (FIRST, SECOND, THIRD)] == ["9", "9", "9"]
    assert lines(who) == ["intent set h1:7001", "failed set h1:7001"]
    assert not [effect for effect in who.world.effects if effect.startswith("conf")], "no file was touched"


def test_a_failure_s_code_is_journaled_and_no_secret() -> None:
    who = formed()
    drift(who, "h1:7001", masterauth="sesame").refuses = frozenset({"masterauth"})
    with pytest.raises(ServerError) as caught:
        execute(who, [change("h1:7001", "masterauth")])
    assert who.store.entries[-1] == {
        "phase": "failed",
        "step": "set",
        "settings": ["masterauth"],
        "where": "h1:7001",
        "code": "setting-refused",
    }
    assert "hunter2" not in str(who.store.entries) + str(vars(caught.value))


def test_settings_are_set_read_back_and_then_written_to_the_file() -> None:
    who = formed(maxmemory="5")
    server = drift(who, "h1:7001", maxmemory="9")
    execute(who, [change("h1:7001", "maxmemory")])
    assert server.settings["maxmemory"] == "5"
    assert who.world.effects == ["set h1:7001 maxmemory", "conf /data/h1-7001"]


def test_a_setting_that_did_not_take_effect_is_told() -> None:
    who = formed()
    drift(who, "h1:7001", maxmemory="9").ignores = frozenset({"maxmemory"})
    with pytest.raises(PartialError, match="maxmemory did not take effect") as caught:
        execute(who, [change("h1:7001", "maxmemory")])
    assert (caught.value.code, caught.value.where) == ("setting-not-taken", "h1:7001")


def test_a_configuration_file_alone_is_written_without_asking_the_server() -> None:
    who = formed()
    who.world.servers[FIRST].is_mute = True
    execute(who, [ApplySettings(FIRST, ())])
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
    execute(who, [MarkFormed("demo")])
    assert who.record.stage is Stage.FORMED
    who.topology = build.topology(allow=True)
    execute(who, [RememberFile("demo", "")])
    assert (who.record.stage, who.record.topology) == (Stage.FORMED, who.read_topology(FILE).topology)


def test_progress_says_what_runs() -> None:
    who = operator()
    executor = execute(who, [create("h1:7001")], [start("h1:7001", forming=True)])
    assert executor.progress.done == 2
    assert executor.progress.started == {FIRST: who.world.servers[FIRST].process}
    assert executor.progress.first_start is not None


def test_nothing_started_no_first_start() -> None:
    assert execute(operator(), [create("h1:7001")]).progress.first_start is None


def test_waves_are_told_from_begin_to_end() -> None:
    who, heard = operator(), Listener()
    who.report = heard
    execute(who, [create("h1:7001"), create("h2:7001")])
    began, first, second, ended = heard.events[-4:]
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
    kinds = [line.split()[1] for line in lines(who) if line.startswith("done")]
    assert kinds == ["create"] * 6 + ["start"] * 6 + ["wait"] + ["set"] * 6 + ["seal"]
    assert len(lines(who)) == 2 * len(kinds)
    assert [entry["phase"] for entry in (who.store.entries[0], who.store.entries[-1])] == ["begin", "end"]


@pytest.mark.parametrize(
    ("wave", "words"),
    [
        ((create("h1:7001"), create("h2:7001")), "create 2 nodes"),
        ((start("h1:7001"),), "start 1 node"),
        ((AwaitUsable(6),), "6 nodes"),
        ((change("h1:7001", "maxmemory"), change("h2:7001", "hz")), "hz, maxmemory on 2 nodes"),
        ((MarkFormed("demo"),), "demo"),
        ((RememberFile("demo", ""),), "demo"),
    ],
)
def test_waves_in_words(wave: tuple[Step, ...], words: str) -> None:
    assert words in describe_wave(wave)


def test_who_goes_first_has_something_to_try() -> None:
    nothing = ApplySettings(at("h1:7001"), ())
    second, third = change("h2:7001", "maxmemory"), change("h3:7001", "maxmemory")
    assert canary_of((nothing, second, third)) is second
    assert canary_of((second,)) is None
    assert canary_of((nothing, ApplySettings(at("h2:7001"), ()))) is None
    who = formed()
    for place in ("h2:7001", "h3:7001"):
        drift(who, place, maxmemory="9").refuses = frozenset({"maxmemory"})
    who.world.effects.clear()
    with pytest.raises(ServerError):
        execute(who, [nothing, second, third])
    assert lines(who) == ["intent set h2:7001", "failed set h2:7001"]
    assert who.world.effects == []


@dataclass
class Flaky:
    """A connection whose node has ``settings``; ``is_closed``: it was lost in the middle of a command."""

    settings: dict[str, str]
    is_closed: bool = False

    async def call(self, *words: str) -> list[bytes] | bytes:
        if self.is_closed:
            raise NodeUnreachableError("the connection is closed", code="closed")
        if words[1] == "SET":
            self.settings[words[2]] = words[3]
            return b"OK"
        return [words[2].encode(), self.settings[words[2]].encode()]


@dataclass
class OneNode:
    """A pool of one node that is dialled anew after a drop, unless it is gone."""

    connected: Flaky
    is_gone: bool = False

    async def connection(self, address: Address) -> Flaky:
        return self.connected

    async def drop(self, address: Address) -> None:
        self.connected = Flaky(self.connected.settings, self.is_gone)


def test_what_a_lost_connection_left_half_set_is_put_back_on_a_new_one() -> None:
    settings = {"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}
    pool = OneNode(Flaky(settings, is_closed=True))
    before = {"maxmemory": "0", "maxmemory-policy": "noeviction"}
    asyncio.run(put_back_settings(cast("ConnectionPool", pool), FIRST, before, "not-put-back"))
    assert settings == before


def test_what_can_not_be_put_back_is_named() -> None:
    pool = OneNode(Flaky({"maxmemory": "9"}, is_closed=True), is_gone=True)
    with pytest.raises(PartialError) as caught:
        asyncio.run(put_back_settings(cast("ConnectionPool", pool), FIRST, {"maxmemory": "0"}, "not-put-back"))
    assert caught.value.code == "not-put-back"
    assert "maxmemory" in caught.value.what
