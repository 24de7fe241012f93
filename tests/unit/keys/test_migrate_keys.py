"""What is sent as MIGRATE, and what is done where its outcome is not known."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.keys.migrate_keys import MOST_BYTES, MOST_KEYS, MigrateSender, NotTakenError, migrate_limiter
from slotwright.keys.node_keys import NodeKeys
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Argument, Reply, ReplyError
from tests.fakes.doubles import FakeClock

SOURCE, TARGET = Address("10.0.0.1", 6379), Address("10.0.0.2", 6380)
PASSWORD = "correct horse battery"
Sized = Sequence[tuple[bytes, int]]


@dataclass
class Migrating:
    """Implements Dialer and Connection of a server that answers MIGRATE as ``judge`` says, by the keys of the call."""

    judge: Callable[[list[Argument]], ReplyError | NodeUnreachableError | None] = lambda keys: None
    sent: list[list[Argument]] = field(default_factory=list)
    patience_s: list[float | None] = field(default_factory=list)
    address: Address = SOURCE

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Migrating:
        return self

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        (reply,) = await self.pipeline([arguments], timeout_s=timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        return [self._one(list(command), timeout_s) for command in commands]

    async def exchange(self, request: bytes, replies: int, *, timeout_s: float | None = None) -> list[Reply]:
        raise NotImplementedError

    async def close(self) -> None:
        pass

    def _one(self, command: list[Argument], timeout_s: float | None) -> Reply | ReplyError:
        if command[0] != "MIGRATE":
            return [b"1", b"0"] if command[0] == "TIME" else b"OK"
        self.sent.append(command)
        self.patience_s.append(timeout_s)
        error = self.judge(command[command.index("KEYS") + 1 :])
        if isinstance(error, NodeUnreachableError):
            raise error
        return error or b"OK"


def sized(count: int, size: int = 100) -> Sized:
    return [(b"k%d" % number, size) for number in range(count)]


def named(command: list[Argument]) -> list[Argument]:
    return command[command.index("KEYS") + 1 :]


def sender(password: Secret | None = None, username: str = "") -> MigrateSender:
    return MigrateSender(migrate_limiter(FakeClock()), password, username)


def move(server: Migrating, keys: Sized, who: MigrateSender | None = None) -> int:
    async def do() -> int:
        async with ConnectionPool(server) as pool:  # type: ignore[arg-type]
            return await (who or sender()).move(NodeKeys(SOURCE, pool), TARGET, keys)

    return asyncio.run(do())


def copy(server: Migrating, keys: Sized, database: int = 0) -> None:
    async def do() -> None:
        async with ConnectionPool(server) as pool:  # type: ignore[arg-type]
            await sender().copy(NodeKeys(SOURCE, pool), TARGET, database, keys)

    asyncio.run(do())


def test_a_move_replaces_nothing_and_logs_in() -> None:
    server = Migrating()
    assert move(server, sized(2)) == 2
    assert server.sent == [["MIGRATE", "10.0.0.2", 6380, "", 0, 5000, "KEYS", b"k0", b"k1"]]
    move(server, sized(1), sender(Secret(PASSWORD)))
    assert server.sent[-1][6:] == ["AUTH", PASSWORD, "KEYS", b"k0"]
    move(server, sized(1), sender(Secret(PASSWORD), "mover"))
    assert server.sent[-1][6:] == ["AUTH2", "mover", PASSWORD, "KEYS", b"k0"]


def test_a_call_has_few_keys_and_few_bytes_and_at_least_one_key() -> None:
    server = Migrating()
    assert move(server, sized(MOST_KEYS + 7)) <= MOST_KEYS
    assert move(server, sized(20, MOST_BYTES // 3)) <= 2
    assert move(server, sized(3, 10 * MOST_BYTES)) == 1


def test_patience_goes_by_the_bytes() -> None:
    server = Migrating()
    move(server, sized(1, 500 * 1024 * 1024))
    assert server.sent[0][5] == 105_000
    assert server.patience_s == [110.0]


@pytest.mark.parametrize("line", ["IOERR error or timeout reading from target node", "BUSYKEY Target key name exists"])
def test_a_move_whose_outcome_is_not_known_is_not_repeated(line: str) -> None:
    server = Migrating(lambda keys: ReplyError(line))
    assert move(server, sized(3)) == 0
    assert len(server.sent) == 1


def test_a_move_that_is_refused_is_an_error() -> None:
    with pytest.raises(ReplyError, match="OOM"):
        move(Migrating(lambda keys: ReplyError("ERR Target instance replied with error: OOM command")), sized(3))
    with pytest.raises(NodeUnreachableError):
        move(Migrating(lambda keys: NodeUnreachableError("gone", code="closed")), sized(3))


def test_a_copy_is_sent_again_in_halves() -> None:
    server = Migrating(lambda keys: ReplyError("IOERR error or timeout") if len(keys) > 30 else None)
    copy(server, sized(100), database=3)
    assert all(command[4] == 3 and command[6:8] == ["COPY", "REPLACE"] for command in server.sent)
    taken = [key for command in server.sent if len(named(command)) <= 30 for key in named(command)]
    assert sorted(map(str, taken)) == sorted(str(key) for key, _ in sized(100))


@pytest.mark.parametrize("error", [ReplyError("IOERR error or timeout"), NodeUnreachableError("gone", code="closed")])
def test_a_key_that_is_not_copied_after_some_tries_is_named(error: ReplyError | NodeUnreachableError) -> None:
    server = Migrating(lambda keys: error if b"k7" in keys else None)
    with pytest.raises(NotTakenError) as found:
        copy(server, sized(20))
    assert found.value.keys == (b"k7",)
    assert sum(named(command) == [b"k7"] for command in server.sent) == 3


def test_a_copy_that_is_refused_is_not_repeated() -> None:
    server = Migrating(lambda keys: ReplyError("ERR Target instance replied with error: ERR Bad data format"))
    with pytest.raises(NotTakenError, match="Bad data format"):
        copy(server, sized(4))
    assert len(server.sent) == 1


@pytest.mark.parametrize("quoted", [PASSWORD, PASSWORD[:7]])
def test_no_error_has_the_password(quoted: str) -> None:
    line = f"ERR unknown command 'MIGRATE', with args beginning with: '10.0.0.2' '6380' '' '0' '5000' 'AUTH' '{quoted}"
    server = Migrating(lambda keys: ReplyError(line))
    who = sender(Secret(PASSWORD))
    with pytest.raises(ReplyError, match=r"unknown command 'MIGRATE'$") as found:
        move(server, sized(1), who)
    assert found.value.__cause__ is None
    assert PASSWORD not in repr(who)
    assert quoted not in str(found.value)
