"""A change of a formed cluster, cut anywhere, and taken back: every node has what it had, and so has the record.

What runs are the real ``up`` and ``abort``; the world is that of ``tests/fakes/world.py``. Nothing has to have been
lost where ``abort`` is cut as well: it is run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.events import Began, Event, silent
from slotwright.cluster.node_files import SERVER_CONF
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.steps import ApplySettings, RememberFile
from slotwright.cluster.topology import Address, Topology
from slotwright.errors import InputError, OperatorInterruptError, PartialError, RefusedError, ServerError
from slotwright.features.deploy.abort import TakenBack, abort_up, plan_abort_up
from slotwright.features.look.api import status
from tests.extent import examples
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.fuse import KilledError
from tests.fakes.operator import Operator
from tests.fakes.world import World

SMALL = build.topology(hosts=3, ports=2, replicas=1, settings={"maxmemory": "1048576"})
DRIFTED = at("h2:7002")
NEW = (("maxmemory", "2097152"), ("maxmemory-policy", "allkeys-lru"))


@dataclass(frozen=True)
class Before:
    """All that has to come back."""

    settings: dict[Address, dict[str, str]]
    files: dict[str, str]
    record: ClusterRecord
    topology: Topology

    @classmethod
    def of(cls, operator: Operator) -> Before:
        world = operator.world
        return cls(
            {
                address: dict(server.settings)
                for address, server in world.servers.items()
                if address in operator.topology.addresses
            },
            {
                name: files[SERVER_CONF]
                for name, files in world.folders.items()
                if name.startswith(build.DATA_ROOT) and SERVER_CONF in files
            },
            operator.record,
            operator.topology,
        )


def formed(topology: Topology = SMALL) -> Operator:
    """With one node that somebody has set by hand: what is kept are each node's own values."""
    operator = Operator(World(), topology)
    asyncio.run(operator.up())
    operator.world.clock.time += 60
    operator.world.servers[DRIFTED].settings["maxmemory-policy"] = "volatile-ttl"
    return operator


def changed(operator: Operator, settings: tuple[tuple[str, str], ...] = NEW) -> None:
    operator.topology = replace(operator.topology, settings=settings)


def up(operator: Operator, fuse: int | None = None, before: str = "") -> bool:
    """Whether it came to its end."""
    return _run(operator, operator.up, fuse, before) is not None


def abort(operator: Operator, fuse: int | None = None, before: str = "") -> TakenBack | None:
    """None where it was cut."""
    found = _run(operator, lambda: abort_up(operator.context, operator.target), fuse, before)
    assert found is None or isinstance(found, TakenBack)
    return found


def _run(operator: Operator, verb: Callable[[], Coroutine[Any, Any, object]], fuse: int | None, before: str) -> object:
    world = operator.world
    world.fuse, world.ends_before = fuse, before
    try:
        return asyncio.run(verb())
    except KilledError:
        return None
    finally:
        world.renew()
        world.clock.time += 60


def assert_back(operator: Operator, before: Before) -> None:
    now = Before.of(operator)
    assert now.settings == before.settings
    assert now.files == before.files
    assert now.record == before.record
    assert operator.store.baseline is None
    # The node that was set by hand before is what `plan` said of it before.
    operator.topology = before.topology
    steps = asyncio.run(operator.plan()).steps
    assert {step.where for step in steps if isinstance(step, ApplySettings)} <= {str(DRIFTED)}
    assert not any(isinstance(step, RememberFile) for step in steps)


def effects_of(operator: Operator, verb: str) -> int:
    operator.world.burnt = 0
    assert (up if verb == "up" else abort)(operator)
    return operator.world.burnt


def _effects_of_a_change() -> int:
    operator = formed()
    changed(operator)
    return effects_of(operator, "up")


CHANGE = _effects_of_a_change()


def half_changed(cut: int) -> tuple[Operator, Before]:
    operator = formed()
    before = Before.of(operator)
    changed(operator)
    assert not up(operator, fuse=cut)
    return operator, before


