"""LZF, by which servers compress strings of a snapshot (lzf_d.c; rdb.c, rdbLoadLzfStringObject)."""

from __future__ import annotations


def decompress(packed: bytes, size: int) -> bytes:
    """The ``size`` bytes that ``packed`` stands for; :class:`ValueError` when it does not stand for that many.

    A control byte below 32 announces that many bytes plus one as they are; any other a copy of what came out before:
    its length in the upper three bits (7: the next byte adds to it), the distance in the others and one more byte.
    """
    made = bytearray()
    at, end = 0, len(packed)
    try:
        while at < end:
            control = packed[at]
            at += 1
            if control < 32:
                at += control + 1
                if at > end:
                    raise ValueError("a run of bytes is cut")
                made += packed[at - control - 1 : at]
            else:
                length = control >> 5
                if length == 7:
                    length += packed[at]
                    at += 1
                length += 2
                distance = ((control & 31) << 8 | packed[at]) + 1
                at += 1
                _repeat(made, distance, length)
            if len(made) > size:
                break
    except IndexError:
        raise ValueError("a copy is cut") from None
    if len(made) != size:
        raise ValueError(f"{len(made)} bytes came out instead of {size}")
    return bytes(made)


def _repeat(made: bytearray, distance: int, length: int) -> None:
    """Appends ``length`` bytes from ``distance`` bytes back; the copy may reach into itself."""
    start = len(made) - distance
    if start < 0:
        raise ValueError("a copy from before the beginning")
    if distance >= length:
        made += made[start : start + length]
    else:
        piece = bytes(made[start:])
        made += (piece * (length // distance + 1))[:length]
