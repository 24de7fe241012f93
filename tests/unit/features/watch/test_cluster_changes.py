"""What happened between two looks."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.observation import Link, Role
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.survey import ClusterState, Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.features.watch.plan import changes_between

LOW, HIGH = SlotSet((SlotRange(0, 8191),)), SlotSet((SlotRange(8192, 16383),))
ALL = SlotSet((SlotRange(0, 16383),))


def primary(name: str, shard: int, slots: SlotSet) -> SurveyNode:
    return SurveyNode(name, Address(name, 1), Role.PRIMARY, slots, None, shard, is_reachable=True)


def replica(name: str, shard: int, of: str, link: Link = Link.UP) -> SurveyNode:
    return SurveyNode(name, Address(name, 1), Role.REPLICA, SlotSet(), of, shard, is_reachable=True, link=link)


def survey(*nodes: SurveyNode, state: ClusterState = ClusterState.OK, served: SlotSet = ALL) -> Survey:
    return Survey("cache", Mode.CLUSTER, state, served, nodes)


WHOLE = survey(primary("a", 1, LOW), replica("b", 1, "a"), primary("c", 2, HIGH))


def told(before: Survey, after: Survey) -> list[str]:
    return [f"{change.happening.value} {change.where}" for change in changes_between(before, after)]


def test_nothing_happened() -> None:
    assert told(WHOLE, WHOLE) == []


def test_a_primary_dies_and_its_replica_takes_over() -> None:
    a, b, c = WHOLE.nodes
    dead = survey(replace(a, trouble="down"), b, c, state=ClusterState.DOWN, served=HIGH)
    assert told(WHOLE, dead) == ["node-down a:1", "slots-lost cache", "state cache"]
    heir = replace(b, role=Role.PRIMARY, slots=LOW, replica_of=None, link=None)
    after = survey(replace(a, slots=SlotSet(), trouble="down"), heir, c, state=ClusterState.DEGRADED)
    assert told(dead, after) == ["failover b:1", "slots-back cache", "state cache"]
    back = survey(heir, replica("a", 1, "b"), c)
    assert told(after, back) == ["node-up a:1", "state cache"]


def test_links_and_members() -> None:
    a, b, c = WHOLE.nodes
    cut = survey(a, replace(b, link=Link.DOWN), c)
    assert told(WHOLE, cut) == ["link-lost b:1"]
    assert told(cut, WHOLE) == ["link-back b:1"]
    assert told(WHOLE, survey(a, b, c, replica("d", 1, "a"))) == ["joined d:1"]
    assert told(survey(a, b, c, replica("d", 1, "a")), WHOLE) == ["left d:1"]
    (change,) = changes_between(WHOLE, cut)
    assert change.happening.is_bad
