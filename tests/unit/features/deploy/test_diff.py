"""From what is to what should be: each node from where it stands, and every refusal with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.steps import ApplySettings, SettingChange, StartNode
from slotwright.cluster.topology import ShardSpec
from slotwright.features.deploy.plan.diff import World, plan_changes
from tests.fakes.situations import blockers, plan, refused, situation, waves

FORMING = {"stage": "forming"}
TIMING = {"repl-diskless-sync-delay": "5"}
LOWERED = {"repl-diskless-sync-delay": "0"}


def test_a_world_that_is_what_the_file_says_needs_nothing() -> None:
    found = plan()
    assert (found.is_empty, found.steps, found.refusals, found.findings) == (True, (), (), ())


def test_a_new_cluster_is_created_started_awaited_and_sealed() -> None:
    found = plan(record=None)
    assert waves(found) == [["create *"], ["start * hurried"], ["wait 6"], ["seal"]]
    assert not found.is_empty


def test_the_lowered_timings_are_put_back_before_the_seal() -> None:
    assert waves(plan(record=None, wanted=TIMING)) == [
        ["create *"],
        ["start * hurried"],
        ["wait 6"],
        ["set * repl-diskless-sync-delay:0->5"],
        ["seal"],
    ]


def test_timings_that_are_as_low_in_the_file_stay() -> None:
    assert waves(plan(record=None, wanted=LOWERED))[-2:] == [["wait 6"], ["seal"]]


def test_a_single_instance_forms_without_lowered_timings() -> None:
    shape = {"hosts": 1, "ports": 1, "replicas": 0, "mode": "single"}
    assert waves(plan(file=shape, record=None, wanted=TIMING)) == [
        ["create h1:7001"],
        ["start h1:7001"],
        ["wait 1"],
        ["seal"],
    ]


def test_forming_goes_on_from_where_each_node_stands() -> None:
    nodes = {
        "*": "running",
        "h1:7001": "absent",
        "h1:7002": "empty",
        "h2:7001": "marked",
        "h2:7002": "unmapped",
        "h3:7001": "created",
    }
    assert waves(plan(record=FORMING, nodes=nodes)) == [
        ["create h1:7001", "create h2:7001", "create h2:7002", "create h1:7002"],
        [
            "start h1:7001 hurried",
            "start h2:7001 hurried",
            "start h3:7001 hurried",
            "start h2:7002 hurried",
            "start h1:7002 hurried",
        ],
        ["wait 6"],
        ["seal"],
    ]


@pytest.mark.parametrize(("state", "first"), [("marked", "create h1:7001"), ("unmapped", "start h1:7001")])
def test_a_single_instance_needs_a_configuration_but_no_map(state: str, first: str) -> None:
    shape = {"hosts": 1, "ports": 1, "replicas": 0, "mode": "single"}
    assert waves(plan(file=shape, record=FORMING, nodes={"h1:7001": state}))[0] == [first]


def test_forming_when_all_run_awaits_and_seals() -> None:
    assert waves(plan(record=FORMING)) == [["wait 6"], ["seal"]]


def test_forming_when_all_run_with_lowered_timings() -> None:
    found = plan(record=FORMING, wanted=TIMING, seen={"*": LOWERED})
    assert waves(found) == [["wait 6"], ["set * repl-diskless-sync-delay:0->5"], ["seal"]]


def test_a_killed_node_is_started_and_nothing_else() -> None:
    found = plan(nodes={"h2:7001": "stopped"})
    assert waves(found) == [["start h2:7001"], ["wait 6"]]
    (start,) = found.waves[0]
    assert isinstance(start, StartNode)
    assert (start.shard, start.why, start.is_hurried) == (2, "its process is gone", False)


def test_a_stopped_cluster_is_started_primaries_first() -> None:
    assert waves(plan(nodes={"*": "stopped"}, wanted=TIMING)) == [
        ["start * hurried"],
        ["wait 6"],
        ["set * repl-diskless-sync-delay:0->5"],
    ]


def test_a_changed_setting_is_set_on_every_node_and_the_file_kept() -> None:
    found = plan(
        file={"settings": {"maxmemory": "2mb"}},
        record={"file": {"settings": {"maxmemory": "1mb"}}},
        wanted={"maxmemory": "2097152"},
        seen={"*": {"maxmemory": "1048576"}},
    )
    assert waves(found)[0] == ["set * maxmemory:1048576->2mb"]
    assert waves(found)[-1] == ["remember"]
    assert found.refusals == ()


def test_a_setting_that_drifted_on_one_node_is_set_there_alone() -> None:
    found = plan(wanted={"maxmemory": "1"}, seen={"h3:7002": {"maxmemory": "9"}})
    assert waves(found)[0] == ["set h3:7002 maxmemory:9->1"]


def test_an_old_configuration_file_is_written_anew() -> None:
    found = plan(conf=["h1:7001"])
    assert waves(found)[0] == ["rewrite h1:7001"]
    assert found.refusals == ()


def test_a_file_that_says_something_new_to_nobody_is_kept() -> None:
    assert waves(plan(file={"allow": True}, record={"file": {}})) == [["remember"]]


def test_a_dead_node_and_a_changed_setting() -> None:
    found = plan(wanted={"maxmemory": "1"}, seen={"*": {"maxmemory": "9"}}, nodes={"h1:7001": "stopped"})
    assert waves(found)[0] == ["start h1:7001"]
    assert [step.address.port for step in found.steps if isinstance(step, ApplySettings)] == [
        7001,
        7001,
        7002,
        7002,
        7002,
    ]
    assert waves(found)[-1] == ["wait 6"]


def test_secrets_are_stars_in_a_plan() -> None:
    found = plan(wanted={"masterauth": "hunter2"}, seen={"*": {"masterauth": "sesame"}})
    assert waves(found)[0] == ["set * masterauth:***->***"]
    assert "hunter2" not in repr(found) and "sesame" not in repr(found)


def test_the_password_of_a_key_is_a_secret_too() -> None:
    found = plan(wanted={"tls-key-file-pass": "hunter2"}, seen={"*": {"tls-key-file-pass": "sesame"}})
    assert "hunter2" not in repr(found) and "sesame" not in repr(found)


# Refusals.


@pytest.mark.parametrize(
    ("file", "what"),
    [
        ({"ports": 3}, ["add h1:7003, h2:7003, h3:7003"]),
        ({"replicas": 0}, ["replicas 1 -> 0"]),
        ({"engine": "redis"}, ["engine valkey -> redis"]),
        ({"data": "/srv"}, ["data the default place -> /srv"]),
    ],
)
def test_what_the_file_may_not_change(file: dict[str, Any], what: list[str]) -> None:
    found = plan(file=file, record={"file": {}})
    assert (refused(found), found.waves) == (what, ())
    assert all(refusal.why and refusal.hint for refusal in found.refusals)


@pytest.mark.parametrize("file", [{"ports": 1}, {"hosts": 2}])
def test_nodes_may_not_be_taken_out_of_the_file(file: dict[str, Any]) -> None:
    found = plan(file={**file, "replicas": 0}, record={"file": {}})
    assert refused(found)[0].startswith("remove ")
    assert found.waves == ()


def test_nodes_taken_out_of_the_file_while_forming_are_refused() -> None:
    found = plan(file={"hosts": 2, "ports": 3}, record={"file": {"ports": 3}, "stage": "forming"})
    assert refused(found) == ["remove h3:7001, h3:7002, h3:7003"]


def test_the_mode_may_not_change() -> None:
    assert "mode cluster -> single" in refused(plan(file={"mode": "single"}, record={"file": {}}))


def test_explicit_shards_may_not_change() -> None:
    desired, world = situation({})
    shards = (ShardSpec(desired.topology.addresses[0]),)
    found = plan_changes(replace(desired, topology=replace(desired.topology, shards=shards)), world)
    assert refused(found) == ["other explicit shards"]


def test_another_server_version_is_refused() -> None:
    assert refused(plan(record={"version": "Valkey 8.1.8"})) == ["Valkey 8.1.8 -> Valkey 9.1.2"]


@pytest.mark.parametrize("state", ["absent", "empty", "marked", "unmapped", "foreign", "other"])
def test_a_formed_cluster_s_lost_folder_is_not_made_anew(state: str) -> None:
    found = plan(nodes={"h1:7001": state})
    assert refused(found) == ["make h1:7001 anew"]
    assert found.waves == ()


def test_a_setting_that_is_only_taken_at_a_start_is_refused_while_a_node_runs() -> None:
    given: dict[str, Any] = {"wanted": {"databases": "32"}, "seen": {"*": {"databases": "16"}}, "live": ["appendonly"]}
    assert refused(plan(**given)) == ["set databases"]
    assert refused(plan(**given, nodes={"*": "stopped", "h1:7001": "running"})) == ["set databases"]
    assert waves(plan(**given, nodes={"*": "stopped"})) == [["start * hurried"], ["wait 6"]]


PLACES = [f"h{host}:{port}" for host in (1, 2, 3) for port in (7001, 7002)]
HIDDEN: dict[str, Any] = {"file": {"settings": {"rename-command": "FLUSHALL x"}}, "record": {"file": {}}}


def test_a_directive_that_config_get_does_not_show_is_told_by_the_text() -> None:
    assert refused(plan(**HIDDEN, conf=PLACES)) == ["set rename-command"]
    assert waves(plan(**HIDDEN, conf=PLACES, nodes={"*": "stopped"})) == [["start * hurried"], ["wait 6"], ["remember"]]


def test_a_hidden_directive_does_not_stop_a_start_that_was_cut() -> None:
    found = plan(**HIDDEN, conf=PLACES[1:], nodes={"*": "stopped", "h1:7001": "running"})
    assert refused(found) == []
    assert waves(found)[1:] == [["wait 6"], ["remember"]]


def test_a_hidden_directive_is_refused_while_one_node_runs_without_it() -> None:
    assert refused(plan(**HIDDEN, conf=PLACES, nodes={"*": "stopped", "h1:7001": "running"})) == ["set rename-command"]


def test_several_refusals_are_told_at_once() -> None:
    found = plan(file={"ports": 3, "replicas": 2}, record={"file": {}, "version": "Valkey 8.1.8"})
    assert refused(found) == [
        "add h1:7003, h2:7003, h3:7003",
        "replicas 1 -> 2",
        "Valkey 8.1.8 -> Valkey 9.1.2",
    ]


# Blockers.


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("foreign", "directory-not-empty h1:7001"),
        ("other", "directory-of-another-cluster h1:7001"),
        ("unwritable", "directory-not-writable h1:7001"),
        ("taken", "port-taken h1:7001"),
        ("bus-taken", "bus-port-taken h1:7001"),
        ("denied", "port-denied h1:7001"),
        ("elsewhere", "address-not-local h1"),
    ],
)
def test_what_stands_in_the_way_of_a_new_cluster(state: str, found: str) -> None:
    blocked = plan(record=None, nodes={"h1:7001": state})
    assert blockers(blocked) == [found]
    assert not blocked.is_empty


def test_a_full_disk_stands_in_the_way() -> None:
    assert blockers(plan(record=None, hosts={"h2": 1000})) == ["disk-full h2"]


def test_a_member_of_another_cluster_is_told_and_not_also_the_taken_port() -> None:
    assert blockers(plan(record=None, squatters={"h1:7001": {"peers": 3}})) == ["node-of-another-cluster h1:7001"]


def test_servers_with_one_id_are_told_as_that() -> None:
    found = blockers(plan(record=None, squatters={"h1:7001": {"peers": 1}, "h2:7001": {"peers": 1}}))
    assert "id-shared h1:7001 and h2:7001" in found


def test_a_stand_alone_server_with_keys_is_told() -> None:
    assert blockers(plan(record=None, squatters={"h1:7001": {"keys": 5}})) == ["node-not-empty h1:7001"]


def test_an_empty_stand_alone_server_is_a_taken_port() -> None:
    assert blockers(plan(record=None, squatters={"h1:7001": {}})) == ["port-taken h1:7001"]


def test_a_node_of_ours_that_became_another_is_told() -> None:
    assert blockers(plan(ids={"h1:7001": "f" * 40})) == ["node-of-another-cluster h1:7001"]


def test_a_node_of_ours_that_does_not_answer_is_told() -> None:
    assert blockers(plan(silent={"h1:7001": "timeout"})) == ["node-not-answering h1:7001"]


def test_a_node_of_ours_that_loads_is_no_blocker() -> None:
    assert plan(silent={"h1:7001": "loading"}).is_empty


def test_a_node_of_ours_that_refuses_the_password_is_told() -> None:
    assert blockers(plan(silent={"h1:7001": "wrong-password"})) == ["wrong-password h1:7001"]


def test_a_stranger_that_refuses_the_password_is_told_and_not_also_the_taken_port() -> None:
    found = plan(record=None, nodes={"h1:7001": "taken"}, silent={"h1:7001": "wrong-password"})
    assert blockers(found) == ["wrong-password h1:7001"]


def test_a_taken_port_of_a_dead_node() -> None:
    assert blockers(plan(nodes={"h1:7001": "stopped"}, squatters={"h1:7001": {}})) == ["port-taken h1:7001"]


def test_a_stranger_s_settings_are_not_judged() -> None:
    given: dict[str, Any] = {
        "nodes": {"h1:7001": "stopped"},
        "squatters": {"h1:7001": {"settings": {"databases": "9"}}},
    }
    found = plan(**given, wanted={"databases": "16"}, live=[])
    assert refused(found) == []
    assert not [step for step in found.steps if isinstance(step, ApplySettings)]


def test_findings_of_the_placement_are_carried() -> None:
    desired, world = situation({"record": None})
    grave = Finding("replica-beside-primary", Severity.SERIOUS, "shard 1", "...")
    mild = Finding("majority-on-one-host", Severity.WARNING, "h1", "...")
    found = plan_changes(replace(desired, findings=(grave, mild)), world)
    assert (found.findings, found.blockers) == ((grave, mild), (grave,))


# The digest.


def digest(**given: Any) -> str:
    return plan(**given).digest


def test_the_digest_is_that_of_what_the_plan_depends_on() -> None:
    assert digest() == digest()
    changed = [
        digest(nodes={"h1:7001": "stopped"}),
        digest(record={"stage": "forming"}),
        digest(conf=["h1:7001"]),
        digest(seen={"h1:7001": {"appendonly": "no"}}),
        digest(ids={"h1:7001": "f" * 40}),
        digest(file={"allow": True}, record={"file": {}}),
        digest(record=None),
    ]
    assert len({*changed, digest()}) == 8


def test_the_digest_does_not_move_with_memory_or_room() -> None:
    desired, world = situation({})
    first, *rest = world.observation.views
    fuller = replace(
        first, health=replace(first.health, used_bytes=9, keys=9), replication=replace(first.replication, offset=9)
    )
    later = World(world.record, world.hosts, replace(world.observation, views=(fuller, *rest)))
    assert plan_changes(desired, later).digest == plan_changes(desired, world).digest
    assert digest(hosts={"h1": 10**11}) == digest()


def test_settings_are_told_as_the_file_writes_them() -> None:
    found = plan(
        file={"settings": {"maxmemory": "64mb"}}, wanted={"maxmemory": "67108864"}, seen={"h1:7001": {"maxmemory": "0"}}
    )
    (step,) = found.waves[0]
    assert isinstance(step, ApplySettings)
    assert step.changes == (SettingChange("maxmemory", "0", "64mb"),)
