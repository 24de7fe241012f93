"""The protocol: what is sent, and replies however they come in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.adapters.resp import ProtocolError, RespStream, packed
from slotwright.ports import ReplyError


def read(*pieces: bytes) -> list[object]:
    """All replies until the other end hangs up; errors as their line."""

    async def do() -> list[object]:
        reader = asyncio.StreamReader()
        stream = RespStream(reader, None)  # type: ignore[arg-type]
        for piece in pieces:
            asyncio.get_running_loop().call_soon(reader.feed_data, piece)
        asyncio.get_running_loop().call_soon(reader.feed_eof)
        found: list[object] = []
        while True:
            try:
                found.append(_plain(await stream.read()))
            except EOFError:
                return found

    return asyncio.run(do())


def _plain(reply: object) -> object:
    if isinstance(reply, list):
        return [_plain(each) for each in reply]
    return str(reply) if isinstance(reply, ReplyError) else reply


REPLIES = st.recursive(
    st.none() | st.integers() | st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4), max_leaves=12
)


def encoded(reply: Any) -> bytes:
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, bytes):
        return b"$%d\r\n%b\r\n" % (len(reply), reply)
    return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))


@given(st.lists(REPLIES, max_size=4), st.integers(1, 7))
def test_replies_come_whole_however_they_are_cut(replies: list[object], size: int) -> None:
    text = b"".join(map(encoded, replies))
    assert read(*(text[at : at + size] for at in range(0, len(text), size))) == replies


@given(st.lists(st.binary(max_size=30), min_size=1, max_size=5))
def test_a_command_is_a_list_of_its_words(words: Sequence[bytes]) -> None:
    assert read(packed(words)) == [words]


def test_words_may_be_texts_and_numbers() -> None:
    assert packed(("SET", "kä", 7)) == b"*3\r\n$3\r\nSET\r\n$3\r\nk\xc3\xa4\r\n$1\r\n7\r\n"


def test_the_rest_of_the_protocol() -> None:
    assert read(b"*-1\r\n+\r\n*0\r\n*2\r\n-ERR no\r\n:-1\r\n") == [None, b"", [], ["ERR no", -1]]


@pytest.mark.parametrize("text", [b"HTTP/1.1 400 Bad Request\r\n", b"\r\n", b"$x\r\n", b"*\r\n", b"+" + b"x" * 70000])
def test_what_is_not_the_protocol(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(text)


@pytest.mark.parametrize("text", [b"", b"$5\r\nab", b"*2\r\n:1\r\n", b"+OK"])
def test_a_reply_that_was_cut_is_none(text: bytes) -> None:
    assert read(text) == []
