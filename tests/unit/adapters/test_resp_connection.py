"""The connection, against a server of a few lines: what it answers, and how it fails to."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from slotwright.adapters.servers.resp import MOST_ANSWER_BYTES, RespDialer
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import AnswerError, AuthenticationError, HostError, NodeUnreachableError
from slotwright.ports import Connection, ReplyError
from tests.unit.features.clients.test_client_path import certificate

T = TypeVar("T")


@asynccontextmanager
async def scripted(*replies: bytes) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """Answers what it reads, read by read, with ``replies`` in order, then hangs up; "" says nothing for ever."""
    heard: list[bytes] = []
    tasks: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            heard.append(await reader.read(65536))
            if not reply:
                await asyncio.Event().wait()
            writer.write(reply)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(lambda r, w: tasks.append(asyncio.create_task(serve(r, w))), "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1]), heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.close()


def talk(replies: tuple[bytes, ...], use: Callable[[Connection], Awaitable[T]], password: str | None = None) -> T:
    async def do() -> T:
        async with scripted(*replies) as (address, _):
            connection = await RespDialer(Secret(password) if password else None).dial(address, timeout_s=5)
            try:
                return await use(connection)
            finally:
                await connection.close()

    return asyncio.run(do())


def dial(*replies: bytes, timeout_s: float = 5.0) -> list[bytes]:
    """What the server heard when it was dialled with a password."""

    async def do() -> list[bytes]:
        async with scripted(*replies) as (address, heard):
            connection = await RespDialer(Secret("hunter2")).dial(address, timeout_s=timeout_s)
            await connection.close()
            return heard

    return asyncio.run(do())


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"+OK\r\n", b"OK"),
        (b":7\r\n", 7),
        (b"$3\r\na\x00b\r\n", b"a\x00b"),
        (b"$-1\r\n", None),
        (b"*2\r\n$1\r\na\r\n*1\r\n:1\r\n", [b"a", [1]]),
    ],
)
def test_replies_come_as_the_server_gave_them(reply: bytes, value: object) -> None:
    assert talk((reply,), lambda connection: connection.call("X")) == value


@pytest.mark.parametrize(
    "line",
    [
        "ERR unknown command 'X'",
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "LOADING Redis is loading the dataset in memory",
        "MOVED 866 10.0.0.1:7002",
        "ASK 866 10.0.0.1:7002",
        "CLUSTERDOWN The cluster is down",
        "MISCONF Errors writing to the AOF file: No space left on device",
        "ERR max number of clients reached",
        "NOPERM this user has no permissions",
        "MASTERDOWN Link with MASTER is down",
    ],
)
def test_an_error_reply_is_the_server_s_whole_line(line: str) -> None:
    with pytest.raises(ReplyError) as caught:
        talk((f"-{line}\r\n".encode(),), lambda connection: connection.call("X"))
    assert (str(caught.value), caught.value.code) == (line, line.split()[0])


def test_a_pipeline_keeps_errors_in_their_places() -> None:
    replies = (b"+OK\r\n-ERR no\r\n:1\r\n",)
    found = talk(replies, lambda connection: connection.pipeline([("A",), ("B", 1), ("C", b"\xff")]))
    assert [str(reply) if isinstance(reply, ReplyError) else reply for reply in found] == [b"OK", "ERR no", 1]


def test_an_exchange_of_bytes_gives_replies_as_a_pipeline_does() -> None:
    replies = (b"+OK\r\n-ERR no\r\n:0\r\n*2\r\n$-1\r\n$2\r\n\xff\x00\r\n",)
    found = talk(replies, lambda connection: connection.exchange(b"four commands", 4))
    assert [str(reply) if isinstance(reply, ReplyError) else reply for reply in found] == [
        b"OK",
        "ERR no",
        0,
        [None, b"\xff\x00"],
    ]


@pytest.mark.parametrize(
    ("reply", "code"), [(b"+OK\r\n", "closed"), (b"HTTP/1.1 400 Bad Request\r\n", "not-a-server"), (b"", "timeout")]
)
def test_an_exchange_that_fails_leaves_no_connection(reply: bytes, code: str) -> None:
    async def twice(connection: Connection) -> list[str]:
        codes = []
        for _ in range(2):
            with pytest.raises(NodeUnreachableError) as caught:
                await connection.exchange(b"two commands", 2, timeout_s=0.05 if not reply else None)
            codes.append(caught.value.code)
        return codes

    assert talk((reply,), twice) == [code, "closed"]


def test_an_error_reply_does_not_cost_the_connection() -> None:
    async def twice(connection: Connection) -> object:
        with pytest.raises(ReplyError):
            await connection.call("A")
        return await connection.call("B")

    assert talk((b"-LOADING wait\r\n", b"+OK\r\n"), twice) == b"OK"


def test_a_lost_connection_is_said_so_and_nothing_is_sent_again() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        talk((), lambda connection: connection.call("DEL", "x"))
    assert caught.value.code == "closed"


def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        talk((b"",), lambda connection: connection.call("X", timeout_s=0.05))
    assert caught.value.code == "timeout"


def test_a_time_out_counts_until_the_first_reply() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        for reply in (b"+A\r\n", b"+B\r\n"):
            writer.write(reply)
            await asyncio.sleep(0.3)
        writer.close()

    async def do() -> list[object]:
        server = await asyncio.start_server(late, "127.0.0.1", 0)
        try:
            connection = await RespDialer(None).dial(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
            return list(await connection.pipeline([("A",), ("B",)], timeout_s=0.2))
        finally:
            server.close()

    assert asyncio.run(do()) == [b"A", b"B"]


def test_a_pipeline_without_a_first_reply() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        talk((b"",), lambda connection: connection.pipeline([("A",), ("B",)], timeout_s=0.05))
    assert (caught.value.code, caught.value.what.endswith("did not answer within 0.05 s")) == ("timeout", True)


def test_garbage_in_place_of_a_reply() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        talk((b"what?\r\n",), lambda connection: connection.call("X"))
    assert caught.value.code == "not-a-server"


def test_a_server_from_before_there_were_users() -> None:
    async def do() -> list[bytes]:
        refusal = b"-ERR wrong number of arguments for 'auth' command\r\n"
        async with scripted(refusal, b"+OK\r\n") as (address, heard):
            await (await RespDialer(Secret("hunter2"), "ann").dial(address)).close()
            return heard

    assert [text.count(b"$") for text in asyncio.run(do())] == [3, 2]


@pytest.mark.parametrize(
    "error", [HostError("SSH is away", code="host-unreachable"), OSError("no route"), ValueError("no name")]
)
def test_a_way_that_is_closed(error: Exception) -> None:
    async def closed(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        raise error

    with pytest.raises(NodeUnreachableError) as caught:
        asyncio.run(RespDialer(None, opener=closed).dial(Address("h1", 7001)))
    assert caught.value.code == "unreachable"
    assert str(error) in caught.value.seen


def test_a_reset_is_tried_once_more() -> None:
    tries: list[Address] = []

    async def resets(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tries.append(address)
        raise ConnectionResetError if len(tries) == 1 else ConnectionRefusedError

    with pytest.raises(NodeUnreachableError) as caught:
        asyncio.run(RespDialer(None, opener=resets).dial(Address("h1", 7001)))
    assert (caught.value.code, len(tries)) == ("refused", 2)


def test_after_a_timeout_a_late_reply_is_not_taken_for_the_next_one() -> None:
    async def again(connection: Connection) -> object:
        with pytest.raises(NodeUnreachableError):
            await connection.call("A", timeout_s=0.05)
        return await connection.call("B", timeout_s=0.05)

    with pytest.raises(NodeUnreachableError):
        talk((b"", b"+late\r\n"), again)


def test_the_password_is_sent_once() -> None:
    assert dial(b"+OK\r\n") == [b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n"]


@pytest.mark.parametrize(
    "line", ["WRONGPASS invalid username-password pair or user is disabled.", "ERR invalid password"]
)
def test_another_password(line: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        dial(f"-{line}\r\n".encode())
    assert caught.value.code == "wrong-password"
    assert "hunter2" not in str(vars(caught.value))


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (b"", "timeout"),
        (b"-LOADING Redis is loading\r\n", "loading"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "not-a-server"),
    ],
)
def test_dialling_what_is_no_server_of_ours_now(reply: bytes, code: str) -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        dial(reply, timeout_s=5.0 if reply else 0.1)
    assert caught.value.code == code


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(NodeUnreachableError) as caught:
            asyncio.run(RespDialer(None).dial(address, timeout_s=5))
    assert (caught.value.code, caught.value.where) == ("refused", str(address))


SPOKEN = [b"+OK\r\n", b"-ERR no\r\n"]
"""What shows that the protocol of Redis is spoken there."""


@pytest.mark.parametrize("first", [b"", *SPOKEN])
@pytest.mark.parametrize(
    "nonsense",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.2p1\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"%1\r\n+a\r\n+b\r\n",
        b">2\r\n+message\r\n+x\r\n",
        b",inf\r\n",
        b"(3492890328409238509324850943850943825024385\r\n",
        b"#t\r\n",
        b"_\r\n",
        b"x" * 100_000,
        b"$-5\r\n",
        b":99999999999999999999999\r\n",
        b"*1\r\n" * 100_000,
    ],
)
def test_what_is_no_resp(first: bytes, nonsense: bytes) -> None:
    """Of who has spoken it before it is unreadable: something answers, and lives."""
    commands = [("A",)] * (2 if first else 1)
    with pytest.raises(NodeUnreachableError) as caught:
        talk((first + nonsense,), lambda connection: connection.pipeline(commands))
    unspoken = {"tls"} if nonsense.startswith(b"\x15\x03") else {"not-a-server", "answers-unreadable"}
    assert caught.value.code in ({"answers-unreadable"} if first else unspoken)
    assert caught.value.seen.isprintable() and len(caught.value.seen) < 300


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (("INFO",), b"$99999999999\r\n"),
        (("INFO",), b"*999999999\r\n"),
        (("INFO",), b"*4294967295\r\n"),
        (("INFO",), b":1\r\n"),
        (("INFO",), b"$-1\r\n"),
        (("CLUSTER", "NODES"), b"*0\r\n"),
        (("CONFIG", "GET", "x"), b"*1\r\n$1\r\nx\r\n"),
        (("TIME",), b"*2\r\n+a\r\n+b\r\n"),
        (("DBSIZE",), b"+QUEUED\r\n"),
        (("X",), b"+OK\r\n+and more\r\n"),
        (("X",), b"+OK\r\n$10\r\nhalf"),
    ],
)
def test_an_answer_that_is_none_to_the_command(command: tuple[str, ...], reply: bytes) -> None:
    async def twice(connection: Connection) -> None:
        with pytest.raises(AnswerError) as caught:
            await connection.call(*command)
        assert caught.value.code == "answers-unreadable"
        # Nobody knows what is still to come.
        with pytest.raises(NodeUnreachableError, match="is closed"):
            await connection.call("PING")

    talk((reply,), twice)


def test_more_than_is_borne_is_not_read_to_its_end() -> None:
    read = 0

    async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal read
        await reader.read(65536)
        writer.write(b"*9\r\n")
        piece = b"$65536\r\n" + b"x" * 65536 + b"\r\n"
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(piece)
                read += len(piece)
                await writer.drain()

    async def do() -> None:
        server = await asyncio.start_server(never_ends, "127.0.0.1", 0)
        try:
            connection = await RespDialer(None).dial(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
            await connection.pipeline([("INFO",)] * 1000)
        finally:
            server.close()

    with pytest.raises(AnswerError):
        asyncio.run(do())
    assert read < 2 * MOST_ANSWER_BYTES


def test_values_may_be_larger_than_what_a_server_says_of_itself() -> None:
    value = b"v" * (MOST_ANSWER_BYTES + 1)
    reply = b"$%d\r\n%b\r\n" % (len(value), value)
    assert talk((reply,), lambda connection: connection.call("DUMP", "key")) == value
    with pytest.raises(AnswerError):
        talk((reply,), lambda connection: connection.call("INFO"))


def test_inside_of_a_transaction_replies_are_queued() -> None:
    replies = (b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$-1\r\n",)
    found = talk(replies, lambda connection: connection.pipeline([("MULTI",), ("PTTL", "k"), ("DUMP", "k"), ("EXEC",)]))
    assert found == [b"OK", b"QUEUED", b"QUEUED", [1, None]]


def test_a_transaction_may_last_for_several_calls() -> None:
    async def use(connection: Connection) -> list[object]:
        found = [
            await connection.call("MULTI"),
            await connection.call("DBSIZE"),
            *await connection.pipeline([("INFO",)]),
        ]
        found.append(await connection.call("DISCARD"))
        with pytest.raises(AnswerError):
            await connection.call("DBSIZE")
        return found

    replies = (b"+OK\r\n", b"+QUEUED\r\n", b"+QUEUED\r\n", b"+OK\r\n", b"+QUEUED\r\n")
    assert talk(replies, use) == [b"OK", b"QUEUED", b"QUEUED", b"OK"]


def test_an_error_reply_knows_who_said_it_to_what() -> None:
    with pytest.raises(ReplyError) as caught:
        talk((b"-NOPERM no\r\n",), lambda connection: connection.call("CONFIG", "SET", "requirepass", "hunter2"))
    assert caught.value.command == "CONFIG SET"
    assert caught.value.where.startswith("127.0.0.1:")


@pytest.mark.parametrize(
    "reply", [b"*999999999\r\n", b"$99999999999\r\n", b">1\r\n+x\r\n", b"+OK\r\n" + b"x" * 100_000]
)
def test_a_login_that_is_answered_with_too_much(reply: bytes) -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        dial(reply)
    assert caught.value.code in ("not-a-server", "unreachable")


@pytest.mark.parametrize("reply", [b">1\r\n+x\r\n", b"%1\r\n+a\r\n+b\r\n", b"#t\r\n"])
def test_an_exchange_of_bytes_takes_resp_2_alone(reply: bytes) -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        talk((reply,), lambda connection: connection.exchange(b"one command", 1))
    assert caught.value.code in ("answers-unreadable", "not-a-server")


@pytest.mark.parametrize("goal", ["a b:7002", "nowhere", '"+evil+":x', "", "\x1b[31m:1:2:3 4", "ü:7002"])
@pytest.mark.parametrize("word", ["MOVED", "ASK"])
def test_a_redirection_to_what_is_no_address_is_an_error_reply(word: str, goal: str) -> None:
    line = f"{word} 866 {goal}"

    async def ask(connection: Connection) -> list[object]:
        found: list[object] = []
        with pytest.raises(ReplyError) as caught:
            await connection.call("GET", "k")
        found += [str(caught.value), caught.value.code]
        (reply,) = await connection.pipeline([("GET", "k")])
        return [*found, str(reply)]

    answer = f"-{line}\r\n".encode()
    assert talk((answer, answer), ask) == [line, word, line]


@pytest.mark.parametrize("password", [None, "hunter2"])
@pytest.mark.parametrize("is_tls", [True, False])
def test_a_port_that_speaks_tls_is_said_so(is_tls: bool, password: str | None, tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.close()

    async def ask() -> NodeUnreachableError:
        context = None
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(tmp_path))
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])

        async def talk_plainly() -> None:
            connection = await RespDialer(Secret(password) if password else None).dial(address, timeout_s=60)
            await connection.call("PING")

        with pytest.raises(NodeUnreachableError) as caught:
            await talk_plainly()
        server.close()
        return caught.value

    error = asyncio.run(ask())
    assert (error.code == "tls", "speaks TLS" in error.what) == (is_tls, is_tls)
