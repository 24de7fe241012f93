"""What slotwright itself called on a source is not told as its clients' habit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from slotwright.cluster.topology import Address
from slotwright.features.migrate.own_calls import OwnCalls
from slotwright.features.migrate.run.attach import SourceStream
from slotwright.features.migrate.run.fence import Fence
from slotwright.features.migrate.run.replicator import Replicator
from slotwright.ports import Argument, Connection, Reply, ReplyError

HERE = Address("10.0.0.9", 6379)
SCAN_2 = b"*2\r\n$4\r\nSCAN\r\n$1\r\n0\r\n" * 2


class Server:
    """Answers OK, queues in a transaction, refuses KEYS."""

    address = HERE
    is_queueing = False

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        return self

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        was = self.is_queueing
        self.is_queueing = arguments[0] == "MULTI" or (was and arguments[0] not in ("EXEC", "DISCARD"))
        return b"QUEUED" if was and self.is_queueing else b"OK"

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        return [ReplyError("NOPERM") if one[0] == "KEYS" else await self.call(*one) for one in commands]

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        return [b"OK"] * replies

    async def close(self) -> None:
        pass


def test_what_an_earlier_run_copied_is_copied() -> None:
    """A run that goes on copies nothing, and so counts no keys of its own."""
    progress = SimpleNamespace(keys=0)
    replicator = SimpleNamespace(is_copied=False, progress=progress)
    line = SourceStream(cast("Replicator", replicator), cast("Fence", SimpleNamespace(address=HERE)), None, 300)
    assert line.copied_keys == 0
    replicator.is_copied = True
    assert line.copied_keys == 300
    progress.keys = 12
    assert line.copied_keys == 12


def worked(own: OwnCalls) -> None:
    async def do() -> None:
        connection = await own.dialer(Server()).dial(HERE)
        await connection.call("SELECT", 3)
        await connection.pipeline([("MULTI",), ("SCAN", "0"), ("DISCARD",)])
        await connection.pipeline([("MULTI",), ("SELECT", 0), ("EXEC",), ("KEYS", "*"), ("CONFIG", "GET", "save")])
        await connection.exchange(SCAN_2, 2)

    asyncio.run(do())


def test_only_what_was_done_is_counted_and_taken_off(tmp_path: Path) -> None:
    own = OwnCalls(tmp_path)
    worked(own)
    seen = (("select", 7), ("scan", 2), ("multi", 2), ("keys", 1), ("config|get", 1), ("get", 5))
    assert own.less(HERE, seen) == (("select", 5), ("keys", 1), ("get", 5))
    assert own.less(Address("10.0.0.8", 6379), seen) == seen


def test_counts_are_kept_for_the_same_statistics_of_the_same_server(tmp_path: Path) -> None:
    own = OwnCalls(tmp_path)
    own.look(HERE, "run", [("select", 10)])
    worked(own)
    own.keep()
    later = OwnCalls(tmp_path)
    later.look(HERE, "run", [("select", 12)])
    assert later.less(HERE, [("select", 12)]) == (("select", 10),)
    later.keep()
    third = OwnCalls(tmp_path)
    third.look(HERE, "run", [("select", 20)])
    worked(third)
    assert third.less(HERE, [("select", 22)]) == (("select", 18),)
    for run_id, now in (("restarted", 12), ("run", 3)):
        other = OwnCalls(tmp_path)
        other.look(HERE, run_id, [("select", now)])
        assert other.less(HERE, [("select", now)]) == (("select", now),), "of other statistics"
