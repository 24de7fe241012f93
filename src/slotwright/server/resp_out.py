"""Commands as the bytes that a server reads (RESP): for what goes by the million.

Whole batches are made at once, so that a command costs one formatting and no object of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Word = str | bytes | int


def request(*arguments: Word) -> bytes:
    """One command."""
    parts = [_bytes(word) for word in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)


def for_each_key(keys: Iterable[bytes], *arguments: Word, after: Sequence[Word] = ()) -> list[bytes]:
    """``words KEY after`` for each key, one command a key."""
    parts = [_bytes(word) for word in arguments]
    head = b"*%d\r\n" % (len(parts) + 1 + len(after))
    head += b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    tail = b"\r\n" + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in map(_bytes, after))
    # The head is data, not a format: a percent sign in it stays one.
    form = head.replace(b"%", b"%%") + b"$%d\r\n%b" + tail.replace(b"%", b"%%")
    return [form % (len(key), key) for key in keys]


def _bytes(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return word.encode() if isinstance(word, str) else b"%d" % word
