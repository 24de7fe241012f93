"""Figures in tables: min, median and max, for the terminal and for Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """Several runs of one thing."""

    low: float
    middle: float
    high: float
    count: int

    def text(self, digits: int = 2) -> str:
        """``2.07 (2.05-2.11)``."""
        return f"{self.middle:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread | None:
    """None for no value at all."""
    if not values:
        return None
    return Spread(min(values), statistics.median(values), max(values), len(values))


def shown(values: Sequence[float], digits: int = 2, rounds: int = 0) -> str:
    """The spread of ``values``; where some of ``rounds`` failed, how many did."""
    found = spread(values)
    failed = rounds - len(values) if rounds else 0
    text = found.text(digits) if found else "-"
    return f"{text}, {failed} failed" if failed else text


def plain(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns two blanks apart; the first to the right, the others to the left."""
    widths = [max(len(row[at]) for row in (header, *rows)) for at in range(len(header))]
    lines = []
    for row in (header, *rows):
        cells = [row[0].rjust(widths[0]), *(cell.ljust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, the first column to the right."""
    ruler = ["---:", *("---" for _ in header[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ruler, *rows))
