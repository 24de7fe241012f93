"""Every row of the catalogue on a real cluster: `check` names it and nothing else, `repair` mends it without loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.engines import TestEngine, engine_params
from tests.faults import table
from tests.faults.catalogue import ROWS, Row
from tests.faults.cluster import Cluster, codes_of, form
from tests.faults.injected import InjectedFault
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

TRIES = 5
Note = Callable[[str, object], None]


def _rows() -> Iterator[object]:
    for row in ROWS:
        for engine in engine_params(*row.engines):
            yield pytest.param(row, *engine.values, id=f"{row.label}-{engine.id}", marks=[*_marks(row), *engine.marks])


def _marks(row: Row) -> Iterator[pytest.MarkDecorator]:
    if not row.is_quick:
        yield pytest.mark.slow
    if row.lacks:
        yield pytest.mark.xfail(reason=row.lacks, strict=True)


@pytest.mark.parametrize(("row", "engine"), list(_rows()))
def test_row(lab: Lab, engine: TestEngine, row: Row, record_property: Note) -> None:
    cluster = form(lab, engine, settings=row.settings, **row.shape)
    story = Story(row, cluster)
    try:
        story.tell()
    finally:
        record_property(table.PROPERTY, story.line())


class Story:
    """One row from its injection to the end; what it came to is kept also when it ends early."""

    def __init__(self, row: Row, cluster: Cluster) -> None:
        self._row = row
        self._cluster = cluster
        self._began = time.monotonic()
        self._codes: set[str] = set()
        self._steps: list[str] = []
        self._found = 0

    def line(self) -> dict[str, object]:
        return {
            "fault": self._row.id,
            "title": self._row.title,
            "engine": self._cluster.engine.label,
            "codes": sorted(self._codes),
            "steps": self._steps,
            "expected": len(self._cluster.known),
            "found": self._found,
            "seconds": round(time.monotonic() - self._began, 1),
        }

    def tell(self) -> None:
        injected = self._inject()
        self._see_plan()
        if self._row.words:
            self._refuse_without_the_word()
        if self._row.needs_operator:
            self._leave_to_the_operator(injected)
        self._mend()
        self._prove()

    def _inject(self) -> InjectedFault:
        """Until `check` was quicker than the servers, where these settle it themselves."""
        for _ in range(TRIES if self._row.is_fleeting else 1):
            injected = self._row.inject(self._cluster) or InjectedFault()
            for key in injected.lost:
                del self._cluster.known[key]
            told = self._cluster.check(*self._row.check_options)
            self._codes = codes_of(told.json)
            if self._codes - self._row.may or not self._row.is_fleeting:
                break
        if self._row.is_fleeting and not self._codes - self._row.may:
            return injected
        assert told.code == (0 if self._row.is_note else 3), told
        assert not self._row.faults_in(self._codes), told.json["findings"]
        return injected

    def _see_plan(self) -> None:
        plan = self._cluster.run("repair", self._cluster.target, "--plan", "--json")
        if self._row.is_note or (self._row.is_fleeting and plan.code == 0):
            return
        assert plan.code == 3 or (self._row.needs_operator and plan.code == 0), plan
        assert plan.json["steps"] or plan.json["unrepaired"], plan
        words = {step["word"] for step in plan.json["steps"] if step["word"]}
        # That two values differ may be seen only when they are read for the repair.
        assert words <= self._row.words, plan

    def _refuse_without_the_word(self) -> None:
        before = self._cluster.counted()
        told = self._cluster.repair()
        assert told.code == 4, told
        assert {step["word"] for step in told.json["refused"]} == self._row.words, told
        assert self._cluster.counted() == before
        self._steps += [step["step"] for step in told.json["done"]]

    def _leave_to_the_operator(self, injected: InjectedFault) -> None:
        told = self._cluster.repair()
        assert told.code not in (0, 2), told
        assert told.json["check"]["findings"], told
        self._steps += [step["step"] for step in told.json["done"]]
        injected.relieve()

    def _mend(self) -> None:
        if self._row.is_note:
            return
        words = [word for accepted in sorted(self._row.words) for word in ("--accept", accepted)]
        told = self._cluster.repair(*words)
        assert told.code == 0, told
        self._steps += [step["step"] for step in told.json["done"]]
        assert told.json["check"]["ok"], told

    def _prove(self) -> None:
        """By the servers' own words, and by `check`."""
        cluster = self._cluster
        wrong = cluster.differing()
        self._found = len(cluster.known) - len(wrong)
        assert wrong == {}
        cluster.lab.wait(cluster.is_in_sync, "every replica to be in sync")
        assert cluster.strays() == {}
        assert cluster.counted() - len(cluster.known) <= len(cluster.extra)
        check = cluster.check(*self._row.check_options)
        assert check.code == 0, check
        again = cluster.run("repair", cluster.target, "--plan", "--json")
        assert (again.code, again.json["steps"]) == (0, []), again