@pytest.mark.parametrize("cut", range(CHANGE))
def test_a_change_cut_at_every_effect_is_taken_back(cut: int) -> None:
    operator, before = half_changed(cut)
    if operator.store.baseline is not None:
        found = abort(operator)
        assert found is not None
        assert (found.is_back, found.is_settled, found.plan.findings) == (True, True, ())
        assert_back(operator, before)
        return
    # Nothing was changed yet, or all of it and proved.
    with pytest.raises(InputError, match="no change"):
        abort(operator)
    now = Before.of(operator)
    assert now.settings == before.settings or now.record.topology.settings == NEW
    assert (now.settings == before.settings) == (now.files == before.files) == (now.record == before.record)


def _last_cut() -> int:
    """Just before the baseline is forgotten: everything was changed."""
    operator = formed()
    changed(operator)
    operator.world.burnt = 0
    assert not up(operator, before="forget baseline")
    return operator.world.burnt


# The first node is not set yet; it is set as a whole; others are in memory, not in their files; all is changed.
@pytest.mark.parametrize("before", ["set h1:7002", "set h2", "conf /data/h3", "forget baseline"])
def test_an_abort_cut_at_every_effect_is_run_again(before: str) -> None:
    operator = formed()
    changed(operator)
    assert not up(operator, before=before)
    effects = effects_of(operator, "abort")
    assert effects > 4
    for cut in range(effects):
        operator = formed()
        was = Before.of(operator)
        changed(operator)
        assert not up(operator, before=before)
        assert abort(operator, fuse=cut) is None
        if operator.store.baseline is not None:
            assert abort(operator) is not None
        assert_back(operator, was)


@examples(60)
@given(st.data())
def test_whatever_is_cut_and_however_often(data: st.DataObject) -> None:
    """Cut changes, also by further files, and cut aborts, in any order; one abort at the end."""
    operator = formed()
    before = Before.of(operator)
    files = (NEW, (("maxmemory", "4194304"),), (("appendonly", "yes"), ("cluster-node-timeout", "30000")), ())
    for _ in range(data.draw(st.integers(1, 4))):
        if data.draw(st.booleans()):
            changed(operator, data.draw(st.sampled_from(files)))
            is_whole = up(operator, fuse=data.draw(st.integers(0, CHANGE)))
            if is_whole or (operator.store.baseline is None and operator.record.topology != before.record.topology):
                # It was proved: this is what an abort goes back to from now on.
                before = Before.of(operator)
        elif operator.store.baseline is not None and abort(operator, fuse=data.draw(st.integers(0, 40))) is not None:
            assert Before.of(operator).settings == before.settings
    if operator.store.baseline is not None:
        found = abort(operator)
        assert found is not None
        assert found.is_settled
    now = Before.of(operator)
    assert (now.settings, now.files) == (before.settings, before.files)
    assert now.record == before.record
    assert operator.store.baseline is None


def adopted() -> Operator:
    """Servers with files of their own, which they write themselves and nobody here can read."""
    operator = formed()
    operator.store.record = replace(operator.record, stage=Stage.ADOPTED)
    for server in operator.world.servers.values():
        server.more_info = f"config_file:/etc/{server.address.port}.conf\r\n"
        server.in_file = dict(server.settings)
    return operator


def _written(operator: Operator) -> dict[Address, dict[str, str]]:
    return {address: operator.world.servers[address].in_file for address in operator.topology.addresses}


def _cut_of_adopted(cut: int) -> tuple[Operator, Before]:
    operator = adopted()
    before = Before.of(operator)
    assert _written(operator) == before.settings
    changed(operator)
    up(operator, fuse=cut)
    return operator, before


def _assert_back_as_adopted(operator: Operator, before: Before) -> None:
    assert operator.store.baseline is None
    assert Before.of(operator) == replace(before, topology=operator.topology)
    assert _written(operator) == before.settings, "its next start would bring the change back"


def test_a_change_of_an_adopted_cluster_cut_at_every_effect_is_taken_back() -> None:
    operator = adopted()
    changed(operator)
    taken_back = 0
    for cut in range(effects_of(operator, "up")):
        operator, before = _cut_of_adopted(cut)
        if operator.store.baseline is not None:
            taken_back += 1
            found = abort(operator)
            assert found is not None
            assert found.is_settled
        if operator.record == before.record:
            _assert_back_as_adopted(operator, before)
    assert taken_back > 30


