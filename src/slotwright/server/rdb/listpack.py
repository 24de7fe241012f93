"""Reading listpacks, the packed form of small collections (listpack.c; antirez/listpack, "listpack.md")."""

from __future__ import annotations

_HEADER_BYTES = 6
_END = 0xFF
_WIDE_INTEGERS = {0xF1: 2, 0xF2: 3, 0xF3: 4, 0xF4: 8}


def elements(listpack: bytes) -> list[bytes]:
    """All elements in order, integers as the text that clients get; :class:`ValueError` for what is no listpack."""
    results: list[bytes] = []
    at = _HEADER_BYTES
    try:
        while (first := listpack[at]) != _END:
            if first < 0x80:
                results.append(b"%d" % first)
                at += 2
                continue
            text, end = _element(listpack, at, first)
            results.append(text)
            at = end + _back_bytes(end - at)
    except IndexError:
        raise ValueError("a listpack ends in the middle") from None
    if at + 1 != len(listpack) or at + 1 != int.from_bytes(listpack[:4], "little"):
        raise ValueError("a listpack is not as long as it says")
    return results


def _element(data: bytes, at: int, first: int) -> tuple[bytes, int]:
    """The element whose encoding begins with ``first``, and where its bytes end."""
    if first < 0xC0:
        return _text(data, at + 1, first & 0x3F)
    if first < 0xE0:
        number = (first & 0x1F) << 8 | data[at + 1]
        return b"%d" % (number - 0x2000 if number >= 0x1000 else number), at + 2
    if first < 0xF0:
        return _text(data, at + 2, (first & 0x0F) << 8 | data[at + 1])
    if first == 0xF0:
        return _text(data, at + 5, int.from_bytes(data[at + 1 : at + 5], "little"))
    size = _WIDE_INTEGERS.get(first)
    if size is None:
        raise ValueError(f"{first:#04x} begins no element of a listpack")
    end = at + 1 + size
    return b"%d" % int.from_bytes(data[at + 1 : end], "little", signed=True), end


def _text(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    return data[at : at + length], at + length


def _back_bytes(size: int) -> int:
    """How many bytes follow an element to tell its size (lpEncodeBacklen)."""
    if size <= 127:
        return 1
    return 2 if size < 16383 else 3 if size < 2097151 else 4 if size < 268435455 else 5
