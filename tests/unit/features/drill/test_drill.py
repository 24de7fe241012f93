"""Which nodes a drill takes away, and how long nobody was served."""

from __future__ import annotations

import pytest

from slotwright.cluster.findings import Finding
from slotwright.cluster.topology import Address
from slotwright.features.drill.plan import DrillTargets, choose_victims, longest_gap
from tests.unit.features.watch.test_cluster_changes import HIGH, LOW, primary, replica, survey

WHOLE = survey(
    primary("a", 1, LOW), replica("b", 1, "a"), primary("c", 2, HIGH), replica("d", 2, "c"), primary("e", 3, HIGH)
)


def test_the_first_shard_s_primary_unless_told() -> None:
    assert choose_victims(WHOLE) == DrillTargets((Address("a", 1),), (1,))
    assert choose_victims(WHOLE, node=Address("d", 1)) == DrillTargets((Address("d", 1),), ())
    assert choose_victims(WHOLE, host="c") == DrillTargets((Address("c", 1),), (2,))


def test_what_would_be_an_outage() -> None:
    for found in (choose_victims(WHOLE, node=Address("e", 1)), choose_victims(WHOLE, host="nowhere")):
        assert isinstance(found, Finding)
        assert found.code == "not-a-drill"


@pytest.mark.parametrize(
    ("moments", "gap"),
    [
        ([0.0, 1.0, 2.0, 3.0], 2.0),
        ([0.5, 0.9, 4.0, 4.1], 3.1),
        ([0.5], 4.5),
        ([], 4.0),
        ([0.1, 0.2, 1.5, 9.0], 7.5),
    ],
)
def test_the_longest_time_without_an_answer(moments: list[float], gap: float) -> None:
    assert longest_gap(moments, 1.0, 5.0) == pytest.approx(gap)
