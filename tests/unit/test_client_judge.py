"""How the lines of an application are judged, on which docs/clients.md stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.clients.judge import Event, Operation, acknowledged, suffered
from tests.clients.table import Line, rewritten


def steady(shard: int, begin: float, end: float, step: float = 0.25) -> list[Operation]:
    count = int((end - begin) / step)
    return [
        Operation(begin + n * step, shard, int((begin + n * step) * 100), begin + n * step, "") for n in range(count)
    ]


EVENT = Event("death", 0, 100.0, 110.0)


def test_nothing_happened() -> None:
    found = suffered(steady(0, 95, 110) + steady(1, 95, 110), EVENT)
    assert (found.outage_s, found.elsewhere_s, found.errors, found.is_over) == (0.25, 0.25, 0, True)


def test_an_outage_is_the_longest_time_without_a_good_operation() -> None:
    bad = [Operation(102.0, 0, 1, 0.0, "refused"), Operation(103.0, 0, 2, 102.9, "read back None")]
    lines = steady(0, 95, 100) + bad + steady(0, 104.5, 110) + steady(1, 95, 102) + steady(1, 103, 110)
    found = suffered(lines, EVENT)
    assert found.outage_s == pytest.approx(4.75)
    assert found.elsewhere_s == pytest.approx(1.25)
    assert (found.errors, found.is_over, found.sample in ("refused", "read back None")) == (2, True, True)


def test_what_does_not_end_is_not_over() -> None:
    found = suffered([*steady(0, 95, 100), Operation(100.1, 0, 1, 100.1, ""), *steady(1, 95, 110)], EVENT)
    assert not found.is_over
    assert found.outage_s == pytest.approx(9.9)
    assert suffered(steady(0, 95, 100) + steady(0, 111, 120), EVENT).outage_s == pytest.approx(10.25)


def test_a_confirmed_write_counts_by_the_time_of_its_confirmation() -> None:
    lines = [Operation(104.0, 0, 1, 99.9, "read failed"), Operation(104.1, 0, 2, 0.0, "refused")]
    assert acknowledged(lines) == {(0, 1): 99.9}


def test_the_table_of_a_run_is_written_between_its_marks() -> None:
    line = Line("generated", "jedis", "7", "valkey-9.1", 3.0, 3.5, True, 1, 0.5, 0.2, True, 0, 100, 0)
    text = "a\n<!-- generated: begin -->\nold\n<!-- generated: end -->\nb\n<!-- defaults: begin -->\nkept\n"
    again = rewritten(text, [line])
    assert "old" not in again and "kept" in again and again.startswith("a\n") and "| jedis | 7 |" in again
    unending = rewritten(text, [replace(line, death_is_over=False)])
    assert "not over after 4 s" in unending
