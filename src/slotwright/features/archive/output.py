"""The JSON of `archive`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.archive.api import Archived, ArchivedNode


class ArchivedNodeOutput(Output, frozen=True, kw_only=True):
    """One node; ``trouble``: why its data is older than now."""

    address: str
    role: str
    keys: int | None
    file: str
    bytes: int
    files: int
    trouble: str


class ArchiveOutput(Output, frozen=True, kw_only=True):
    """`archive`."""

    name: str
    folder: str
    nodes: tuple[ArchivedNodeOutput, ...]


def archive_output(archived: Archived) -> ArchiveOutput:
    """`archive`."""
    return ArchiveOutput(name=archived.name, folder=archived.folder, nodes=tuple(map(_node_output, archived.nodes)))


def _node_output(node: ArchivedNode) -> ArchivedNodeOutput:
    return ArchivedNodeOutput(
        address=str(node.address),
        role=node.role,
        keys=node.keys,
        file=node.file,
        bytes=node.size_bytes,
        files=node.members,
        trouble=node.trouble,
    )
