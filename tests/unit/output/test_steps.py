"""A plan's steps stand in `plan --json` and in a plan's file, in the same fields: docs/json.md says so."""

from __future__ import annotations

import json

import msgspec

from slotwright.features.deploy.output import step_output
from slotwright.features.deploy.plan.step_fields import step_fields
from tests.unit.output.results import plan


def test_steps_are_the_same_in_json_and_in_a_plans_file() -> None:
    steps = plan().steps
    shown = [msgspec.to_builtins(step_output(step)) for step in steps]
    assert json.loads(json.dumps(shown)) == [step_fields(step) for step in steps]
