"""A plan as a file: written for approval, refused when the world moved, done without a question, and done once."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from tests.engines import TestEngine
from tests.integration.by_hand import ENV, PASSWORD, links_are_up, make, with_masterauth
from tests.integration.conftest import Lab
from tests.integration.test_changes import addresses, change, configured

pytestmark = pytest.mark.servers

OLD, NEW = str(64 * 2**20), str(96 * 2**20)


def test_a_plan_is_written_read_refused_and_done(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, settings="{maxmemory: 64mb}")
    first = lab.run("plan", "-o", "first.plan")
    assert first.code == 3, first.err
    formed = lab.run("up", "first.plan", "--json")
    assert (formed.code, formed.json["check"]["ok"]) == (0, True), formed.out + formed.err
    change(path, "maxmemory: 64mb", "maxmemory: 96mb")
    plan = lab.run("plan", "--output", "change.plan", "--json")
    assert (plan.code, plan.json["plan_file"], plan.json["sheet"]) == (3, "change.plan", "change.plan.md"), plan.err
    assert_what_is_written(lab, plan.json["digest"])
    assert configured(lab, "maxmemory") == {OLD}, "nothing was changed"
    assert_a_change_by_hand_is_named(lab)
    assert_a_changed_file_is_named(lab, path)
    done = lab.run("up", "change.plan", "--json")
    assert (done.code, done.json["check"]["ok"]) == (0, True), done.out + done.err
    assert configured(lab, "maxmemory") == {NEW}
    journal = (lab.state / "clusters" / "cache" / "journal.jsonl").read_text()
    assert plan.json["digest"] in journal
    again = lab.run("up", "change.plan")
    assert again.code == 0, again.err
    assert "change.plan is done already" in again.out
    nothing = lab.run("plan", "-o", "other.plan")
    assert nothing.code == 0
    assert "other.plan was not written: there is nothing to do" in nothing.out
    assert not (lab.folder / "other.plan").exists()


def assert_what_is_written(lab: Lab, digest: str) -> None:
    plan, sheet = lab.folder / "change.plan", (lab.folder / "change.plan.md").read_text()
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600
    content = json.loads(plan.read_bytes())
    assert (content["kind"], content["digest"]) == ("plan", digest)
    assert [step["step"] for step in content["stages"][0]] == ["set"] * 6
    password = lab.password()
    assert password
    assert password not in plan.read_text() + sheet
    for address in addresses(lab):
        assert f"| {address} | `maxmemory` | `64mb` | `96mb` |" in sheet
    assert f"`{digest}`" in sheet


def assert_a_change_by_hand_is_named(lab: Lab) -> None:
    address = addresses(lab)[-1]
    with lab.client(address, lab.password()) as client:
        client.config_set("maxmemory", 77 * 2**20)
        refused = lab.run("up", "change.plan", "--json")
        assert (refused.code, refused.error["code"]) == (4, "stale-plan"), refused.out + refused.err
        assert refused.error["seen"] == f"{address} setting maxmemory: {OLD} -> {77 * 2**20}"
        assert refused.error["left"] == "nothing was changed"
        assert "-o NEW.plan" in refused.error["hint"]
        assert configured(lab, "maxmemory") == {OLD, str(77 * 2**20)}
        client.config_set("maxmemory", OLD)


def assert_a_changed_file_is_named(lab: Lab, path: Path) -> None:
    change(path, "maxmemory: 96mb", "maxmemory: 97mb")
    refused = lab.run("up", "change.plan", "--json")
    assert (refused.code, refused.error["code"]) == (4, "stale-plan")
    assert refused.error["seen"] == "file setting maxmemory: 96mb -> 97mb"
    change(path, "maxmemory: 97mb", "maxmemory: 96mb")


def test_what_cannot_be_done_is_not_written_and_nothing_else_is_lost(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, settings="{maxmemory: 64mb}", replicas=0)
    taken = lab.run("plan", "-o", "cluster.yaml", "--json")
    assert (taken.code, taken.error["code"]) == (4, "file-exists")
    assert path.read_text().startswith("name: cache")
    assert lab.run("plan", "-o", "change.plan", "--sheet", "sheet.md", "--lang", "zh").code == 3
    assert "# 变更/回退方案:cache" in (lab.folder / "sheet.md").read_text()
    mistaken = lab.run("plan", "change.plan", "--json")
    assert (mistaken.code, mistaken.error["code"]) == (2, "is-plan")
    assert lab.run("up", "change.plan").code == 0
    change(path, "maxmemory: 64mb", "maxmemory: 64mb, tcp-backlog: 200")
    before = (lab.folder / "change.plan").read_bytes()
    refused = lab.run("plan", "-o", "change.plan")
    assert refused.code == 3
    assert "change.plan was not written: what stands in the way comes first" in refused.out
    assert (lab.folder / "change.plan").read_bytes() == before


def test_a_plan_of_an_adopted_cluster(lab: Lab, embedded: TestEngine) -> None:
    hand = make(lab, embedded, with_masterauth(), "maxmemory 64mb")
    lab.wait(lambda: links_are_up(hand), "the replicas to be in sync")
    assert lab.run("adopt", hand.seed, "--name", "hand", env=ENV).code == 0
    change(lab.folder / "cluster.yaml", "maxmemory: 64mb", "maxmemory: 96mb")
    assert lab.run("plan", "-o", "change.plan").code == 3
    assert PASSWORD not in (lab.folder / "change.plan").read_text() + (lab.folder / "change.plan.md").read_text()
    last = hand.addresses[-1]
    with lab.client(last, PASSWORD) as client:
        client.config_set("maxmemory", 77 * 2**20)
        refused = lab.run("up", "change.plan", "--json")
        assert (refused.code, refused.error["code"]) == (4, "stale-plan"), refused.out + refused.err
        assert refused.error["seen"] == f"{last} setting maxmemory: {OLD} -> {77 * 2**20}"
        client.config_set("maxmemory", OLD)
    done = lab.run("up", "change.plan", "--json")
    assert (done.code, done.json["changed"]) == (0, True), done.out + done.err
    assert {hand.config(address, "maxmemory") for address in hand.addresses} == {NEW}
    again = lab.run("up", "change.plan", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
