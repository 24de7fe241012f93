"""Requests in the protocol, as a fake server gets them."""

from __future__ import annotations

from functools import lru_cache

import hiredis


@lru_cache(64)
def counted_slots(request: bytes) -> tuple[int, ...] | None:
    """The slots of a request that is COUNTKEYSINSLOT alone; a look at everything sends the same ones each time."""
    if b"COUNTKEYSINSLOT" not in request[:64]:
        return None
    return tuple(int(words[2]) for words in parsed(request) if words[1] == b"COUNTKEYSINSLOT")


def parsed(request: bytes) -> list[list[bytes]]:
    reader = hiredis.Reader()
    reader.feed(request)
    found = []
    while (words := reader.gets()) is not False:
        found.append(words)
    return found
