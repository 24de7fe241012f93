"""No id of the catalogue is forgotten, and none is told twice."""

from __future__ import annotations

from tests.faults import table
from tests.faults.catalogue import ELSEWHERE, IDS, NOT_INJECTED, ROWS


def test_every_fault_is_in_one_place() -> None:
    placed = [*{row.id for row in ROWS}, *ELSEWHERE, *NOT_INJECTED]
    assert sorted(placed) == sorted(IDS)
    labels = [row.label for row in ROWS]
    assert len(set(labels)) == len(labels)


def test_a_row_tells_what_is_missing_and_what_is_invented() -> None:
    row = next(row for row in ROWS if row.id == "F04")
    assert row.faults_in({"open-slot", "views-disagree"}) == []
    assert row.faults_in({"views-disagree"}) == ["none told of: open-slot, slots-uncovered"]
    assert row.faults_in({"open-slot", "node-down"}) == ["invented: node-down"]


def test_tables_are_written_between_their_marks() -> None:
    text = f"before\n{table.BEGIN}\nOLD\n{table.END}\nmiddle\n{table.BEGIN_REST}\n{table.END_REST}\nafter\n"
    line = table.Line("F01", "a slot", "redis-7.0", ["open-slot"], ["settle", "settle"], 3, 3, 1.25)
    written = table.rewritten(text, [line])
    assert "| F01 | a slot | redis-7.0 | open-slot | settle × 2 | 3/3 | 1.2 | passed |" in written
    assert written.startswith("before\n") and written.endswith("\nafter\n") and "OLD" not in written
    assert table.rewritten(written, [line]) == written
    assert "| F52 | not injected: " in written
