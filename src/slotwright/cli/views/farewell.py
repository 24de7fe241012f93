"""What stop and destroy say before they ask, and what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.screen import out, paint, size, table

if TYPE_CHECKING:
    from slotwright.api import Destroyed, Farewell
    from slotwright.operations.stop import Stopped


def show_stop(farewell: Farewell) -> None:
    """Before the question of `stop`."""
    out(
        f"{paint(farewell.name, 'bold')}: {farewell.running} of {len(farewell.nodes)} nodes run, "
        f"with {farewell.keys:,} keys"
    )
    _risks(farewell)


def show_destroy(farewell: Farewell) -> None:
    """Before the question of `destroy`."""
    if farewell.keep_data:
        out(
            f"{paint(farewell.name, 'bold')}: {len(farewell.nodes)} nodes end ({farewell.running} run); "
            "their data stays"
        )
    else:
        keys = f"{farewell.keys:,} keys" if farewell.running else "all data on disk"
        out(
            f"{paint(farewell.name, 'bold')}: {len(farewell.nodes)} nodes ({farewell.running} run) "
            f"and {keys} go for ever"
        )
    for directory in farewell.directories[:12]:
        out(f"  {directory}")
    if len(farewell.directories) > 12:
        out(f"  and {len(farewell.directories) - 12} more folders")
    if farewell.keep_data:
        _risks(farewell)


def _risks(farewell: Farewell) -> None:
    for risk in farewell.risks:
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


def stopped_json(node: Stopped) -> dict[str, Any]:
    """One node of `stop`."""
    return {
        "address": str(node.address),
        "keys": node.keys,
        "killed": node.was_killed,
        "saved": [{"file": name, "bytes": count} for name, count in node.saved],
    }


def show_destroyed(gone: Destroyed) -> None:
    """After `destroy`."""
    nodes = f"{gone.nodes} node{'' if gone.nodes == 1 else 's'}"
    out(f"{gone.name} is gone: {nodes} ended" + ("" if gone.kept or gone.aside else ", no process and no file is left"))
    for directory in gone.kept:
        out(f"  data kept in {directory}")
    for directory in gone.aside:
        out(f"  left as it was, from earlier repairs: {directory}")


def destroyed_json(gone: Destroyed) -> dict[str, Any]:
    """`destroy`."""
    return {
        "name": gone.name,
        "nodes": gone.nodes,
        "keys": gone.keys,
        "kept": list(gone.kept),
        "aside": list(gone.aside),
    }
