"""Repair by law: whatever befalls a cluster, it ends, loses nothing without consent, and mends what can be mended.

The real repairer and planner work on a simulated cluster (``tests/fakes/sick_*.py``), and are cut before any effect.
What the servers themselves drop when nobody repairs anything is known from a twin of the cluster that is left alone.

More examples: ``SLOTWRIGHT_SIM_EXAMPLES=2000``. Failures print what reproduces them.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slotwright.model.blueprint import Blueprint
from slotwright.model.expectation import Expectation
from slotwright.model.findings import Severity
from slotwright.model.repair import RepairPlan, RepairStep
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Topology
from slotwright.operations.repair import Course, Memory, Repairer
from slotwright.planning.situation import Situation
from slotwright.wire.systemd_unit import Persistence
from tests.fakes.build import blueprint, topology
from tests.fakes.doubles import Listener, MemoryJournal
from tests.fakes.sick_cluster import ALL, Cluster, Data, Key, Life, holders, sound_cluster
from tests.fakes.sick_faults import FAULTS, Fault
from tests.fakes.sick_mender import CutError, SickClock, SickMender
from tests.fakes.sick_views import situation_of

EXAMPLES = int(os.environ.get("SLOTWRIGHT_SIM_EXAMPLES", "25"))
MOST_TICKS = 2500
KEYS = 2


@dataclass(frozen=True, slots=True)
class Sickness:
    """A cluster with what befalls it."""

    faults: tuple[Fault, ...]
    replicas: int = 1
    persistence: Persistence = Persistence.APPEND_ONLY
    has_shard_ids: bool = True


@dataclass(slots=True)
class Case:
    """A cluster under repair. ``may_go`` are values that the servers drop by themselves; None: not known yet."""

    sickness: Sickness
    cluster: Cluster
    wanted: Topology
    before: set[tuple[Key, str]]
    may_go: set[tuple[Key, str]] | None = None
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    mender: SickMender | None = None

    @property
    def expected(self) -> Expectation:
        return Expectation(self.cluster.blueprint, self.wanted.hosts, (), self.wanted.allow_colocated_replicas)

    def watch(self) -> None:
        """Nothing that was there is nowhere now."""
        assert self.cluster.now < MOST_TICKS, "it does not end"
        gone = self.before - self.cluster.values()
        if gone and self.may_go is None:
            self.may_go = what_goes_by_itself(self.sickness)
        gone -= self.may_go or set()
        assert not gone, f"lost: {sorted(gone)} after {self.did()}"

    def did(self) -> str:
        return "\n".join(map(repr, self.mender.did)) if self.mender else ""

    def look(self, memory: Memory | None = None, *, is_full: bool = True) -> Situation:
        return situation_of(self.cluster, memory or Memory(), self.expected, self.journal.entries, is_full=is_full)


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
    for fault in sickness.faults:
        fault.strike(cluster, slots)
    return Case(sickness, cluster, wanted, cluster.counting_values())


def what_goes_by_itself(sickness: Sickness) -> set[tuple[Key, str]]:
    """What a twin of the cluster loses that nobody repairs."""
    twin = sicken(sickness)
    twin.cluster.ticks(60)
    return twin.before - twin.cluster.values()


async def _run(case: Case, *, consents: bool, cut_at: int | None) -> tuple[Course, RepairPlan]:
    """As ``api/repairing.py`` does: mend, wait for what heals by itself, mend what shows meanwhile."""
    mender = SickMender(case.cluster, case.watch, cut_at)
    case.mender = mender
    clock = SickClock(case.cluster, case.watch)

    async def gather(memory: Memory, is_full: bool) -> Situation:
        return case.look(memory, is_full=is_full)

    async def consent(step: RepairStep) -> bool:
        if consents:
            case.cluster.kept |= case.cluster.values()
        return consents

    repairer = Repairer(gather, mender, consent, case.journal, clock, Listener())  # type: ignore[arg-type]
    last = await repairer.run()
    for _ in range(30):
        if not troubles(case) or repairer.course.refused or repairer.course.failed:
            break
        await clock.sleep(1)
        last = await repairer.run()
    return repairer.course, last


def repair(case: Case, *, consents: bool = False, cut_at: int | None = None) -> tuple[Course, RepairPlan]:
    return asyncio.run(_run(case, consents=consents, cut_at=cut_at))


def troubles(case: Case) -> list[str]:
    """Findings that are no notes; a replica that a failover left beside its primary is told, and not moved."""
    found = [one for one in case.look().findings if one.severity is not Severity.NOTE]
    found = [one for one in found if one.code != "replica-beside-primary"]
    return [f"{one.code} {one.where}: {one.what} ({one.seen})" for one in found]


def check_end(case: Case, course: Course, plan: RepairPlan) -> None:
    cluster = case.cluster
    told = "\n".join(
        [
            f"did:\n{case.did()}",
            f"refused: {[step.what for step in course.refused]}",
            f"failed: {[(each.step.what, each.error.what, each.error.seen) for each in course.failed]}",
            f"plan: {[step.what for step in plan.steps]}",
            *troubles(case),
        ]
    )
    _slots_have_their_data(case, course, told)
    if not course.refused and not any(node.life is Life.AWAY for node in cluster.nodes.values()):
        assert not course.failed, told
        assert not troubles(case), told
        _is_sound(case, told)


def _slots_have_their_data(case: Case, course: Course, told: str) -> None:
    """Where a live primary has a key, so has the slot's owner; nobody's view of a slot differs from its owner's."""
    if course.refused or course.failed:
        return
    is_away = any(node.life is Life.AWAY for node in case.cluster.nodes.values())
    for key, _ in case.before:
        having = list(holders(case.cluster, key))
        owners = [node for node in case.cluster.running() if node.is_primary and key[0] in node.me.slots]
        if having and not (is_away and not owners):
            assert owners == having, (
                f"{key} at {[n.place for n in having]}, owned by {[n.place for n in owners]}\n{told}"
            )


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
    check_end(case, *repair(case))


@LAW
@given(SICKNESS, st.integers(0, 25))
def test_it_converges_from_every_cut(sickness: Sickness, cut_at: int) -> None:
    case = sicken(sickness)
    try:
        repair(case, cut_at=cut_at)
    except CutError:
        case.cluster.ticks(cut_at % 7)
    check_end(case, *repair(case))


@LAW
@given(SICKNESS)
def test_with_consent_everything_is_mended(sickness: Sickness) -> None:
    case = sicken(sickness)
    course, plan = repair(case, consents=True)
    check_end(case, course, plan)


CUT_EVERYWHERE = (
    Sickness((Fault("open_slot", 2, 0, 1, 1),)),
    Sickness((Fault("stray", 0, 0, 1, 2), Fault("kill", 4)), persistence=Persistence.SNAPSHOTS),
    Sickness((Fault("change_id", 1), Fault("add_ghost")), has_shard_ids=False),
    Sickness((Fault("damage_data", 0), Fault("drop_password", 4))),
)


@pytest.mark.parametrize("sickness", CUT_EVERYWHERE, ids=lambda each: "-".join(fault.name for fault in each.faults))
def test_cut_at_every_effect(sickness: Sickness) -> None:
    for cut_at in range(100):
        case = sicken(sickness)
        try:
            repair(case, cut_at=cut_at)
        except CutError:
            check_end(case, *repair(case))
        else:
            assert cut_at > 1
            check_end(case, *repair(case))
            return
    raise AssertionError("it is never done")
