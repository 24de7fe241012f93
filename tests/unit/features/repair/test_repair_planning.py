"""What a repair plans: whose a slot shall be, rule by rule; what starts when; who is promoted, forgotten, followed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from slotwright.cluster.expectation import Expectation
from slotwright.cluster.findings import Severity
from slotwright.cluster.observation import Observation, Role, ServerVersion, SilentNode
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.take_survey import take_survey
from slotwright.cluster.topology import EngineKind
from slotwright.features.repair.model import Promote, RepairStep, StartServer, Way, WriteMap
from slotwright.features.repair.plan import plan_repair
from slotwright.features.repair.plan.processes import copy_of, heir
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.plan.slot_decisions import SlotDecisionInput, decide
from slotwright.features.repair.run.repairer import RepairState
from slotwright.health import diagnose
from slotwright.health.check_context import CheckContext
from slotwright.health.members import shard_owner, with_reset_ids
from slotwright.health.slot_claims import SlotClaims
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.server.nodes_conf import check_map
from tests.fakes.build import at, blueprint, topology
from tests.fakes.sick_cluster import NEVER, TIMEOUT_S, Cluster, Life, Line, Node, sound_cluster
from tests.fakes.sick_views import situation_of

A, B, C, GONE = "a", "b", "c", "gone"
KNOW = SlotDecisionInput({A: 1, B: 2, C: 3}, {A: 10, B: 20, C: 5})
SLOT = 7


def case(
    claimants: str = "", owner: str | None = None, migrating: str = "", importing: str = "", **keys: int
) -> SlotClaims:
    """``migrating`` "ab": a hands it to b; ``importing`` "ba": b takes it from a."""
    return SlotClaims(
        SLOT,
        tuple(claimants),
        owner or (claimants[0] if claimants else None),
        ((migrating[0], migrating[1]),) if migrating else (),
        ((importing[0], importing[1]),) if importing else (),
        tuple(keys.items()),
    )


@pytest.mark.parametrize(
    ("found", "know", "owner"),
    [
        # 1. What the journal says, but not towards a node that is gone, and not when moves are taken back.
        (case("a", migrating="ab", a=2), replace(KNOW, intents={SLOT: B}), B),
        (case("a", migrating="ab", a=2), replace(KNOW, intents={SLOT: GONE}), A),
        (case("a", migrating="ab", a=1, b=1), replace(KNOW, intents={SLOT: B}, takes_back=True), A),
        # 2. A move: goes on once keys have arrived, is taken back before, or where there is no room.
        (case("a", migrating="ab", importing="ba", a=2), KNOW, A),
        (case("a", migrating="ab", importing="ba", a=1, b=1), KNOW, B),
        (case("a", migrating="ab", importing="ba", a=1, b=1), replace(KNOW, full=frozenset(B)), A),
        (case("a", migrating="ab", importing="ba", b=1), replace(KNOW, full=frozenset(B)), B),
        (case("a", migrating="ab", importing="ba", a=1, b=1), replace(KNOW, takes_back=True), A),
        # ... at one end only: the target has it when it has everything.
        (case("a", importing="ba", a=1, b=1), KNOW, A),
        (case("a", importing="ba", b=2), KNOW, B),
        (case("a", migrating="ab", a=2), KNOW, A),
        (case("a", migrating="ab", a=1, b=1), KNOW, B),
        (case("a", b=3), KNOW, A),
        # 3. Two owners: the one it was handed to; the only one with keys; the higher epoch.
        (case("ab", migrating="ab", a=1), KNOW, B),
        (case("ab", migrating="ab", a=1), replace(KNOW, takes_back=True), A),
        (case("ab", a=1), KNOW, A),
        (case("ab", a=1, b=1), KNOW, B),
        (case("ab"), KNOW, B),
        # 4. No owner: who was taking it, who has its keys, whose it is by the file, who has the fewest slots.
        (case(importing="ba", a=5), KNOW, B),
        (case(a=1, b=3), KNOW, B),
        (case(), replace(KNOW, planned={SLOT: B}), B),
        (case(), replace(KNOW, planned={SLOT: GONE}), C),
        (case(), KNOW, C),
        # What a silent node may have keys of is given to nobody, but to who has its keys.
        (case(), replace(KNOW, guarded=frozenset({SLOT})), None),
        (case(a=1), replace(KNOW, guarded=frozenset({SLOT})), A),
        (case(owner=GONE, a=1), KNOW, None),
        (case(), SlotDecisionInput({}), None),
    ],
)
def test_whose_a_slot_shall_be(found: SlotClaims, know: SlotDecisionInput, owner: str | None) -> None:
    assert decide(found, know).owner == owner


# Situations, seen through a simulated cluster: h1:7001 h2:7002, h2:7001 h3:7002, h3:7001 h1:7002.


def look(
    befall: Callable[[Cluster], None],
    persistence: Persistence = Persistence.APPEND_ONLY,
    waited: frozenset[str] = frozenset(),
    failed_starts: tuple[str, ...] = (),
) -> RepairInput:
    wanted = topology()
    made = blueprint(wanted)
    data = {(shard.slots.ranges[0].first + 1, b"key"): f"of {shard.number}" for shard in made.shards}
    cluster = sound_cluster(made, persistence, data, has_shard_ids=True)
    befall(cluster)
    memory = RepairState(waited=set(waited), failed_starts=set(map(at, failed_starts)))
    return situation_of(cluster, memory, Expectation(made))


def node(cluster: Cluster, place: str) -> Node:
    return cluster.nodes[at(place)]


def kill(*places: str, then_s: int = 0) -> Callable[[Cluster], None]:
    def befall(cluster: Cluster) -> None:
        for place in places:
            cluster.kill(node(cluster, place))
        cluster.ticks(then_s)

    return befall


def first(repair_input: RepairInput) -> list[str]:
    """The first stage in words."""
    stages = plan_repair(repair_input).stages
    return [_word(step) for step in stages[0]] if stages else []


def planned(repair_input: RepairInput) -> list[str]:
    return [_word(step) for step in plan_repair(repair_input).steps]


def _word(step: RepairStep) -> str:
    risk = f" {step.risk}" if step.word or step.risk != "none" else ""
    return f"{step.action.kind} {step.where}{risk}" + (f" {step.word}" if step.word else "")


def test_a_sound_cluster_needs_nothing() -> None:
    assert planned(look(lambda _: None)) == []


def test_what_is_down_is_started() -> None:
    assert first(look(kill("h1:7001"))) == ["start h1:7001"]
    assert first(look(kill("h2:7002"))) == ["start h2:7002"]
    assert first(look(kill("h1:7001", "h2:7002"))) == ["start h1:7001", "start h2:7002"]


@pytest.mark.parametrize("persistence", [Persistence.SNAPSHOTS, Persistence.NONE])
def test_a_primary_with_less_than_its_replica_waits_for_it(persistence: Persistence) -> None:
    until = "h2:7002 takes over shard 1"
    assert first(look(kill("h1:7001"), persistence)) == ["wait h1:7001"]
    assert first(look(kill("h1:7001", then_s=15), persistence)) == ["start h1:7001"]
    in_vain = look(kill("h1:7001"), persistence, frozenset({until}))
    assert first(in_vain) == ["promote h2:7002 service"]


def test_without_a_copy_it_starts_with_what_it_has() -> None:
    assert first(look(kill("h1:7001", "h2:7002"), Persistence.SNAPSHOTS)) == ["start h1:7001", "start h2:7002"]


def test_a_frozen_replica_comes_back_before_its_primary_does_with_less() -> None:
    def befall(cluster: Cluster) -> None:
        node(cluster, "h2:7002").life = Life.STOPPED
        cluster.kill(node(cluster, "h1:7001"))

    assert first(look(befall, Persistence.NONE)) == ["thaw h2:7002"]
    assert sorted(first(look(befall))) == ["start h1:7001", "thaw h2:7002"]


def test_a_frozen_node_goes_on_or_ends() -> None:
    def befall(cluster: Cluster) -> None:
        node(cluster, "h1:7001").life = Life.STOPPED

    def taken_over(cluster: Cluster) -> None:
        befall(cluster)
        cluster.ticks(15)

    assert first(look(befall)) == ["thaw h1:7001"]
    assert first(look(taken_over)) == ["end h1:7001", "start h1:7001"]


def damage(place: str, *others: str, then_s: int = 0) -> Callable[[Cluster], None]:
    def befall(cluster: Cluster) -> None:
        kill(place, *others, then_s=then_s)(cluster)
        folder = node(cluster, place).folder
        folder.is_damaged = True
        folder.log = "1:M 1 Jan 2026 00:00:00.000 # Bad file format reading the append only file: make a backup\n"

    return befall


def test_damaged_files_are_moved_aside_where_another_has_the_data() -> None:
    assert first(look(damage("h2:7002"))) == ["aside h2:7002", "start h2:7002"]
    assert first(look(damage("h1:7001"))) == ["wait h1:7001"]
    assert first(look(damage("h1:7001", then_s=15))) == ["aside h1:7001", "start h1:7001"]


def test_damaged_files_of_the_only_copy_are_cut_with_consent() -> None:
    def befall(cluster: Cluster) -> None:
        damage("h1:7001", "h2:7002")(cluster)
        node(cluster, "h2:7002").folder.state = DirectoryState.ABSENT

    steps = first(look(befall, failed_starts=("h1:7001",)))
    assert steps == ["mend-log h1:7001 loss cut-log", "start h1:7001", "map h2:7002", "start h2:7002"]


def test_a_stopped_replica_with_whole_files_starts_before_anything_is_lost() -> None:
    assert first(look(damage("h1:7001", "h2:7002"))) == ["start h2:7002"]


def test_a_start_after_damage_is_another_step_than_the_one_that_failed() -> None:
    before = plan_repair(look(kill("h2:7002"))).steps[0]
    after = plan_repair(look(damage("h2:7002"), failed_starts=("h2:7002",))).steps[1]
    assert before.action == after.action == StartServer(at("h2:7002"))
    assert before.key != after.key


def test_a_start_that_failed_without_a_remedy_is_not_planned_again() -> None:
    assert planned(look(kill("h2:7002"), failed_starts=("h2:7002",))) == []


def test_a_misplaced_replica_that_leads_another_shard_is_no_heir_of_its_own() -> None:
    """h3:7002 follows h3:7001, leads its shard after its death; then h2:7001 dies, whose replica it was by the file."""

    def befall(cluster: Cluster) -> None:
        cluster.follow(node(cluster, "h3:7002"), node(cluster, "h3:7001").id)
        cluster.kill(node(cluster, "h1:7002"))
        cluster.ticks(2)
        kill("h3:7001", then_s=15)(cluster)
        damage("h2:7001")(cluster)

    repair_input = look(befall)
    shard = blueprint(topology()).shards[1]
    assert heir(repair_input, shard, shard.primary) is None
    assert copy_of(repair_input, shard.primary) is None
    assert "mend-log h2:7001 loss cut-log" in first(repair_input)
    assert "aside h2:7001" not in first(repair_input)


def test_who_serves_a_shard_is_who_has_most_of_its_slots() -> None:
    def befall(cluster: Cluster) -> None:
        cluster.follow(node(cluster, "h3:7002"), node(cluster, "h3:7001").id)
        cluster.kill(node(cluster, "h1:7002"))
        cluster.ticks(2)
        kill("h3:7001", then_s=15)(cluster)

    repair_input, made = look(befall), blueprint(topology())
    owners = [shard_owner(repair_input.survey, made, number) for number in (1, 2, 3)]
    assert [owner.place for owner in owners if owner] == ["h1:7001", "h2:7001", "h3:7002"]


def test_a_place_is_given_back_as_the_others_have_it() -> None:
    def befall(cluster: Cluster) -> None:
        kill("h1:7001", then_s=15)(cluster)
        node(cluster, "h1:7001").folder.map = "cut off"

    step = plan_repair(look(befall)).steps[0]
    assert isinstance(step.action, WriteMap)
    assert check_map(step.action.text, blueprint(topology()).nodes[0].id) == ""
    assert "myself,slave" in step.action.text


def lose(*places: str, then_s: int = 0) -> Callable[[Cluster], None]:
    def befall(cluster: Cluster) -> None:
        kill(*places)(cluster)
        for place in places:
            folder = node(cluster, place).folder
            folder.state, folder.map, folder.data = DirectoryState.ABSENT, None, {}
        cluster.ticks(then_s)

    return befall


def test_a_lost_folder_is_made_anew_once_another_has_the_data() -> None:
    assert first(look(lose("h1:7001", then_s=15))) == ["map h1:7001", "start h1:7001"]
    assert first(look(lose("h1:7001"))) == ["wait h1:7001"]
    assert first(look(lose("h1:7001", "h2:7002")))[0] == "map h1:7001 loss lose-shard-1"


def test_a_node_under_another_id_gets_its_own_back() -> None:
    def befall(cluster: Cluster) -> None:
        one = node(cluster, "h1:7001")
        cluster.kill(one)
        one.folder.map = None
        cluster.start(one)

    assert first(look(befall)) == ["end h1:7001", "map h1:7001", "start h1:7001"]
    # From a snapshot it may have less than its replica: that one takes over first.
    assert first(look(befall, Persistence.SNAPSHOTS)) == ["wait h1:7001"]


@pytest.mark.parametrize(("is_valkey", "word"), [(True, " loss lose-strays"), (False, "")])
def test_keys_of_others_slots_are_not_lost_unasked_with_an_id(is_valkey: bool, word: str) -> None:
    """Valkey deletes them at its start in its old place; Redis imports them."""

    def befall(cluster: Cluster) -> None:
        one = node(cluster, "h1:7001")
        cluster.kill(one)
        one.folder.map = None
        cluster.start(one)
        one.data[(5462, b"stray")] = "only here"

    repair_input = look(befall)
    version = ServerVersion(EngineKind.VALKEY, (9, 1, 0)) if is_valkey else ServerVersion(EngineKind.REDIS, (8, 2, 0))
    views = tuple(replace(view, version=version) for view in repair_input.observation.views)
    repair_input = replace(repair_input, observation=replace(repair_input.observation, views=views))
    assert first(repair_input)[0] == f"end h1:7001{word}"


# Promotion.


PATIENCE_S = 2 * TIMEOUT_S + 5


def frozen(*places: str, then_s: int = 1) -> Callable[[Cluster], None]:
    """Dead, and their hosts can't be asked: nothing starts them."""

    def befall(cluster: Cluster) -> None:
        for place in places:
            node(cluster, place).life = Life.AWAY
        # Their replicas don't stand by themselves: what the servers do is not what is tested.
        for one in cluster.running():
            if one.me.primary in {node(cluster, place).id for place in places}:
                one.is_linked, one.unlinked_at = False, NEVER
        cluster.ticks(then_s)

    return befall


