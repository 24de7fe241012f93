"""Lengths and strings, of which everything else in a snapshot is made.

Source: rdb.h, "Defines related to the dump file format". Readers are given the buffer and a position, and return the
position behind what they read. Where the buffer ends first, they raise :class:`ShortError` or :class:`IndexError`:
neither says that anything is wrong.
"""

from __future__ import annotations

from slotwright.server.rdb.lzf import decompress

LONGEST = 1 << 40
"""No string is as long as this. A longer one is a misread: without a bound one would wait for it for ever."""

_INTEGER_BYTES = {0xC0: 1, 0xC1: 2, 0xC2: 4}
COMPRESSED = 0xC3
"""Begins a string that is compressed (LZF)."""


class ShortError(Exception):
    """The buffer ends too soon: it must reach to position ``until`` at least."""

    def __init__(self, until: int) -> None:
        super().__init__(until)
        self.until = until


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length, or any number that is written like one: (number, end). :class:`ValueError` if it is none."""
    first = data[at]
    if first < 0x40:
        return first, at + 1
    if first < 0x80:
        return (first & 0x3F) << 8 | data[at + 1], at + 2
    size = {0x80: 4, 0x81: 8}.get(first)
    if size is None:
        raise ValueError(f"{first:#04x} does not begin a length")
    end = at + 1 + size
    if end > len(data):
        raise ShortError(end)
    return int.from_bytes(data[at + 1 : end], "big"), end


def skip_string(data: bytes, at: int) -> int:
    """Where the string that begins at ``at`` ends, which may be behind the end of the buffer."""
    first = data[at]
    if first < 0x40:
        return at + 1 + first
    if first < 0x80:
        return at + 2 + ((first & 0x3F) << 8 | data[at + 1])
    if first < 0xC0:
        length, at = read_length(data, at)
        return at + _plausible(length)
    if first == COMPRESSED:
        packed, at = read_length(data, at + 1)
        size, at = read_length(data, at)
        _plausible(size)
        return at + _plausible(packed)
    return at + 1 + _integer_bytes(first)


def read_string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string as the server's clients know it, and where it ends; integers and compressed ones are decoded."""
    first = data[at]
    if first < 0xC0:
        length, at = read_length(data, at)
        end = _within(data, at + _plausible(length))
        return data[at:end], end
    if first == COMPRESSED:
        packed, at = read_length(data, at + 1)
        size, at = read_length(data, at)
        end = _within(data, at + _plausible(packed))
        return decompress(data[at:end], _plausible(size)), end
    end = _within(data, at + 1 + _integer_bytes(first))
    return b"%d" % int.from_bytes(data[at + 1 : end], "little", signed=True), end


def write_length(number: int) -> bytes:
    """``number`` as :func:`read_length` reads it, in its shortest form."""
    if number < 0x40:
        return bytes((number,))
    if number < 0x4000:
        return (0x4000 | number).to_bytes(2, "big")
    if number <= 0xFFFFFFFF:
        return b"\x80" + number.to_bytes(4, "big")
    return b"\x81" + number.to_bytes(8, "big")


def write_string(text: bytes) -> bytes:
    """``text`` as a string that is neither compressed nor an integer; every server reads it."""
    return write_length(len(text)) + text


def _integer_bytes(first: int) -> int:
    size = _INTEGER_BYTES.get(first)
    if size is None:
        raise ValueError(f"{first:#04x} does not begin a string")
    return size


def _plausible(length: int) -> int:
    if length >= LONGEST:
        raise ValueError(f"a string of {length} bytes")
    return length


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise ShortError(end)
    return end
