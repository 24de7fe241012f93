"""Waits in a server's queue, from its own clock."""

from __future__ import annotations

import pytest

from slotwright.cluster.topology import Address
from slotwright.keys.throttle.queue_waits import QueueWaits
from slotwright.server.server_time import server_time_us

ONE, OTHER = Address("10.0.0.1", 6379), Address("10.0.0.2", 6379)


def told(seconds: float) -> list[bytes]:
    micros = round(seconds * 1_000_000)
    return [b"%d" % (micros // 1_000_000), b"%d" % (micros % 1_000_000)]


@pytest.mark.parametrize("reply", [None, b"OK", [b"1"], [b"1", 2], [1, 2], [b"1", b"2", b"3"]])
def test_what_is_no_time(reply: object) -> None:
    assert server_time_us(reply) is None
    waits = QueueWaits(10.0)
    assert not waits.answered(ONE, reply, 0.0)  # type: ignore[arg-type]
    assert (waits.count, waits.percentile(0.99), waits.is_last_slow) == (0, 0.0, False)


def test_a_wait_is_what_is_more_than_the_quickest_whatever_the_clocks_say() -> None:
    waits = QueueWaits(10.0)
    # One clock is an hour ahead, the other behind; the way there takes a millisecond.
    for skew, server in ((3600.0, ONE), (-50.0, OTHER)):
        assert waits.answered(server, told(1000 + skew + 0.001), 1000.0)
        assert waits.answered(server, told(1001 + skew + 0.021), 1001.0)
    assert waits.count == 4
    assert waits.percentile(1.0) == pytest.approx(20, abs=0.01)
    assert waits.percentile(0.0) == pytest.approx(0, abs=0.01)


def test_a_single_slow_one_is_anybody_s() -> None:
    waits = QueueWaits(10.0)
    seen = []
    for wait_s in (0.0, 0.05, 0.0, 0.05, 0.05, 0.0):
        waits.answered(ONE, told(1000 + wait_s), 1000.0)
        seen.append(waits.is_last_slow)
    assert seen == [False, False, False, False, True, False]
