r"""Lines of MONITOR -> commands, byte for byte.

The server writes ``+SECONDS.MICROS [DB CLIENT] "word" "word"`` (replication.c, replicationFeedMonitors), and each word
as sdscatrepr does (sds.c): ``\\ \" \n \r \t \a \b`` for these, ``\xhh`` for whatever is not printable, everything else
as it is. CLIENT is ``host:port``, ``[v6]:port``, ``unix:PATH`` or ``lua``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_HEAD = re.compile(rb'\+?(\d+\.\d+) \[(\d+) (.*?)\] (?=")')
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"(?: (?=")|\Z)', re.DOTALL)
_ESCAPE = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def parse_monitor_line(line: bytes) -> HeardCommand | None:
    """One line without its line end; None for anything else (``+OK``, a line that was cut)."""
    head = _HEAD.match(line)
    if head is None:
        return None
    arguments = _arguments(line[head.end() :])
    if arguments is None:
        return None
    return HeardCommand(int(head[2]), head[3].decode(errors="replace"), arguments)


def _arguments(text: bytes) -> tuple[bytes, ...] | None:
    if b"\\" not in text:
        # A quote in a word would have been escaped: each one here is a word's end.
        arguments = text[1:-1].split(b'" "')
        is_whole = len(text) > 1 and text.endswith(b'"') and not any(b'"' in word for word in arguments)
        return tuple(arguments) if is_whole else None
    results: list[bytes] = []
    at = 0
    while at < len(text):
        word = _WORD.match(text, at)
        if word is None:
            return None
        results.append(unquoted(word[1]))
        at = word.end()
    return tuple(results)


def unquoted(text: bytes) -> bytes:
    """What stood between the quotes, with its escapes undone."""
    return _ESCAPE.sub(_plain, text) if b"\\" in text else text


def _plain(match: re.Match[bytes]) -> bytes:
    what = match[1]
    if len(what) == 3:
        return bytes((int(what[1:], 16),))
    return _NAMED.get(what, what)


@dataclass(frozen=True, slots=True)
class HeardCommand:
    """One line of MONITOR: ``client`` is its address (``lua`` for a script), and
    ``words`` the command with its arguments."""

    database: int
    client: str
    words: tuple[bytes, ...]

    @property
    def is_of_script(self) -> bool:
        """Called by a script or a function, and not by a client."""
        return self.client == "lua"
