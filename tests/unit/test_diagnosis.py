"""What is found, code by code, and what must not be invented: consequences of a cause that was named."""

from __future__ import annotations

from typing import Any

import pytest

from slotwright.model.findings import Severity
from slotwright.planning.diagnosis import diagnose
from tests.fakes.pictures import findings, picture

STRANGER = {"id": "f" * 40, "address": "h9:7001"}
SINGLE = {"hosts": 1, "ports": 1, "replicas": 0, "mode": "single"}
MB = 1024 * 1024


def codes(**given: Any) -> list[str]:
    return [line.split()[1] for line in findings(**given)]


def test_a_sound_cluster_has_no_findings() -> None:
    assert findings() == []
    assert findings(file=False) == []
    assert findings(topology=SINGLE) == []
    assert findings(topology={"replicas": 0}) == []


# One test a code.


def test_node_down_primary() -> None:
    assert findings(silent={"h1:7001": "refused"}) == ["serious node-down h1:7001"]


def test_node_down_replica() -> None:
    assert findings(silent={"h2:7002": "refused"}) == ["warning node-down h2:7002"]


def test_node_down_single() -> None:
    assert findings(topology=SINGLE, silent={"h1:7001": "refused"}) == ["serious node-down h1:7001"]


@pytest.mark.parametrize("code", ["timeout", "unreachable", "closed", "not-a-server"])
def test_node_down_in_other_ways(code: str) -> None:
    assert findings(silent={"h1:7001": code}) == ["serious node-down h1:7001"]


def test_wrong_password() -> None:
    assert findings(silent={"h2:7002": "wrong-password"}) == ["serious wrong-password h2:7002"]


def test_slots_uncovered() -> None:
    assert findings(sees={"*": {"h1:7001": {"slots": "0-5459"}}}) == ["serious slots-uncovered demo"]


def test_cluster_state_fail() -> None:
    assert findings(says={"h2:7001": {"state": "fail"}}) == ["serious cluster-state-fail h2:7001"]


def test_views_disagree_on_slots() -> None:
    assert findings(sees={"h2:7001": {"h1:7001": {"slots": "0-99"}}}) == ["serious views-disagree h2:7001"]


def test_views_disagree_on_a_role() -> None:
    sees = {"h2:7001": {"h2:7002": {"role": "primary", "replica_of": None}}}
    assert findings(sees=sees) == ["serious views-disagree h2:7001"]


def test_views_disagree_on_whom_a_replica_follows() -> None:
    assert findings(sees={"h2:7001": {"h2:7002": {"replica_of": "h3:7001"}}}) == ["serious views-disagree h2:7001"]


def test_a_member_that_another_does_not_know() -> None:
    assert findings(sees={"h3:7002": {"h2:7002": None}}) == ["serious member-unknown h2:7002"]


def test_views_disagree_on_the_epoch_that_decides_over_slots() -> None:
    assert findings(sees={"h2:7001": {"h1:7001": {"epoch": 99}}}) == ["serious views-disagree h2:7001"]
    assert findings(sees={"h2:7001": {"h2:7002": {"epoch": 99}}}) == []


def test_epoch_collision() -> None:
    sees = {"*": {"h1:7001": {"epoch": 2}}}
    assert findings(sees=sees) == ["warning epoch-collision h1:7001 and h2:7001"]


def test_open_slot() -> None:
    sees = {"h1:7001": {"h1:7001": {"migrating": {"7": "h2:7001"}}}}
    sees["h2:7001"] = {"h2:7001": {"importing": {"7": "h1:7001"}}}
    assert findings(sees=sees) == ["warning open-slot h1:7001 and h2:7001"]


def test_replica_link_down() -> None:
    assert findings(says={"h2:7002": {"link": "down", "down_s": 9}}) == ["serious replica-link-down h2:7002"]


def test_replica_link_down_while_it_copies_is_less() -> None:
    assert findings(says={"h2:7002": {"link": "down", "syncing": True}}) == ["warning replica-link-down h2:7002"]


@pytest.mark.parametrize(
    ("fault", "code"), [("missing", "replica-auth-missing"), ("rejected", "replica-auth-rejected")]
)
def test_replica_auth(fault: str, code: str) -> None:
    given = {"says": {"h2:7002": {"link": "down"}}, "login_faults": {"h2:7002": fault}}
    assert findings(**given) == [f"serious {code} h2:7002"]


def test_replica_lagging() -> None:
    assert findings(says={"h2:7002": {"behind": MB + 1}}) == ["warning replica-lagging h2:7002"]
    assert findings(says={"h2:7002": {"behind": MB}}) == []


def test_a_shard_without_its_replica_which_follows_another() -> None:
    sees = {"*": {"h2:7002": {"replica_of": "h2:7001"}}}
    assert findings(sees=sees, topology={"allow": True}) == ["warning replica-misplaced h2:7002"]


