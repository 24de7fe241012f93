"""What nodes need of memory beside their data, and how a size is told: apart from the judges, to load quickly."""

from __future__ import annotations

PROCESS_BYTES = 16 * 2**20
"""A node without data."""

COPY_SHARE = 0.5
"""What a save may copy while clients write: with half of the pages changed, half of the data set again."""


def shown_bytes(count: int) -> str:
    """As an operator reads it, in the server's own units (1gb is 2^30 bytes)."""
    for unit, size in (("TB", 2**40), ("GB", 2**30)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 2**20:.0f} MB"