def kept_from_us(*places: str) -> Callable[[Cluster], None]:
    """They serve everybody but us, and their hosts can't be asked either."""

    def befall(cluster: Cluster) -> None:
        for place in places:
            node(cluster, place).keeps_us_out = True
        cluster.ticks(PATIENCE_S)

    return befall


def test_with_a_majority_the_servers_do_it_first() -> None:
    assert first(look(frozen("h1:7001"))) == ["wait h1:7001"]
    waited = look(frozen("h1:7001", then_s=PATIENCE_S), waited=frozenset({"h2:7002 takes over shard 1"}))
    step = plan_repair(waited).steps[0]
    assert isinstance(step.action, Promote)
    assert (step.action.way, step.action.address) == (Way.FORCE, at("h2:7002"))


def unread(repair_input: RepairInput, *places: str) -> RepairInput:
    """The same, but that what is said at these places can't be read."""
    silent = tuple(SilentNode(at(place), "answers-unreadable", "INFO says no role") for place in places)
    views = tuple(view for view in repair_input.observation.views if str(view.address) not in places)
    observation = Observation(views, silent)
    survey = take_survey(repair_input.survey.name, observation, repair_input.blueprint)
    findings = diagnose(CheckContext(survey, observation, repair_input.expected, repair_input.exams))
    return replace(repair_input, survey=survey, observation=observation, findings=findings)


