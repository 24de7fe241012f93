"""``planning.diff`` by cases; their language is that of ``tests/fakes/situations.py``.

``expect`` has what differs from nothing: ``waves``, ``refusals`` and ``blockers``.
"""

from __future__ import annotations

from typing import Any

import pytest

from slotwright.features.deploy.plan.diff import plan_changes
from tests.fakes.situations import blockers, refused, situation, waves
from tests.tables.runner import cases


@pytest.mark.parametrize(("given", "expect"), cases("diff"))
def test_plan(given: dict[str, Any], expect: dict[str, Any]) -> None:
    plan = plan_changes(*situation(given))
    told = {"waves": waves(plan), "refusals": refused(plan), "blockers": blockers(plan)}
    assert {name: value for name, value in told.items() if value} == expect
