"""Printing for people: at most 100 columns, no boxes, colour only for state and never the only sign of it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from slotwright.console.streams import print_out, printable

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 100

_BLANKS = str.maketrans("\t\n\v\f\r", "     ")
_CODES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}


@cache
def has_colour() -> bool:
    """On a terminal that wants it (NO_COLOR is honoured)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def width() -> int:
    """Columns to use."""
    return min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns) if sys.stdout.isatty() else WIDTH


def paint(text: str, style: str) -> str:
    """``text`` in one of the few styles, when there is colour."""
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if has_colour() and text else text


def out(*lines: str) -> None:
    """Lines of the answer."""
    print_out(*lines)


@cache
def console() -> Console:
    """For tables; made only by those who need one."""
    from rich.console import Console

    return Console(width=width(), highlight=False, no_color=not has_colour(), soft_wrap=False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Columns aligned under ``header``, two blanks between and before; those named in ``right`` are right-aligned.

    A cell may have several lines.
    """
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=True, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    grid.add_column("", width=0)
    for name in header:
        grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        grid.add_row("", *(Text.from_ansi(cell) for cell in row))
    with console().capture() as captured:
        console().print(grid)
    out(*(line.rstrip() for line in captured.get().splitlines()))


def size(count: int | None) -> str:
    """``1.1 MB``; "-" for what isn't known."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def wrapped(title: str, text: str, indent: int) -> list[str]:
    """``title``, which may be painted, and ``text`` folded under itself, with what a terminal would obey escaped."""
    import textwrap

    first = " " * indent + f"{title:<8}"
    return textwrap.wrap(_shown(text), width(), initial_indent=first, subsequent_indent=" " * len(first)) or [first]


def folded(text: str, indent: int = 2) -> list[str]:
    """``text`` in as many lines as it needs, each indented; what a terminal would obey in it is escaped."""
    import textwrap

    margin = " " * indent
    return textwrap.wrap(_shown(text), width(), initial_indent=margin, subsequent_indent=margin)


def _shown(text: str) -> str:
    return printable(text.translate(_BLANKS))
