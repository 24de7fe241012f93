"""Placement by example: the rotation, fat hosts, explicit shards, labels, and what is said of open wishes."""

from __future__ import annotations

import pytest

from slotwright.cluster.findings import Severity
from slotwright.cluster.topology import Address, Engine, EngineKind, EngineOrigin, HostSpec, Mode, ShardSpec, Topology
from slotwright.features.deploy.model import Placement
from slotwright.features.deploy.plan.placement import place

ENGINE = Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)


def host(name: str, ports: int, rack: str = "", zone: str = "") -> HostSpec:
    return HostSpec(name, tuple(range(7001, 7001 + ports)), rack, zone)


def at(text: str) -> Address:
    return Address.parse(text)


def shard(primary: str, *replicas: str) -> ShardSpec:
    return ShardSpec(at(primary), tuple(map(at, replicas)))


def topology(*hosts: HostSpec, replicas: int = 1, shards: tuple[ShardSpec, ...] = (), allow: bool = False) -> Topology:
    return Topology("demo", ENGINE, hosts, replicas, shards, allow_colocated_replicas=allow)


def rows(placement: Placement) -> list[str]:
    return [" ".join(map(str, (shard.primary, *shard.replicas))) for shard in placement.shards]


def codes(placement: Placement) -> list[tuple[str, Severity, str]]:
    return [(finding.code, finding.severity, finding.where) for finding in placement.findings]


def test_three_hosts_with_two_ports_rotate() -> None:
    placement = place(topology(host("h1", 2), host("h2", 2), host("h3", 2)))
    assert rows(placement) == ["h1:7001 h2:7002", "h2:7001 h3:7002", "h3:7001 h1:7002"]
    assert [str(shard.slots) for shard in placement.shards] == ["0-5460", "5461-10922", "10923-16383"]
    assert [shard.number for shard in placement.shards] == [1, 2, 3]
    assert placement.findings == ()


def test_two_replicas_follow_on_the_next_two_hosts() -> None:
    assert rows(place(topology(host("h1", 3), host("h2", 3), host("h3", 3), replicas=2))) == [
        "h1:7001 h2:7002 h3:7002",
        "h2:7001 h3:7003 h1:7002",
        "h3:7001 h1:7003 h2:7003",
    ]


def test_ports_keep_the_order_of_the_file() -> None:
    hosts = [HostSpec(name, (7009, 7001)) for name in ("h1", "h2", "h3")]
    assert rows(place(topology(*hosts)))[0] == "h1:7009 h2:7001"


def test_without_replicas_every_node_is_a_primary() -> None:
    placement = place(topology(host("h1", 3), host("h2", 2), replicas=0))
    assert rows(placement) == ["h1:7001", "h2:7001", "h1:7002", "h2:7002", "h1:7003"]
    assert codes(placement) == [("majority-on-one-host", Severity.WARNING, "h1")]


def test_a_single_instance_has_all_slots() -> None:
    placement = place(Topology("one", ENGINE, (host("h1", 1),), 0, mode=Mode.SINGLE))
    assert rows(placement) == ["h1:7001"]
    assert len(placement.shards[0].slots) == 16384


@pytest.mark.parametrize("ports", [1, 2, 5])
def test_fewer_than_three_shards_are_refused(ports: int) -> None:
    placement = place(topology(host("h1", ports)))
    assert placement.shards == ()
    assert codes(placement) == [("too-few-primaries", Severity.SERIOUS, "demo")]
    assert "6 nodes" in placement.findings[0].remedy


def test_a_left_over_node_becomes_an_extra_replica_away_from_its_primary() -> None:
    placement = place(topology(host("h1", 3), host("h2", 2), host("h3", 2)))
    assert sorted(len(shard.replicas) for shard in placement.shards) == [1, 1, 2]
    assert [(code, severity) for code, severity, _ in codes(placement)] == [("extra-replicas", Severity.NOTE)]
    assert "add 1 port" in placement.findings[0].remedy


def test_left_over_nodes_are_spread_one_a_shard() -> None:
    placement = place(topology(*(host(f"h{number}", 1) for number in range(11)), replicas=2))
    assert sorted(len(shard.replicas) for shard in placement.shards) == [2, 3, 3]


