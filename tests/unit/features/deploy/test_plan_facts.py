"""The facts that a plan rests on: every change is named, what moves by itself is none, and no secret is in them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from slotwright.cluster.observation import NodeView
from slotwright.cluster.steps import ApplySettings, ChangeFirewall, Fact, PrepareHost, ProveReach, SettingChange
from slotwright.cluster.topology import Address, PasswordRef, PasswordSource, Topology
from slotwright.features.deploy.plan.approval import departures, is_intact, to_be_approved, unapproved_steps
from slotwright.features.deploy.plan.diff import Desired, World, plan_changes
from slotwright.features.deploy.plan.facts import changed_facts, digest_of, name_changes, topology_facts
from tests.fakes.situations import plan, situation
from tests.unit.features.adopt.test_adoption import SAME, planned


def changes(**given: Any) -> list[str]:
    """What changed from the usual situation to that one."""
    return list(changed_facts(plan().facts, plan(**given).facts))


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({"conf": ["h1:7001"]}, "h1:7001 configuration: as wanted -> another one"),
        ({"seen": {"h1:7001": {"appendonly": "no"}}}, "h1:7001 setting appendonly: yes -> no"),
        ({"ids": {"h1:7001": "f" * 40}}, "h1:7001 id: "),
        ({"record": {"stage": "forming"}}, "record stage: formed -> forming"),
        ({"file": {"allow": True}}, "file allow_colocated_replicas: no -> yes"),
        ({"file": {"settings": {"maxmemory": "2mb"}}}, "file setting maxmemory: nothing -> 2mb"),
        ({"nodes": {"h1:7001": "unwritable"}}, "h1:7001 folder: ours -> unwritable"),
        ({"nodes": {"h1:7001": "unmapped"}}, "h1:7001 map: yes -> no"),
        ({"nodes": {"h1:7001": "bus-taken"}}, "h1:7001 folder: ours -> absent"),
        ({"silent": {"h1:7001": "timeout"}}, "h1:7001 id: "),
    ],
)
def test_every_change_is_named(given: dict[str, Any], first: str) -> None:
    assert changes(**given)[0].startswith(first)


def test_nothing_changed_is_nothing() -> None:
    assert changes() == []


def test_of_a_killed_node_the_settings_are_not_named_besides() -> None:
    process, answers = changes(nodes={"h1:7001": "stopped"})
    assert process.startswith("h1:7001 process: pid 7001, start ")
    assert process.endswith(" -> none")
    assert answers.startswith("h1:7001 id: ")
    assert answers.endswith(" -> nothing")


def test_a_restarted_process_is_another_one() -> None:
    desired, world = situation({})
    host, *others = world.hosts
    node, *rest = host.nodes
    assert node.process is not None
    again = replace(host, nodes=(replace(node, process=replace(node.process, started="later")), *rest))
    (change,) = changed_facts(
        plan_changes(desired, world).facts, plan_changes(desired, replace(world, hosts=(again, *others))).facts
    )
    assert change.startswith("h1:7001 process: pid 7001, start ")


def busier(view: NodeView) -> NodeView:
    health = replace(view.health, used_bytes=9**9, keys=9**6, uptime_s=9)
    return replace(view, health=health, replication=replace(view.replication, offset=9**9), current_epoch=99)


def test_offsets_keys_and_memory_change_nothing() -> None:
    desired, world = situation({})
    later = replace(world, observation=replace(world.observation, views=tuple(map(busier, world.observation.views))))
    assert plan_changes(desired, later).facts == plan_changes(desired, world).facts


def test_hosts_and_the_server_version_are_facts() -> None:
    desired, world = situation({"record": None})
    waves = (
        (PrepareHost("h1", ("service user", "unit")), ChangeFirewall("h2", ("let in",), ("rule 1",), ("rule 2",))),
        (ProveReach(3, (7001, 7002)),),
    )
    lacking = replace(desired, host_waves=waves, version="Valkey 9.9.9")
    found = changed_facts(
        plan_changes(desired, world).facts, plan_changes(lacking, replace(world, away=frozenset({"h3"}))).facts
    )
    assert found[0].endswith("-> Valkey 9.9.9")
    assert found[1:] == (
        "host h3: nothing -> away",
        "host h1 lacks: nothing -> service user, unit",
        "host h2 firewall lacks rules: nothing -> rule 1",
        "host h2 firewall has spare rules: nothing -> rule 2",
        "reach to be proved: nothing -> 3 hosts, ports 7001, 7002",
    )


def with_password(text: str, running: str) -> tuple[Desired, World]:
    """A cluster whose nodes run with one password, and that should have another."""
    desired, world = situation({"seen": {"*": {"masterauth": running}}})
    topology = replace(
        desired.topology,
        password=PasswordRef(PasswordSource.ENVIRONMENT, "CACHE_PASSWORD"),
        settings=(("masterauth", text),),
    )
    return replace(desired, topology=topology, settings={**desired.settings, "masterauth": text}), world


def test_no_secret_is_in_facts_and_yet_another_one_is_noticed() -> None:
    right, wrong = plan_changes(*with_password("hunter2", "hunter2")), plan_changes(*with_password("hunter2", "other"))
    assert "hunter2" not in repr(right.facts) + repr(wrong.facts) + repr(to_be_approved(wrong, "/f", "now", "me"))
    assert changed_facts(right.facts, wrong.facts)[0] == "h1:7001 setting masterauth: *** as wanted -> *** another one"
    another_text = plan_changes(*with_password("hunter3", "hunter3"))
    assert another_text.facts == right.facts, "nothing in them comes from a password"


def test_the_digest_is_that_of_the_facts() -> None:
    found = plan()
    assert found.digest == digest_of(found.facts)
    assert len({digest_of(()), digest_of((Fact("a", "b"),)), digest_of((Fact("a", "c"),))}) == 3


def test_five_changes_are_named_and_the_rest_counted() -> None:
    assert name_changes(["a", "b"]) == "a; b"
    assert name_changes(list("abcde")) == "a; b; c; d; e"
    assert name_changes(list("abcdefg")) == "a; b; c; d; e; and 2 more"


def test_long_and_empty_values_are_shown_shortly() -> None:
    (change,) = changed_facts((Fact("x", ""),), (Fact("x", "v" * 100),))
    assert change == f'x: "" -> {"v" * 57}...'


def test_each_fact_has_a_name_of_its_own() -> None:
    for found in (plan(), plan(record=None), planned(SAME)[0]):
        names = [fact.name for fact in found.facts]
        assert len(names) == len(set(names))


def test_an_adopted_cluster_has_facts_too() -> None:
    before, _ = planned(SAME)
    after, _ = planned(SAME, seen={"*": {"maxmemory": "1048576"}})
    found = changed_facts(before.facts, after.facts)
    assert len(found) == len([fact for fact in before.facts if fact.name.endswith(" id")])
    assert all(" setting maxmemory: " in change for change in found)
    quiet, _ = planned(SAME, silent=str(_first(before)))
    assert any("answer: nothing -> refused" in change for change in changed_facts(before.facts, quiet.facts))
    fileless, _ = planned(SAME, without_file={str(_first(before))})
    assert changed_facts(before.facts, fileless.facts) == (f"{_first(before)} configuration file: there -> none",)


def _first(found: Any) -> str:
    return next(fact.name.split()[0] for fact in found.facts if fact.name.endswith(" id"))


# What was approved, and what is there later.


def test_the_same_plan_departs_in_nothing() -> None:
    found = plan(nodes={"h1:7001": "stopped"})
    approved = to_be_approved(found, "/c.yaml", "now", "me@here")
    assert is_intact(approved)
    assert departures(approved, plan(nodes={"h1:7001": "stopped"})) == ()


def test_another_fact_or_another_step_departs() -> None:
    approved = to_be_approved(plan(nodes={"h1:7001": "stopped"}), "/c.yaml", "now", "me@here")
    assert departures(approved, plan())[0].startswith("h1:7001 process: none -> pid 7001")
    other = replace(plan(nodes={"h1:7001": "stopped"}), waves=())
    assert departures(approved, other) == (
        "step start h1:7001: approved -> not planned",
        "step wait: approved -> not planned",
    )
    turned = replace(other, waves=plan(nodes={"h1:7001": "stopped"}).waves[::-1])
    assert departures(approved, turned) == ("the order of the steps: another one",)


def test_an_edited_plan_is_not_intact() -> None:
    approved = to_be_approved(plan(), "/c.yaml", "now", "me@here")
    assert not is_intact(replace(approved, facts=approved.facts[1:]))
    assert not is_intact(replace(approved, topology_digest="0" * 16))


def test_with_the_hosts_ready_only_lowered_timings_may_come_besides() -> None:
    approved = plan(record=None)
    assert unapproved_steps(approved, plan(record=None)) == ()
    timing = ApplySettings(Address("h1", 7001), (SettingChange("repl-diskless-sync-delay", "0", "5"),))
    assert unapproved_steps(approved, replace(approved, waves=(*approved.waves, (timing,)))) == ()
    elsewhere = replace(timing, address=Address("h9", 7001))
    assert unapproved_steps(approved, replace(approved, waves=(*approved.waves, (elsewhere,)))) == (elsewhere,)


def test_the_file_is_told_by_what_it_says() -> None:
    desired, _ = situation({"file": {"settings": {"maxmemory": "2mb"}}})
    facts = {fact.name: fact.value for fact in topology_facts(desired.topology)}
    assert facts["file setting maxmemory"] == "2mb"
    assert facts["file nodes"].split()[0] == "h1:7001"


def test_every_field_of_a_topology_has_a_fact() -> None:
    desired, _ = situation({"file": {"settings": {"maxmemory": "2mb"}}})
    names = {fact.name.split()[1] for fact in topology_facts(desired.topology)}
    told_otherwise = {"data_directory": "data", "settings": "setting"}
    assert {told_otherwise.get(field.name, field.name) for field in fields(Topology)} <= names