def test_an_abort_of_an_adopted_cluster_cut_at_every_effect_is_run_again() -> None:
    operator = adopted()
    changed(operator)
    assert not up(operator, before="forget baseline")
    for cut in range(effects_of(operator, "abort")):
        operator = adopted()
        before = Before.of(operator)
        changed(operator)
        assert not up(operator, before="forget baseline")
        assert abort(operator, fuse=cut) is None
        if operator.store.baseline is not None:
            assert abort(operator) is not None
        _assert_back_as_adopted(operator, before)


def test_a_change_that_ends_leaves_nothing_to_go_back_to() -> None:
    operator = formed()
    changed(operator)
    assert up(operator)
    assert operator.store.baseline is None
    assert set(operator.record.topology.settings) == set(NEW)


def test_a_restart_of_nodes_keeps_no_baseline() -> None:
    operator = formed()
    operator.world.servers[DRIFTED].settings["maxmemory-policy"] = "noeviction"
    for address in list(operator.world.servers):
        operator.world.kill(address)
    operator.world.effects.clear()
    assert up(operator)
    assert not [effect for effect in operator.world.effects if "baseline" in effect]


def test_what_a_formation_lowers_is_not_gone_back_to() -> None:
    operator = formed()
    operator.world.servers[DRIFTED].settings["maxmemory-policy"] = "noeviction"
    for address in list(operator.world.servers):
        operator.world.kill(address)
    assert not up(operator, before="set h")
    assert {server.settings["repl-diskless-sync-delay"] for server in operator.world.servers.values()} == {"0"}
    assert not up(operator, before="set h2")
    assert operator.store.baseline is None


def test_the_password_is_in_no_baseline() -> None:
    operator = formed()
    operator.world.servers[DRIFTED].settings["masterauth"] = "stolen"
    changed(operator)
    assert not up(operator, before="set h2")
    assert operator.store.baseline is not None
    assert "masterauth" not in operator.store.baseline.names
    assert "stolen" not in repr(operator.store.baseline)


def test_a_value_of_somebody_else_is_left_and_named() -> None:
    operator, _ = half_changed(_last_cut())
    foreign = operator.world.servers[at("h3:7001")]
    foreign.settings["maxmemory"] = "99"
    found = abort(operator)
    assert found is not None
    assert [(finding.code, finding.where) for finding in found.plan.findings] == [("setting-changed-since", "h3:7001")]
    assert foreign.settings["maxmemory"] == "99"
    assert foreign.settings["maxmemory-policy"] == "noeviction"
    assert (found.is_back, found.is_settled, found.is_ok) == (True, True, False)


def test_a_node_that_does_not_answer_is_set_back_when_it_does() -> None:
    operator, before = half_changed(_last_cut())
    lost = operator.world.servers[at("h3:7001")]
    lost.is_mute = True
    found = abort(operator)
    assert found is not None
    assert [(finding.code, finding.where) for finding in found.plan.findings] == [("not-taken-back", "h3:7001")]
    assert (found.is_back, found.is_settled) == (False, False)
    others = {address: settings for address, settings in before.settings.items() if address != lost.address}
    assert {address: operator.world.servers[address].settings for address in others} == others
    assert operator.store.baseline is not None
    lost.is_mute = False
    assert abort(operator) is not None
    assert_back(operator, before)


def test_a_node_that_is_gone_gets_its_file_back_and_nothing_is_called_proved() -> None:
    operator, before = half_changed(_last_cut())
    gone = at("h3:7001")
    operator.world.kill(gone)
    found = abort(operator)
    assert found is not None
    assert (found.is_back, found.is_ok) == (True, False)
    assert Before.of(operator).files == before.files
    operator.topology = before.topology
    assert up(operator)
    assert operator.world.servers[gone].settings["maxmemory"] == "1048576"
    assert operator.store.baseline is None


def test_the_old_file_sets_back_what_only_the_change_had_set() -> None:
    """``maxmemory-policy`` is in no file any more: a record of before would not have known that it has to go."""
    operator, before = half_changed(0)
    assert not up(operator, before="set h2")
    operator.topology = before.topology
    assert {"maxmemory-policy"} & {change.name for step in _sets(operator) for change in step.changes}
    assert up(operator)
    assert {server.settings["maxmemory-policy"] for server in operator.world.servers.values()} == {"noeviction"}
    assert operator.store.baseline is None
    assert asyncio.run(operator.plan()).is_empty


def _sets(operator: Operator) -> Iterator[ApplySettings]:
    for step in asyncio.run(operator.plan()).steps:
        if isinstance(step, ApplySettings):
            yield step


