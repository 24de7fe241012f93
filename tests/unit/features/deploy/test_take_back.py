"""What is kept before a change, and the plan back to it: what of it is ours, and what is not."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.baseline import Baseline, FormerNode, FormerSetting
from slotwright.cluster.observation import Health, NodeView, Observation, Replication, Role
from slotwright.cluster.steps import ApplySettings, ChangeFirewall, Plan, RememberFile, SettingChange, StartNode
from slotwright.cluster.topology import Mode
from slotwright.features.deploy.plan.take_back import changes_something, former_nodes, settings_back
from tests.fakes import build
from tests.fakes.build import at

RECORD = build.record(build.topology())
FIRST, SECOND = at("h1:7001"), at("h2:7001")


def view(place: str = "h1:7001", **settings: str) -> NodeView:
    pairs = tuple((name.replace("_", "-"), value) for name, value in settings.items())
    health = Health(1, 1, 0, is_loading=False, last_save_ok=True, last_append_ok=True, has_append_log=True, keys=0)
    replication = Replication(Role.PRIMARY, 0)
    return NodeView(at(place), "a" * 40, Mode.CLUSTER, build.VERSION, True, 1, replication, health, settings=pairs)


def baseline(*settings: FormerSetting) -> Baseline:
    return Baseline(RECORD, "up", "then", (FormerNode(FIRST, settings),))


def change(name: str) -> SettingChange:
    return SettingChange(name, "shown", "shown")


def plan(*names: str) -> Plan:
    return Plan("demo", ((ApplySettings(FIRST, tuple(map(change, names))),),))


def kept(known: dict[str, str] | None = None, /, **settings: str) -> tuple[FormerSetting, ...]:
    """What is kept of one node that says this, where all of it is to become ``new``."""
    names = [name.replace("_", "-") for name in settings]
    record = replace(RECORD, settings=tuple((known or {}).items()))
    nodes = former_nodes(plan(*names), Observation((view(**settings),)), dict.fromkeys(names, "new"), record)
    return nodes[0].settings if nodes else ()


def test_kept_is_what_the_server_says_not_what_is_shown() -> None:
    assert kept(maxmemory="67108864") == (FormerSetting("maxmemory", "67108864", ("new",)),)


def test_no_secret_is_kept_also_where_the_record_has_it() -> None:
    assert kept(masterauth="hunter2", tls_key_file_pass="x") == ()
    assert kept({"search.api-token": "t"}, **{"search.api-token": "t"}) == ()


def test_a_timing_that_a_formation_lowers_is_no_value_to_go_back_to() -> None:
    assert kept({"repl-diskless-sync-delay": "5"}, repl_diskless_sync_delay="0") == ()
    assert len(kept({"repl-diskless-sync-delay": "0"}, repl_diskless_sync_delay="0")) == 1


def test_what_is_no_text_is_not_kept() -> None:
    assert kept(dbfilename="\udcff") == ()
    assert kept(notify_keyspace_events="") == (FormerSetting("notify-keyspace-events", "", ("new",)),)


def test_nothing_is_kept_of_a_node_that_says_nothing() -> None:
    assert former_nodes(plan("maxmemory"), Observation(()), {"maxmemory": "1"}, RECORD) == ()
    assert former_nodes(Plan("demo"), Observation((view(maxmemory="1"),)), {}, RECORD) == ()


def test_a_start_is_nothing_to_take_back() -> None:
    start = StartNode(FIRST, RECORD.blueprint.nodes[0].role, 1, "its process is gone")
    assert not changes_something(Plan("demo", ((start,),)))
    assert changes_something(Plan("demo", ((RememberFile("demo", ""),),)))
    assert changes_something(Plan("demo", ((ChangeFirewall("h1", ()),),)))


def test_the_first_change_counts() -> None:
    first = baseline(FormerSetting("maxmemory", "0", ("1",)))
    later = Baseline(
        replace(RECORD, binary="/other"),
        "up",
        "later",
        (
            FormerNode(FIRST, (FormerSetting("maxmemory", "1", ("2",)), FormerSetting("hz", "10", ("20",)))),
            FormerNode(SECOND, (FormerSetting("maxmemory", "7", ("2",)),)),
        ),
    )
    both = first.extended(later)
    assert (both.record, both.at) == (RECORD, "then")
    assert both.settings_of(FIRST) == (FormerSetting("maxmemory", "0", ("1", "2")), FormerSetting("hz", "10", ("20",)))
    assert both.settings_of(SECOND) == (FormerSetting("maxmemory", "7", ("2",)),)
    assert both.names == ("maxmemory", "hz")
    assert both.extended(later) == both
    assert both.settings_of(at("h3:7001")) == ()


def test_what_the_change_has_set_goes_back() -> None:
    back = settings_back(baseline(FormerSetting("maxmemory", "0", ("64mb", "2"))), [view(maxmemory="67108864")])
    assert back.changes_of(FIRST) == (SettingChange("maxmemory", "64mb", "0"),)
    assert back.values == {FIRST: {"maxmemory": "0"}}
    assert back.foreign == ()


def test_what_has_its_old_value_and_what_is_not_told_stays() -> None:
    former = baseline(FormerSetting("maxmemory", "0", ("1",)), FormerSetting("hz", "10", ("20",)))
    back = settings_back(former, [view(maxmemory="0"), view("h2:7001", maxmemory="1")])
    assert (back.changes, back.values, back.foreign) == ({}, {}, ())


def test_a_value_of_somebody_else_is_named_and_the_rest_goes_back() -> None:
    former = baseline(FormerSetting("maxmemory", "0", ("1",)), FormerSetting("hz", "10", ("20",)))
    back = settings_back(former, [view(maxmemory="9", hz="20")])
    assert back.values == {FIRST: {"hz": "10"}}
    assert [(found.code, found.where, found.seen) for found in back.foreign] == [
        ("setting-changed-since", "h1:7001", "it is 9, it was 0")
    ]
