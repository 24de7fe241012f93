"""Placement by law: what holds for every topology, small cases against a search of all assignments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise, product

from hypothesis import assume, given
from hypothesis import strategies as st

from slotwright.cluster.slots import SLOT_COUNT, split_evenly
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin, HostSpec, ShardSpec, Topology
from slotwright.features.deploy.model import Placement, PlannedShard
from slotwright.features.deploy.plan.placement import place
from slotwright.features.deploy.plan.transport import Transport
from tests.extent import examples

ENGINE = Engine(EngineKind.REDIS, EngineOrigin.EMBEDDED)
LABELS = st.sampled_from(["", "a", "b", "c"])


def _hosts(sizes: list[int], racks: list[str] | None = None, zones: list[str] | None = None) -> tuple[HostSpec, ...]:
    return tuple(
        HostSpec(
            f"h{number}",
            tuple(range(7001, 7001 + size)),
            racks[number] if racks else "",
            zones[number] if zones else "",
        )
        for number, size in enumerate(sizes)
    )


def _parts(total: int, cuts: set[int]) -> list[int]:
    """``total`` in pieces, cut at ``cuts``."""
    bounds = [0, *sorted(cut for cut in cuts if cut < total), total]
    return [upper - lower for lower, upper in pairwise(bounds)]


@st.composite
def topologies(draw: st.DrawFn, most_nodes: int = 40) -> Topology:
    """Any topology of up to ``most_nodes`` nodes, with labels and explicit shards."""
    sizes = _parts(draw(st.integers(1, most_nodes)), draw(st.sets(st.integers(1, most_nodes), max_size=9)))
    count = len(sizes)
    racks = draw(st.lists(LABELS, min_size=count, max_size=count))
    zones = draw(st.one_of(st.just([""] * count), st.lists(LABELS, min_size=count, max_size=count)))
    hosts = _hosts(sizes, racks, zones)
    left = list(draw(st.permutations([a for host in hosts for a in host.node_addresses])))
    shards = []
    for replicas in draw(st.lists(st.integers(0, 3), max_size=4)):
        if len(left) > replicas:
            named = [left.pop() for _ in range(1 + replicas)]
            shards.append(ShardSpec(named[0], tuple(named[1:])))
    return Topology("any", ENGINE, hosts, draw(st.integers(0, 4)), tuple(shards))


@st.composite
def small(draw: st.DrawFn, replicas: int, most_nodes: int) -> Topology:
    """Small topologies without explicit shards, sizes as uneven as they come."""
    nodes = draw(st.integers(3 * (1 + replicas), most_nodes))
    sizes = _parts(nodes, draw(st.sets(st.integers(1, nodes - 1), max_size=5)))
    labels = st.lists(LABELS, min_size=len(sizes), max_size=len(sizes))
    zones = draw(st.one_of(st.just([""] * len(sizes)), labels))
    return Topology("small", ENGINE, _hosts(sizes, draw(labels), zones), replicas)


def _beside(placement: Placement) -> int:
    return sum(replica.host == shard.primary.host for shard in placement.shards for replica in shard.replicas)


def _primaries(placement: Placement) -> Counter[str]:
    return Counter(shard.primary.host for shard in placement.shards)


@examples(300)
@given(topologies())
def test_every_address_is_used_once_and_every_slot_covered(topology: Topology) -> None:
    placement = place(topology)
    if not placement.shards:
        assert [finding.code for finding in placement.findings] == ["too-few-primaries"]
        return
    assert len(placement.shards) >= 3
    placed = [address for shard in placement.shards for address in (shard.primary, *shard.replicas)]
    assert sorted(placed) == sorted(topology.addresses)
    assert [shard.slots for shard in placement.shards] == list(split_evenly(len(placement.shards)))
    assert sorted(slot for shard in placement.shards for slot in shard.slots) == list(range(SLOT_COUNT))


@examples(300)
@given(topologies())
def test_explicit_shards_stand_first_and_only_gain_replicas(topology: Topology) -> None:
    placement = place(topology)
    assume(placement.shards)
    for planned, asked in zip(placement.shards, topology.shards, strict=False):
        assert planned.primary == asked.primary
        assert planned.replicas[: len(asked.replicas)] == asked.replicas


@examples(200)
@given(topologies())
def test_every_shard_has_its_replicas_while_there_are_nodes(topology: Topology) -> None:
    placement = place(topology)
    assume(placement.shards)
    short = any(len(shard.replicas) < topology.replicas for shard in placement.shards)
    assert short == any(finding.code == "too-few-replicas" for finding in placement.findings)
    if short:
        assert len(placement.shards) == len(topology.shards)
    if not topology.shards:
        assert len(placement.shards) == len(topology.addresses) // (1 + topology.replicas)
        sizes = {len(shard.replicas) for shard in placement.shards}
        assert sizes <= {min(sizes), min(sizes) + 1} or _is_crowded(topology)


def _is_crowded(topology: Topology) -> bool:
    """One host has so much that extra replicas may have to gather away from it."""
    return 2 * max(len(host.ports) for host in topology.hosts) >= len(topology.addresses)


@examples(200)
@given(topologies())
def test_the_same_topology_gives_the_same_placement(topology: Topology) -> None:
    assert place(topology) == place(topology)


@examples(200)
@given(topologies())
def test_findings_say_what_the_shards_show(topology: Topology) -> None:
    placement = place(topology)
    found = [finding.where for finding in placement.findings if finding.code == "replica-beside-primary"]
    assert found == [
        f"shard {shard.number}"
        for shard in placement.shards
        if any(replica.host == shard.primary.host for replica in shard.replicas)
    ]
    assert all(finding.what and finding.remedy and finding.seen for finding in placement.findings)


@examples(200)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 3), st.data())
def test_primaries_are_even_over_hosts_of_one_size(count: int, size: int, replicas: int, data: st.DataObject) -> None:
    racks = data.draw(st.lists(LABELS, min_size=count, max_size=count))
    placement = place(Topology("even", ENGINE, _hosts([size] * count, racks), replicas))
    assume(placement.shards)
    primaries = _primaries(placement)
    loads = [primaries[f"h{number}"] for number in range(count)]
    assert max(loads) - min(loads) <= 1


@examples(300)
@given(st.one_of(small(1, 8), small(2, 11), small(3, 12)))
def test_the_host_rule_holds_whenever_it_can(topology: Topology) -> None:
    sizes = tuple(sorted(len(host.ports) for host in topology.hosts))
    assert (_beside(place(topology)) == 0) == _some_choice_avoids_the_primaries(sizes, topology.replicas)


@cache
def _some_choice_avoids_the_primaries(sizes: tuple[int, ...], replicas: int) -> bool:
    """Search all numbers of primaries by host and all ways to deal the replicas, extras wherever they fit."""
    shards, extra = divmod(sum(sizes), 1 + replicas)
    for primaries in product(*(range(size + 1) for size in sizes)):
        if sum(primaries) == shards:
            left = tuple(size - taken for size, taken in zip(sizes, primaries, strict=True))
            wants = tuple((host, replicas) for host, taken in enumerate(primaries) for _ in range(taken))
            if _can_serve(left, wants, extra):
                return True
    return False


@cache
def _can_serve(left: tuple[int, ...], wants: tuple[tuple[int, int], ...], extra: int) -> bool:
    """Can every (host, replicas) be served from other hosts, and ``extra`` nodes serve anyone elsewhere?"""
    if not wants:
        return True
    (home, wanted), rest = wants[0], wants[1:]
    if wanted == 0:
        return any(
            _can_serve(after, rest, extra - more)
            for more in range(extra + 1)
            for after in _taken(left, home, more)
            if rest or more == extra
        )
    return any(_can_serve(after, ((home, wanted - 1), *rest), extra) for after in _taken(left, home, 1))


def _taken(left: tuple[int, ...], home: int, nodes: int) -> Iterator[tuple[int, ...]]:
    if nodes == 0:
        yield left
        return
    for host, units in enumerate(left):
        if units and host != home:
            yield from _taken((*left[:host], units - 1, *left[host + 1 :]), home, nodes - 1)


@examples(300)
@given(small(1, 8))
def test_no_assignment_to_the_same_primaries_is_better(topology: Topology) -> None:
    placement = place(topology)
    hosts = {host.address: host for host in topology.hosts}
    primaries = _primaries(placement)
    nodes = [replica.host for shard in placement.shards for replica in shard.replicas]

    def price(ways: list[tuple[str, str]]) -> tuple[int, int, int, int]:
        pairs = [(hosts[primary], hosts[replica]) for primary, replica in ways]
        return (
            sum(one is other for one, other in pairs),
            sum(max(0, units - primaries[way[0]]) for way, units in Counter(ways).items()),
            sum(bool(one.zone) and one.zone == other.zone for one, other in pairs),
            sum(_is_same_rack(one, other) for one, other in pairs),
        )

    ours = [(shard.primary.host, replica.host) for shard in placement.shards for replica in shard.replicas]
    homes = [shard.primary.host for shard in placement.shards]
    best = min(price(list(zip(wanted, nodes, strict=True))) for wanted in _arrangements(homes, len(nodes)))
    assert price(ours) == best


def _is_same_rack(one: HostSpec, other: HostSpec) -> bool:
    return bool(one.rack) and (one.zone, one.rack) == (other.zone, other.rack)


def _arrangements(homes: list[str], nodes: int) -> set[tuple[str, ...]]:
    """All orders in which ``nodes`` nodes can serve ``homes``, one each; one node more goes to anyone."""
    served = [homes] if nodes == len(homes) else [[*homes, extra] for extra in set(homes)]
    found: set[tuple[str, ...]] = set()
    for every in served:
        found |= _orders(tuple(sorted(every)))
    return found


@cache
def _orders(items: tuple[str, ...]) -> frozenset[tuple[str, ...]]:
    if not items:
        return frozenset({()})
    return frozenset(
        (item, *rest)
        for item in set(items)
        for rest in _orders(items[: items.index(item)] + items[items.index(item) + 1 :])
    )


@examples(300)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), st.integers(1, 3), st.data())
def test_transport_is_as_cheap_as_the_best_of_all_shipments(
    supplies: list[int], needs: int, data: st.DataObject
) -> None:
    units = sum(supplies)
    rising = st.lists(st.integers(0, 9), min_size=units, max_size=units + 1).map(sorted)
    slots = [data.draw(rising) for _ in range(needs)]
    prices = {way: [*data.draw(rising), 9] for way in product(range(len(supplies)), range(needs))}
    transport = Transport(supplies, slots, lambda host, need, sent: prices[host, need][sent], list(prices))
    shipped = transport.solve()
    ours = {(host, need): sent for need, flow in enumerate(shipped) for host, sent in flow.items()}

    def cost(amounts: dict[tuple[int, int], int]) -> int:
        into = [sum(sent for (_, to), sent in amounts.items() if to == need) for need in range(needs)]
        on_ways = sum(sum(prices[way][:sent]) for way, sent in amounts.items())
        return on_ways + sum(sum(slots[need][:sent]) for need, sent in enumerate(into))

    sent_off = [sum(ours.get((host, need), 0) for need in range(needs)) for host in range(len(supplies))]
    assert sent_off == supplies
    assert cost(ours) == min(
        cost({(host, need): row[need] for host, row in enumerate(rows) for need in range(needs)})
        for rows in product(*(_splits(supply, needs) for supply in supplies))
    )


def _splits(units: int, parts: int) -> list[tuple[int, ...]]:
    return [split for split in product(range(units + 1), repeat=parts) if sum(split) == units]


@examples(200)
@given(st.integers(3, 8), st.integers(3, 6), st.integers(1, 2))
def test_one_host_never_has_two_nodes_of_a_shard_when_hosts_are_alike(count: int, size: int, replicas: int) -> None:
    placement = place(Topology("apart", ENGINE, _hosts([size] * count), replicas))
    assume(placement.shards)
    extra = sum(map(len, (shard.replicas for shard in placement.shards))) - replicas * len(placement.shards)
    assume(extra == 0 or count > replicas + 1)
    assert all(_is_apart(shard) for shard in placement.shards)


def _is_apart(shard: PlannedShard) -> bool:
    nodes = (shard.primary, *shard.replicas)
    return not any(one.host == other.host for one, other in combinations(nodes, 2))
