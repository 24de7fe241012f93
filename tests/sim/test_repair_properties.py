"""Repair by law: whatever befalls a cluster, it ends, loses nothing without consent, and mends what can be mended.

The real ``features.repair.api`` works on a simulated cluster (``tests/fakes/sim_*.py``), and is cut before any effect.
What the servers themselves drop when nobody repairs anything is known from a copy of the cluster that is left alone.

More examples: ``SLOTWRIGHT_SIM_EXAMPLES=2000``. Failures print what reproduces them.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import os
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.findings import Severity
from slotwright.cluster.kept_copies import KeptCopies, KeptCopy
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import EngineKind, Topology
from slotwright.features.repair import api
from slotwright.features.repair.api import Repaired
from slotwright.hosts.scripts.systemd_unit import Persistence
from tests.extent import example_count, is_reduced
from tests.fakes import build
from tests.fakes.build import blueprint, topology
from tests.fakes.fuse import KilledError
from tests.fakes.sick_cluster import ALL, Cluster, Data, Key, Life, dialect_of, holders, sound_cluster
from tests.fakes.sick_faults import FAULTS, Fault
from tests.fakes.sim_server import key_of
from tests.fakes.sim_world import SimWorld
from tests.fakes.state import MemoryClusterStore
from tests.sim.cuts import Law

EXAMPLES = int(os.environ.get("SLOTWRIGHT_SIM_EXAMPLES", example_count(25)))
MOST_TICKS = 2500
KEYS = 2
VERSIONS = (
    ServerVersion(EngineKind.REDIS, (6, 2, 0)),
    ServerVersion(EngineKind.REDIS, (8, 2, 0)),
    ServerVersion(EngineKind.VALKEY, (8, 1, 0)),
)
"""Whose clusters differ (`Dialect`)."""
NOT_REPAIRED = frozenset({"replica-beside-primary", "settings-differ", "unpersisted"})
SETTINGS = {
    Persistence.APPEND_ONLY: (),
    Persistence.SNAPSHOTS: (("appendonly", "no"),),
    Persistence.NONE: (("appendonly", "no"), ("save", '""')),
}


@dataclass(frozen=True, slots=True)
class Sickness:
    """A cluster with what befalls it."""

    faults: tuple[Fault, ...]
    replicas: int = 1
    persistence: Persistence = Persistence.APPEND_ONLY
    has_shard_ids: bool = True
    version: ServerVersion = VERSIONS[-1]


@dataclass(slots=True)
class Case:
    """A cluster under repair. ``may_go`` are values that the servers drop by themselves; None: not known yet. ``done``:
    what the last repair told."""

    sickness: Sickness
    world: SimWorld
    before: set[tuple[Key, str]]
    deleted: set[tuple[Key, str]]
    may_go: set[tuple[Key, str]] | None = None
    done: Repaired | None = None

    @property
    def store(self) -> MemoryClusterStore:
        return self.world.store

    @property
    def cluster(self) -> Cluster:
        return self.world.cluster

    def watch(self) -> None:
        """Nothing that was there is nowhere now."""
        assert self.cluster.now < MOST_TICKS, "it does not end"
        gone = self.before - self.cluster.values() - self.quarantined()
        if gone and self.may_go is None:
            self.may_go = what_goes_by_itself(self.sickness)
        gone -= self.may_go or set()
        assert not gone, f"lost: {sorted(gone)} after {self.did()}"

    def quarantined(self) -> set[tuple[Key, str]]:
        copies = [copy for kept in self.world.store.quarantines for copy in kept.copies]
        return {(key_of(copy.key), ast.literal_eval(copy.value.dump[1:-10].decode()).decode()) for copy in copies}

    def did(self) -> str:
        return "\n".join(self.world.effects)


@cache
def _shape(replicas: int) -> tuple[Topology, Blueprint]:
    wanted = topology(3, replicas + 1, replicas)
    return wanted, blueprint(wanted)


def tracked_slots(made: Blueprint) -> tuple[int, ...]:
    """Two of each shard have keys."""
    return tuple(shard.slots.ranges[0].first + offset for offset in (1, 5) for shard in made.shards)


def sicken(sickness: Sickness) -> Case:
    wanted, made = _shape(sickness.replicas)
    slots = tracked_slots(made)
    data: Data = {(slot, b"key-%d" % number): f"{slot}-{number}" for slot in slots for number in range(KEYS)}
    cluster = sound_cluster(made, sickness.persistence, data, has_shard_ids=sickness.has_shard_ids)
    cluster.dialect = dialect_of(sickness.version)
    kept = _copies(cluster)
    for fault in sickness.faults:
        fault.strike(cluster, slots)
    record = build.record(replace(wanted, settings=SETTINGS[sickness.persistence]), made=made)
    # What clients deleted may be left on disks of an earlier day, and need not stay there.
    before, known = cluster.counting_values() - cluster.deleted, _known_deletions(cluster)
    case = Case(sickness, SimWorld(cluster=cluster, record=record), before, known)
    case.world.store.copies = kept
    case.world.watch = case.watch
    return case


def _known_deletions(cluster: Cluster) -> set[tuple[Key, str]]:
    """Those that the owner of the slot, which runs, knows of: its data is without the key."""
    owned = [node for node in cluster.running() if node.is_primary]
    return {
        item
        for item in cluster.deleted
        if any(item[0][0] in node.me.slots and item[0] not in node.data for node in owned)
    }


def _copies(cluster: Cluster) -> KeptCopies:
    """As they were kept when the cluster was proved."""
    shards = {node.id: shard.number for shard in cluster.blueprint.shards for node in shard.nodes}
    nodes = cluster.nodes.values()
    return KeptCopies(
        tuple(KeptCopy(node.id, shards[node.id], node.history, node.offset, len(node.data)) for node in nodes)
    )


def what_goes_by_itself(sickness: Sickness) -> set[tuple[Key, str]]:
    """What a copy of the cluster loses that nobody repairs."""
    untouched = sicken(sickness)
    untouched.cluster.ticks(60)
    return untouched.before - untouched.cluster.values()


def repair(case: Case, *, consents: bool = False, cut_at: int | None = None) -> Repaired:
    """The real verb, as another process each time; KilledError where it was cut."""
    world = case.world
    world.fuse = cut_at
    try:
        return asyncio.run(api.repair(world.context, world.target, accept=(lambda step: True) if consents else None))
    finally:
        world.renew()


def troubles(done: Repaired) -> list[str]:
    """Findings that are no notes, and that a repair is for. A replica that a failover left beside its primary is told,
    and not moved; settings are `up`'s to set; that nothing is kept on disk, the file wants."""
    found = [one for one in done.verdict.findings if one.severity is not Severity.NOTE]
    found = [one for one in found if one.code not in NOT_REPAIRED]
    return [f"{one.code} {one.where}: {one.what} ({one.seen})" for one in found]


