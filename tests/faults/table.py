"""The lines that the rows leave, as a table for a terminal and for docs/faults.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.faults.catalogue import ELSEWHERE, NOT_INJECTED

PROPERTY = "fault"
BEGIN, END = "<!-- rows: begin -->", "<!-- rows: end -->"
BEGIN_REST, END_REST = "<!-- rest: begin -->", "<!-- rest: end -->"
_HEAD = ("id", "fault", "server", "check said", "repair did", "keys", "seconds", "outcome")


@dataclass(frozen=True)
class Line:
    """What one row came to with one server. ``expected`` counts the keys that were acknowledged and that the fault
    itself did not destroy, ``found`` those of them that a client reads as they were written, when all is done."""

    fault: str
    title: str
    engine: str
    codes: list[str]
    steps: list[str]
    expected: int
    found: int
    seconds: float
    outcome: str = "passed"

    @property
    def cells(self) -> tuple[str, ...]:
        steps = list(dict.fromkeys(self.steps))
        return (
            self.fault,
            self.title,
            self.engine,
            ", ".join(self.codes) or "-",
            ", ".join(f"{step} × {n}" if (n := self.steps.count(step)) > 1 else step for step in steps) or "-",
            f"{self.found}/{self.expected}" if self.outcome == "passed" else "not read",
            f"{self.seconds:.1f}",
            self.outcome,
        )


def for_a_terminal(lines: Iterable[Line]) -> Iterator[str]:
    rows = [_HEAD, *(line.cells for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def rewritten(text: str, lines: Sequence[Line]) -> str:
    """``text`` with both of its tables anew."""
    rows = _markdown(_HEAD, [line.cells for line in lines])
    rest = _markdown(
        ("id", "where"),
        sorted([*ELSEWHERE.items(), *((fault, f"not injected: {why}") for fault, why in NOT_INJECTED.items())]),
    )
    return _between(_between(text, BEGIN, END, rows), BEGIN_REST, END_REST, rest)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(lines)


def _between(text: str, begin: str, end: str, inside: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{inside}\n{end}{after}"
