"""What is found, code by code, and what must not be invented: consequences of a cause that was named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Observation
from slotwright.health import diagnose
from slotwright.health.unjudged import unjudged
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


def test_secrets_of_modules_differ_without_their_values() -> None:
    name = "search-oss-global-password"
    given = {"file": {"settings": {name: "hunter2"}}, "says": {"h1:7001": {"settings": {name: "hunter1"}}}}
    (found,) = diagnose(picture(given))
    assert (found.code, found.seen) == ("settings-differ", f"{name} differs")


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


def only(given: dict[str, Any]) -> Finding:
    (found,) = diagnose(picture(given))
    return found


def log(engine: str, name: str) -> str:
    return (Path(__file__).parents[1] / "server" / "logs" / engine / f"{name}.log").read_text()


def test_what_still_serves_is_said_by_the_nodes_own_setting() -> None:
    for full, words in (("yes", "no key of any slot is served"), ("no", "the other slots go on being served")):
        settings = {"cluster-require-full-coverage": full}
        found = only({"silent": {"h1:7001": "refused"}, "says": {"*": {"settings": settings, "state": "fail"}}})
        assert words in found.risk
        lost = {"sees": {"*": {"h1:7001": {"slots": "0-5459"}}}, "says": {"*": {"settings": settings, "state": "fail"}}}
        assert words in only(lost).risk


def test_reads_may_go_on_when_down() -> None:
    settings = {"cluster-require-full-coverage": "yes", "cluster-allow-reads-when-down": "yes"}
    found = only({"silent": {"h1:7001": "refused"}, "says": {"*": {"settings": settings, "state": "fail"}}})
    assert "except reads" in found.risk


def test_before_the_time_out_nobody_refuses_yet() -> None:
    settings = {"cluster-require-full-coverage": "yes"}
    found = only({"silent": {"h1:7001": "refused"}, "says": {"*": {"settings": settings}}})
    assert "once the others hold it failed" in found.risk


def test_a_primary_whose_replica_lives_is_not_served_until_it_takes_over() -> None:
    assert "until a replica takes over" in only({"silent": {"h1:7001": "refused"}}).risk


def test_a_flood_is_measured_and_the_disk_s_end_foretold() -> None:
    given = {
        "says": {"h2:7002": {"link": "down"}},
        "login_faults": {"h2:7002": "missing"},
        "exams": {"h2:7002": {"log": log("redis-7.0", "auth-missing"), "free": 2 * 10**9}},
    }
    found = only(given)
    assert found.code == "replica-auth-missing"
    assert "KB/s" in found.seen and "lines a second" in found.seen
    assert "its log fills the disk in about 105 min" in found.risk


def test_a_log_that_grows_slowly_is_no_flood() -> None:
    given = {
        "says": {"h2:7002": {"link": "down"}},
        "login_faults": {"h2:7002": "rejected"},
        "exams": {"h2:7002": {"log": log("valkey-9.1", "auth-rejected")}},
    }
    assert "lines a second" not in only(given).seen
    assert "its log grows" in only(given).risk


@pytest.mark.parametrize(
    ("name", "words", "remedy"),
    [
        ("disk-full-save", "its disk is full", "free some room"),
        ("folder-mode", "it may not write its folder", "give the folder back"),
        ("no-fork", "the kernel refuses to fork it", "slotwright preflight --fix"),
        ("killed", "the node could not save the last time", "slotwright logs h1:7001"),
    ],
)
def test_why_a_save_failed_is_told(name: str, words: str, remedy: str) -> None:
    found = only({"says": {"h1:7001": {"save_ok": False}}, "exams": {"h1:7001": {"log": log("redis-7.0", name)}}})
    assert words in found.what
    assert remedy in found.remedy


def test_writes_go_on_where_a_failed_save_does_not_stop_them() -> None:
    says = {"save_ok": False, "settings": {"stop-writes-on-bgsave-error": "no"}}
    assert "writes go on" in only({"says": {"h1:7001": says}}).risk


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("noeviction", "writes are refused"),
        ("allkeys-lru", "keys are evicted"),
        ("volatile-ttl", "with a time to live"),
    ],
)
def test_what_happens_at_the_memory_s_limit(policy: str, words: str) -> None:
    assert words in only({"says": {"h1:7001": {"used": 95, "maxmemory": 100, "policy": policy}}}).risk


@pytest.mark.parametrize(
    ("exam", "words"),
    [
        ({"state": "D"}, "its process is alive (state D: waits for its disk)"),
        ({"log": log("redis-7.0", "killed")}, "it was killed, or its host went down"),
        ({"log": log("valkey-9.1", "shut-down")}, "it was asked to shut down"),
        ({"log": log("redis-7.0", "crashed")}, "it crashed"),
    ],
)
def test_what_the_host_knows_of_a_node_that_is_down_is_evidence(exam: dict[str, Any], words: str) -> None:
    found = only({"silent": {"h1:7001": "refused"}, "exams": {"h1:7001": exam}})
    assert found.code == "node-down"
    assert words in found.seen


def test_a_folder_that_can_t_be_believed_is_the_cause_or_a_finding_of_its_own() -> None:
    unsafe = {"folder": "unsafe", "state": "", "reason": "everybody may write to /srv", "remedy": "chmod go-w /srv"}
    found = only({"silent": {"h1:7001": "refused"}, "exams": {"h1:7001": unsafe}})
    assert (found.code, found.severity, found.remedy) == ("folder-unsafe", Severity.SERIOUS, "chmod go-w /srv")
    assert "everybody may write to /srv" in found.what
    found = only({"exams": {"h1:7001": unsafe}})
    assert (found.code, found.severity, found.where) == ("folder-unsafe", Severity.WARNING, "h1:7001")


def test_a_folder_that_a_later_release_wrote_is_the_cause_or_a_finding_of_its_own() -> None:
    reason, remedy = "its slotwright.json was written by slotwright 0.9 in format 2", "use slotwright 0.9 or newer"
    newer = {"folder": "newer", "state": "", "reason": reason, "remedy": remedy}
    found = only({"silent": {"h1:7001": "refused"}, "exams": {"h1:7001": newer}})
    assert (found.code, found.severity, found.remedy) == ("directory-newer", Severity.SERIOUS, remedy)
    assert reason in found.what
    found = only({"exams": {"h1:7001": newer}})
    assert (found.code, found.severity, found.where) == ("directory-newer", Severity.WARNING, "h1:7001")
    assert reason in found.what


def test_a_host_that_is_away_is_evidence_too() -> None:
    found = only({"silent": {"h1:7001": "unreachable"}, "hosts": {"h1": {"trouble": "no route"}}})
    assert "its host can't be asked: no route" in found.seen


def test_a_node_that_answers_and_is_held_failed_is_not_to_be_restarted() -> None:
    found = only({"sees": {"*": {"h2:7002": {"flags": "slave,fail"}}, "h2:7002": {"h2:7002": {"flags": "slave"}}}})
    assert "though it answers" in found.what
    assert "h2:17002" in found.remedy


def test_nodes_that_are_down_are_for_repair() -> None:
    assert only({"silent": {"h1:7001": "refused"}}).remedy == "slotwright repair demo"
    assert only({"silent": {"h1:7001": "refused"}, "file": False}).remedy == "start its server again"


# What is not judged.


def test_what_was_not_judged_is_said() -> None:
    assert unjudged(picture({"file": False})) == (
        "placement, settings, who should be primary: no file",
        "processes, maps, logs, disks: its hosts were not asked",
        "what h1:7001, h2:7002, h2:7001 and 3 more are configured for: CONFIG GET is not answered",
    )
    asked = {"says": {"*": {"settings": {"dir": "/d"}}}}
    away = {f"h{number}": {"trouble": "no route"} if number == 1 else {} for number in (1, 2, 3)}
    assert unjudged(picture({**asked, "hosts": away})) == ("processes, maps, logs, disks of h1: no route",)
    assert unjudged(picture({**asked, "hosts": {"h1": {}, "h2": {}, "h3": {}}})) == ()


FAULT = {"*": {"h2:7002": {"fault": "'a b' is no IP address and no host name"}}}


def test_an_announced_address_that_is_none() -> None:
    (found,) = diagnose(picture({"sees": FAULT}))
    assert (found.code, found.severity, found.where) == ("address-not-valid", Severity.SERIOUS, "h2:7002")
    assert "'a b' is no IP address" in found.seen and "6 nodes" in found.seen
    assert "cluster-announce-ip" in found.remedy and found.risk


def test_who_is_not_asked_for_want_of_an_address_is_told_once_and_is_no_ghost() -> None:
    """Without a file nobody knows where it is."""
    fault = "'x' is no IP address and no host name"
    stranger = {**STRANGER, "role": "replica", "replica_of": None}
    sees = {"*": {STRANGER["address"]: {"fault": fault}}}
    assert findings(file=False, strangers=[stranger], sees=sees) == [f"serious address-not-valid {'f' * 40}"]
    planned = findings(strangers=[stranger], sees=sees)
    assert f"serious address-not-valid {'f' * 40}" in planned
    assert not any("ghost-node" in line for line in planned)


def test_no_sentence_names_a_shard_that_is_none() -> None:
    """A replica of a primary without slots, beside it, out of sync, and without a password."""
    sees = {"*": {"h1:7001": {"slots": "0-10922"}, "h2:7001": {"slots": ""}}}
    for given in ({"says": {"h3:7002": {"link": "down"}}}, {"login_faults": {"h3:7002": "missing"}}):
        link = {"h3:7002": {"link": "down"}}
        found = diagnose(picture({"file": False, "sees": sees, "says": link, **given}))
        assert any(one.where == "h3:7002" for one in found)
        assert not [one for one in found if "None" in f"{one.what} {one.risk} {one.remedy} {one.seen}"]


def test_several_addresses_with_one_id_are_said_so() -> None:
    seen = picture({})
    first = seen.observation.views[0]
    views = tuple(replace(view, id=first.id) if view.address.host == "h2" else view for view in seen.observation.views)
    found = [one for one in diagnose(replace(seen, observation=Observation(views))) if one.code == "id-shared"]
    assert [(one.where, one.what) for one in found] == [
        ("h1:7001 and h2:7001 and h2:7002", "3 addresses answer with one node id")
    ]


@pytest.mark.parametrize(("now", "is_said"), [("2968", True), ("9000", False)])
def test_clients_that_the_limit_of_open_files_took_have_a_remedy(now: str, is_said: bool) -> None:
    says = {"h1:7001": {"settings": {"maxclients": now}}}
    (found,) = diagnose(picture({"file": {"settings": {"maxclients": "5000"}}, "says": says}))
    assert (found.code, "preflight --fix" in found.remedy) == ("settings-differ", is_said)