def check_end(case: Case, done: Repaired) -> None:
    cluster = case.cluster
    told = "\n".join(
        [
            f"did:\n{case.did()}",
            f"refused: {[step.what for step in done.refused]}",
            f"failed: {[(each.step.what, each.error.what, each.error.seen) for each in done.failed]}",
            f"plan: {[step.what for step in done.plan.steps]}",
            *troubles(done),
        ]
    )
    _slots_have_their_data(case, done, told)
    _nothing_deleted_is_back(case, told)
    is_away = any(node.life is Life.AWAY or node.keeps_us_out for node in cluster.nodes.values())
    if not done.refused and not done.plan.refusals and not is_away:
        assert not done.failed, told
        assert not troubles(done), told
        _is_sound(case, told)


def _slots_have_their_data(case: Case, done: Repaired, told: str) -> None:
    """Where a live primary has a key, so has the slot's owner; nobody's view of a slot differs from its owner's."""
    if done.refused or done.failed:
        return
    is_away = any(node.life is Life.AWAY or node.keeps_us_out for node in case.cluster.nodes.values())
    for key, _ in case.before:
        having = list(holders(case.cluster, key))
        owners = [node for node in case.cluster.running() if node.is_primary and key[0] in node.me.slots]
        if any(node.keeps_us_out for node in (*having, *owners)):
            continue
        if having and not (is_away and not owners):
            assert owners == having, (
                f"{key} at {[n.place for n in having]}, owned by {[n.place for n in owners]}\n{told}"
            )