@pytest.mark.parametrize(
    "places", [("h1:7001",), ("h1:7001", "h2:7001"), ("h1:7001", "h2:7001", "h3:7001"), ("h2:7002",)]
)
def test_who_can_not_be_read_is_neither_replaced_nor_forgotten(places: tuple[str, ...]) -> None:
    waits = frozenset(f"h{number}:7002 takes over shard {shard}" for number, shard in ((2, 1), (3, 2), (1, 3)))
    repair_input = unread(look(lambda cluster: None, waited=waits), *places)
    assert planned(repair_input) == []
    assert {found.code for found in plan_repair(repair_input).unrepaired} == {"answers-unreadable"}


def test_nobody_is_forced_over_a_primary_that_only_we_cannot_reach() -> None:
    plan = plan_repair(look(kept_from_us("h1:7001"), waited=frozenset({"h2:7002 takes over shard 1"})))
    assert not plan.steps
    assert [refusal.what for refusal in plan.refusals] == ["make h2:7002 the primary of shard 1 in place of h1:7001"]


def test_a_primary_that_is_nowhere_is_replaced_by_a_vote() -> None:
    """After CLUSTER RESET HARD its id has no address, and Redis never holds it failed."""

    def befall(cluster: Cluster) -> None:
        one = node(cluster, "h1:7001")
        for other in cluster.running():
            if other is not one:
                other.table[one.id].address = None
        one.life = Life.AWAY
        cluster.dialect = replace(cluster.dialect, fails_lost=False)
        cluster.ticks(15)

    waited = frozenset({"h2:7002 takes over shard 1"})
    places = [f"h{host}:{port}" for host in (1, 2, 3) for port in (7001, 7002)]
    repair_input = without_file(look(befall, waited=waited), *places)
    assert "promote h2:7002 service" in planned(repair_input)
    assert not plan_repair(repair_input).refusals


