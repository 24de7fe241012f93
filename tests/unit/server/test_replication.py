"""The replication protocol: cut anywhere, the same comes out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.server.replication import (
    CommandStream,
    Continued,
    FullSync,
    NotNow,
    Refused,
    SnapshotBody,
    acknowledgement,
    greeting,
    pack,
    parse_sync_reply,
    sync_request,
    take_line,
)
from tests.extent import examples

QUICK = examples(60)
COMMANDS = st.lists(st.lists(st.binary(max_size=12), min_size=1, max_size=12), max_size=6)
CUTS = st.lists(st.integers(0, 400), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@QUICK
@given(COMMANDS, CUTS, st.integers(0, 1 << 50))
def test_commands_come_out_whole_with_their_offsets(commands: list[list[bytes]], cuts: list[int], start: int) -> None:
    stream = CommandStream(start)
    found = [change for piece in pieces(b"".join(pack(*c) for c in commands), cuts) for change in stream.feed(piece)]
    assert [arguments for _, arguments in found] == commands
    ends, offset = [], start
    for command in commands:
        offset += len(pack(*command))
        ends.append(offset)
    assert [end for end, _ in found] == ends
    assert stream.offset == offset


def test_a_command_that_is_not_whole_is_not_counted() -> None:
    stream = CommandStream(100)
    assert stream.feed(b"*1\r\n$4\r\nPING\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n") == [(114, [b"PING"])]
    assert stream.offset == 114
    assert stream.feed(b"0\r\n") == [(137, [b"SELECT", b"0"])]


def test_long_arguments_and_many_of_them() -> None:
    command = [b"RPUSH", b"k", *[b"v" * 1000] * 1200]
    stream = CommandStream(0)
    assert stream.feed(pack(*command)) == [(len(pack(*command)), command)]


@pytest.mark.parametrize(
    "data",
    [
        b"SET a b\r\n",
        b"+OK\r\n",
        b":1\r\n",
        b"$3\r\nfoo\r\n",
        b"-ERR no\r\n",
        b"*1\r\n:1\r\n",
        b"*0\r\n",
        b"$0\r\n\r\n",
        b"\xff",
    ],
)
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="after offset 7"):
        CommandStream(7).feed(data + b"*1\r\n$4\r\nPING\r\n" * 2)


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"+FULLRESYNC " + b"a" * 40 + b" 1234", FullSync("a" * 40, 1234)),
        (b"+CONTINUE", Continued("")),
        (b"+CONTINUE " + b"b" * 40, Continued("b" * 40)),
        (
            b"-NOMASTERLINK Can't SYNC while not connected with my master",
            NotNow("NOMASTERLINK Can't SYNC while not connected with my master"),
        ),
        (b"-LOADING Redis is loading", NotNow("LOADING Redis is loading")),
        (b"-NOPERM no", Refused("NOPERM no")),
        (b"-ERR unknown command", Refused("ERR unknown command")),
        (b"+FULLRESYNC", Refused("+FULLRESYNC")),
        (b"", Refused("")),
    ],
)
def test_the_answer_to_psync(line: bytes, reply: object) -> None:
    assert parse_sync_reply(line) == reply


MARK = b"0123456789abcdef0123456789abcdef01234567"
SNAPSHOTS = st.one_of(st.binary(max_size=120), st.integers(0, 40).map(lambda n: b"REDIS" + MARK[:n] + MARK[: n // 2]))


@QUICK
@given(SNAPSHOTS, st.binary(max_size=60), CUTS, st.booleans())
def test_a_snapshot_ends_where_it_ends(snapshot: bytes, after: bytes, cuts: list[int], is_marked: bool) -> None:
    if is_marked and MARK in snapshot + MARK[:-1]:
        return
    body = SnapshotBody(b"$EOF:" + MARK if is_marked else b"$%d\r\n" % len(snapshot))
    data = snapshot + (MARK if is_marked else b"") + after
    got, rest = b"", b""
    for piece in pieces(data, cuts):
        one, two = body.feed(piece)
        got, rest = got + one, rest + two
    assert body.is_whole
    assert (got, rest) == (snapshot, after)


def test_an_empty_snapshot_is_whole_at_once() -> None:
    assert SnapshotBody(b"$0").is_whole
    assert not SnapshotBody(b"$EOF:" + MARK).is_whole


@pytest.mark.parametrize("preamble", [b"", b"$", b"$x", b"$EOF:short", b"-ERR", b"+OK"])
def test_what_is_no_preamble_is_refused(preamble: bytes) -> None:
    with pytest.raises(ValueError, match="not the start of a snapshot"):
        SnapshotBody(preamble)


def test_lines_between_signs_of_life() -> None:
    assert take_line(b"\n\n\n") == (None, b"")
    assert take_line(b"\n\n+CONT") == (None, b"+CONT")
    assert take_line(b"\n+CONTINUE\r\n*1\r\n") == (b"+CONTINUE", b"*1\r\n")
    assert take_line(b"$5\r\n\nabcd") == (b"$5", b"\nabcd"), "a snapshot's own first byte stays"


def test_what_a_replica_says() -> None:
    assert sync_request() == pack(b"PSYNC", b"?", b"-1")
    assert sync_request("a" * 40, 41) == pack(b"PSYNC", b"a" * 40, b"42"), "the next byte is asked for"
    assert acknowledgement(7) == b"*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$1\r\n7\r\n"
    assert [line.split(b"\r\n")[2] for line in greeting(6379)] == [b"PING", b"REPLCONF", b"REPLCONF"]
