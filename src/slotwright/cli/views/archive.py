"""An archive, as it was read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slotwright.cli.views.screen import out, paint, size, table

if TYPE_CHECKING:
    from slotwright.api import Archived


def show_archive(archived: Archived) -> None:
    """`archive`: one row a node."""
    rows = [
        (
            str(node.address),
            node.role,
            "-" if node.keys is None else str(node.keys),
            size(node.size_bytes),
            node.file,
            paint(node.trouble, "warn") if node.trouble else "fresh",
        )
        for node in archived.nodes
    ]
    table(("node", "role", "keys", "size", "file", "its data"), rows, right=("keys", "size"))
    total = sum(node.size_bytes for node in archived.nodes)
    out("", f"  {paint(archived.folder, 'bold')}: {len(rows)} nodes, {size(total)}, read back to the end")
    out(f"  check it any time: cd {archived.folder} && sha256sum -c SHA256SUMS")


def archive_json(archived: Archived) -> dict[str, Any]:
    """`archive`."""
    return {
        "name": archived.name,
        "folder": archived.folder,
        "nodes": [
            {
                "address": str(node.address),
                "role": node.role,
                "keys": node.keys,
                "file": node.file,
                "bytes": node.size_bytes,
                "files": node.members,
                "trouble": node.trouble,
            }
            for node in archived.nodes
        ],
    }
