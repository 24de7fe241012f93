"""What looks at real runs sees what does not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.output.cases import GOLDEN
from tests.unit.output.shapes import misfits, verb_of


@pytest.mark.parametrize(
    ("words", "verb"),
    [
        (("status", "demo", "--json"), "status"),
        (("jobs", "--json"), "jobs list"),
        (("jobs", "--all", "--json"), "jobs list"),
        (("jobs", "pace", "10mb", "--json"), "jobs pace"),
        (("client", "redis-py", "cache", "--json"), "client KIND"),
        (("client", "test", "cache", "--json"), "client test"),
        (("migrate", "--status", "--json"), "migrate"),
    ],
)
def test_a_verb_is_known_by_its_words(words: tuple[str, ...], verb: str) -> None:
    assert verb_of(words) == verb


@pytest.mark.parametrize(("words", "name"), [("status", "status"), ("migrate --status", "migrate-status")])
def test_answers_fit(words: str, name: str) -> None:
    assert misfits([*words.split(), "--json"], (GOLDEN / f"{name}.json").read_text()) == []


def test_lines_and_errors_fit() -> None:
    lines = (GOLDEN / "watch.json").read_text() + (GOLDEN / "error-host.json").read_text()
    assert misfits(["watch", "--json"], lines) == []


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"new": 1}, {"slots_covered": "all"}, {"name": None}, {"error": {"code": "x"}}]
)
def test_what_does_not_fit_is_seen(change: dict[str, Any]) -> None:
    fields = json.loads((GOLDEN / "status.json").read_text()) | change
    assert len(misfits(["status", "--json"], json.dumps(fields))) == 1


def test_what_is_for_people_or_for_another_program_is_not_looked_at() -> None:
    assert misfits(["status"], "{}") == []
    assert misfits(["exec", "--", "valkey-cli", "--json"], "{}") == []
    assert misfits(["status", "--json"], "no JSON") == []


def test_an_error_may_be_of_no_verb_at_all() -> None:
    error = (GOLDEN / "error-usage.json").read_text()
    assert misfits(["--json"], error) == misfits(["nothing", "--json"], error) == []
    assert misfits(["status", "--json"], "[1]") == ["[1]"]
