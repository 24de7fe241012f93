"""Keeping writes off a source: the commands for it, and the way back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Address, EngineKind
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.run.fence import Fence
from slotwright.ports import ReplyError
from slotwright.server.capabilities import capabilities_of
from tests.fakes.doubles import FakeClock

ADDRESS = Address("10.0.0.9", 6379)


@dataclass
class FakeServer:
    """The roster and the connection in one: settings, users, and what it was told."""

    settings: dict[str, str] = field(
        default_factory=lambda: {"min-replicas-to-write": "1", "min-replicas-max-lag": "0"}
    )
    users: dict[str, str] = field(default_factory=lambda: {"default": "+@all", "app": "-@all +get +eval"})
    told: list[str] = field(default_factory=list)
    is_away: bool = False
    is_stubborn: bool = False
    denies: str = "nothing"
    dropped: int = 0

    async def connection(self, address: Address, **_: Any) -> FakeServer:
        return self

    async def drop(self, address: Address) -> None:
        self.dropped += 1

    async def call(self, *words: Any, timeout_s: float | None = None) -> Any:
        if self.is_away:
            raise NodeUnreachableError("away")
        text = " ".join(map(str, words))
        if text.startswith(self.denies):
            raise ReplyError("NOPERM no")
        self.told.append(text)
        if text.startswith("CONFIG GET"):
            return [words[2].encode(), self.settings[words[2]].encode()]
        if text.startswith("CONFIG SET") and not self.is_stubborn:
            self.settings[words[2]] = str(words[3])
        elif text == "ACL USERS":
            return [name.encode() for name in self.users]
        elif text.startswith("ACL GETUSER"):
            return [b"flags", [b"on"], b"commands", self.users[words[2]].encode(), b"keys", b"~*"]
        elif text.startswith("ACL SETUSER"):
            # As a server does: a category takes the place of what was there.
            rights = self.users[words[2]].split()
            for word in words[3:]:
                rights = [word] if word in ("+@all", "-@all") else [*rights, word]
            self.users[words[2]] = " ".join(rights)
        return b"OK"


def fenced(server: FakeServer, version: tuple[int, ...]) -> Fence:
    capabilities = capabilities_of(ServerVersion(EngineKind.REDIS, version))
    return Fence(server, ADDRESS, capabilities, FakeClock())  # type: ignore[arg-type]


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


@pytest.mark.parametrize("version", [(6, 2, 5), (7, 0, 15)])
def test_refused_and_given_back_as_it_was(version: tuple[int, ...]) -> None:
    server = FakeServer()
    settings, users = dict(server.settings), dict(server.users)
    fence = fenced(server, version)

    async def test() -> None:
        before = await fence.before()
        assert (before.min_replicas, before.max_lag, bool(before.rights)) == (1, 0, version < (7,))
        await fence.refuse()
        assert await fence.is_refusing()
        # A lag of 0 would switch the check off.
        assert server.settings["min-replicas-max-lag"] == "10"
        scripts = [rights.endswith("-eval -evalsha") for rights in server.users.values()]
        assert scripts == [version < (7,)] * 2
        await fence.allow(before)
        assert not await fence.is_refusing()

    run(test)
    assert (server.settings, server.users) == (settings, users)


def test_a_server_that_says_yes_and_changes_nothing_is_not_believed() -> None:
    server = FakeServer()
    fence = fenced(server, (7, 0, 15))

    async def test() -> None:
        before = await fence.before()
        await fence.refuse()
        server.is_stubborn = True
        with pytest.raises(ServerError, match="says that it has the old one") as told:
            await fence.allow(before)
        assert told.value.code == "fence-refused"
        server.settings["min-replicas-to-write"] = "1"
        with pytest.raises(ServerError, match="min-replicas-to-write"):
            await fence.refuse()

    run(test)


def test_held_until_it_is_released_whatever_happens_meanwhile() -> None:
    server = FakeServer()
    fence = fenced(server, (7, 0, 15))

    async def test() -> None:
        await fence.hold()
        for _ in range(20):
            await asyncio.sleep(0)
        assert server.told.count("CLIENT PAUSE 3000 WRITE") > 3
        server.is_away = True
        for _ in range(20):
            await asyncio.sleep(0)
        server.is_away = False
        held = len(server.told)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(server.told) > held
        await fence.release()
        assert server.told[-1] == "CLIENT UNPAUSE"
        await fence.release()
        assert server.told.count("CLIENT UNPAUSE") == 1

    run(test)


def test_a_source_that_is_away_lets_them_go_by_itself() -> None:
    server = FakeServer()
    fence = fenced(server, (7, 0, 15))

    async def test() -> None:
        await fence.hold()
        server.is_away = True
        await fence.release()
        assert server.dropped

    run(test)


def test_a_user_that_may_not() -> None:
    fence = fenced(FakeServer(denies="CONFIG SET min-replicas-to-write"), (7, 0, 15))

    async def test() -> None:
        with pytest.raises(ServerError) as caught:
            await fence.refuse()
        assert (caught.value.code, caught.value.seen) == ("fence-refused", "NOPERM no")

    run(test)
