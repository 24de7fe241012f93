"""May this node start, follow, lead now: histories first, counts only to decide whether to ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotwright.cluster.kept_copies import KeptCopies, KeptCopy
from slotwright.cluster.observation import Link, NodeView, Observation, Replication, Role
from slotwright.health.permission import Answer, Copies, Follow, Lead, Start, may
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.hosts.scripts.systemd_unit import Persistence
from tests.fakes.build import at, blueprint, topology
from tests.fakes.pictures import observation

MADE = blueprint(topology())
SHARD = MADE.shards[0]
P, R = SHARD.primary, SHARD.replicas[0]
ONE, OTHER, NEW = "a" * 40, "b" * 40, "c" * 40
YES, ASK, NO = Answer.YES, Answer.ASK, Answer.NO


def led_by(history: str, *, former: str = "", until: int = -1, offset: int = 500, keys: int = 100) -> Observation:
    """The primary is away, its replica leads."""
    given = {"silent": {str(P.address): "refused"}, "failed_over": {str(P.address): str(R.address)}}
    seen = observation(given, MADE)
    own = Replication(Role.PRIMARY, offset, None, history=history, former_history=former, former_until=until)
    views = tuple(_with(view, own, keys) if view.id == R.id else view for view in seen.views)
    return Observation(views, seen.silent)


def _with(view: NodeView, own: Replication, keys: int) -> NodeView:
    return replace(view, replication=own, health=replace(view.health, keys=keys))


def kept(history: str = ONE, offset: int = 400, keys: int = 100, shard: int = 1, *others: KeptCopy) -> KeptCopies:
    return KeptCopies((KeptCopy(P.id, shard, history, offset, keys), *others))


ELSEWHERE = KeptCopy(MADE.shards[2].primary.id, 3, OTHER, 400, 100)


@pytest.mark.parametrize(
    ("seen", "known", "answer"),
    [
        (led_by(NEW, former=ONE, until=401), kept(), YES),
        (led_by(NEW, former=ONE, until=401, keys=0), kept(), YES),  # FLUSHALL, expiry: the later copy is right
        (led_by(NEW, former=ONE, until=400, keys=0), kept(), ASK),  # it took over from an earlier point
        (led_by(ONE, keys=0), kept(), YES),
        (led_by(ONE, offset=399, keys=0), kept(), ASK),
        (led_by(NEW), kept(), YES),  # nobody knows; it has as much
        (led_by(NEW, keys=49), kept(), ASK),
        (led_by(NEW, keys=0), kept(keys=0), YES),
        (led_by(NEW, keys=0), KeptCopies(), YES),
        (led_by(NEW, former=OTHER, until=900), kept(ONE, 400, 100, 1, ELSEWHERE), ASK),
        (led_by(NEW, former=OTHER, until=900), kept(ONE, 400, 100, 3, ELSEWHERE), YES),
    ],
)
@pytest.mark.parametrize("persistence", Persistence)
def test_what_comes_back_behind_another_primary(
    seen: Observation, known: KeptCopies, answer: Answer, persistence: Persistence
) -> None:
    found = may(Start(P.address), Copies(seen, MADE, persistence, kept=known))
    expected = YES if persistence is Persistence.NONE else answer
    assert (found.answer, found.other) == (expected, R.address if expected is ASK else None), found


def test_a_leader_with_nothing_but_others_keys() -> None:
    copies = Copies(led_by(NEW), MADE, own_keys={R.id: 0}, stray_keys={R.id: 100})
    found = may(Start(P.address), copies)
    assert found.answer is ASK
    assert found.why == f"{R.address} has no key of its own slots, and 100 of others'"
    assert may(Start(P.address), replace(copies, own_keys={R.id: 1})).answer is YES


def test_a_node_that_was_never_seen_behind_a_leader_without_keys() -> None:
    """Where no primary has any, there was nothing."""
    seen = led_by(NEW, keys=0)
    views = tuple(
        replace(view, health=replace(view.health, keys=7)) if view.id != R.id else view for view in seen.views
    )
    copies = Copies(Observation(views, seen.silent), MADE)
    assert may(Start(P.address), copies).answer is ASK
    assert may(Start(P.address), replace(copies, own_keys={R.id: 1})).answer is YES


@pytest.mark.parametrize(
    ("disk", "persistence", "answer"),
    [
        (NodeDisk(AppendLog.WHOLE, 100.0), Persistence.APPEND_ONLY, YES),
        (NodeDisk(AppendLog.ABSENT), Persistence.APPEND_ONLY, NO),
        (None, Persistence.SNAPSHOTS, NO),
        (None, Persistence.NONE, NO),
    ],
)
def test_a_primary_that_its_replica_would_follow(
    disk: NodeDisk | None, persistence: Persistence, answer: Answer
) -> None:
    seen = observation({"silent": {str(P.address): "refused"}, "says": {"*": {"keys": 5}}}, MADE)
    disks = {P.address: disk} if disk else {}
    found = may(Start(P.address), Copies(seen, MADE, persistence, disks, {P.address}))
    assert (found.answer, found.other) == (answer, R.address if answer is NO else None)


def test_a_replica_that_follows_another_primary() -> None:
    seen, leader = observation({}, MADE), MADE.shards[1].primary.id
    assert may(Follow(R.id, leader), Copies(seen, MADE)).answer is YES  # an empty one has nothing to lose
    views = [_with(view, replace(view.replication, history=view.id, link=Link.DOWN), 100) for view in seen.views]
    copies = Copies(Observation(tuple(views)), MADE, own_keys={leader: 100})
    assert may(Follow(R.id, leader), copies).answer is YES
    assert may(Follow(R.id, leader), replace(copies, own_keys={leader: 10})).answer is ASK
    found = may(Follow(R.id, leader), replace(copies, unserved={P.id}))
    assert found.answer is NO
    assert found.why == "it has keys of slots whose owner does not answer"
    # What its own primary has as a whole, nobody loses.
    in_sync = tuple(_with(view, view.replication, 100) for view in seen.views)
    assert may(Follow(R.id, leader), Copies(Observation(in_sync), MADE, own_keys={leader: 10})).answer is YES
    down = {view.id: replace(view.replication, history=ONE, link=Link.DOWN) for view in seen.views}
    both = [_with(view, down[view.id], 100) for view in seen.views if view.id in (P.id, R.id)]
    rest = [view for view in views if view.id not in (P.id, R.id)]
    copies = Copies(Observation((*both, *rest)), MADE, own_keys={leader: 10}, unserved={P.id})
    assert may(Follow(R.id, leader), copies).answer is YES


def test_which_replica_may_lead() -> None:
    two = topology(3, 3, 2)
    made = blueprint(two)
    shard = made.shards[0]
    seen = observation({"silent": {str(shard.primary.address): "refused"}}, made)
    first, second = (node.id for node in shard.replicas)

    def asked(**told: tuple[str, int]) -> list[Answer]:
        by_id = {first: told["first"], second: told["second"]}
        views = tuple(
            _with(view, Replication(Role.REPLICA, by_id[view.id][1], Link.DOWN, history=by_id[view.id][0]), 7)
            if view.id in by_id
            else view
            for view in seen.views
        )
        copies = Copies(Observation(views, seen.silent), made)
        return [may(Lead(node, shard.primary.id), copies).answer for node in (first, second)]

    assert asked(first=(ONE, 10), second=(ONE, 10)) == [YES, YES]
    assert asked(first=(ONE, 10), second=(ONE, 11)) == [NO, YES]
    assert asked(first=(ONE, 10), second=(OTHER, 11)) == [ASK, ASK]


def test_an_address_that_is_no_member() -> None:
    assert may(Start(at("h9:7009")), Copies(observation({}, MADE), MADE)).answer is YES
