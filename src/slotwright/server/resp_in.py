"""Replies to writes, of which few matter: counted by the thousand, read by hiredis."""

from __future__ import annotations

from typing import Any, NamedTuple

import hiredis

_OK = b"+OK\r\n"


class Answered(NamedTuple):
    """What came of some bytes: how many replies, and which of them matter, by their index from 0.

    ``errors`` are the server's lines. ``telling`` are the replies that may say that nothing was done: a number that is
    not positive, nil, an array.
    """

    replies: int
    errors: list[tuple[int, str]]
    telling: list[tuple[int, Any]]


class _RefusalError(Exception):
    """An error reply, to tell it from a value."""


class ReplyCounter:
    """Counts the replies in what has come; incremental at any byte."""

    def __init__(self) -> None:
        self._reader: Any = hiredis.Reader(replyError=_RefusalError, protocolError=ValueError)
        self._is_between = True

    def feed(self, data: bytes) -> Answered:
        """The replies that ended in ``data``. Raises ValueError for what is no RESP."""
        count = 0
        if self._is_between and data.startswith(_OK):
            # Nearly always nothing else comes: comparing is a hundred times quicker than parsing.
            count = len(data) // len(_OK)
            whole = count * len(_OK)
            if data[:whole] == _OK * count:
                data = data[whole:]
                if not data:
                    return Answered(count, [], [])
            else:
                count = 0
        self._reader.feed(data)
        errors: list[tuple[int, str]] = []
        telling: list[tuple[int, Any]] = []
        next_reply = self._reader.gets
        while (reply := next_reply()) is not False:
            if isinstance(reply, _RefusalError):
                errors.append((count, str(reply)))
            elif reply is None or isinstance(reply, list) or (isinstance(reply, int) and reply <= 0):
                telling.append((count, reply))
            count += 1
        self._is_between = not self._reader.has_data()
        return Answered(count, errors, telling)
