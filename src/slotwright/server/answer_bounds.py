"""How much a server may answer: the lengths that RESP announces are judged before anything is made of them.

hiredis makes room for as many elements as a list announces, and waits for as many bytes as a text does: a header of
eleven bytes can take gigabytes, or seconds. So the structure is followed as the bytes come, and what is too much, or is
no RESP 2 at all, is refused before it is parsed.
"""

from __future__ import annotations

MOST_LINE_BYTES = 64 * 1024
"""What a line, an error for one, may have; hiredis takes longer ones, no server sends any."""

_SHOWN_BYTES = 60


class ExcessError(ValueError):
    """Of the form of RESP 2, and more than anybody asked for."""


class AnswerBounds:
    """Incremental at any byte. ``has_begun``: a line of RESP 2 was read, so it is spoken there."""

    def __init__(self, most_bytes: int, most_elements: int) -> None:
        self.has_begun = False
        self._most_bytes = most_bytes
        self._most_elements = most_elements
        self._line = b""
        self._to_skip = 0
        self._bytes = 0
        self._elements = 0

    def feed(self, data: bytes) -> None:
        """Take note of what has come. Raises ExcessError for what is too much, ValueError for what is no RESP 2."""
        self._bytes += len(data)
        if self._bytes > self._most_bytes:
            raise ExcessError(f"an answer of more than {self._most_bytes} bytes")
        at = 0
        while at < len(data):
            if self._to_skip:
                step = min(self._to_skip, len(data) - at)
                self._to_skip -= step
                at += step
                continue
            end = data.find(b"\n", at)
            self._line += data[at:] if end < 0 else data[at : end + 1]
            if len(self._line) > MOST_LINE_BYTES:
                raise ValueError(f"a line of more than {MOST_LINE_BYTES} bytes: {self._line[:_SHOWN_BYTES]!r}")
            if end < 0:
                # What speaks another protocol may never end its first line.
                self._check_kind(self._line)
                return
            self._check_line(self._line)
            self.has_begun = True
            self._line = b""
            at = end + 1

    def _check_line(self, line: bytes) -> None:
        self._check_kind(line)
        if line[:1] not in b"$*":
            return
        try:
            length = int(line[1:])
        except ValueError:
            raise ValueError(f"a length that is no number: {line[:_SHOWN_BYTES]!r}") from None
        if line[:1] == b"*":
            self._elements += max(length, 0)
            if self._elements > self._most_elements:
                raise ExcessError(f"a list of {length} is announced")
        elif length > self._most_bytes:
            raise ExcessError(f"a text of {length} bytes is announced")
        elif length >= 0:
            self._to_skip = length + 2

    @staticmethod
    def _check_kind(line: bytes) -> None:
        if line[:1] not in b"+-:$*":
            raise ValueError(f"not the protocol of Redis (RESP 2): {line[:_SHOWN_BYTES]!r}")
