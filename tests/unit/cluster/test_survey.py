"""One picture out of many views: whom to believe, who owns what, and how it stands."""

from __future__ import annotations

from typing import Any

import pytest

from slotwright.cluster.observation import Link, Observation, Role, SilentNode
from slotwright.cluster.survey import ClusterState, Survey, SurveyNode
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import Mode
from tests.fakes.build import at
from tests.fakes.pictures import picture

STRANGER = {"id": "f" * 40, "address": "h9:7001"}
LATER = {"role": "primary", "replica_of": None, "slots": "0-5460", "epoch": 9}


def survey(**given: Any) -> Survey:
    return picture(given).survey


def node(found: Survey, place: str) -> SurveyNode:
    return next(one for one in found.nodes if one.place == place)


def test_a_sound_cluster_shard_by_shard_the_primary_first() -> None:
    found = survey()
    assert (found.state, found.mode, str(found.served), found.shard_count) == (
        ClusterState.OK,
        Mode.CLUSTER,
        "0-16383",
        3,
    )
    assert [(one.place, one.shard, one.role) for one in found.nodes] == [
        ("h1:7001", 1, Role.PRIMARY),
        ("h2:7002", 1, Role.REPLICA),
        ("h2:7001", 2, Role.PRIMARY),
        ("h3:7002", 2, Role.REPLICA),
        ("h3:7001", 3, Role.PRIMARY),
        ("h1:7002", 3, Role.REPLICA),
    ]
    assert [one.place for one in found.shard(2)] == ["h2:7001", "h3:7002"]
    assert found.primary_of(node(found, "h3:7002")) is node(found, "h2:7001")


@pytest.mark.parametrize(
    ("given", "state"),
    [
        ({}, ClusterState.OK),
        ({"silent": {"h2:7002": "refused"}}, ClusterState.DEGRADED),
        ({"says": {"h2:7002": {"link": "down"}}}, ClusterState.DEGRADED),
        ({"says": {"h2:7001": {"state": "fail"}}}, ClusterState.DEGRADED),
        ({"silent": {"h1:7001": "refused"}, "failed_over": {"h1:7001": "h2:7002"}}, ClusterState.DEGRADED),
        ({"silent": {"h1:7001": "refused"}}, ClusterState.DOWN),
        ({"says": {"*": {"state": "fail"}}}, ClusterState.DOWN),
        ({"sees": {"*": {"h1:7001": {"slots": "0-5459"}}}}, ClusterState.DOWN),
        ({"says": {"h1:7001": {"loading": True}}}, ClusterState.DOWN),
        ({"topology": {"replicas": 0}}, ClusterState.OK),
    ],
)
def test_states(given: dict[str, Any], state: ClusterState) -> None:
    assert survey(**given).state is state


def test_everybody_silent() -> None:
    places = ["h1:7001", "h1:7002", "h2:7001", "h2:7002", "h3:7001", "h3:7002"]
    found = survey(silent=dict.fromkeys(places, "refused"))
    assert (found.state, str(found.served), len(found.nodes)) == (ClusterState.DOWN, "", 6)
    assert {one.trouble for one in found.nodes} == {"down"}


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("refused", "down"),
        ("closed", "down"),
        ("timeout", "hangs"),
        ("unreachable", "unreachable"),
        ("loading", "loading"),
        ("wrong-password", "wrong password"),
        ("not-a-server", "not a server"),
    ],
)
def test_ways_not_to_answer(code: str, trouble: str) -> None:
    found = node(survey(silent={"h2:7002": code}), "h2:7002")
    assert (found.trouble, found.is_reachable, found.link, found.keys) == (trouble, False, None, None)


def test_a_silent_primary_still_owns_its_slots_but_does_not_serve_them() -> None:
    found = survey(silent={"h1:7001": "refused"})
    assert str(node(found, "h1:7001").slots) == "0-5460"
    assert str(found.served) == "5461-16383"


def test_a_node_s_own_word_counts_more_than_all_others() -> None:
    found = survey(sees={"h1:7001": {"h1:7001": {"slots": "0-99"}}})
    assert str(node(found, "h1:7001").slots) == "0-99"


def test_of_a_silent_node_most_of_the_views_are_believed() -> None:
    sees = {"h2:7001": {"h1:7001": {"slots": "0-99"}}}
    assert str(node(survey(silent={"h1:7001": "refused"}, sees=sees), "h1:7001").slots) == "0-5460"


def test_between_two_owners_the_higher_epoch_wins() -> None:
    found = survey(sees={"h2:7002": {"h2:7002": LATER}})
    assert str(node(found, "h2:7002").slots) == "0-5460"
    assert str(node(found, "h1:7001").slots) == ""
    assert str(found.served) == "0-16383"


def test_no_slot_is_counted_twice() -> None:
    sees = {"h2:7001": {"h2:7001": {"slots": "5000-10922"}}}
    found = survey(sees=sees)
    assert [str(node(found, place).slots) for place in ("h1:7001", "h2:7001")] == ["0-4999", "5000-10922"]


def test_a_failover_is_seen_from_the_slots() -> None:
    found = survey(silent={"h1:7001": "refused"}, failed_over={"h1:7001": "h2:7002"})
    assert [(one.place, one.role, one.trouble) for one in found.shard(1)] == [
        ("h1:7001", Role.PRIMARY, "down"),
        ("h2:7002", Role.PRIMARY, ""),
    ]


