"""Which replies fit a command, and which can only come from something else than a server."""

from __future__ import annotations

import pytest

from slotwright.server.reply_shapes import command_name, misfit, tells_of_itself

INFO, NODES, CONFIG, TIME, SCAN = (
    ("INFO",),
    ("CLUSTER", "NODES"),
    ("CONFIG", "GET", "maxmemory"),
    ("TIME",),
    ("SCAN", "0"),
)


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (INFO, b""),
        (("info", "server"), b"role:master"),
        (NODES, b"x"),
        (CONFIG, []),
        (CONFIG, [b"maxmemory", b"0"]),
        (TIME, [b"1795400999", b"469"]),
        (SCAN, [b"0", []]),
        ((b"SCAN", b"17"), [b"9", [b"key"]]),
        (("DUMP", "k"), None),
        (("DUMP", "k"), b"\x00"),
        (("PTTL", "k"), -2),
        (("MEMORY", "USAGE", "k"), None),
        (("CLUSTER", "SLOTS"), [[0, 1, [b"h", 1, b"id"]]]),
        (("XRANGE", "k", "-", "+"), 7),
    ],
)
def test_what_fits(command: tuple[object, ...], reply: object) -> None:
    assert misfit(command, reply) == ""


@pytest.mark.parametrize(
    ("command", "reply", "why"),
    [
        (INFO, None, "INFO is answered with a text, and this is null"),
        (INFO, [b"a", b"b"], "INFO is answered with a text, and this is a list of 2"),
        (NODES, 7, "CLUSTER NODES is answered with a text, and this is the number 7"),
        (CONFIG, [b"maxmemory"], "CONFIG GET is answered with pairs of texts, and this is a list of 1"),
        (CONFIG, [b"maxmemory", None], "CONFIG GET"),
        (CONFIG, [[], []], "CONFIG GET"),
        (TIME, [b"now", b"0"], "TIME is answered with two numbers"),
        (TIME, [b"1"], "TIME"),
        (TIME, None, "TIME"),
        (SCAN, [b"x", []], "SCAN is answered with a cursor and a list of texts"),
        (SCAN, [b"0", b"key"], "SCAN"),
        (SCAN, [b"0", [7]], "SCAN"),
        (("DBSIZE",), b"OK", "DBSIZE is answered with a number, and this is a text of 2 bytes"),
        (("EXISTS", "k"), b"QUEUED", "EXISTS"),
    ],
)
def test_what_does_not(command: tuple[object, ...], reply: object, why: str) -> None:
    assert misfit(command, reply).startswith(why)


def test_arguments_are_never_named() -> None:
    assert command_name(("CONFIG", "SET", "requirepass", "hunter2")) == "CONFIG SET"
    assert command_name(("AUTH", "hunter2")) == "AUTH"
    assert command_name((b"GET", b"secret")) == "GET"
    assert "hunter2" not in misfit(("CONFIG", "SET", "requirepass", "hunter2"), 7)


@pytest.mark.parametrize(
    ("command", "is_so"),
    [
        (INFO, True),
        (NODES, True),
        (("config", "get", "x"), True),
        (("CLUSTER", "GETKEYSINSLOT", 7, 10), False),
        (("DUMP", "k"), False),
        (("FUNCTION", "LIST"), False),
    ],
)
def test_what_is_of_the_server_is_bounded(command: tuple[object, ...], is_so: bool) -> None:
    assert tells_of_itself(command) is is_so
