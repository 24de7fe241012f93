"""Paths in the topology file are relative to the file's own folder."""

from __future__ import annotations

from pathlib import Path

from slotwright.adapters.topology_lines import KeyPath
from slotwright.adapters.topology_schema import Report


def absolute_path(text: str, base: Path, at: KeyPath, report: Report) -> str:
    """``text`` with ``~`` expanded and taken from ``base``; "" and a problem when it can't be a path."""
    key = at[-1]
    if not text or any(ord(character) < 32 for character in text):
        report.problem(f"{key} is empty" if not text else f"{key} holds a control character", *at)
        return ""
    try:
        return str(base.absolute() / Path(text).expanduser())
    except RuntimeError:
        report.problem(f"{key}: there is no such user or no home directory", *at, hint="write the whole path")
        return ""
