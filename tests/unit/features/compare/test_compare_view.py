"""What a comparison says to people."""

from __future__ import annotations

import pytest

from slotwright.cluster.topology import Address
from slotwright.features.compare.views import show_comparison
from slotwright.keys.model.comparison import Comparison, KeyVerdict, Load, SideFacts
from tests.fakes.build import VERSION


def test_no_line_is_too_long_however_slow_the_source_was(capsys: pytest.CaptureFixture[str]) -> None:
    side = SideFacts("10.0.0.1:6379", VERSION, (Address("10.0.0.1", 6379),), False, {0: 9})
    slow = Load(samples=9, p50=12345.6, p99=123456.7, limit=1000.5, slowed_s=12345.6)
    show_comparison(Comparison(side, side, {(1, "string", KeyVerdict.EQUAL): 9}, {}, (), 123456.7, slow), None)
    text = capsys.readouterr().out
    assert "held back" in text
    assert max(map(len, text.splitlines())) <= 100