def test_replica_beside_primary() -> None:
    sees = {"*": {"h2:7002": {"replica_of": "h2:7001"}, "h3:7002": {"replica_of": "h1:7001"}}}
    assert findings(sees=sees) == ["warning replica-beside-primary h2:7002"]


def test_role_moved() -> None:
    sees = {
        "*": {
            "h1:7001": {"role": "replica", "replica_of": "h2:7002", "slots": "", "flags": "slave"},
            "h2:7002": {"role": "primary", "replica_of": None, "slots": "0-5460", "epoch": 9, "flags": "master"},
        }
    }
    assert findings(sees=sees) == ["note role-moved h2:7002"]


def test_unknown_node() -> None:
    given = {"strangers": [STRANGER], "views": {"h9:7001": {}}}
    assert findings(**given) == ["warning unknown-node h9:7001"]


def test_settings_differ() -> None:
    given = {"file": {"settings": {"maxmemory": "2"}}, "says": {"h1:7001": {"settings": {"maxmemory": "1"}}}}
    assert findings(**given) == ["warning settings-differ h1:7001"]


def test_persistence_failing() -> None:
    assert findings(says={"h1:7001": {"save_ok": False}}) == ["serious persistence-failing h1:7001"]
    assert findings(says={"h2:7002": {"append_ok": False}}) == ["serious persistence-failing h2:7002"]


def test_memory_near_limit() -> None:
    assert findings(says={"h1:7001": {"used": 91, "maxmemory": 100}}) == ["warning memory-near-limit h1:7001"]
    assert findings(says={"h1:7001": {"used": 90, "maxmemory": 100}}) == []


def test_loading() -> None:
    assert findings(says={"h2:7002": {"loading": True}}) == ["warning loading h2:7002"]
    assert findings(says={"h1:7001": {"loading": True}}) == ["serious loading h1:7001"]


def test_versions_mixed() -> None:
    assert findings(says={"h1:7001": {"version": "valkey 8.1.8"}}) == ["note versions-mixed demo"]


# What must not be invented.


def test_a_dead_primary_is_not_also_a_lost_link() -> None:
    given = {"silent": {"h1:7001": "refused"}, "says": {"h2:7002": {"link": "down", "down_s": 3}}}
    assert findings(**given) == ["serious node-down h1:7001"]


def test_a_dead_primary_does_not_make_its_peers_liars() -> None:
    given = {"silent": {"h1:7001": "refused"}, "says": {"*": {"state": "fail"}, "h2:7002": {"link": "down"}}}
    assert codes(**given) == ["node-down"]


def test_a_dead_primary_s_slots_are_not_also_uncovered() -> None:
    assert "slots-uncovered" not in codes(silent={"h1:7001": "refused"})


def test_a_dead_node_is_told_once_whatever_the_others_say() -> None:
    given = {"silent": {"h1:7001": "refused"}, "sees": {"*": {"h1:7001": {"flags": "master,fail"}}}}
    assert findings(**given) == ["serious node-down h1:7001"]


def test_a_dead_replica_does_not_leave_its_primary_bare() -> None:
    assert codes(silent={"h2:7002": "refused"}) == ["node-down"]


def test_after_a_failover_the_dead_former_primary_is_the_only_one_missing() -> None:
    given = {"silent": {"h1:7001": "refused"}, "failed_over": {"h1:7001": "h2:7002"}}
    assert findings(**given) == ["warning node-down h1:7001", "note role-moved h2:7002"]


def test_views_may_differ_on_a_dead_node() -> None:
    given = {"silent": {"h2:7002": "refused"}, "sees": {"h1:7001": {"h2:7002": {"flags": "slave,fail?"}}}}
    assert codes(**given) == ["node-down"]


def test_a_missing_password_is_not_also_a_lost_link() -> None:
    given = {"says": {"h2:7002": {"link": "down"}}, "login_faults": {"h2:7002": "missing"}}
    assert codes(**given) == ["replica-auth-missing"]


def test_a_missing_password_is_not_also_a_setting_that_differs() -> None:
    given = {
        "file": {"settings": {"masterauth": "hunter2"}},
        "says": {"h2:7002": {"link": "down", "settings": {"masterauth": ""}}},
        "login_faults": {"h2:7002": "missing"},
    }
    assert codes(**given) == ["replica-auth-missing"]


def test_replicas_on_one_machine_are_no_fault() -> None:
    assert findings(topology={"hosts": 1, "ports": 6, "replicas": 1}) == []


def test_replicas_beside_their_primary_may_be_allowed() -> None:
    sees = {"*": {"h2:7002": {"replica_of": "h2:7001"}, "h3:7002": {"replica_of": "h1:7001"}}}
    assert findings(sees=sees, topology={"allow": True}) == []


def test_a_handshake_is_no_stranger() -> None:
    assert findings(strangers=[{**STRANGER, "flags": "handshake"}]) == []


def test_primaries_without_slots_share_epoch_zero_in_peace() -> None:
    strangers = [{"id": letter * 40, "address": f"h{number}:7001"} for letter, number in (("e", 8), ("f", 9))]
    assert "epoch-collision" not in codes(strangers=strangers, views={"h8:7001": {}, "h9:7001": {}})