def test_everything_on_one_host_is_serious_unless_the_file_allows_it() -> None:
    refused = place(topology(host("h1", 6)))
    allowed = place(topology(host("h1", 6), allow=True))
    assert rows(refused) == rows(allowed) == ["h1:7001 h1:7004", "h1:7002 h1:7005", "h1:7003 h1:7006"]
    assert codes(refused)[0] == ("replica-beside-primary", Severity.SERIOUS, "shard 1")
    assert codes(allowed)[0] == ("replica-beside-primary", Severity.WARNING, "shard 1")
    assert "h1" in refused.findings[0].what
    assert refused.findings[0].seen == "h1 has 6 of the 6 nodes and 3 of the 3 primaries"


def test_a_host_with_half_of_the_nodes_still_works() -> None:
    placement = place(topology(host("big", 4), host("h2", 2), host("h3", 1), host("h4", 1)))
    assert placement.findings == ()


def test_a_host_with_more_than_half_names_just_the_shards_that_suffer() -> None:
    placement = place(topology(host("big", 5), host("h2", 2), host("h3", 1)))
    assert [code for code, _, _ in codes(placement)] == ["replica-beside-primary", "majority-on-one-host"]


def test_a_fat_host_gives_up_primaries_for_the_host_rule() -> None:
    """With two replicas a shard, six of nine nodes can be away from every primary only when none is one."""
    placement = place(topology(host("big", 6), host("h2", 1), host("h3", 1), host("h4", 1), replicas=2))
    assert [shard.primary.host for shard in placement.shards] == ["h2", "h3", "h4"]
    assert placement.findings == ()


def test_a_host_whose_explicit_shard_needs_the_others_gets_no_more_primaries() -> None:
    placement = place(topology(host("h1", 5), host("h2", 4), replicas=2, shards=(shard("h1:7001"),)))
    assert [planned.primary.host for planned in placement.shards] == ["h1", "h2", "h2"]
    assert codes(placement) == [("majority-on-one-host", Severity.WARNING, "h2")]


def test_replicas_of_one_shard_are_on_different_hosts() -> None:
    placement = place(topology(host("h1", 5), host("h2", 4), host("h3", 3), host("h4", 3), replicas=2))
    for planned in placement.shards:
        assert len({node.host for node in (planned.primary, *planned.replicas)}) == 3


def test_two_replicas_on_one_host_are_worse_than_one_in_the_same_rack() -> None:
    placement = place(topology(host("h1", 3), host("h2", 3, "a"), host("h3", 1, "a")))
    for planned in placement.shards:
        assert len({replica.host for replica in planned.replicas}) == len(planned.replicas)
    assert [code for code, _, _ in codes(placement)] == ["replica-in-same-rack", "extra-replicas"]


def test_the_replicas_of_one_host_are_on_several() -> None:
    placement = place(topology(*(host(f"h{number}", 6) for number in range(1, 5))))
    for name in ("h1", "h2", "h3", "h4"):
        replicas = [s.replicas[0].host for s in placement.shards if s.primary.host == name]
        assert sorted(replicas) == sorted({"h1", "h2", "h3", "h4"} - {name})


def test_uneven_hosts_share_their_replicas_out_too() -> None:
    placement = place(topology(host("h1", 3), host("h2", 3), host("h3", 2)))
    ways = [(planned.primary.host, planned.replicas[0].host) for planned in placement.shards]
    assert len(set(ways)) == len(ways) == 4


def test_a_replica_is_in_another_rack() -> None:
    racks = {"h1": "a", "h2": "a", "h3": "b", "h4": "b"}
    placement = place(topology(*(host(name, 2, rack) for name, rack in racks.items())))
    for planned in placement.shards:
        assert racks[planned.primary.host] != racks[planned.replicas[0].host]
    assert placement.findings == ()


def test_primaries_are_spread_over_zones_when_there_are_more_hosts_than_shards() -> None:
    zones = ["a", "a", "a", "a", "b", "b", "c", "c"]
    hosts = [host(f"h{number}", 1, zone=zone) for number, zone in enumerate(zones)]
    placement = place(topology(*hosts))
    primaries = sorted(zones[int(planned.primary.host[1:])] for planned in placement.shards)
    assert primaries == ["a", "a", "b", "c"]


