"""An `up` that changes running nodes, killed in the middle: `abort` gives each node exactly what it had."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.by_hand import ENV, links_are_up, make, with_masterauth
from tests.integration.conftest import Lab
from tests.integration.test_crash import cut, side_by_side
from tests.server_settings import byte_count

pytestmark = pytest.mark.servers

NAMES = ("maxmemory", "maxmemory-policy", "cluster-node-timeout", "hz")
OLD = "{maxmemory: 64mb, cluster-node-timeout: 2000}"
NEW = "{maxmemory: 128mb, cluster-node-timeout: 2000, maxmemory-policy: allkeys-lru, hz: 20}"

# begin, then intent and done of three nodes, of the wait and of the record; then the end.
CUTS = (3, 6, 11)


def told(lab: Lab) -> dict[str, dict[str, str]]:
    """What every node says of the settings that are changed."""
    found = {}
    for name in lab.processes():
        address = name.replace("-", ":")
        with lab.client(address, lab.password()) as client:
            found[address] = {name: client.config_get(name)[name] for name in NAMES}
    return found


def files(lab: Lab) -> dict[str, str]:
    return {path.parent.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lab.state.rglob("server.conf")}


def record(lab: Lab) -> dict:
    return json.loads((lab.state / "clusters/cache/record.json").read_text())


def baseline(lab: Lab, name: str = "cache") -> Path:
    return lab.state / "clusters" / name / "baseline.json"


@pytest.mark.parametrize("engine", engine_params())
def test_a_change_that_was_killed_is_taken_back(lab: Lab, engine: TestEngine) -> None:
    ports = {entries: (lab.free_port(),) for entries in CUTS}

    def one(sub: Lab, entries: int) -> None:
        path = sub.topology(engine, replicas=0, ports=ports[entries], settings=OLD)
        assert sub.run("up", "--yes").code == 0
        drifted = next(iter(told(sub)))
        with sub.client(drifted, sub.password()) as client:
            client.config_set("maxmemory-policy", "volatile-ttl")
        before = (told(sub), files(sub), record(sub))
        assert before[0][drifted]["maxmemory-policy"] == "volatile-ttl"
        assert not baseline(sub).exists()

        path.write_text(path.read_text().replace(OLD, NEW))
        assert cut(sub, entries)
        assert told(sub) != before[0], "the first node was set, at least"
        assert_kept_without_secrets(sub)
        assert_both_ways_are_named(sub)

        plan = sub.run("abort", "--plan", "cache")
        assert plan.code == 3, plan
        assert "maxmemory 128mb -> 64mb" in plan.out and "slotwright abort cache" in plan.out, plan.out
        assert sub.run("abort", "cache", "--plan", "--json").json["steps"], "and for programs"
        assert sub.run("abort", "cache", "--json").code == 2, "nobody is there to be asked"
        if entries == CUTS[-1]:
            assert cut(sub, 4, "abort"), "the abort is killed, too, with one node set back"
            resume = sub.run("resume", "cache", "--yes", "--json")
            assert resume.error["hint"] == "slotwright abort cache goes on from there"
        done = sub.run("abort", "cache", "--yes", "--json")
        assert done.code in (0, 3), done
        assert (done.json["taken_back"], done.json["settled"], done.json["findings"]) == (True, True, []), done.json
        # The node that was set by hand before is as it was, and found as it was.
        assert {found["code"] for found in done.json["check"]["findings"]} <= {"settings-differ"}
        assert (told(sub), files(sub), record(sub)) == before
        assert not baseline(sub).exists()

        with sub.client(drifted, sub.password()) as client:
            client.config_set("maxmemory-policy", "noeviction")
        path.write_text(path.read_text().replace(NEW, OLD))
        plan = sub.run("plan", "--json")
        assert (plan.code, plan.json["steps"]) == (0, []), plan.json
        assert sub.run("check", "cache").code == 0
        again = sub.run("abort", "cache", "--yes", "--json")
        assert (again.code, again.error["code"]) == (2, "nothing-cut")
        path.write_text(path.read_text().replace(OLD, NEW))
        assert sub.run("up", "--yes").code == 0, "the same change can be made again"
        assert not baseline(sub).exists()
        assert sub.run("destroy", "--yes").code == 0
        sub.assert_nothing_is_left()

    side_by_side(lab, CUTS, one)


def assert_kept_without_secrets(lab: Lab) -> None:
    kept = baseline(lab)
    assert kept.stat().st_mode & 0o777 == 0o600
    password = lab.password()
    assert password
    journal = (lab.state / "clusters/cache/journal.jsonl").read_text()
    assert password not in kept.read_text() + journal
    content = json.loads(kept.read_text())
    assert (content["format"], content["verb"], len(content["nodes"])) == (1, "up", 3)


def assert_both_ways_are_named(lab: Lab) -> None:
    check = lab.run("check", "cache", "--json")
    assert check.code == 3
    (finding,) = (found for found in check.json["findings"] if found["code"] == "change-unfinished")
    assert "slotwright up" in finding["remedy"] and "slotwright abort cache" in finding["remedy"]
    assert "a change by `up` was begun" in lab.run("status", "cache").out
    resume = lab.run("resume", "cache", "--yes", "--json")
    assert (resume.code, resume.error["code"]) == (2, "other-verb-cut")
    assert "slotwright up" in resume.error["hint"] and "slotwright abort cache" in resume.error["hint"]


def test_the_old_file_sets_back_what_only_the_new_one_had(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, replicas=0, ports=(lab.free_port(),), settings=OLD)
    assert lab.run("up", "--yes").code == 0
    before = told(lab)
    path.write_text(path.read_text().replace(OLD, NEW))
    assert cut(lab, 3)
    path.write_text(path.read_text().replace(NEW, OLD))
    assert lab.run("up", "--yes").code == 0
    assert told(lab) == before
    assert not baseline(lab).exists()
    path.write_text(path.read_text().replace(OLD, NEW))
    assert lab.run("up", "--yes").code == 0
    path.write_text(path.read_text().replace(NEW, OLD))
    assert lab.run("up", "--yes").code == 0
    assert told(lab) == before, "what is no longer in the file has its default, without a restart"
    assert lab.run("destroy", "--yes").code == 0


def test_a_formation_that_was_cut_is_gone_on_with_or_destroyed(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert cut(lab, 5)
    assert not baseline(lab).exists()
    abort = lab.run("abort", "cache", "--yes", "--json")
    assert (abort.code, abort.error["code"]) == (2, "other-verb-cut")
    assert "slotwright up" in abort.error["hint"] and "slotwright destroy cache" in abort.error["hint"]
    assert lab.run("destroy", "--yes").code == 0


def test_destroy_and_a_later_format(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, replicas=0, ports=(lab.free_port(),), settings=OLD)
    assert lab.run("up", "--yes").code == 0
    path.write_text(path.read_text().replace(OLD, NEW))
    assert cut(lab, 3)
    kept = baseline(lab).read_text()
    baseline(lab).write_text(json.dumps(json.loads(kept) | {"format": 2, "slotwright": "0.9.0"}))
    for words in (("abort", "cache", "--yes"), ("up", "--yes"), ("destroy", "--yes")):
        refused = lab.run(*words, "--json")
        assert (refused.code, refused.error["code"]) == (4, "format-newer"), words
        assert "the baseline of cache was written by slotwright 0.9.0" in refused.error["what"]
    baseline(lab).write_text(kept)
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()


def test_a_change_of_an_adopted_cluster_is_taken_back(lab: Lab, embedded: TestEngine) -> None:
    hand = make(lab, embedded, with_masterauth(), "maxmemory 64mb")
    lab.wait(lambda: links_are_up(hand), "the replicas to be in sync")
    assert lab.run("adopt", hand.seed, "--name", "cache", env=ENV).code == 0
    path = lab.folder / "cluster.yaml"
    text = path.read_text()
    before = {address: hand.config(address, "maxmemory") for address in hand.addresses}
    kept = record(lab)
    path.write_text(text.replace("maxmemory: 64mb", "maxmemory: 128mb"))
    assert cut(lab, 5)
    assert {hand.config(address, "maxmemory") for address in hand.addresses} != set(before.values())
    assert len(json.loads(baseline(lab).read_text())["nodes"]) == len(hand.addresses)
    assert lab.run("abort", "--plan", "cache").code == 3
    assert cut(lab, 4, "abort")
    done = lab.run("abort", "cache", "--yes", "--json")
    assert (done.code, done.json["settled"]) == (0, True), done.out
    assert {address: hand.config(address, "maxmemory") for address in hand.addresses} == before
    assert {byte_count(hand.settings(address)["maxmemory"][0]) for address in hand.addresses} == {64 * 2**20}
    assert record(lab) == kept
    assert not baseline(lab).exists()
    path.write_text(text)
    assert lab.run("plan", "--json", env=ENV).json["steps"] == []