def test_without_a_file_nobody_is_unknown_and_no_role_has_moved() -> None:
    given = {"failed_over": {"h1:7001": "h2:7002"}, "silent": {"h1:7001": "refused"}, "file": False}
    assert codes(**given) == ["node-down", "shard-without-replica"]


def test_settings_that_the_file_does_not_give_are_not_judged() -> None:
    given = {"file": {"settings": {"maxmemory": "2"}}, "says": {"h1:7001": {"settings": {"hz": "100"}}}}
    assert findings(**given) == []


def test_no_limit_is_never_near() -> None:
    assert findings(says={"h1:7001": {"used": 10**12, "maxmemory": 0}}) == []


def test_a_node_that_loads_does_not_also_say_that_the_cluster_is_down() -> None:
    assert "cluster-state-fail" not in codes(says={"h2:7002": {"loading": True, "state": "fail"}})


def test_a_primary_that_loads_is_more_than_a_note() -> None:
    found = diagnose(picture({"says": {"h1:7001": {"loading": True}}}))
    assert [one.severity for one in found if one.severity is not Severity.NOTE] != []


def test_a_loading_primary_is_not_also_a_lost_link() -> None:
    assert "replica-link-down" not in codes(says={"h1:7001": {"loading": True}, "h2:7002": {"link": "down"}})


def test_a_node_that_the_others_hold_failed_is_named() -> None:
    sees = {"*": {"h2:7002": {"flags": "slave,fail"}}, "h2:7002": {"h2:7002": {"flags": "slave"}}}
    assert codes(sees=sees) == ["node-down"]


# Two faults at once: both are named.


def test_two_dead_nodes_of_two_shards() -> None:
    given = {"silent": {"h1:7001": "refused", "h3:7002": "timeout"}}
    assert findings(**given) == ["serious node-down h1:7001", "warning node-down h3:7002"]


def test_a_whole_shard_dead() -> None:
    given = {"silent": {"h1:7001": "refused", "h2:7002": "refused"}}
    assert findings(**given) == ["serious node-down h1:7001", "warning node-down h2:7002"]


def test_a_dead_primary_and_a_replica_of_another_shard_locked_out() -> None:
    given = {
        "silent": {"h1:7001": "refused"},
        "says": {"h2:7002": {"link": "down"}, "h3:7002": {"link": "down"}},
        "login_faults": {"h3:7002": "rejected"},
    }
    assert findings(**given) == ["serious node-down h1:7001", "serious replica-auth-rejected h3:7002"]


def test_slots_without_an_owner_beside_a_dead_replica() -> None:
    given = {"silent": {"h3:7002": "refused"}, "sees": {"*": {"h1:7001": {"slots": "0-5459"}}}}
    assert findings(**given) == ["serious slots-uncovered demo", "warning node-down h3:7002"]


def test_a_failing_disk_on_a_node_with_a_wrong_setting() -> None:
    given = {
        "file": {"settings": {"maxmemory": "2"}},
        "says": {"h1:7001": {"settings": {"maxmemory": "1"}, "save_ok": False, "append_ok": False}},
    }
    assert findings(**given) == [
        "serious persistence-failing h1:7001",
        "serious persistence-failing h1:7001",
        "warning settings-differ h1:7001",
    ]


def test_a_dead_node_and_a_stranger() -> None:
    given = {"silent": {"h2:7002": "refused"}, "strangers": [STRANGER], "views": {"h9:7001": {}}}
    assert findings(**given) == ["warning node-down h2:7002", "warning unknown-node h9:7001"]


# What the sentences carry.


def test_no_password_is_told() -> None:
    given = {
        "file": {"settings": {"masterauth": "hunter2"}},
        "says": {"h1:7001": {"settings": {"masterauth": "sesame"}}},
    }
    (found,) = diagnose(picture(given))
    assert "hunter2" not in str(found) and "sesame" not in str(found)
    assert "masterauth" in found.seen


def test_the_reason_of_silence_is_the_evidence() -> None:
    (found,) = diagnose(picture({"silent": {"h1:7001": "timeout"}}))
    assert found.seen == "h1:7001: timeout"


def test_the_risk_of_a_dead_primary_is_its_slots() -> None:
    (found,) = diagnose(picture({"silent": {"h1:7001": "refused"}}))
    assert "0-5460" in found.risk


def test_every_finding_but_a_note_says_what_to_do() -> None:
    givens: list[dict[str, Any]] = [
        {"silent": {"h1:7001": code}} for code in ("refused", "timeout", "wrong-password", "loading", "closed")
    ]
    givens += [{"says": {"h2:7002": {"link": "down"}}}, {"strangers": [STRANGER]}, {"says": {"*": {"state": "fail"}}}]
    assert [found for given in givens for found in diagnose(picture(given)) if not found.remedy] == []
