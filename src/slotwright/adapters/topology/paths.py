"""Paths in the topology file: relative to the file's own folder on this machine, whole ones on remote hosts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from slotwright.adapters.topology.lines import KeyPath
from slotwright.adapters.topology.schema import Report


def absolute_path(text: str, base: Path, at: KeyPath, report: Report) -> str:
    """``text`` with ``~`` expanded and taken from ``base``; "" and a problem when it can't be a path."""
    key = at[-1]
    if not _is_path(text, at, report):
        return ""
    try:
        return str(base.absolute() / Path(text).expanduser())
    except RuntimeError:
        report.problem(f"{key}: there is no such user or no home directory", *at, hint="write the whole path")
        return ""


def path_on_hosts(text: str, at: KeyPath, report: Report) -> str:
    """A whole path on remote hosts; "" and a problem for anything else: this machine knows no other home or folder."""
    if not _is_path(text, at, report):
        return ""
    if text.startswith("/"):
        return str(PurePosixPath(text))
    hint = "'~' is this machine's; write the whole path" if text.startswith("~") else "write the whole path, from '/'"
    report.problem(f"{at[-1]} is a directory on the hosts and must start with '/'", *at, hint=hint)
    return ""


def _is_path(text: str, at: KeyPath, report: Report) -> bool:
    fault = "is empty" if not text else "holds a control character" if any(ord(one) < 32 for one in text) else ""
    if fault:
        report.problem(f"{at[-1]} {fault}", *at)
    return not fault