def test_a_zone_counts_before_a_rack() -> None:
    labels = [("r1", "a"), ("r2", "a"), ("r1", "b"), ("r1", "c")]
    hosts = [host(f"h{number}", 2, rack, zone) for number, (rack, zone) in enumerate(labels)]
    placement = place(topology(*hosts))
    zones = {spec.address: spec.zone for spec in hosts}
    for planned in placement.shards:
        assert zones[planned.primary.host] != zones[planned.replicas[0].host]
    assert placement.findings == ()


def test_a_shared_rack_or_zone_is_warned_about_once_a_label() -> None:
    placement = place(topology(*(host(f"h{number}", 2, "r1", "eu") for number in range(3))))
    assert codes(placement) == [
        ("replica-in-same-zone", Severity.WARNING, "zone eu"),
        ("replica-in-same-rack", Severity.WARNING, "rack r1 in zone eu"),
    ]


def test_hosts_without_labels_share_nothing() -> None:
    assert place(topology(*(host(f"h{number}", 2) for number in range(3)))).findings == ()


def test_explicit_shards_are_taken_as_they_are() -> None:
    explicit = (
        shard("h3:7002", "h1:7001"),
        shard("h2:7001", "h3:7001"),
        shard("h1:7002", "h2:7002"),
    )
    placement = place(topology(host("h1", 2), host("h2", 2), host("h3", 2), shards=explicit))
    assert rows(placement) == ["h3:7002 h1:7001", "h2:7001 h3:7001", "h1:7002 h2:7002"]
    assert placement.findings == ()


def test_unnamed_nodes_top_up_short_shards_and_make_more() -> None:
    explicit = (shard("h1:7001"), shard("h2:7001", "h3:7001"))
    placement = place(topology(host("h1", 3), host("h2", 3), host("h3", 3), replicas=1, shards=explicit))
    assert len(placement.shards) == 4
    assert placement.shards[0].replicas[0].host != "h1"
    assert placement.shards[1].replicas[0] == at("h3:7001")
    assert sorted(len(planned.replicas) for planned in placement.shards) == [1, 1, 1, 2]
    assert [len(planned.replicas) for planned in placement.shards][:2] == [1, 1]


def test_short_shards_without_nodes_for_them_are_warned_about() -> None:
    explicit = (shard("h1:7001"), shard("h2:7001"), shard("h3:7001"))
    placement = place(topology(host("h1", 2), host("h2", 1), host("h3", 1), shards=explicit))
    assert rows(placement) == ["h1:7001", "h2:7001", "h3:7001 h1:7002"]
    assert codes(placement) == [
        ("too-few-replicas", Severity.WARNING, "shard 1"),
        ("too-few-replicas", Severity.WARNING, "shard 2"),
    ]


def test_an_explicit_replica_beside_its_primary_is_named_as_the_files_own_doing() -> None:
    explicit = (shard("h1:7001", "h1:7002"),)
    placement = place(topology(host("h1", 2), host("h2", 2), host("h3", 2), shards=explicit))
    assert rows(placement) == ["h1:7001 h1:7002", "h2:7001 h3:7002", "h3:7001 h2:7002"]
    assert codes(placement) == [("replica-beside-primary", Severity.SERIOUS, "shard 1")]
    assert "the file's own" in placement.findings[0].what


def test_two_entries_with_one_address_are_one_host() -> None:
    halves = HostSpec("h1", (7001, 7002)), HostSpec("h1", (7003,))
    for planned in place(topology(*halves, host("h2", 1), host("h3", 1), host("h4", 1))).shards:
        assert planned.primary.host != planned.replicas[0].host


def test_a_thousand_nodes_in_twenty_racks() -> None:
    hosts = tuple(host(f"h{number}", 5, f"r{number // 10}") for number in range(200))
    placement = place(topology(*hosts))
    rack = {spec.address: spec.rack for spec in hosts}
    placed = [address for shard in placement.shards for address in (shard.primary, *shard.replicas)]
    assert sorted(placed) == sorted(address for spec in hosts for address in spec.node_addresses)
    assert len(placement.shards) == 500
    assert all(rack[planned.primary.host] != rack[planned.replicas[0].host] for planned in placement.shards)
    primaries = [planned.primary.host for planned in placement.shards]
    assert {primaries.count(spec.address) for spec in hosts} == {2, 3}
    assert {sum(rack[name] == label for name in primaries) for label in set(rack.values())} == {25}
    assert placement.findings == ()