def test_lag_is_what_the_primary_sent_and_the_replica_has_not() -> None:
    found = survey(says={"h2:7002": {"behind": 5}})
    assert (node(found, "h2:7002").lag_bytes, node(found, "h1:7001").lag_bytes) == (5, None)
    assert node(survey(says={"h2:7002": {"behind": -5}}), "h2:7002").lag_bytes == 0
    assert node(survey(says={"h2:7002": {"behind": 5, "link": "down"}}), "h2:7002").lag_bytes is None
    assert node(survey(silent={"h1:7001": "refused"}), "h2:7002").lag_bytes is None


def test_handshakes_are_no_nodes() -> None:
    assert len(survey(strangers=[{**STRANGER, "flags": "handshake"}]).nodes) == 6


def test_a_stranger_stands_last_and_was_not_planned() -> None:
    last = survey(strangers=[STRANGER]).nodes[-1]
    assert (last.place, last.is_planned, last.shard, last.trouble) == ("h9:7001", False, None, "not asked")


def test_two_nodes_without_an_address_stay_two() -> None:
    lost = [{"id": letter * 40, "address": None, "flags": "master,noaddr"} for letter in "ef"]
    assert [one.place for one in survey(strangers=lost).nodes[-2:]] == ["e" * 40, "f" * 40]


def test_a_node_that_nobody_speaks_of_is_known_from_the_blueprint() -> None:
    found = survey(silent={"h2:7002": "refused"}, sees={"*": {"h2:7002": None}})
    assert [(one.place, one.trouble, one.shard) for one in found.shard(1)] == [
        ("h1:7001", "", 1),
        ("h2:7002", "down", 1),
    ]


def test_the_blueprint_s_word_on_slots_counts_less_than_a_server_s() -> None:
    sees = {"*": {"h1:7001": None}, "h2:7002": {"h1:7001": None, "h2:7002": LATER}}
    found = survey(silent={"h1:7001": "refused"}, sees=sees)
    assert (str(node(found, "h2:7002").slots), str(node(found, "h1:7001").slots)) == ("0-5460", "")


def test_the_blueprint_s_higher_epoch_does_not_help_it() -> None:
    heir = {"role": "primary", "replica_of": None, "slots": "10923-16383", "epoch": 2}
    sees = {"*": {"h3:7001": None}, "h1:7002": {"h3:7001": None, "h1:7002": heir}}
    found = survey(silent={"h3:7001": "refused"}, sees=sees)
    assert (str(node(found, "h1:7002").slots), str(node(found, "h3:7001").slots)) == ("10923-16383", "")


def test_without_a_file_everything_is_as_planned() -> None:
    found = survey(file=False, strangers=[STRANGER])
    assert {one.is_planned for one in found.nodes} == {True}


def test_shards_are_counted_in_the_order_of_their_slots() -> None:
    found = survey(
        file=False,
        sees={"*": {"h1:7001": {"slots": "10923-16383"}, "h3:7001": {"slots": "0-5460"}}},
    )
    assert [node(found, place).shard for place in ("h3:7001", "h2:7001", "h1:7001", "h2:7002")] == [1, 2, 3, 3]


def test_the_failed_flag_of_any_view_is_kept_for_a_silent_node() -> None:
    found = survey(file=False, strangers=[STRANGER], sees={"h1:7001": {"h9:7001": {"flags": "master,fail"}}})
    assert node(found, "h9:7001").trouble == "failed"


def test_a_node_that_answers_us_but_is_held_failed_by_the_others_is_failed() -> None:
    found = survey(sees={"*": {"h2:7002": {"flags": "slave,fail"}}, "h2:7002": {"h2:7002": {"flags": "slave"}}})
    assert node(found, "h2:7002").trouble == "failed"


def test_a_single_instance() -> None:
    found = survey(topology={"hosts": 1, "ports": 1, "replicas": 0, "mode": "single"}, says={"h1:7001": {"keys": 3}})
    assert (found.mode, found.state, str(found.served)) == (Mode.SINGLE, ClusterState.OK, "0-16383")
    assert [(one.place, one.keys, one.link, one.shard) for one in found.nodes] == [("h1:7001", 3, None, 1)]


def test_a_single_instance_that_is_down() -> None:
    shape = {"hosts": 1, "ports": 1, "replicas": 0, "mode": "single"}
    found = survey(topology=shape, silent={"h1:7001": "refused"})
    assert (found.state, str(found.served), found.nodes[0].trouble) == (ClusterState.DOWN, "", "down")
    assert found.nodes[0].id == f"{2:040x}"


def test_an_unknown_place_where_nothing_answers() -> None:
    found = take_survey("x", Observation((), (SilentNode(at("h1:7001"), "refused", ""),)), None)
    assert (found.state, found.nodes) == (ClusterState.DOWN, ())


def test_links_are_those_that_the_nodes_name() -> None:
    found = survey(says={"h2:7002": {"link": "down"}})
    assert [one.link for one in found.nodes] == [None, Link.DOWN, None, Link.UP, None, Link.UP]