def _nothing_deleted_is_back(case: Case, told: str) -> None:
    """What clients deleted is served by nobody whose copy knew of it before the repair."""
    owners = [node for node in case.cluster.running() if node.is_primary]
    served = {item for node in owners for item in node.data.items() if item[0][0] in node.me.slots}
    back = served & case.deleted
    assert not back, f"deleted, and there again: {sorted(back)}\n{told}"


def _is_sound(case: Case, told: str) -> None:
    owned = [node.me.slots for node in case.cluster.running() if node.is_primary]
    assert SlotSet.of(piece for slots in owned for piece in slots.ranges) == ALL, told
    assert sum(map(len, owned)) == len(ALL), told
    assert {node.id for node in case.cluster.running()} == {node.id for node in case.cluster.blueprint.nodes}, told
    for node in case.cluster.running():
        assert not node.migrating and not node.importing, told
        assert node.is_primary or node.is_linked, told
        assert set(node.table) == {each.id for each in case.cluster.blueprint.nodes}, told


FAULT = st.builds(
    Fault,
    st.sampled_from(sorted(FAULTS)),
    st.integers(0, 8),
    st.integers(0, 8),
    st.integers(0, 5),
    st.integers(0, KEYS),
    st.sampled_from((0, 0, 0, 1, 2, 5, 15)),
)
SICKNESS = st.builds(
    Sickness,
    st.lists(FAULT, min_size=1, max_size=4).map(tuple),
    st.sampled_from((1, 1, 1, 2, 0)),
    st.sampled_from(Persistence),
    st.booleans(),
    st.sampled_from(VERSIONS),
)
LAW = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES <= 25,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@LAW
@given(SICKNESS)
def test_without_consent_nothing_is_lost_and_the_rest_is_mended(sickness: Sickness) -> None:
    case = sicken(sickness)
    check_end(case, repair(case))


@LAW
@given(SICKNESS, st.integers(0, 25))
def test_it_converges_from_every_cut(sickness: Sickness, cut_at: int) -> None:
    case = sicken(sickness)
    try:
        repair(case, cut_at=cut_at)
    except KilledError:
        case.cluster.ticks(cut_at % 7)
    check_end(case, repair(case))


@LAW
@given(SICKNESS)
def test_with_consent_everything_is_mended(sickness: Sickness) -> None:
    case = sicken(sickness)
    with tempfile.TemporaryDirectory() as folder:
        case.world.store.archives_path = Path(folder)
        check_end(case, repair(case, consents=True))


@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_two_owners_of_a_slot_are_settled_before_a_start_lets_them_meet(version: ServerVersion) -> None:
    """h1:7001 and another one call slot 1 their own and don't hear of each other; the node that is down knows both."""
    faults = (Fault("kill", 5, 3, 2, 2, 1), Fault("misdirect", 7, 5, 3, 0, 2), Fault("own_twice", 5, 5, 0, 2, 1))
    case = sicken(Sickness(faults, persistence=Persistence.NONE, version=version))
    with contextlib.suppress(KilledError):
        repair(case, cut_at=6)
    case.cluster.ticks(6)
    check_end(case, repair(case))


CUT_EVERYWHERE = (
    Sickness((Fault("open_slot", 2, 0, 1, 1),)),
    Sickness((Fault("stray", 0, 0, 1, 2), Fault("kill", 4)), persistence=Persistence.SNAPSHOTS),
    Sickness((Fault("change_id", 1), Fault("add_ghost")), has_shard_ids=False),
    Sickness((Fault("damage_data", 0), Fault("drop_password", 4))),
)
LEAST_CUTS = (31, 23, 28, 37)


