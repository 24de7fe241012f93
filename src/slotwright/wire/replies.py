"""Replies that only matter when they are errors: counted by the thousand, read by hiredis."""

from __future__ import annotations

from typing import Any

import hiredis

_OK = b"+OK\r\n"


class _RefusalError(Exception):
    """An error reply, to tell it from a value."""


class ReplyCounter:
    """Counts the replies in what has come; incremental at any byte."""

    def __init__(self) -> None:
        self._reader: Any = hiredis.Reader(replyError=_RefusalError, protocolError=ValueError)
        self._is_between = True

    def feed(self, data: bytes) -> tuple[int, list[tuple[int, str]]]:
        """How many replies ended in ``data``, and those of them that are errors: (index from 0, the server's line).

        Raises ValueError for what is no RESP.
        """
        count = 0
        if self._is_between and data.startswith(_OK):
            # Nearly always nothing else comes: comparing is a hundred times quicker than parsing.
            count = len(data) // len(_OK)
            whole = count * len(_OK)
            if data[:whole] == _OK * count:
                data = data[whole:]
                if not data:
                    return count, []
            else:
                count = 0
        self._reader.feed(data)
        errors: list[tuple[int, str]] = []
        next_reply = self._reader.gets
        while (reply := next_reply()) is not False:
            if isinstance(reply, _RefusalError):
                errors.append((count, str(reply)))
            count += 1
        self._is_between = not self._reader.has_data()
        return count, errors