def test_a_node_that_was_reset_is_a_member_under_the_id_that_it_has_now() -> None:
    repair_input = look(lambda _: None)
    views = {str(view.address): view for view in repair_input.observation.views}
    mine = views["h1:7001"].myself
    assert mine is not None
    alone = replace(mine, id=GONE, slots=SlotSet())
    reset = replace(views["h1:7001"], id=GONE, peers=(alone,))
    made = blueprint(topology())
    changed = with_reset_ids(made, Observation((reset, *list(views.values())[1:])))
    assert (changed.node_at(at("h1:7001")).id, changed.node_at(at("h2:7001"))) == (GONE, made.node_at(at("h2:7001")))
    other = replace(reset, peers=(alone, replace(mine, id="f" * 40, flags=frozenset({"master"}))))
    assert with_reset_ids(made, Observation((other,))) == made, "it belongs to another cluster"
    owner = replace(reset, peers=(replace(alone, slots=mine.slots),))
    assert with_reset_ids(made, Observation((owner,))) == made


def test_without_a_word_of_the_others_silence_is_no_death() -> None:
    """Its host can't be asked, and nobody holds it failed yet."""
    plan = plan_repair(look(frozen("h1:7001"), waited=frozenset({"h2:7002 takes over shard 1"})))
    assert not plan.steps
    assert len(plan.refusals) == 1


