"""What is said when there was nothing to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotwright.cluster.findings import Finding, Severity
from slotwright.features.failover.api import Failover
from slotwright.features.failover.views import show_failover
from tests.unit.output.results import sound

MOVED = Finding("role-moved", Severity.NOTE, "127.0.1.2:7002", "a failover made it the primary of shard 1", "none")


def told(result: Failover, capsys: pytest.CaptureFixture[str]) -> str:
    show_failover(result)
    return " ".join(capsys.readouterr().out.split())


def test_one_node_tells_nothing_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Failover("demo", (), (), sound())
    assert "nothing to do, every primary is where it should be" in told(nothing, capsys)
    named = replace(nothing, asked="127.0.1.2:7002")
    assert told(named, capsys).endswith("nothing to do, 127.0.1.2:7002 is a primary already")


def test_a_displaced_primary_is_named_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    verdict = replace(sound(), findings=(MOVED,))
    text = told(Failover("demo", (), (), verdict, "127.0.1.2:7002"), capsys)
    assert "not all are where the file has them: slotwright failover --restore-plan demo" in text
    assert "every primary" not in text
