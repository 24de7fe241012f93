"""The change and rollback sheet: all that is needed to approve a change and to take it back, in both languages."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from slotwright.cluster.steps import ApplySettings, ChangeFirewall, Plan, PrepareHost, ProveReach, SettingChange, Step
from slotwright.cluster.topology import Address
from slotwright.features.deploy.plan.approval import to_be_approved
from slotwright.features.deploy.plan_files import SHEET_MARK
from slotwright.features.deploy.sheet_texts import TEXTS
from slotwright.features.deploy.views_sheet import sheet_text
from tests.fakes.situations import plan
from tests.unit.features.deploy.test_plan_files import change


def sheet(found: Plan, language: str = "en") -> str:
    approved = to_be_approved(found, "/srv/my file.yaml", "2026-01-02T03:04:05Z", "alice@ops1")
    return sheet_text(found, approved, "change.plan", language)


def test_a_changed_setting_has_its_old_values_node_by_node_and_its_way_back() -> None:
    text = sheet(change())
    assert text.startswith(f"{SHEET_MARK}demo -->\n\n# Change and rollback sheet: demo\n")
    assert "- sets `maxmemory`: `1048576` → `2mb` on 6 nodes, without a restart\n" in text
    assert text.count("| `maxmemory` | `1048576` | `2mb` |\n") == 6
    assert "Canary: in stage 1, h1:7001 goes first, alone." in text
    assert "run `slotwright up '/srv/my file.yaml'`" in text
    assert "| by | alice@ops1 |" in text
    assert f"| digest | `{change().digest}` |" in text
    assert "keys that it evicts" in text
    assert "\n\n\n" not in text


def test_a_new_cluster_is_taken_back_with_destroy_and_has_no_old_values() -> None:
    timing = {"repl-diskless-sync-delay": "5"}
    text = sheet(plan(record=None, wanted=timing))
    assert "- **create**: `slotwright destroy demo`" in text
    assert "| 1 | create | h1:7001 | primary of shard 1 |" in text
    assert "Values now, node by node" not in text
    assert "- **set**: Only timings that were lowered" in text
    assert "keys that are written into new nodes" in text


def test_rules_are_listed_both_ways_and_hosts_are_planned_again() -> None:
    wave = (
        PrepareHost("h1", ("service user", "unit")),
        ChangeFirewall("h1", ("let in 10.0.0.2 on 7001",), ("public permanent rule a|b",), ("old rule",)),
    )
    text = sheet(replace(plan(), waves=(wave, (ProveReach(3, (7001,)),)), unseen=("h9",)))
    assert "| h1 | `public permanent rule a\\|b` |" in text
    assert "| h1 | `old rule` |" in text
    assert "When the hosts are ready they are looked at again" in text
    assert "Not seen, and not in this plan: h9." in text
    assert "| 2 | prove reach | the cluster | every pair of 3 hosts, ports 7001 |" in text
    assert "## What has no way back\n\n- nothing\n" in text


def test_secrets_and_rewritten_files_are_said_without_values() -> None:
    secret = ApplySettings(Address("h1", 7001), (SettingChange("masterauth", "***", "***"),))
    text = sheet(replace(plan(), waves=((secret, ApplySettings(Address("h2", 7001), ())),)))
    assert "`masterauth`: to the value of the file (secret)" in text
    assert "- the old values of `masterauth`: they are secrets" in text
    assert "- writes the configuration files of 1 node anew" in text


def test_text_from_outside_breaks_no_table() -> None:
    hostile = ApplySettings(Address("h1", 7001), (SettingChange("save", "a|b\n`# x`", ""),))
    text = sheet(replace(plan(), waves=((hostile,),)))
    assert "| h1:7001 | `save` | `a\\|b\\n'# x'` | `\"\"` |" in text


@pytest.mark.parametrize("found", [change(), plan(record=None), plan(nodes={"*": "stopped"})])
def test_chinese_says_the_same_in_the_same_order(found: Plan) -> None:
    english, chinese = sheet(found).splitlines(), sheet(found, "zh").splitlines()
    assert "# 变更/回退方案:demo" in chinese
    assert [line.count("|") for line in english] == [line.count("|") for line in chinese]
    assert [line[:2] for line in english if line.startswith("#")] == [c[:2] for c in chinese if c.startswith("#")]


def test_every_kind_of_step_has_its_texts() -> None:
    for kind in [step.kind for step in get_args(Step)]:
        for part in ("", "-what", "-risk", "-back"):
            assert f"{kind}{part}" in TEXTS, kind


def test_who_made_the_plan_breaks_no_table() -> None:
    approved = to_be_approved(change(), "/c.yaml", "2026-01-02T03:04:05Z", "a|b\x1b[2J")
    text = sheet_text(change(), approved, "change.plan")
    assert text.count("| a\\|b\\\\x1b\\[2J |") == 2
    assert "\x1b" not in text
