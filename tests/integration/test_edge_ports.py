"""No traceback, whatever answers at the nodes' ports: every verb ends with a documented exit code, says what, where and
what to do next, and under ``--json`` as one object."""

from __future__ import annotations

import pytest

from slotwright.cli.main import VERBS
from tests.fakes.impostor import (
    Answers,
    Talk,
    bulk,
    hangs_up,
    listening_on_all,
    never_ends,
    pairs,
    says,
    says_nothing,
)
from tests.integration.edge import LINES, WITHOUT_SERVERS, World, faults, run_all

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def test_every_verb_has_its_lines() -> None:
    assert set(LINES) == set(VERBS)


NONSENSE: dict[str, Talk] = {
    "http": says(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", hangs_up=True),
    "tls": says(b"\x15\x03\x03\x00\x02\x02\x46", hangs_up=True),
    "silence": says_nothing,
    "endless": never_ends(b"x" * 1000),
    "huge-list": says(b"*4294967295\r\n"),
    "deep": says(b"*1\r\n" * 100_000),
    "no-utf8": says(bulk(b"\xff\xfe\xed\xa0\x80" * 20)),
    "control": says(bulk(b"\x1b]0;x\x07\x1b[2J" * 9)),
    "push": says(b">2\r\n+invalidate\r\n*0\r\n"),
    "ok": says(b"+OK\r\n"),
    "error": says(b"-ERR no\r\n"),
    "moved": says(b"-MOVED 1 127.0.0.1:99999\r\n"),
    "loading": says(b"-LOADING wait\r\n"),
    "half": says(b"$100\r\nhalf", hangs_up=True),
    "reset": hangs_up,
    "half-a-server": Answers(
        {
            ("AUTH",): b"+OK\r\n",
            ("PING",): b"+PONG\r\n",
            ("INFO",): bulk("redis_version:7.2.4\r\nrole:master\r\ncluster_enabled:1\r\nused_memory:9e99\r\n"),
            ("CONFIG", "GET"): pairs("x", "9" * 5000),
            ("CLUSTER", "NODES"): bulk("a b c d e f g h i\n"),
            ("CLUSTER", "SLOTS"): b"*1\r\n*3\r\n:0\r\n:99999\r\n*3\r\n$1\r\nx\r\n:99999999\r\n$1\r\ny\r\n",
        }
    ),
}


@pytest.mark.parametrize("kind", NONSENSE)
def test_ports_that_answer_nonsense(world: World, kind: str) -> None:
    with listening_on_all(list(world.addresses), NONSENSE[kind]):
        runs = run_all(world, kind, verbs=LINES.keys() - WITHOUT_SERVERS)
    assert not (found := faults(runs)), "\n".join(found)
