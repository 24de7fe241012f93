"""Values that docs/json.md promises: what is renamed inside must not change them."""

from __future__ import annotations

from enum import Enum
from typing import get_args

import pytest

from slotwright.cluster.findings import Severity
from slotwright.cluster.observation import Link, Role
from slotwright.cluster.record import Stage
from slotwright.cluster.steps import Step
from slotwright.cluster.survey import ClusterState
from slotwright.cluster.topology import Mode
from slotwright.features.jobs.model import JobState
from slotwright.features.migrate.model.command_sample import Crosser
from slotwright.features.migrate.model.migration import MigrationPhase
from slotwright.features.migrate.model.surveys import Right
from slotwright.features.repair.model import Action, Risk
from slotwright.features.watch.plan import Happening
from slotwright.keys.model.comparison import Aspect, KeyVerdict
from slotwright.keys.model.databases import DatabaseRule

PROMISED: dict[type[Enum], str] = {
    Severity: "serious warning note",
    Role: "primary replica",
    Link: "up down",
    Mode: "cluster single",
    ClusterState: "ok degraded down",
    Stage: "forming formed adopted",
    JobState: "running paused cut over newer unreadable",
    Risk: "none service loss",
    MigrationPhase: "copy follow closing moved aborted",
    Right: "allowed denied absent unknown",
    Crosser: "command transaction script",
    DatabaseRule: "refuse prefix keep",
    KeyVerdict: "equal expired not-comparable different",
    Aspect: "missing extra type value expiry groups field-expiry",
    Happening: "failover node-down node-up link-lost link-back slots-lost slots-back state joined left",
}


@pytest.mark.parametrize("kind", PROMISED, ids=lambda kind: kind.__name__)
def test_values_are_as_promised(kind: type[Enum]) -> None:
    assert {str(member.value) for member in kind} == set(PROMISED[kind].split())


PLAN_STEPS = "prepare firewall reach create start set wait seal remember"
REPAIR_STEPS = "thaw end map aside mend-log start wait password announce meet forget promote follow epoch settle"


@pytest.mark.parametrize(("kinds", "promised"), [(Step, PLAN_STEPS), (Action, REPAIR_STEPS)])
def test_steps_are_called_as_promised(kinds: object, promised: str) -> None:
    assert {kind.kind for kind in get_args(kinds)} == set(promised.split())
