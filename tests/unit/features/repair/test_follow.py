"""A replica that gets another primary: its full copy is waited for, however long it takes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from slotwright.cluster.events import Moved
from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.features.repair.model import Follow
from slotwright.features.repair.run.steps import RepairActions
from tests.fakes.doubles import FakeClock, Listener

AT = Address("10.0.0.1", 6379)
WAITS = "role:slave\r\nmaster_link_status:down\r\nmaster_sync_in_progress:0\r\n"
COPIES = (
    "role:slave\r\nmaster_link_status:down\r\nmaster_sync_in_progress:1\r\n"
    "master_sync_total_bytes:{total}\r\nmaster_sync_read_bytes:{read}\r\n"
)
LINKED = "role:slave\r\nmaster_link_status:up\r\nmaster_sync_in_progress:0\r\n"


@dataclass
class Replica:
    """Answers INFO from a list, whose last entry stays; a pool and a connection in one."""

    answers: list[str]
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    async def connection(self, address: Address) -> Replica:
        return self

    async def drop(self, address: Address) -> None:
        pass

    async def call(self, *words: Any, timeout_s: float | None = None) -> bytes:
        self.asked.append(words)
        if words[0] != "INFO":
            return b"OK"
        return (self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]).encode()


def follow(replica: Replica, clock: FakeClock, listener: Listener) -> None:
    nobody: Any = None
    pool: Any = replica
    actions = RepairActions(nobody, pool, clock, listener, (AT,), nobody)
    asyncio.run(actions.act(Follow(AT, "b" * 40, "10.0.0.2"), "the task"))


def test_a_copy_that_takes_hours_is_waited_for_and_shown() -> None:
    clock, listener = FakeClock(least_s=600), Listener()
    copying = [COPIES.format(total=100, read=read) for read in range(20) for _ in range(2)]
    replica = Replica([WAITS, COPIES.format(total=0, read=0), *copying, LINKED])
    follow(replica, clock, listener)
    assert replica.asked[0] == ("CLUSTER", "REPLICATE", "b" * 40)
    assert clock.now() - FakeClock().now() > 3 * 3600
    moved = [event for event in listener.events if isinstance(event, Moved)]
    assert [event.done for event in moved] == sorted(event.done for event in moved) and moved[-1].total == 100
    assert {event.task for event in moved} == {"the task"}


def test_a_link_that_stays_down_is_given_up() -> None:
    clock = FakeClock(least_s=1)
    with pytest.raises(ServerError, match="its link stays down") as caught:
        follow(Replica([WAITS]), clock, Listener())
    assert (caught.value.code, clock.now() - FakeClock().now() < 120) == ("repair-without-effect", True)
