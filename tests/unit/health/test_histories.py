"""Whose data a replica has, and which of several copies is the latest."""

from __future__ import annotations

import pytest

from slotwright.cluster.observation import (
    Health,
    Link,
    NodeView,
    Observation,
    PeerView,
    Replication,
    Role,
    ServerVersion,
)
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, EngineKind, Mode
from slotwright.health.histories import latest, source_of
from slotwright.server.info import replication

ONE, OTHER = "a" * 40, "b" * 40


def node(
    name: str, history: str, offset: int, *, keys: int = 10, role: Role = Role.REPLICA, owns: str = "", **more: object
) -> NodeView:
    own = Replication(role, offset, Link.DOWN if role is Role.REPLICA else None, history=history, **more)  # type: ignore[arg-type]
    health = Health(10, 0, 0, False, True, True, True, keys)
    place, slots = Address("h", 7000), SlotSet.parse([owns] if owns else [])
    line = PeerView(name, place, frozenset({"myself"}), role, None, 1, True, slots)
    version = ServerVersion(EngineKind.VALKEY, (9, 1, 2))
    return NodeView(place, name, Mode.CLUSTER, version, True, 1, own, health, (line,))


def primary(name: str, history: str, offset: int, *, owns: str = "0-99", **more: object) -> NodeView:
    return node(name, history, offset, role=Role.PRIMARY, owns=owns, **more)


@pytest.mark.parametrize(
    ("others", "source"),
    [
        ([primary("x", ONE, 500)], "x"),
        ([primary("x", ONE, 400)], "x"),
        ([primary("x", ONE, 399)], None),  # it restarted from an older disk: the replica has more
        ([primary("x", OTHER, 900)], None),
        ([primary("x", OTHER, 900, former_history=ONE, former_until=401)], "x"),
        ([primary("x", OTHER, 900, former_history=ONE, former_until=400)], None),
        ([primary("x", ONE, 500, owns="")], None),  # the very primary, which was reset
        ([node("x", ONE, 500)], None),  # a replica like itself
        ([primary("gone", ONE, 500)], None),  # the very primary that it follows
    ],
)
def test_the_source_is_another_primary_that_has_all_of_it(others: list[NodeView], source: str | None) -> None:
    mine = node("r", ONE, 400)
    found = source_of(mine, "gone", Observation((mine, *others)))
    assert (found.id if found else None) == source


def test_a_server_that_tells_no_history_is_no_copy_of_another() -> None:
    mine = node("r", "", 400)
    assert source_of(mine, "gone", Observation((mine, primary("x", "", 500)))) is None


def test_within_one_history_the_later_offset_is_right_whatever_the_counts() -> None:
    emptied, full = node("later", ONE, 900, keys=1), node("earlier", ONE, 800, keys=500)
    assert [view.id for view in latest([full, emptied])] == ["later"]


def test_of_two_histories_nobody_can_tell() -> None:
    assert [view.id for view in latest([node("a", ONE, 900, keys=3), node("b", OTHER, 100, keys=5)])] == ["b", "a"]


def test_what_has_no_keys_or_comes_from_a_disk_stands_behind() -> None:
    assert [view.id for view in latest([node("a", ONE, 900), node("b", OTHER, 5000, keys=0)])] == ["a"]
    assert [view.id for view in latest([node("a", ONE, 900), node("b", OTHER, 0, keys=50)])] == ["a"]
    assert [view.id for view in latest([node("b", OTHER, 0, keys=50)])] == ["b"]
    assert list(latest([])) == []


def test_replication_ids_of_info() -> None:
    info = {"role": "master", "master_repl_offset": "7", "master_replid": ONE, "master_replid2": "0" * 40}
    told = replication(info)
    assert (told.history, told.former_history, told.former_until) == (ONE, "", -1)
    told = replication(info | {"master_replid2": OTHER, "second_repl_offset": "5"})
    assert (told.former_history, told.former_until) == (OTHER, 5)
    assert replication({"role": "master", "master_replid": "\x1b[31m"}).history == ""
