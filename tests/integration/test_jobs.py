"""No verb takes a cluster from under a migration, be it at work or cut; giving it up frees the cluster.

From any terminal jobs are seen and steered."""

from __future__ import annotations

import re
import signal

import pytest

from tests.engines import engine
from tests.integration.conftest import Lab, Outcome
from tests.migration.rig import Move, make_source, make_target

ENGINE = "valkey-9.1"


def assert_refused(done: Outcome, state: str) -> None:
    assert done.code == 4, done
    error = done.error
    assert (error["code"], error["where"], error["left"]) == ("job-running", "cache", "nothing was changed")
    assert error["seen"].endswith(state), error
    assert "slotwright migrate --abort " in error["hint"]


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_cluster_with_a_migration_is_not_taken_away(lab: Lab) -> None:
    engine(ENGINE)
    target = make_target(lab, ENGINE)
    move = Move(lab, make_source(lab, ENGINE), target)
    move.source.fill(300)
    process = move.begin()
    try:
        move.wait_until(process, "ready")
        for words in (("destroy", "cache"), ("destroy", "cache", "--keep-data"), ("stop", "cache"), ("rebuild",)):
            assert_refused(lab.run(*words, "--yes", "--json"), "; its process is running")
        assert len(lab.processes()) == 6
        assert process.poll() is None
        replica = target.replica_of(target.primaries()[0])
        assert lab.run("stop", replica, "--yes").code == 0, "one node of it may be stopped"
        assert lab.run("start", "cache", replica).code in (0, 3)
        process.send_signal(signal.SIGTERM)
        assert move.output(process).code == 130
    finally:
        move.forget()
    for words in (("destroy", "cache"), ("rebuild",)):
        refused = lab.run(*words, "--yes", "--json")
        assert_refused(refused, "; its process isn't running")
    assert lab.run("stop", "cache", "--yes").code == 0, "nothing of the copy goes by it"
    assert lab.run("start", "cache").code in (0, 3)
    found = re.search(r"slotwright migrate (--abort \S+) gives it up", refused.error["hint"])
    assert found is not None
    given_up = move.run(*found[1].split(), "--yes")
    assert given_up.code == 0, given_up
    assert lab.run("destroy", "cache", "--yes").code == 0
    assert lab.processes() == {}


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_a_job_is_seen_paced_paused_gone_on_with_and_given_up(lab: Lab) -> None:
    """A migration, from other terminals, by its verb for jobs of all kinds."""
    engine(ENGINE)
    move = Move(lab, make_source(lab, ENGINE), make_target(lab, ENGINE))
    move.source.fill(8000)

    def jobs(*words: str) -> Outcome:
        return lab.run("jobs", *words, "--json", env=move.environment)

    assert jobs().json["jobs"] == []
    process = move.begin("--pace", "0.05")
    try:
        move.wait_until(process, "copying")
        (job,) = jobs("list").json["jobs"]
        assert (job["kind"], job["clusters"], job["state"], job["doing"]) == (
            "migration", ["cache"], "running", "copies",
        )  # fmt: skip
        move.wait_for(process, lambda: "copying: " in jobs().json["jobs"][0]["progress"], "it to tell how far it is")
        found = jobs("status").json
        assert (found["details"]["running"], found["details"]["pace_bytes"]) == (True, 50_000)
        twice = jobs("resume", job["name"])
        assert (twice.code, twice.error["code"]) == (4, "locked"), twice
        assert jobs("pace", "60kb").json["pace_bytes"] == 61_440
        assert move.kept()["limits"]["pace_bytes"] == 61_440
        assert process.poll() is None, "at this pace it copies for longer"
        paused = jobs("pause")
        assert (paused.code, paused.json["was_running"], paused.json["job"]["state"]) == (0, True, "paused"), paused
        assert (move.output(process).code, move.output(process).error["code"]) == (5, "stopped")
        assert jobs().json["jobs"][0]["state"] == "paused"
        assert jobs("pause").json["was_running"] is False
        resumed = move.resume_job()
        move.wait_until(resumed, "copying")
        assert jobs("status").json["details"]["pace_bytes"] == 61_440, "a resumed one has it"
        assert jobs("pace", job["name"], "none").code == 0
        move.wait_until(resumed, "ready")
        resumed.kill()
        resumed.wait()
        assert jobs().json["jobs"][0]["state"] == "cut"
        asked = lab.run("jobs", "abort")
        assert asked.code == 2 and "jobs abort needs --yes" in asked.err, asked
        given_up = jobs("abort", "--yes")
        assert (given_up.code, given_up.json["was"]) == (0, "follow"), given_up
    finally:
        move.forget()
    assert jobs().json["jobs"] == []
    assert [job["state"] for job in jobs("--all").json["jobs"]] == ["over"]
    none = jobs("resume")
    assert (none.code, none.error["code"]) == (2, "no-job"), none
    assert not move.source.is_read_only()
