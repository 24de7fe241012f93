"""What a script on a host refused because of what it found there (``hosts/scripts/trust.py``), as an error."""

from __future__ import annotations

from pathlib import Path

from slotwright.adapters.local.claims import foreign
from slotwright.adapters.path_ownership import refusal
from slotwright.errors import RefusedError
from slotwright.hosts.node_formats import parse_unknown_format
from slotwright.hosts.scripts.files import REFUSED
from slotwright.hosts.scripts.trust import parse_distrust
from slotwright.ports import ShellResult


def refused_by(result: ShellResult, host: str, directory: str) -> RefusedError | None:
    """None where the script did not refuse."""
    if result.status != REFUSED:
        return None
    lines = [line for line in result.complaint.splitlines() if line.startswith(("@unsafe", "@misfit ", "@newer "))]
    word, _, facts = (lines or [""])[-1].partition(" ")
    if word == "@misfit":
        pid, _, reason = facts.partition(" ")
        return foreign(Path(directory), int(pid) if pid.isdigit() else 0, reason, host)
    unknown = parse_unknown_format(facts) if word == "@newer" else None
    if unknown is not None:
        return unknown.refusal(directory, host)
    distrust = parse_distrust(facts)
    if distrust is not None:
        code = "program-unsafe" if word == "@unsafe-program" else "folder-unsafe"
        return refusal(distrust, code=code, host=host, user="root")
    return RefusedError(
        f"{host}: what is at {directory} can't be believed",
        code="folder-unsafe",
        where=f"{host}:{directory}",
        seen=result.complaint.strip()[-200:],
        left="nothing was changed",
        hint=f"look at it there: ls -ld {directory}",
    )
