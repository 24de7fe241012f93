"""The byte stream: its login against a server of a few lines, and how it fails to."""

from __future__ import annotations

import asyncio

import pytest

from slotwright.adapters.servers.streams import MOST_READ_BYTES, SocketStreamDialer
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from tests.unit.adapters.test_resp_connection import scripted


def login(*replies: bytes, password: str | None = "pass wörd\r\n", user: str = "") -> list[bytes]:
    """What the server heard."""

    async def do() -> list[bytes]:
        async with scripted(*replies) as (address, heard):
            stream = await SocketStreamDialer(Secret(password) if password else None, user).open(address, timeout_s=5)
            await stream.close()
            return heard

    return asyncio.run(do())


def test_login_is_one_write() -> None:
    secret = "pass wörd\r\n".encode()
    auth = b"*3\r\n$4\r\nAUTH\r\n$3\r\nbob\r\n$%d\r\n%s\r\n" % (len(secret), secret)
    assert login(b"+OK\r\n+PONG\r\n", user="bob") == [auth + b"*1\r\n$4\r\nPING\r\n"]


@pytest.mark.parametrize("word", ["NOPERM no permissions", "MISCONF disk", "MASTERDOWN link"])
def test_a_ping_that_is_refused_to_one_who_is_logged_in(word: str) -> None:
    login(f"+OK\r\n-{word}\r\n".encode())


@pytest.mark.parametrize(
    ("reply", "password", "kind", "code"),
    [
        (b"-WRONGPASS invalid\r\n-NOAUTH x\r\n", "x", AuthenticationError, "wrong-password"),
        (b"-ERR AUTH <password> called without any\r\n", "x", AuthenticationError, "wrong-password"),
        (b"-NOAUTH Authentication required.\r\n", None, AuthenticationError, "wrong-password"),
        (b"-LOADING loading\r\n", None, NodeUnreachableError, "loading"),
        (b"-LOADING loading\r\n", "x", NodeUnreachableError, "loading"),
        (b"-DENIED protected mode is on. Much more\r\n", None, NodeUnreachableError, "protected-mode"),
        (b"-ERR max number of clients reached\r\n", None, NodeUnreachableError, "refused"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", None, NodeUnreachableError, "not-a-server"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "x", NodeUnreachableError, "not-a-server"),
        (b"no end", None, NodeUnreachableError, "closed"),
        (b"x" * 2 * MOST_READ_BYTES, None, NodeUnreachableError, "not-a-server"),
    ],
)
def test_who_lets_nobody_in_says_why(reply: bytes, password: str | None, kind: type[ServerError], code: str) -> None:
    with pytest.raises(kind) as caught:
        login(reply, password=password)
    assert caught.value.code == code


def test_nobody_listens_and_nobody_answers() -> None:
    async def nobody() -> None:
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        with pytest.raises(NodeUnreachableError) as caught:
            await SocketStreamDialer(None).open(address, timeout_s=0.1)
        assert caught.value.code == "timeout"
        server.close()
        await server.wait_closed()
        with pytest.raises(NodeUnreachableError) as caught:
            await SocketStreamDialer(None).open(address)
        assert caught.value.code == "refused"

    asyncio.run(nobody())


def test_bytes_go_both_ways_and_an_end_is_an_end() -> None:
    async def talk() -> None:
        async with scripted(b"+PONG\r\n", b"\x00\xff") as (address, heard):
            stream = await SocketStreamDialer(None).open(address, timeout_s=5)
            stream.write(b"a\x00")
            stream.write(b"b")
            await stream.drain()
            assert await stream.read() == b"\x00\xff"
            assert await stream.read() == b""
            await stream.close()
            await stream.close()
            assert b"".join(heard[1:]) == b"a\x00b"

    asyncio.run(talk())


def test_an_opener_leads_elsewhere() -> None:
    async def talk() -> None:
        async with scripted(b"+PONG\r\n") as (address, _):

            async def opener(asked: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
                assert asked == Address("far", 1)
                return await asyncio.open_connection(address.host, address.port)

            await (await SocketStreamDialer(None, opener=opener).open(Address("far", 1), timeout_s=5)).close()

    asyncio.run(talk())


def test_what_was_not_sent_is_dropped_by_the_system_as_well() -> None:
    """A server that reads nothing, as one that was cut off: after the close nothing more may reach it."""

    async def do() -> None:
        came: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readuntil(b"PING\r\n")
            writer.write(b"+PONG\r\n")
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            came.set_result(writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        stream = await SocketStreamDialer(None).open(address)
        theirs = await came
        stream.write(b"x" * 8_000_000)
        await stream.close()
        await asyncio.sleep(0)
        theirs.transport.resume_reading()  # type: ignore[attr-defined]
        # A reset, not an end: what was still on our side is gone.
        with pytest.raises(ConnectionResetError):
            await theirs.wait_closed()
        server.close()

    asyncio.run(do())