def test_no_takeover_from_primaries_that_others_reach() -> None:
    assert not planned(look(kept_from_us("h1:7001", "h2:7001")))


def test_without_a_majority_it_is_asked_where_the_primary_may_live() -> None:
    assert planned(look(frozen("h1:7001", "h2:7001"))) == [
        "promote h2:7002 loss takeover",
        "promote h3:7002 loss takeover",
    ]


def test_without_a_majority_a_proven_death_is_enough() -> None:
    repair_input = look(kill("h1:7001", "h2:7001"), Persistence.NONE)
    assert first(repair_input) == ["promote h2:7002 service", "promote h3:7002 service"]


@pytest.mark.parametrize("state", [DirectoryState.UNSAFE, DirectoryState.NEWER])
def test_a_folder_that_hides_its_process_proves_no_death_and_starts_nothing(state: DirectoryState) -> None:
    repair_input = look(kill("h1:7001", "h2:7001"), Persistence.NONE)
    exams = tuple(
        replace(host, nodes=tuple(replace(node, directory=state) for node in host.nodes)) for host in repair_input.exams
    )
    assert planned(replace(repair_input, exams=exams)) == [
        "promote h2:7002 loss takeover",
        "promote h3:7002 loss takeover",
    ]


def test_nobody_stands_for_election_while_voters_are_looked_for_in_the_wrong_place() -> None:
    def befall(cluster: Cluster) -> None:
        frozen("h1:7001")(cluster)
        for one in cluster.running():
            for line in one.table.values():
                if (line.id == node(cluster, "h2:7001").id) != (one.place == at("h2:7001")):
                    line.address = at("h9:1")
        cluster.ticks(1)

    waited = frozenset({"h2:7002 takes over shard 1"})
    assert not [word for word in planned(look(befall, waited=waited)) if word.startswith("promote")]


