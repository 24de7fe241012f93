"""Work that comes to its end, also when who waits for it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from slotwright.errors import HostError
from slotwright.ops.shielded import shielded


async def cancelled_meanwhile(*, fails: bool) -> list[str]:
    """Cancel, twice, who waits for work; then let the work end."""
    done: list[str] = []
    may_end, has_begun = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        has_begun.set()
        await may_end.wait()
        done.append("worked")
        if fails:
            raise HostError("a full disk")

    waiter = asyncio.create_task(shielded(work()))
    await has_begun.wait()
    for _ in range(2):
        waiter.cancel()
        await asyncio.sleep(0)
    assert not waiter.done()
    may_end.set()
    with pytest.raises(HostError if fails else asyncio.CancelledError):
        await waiter
    return done


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancellation_waits_for_the_end(fails: bool) -> None:
    assert asyncio.run(cancelled_meanwhile(fails=fails)) == ["worked"]


def test_what_it_gives_is_given_on() -> None:
    async def work() -> int:
        return 7

    assert asyncio.run(shielded(work())) == 7
