"""Lines of MONITOR: what the server quotes comes back byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.server.monitor import HeardCommand, parse_monitor_line

_NAMED = {0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b", 0x22: b'\\"', 0x5C: b"\\\\"}


def quoted(word: bytes) -> bytes:
    """As the server does it (sds.c, sdscatrepr)."""
    return b'"' + b"".join(_NAMED.get(c) or (bytes((c,)) if 0x20 <= c < 0x7F else b"\\x%02x" % c) for c in word) + b'"'


@given(
    st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    st.sampled_from(["127.0.0.1:50000", "[::1]:6379", "lua", "unix:/tmp/a [b] c.sock", "unix:"]),
    st.integers(0, 15),
)
def test_what_the_server_quotes_comes_back(words: list[bytes], client: str, database: int) -> None:
    line = b"+1795699600.629654 [%d %s] %s" % (database, client.encode(), b" ".join(map(quoted, words)))
    assert parse_monitor_line(line) == HeardCommand(database, client, tuple(words))


def test_a_real_line() -> None:
    line = rb'+1795699600.630420 [0 127.0.0.1:56786] "SET" "z" "\x00\xff\"\\\n\r\t\a\b \x7f"'
    heard = parse_monitor_line(line)
    assert heard is not None
    assert heard.words == (b"SET", b"z", b'\x00\xff"\\\n\r\t\a\b \x7f')
    assert not heard.is_of_script


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"+OK",
        b"-ERR unknown command",
        b'+1795699600.629654 [0 127.0.0.1:1] "cut',
        b'+1795699600.629654 [0 127.0.0.1:1] "cut\\',
        b'+1795699600.629654 [0 127.0.0.1:1] "a""b"',
        b'[0 127.0.0.1:1] "GET"',
    ],
)
def test_anything_else_is_no_command(line: bytes) -> None:
    assert parse_monitor_line(line) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_it(line: bytes) -> None:
    parse_monitor_line(line)
    parse_monitor_line(b'+1.5 [0 lua] "' + line)
