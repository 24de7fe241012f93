"""One interruption for three signals: what it cancels, when it raises, and what a second one does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator

import pytest

from slotwright.console.signals import Interruption

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def restored() -> Iterator[None]:
    """The handlers of this process are as they were afterwards."""
    before = {number: signal.getsignal(number) for number in ALL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ALL)
def test_without_work_it_is_raised(number: signal.Signals) -> None:
    interruption = Interruption()
    assert not interruption.is_asked
    with pytest.raises(KeyboardInterrupt):
        interruption.take(number)
    assert interruption.is_asked


@pytest.mark.parametrize("number", ALL)
def test_work_is_cancelled_once(number: signal.Signals) -> None:
    interruption = Interruption(lambda: 0.0)
    ends: list[str] = []

    async def work() -> None:
        with interruption.cancels(asyncio.current_task()):
            try:
                interruption.take(number)
                await asyncio.Event().wait()
            finally:
                # A second cancellation would end this, too.
                interruption.take(number)
                interruption.take(signal.SIGHUP)
                await asyncio.sleep(0)
                ends.append("put back")

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(work())
    assert ends == ["put back"]


@pytest.mark.parametrize(
    ("first", "second", "after_s", "ends"),
    [
        (signal.SIGINT, signal.SIGINT, 0.1, True),
        (signal.SIGTERM, signal.SIGTERM, 0.9, False),
        (signal.SIGTERM, signal.SIGTERM, 1.1, True),
        (signal.SIGHUP, signal.SIGHUP, 60.0, False),
        (signal.SIGTERM, signal.SIGHUP, 60.0, False),
        (signal.SIGTERM, signal.SIGINT, 60.0, False),
    ],
)
def test_the_same_signal_again_ends_at_once_unless_it_is_the_same_request(
    first: signal.Signals, second: signal.Signals, after_s: float, ends: bool
) -> None:
    moments = iter((5.0, 5.0 + after_s))
    interruption = Interruption(lambda: next(moments))
    with pytest.raises(KeyboardInterrupt):
        interruption.take(first)
    if ends:
        with pytest.raises(KeyboardInterrupt):
            interruption.take(second)
    else:
        interruption.take(second)


def test_a_question_is_ended_itself() -> None:
    interruption = Interruption()

    async def work() -> None:
        with interruption.cancels(asyncio.current_task()), interruption.at_question():
            interruption.take(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(work())


@pytest.mark.usefixtures("restored")
def test_what_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interruption = Interruption()
    interruption.install()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) == interruption.take
