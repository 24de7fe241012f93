"""What stop and destroy say before they ask, and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.console.screen import out, paint, size, table

if TYPE_CHECKING:
    from slotwright.features.lifecycle.api import ShutdownImpact
    from slotwright.features.lifecycle.destroy import Destroyed
    from slotwright.ops.stop_nodes import Stopped


def show_stop(impact: ShutdownImpact) -> None:
    """Before the question of `stop`."""
    out(f"{paint(impact.name, 'bold')}: {impact.running} of {len(impact.nodes)} nodes run, with {impact.keys:,} keys")
    _risks(impact)


def show_destroy(impact: ShutdownImpact) -> None:
    """Before the question of `destroy`."""
    if impact.keep_data:
        out(f"{paint(impact.name, 'bold')}: {len(impact.nodes)} nodes end ({impact.running} run); their data stays")
    else:
        keys = f"{impact.keys:,} keys" if impact.running else "all data on disk"
        out(f"{paint(impact.name, 'bold')}: {len(impact.nodes)} nodes ({impact.running} run) and {keys} go for ever")
    for directory in impact.directories[:12]:
        out(f"  {directory}")
    if len(impact.directories) > 12:
        out(f"  and {len(impact.directories) - 12} more folders")
    if impact.keep_data:
        _risks(impact)


def _risks(impact: ShutdownImpact) -> None:
    for risk in impact.risks:
        out(f"  {paint('risk', 'warn')}   {risk}")


def show_stopped(stopped: Sequence[Stopped]) -> None:
    """After `stop`."""
    if not stopped:
        out("nothing was running")
        return
    rows = [
        (
            str(node.address),
            "-" if node.keys is None else f"{node.keys:,}",
            size(sum(count for _, count in node.saved)),
            "killed, nothing saved" if node.was_killed else ", ".join(sorted({_kind(name) for name, _ in node.saved})),
        )
        for node in stopped
    ]
    table(("stopped", "keys", "on disk", "saved in"), rows, right=("keys", "on disk"))


def _kind(name: str) -> str:
    return "RDB" if name.endswith(".rdb") and "/" not in name else "AOF"


def show_destroyed(gone: Destroyed) -> None:
    """After `destroy`."""
    nodes = f"{gone.nodes} node{'' if gone.nodes == 1 else 's'}"
    out(f"{gone.name} is gone: {nodes} ended" + ("" if gone.kept or gone.aside else ", no process and no file is left"))
    for directory in gone.kept:
        out(f"  data kept in {directory}")
    for directory in gone.aside:
        out(f"  left as it was, from earlier repairs: {directory}")
