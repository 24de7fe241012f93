"""Which folder each shard comes back from, what is refused, which versions read whose data; counts against counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from slotwright.cluster.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SlotSet, split_evenly
from slotwright.cluster.topology import Address, Mode
from slotwright.features.rebuild.plan.copies import Choice, Member, choose_copies, has_append_log, refuse_version
from slotwright.keys.model.counts import Count, by_type, slots_in, unequal
from slotwright.server.capabilities import version_from_title
from slotwright.server.server_conf import NodeConfig, render_reader_conf
from tests.server_settings import rows

LOG = (("appendonlydir/appendonly.aof.1.incr.aof", 100), ("dump.rdb", 50))
SNAPSHOT = (("dump.rdb", 50),)
ON = (("appendonly", "yes"),)


def blueprint() -> Blueprint:
    shards = []
    for number, slots in enumerate(split_evenly(3), 1):
        primary = BlueprintNode(Address("10.0.0.1", 7000 + number), f"p{number}", Role.PRIMARY, number, number)
        replica = BlueprintNode(Address("10.0.0.2", 7000 + number), f"r{number}", Role.REPLICA, number)
        shards.append(BlueprintShard(number, f"s{number}", slots, primary, (replica,)))
    return Blueprint("id", "cache", Mode.CLUSTER, tuple(shards))


def members(**changes: dict[str, object]) -> tuple[Member, ...]:
    """Everybody is archived, nobody answers, all with a log; ``changes`` by id."""
    nodes = blueprint().nodes
    return tuple(
        replace(Member(node.address, node.id, data=LOG), **changes.get(node.id, {}))  # type: ignore[arg-type]
        for node in nodes
    )


def chosen(choice: Choice) -> list[str]:
    ids = {node.address: node.id for node in blueprint().nodes}
    return [ids[copy.address] for copy in choice.copies]


def choose(**changes: dict[str, object]) -> Choice:
    return choose_copies(members(**changes), blueprint(), ON)


def line(node_id: str, role: Role, epoch: int, slots: SlotSet, replica_of: str | None = None) -> PeerView:
    return PeerView(node_id, None, frozenset(), role, replica_of, epoch, True, slots)


def test_primaries_come_first_and_one_that_answers_needs_no_excuse() -> None:
    choice = choose(p1={"keys": 5})
    assert (chosen(choice), choice.uncovered) == (["p1", "p2", "p3"], ())
    assert [copy.why == "" for copy in choice.copies] == [True, False, False]
    assert [copy.slots for copy in choice.copies] == list(split_evenly(3))


@pytest.mark.parametrize(
    ("primary", "replica", "expected"),
    [
        ({"data": LOG}, {"keys": 9}, "p1"),
        ({"data": SNAPSHOT}, {"keys": 9}, "r1"),
        ({"data": SNAPSHOT}, {"data": LOG}, "p1"),
        ({"data": ()}, {"data": SNAPSHOT}, "r1"),
        ({"trouble": "its folder is gone"}, {"data": SNAPSHOT}, "r1"),
        ({"keys": 3, "trouble": "its folder is gone"}, {"keys": 3}, "r1"),
        ({"keys": 3}, {"keys": 9}, "p1"),
    ],
)
def test_the_most_complete_copy_of_a_shard(
    primary: dict[str, object], replica: dict[str, object], expected: str
) -> None:
    choice = choose(p1=primary, r1=replica)
    assert chosen(choice)[0] == expected
    assert expected == "p1" or str(choice.copies[0].address) in choice.risks[0]


def test_a_shard_without_a_folder_is_uncovered_and_names_its_members() -> None:
    choice = choose(p2={"trouble": "away"}, r2={"trouble": "gone"})
    (lost,) = choice.uncovered
    assert (lost.shard, lost.slots, {member.id for member in lost.members}) == (2, split_evenly(3)[1], {"p2", "r2"})
    assert chosen(choice) == ["p1", "p3"]


def test_a_shard_with_folders_and_no_data_comes_back_empty_and_says_so() -> None:
    choice = choose(p2={"data": ()}, r2={"data": ()})
    assert [copy.has_data for copy in choice.copies] == [True, False, True]
    assert any("shard 2 has nothing on any disk" in risk for risk in choice.risks)


def test_who_owned_a_slot_is_told_by_the_maps_and_the_higher_epoch_wins() -> None:
    slots = split_evenly(3)[0]
    old = line("p1", Role.PRIMARY, 1, slots)
    new = line("r1", Role.PRIMARY, 9, slots)
    follows = line("p1", Role.REPLICA, 9, SlotSet(), "r1")
    stale = {"lines": (old, line("r1", Role.REPLICA, 1, SlotSet(), "p1"))}
    assert chosen(choose(p1=stale, r1={"lines": (new, follows)}))[0] == "r1"
    assert chosen(choose(p1=stale))[0] == "p1"


def test_slots_that_were_moved_count_where_they_were_at_last() -> None:
    first, second, _ = split_evenly(3)
    moved = SlotSet.parse(["0-99"])
    choice = choose(
        p1={"lines": (line("p1", Role.PRIMARY, 1, first - moved),)},
        p2={"lines": (line("p2", Role.PRIMARY, 7, second | moved),)},
    )
    slots = {copy.address.port: copy.slots for copy in choice.copies}
    assert (slots[7001], slots[7002]) == (first - moved, second | moved)
    assert sum(len(copy.slots) for copy in choice.copies) == 16384


def test_an_append_log_counts_only_where_it_is_switched_on() -> None:
    assert has_append_log(LOG, ())
    assert not has_append_log(LOG, (("appendonly", "no"),))
    assert not has_append_log(SNAPSHOT, ON)
    assert has_append_log((("mine.aof", 1),), (*ON, ("appendfilename", "mine.aof")))


@pytest.mark.parametrize(
    ("old", "new", "is_readable"),
    [
        ("Redis 6.2.14", "Redis 7.0.15", True),
        ("Redis 7.0.15", "Redis 6.2.14", False),
        ("Redis 8.2.1", "Redis 8.2.0", True),
        ("Valkey 9.1.2", "Valkey 8.1.4", False),
        ("Redis 7.2.4", "Valkey 9.1.2", True),
        ("Redis 8.2.1", "Valkey 9.1.2", False),
        ("Valkey 8.1.4", "Redis 7.2.4", True),
        ("Valkey 8.1.4", "Redis 7.0.15", False),
        ("Valkey 9.1.2", "Redis 8.2.1", False),
    ],
)
def test_which_server_reads_what_another_wrote(old: str, new: str, is_readable: bool) -> None:
    reason = refuse_version(version_from_title(old), version_from_title(new))
    assert (reason == "") is is_readable
    assert is_readable or (old in reason and new in reason)


def test_a_reader_never_writes_and_is_on_loopback_only() -> None:
    settings = (("maxmemory", "5mb"), ("dbfilename", "mine.rdb"), ("appendonly", "yes"), ("save", "60 1"))
    config = NodeConfig(Address("127.0.0.1", 7001), "/kept/a", Mode.SINGLE, Secret("pw"), settings)
    read = rows(render_reader_conf(config, append_log=False))
    assert (read["bind"], read["appendonly"], read["save"]) == ([b"127.0.0.1"], [b"no"], [b""])
    assert (read["slowlog-log-slower-than"], read["requirepass"]) == ([b"-1"], [b"pw"])
    assert read["dbfilename"] == [b"mine.rdb"]
    assert read.keys().isdisjoint({"cluster-enabled", "maxmemory"})


def test_counts_differ_in_either_way() -> None:
    one: Count = Counter({(0, 1, "string"): 2, (0, 5, "list"): 1})
    other: Count = Counter({(0, 1, "string"): 2, (0, 7, "hash"): 1})
    assert unequal(one, one) == frozenset()
    assert unequal(one, other) == unequal(other, one) == {(0, 5), (0, 7)}
    assert (by_type(one), slots_in(one)) == ({"string": 2, "list": 1}, 2)
