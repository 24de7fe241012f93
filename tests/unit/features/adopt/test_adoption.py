"""From what is seen of a foreign cluster to a topology, or to the reasons why there is none; and plans for it later."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotwright.adapters.topology.file import parse_topology, render_topology
from slotwright.cluster.observation import Observation, Role, SilentNode
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.secret import Secret
from slotwright.cluster.steps import ApplySettings, Plan, RememberFile, SettingChange
from slotwright.cluster.topology import (
    Engine,
    EngineKind,
    EngineOrigin,
    HostSpec,
    Mode,
    PasswordRef,
    PasswordSource,
    ShardSpec,
    SshSpec,
)
from slotwright.features.adopt.model import AdoptChoices, AdoptInput, NodeAccount
from slotwright.features.adopt.plan import Adoption, adopt, hosts_of
from slotwright.features.adopt.plan.obstacles import obstacles
from slotwright.features.deploy.plan.adopted import AdoptedDesire, AdoptedWorld, plan_adopted
from slotwright.features.deploy.views import show_plan
from slotwright.health import diagnose
from slotwright.server.setting_values import agrees, as_pairs, sort_out, wanted_settings
from tests.fakes.build import at
from tests.fakes.pictures import picture

PASSWORD = Secret("a password")
USUAL = {"appendonly": "yes", "save": "3600 1 300 100 60 10000", "masterauth": PASSWORD.reveal(), "masteruser": ""}


def adopt_input(
    everywhere: dict[str, str] | None = None, nodes: dict[str, dict[str, Any]] | None = None, **given: Any
) -> AdoptInput:
    """A picture without a file; ``everywhere``: settings of all nodes, ``nodes``: what is special of one node."""
    case = picture({**given, "file": False})
    accounts = []
    for view in case.observation.views:
        special = (nodes or {}).get(str(view.address), {})
        account = NodeAccount(
            view.address,
            "cluster" if view.mode is Mode.CLUSTER else "standalone",
            special.get("executable", "/opt/valkey/bin/valkey-server"),
            special.get("config_file", "/etc/valkey.conf"),
            settings=tuple((USUAL | (everywhere or {}) | special.get("settings", {})).items()),
        )
        accounts.append(replace(account, mode=special.get("mode", account.mode)))
    return AdoptInput(at("h1:7001"), case.survey, case.observation, diagnose(case), tuple(accounts))


def options(**changed: Any) -> AdoptChoices:
    usual = AdoptChoices(
        name="hand",
        password=PasswordRef(PasswordSource.ENVIRONMENT, "SLOTWRIGHT_PASSWORD"),
        secret=PASSWORD,
        programs=frozenset({"/opt/valkey/bin/valkey-server"}),
        cluster_id="c" * 40,
        single_id="5" * 40,
    )
    return replace(usual, **changed)


def codes(found: AdoptInput) -> list[str]:
    return sorted({each.code for each in obstacles(found)})


def adopted(*arguments: Any, **given: Any) -> Adoption:
    found = adopt_input(*arguments, **given)
    assert obstacles(found) == ()
    return adopt(found, options())


@pytest.mark.parametrize(
    ("name", "wanted", "seen", "is_met"),
    [
        ("maxmemory", "4gb", "4294967296", True),
        ("maxmemory", "4g", "4294967296", False),
        ("maxmemory", "4000000000", "4294967296", False),
        ("maxmemory-policy", "ALLKEYS-LRU", "allkeys-lru", True),
        ("appendonly", "YES", "yes", True),
        ("save", "900 1  300 10", "900 1 300 10", True),
        ("save", "", "", True),
        ("save", "", "3600 1", False),
        ("client-output-buffer-limit", "replica 256mb 64mb 60", "normal 0 0 0 slave 268435456 67108864 60", True),
        ("client-output-buffer-limit", "pubsub 1mb 0 0", "normal 0 0 0 pubsub 33554432 8388608 60", False),
        ("client-output-buffer-limit", "pubsub 1mb 0 0", "normal 0 0 0", False),
        ("notify-keyspace-events", "KEA", "AKE", True),
        ("notify-keyspace-events", "Kx", "AKE", False),
        ("aclfile-like-path", "/Etc/x", "/etc/x", False),
    ],
)
def test_a_files_text_means_a_servers_value(name: str, wanted: str, seen: str, is_met: bool) -> None:
    assert agrees(name, wanted, seen) is is_met


def test_what_a_file_says_means_what_was_seen() -> None:
    seen = {
        "maxmemory": "4294967296",
        "save": "900 1 300 10",
        "repl-backlog-size": "1000",
        "client-output-buffer-limit": "normal 0 0 0 slave 536870912 67108864 60 pubsub 33554432 8388608 60",
        "notify-keyspace-events": "AKE",
    }
    for name, value in seen.items():
        pairs = as_pairs(name, value)
        assert agrees(name, wanted_settings(pairs)[name], value), pairs
    assert as_pairs("maxmemory", seen["maxmemory"]) == (("maxmemory", "4gb"),)
    assert as_pairs("save", seen["save"]) == (("save", "900 1"), ("save", "300 10"))
    assert as_pairs("save", "") == (("save", ""),)
    assert as_pairs("client-output-buffer-limit", seen["client-output-buffer-limit"]) == (
        ("client-output-buffer-limit", "replica 512mb 64mb 60"),
    )


def test_defaults_are_left_out_and_what_differs_is_told() -> None:
    agreed, varying = sort_out(
        [
            (at("a:1"), (("maxmemory", "0"), ("appendonly", "yes"), ("timeout", "5"), ("hz", "10"))),
            (at("b:1"), (("maxmemory", "1048576"), ("appendonly", "yes"), ("timeout", "5"), ("hz", "10"))),
        ]
    )
    assert agreed == (("appendonly", "yes"), ("timeout", "5"))
    assert [(each.name, each.values) for each in varying] == [
        ("maxmemory", (("0", (at("a:1"),)), ("1048576", (at("b:1"),))))
    ]


def test_a_sound_cluster_becomes_a_file_that_says_the_same() -> None:
    found = adopted({"maxmemory": "67108864", "maxmemory-policy": "allkeys-lru"})
    topology = found.topology
    assert topology.hosts == tuple(HostSpec(f"h{number}", (7001, 7002)) for number in (1, 2, 3))
    assert topology.shards[0] == ShardSpec(at("h1:7001"), (at("h2:7002"),))
    assert (topology.replicas, topology.allow_colocated_replicas) == (1, False)
    assert topology.engine == Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, "/opt/valkey/bin")
    assert dict(topology.settings) == {"maxmemory": "64mb", "maxmemory-policy": "allkeys-lru", "appendonly": "yes"}
    assert dict(found.settings)["maxmemory"] == "67108864"
    assert found.findings == ()
    text = render_topology(topology)
    assert PASSWORD.reveal() not in text
    assert PASSWORD.reveal() not in repr(found) + repr(adopt_input()) + repr(options())
    assert parse_topology(text, where="x.yaml", base=Path("/")).topology == topology

    blueprint = found.blueprint
    views = {view.address: view for view in adopt_input().observation.views}
    for node in blueprint.nodes:
        assert node.id == views[node.address].id
    assert [shard.primary.epoch for shard in blueprint.shards] == [1, 2, 3]
    assert sum(len(shard.slots) for shard in blueprint.shards) == 16384
    record = found.record("/x/cluster.yaml")
    assert (record.stage, record.name, record.topology_path) == (Stage.ADOPTED, "hand", "/x/cluster.yaml")


def test_hosts_stand_in_the_order_of_their_numbers() -> None:
    spec = SshSpec(user="admin")
    found = hosts_of([at("10.0.0.10:6380"), at("10.0.0.9:6379"), at("10.0.0.10:6379")], spec)
    assert found == (HostSpec("10.0.0.9", (6379,), ssh=spec), HostSpec("10.0.0.10", (6379, 6380), ssh=spec))


def test_roles_are_those_of_now() -> None:
    found = adopted(
        failed_over={"h1:7001": "h2:7002"},
        sees={"*": {"h1:7001": {"role": "replica", "replica_of": "h2:7002", "flags": "slave"}}},
    )
    first = next(shard for shard in found.blueprint.shards if 0 in shard.slots)
    assert (first.primary.address, first.primary.role) == (at("h2:7002"), Role.PRIMARY)
    assert [node.address for node in first.replicas] == [at("h1:7001")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"silent": {"h2:7002": "refused"}}, ["node-down"]),
        ({"silent": {"h2:7002": "wrong-password"}}, ["wrong-password"]),
        ({"sees": {"h1:7001": {"h2:7001": {"slots": "5461-10000"}}}}, ["views-disagree"]),
        ({"sees": {"h1:7001": {"h1:7001": {"migrating": {7: "h2:7001"}}}}}, ["open-slot"]),
        ({"sees": {"*": {"h1:7001": {"slots": "0-5000"}}}}, ["slots-uncovered"]),
        ({"silent": {"h2:7002": "maxclients"}, "reached": ["h2:7002"]}, ["node-out-of-reach"]),
        (
            {"strangers": [{"id": "e" * 40, "address": "h9:7001", "flags": "handshake"}]},
            ["node-in-handshake"],
        ),
        ({"nodes": {"h1:7001": {"settings": {"masteruser": "bob"}}}}, ["acl-users"]),
        ({"nodes": {"h1:7001": {"mode": "sentinel"}}}, ["is-sentinel"]),
        ({"says": {"*": {"version": "redis 6.0.9"}}}, ["server-too-old"]),
    ],
)
def test_where_no_topology_can_be_told(given: dict[str, Any], expected: list[str]) -> None:
    found = adopt_input(**given)
    assert codes(found) == expected
    assert all(
        each.remedy and "--cluster fix" not in each.remedy and "{" not in each.remedy for each in obstacles(found)
    )


def test_a_node_without_an_address_and_one_with_two() -> None:
    unknown = adopt_input(sees={"*": {"h2:7002": {"address": None}}})
    assert "node-without-address" in codes(unknown)
    found = adopt_input()
    first, *others = found.observation.views
    moved = replace(
        first, peers=tuple(replace(p, address=at("nat:7001")) if p.id == others[0].id else p for p in first.peers)
    )
    twice = replace(found, observation=Observation((moved, *others)))
    assert codes(twice) == ["two-addresses"]


def test_an_empty_primary_and_too_few_of_them() -> None:
    bare = adopt_input(
        strangers=[{"id": "e" * 40, "address": "h9:7001", "slots": ""}], views={"h9:7001": {"id": "e" * 40}}
    )
    assert codes(bare) == ["node-without-shard"]
    alike = {"role": "primary", "slots": "0-10922"}
    two = adopt_input(sees={"*": {"h1:7001": alike, "h2:7001": {"slots": ""}}})
    assert "too-few-primaries" in codes(two)


def test_every_obstacle_is_serious_and_says_what_to_do() -> None:
    found = obstacles(
        adopt_input(silent={"h2:7002": "refused"}, sees={"h1:7001": {"h1:7001": {"migrating": {7: "h2:7001"}}}})
    )
    assert len(found) == 2
    assert all(each.severity.value == "serious" and each.remedy for each in found)


def test_what_differs_from_a_cluster_made_here_is_told() -> None:
    found = adopted(
        {"masterauth": "", "save": "", "appendonly": "no"},
        {
            "h1:7001": {"config_file": "", "executable": "/elsewhere/valkey-server"},
            "h1:7002": {"settings": {"maxmemory": "1"}},
            "h2:7001": {"settings": {"maxmemory": "2"}},
        },
    )
    told = {each.code: each for each in found.findings}
    assert set(told) == {
        "engine-not-told",
        "masterauth-missing",
        "no-config-file",
        "no-password",
        "no-persistence",
        "settings-vary",
    } - {"no-password"}
    assert told["settings-vary"].where == "maxmemory"
    assert "maxmemory" not in dict(found.topology.settings)
    assert found.topology.engine.origin is EngineOrigin.PATH
    assert dict(found.topology.settings)["save"] == ""


def test_a_dead_link_is_no_obstacle_and_has_the_remedy_that_there_is_now() -> None:
    found = adopted(says={"h2:7002": {"link": "down"}}, login_faults={"h2:7002": "missing"})
    (only,) = [each for each in found.findings if each.code == "replica-auth-missing"]
    assert only.remedy.startswith("slotwright up")


def test_a_stand_alone_instance_and_a_replica_of_one() -> None:
    found = adopted(topology={"hosts": 1, "ports": 1, "mode": "single"})
    assert (found.topology.mode, found.topology.replicas, found.topology.shards) == (Mode.SINGLE, 0, ())
    assert found.blueprint.nodes[0].id == "5" * 40
    one = adopt_input(topology={"hosts": 1, "ports": 1, "mode": "single"})
    view = one.observation.views[0]
    replica = replace(view, replication=replace(view.replication, role=Role.REPLICA))
    assert codes(replace(one, observation=Observation((replica,)))) == ["is-replica"]


def planned(
    settings: dict[str, str], seen: dict[str, dict[str, str]] | None = None, **changed: Any
) -> tuple[Plan, ClusterRecord]:
    """The plan for a file with these settings; ``seen`` by place or "*" is what the nodes run with."""
    found = adopt_input({"maxmemory": "67108864"})
    record = adopt(found, options()).record("/x/cluster.yaml")
    without_file = changed.pop("without_file", ())
    silent = changed.pop("silent", None)
    password = changed.pop("password", PASSWORD)
    half_set = changed.pop("half_set", ())
    wanted = replace(record.topology, **{"settings": tuple(settings.items()), **changed})
    base = {"maxmemory": "67108864", "appendonly": "yes", "masterauth": PASSWORD.reveal()}
    views = []
    for view in found.observation.views:
        told = base | (seen or {}).get("*", {}) | (seen or {}).get(str(view.address), {})
        views.append(replace(view, settings=tuple(told.items())))
    quiet = (SilentNode(at(silent), "refused", "nobody"),) if silent else ()
    observation = Observation(tuple(v for v in views if str(v.address) != silent), quiet)
    files = frozenset(view.address for view in views if str(view.address) not in without_file)
    cut = {at("h2:7001"): frozenset(half_set)} if half_set else {}
    return plan_adopted(AdoptedDesire(wanted, password), record, AdoptedWorld(observation, files, cut)), record


SAME = {"maxmemory": "64mb", "appendonly": "yes"}


def test_the_plan_agrees_with_what_was_written() -> None:
    plan, _ = planned(SAME)
    assert plan == Plan("hand", digest=plan.digest, facts=plan.facts)
    assert plan.is_empty


def test_a_changed_setting_is_all_that_the_plan_shows() -> None:
    plan, record = planned(SAME | {"maxmemory": "128mb"})
    change = SettingChange("maxmemory", "64mb", "128mb")
    *steps, keep = plan.steps
    assert steps == [ApplySettings(node.address, (change,)) for node in record.blueprint.nodes]
    assert isinstance(keep, RememberFile)
    assert len(plan.waves) == 2 and not plan.refusals


def test_a_node_of_a_change_that_was_cut_writes_its_file() -> None:
    plan, _ = planned(SAME, half_set=("maxmemory",))
    assert plan.steps == (ApplySettings(at("h2:7001"), ()),)


def test_what_only_a_change_that_was_cut_had_is_not_left_behind() -> None:
    plan, _ = planned(SAME, half_set=("hz",))
    assert [refusal.what for refusal in plan.refusals] == ["no more hz"]
    said, _ = planned(SAME | {"hz": "10"}, {"*": {"hz": "10"}}, half_set=("hz",))
    assert said.refusals == ()


def test_a_missing_masterauth_is_set_and_never_shown() -> None:
    plan, _ = planned(SAME, {"h2:7002": {"masterauth": ""}})
    assert plan.steps == (ApplySettings(at("h2:7002"), (SettingChange("masterauth", "***", "***"),)),)
    none, _ = planned(SAME, {"*": {"masterauth": ""}}, password=None)
    assert none.is_empty


@pytest.mark.parametrize(
    ("settings", "changed", "what"),
    [
        ({"appendonly": "yes"}, {}, "no more maxmemory"),
        (SAME | {"no-such": "1"}, {}, "set no-such"),
        (SAME | {"masterauth": "x"}, {}, "set masterauth"),
        (SAME | {"maxmemory": "1gb"}, {"without_file": ("h1:7001",)}, "set maxmemory on h1:7001"),
        (SAME, {"replicas": 2}, "replicas 1 -> 2"),
        (SAME, {"hosts": (HostSpec("h1", (7001, 7002)), HostSpec("h2", (7001, 7002)))}, "remove h3:7001, h3:7002"),
        (SAME, {"engine": Engine(EngineKind.REDIS, EngineOrigin.PATH)}, "another engine"),
        (SAME, {"data_directory": "/data"}, "data"),
        (SAME, {"clients": ("10.0.0.0/8",)}, "clients"),
        (SAME, {"shards": ()}, "other explicit shards"),
    ],
)
def test_everything_else_is_refused_with_a_reason(settings: dict[str, str], changed: dict[str, Any], what: str) -> None:
    plan, _ = planned(settings, **changed)
    assert [refusal.what for refusal in plan.refusals] == [what]
    assert plan.steps == ()
    assert all(refusal.why and refusal.hint for refusal in plan.refusals)


def test_a_directive_that_no_server_changes_while_it_runs_is_refused() -> None:
    plan, _ = planned(SAME | {"databases": "32"}, {"*": {"databases": "16"}})
    assert [refusal.what for refusal in plan.refusals] == ["set databases"]


def test_a_node_that_is_away_or_another_one_stops_everything() -> None:
    plan, _ = planned(SAME, silent="h2:7002")
    assert [(found.code, found.where) for found in plan.blockers] == [("node-down", "h2:7002")]
    assert not plan.is_empty
    found = adopt_input()
    record = adopt(found, options()).record("")
    first, *others = found.observation.views
    world = AdoptedWorld(Observation((replace(first, id="f" * 40), *others)), frozenset())
    other = plan_adopted(AdoptedDesire(record.topology, PASSWORD), record, world)
    assert [each.code for each in other.blockers] == ["other-node"]


def test_an_address_that_is_none_is_in_the_way() -> None:
    stranger = {"id": "f" * 40, "address": "h9:7001", "role": "replica"}
    fault = {"*": {"h9:7001": {"fault": "'x' is no IP address and no host name"}}}
    found = obstacles(adopt_input(strangers=[stranger], sees=fault))
    assert [one.code for one in found] == ["address-not-valid"] and str(found[0].severity) == "serious"


def test_a_secret_of_a_module_is_planned_and_never_shown() -> None:
    wanted = SAME | {"search-oss-global-password": "hunter2"}
    plan, _ = planned(wanted, {"*": {"search-oss-global-password": "hunter1"}})
    first = plan.steps[0]
    assert isinstance(first, ApplySettings)
    assert first.changes == (SettingChange("search-oss-global-password", "***", "***"),)
    assert "hunter" not in repr(plan)
    assert not plan.refusals
    met, _ = planned(wanted, {"*": {"search-oss-global-password": "hunter2"}})
    assert not any(isinstance(step, ApplySettings) for step in met.steps)


def test_settings_that_could_not_be_read_are_said_so_by_adopt_and_by_plan(capsys: pytest.CaptureFixture[str]) -> None:
    found = adopt_input()
    shut = replace(found, accounts=tuple(replace(account, settings=()) for account in found.accounts))
    adoption = adopt(shut, options())
    assert "settings-unread" in [one.code for one in adoption.findings]
    assert "settings-unread" not in [one.code for one in adopt(found, options()).findings]
    views = tuple(replace(view, settings=()) for view in found.observation.views)
    record = adoption.record("/x/cluster.yaml")
    world = AdoptedWorld(Observation(views), frozenset(view.address for view in views), {})
    plan = plan_adopted(AdoptedDesire(record.topology, PASSWORD), record, world)
    assert [(str(one.severity), one.code) for one in plan.findings] == [("warning", "settings-unread")]
    show_plan(plan)
    assert "as far as it could be read" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("bus_port", "is_told"), [(None, False), (17001, False), (27001, True)])
def test_a_bus_port_that_a_file_cannot_say_is_told(bus_port: int | None, is_told: bool) -> None:
    found = adopt_input()
    views = tuple(
        replace(view, peers=tuple(replace(peer, bus_port=bus_port) for peer in view.peers))
        if view.address.port == 7001
        else view
        for view in found.observation.views
    )
    codes = [one.code for one in adopt(replace(found, observation=Observation(views)), options()).findings]
    assert ("bus-port-not-told" in codes) == is_told