# Members.


def apart(cluster: Cluster) -> None:
    """h2:7001 and the rest don't find each other."""
    one = node(cluster, "h2:7001")
    for other in cluster.running():
        for line in other.table.values():
            if (line.id == one.id) != (other is one):
                line.address = at("h9:1")
    cluster.ticks(1)


def test_members_are_told_where_the_others_are() -> None:
    assert set(first(look(apart))) == {
        f"meet {place}" for place in ("h1:7001", "h1:7002", "h2:7001", "h2:7002", "h3:7001", "h3:7002")
    }


def test_two_owners_of_a_slot_meet_only_with_consent_where_nothing_can_be_settled() -> None:
    def befall(cluster: Cluster) -> None:
        apart(cluster)
        one = node(cluster, "h2:7001")
        slot = SlotSet((SlotRange(1, 1),))
        line = one.table[node(cluster, "h1:7001").id]
        line.slots, one.me.slots = line.slots - slot, one.me.slots | slot
        one.data[(1, b"other")] = "only here"

    steps = planned(look(befall))
    assert "meet h2:7001 loss meet" in steps
    assert "meet h2:7001" not in steps


def test_ghosts_are_forgotten_and_strangers_asked_about() -> None:
    def ghost(cluster: Cluster) -> None:
        for one in cluster.running():
            one.table["9" * 40] = Line("9" * 40, None, Role.PRIMARY, None, 0, SlotSet())

    assert planned(look(ghost)) == ["forget 99999999"]

    def stranger(cluster: Cluster) -> None:
        for one in cluster.running():
            one.table["9" * 40] = Line("9" * 40, at("h8:1"), Role.PRIMARY, None, 0, SlotSet())

    assert planned(look(stranger)) == ["forget h8:1 loss forget"]


