"""An archive, as it was read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.screen import out, paint, size, table

if TYPE_CHECKING:
    from slotwright.features.archive.api import Archived


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
