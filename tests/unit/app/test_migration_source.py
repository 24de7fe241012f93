"""Where the source is, and where its password comes from."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from slotwright.adapters.local.fleet import LocalFleet
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.app.context import Context
from slotwright.app.source import MigrationSource, find_source, open_source
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, InputError, NodeUnreachableError
from tests.unit.adapters.test_resp_connection import scripted


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.delenv("SOURCE_PASSWORD", raising=False)
    return Context(StateDirectory(tmp_path / "state"))


def test_an_address_without_a_password(context: Context) -> None:
    source = find_source(context, "10.0.0.1:6379", "bob")
    assert source == MigrationSource("10.0.0.1:6379", Address("10.0.0.1", 6379), "bob")


def test_the_variable_then_the_file_which_comes_first(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_PASSWORD", "from env")
    assert find_source(context, "a:1").password == Secret("from env")
    file = tmp_path / "secret"
    file.write_bytes(b" two\nlines \xff\r\n")
    found = find_source(context, "a:1", password_file=file)
    assert found.password is not None
    assert found.password.reveal().encode(errors="surrogateescape") == b" two\nlines \xff"
    assert str(file) in found.origin


@pytest.mark.parametrize("text", ["nonsense", "host:", "host:99999", ":6379"])
def test_no_address(context: Context, text: str) -> None:
    with pytest.raises(InputError) as caught:
        find_source(context, text)
    assert caught.value.code == "source-unknown"


@pytest.mark.parametrize(("content", "code"), [(None, "unreadable"), (b"", "missing"), (b"\n", "missing")])
def test_a_password_file_of_no_use(context: Context, tmp_path: Path, content: bytes | None, code: str) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        find_source(context, "a:1", password_file=file)
    assert caught.value.code == f"source-password-{code}"


def opened(
    source: MigrationSource, *replies: bytes, typed: str | None = None, user: str = ""
) -> tuple[MigrationSource, list[bytes]]:
    async def do() -> tuple[MigrationSource, list[bytes]]:
        context = Context(ask_secret=lambda question: Secret(typed) if typed else None)
        async with scripted(*replies) as (address, heard):
            found = MigrationSource("x", address, user, source.password, source.origin)
            return await open_source(context, LocalFleet(), found), heard

    return asyncio.run(do())


NOWHERE = MigrationSource("x", Address("x", 1))
GIVEN = MigrationSource("x", Address("x", 1), "", Secret("pässword \udcff"), "the variable SOURCE_PASSWORD")


def test_a_password_of_any_bytes_reaches_the_server() -> None:
    source, heard = opened(GIVEN, b"+OK\r\n", b"+PONG\r\n")
    assert b"p\xc3\xa4ssword \xff" in heard[0]
    assert source.password == GIVEN.password


def test_a_wrong_password_says_where_it_comes_from() -> None:
    with pytest.raises(AuthenticationError) as caught:
        opened(GIVEN, b"-WRONGPASS invalid username-password pair\r\n", user="bob")
    assert caught.value.hint == "the password for the user bob comes from the variable SOURCE_PASSWORD"


def test_a_password_that_the_server_does_not_have() -> None:
    line = b"-ERR AUTH <password> called without any password configured for the default user. Are you sure?\r\n"
    with pytest.raises(AuthenticationError) as caught:
        opened(GIVEN, line)
    assert "it has no password" in caught.value.hint


def test_none_was_given_and_nobody_can_be_asked() -> None:
    with pytest.raises(AuthenticationError) as caught:
        opened(NOWHERE, b"-NOAUTH Authentication required.\r\n")
    assert "SOURCE_PASSWORD" in caught.value.hint
    assert "--source-password-file" in caught.value.hint


def test_protected_mode_is_no_matter_of_passwords() -> None:
    with pytest.raises(NodeUnreachableError) as caught:
        opened(NOWHERE, b"-DENIED Redis is running in protected mode. More.\r\n")
    assert caught.value.code == "protected-mode"


def test_who_may_not_ping_is_let_in_all_the_same() -> None:
    opened(GIVEN, b"+OK\r\n", b"-NOPERM this user has no permissions\r\n")
