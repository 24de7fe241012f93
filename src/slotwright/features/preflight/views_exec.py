"""What a command on many hosts said: hosts that said the same stand together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.console.screen import out, paint

if TYPE_CHECKING:
    from slotwright.features.preflight.exec import Ran


def show_ran(done: Sequence[Ran]) -> None:
    """Each different outcome once, under the hosts that had it."""
    groups: dict[tuple[int | None, str, str], list[str]] = {}
    for ran in done:
        groups.setdefault((ran.status, ran.output, ran.complaint), []).append(ran.host)
    for number, ((status, output, complaint), hosts) in enumerate(groups.items()):
        if number:
            out("")
        state = "" if status == 0 else paint("  not reached" if status is None else f"  status {status}", "bad")
        out(f"{paint(', '.join(hosts), 'bold')}{state}")
        out(*(f"  {line}" for line in output.splitlines()))
        out(*(f"  {paint(line, 'dim' if status == 0 else 'bad')}" for line in complaint.splitlines()))
