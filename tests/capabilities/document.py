"""docs/capabilities.md: written from the product's table and from what servers did.

``python -m tests.capabilities.document`` measures every server at hand and writes the page. A version that is not at
hand keeps its column.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.cluster.observation import ServerVersion
from slotwright.server.capabilities import version_from_title
from slotwright.server.capabilities.table import ROWS, AskCommand, AskSetting, Since, Trial
from tests.capabilities.trials import Measured, measure
from tests.engines import LABELS, find

PLACE = Path(__file__).parents[2] / "docs" / "capabilities.md"
_MOST = 44


@dataclass(frozen=True)
class Column:
    """What the page says of one server: the cell of each capability, its format, and those that it takes."""

    version: ServerVersion
    cells: tuple[str, ...]
    writes: str
    takes: str

    @classmethod
    def of(cls, measured: Measured) -> Column:
        cells = tuple(_cell(measured.failures[row.capability]) for row in ROWS)
        return cls(measured.version, cells, str(measured.writes), ", ".join(map(str, measured.takes)))


def _cell(failure: str) -> str:
    if not failure:
        return "yes"
    words = failure.partition(", with args")[0]
    words = words if len(words) <= _MOST else f"{words[:_MOST].rstrip()} ..."
    return f"no: {words}".replace("|", "\\|").replace("`", "'")


def columns_of(page: str) -> list[Column]:
    """Those that are on the page."""
    tables = [_rows(table) for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)]
    _, measured, formats = tables
    titles, rows = measured[0][1:], measured[2:]
    by_title = {row[0]: row[1:] for row in formats[2:]}
    return [
        Column(version_from_title(title), tuple(row[1 + at] for row in rows), *by_title[title])
        for at, title in enumerate(titles)
    ]


def page_of(columns: Sequence[Column]) -> str:
    """The whole page."""
    ordered = sorted(columns, key=lambda column: (column.version.kind.value, column.version.numbers))
    titles = [column.version.title for column in ordered]
    parts = {
        "ROWS": _table(("capability", "meaning", "asked by", "Redis", "Valkey", "source"), _known()),
        "MEASURED": _table(
            ("capability", *titles),
            [(row.capability.value, *(column.cells[at] for column in ordered)) for at, row in enumerate(ROWS)],
        ),
        "FORMATS": _table(
            ("server", "writes", "RESTORE takes"),
            [(column.version.title, column.writes, column.takes) for column in ordered],
        ),
    }
    return _filled(parts)


def _filled(parts: Mapping[str, str]) -> str:
    template = Path(__file__).with_name("page.md").read_text()
    for name, table in parts.items():
        template = template.replace(f"<!-- {name} -->", table)
    return template


def _known() -> Iterator[tuple[str, ...]]:
    for row in ROWS:
        yield (row.capability.value, row.meaning, _asked(row.trial), _since(row.redis), _since(row.valkey), row.basis)


def _asked(trial: Trial) -> str:
    if isinstance(trial, AskCommand):
        flag = f", flag `{trial.flag}`" if trial.flag else ""
        return f"`COMMAND INFO {trial.name.replace('|', chr(92) + '|')}`{flag}"
    if isinstance(trial, AskSetting):
        return f"`CONFIG GET {trial.name}`"
    return f"version; tried by: {trial.words}"


def _since(since: Since) -> str:
    if since is None:
        return "no"
    return ".".join(map(str, since)) or "all"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]] | Sequence[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]


def main() -> int:
    measured = [Column.of(measure(engine)) for engine in map(find, LABELS) if engine is not None]
    lines = {column.version.numbers[:2] for column in measured}
    kept = columns_of(PLACE.read_text()) if PLACE.exists() else []
    PLACE.write_text(page_of([*measured, *(column for column in kept if column.version.numbers[:2] not in lines)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
