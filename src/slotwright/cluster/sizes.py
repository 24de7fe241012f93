"""What nodes need of memory beside their data, and how a size is told: apart from the judges, to load quickly."""

from __future__ import annotations

import re

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


_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 2**10, "m": 10**6, "mb": 2**20, "g": 10**9, "gb": 2**30}


def parse_bytes(text: str) -> int | None:
    """``2gb``, ``100m``, ``1024`` as the server reads them (util.c, memtoull: k is 1000, kb is 1024)."""
    match = re.fullmatch(r"(\d+)([a-z]*)", text.strip().lower())
    if not match or match[2] not in _UNITS:
        return None
    return int(match[1]) * _UNITS[match[2]]