def test_a_refused_setting_leaves_nothing_to_take_back() -> None:
    operator = formed()
    before = Before.of(operator)
    operator.world.servers[at("h1:7001")].refuses = frozenset({"maxmemory-policy"})
    changed(operator)
    with pytest.raises(PartialError, match="refuses a setting") as failed:
        up(operator)
    assert "abort" not in failed.value.hint
    assert_back(operator, before)


def test_a_change_that_fails_half_way_names_both_ways() -> None:
    operator = formed()
    before = Before.of(operator)
    operator.world.servers[at("h3:7001")].refuses = frozenset({"maxmemory-policy"})
    changed(operator)
    with pytest.raises(PartialError) as failed:
        up(operator)
    assert failed.value.hint.endswith("slotwright abort demo takes the change back")
    assert abort(operator) is not None
    assert_back(operator, before)


def test_an_abort_that_a_node_refuses_says_that_it_goes_on() -> None:
    operator, before = half_changed(_last_cut())
    stubborn = operator.world.servers[at("h3:7001")]
    stubborn.refuses = frozenset({"maxmemory"})
    with pytest.raises(PartialError, match="refuses a setting") as failed:
        abort(operator)
    assert failed.value.hint == "slotwright abort demo goes on from here"
    stubborn.refuses = frozenset()
    assert abort(operator) is not None
    assert_back(operator, before)


def _interrupted(operator: Operator, verb: Callable[[], Coroutine[Any, Any, object]], text: str) -> str:
    """The hint of what Ctrl-C ends while it does what ``text`` begins."""

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None

        def report(event: Event) -> None:
            if isinstance(event, Began) and event.text.startswith(text):
                task.cancel()

        operator.report = report
        await verb()

    with pytest.raises(OperatorInterruptError) as caught:
        asyncio.run(run())
    operator.report = silent
    return caught.value.hint


def test_an_interruption_names_both_ways() -> None:
    operator = formed()
    before = Before.of(operator)
    changed(operator)
    hint = _interrupted(operator, operator.up, "set ")
    assert hint == "slotwright up /etc/any.yaml goes on from here; slotwright abort demo takes the change back"
    assert operator.store.baseline is not None
    hint = _interrupted(operator, lambda: abort_up(operator.context, operator.target), "prove")
    assert hint == "slotwright abort demo goes on from here"
    assert abort(operator) is not None
    assert_back(operator, before)


def test_a_look_says_that_a_change_is_unfinished() -> None:
    operator, _ = half_changed(_last_cut())
    found = asyncio.run(status(operator.context, operator.target)).findings
    (cut,) = (finding for finding in found if finding.code == "change-unfinished")
    assert "slotwright up /etc/any.yaml" in cut.remedy
    assert "slotwright abort demo" in cut.remedy
    assert abort(operator) is not None
    codes = {finding.code for finding in asyncio.run(status(operator.context, operator.target)).findings}
    assert "change-unfinished" not in codes


def test_the_plan_is_shown_and_may_be_declined() -> None:
    operator, _ = half_changed(_last_cut())
    plan = asyncio.run(plan_abort_up(operator.context, operator.target))
    assert [step.kind for step in plan.steps] == ["set"] * 6 + ["wait", "remember"]
    operator.world.effects.clear()
    shown = []
    with pytest.raises(RefusedError, match="not confirmed"):
        asyncio.run(abort_up(operator.context, operator.target, lambda plan: bool(shown.append(plan))))
    assert shown == [plan]
    assert operator.world.effects == []


def test_other_nodes_than_at_that_time_are_refused() -> None:
    operator, _ = half_changed(_last_cut())
    assert operator.store.record is not None
    operator.store.record = replace(operator.store.record, folders=(("h1:7001", "elsewhere"),))
    with pytest.raises(RefusedError, match="other nodes"):
        abort(operator)


def test_a_server_of_somebody_else_at_our_address_is_not_set() -> None:
    operator, _ = half_changed(_last_cut())
    other = operator.world.servers[at("h3:7001")]
    other.lines = [replace(line, id="f" * 40) if line is other.me else line for line in other.lines]
    kept = dict(other.settings)
    try:
        found = abort(operator)
    except ServerError:
        found = None
    assert found is None or not found.is_back
    assert other.settings == kept