def _named(sickness: Sickness) -> str:
    return "-".join(fault.name for fault in sickness.faults)


# The last one has thousands of slots in doubt at each look.
PARTS = (1, 1, 1, 6)
TURNS = [(turn, part) for turn in range(len(CUT_EVERYWHERE) - is_reduced()) for part in range(PARTS[turn])]


@pytest.mark.parametrize(
    ("turn", "part"), TURNS, ids=[f"{_named(CUT_EVERYWHERE[turn])}-{part}" for turn, part in TURNS]
)
def test_cut_at_every_effect(turn: int, part: int) -> None:
    async def mend(case: Case) -> None:
        case.done = await api.repair(case.world.context, case.world.target)

    def ended(case: Case) -> None:
        assert case.done is not None
        check_end(case, case.done)

    cuts = Law(lambda: sicken(CUT_EVERYWHERE[turn]), mend, ended).hold(turn, part, PARTS[turn])
    print(f"repair of {_named(CUT_EVERYWHERE[turn])}: {cuts} cuts")
    assert cuts >= LEAST_CUTS[turn]


@pytest.mark.parametrize("more", [(), ("remove_folder",), ("kill",)], ids=["its replica", "and a folder", "both"])
@pytest.mark.parametrize("persistence", Persistence)
def test_a_replica_with_another_shards_data_takes_no_shard(persistence: Persistence, more: tuple[str, ...]) -> None:
    """Its offset is the highest of all; what it has is of another history. Made the primary, it would be copied."""
    _, made = _shape(1)
    places = [node.address for node in made.nodes]
    shard, elsewhere = made.shards[0], made.shards[1]
    primary, replica = (places.index(node.address) for node in shard.nodes)
    misled = places.index(elsewhere.nodes[1].address)
    faults = (Fault("mislead", misled, primary), Fault("kill", replica, then_s=1))
    faults += tuple(Fault(name, primary, then_s=40) for name in more or ("keep_us_out",))
    case = sicken(Sickness(faults, persistence=persistence))
    check_end(case, repair(case))


@pytest.mark.parametrize("is_kept", [True, False], ids=["known before", "never seen before"])
@pytest.mark.parametrize("consents", [False, True], ids=["no word", "word given"])
@pytest.mark.parametrize("persistence", [Persistence.APPEND_ONLY, Persistence.SNAPSHOTS])
@pytest.mark.parametrize("version", VERSIONS, ids=str)
def test_servers_that_elected_the_wrong_replica_before_anybody_looked(
    version: ServerVersion, persistence: Persistence, consents: bool, is_kept: bool, tmp_path: Path
) -> None:
    """The right copies are on disks only, and would copy a primary that has another shard's keys."""
    _, made = _shape(1)
    places = [node.address for node in made.nodes]
    shard, elsewhere = made.shards[0], made.shards[1]
    primary, replica = (places.index(node.address) for node in shard.nodes)
    misled = places.index(elsewhere.nodes[1].address)
    faults = (Fault("kill", replica), Fault("mislead", misled, primary, then_s=1), Fault("kill", primary, then_s=30))
    case = sicken(Sickness(faults, persistence=persistence, version=version))
    leader = case.cluster.nodes[places[misled]]
    assert leader.is_primary and shard.slots == leader.me.slots, "the servers elected another one"
    if not is_kept:
        case.world.store.copies = KeptCopies()
    case.world.store.archives_path = tmp_path
    own = {item for index in (primary, replica) for item in case.cluster.nodes[places[index]].folder.data.items()}
    assert own and not any(key in leader.data for key, _ in own)
    case.before |= own
    case.may_go = set()
    done = repair(case, consents=consents)
    words = {step.word for step in done.refused}
    assert words == (set() if consents else {"replace-copy"}), case.did()
    assert own <= case.cluster.values(), case.did()