@pytest.mark.parametrize("is_alive", [True, False])
@pytest.mark.parametrize("kind", list(EngineKind))
def test_of_a_stranger_that_lives_on_it_is_said_that_it_comes_back(kind: EngineKind, is_alive: bool) -> None:
    def stranger(cluster: Cluster) -> None:
        for one in cluster.running():
            one.table["9" * 40] = Line("9" * 40, at("h8:1"), Role.PRIMARY, None, 0, SlotSet())

    seen = look(stranger)
    views = tuple(
        replace(
            view,
            version=replace(view.version, kind=kind),
            peers=tuple(replace(peer, is_connected=is_alive or peer.id[0] != "9") for peer in view.peers),
        )
        for view in seen.observation.views
    )
    (step,) = plan_repair(replace(seen, observation=Observation(views))).steps
    assert ("SHUTDOWN at h8:1" in step.loss) == (is_alive and kind is EngineKind.VALKEY)


def test_a_misplaced_replica_goes_home() -> None:
    def befall(cluster: Cluster) -> None:
        cluster.follow(node(cluster, "h2:7002"), node(cluster, "h3:7001").id)
        cluster.ticks(2)

    assert planned(look(befall)) == ["follow h2:7002"]


def test_a_replica_that_is_the_only_copy_where_it_serves_stays_there() -> None:
    """As after the servers' own migration of replicas: taken away, it would be moved back by them."""

    def befall(cluster: Cluster) -> None:
        cluster.kill(node(cluster, "h1:7002"))
        node(cluster, "h1:7002").life = Life.AWAY
        cluster.follow(node(cluster, "h2:7002"), node(cluster, "h3:7001").id)
        cluster.ticks(2)

    repair_input = look(befall)
    assert not [word for word in planned(repair_input) if word.startswith("follow")]
    (finding,) = [finding for finding in repair_input.findings if finding.code == "replica-misplaced"]
    assert finding.severity is Severity.NOTE
    assert [finding.where for finding in repair_input.findings if finding.code == "shard-without-replica"] == [
        "h1:7001"
    ]


def test_a_surplus_replica_goes_where_a_failover_left_a_shard_without_one() -> None:
    """h3:7002, of shard 2 by the file, leads shard 3 now: h3:7001 stands beside it, and h2:7001 is bare."""

    def befall(cluster: Cluster) -> None:
        cluster.follow(node(cluster, "h3:7002"), node(cluster, "h3:7001").id)
        cluster.kill(node(cluster, "h1:7002"))
        cluster.ticks(2)
        kill("h3:7001", then_s=15)(cluster)
        for place in ("h3:7001", "h1:7002"):
            cluster.start(node(cluster, place))
        cluster.ticks(15)

    assert planned(look(befall)) == ["follow h3:7001"]


# Slots.


def settled(repair_input: RepairInput) -> list[SettleSlots]:
    return [step.action for step in plan_repair(repair_input).steps if isinstance(step.action, SettleSlots)]


def test_stray_keys_leave_before_the_last_slot_does() -> None:
    """h1:7001 came back as the owner of what h2:7002 leads by now, and holds a key of another shard as well."""

    def befall(cluster: Cluster) -> None:
        one = node(cluster, "h1:7001")
        one.life = Life.STOPPED
        cluster.ticks(15)
        one.life = Life.RUNNING
        one.data[(5462, b"stray")] = "only here"
        for each in cluster.running():
            each.heard = dict.fromkeys(each.table, cluster.now)
            for line in each.table.values():
                line.failed_at = None

    (action,) = settled(look(befall))
    assert (action.owner, action.slots.texts()) == (at("h2:7001"), ("5462",))


def test_slots_of_a_member_that_leads_no_shard_are_joined_with_the_others() -> None:
    def befall(cluster: Cluster) -> None:
        kill("h1:7001", then_s=15)(cluster)
        cluster.start(node(cluster, "h1:7001"))
        cluster.ticks(10)
        slot = SlotSet((SlotRange(9, 9),))
        one = node(cluster, "h1:7001")
        for other in cluster.running():
            for line in other.table.values():
                line.slots = line.slots | slot if line.id == one.id else line.slots - slot
            other.table[one.id].role, other.table[one.id].primary = Role.PRIMARY, None
            other.table[one.id].epoch = 20
        one.data = {}

    (action,) = settled(look(befall))
    assert (action.owner, action.holders, action.slots.texts()) == (at("h2:7002"), (at("h1:7001"),), ("9",))


