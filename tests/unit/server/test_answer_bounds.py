"""What may be answered, judged byte by byte before anything is made of it."""

from __future__ import annotations

import pytest

from slotwright.server.answer_bounds import MOST_LINE_BYTES, AnswerBounds, ExcessError

SOUND = b"+OK\r\n*3\r\n$3\r\nabc\r\n:1\r\n*0\r\n$-1\r\n*-1\r\n-ERR x\r\n$0\r\n\r\n"


def judge(data: bytes, *, at_once: int = 1 << 20, most_bytes: int = 1000, most_elements: int = 10) -> AnswerBounds:
    bounds = AnswerBounds(most_bytes, most_elements)
    for start in range(0, len(data), at_once):
        bounds.feed(data[start : start + at_once])
    return bounds


@pytest.mark.parametrize("at_once", [1, 2, 3, 7, 1000])
def test_sound_replies_pass_wherever_they_are_cut(at_once: int) -> None:
    assert judge(SOUND, at_once=at_once).has_begun
    # What looks like a header inside of a text is none.
    judge(b"$12\r\n*999999999\r\n\r\n+OK\r\n", at_once=at_once)


@pytest.mark.parametrize("at_once", [1, 1000])
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"$1001\r\n", "a text of 1001 bytes is announced"),
        (b"$99999999999\r\n", "a text of 99999999999 bytes is announced"),
        (b"*11\r\n", "a list of 11 is announced"),
        (b"*1\r\n" * 11, "a list of 1 is announced"),
        (b"*9\r\n*9\r\n", "a list of 9 is announced"),
        (b"+" + b"x" * 1000, "an answer of more than 1000 bytes"),
    ],
)
def test_too_much(data: bytes, why: str, at_once: int) -> None:
    with pytest.raises(ExcessError, match=why):
        judge(data, at_once=at_once)


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x03", b"\r\n", b"%1\r\n", b">2\r\n", b"(1\r\n", b"_\r\n", b"x" * 99],
)
def test_another_protocol(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the protocol of Redis") as caught:
        judge(data)
    assert not isinstance(caught.value, ExcessError)


@pytest.mark.parametrize("length", [b"", b"x", b"1e3", b"0x10", b"9" * 5000])
def test_a_length_that_is_none(length: bytes) -> None:
    with pytest.raises(ValueError, match="a length that is no number"):
        judge(b"$" + length + b"\r\n", most_bytes=10_000)


def test_a_line_without_an_end() -> None:
    with pytest.raises(ValueError, match="a line of more than"):
        judge(b"-" + b"x" * MOST_LINE_BYTES, most_bytes=10 * MOST_LINE_BYTES, at_once=1000)
