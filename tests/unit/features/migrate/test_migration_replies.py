"""Replies by the thousand: the same are counted, and the same are told, however the bytes are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.server.resp_in import ReplyCounter

replies = st.sampled_from(
    (
        b"+OK\r\n", b"+OK\r\n", b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$4\r\n+OK\r\r\n", b"*2\r\n:1\r\n$1\r\nx\r\n",
        b"-MOVED 1 h:1\r\n", b"-OOM no\r\n", b"*0\r\n", b"+QUEUED\r\n", b"$0\r\n\r\n", b"+OKAY\r\n", b":0\r\n",
        b":-1\r\n",
    )
)  # fmt: skip


TELLING = {b":0\r\n": 0, b":-1\r\n": -1, b"$-1\r\n": None, b"*0\r\n": [], b"*2\r\n:1\r\n$1\r\nx\r\n": [1, b"x"]}


@given(st.lists(replies, max_size=60), st.data())
def test_any_cut(said: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    counter, count, errors, telling = ReplyCounter(), 0, [], []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found = counter.feed(whole[start:end])
        errors += [(count + index, line) for index, line in found.errors]
        telling += [(count + index, reply) for index, reply in found.telling]
        count += found.replies
    assert count == len(said)
    assert errors == [(at, each[1:-2].decode()) for at, each in enumerate(said) if each.startswith(b"-")]
    assert telling == [(at, TELLING[each]) for at, each in enumerate(said) if each in TELLING]


def test_what_is_no_reply() -> None:
    with pytest.raises(ValueError):
        ReplyCounter().feed(b"HTTP/1.1 400\r\n")