def test_slots_that_a_node_without_its_id_took_wait_for_its_id() -> None:
    def befall(cluster: Cluster) -> None:
        one = node(cluster, "h1:7001")
        kill("h1:7001", then_s=15)(cluster)
        one.folder.map = None
        cluster.start(one)
        assert one.me.slots

    assert settled(look(befall)) == []


def without_file(repair_input: RepairInput, *places: str) -> RepairInput:
    """Of a cluster that no file describes, where only ``places`` answer."""
    views = tuple(view for view in repair_input.observation.views if str(view.address) in places)
    observation = replace(repair_input.observation, views=views)
    survey = take_survey("demo", observation, None)
    return replace(
        repair_input,
        survey=survey,
        observation=observation,
        expected=None,
        findings=diagnose(CheckContext(survey, observation)),
    )


def _not_joined(cluster: Cluster, *known: str) -> None:
    """Each node has its slots, and only ``known`` have met."""
    ids = {node(cluster, place).id for place in known}
    for one in cluster.running():
        one.table = {line.id: line for line in one.table.values() if line.id == one.id or {one.id, line.id} <= ids}
        one.heard = {node_id: at_s for node_id, at_s in one.heard.items() if node_id in one.table}


@pytest.mark.parametrize("known", [("h1:7001",), ("h1:7001", "h2:7001")])
def test_who_was_never_joined_gets_no_slots_unasked(known: tuple[str, ...]) -> None:
    repair_input = without_file(look(lambda cluster: _not_joined(cluster, *known)), *known)
    plan = plan_repair(repair_input)
    assert [_word(step) for step in plan.steps if isinstance(step.action, SettleSlots)] == [
        "settle h1:7001 loss lose-slots"
    ]
    assert "CLUSTER MEET" in plan.steps[-1].loss
    (finding,) = [finding for finding in repair_input.findings if finding.code == "slots-uncovered"]
    assert "never happened" in finding.what
    assert "CLUSTER MEET" in finding.remedy


def test_a_whole_cluster_without_a_file_gets_a_slot_of_nobody_an_owner() -> None:
    def befall(cluster: Cluster) -> None:
        slot = SlotSet((SlotRange(9, 9),))
        for one in cluster.running():
            for line in one.table.values():
                line.slots = line.slots - slot

    everybody = [f"h{host}:{port}" for host in (1, 2, 3) for port in (7001, 7002)]
    (step,) = plan_repair(without_file(look(befall), *everybody)).steps
    assert step.word == ""


def test_slots_from_other_nodes_are_another_step() -> None:
    action = SettleSlots(at("h1:1"), A, SlotSet((SlotRange(1, 1),)), (at("h2:1"),))
    step = RepairStep(action, "open-slot", "h1:1", "settle")
    assert step.key == replace(step, what="settle, with another count of keys").key
    assert step.key != replace(step, action=replace(action, holders=())).key


def test_who_is_not_believed_gets_an_epoch() -> None:
    """h2:7001 has slot 1, and some still have it at h1:7001, whose epoch is higher."""

    def befall(cluster: Cluster) -> None:
        one, other = node(cluster, "h1:7001"), node(cluster, "h2:7001")
        slot = SlotSet((SlotRange(0, 0),))
        for each in cluster.running():
            each.table[one.id].epoch = 20
            if each.is_primary:
                each.table[one.id].slots = each.table[one.id].slots - slot
                each.table[other.id].slots = each.table[other.id].slots | slot

    assert first(look(befall)) == ["epoch h2:7001"]
