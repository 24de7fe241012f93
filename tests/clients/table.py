"""What the runs came to, as a table for a terminal and for docs/clients.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

PROPERTY = "client"
BEGIN, END = "<!-- {}: begin -->", "<!-- {}: end -->"
_HEAD = (
    "client",
    "version",
    "server",
    "death: outage",
    "errors",
    "other shards",
    "failover: outage",
    "errors",
    "writes",
    "lost",
)


@dataclass(frozen=True)
class Line:
    """One application in one run. Times in seconds; ``is_over`` says whether it had service again in time."""

    failover_run: str
    client: str
    version: str
    engine: str
    takeover_s: float
    death_s: float
    death_is_over: bool
    death_errors: int
    elsewhere_s: float
    failover_s: float
    failover_is_over: bool
    failover_errors: int
    acknowledged: int
    lost: int

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.client,
            self.version,
            self.engine,
            _outage(self.death_s, is_over=self.death_is_over),
            str(self.death_errors),
            f"{self.elsewhere_s:.1f} s",
            _outage(self.failover_s, is_over=self.failover_is_over),
            str(self.failover_errors),
            str(self.acknowledged),
            str(self.lost),
        )


def _outage(seconds: float, *, is_over: bool) -> str:
    return f"{seconds:.1f} s" if is_over else f"not over after {seconds:.0f} s"


def for_a_terminal(lines: Iterable[Line]) -> Iterator[str]:
    rows = [_HEAD, *(line.cells for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def rewritten(text: str, lines: Sequence[Line]) -> str:
    """``text`` with the tables of those runs anew that there are lines of."""
    for failover_run in dict.fromkeys(line.failover_run for line in lines):
        of_it = [line for line in lines if line.failover_run == failover_run]
        takeovers = {line.engine: line.takeover_s for line in of_it}
        told = ", ".join(f"{seconds:.1f} s with {engine}" for engine, seconds in takeovers.items())
        inside = f"{_markdown(of_it)}\n\nThe servers' own takeover took {told}."
        before, _, rest = text.partition(BEGIN.format(failover_run))
        _, _, after = rest.partition(END.format(failover_run))
        text = f"{before}{BEGIN.format(failover_run)}\n{inside}\n{END.format(failover_run)}{after}"
    return text


def _markdown(lines: Sequence[Line]) -> str:
    rows = [f"| {' | '.join(_HEAD)} |", "|" + "---|" * len(_HEAD)]
    return "\n".join(rows + [f"| {' | '.join(line.cells)} |" for line in lines])
