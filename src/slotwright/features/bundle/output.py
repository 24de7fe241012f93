"""The JSON of `bundle`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.bundle.api import BundleReport


class BundleOutput(Output, frozen=True, kw_only=True):
    """`bundle`; ``file`` is the topology file's name in the folder, "" without one."""

    folder: str
    files: int
    size_bytes: int
    file: str
    engine: str
    notes: tuple[str, ...]


def bundle_output(made: BundleReport) -> BundleOutput:
    """`bundle`."""
    return BundleOutput(
        folder=str(made.folder),
        files=made.files,
        size_bytes=made.size_bytes,
        file=made.file,
        engine=made.engine,
        notes=made.notes,
    )
