"""What a plan makes of a source, a target and a sample: one row for each thing that may stand in the way."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.slots import SLOT_COUNT, SlotSet, split_evenly
from slotwright.cluster.topology import Address, EngineKind, Mode
from slotwright.features.migrate.model.command_sample import (
    CommandSample,
    Crosser,
    Crossing,
    OddCommand,
    TagAdvice,
    UndeclaredKeys,
)
from slotwright.features.migrate.model.plan import MigrationOptions, MigrationPlan
from slotwright.features.migrate.model.surveys import (
    Feeding,
    Right,
    Rights,
    Saving,
    ServerMemory,
    SourceSurvey,
    TargetPrimary,
    TargetSurvey,
    Traffic,
)
from slotwright.features.migrate.output.plan import migration_plan_output
from slotwright.features.migrate.plan import plan_migration
from slotwright.features.migrate.plan.big_keys import blocking_of
from slotwright.features.migrate.plan.source import NEEDED, WANTED
from slotwright.features.migrate.views_plan import bar, show_migration_plan, spoken_s
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.keys.model.sample import BigKey, DatabaseSize, KeySample, KindOfKeys
from slotwright.server.capabilities import capabilities_of
from tests.fakes.commands import recorded

MB = 2**20
GB = 2**30
REDIS_62 = ServerVersion(EngineKind.REDIS, (6, 2, 5))
REDIS_70 = ServerVersion(EngineKind.REDIS, (7, 0, 15))
REDIS_82 = ServerVersion(EngineKind.REDIS, (8, 2, 3))
VALKEY_91 = ServerVersion(EngineKind.VALKEY, (9, 1, 2))
EVEN = tuple(1000 for _ in range(SLOT_COUNT))
CALLED = ("get", "mget", "rename", "xread", "eval")
SOURCE = SourceSurvey(
    address=Address("10.0.0.9", 6379),
    version=REDIS_70,
    databases=(DatabaseSize(0, 10_000, 100, 5000),),
    keys=KeySample(10_000, 10_000, True, (KindOfKeys("string", 10_000, 16 * MB),), (), EVEN),
    memory=ServerMemory(20 * MB, 16 * MB, 25 * MB, 0, "noeviction", 0, 16 * GB),
    saving=Saving(last_fork_us=300),
    feeding=Feeding(MB, 256 * MB, 64 * MB, 60, False, 5, 0, 0, 10_000, 12),
    traffic=Traffic(1000, 100, 50_000, 5000, 0.2),
    commands=recorded("redis-8.2"),
    rights=Rights("default", tuple((name, Right.ALLOWED) for name in (*NEEDED, *WANTED)), True),
)
TARGET = TargetSurvey(
    "cache",
    primaries=tuple(
        TargetPrimary(
            Address("10.0.0.1", 7001 + n),
            capabilities_of(VALKEY_91),
            slots,
            2 * MB,
            100 * MB,
            "noeviction",
            0,
            1,
            16 * GB,
        )
        for n, slots in enumerate(split_evenly(3))
    ),
    served=SlotSet.parse(["0-16383"]),
)


def planned(
    source: SourceSurvey = SOURCE,
    target: TargetSurvey = TARGET,
    options: MigrationOptions | None = None,
    sample: CommandSample | None = None,
) -> MigrationPlan:
    return plan_migration(source, target, options or MigrationOptions(), sample)


def told(plan: MigrationPlan) -> dict[str, Severity]:
    """But what every plan says."""
    assert all(found.what and found.remedy for found in plan.findings)
    return {found.code: found.severity for found in plan.findings if found.code != "clients-change"}


def finding(plan: MigrationPlan, code: str) -> Finding:
    (found,) = [found for found in plan.findings if found.code == code]
    return found


def test_a_sound_source_and_an_empty_cluster_have_nothing_in_their_way() -> None:
    plan = planned()
    assert told(plan) == {}
    assert not plan.is_refused
    assert [step.kind for step in plan.steps] == ["attach", "copy", "follow", "compare", "cutover", "clients"]


def source(**changes: Any) -> SourceSurvey:
    return replace(SOURCE, **changes)


def denied(*names: str, right: Right = Right.DENIED) -> Rights:
    rights = tuple((name, right if name in names else found) for name, found in SOURCE.rights.rights)
    return Rights("app", rights, True, "NOPERM this user has no permissions to run the 'psync' command")


SOURCES = {
    "a cluster": (source(mode=Mode.CLUSTER), "source-in-cluster", "warning"),
    "an old version": (source(version=ServerVersion(EngineKind.REDIS, (5, 0))), "source-version-untested", "warning"),
    "a replica": (source(role=Role.REPLICA, primary=Address("h", 1)), "source-is-replica", "warning"),
    "a cut replica": (source(role=Role.REPLICA, link_is_up=False), "source-is-replica", "serious"),
    "no snapshots": (source(saving=Saving(last_save_ok=False)), "persistence-failing", "serious"),
    "notifications": (source(notifications="KEA"), "keyspace-notifications", "warning"),
    "databases": (source(databases=(DatabaseSize(0, 1), DatabaseSize(3, 5))), "databases-in-use", "serious"),
    "no PSYNC": (source(rights=denied("psync")), "right-missing", "serious"),
    "no sizes": (source(rights=denied("memory|usage")), "right-missing", "warning"),
    "no CONFIG": (source(rights=denied("config|get")), "cutover-refused", "warning"),
    "renamed": (source(rights=denied("psync", right=Right.ABSENT)), "command-renamed", "serious"),
    "untold": (source(rights=denied("psync", right=Right.UNKNOWN)), "right-untold", "note"),
    "some keys": (source(rights=replace(SOURCE.rights, all_keys=False)), "keys-forbidden", "serious"),
    "evicting": (source(memory=ServerMemory(99, 1, 1, 100, "allkeys-lru", 7, 16 * GB)), "source-evicting", "warning"),
    "has evicted": (source(memory=ServerMemory(9, 1, 1, 100, "allkeys-lru", 7, 16 * GB)), "source-evicting", "note"),
    "no room to fork": (
        source(memory=ServerMemory(12 * GB, 16 * MB, 12 * GB, 0, "", 0, 16 * GB)),
        "source-memory-short",
        "warning",
    ),
    "a small buffer": (
        source(
            databases=(DatabaseSize(0, 60_000_000),),
            traffic=Traffic(1000, 900, 0, 400_000),
            feeding=replace(SOURCE.feeding, backlog_bytes=GB),
        ),
        "replica-limit",
        "serious",
    ),
    "a small backlog": (source(traffic=Traffic(1000, 900, 0, 30_000)), "backlog-small", "warning"),
    "no backlog yet, many writes": (
        source(traffic=Traffic(1000, 900, 50_000, None)),
        "backlog-small",
        "warning",
    ),
    "full of clients": (
        source(feeding=replace(SOURCE.feeding, maxclients=14)),
        "maxclients-reached",
        "serious",
    ),
    "min-replicas": (source(feeding=replace(SOURCE.feeding, min_replicas_to_write=1)), "min-replicas", "note"),
    "a sample": (source(keys=replace(SOURCE.keys, is_complete=False, total=20_000)), "keys-sampled", "note"),
    "a big key": (
        source(keys=replace(SOURCE.keys, biggest=(BigKey((0, b"z"), "zset", 90 * MB, 10**6),))),
        "big-keys",
        "warning",
    ),
    "a middling key": (
        source(keys=replace(SOURCE.keys, biggest=(BigKey((0, b"z"), "string", 10 * MB, 10**7),))),
        "big-keys",
        "note",
    ),
    "unread": (source(unread=("CONFIG GET: NOPERM",)), "facts-unread", "note"),
    "several keys": (source(calls=(("get", 9), ("mget", 12))), "several-keys-unseen", "warning"),
    "transactions": (source(calls=(("exec", 3), ("multi", 3))), "transactions-unseen", "warning"),
    "scripts": (source(calls=(("eval", 3),)), "scripts-unseen", "warning"),
    "SELECT": (source(calls=(("select", 3),)), "commands-refused", "warning"),
    "KEYS": (source(calls=(("keys", 3), ("script|load", 1))), "commands-of-one-node", "warning"),
    "PUBLISH": (source(calls=(("publish", 3),)), "pubsub-broadcast", "note"),
    "functions into 6.2": (source(functions=("mine",)), None, None),
}


@pytest.mark.parametrize(("seen", "code", "severity"), SOURCES.values(), ids=SOURCES)
def test_the_source(seen: SourceSurvey, code: str | None, severity: str | None) -> None:
    plan = planned(seen)
    assert told(plan) == ({code: Severity(severity)} if code and severity else {})
    assert plan.is_refused == (severity == "serious")


@pytest.mark.parametrize("right", [Right.DENIED, Right.ABSENT])
@pytest.mark.parametrize(
    ("name", "version", "is_refused"),
    [
        ("config|get", REDIS_82, True),
        ("config|set", REDIS_70, True),
        ("acl|setuser", REDIS_62, True),
        ("acl|setuser", REDIS_70, False),
    ],
)
def test_a_cutover_that_could_not_be_fenced_is_refused_at_once(
    right: Right, name: str, version: ServerVersion, is_refused: bool
) -> None:
    rights = replace(SOURCE.rights, user="app", rights=(*SOURCE.rights.rights, ("config|set", Right.ALLOWED)))
    changed = {**dict(rights.rights), name: right}
    seen = source(rights=replace(rights, rights=tuple(changed.items())), version=version)
    now = planned(seen, options=MigrationOptions(cuts_over=True))
    later = planned(seen)
    assert now.is_refused is is_refused and not later.is_refused
    for plan in (now, later) if is_refused else ():
        (found,) = (found for found in plan.findings if found.code == "cutover-refused")
        is_renamed = right is Right.ABSENT
        assert ("renamed or removed" in found.what) is is_renamed
        assert ("ACL SETUSER app +" in found.remedy) is not is_renamed
        assert ("without --cutover" in found.remedy) is (plan is now)
    still = replace(seen.traffic, writes_per_s=0)
    replica = replace(seen, role=Role.REPLICA, primary=Address("h", 1), link_is_up=True, traffic=still)
    assert not planned(replica, options=MigrationOptions(cuts_over=True)).is_refused, "it refuses writes as it is"


def with_primaries(**changes: Any) -> TargetSurvey:
    return replace(TARGET, primaries=tuple(replace(primary, **changes) for primary in TARGET.primaries))


TARGETS = {
    "a single server": (replace(TARGET, is_cluster=False), SOURCE, "target-not-cluster", "serious"),
    "slots of nobody": (replace(TARGET, served=SlotSet.parse(["0-100"])), SOURCE, "slots-uncovered", "serious"),
    "not ok": (replace(TARGET, state_is_ok=False), SOURCE, "cluster-state-fail", "serious"),
    "a silent member": (replace(TARGET, silent=(Address("h", 1),)), SOURCE, "node-down", "warning"),
    "no replicas": (with_primaries(replicas=0), SOURCE, "shard-without-replica", "warning"),
    "not empty": (with_primaries(keys=5), SOURCE, "target-not-empty", "serious"),
    "too small": (with_primaries(maxmemory_bytes=3 * MB), SOURCE, "target-too-small", "serious"),
    "nearly full": (with_primaries(maxmemory_bytes=8 * MB), SOURCE, "target-nearly-full", "warning"),
    "evicting": (with_primaries(policy="allkeys-lru"), SOURCE, "target-evicts", "warning"),
    "no limit": (with_primaries(maxmemory_bytes=0, policy="allkeys-lru"), SOURCE, None, None),
    "a small host": (with_primaries(system_bytes=20 * MB), SOURCE, "target-memory-short", "warning"),
    "two versions": (replace(TARGET, replica_versions=(REDIS_82,)), SOURCE, "versions-mixed", "note"),
    "older than the source": (
        with_primaries(capabilities=capabilities_of(REDIS_70)),
        source(version=VALKEY_91),
        "version-older",
        "note",
    ),
    "functions unknown": (
        with_primaries(capabilities=capabilities_of(REDIS_62)),
        source(version=REDIS_62, functions=("mine",)),
        "functions-unsupported",
        "serious",
    ),
    "functions there": (
        replace(TARGET, functions=("mine",)),
        source(functions=("mine",)),
        "functions-on-target",
        "warning",
    ),
    "fields that expire": (
        with_primaries(capabilities=capabilities_of(REDIS_70)),
        source(databases=(DatabaseSize(0, 10, with_field_ttl=3),)),
        "field-ttl-unsupported",
        "serious",
    ),
    "fields that expire, known": (TARGET, source(databases=(DatabaseSize(0, 10, with_field_ttl=3),)), None, None),
    "a module's keys": (
        TARGET,
        source(keys=replace(SOURCE.keys, kinds=(KindOfKeys("ReJSON-RL", 5, 9),)), modules=("ReJSON",)),
        "module-keys",
        "serious",
    ),
    "a module on both": (
        replace(TARGET, modules=("ReJSON",)),
        source(keys=replace(SOURCE.keys, kinds=(KindOfKeys("ReJSON-RL", 5, 9),)), modules=("ReJSON",)),
        "module-keys",
        "warning",
    ),
}


@pytest.mark.parametrize(("target", "seen", "code", "severity"), TARGETS.values(), ids=TARGETS)
def test_the_target(target: TargetSurvey, seen: SourceSurvey, code: str | None, severity: str | None) -> None:
    assert told(planned(seen, target)) == ({code: Severity(severity)} if code and severity else {})


def test_databases_by_each_rule() -> None:
    seen = source(databases=(DatabaseSize(0, 1), DatabaseSize(3, 5)), calls=(("select", 4),))
    assert "db3: 5" in finding(planned(seen), "databases-in-use").seen
    prefix = MigrationOptions(DatabaseMap(DatabaseRule.PREFIX))
    assert told(planned(seen, options=prefix))["databases-in-use"] is Severity.WARNING
    taken = replace(seen, keys=replace(seen.keys, prefixed=2))
    assert told(planned(taken, options=prefix))["prefix-taken"] is Severity.WARNING
    keep = MigrationOptions(DatabaseMap(DatabaseRule.KEEP))
    assert told(planned(seen, options=keep)) == {"databases-missing": Severity.SERIOUS}
    assert told(planned(seen, replace(TARGET, databases=4), keep)) == {}


CROSSING = Crossing(Crosser.COMMAND, "MGET", 10, 7, (("user:1:a", "user:1:b"),), ("10.0.0.5",))
HEARD = CommandSample(60.0, 500, heard=(("get", 490), ("mget", 10)), several_keys=10)


def test_a_sample_is_evidence_and_an_operator_may_take_it_on() -> None:
    advice = TagAdvice(Crosser.COMMAND, "MGET", "user:1:a", "{user:1}:a", 7, 7, 0.01)
    sample = replace(HEARD, crossings=(CROSSING,), advice=(advice,))
    plan = planned(sample=sample)
    found = finding(plan, "commands-across-slots")
    assert plan.is_refused
    assert "7 of 10" in found.what
    assert "{user:1}:a" in found.remedy
    assert "Lettuce" in found.remedy
    assert "10.0.0.5" in found.seen
    accepted = planned(options=MigrationOptions(accepted=frozenset({"commands-across-slots"})), sample=sample)
    assert not accepted.is_refused
    assert told(accepted) == {"commands-across-slots": Severity.WARNING}


def test_a_tag_that_would_gather_everything_is_no_remedy() -> None:
    sample = replace(
        HEARD, crossings=(CROSSING,), advice=(TagAdvice(Crosser.COMMAND, "MGET", "user:1", "{user}:1", 7, 1, 1.0),)
    )
    assert "one call for each key" in finding(planned(sample=sample), "commands-across-slots").remedy
    large = replace(
        HEARD, crossings=(CROSSING,), advice=(TagAdvice(Crosser.COMMAND, "MGET", "a:1:b", "{a:1}:b", 7, 3, 0.4),)
    )
    assert "40%" in finding(planned(sample=large), "commands-across-slots").remedy


def test_everything_that_a_sample_may_show() -> None:
    sample = replace(
        HEARD,
        crossings=(
            replace(CROSSING, kind=Crosser.TRANSACTION, name="SET"),
            replace(CROSSING, kind=Crosser.SCRIPT, name="FCALL f"),
        ),
        undeclared=(UndeclaredKeys("FCALL f", 5, 4, ("x",)),),
        odd=(OddCommand("sort … by/get", 2, ("h",)), OddCommand("keys", 1, ("h",))),
    )
    assert told(planned(sample=sample)) == {
        "transactions-across-slots": Severity.SERIOUS,
        "scripts-across-slots": Severity.SERIOUS,
        "script-keys-undeclared": Severity.WARNING,
        "commands-refused": Severity.WARNING,
        "commands-of-one-node": Severity.WARNING,
    }


def test_what_was_called_and_not_heard_is_still_told() -> None:
    seen = source(calls=(("get", 9), ("mget", 12), ("rename", 3), ("xread", 1)))
    assert finding(planned(seen), "several-keys-unseen").seen == "MGET 12×, RENAME 3×, XREAD 1×"
    found = finding(planned(seen, sample=HEARD), "several-keys-unseen")
    assert found.seen == "RENAME 3×, XREAD 1×"
    assert "60 s" in found.what


def test_the_shares_follow_the_slots_of_the_data() -> None:
    one_slot = tuple(16 * MB if slot == 100 else 0 for slot in range(SLOT_COUNT))
    plan = planned(source(keys=replace(SOURCE.keys, bytes_by_slot=one_slot)))
    assert [round(share.share, 2) for share in plan.shares] == [1.0, 0.0, 0.0]
    assert plan.shares[0].expected_bytes == 18 * MB
    unknown = planned(source(keys=replace(SOURCE.keys, bytes_by_slot=())))
    assert [round(share.share, 2) for share in unknown.shares] == [0.33, 0.33, 0.33]


def test_a_sample_is_scaled() -> None:
    seen = source(keys=replace(SOURCE.keys, total=20_000, is_complete=False))
    assert seen.data_bytes == 32 * MB
    assert sum(share.added_bytes for share in planned(seen).shares) == pytest.approx(32 * MB, abs=3)


def test_remedies_can_be_typed() -> None:
    found = finding(planned(source(rights=denied("psync", "replconf"))), "right-missing")
    assert found.remedy.startswith("ACL SETUSER app +psync +replconf ")
    assert "NOPERM" in found.seen
    small = SOURCES["a small buffer"][0]
    assert 'CONFIG SET client-output-buffer-limit "replica ' in finding(planned(small), "replica-limit").remedy


def test_a_big_key_s_time_grows_with_elements_and_bytes() -> None:
    small = blocking_of(BigKey((0, b"h"), "hash", MB, 1000))
    large = blocking_of(BigKey((0, b"h"), "hash", 100 * MB, 10**6))
    assert small is not None
    assert large is not None
    assert large.dump_s > 50 * small.dump_s > 0
    assert blocking_of(BigKey((0, b"j"), "ReJSON-RL", MB, None)) is None


@pytest.mark.parametrize("wide", [True, False])
def test_the_view_fits_and_the_json_is_json(wide: bool, capsys: pytest.CaptureFixture[str]) -> None:
    seen = source(
        databases=(DatabaseSize(0, 10_000_000_000, 5), *(DatabaseSize(n, 10**9) for n in range(1, 16 if wide else 1))),
        keys=replace(
            SOURCE.keys,
            is_complete=False,
            total=10**10,
            biggest=(BigKey((3, b"k\x00" * 80), "zset", 900 * MB, 10**8), BigKey((0, b"m"), "ReJSON-RL", 2 * MB, None)),
        ),
        calls=(*((name, 10**9) for name in CALLED), ("keys", 5), ("select", 2)),
        functions=tuple(f"library{n}" for n in range(20)),
        rights=denied(*NEEDED),
        unread=("CONFIG GET: NOPERM " + "x" * 60,),
    )
    plan = planned(seen, with_primaries(maxmemory_bytes=3 * MB), sample=replace(HEARD, crossings=(CROSSING,), cut="x"))
    show_migration_plan(plan)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any("stand in the way" in line for line in lines)
    found = json.loads(json.dumps(msgspec.to_builtins(migration_plan_output(plan))))
    assert found["refused"] is True
    assert found["source"]["rights"]["psync"] == "denied"
    assert found["big_keys"][1]["restore_s"] is None


def test_small_pictures_and_times() -> None:
    assert (bar(0), bar(0.001), len(bar(1)), bar(1.5)[-1]) == ("", "█", 30, "▶")
    assert [spoken_s(s) for s in (0.01, 0.44, 12, 150, 7200, 200_000)] == [
        "0.1 s",
        "0.4 s",
        "12 s",
        "2 min",
        "2 h",
        "2 d",
    ]


def test_what_a_source_tells_of_its_primary_is_an_address_or_it_stays_where_it_is() -> None:
    found = finding(planned(source(role=Role.REPLICA, primary_fault="'x' is none")), "address-not-valid")
    assert (found.severity, found.seen) == (Severity.SERIOUS, "'x' is none")


REPLICA = source(role=Role.REPLICA, primary=Address("10.0.0.1", 6379), traffic=replace(SOURCE.traffic, writes_per_s=0))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replace(REPLICA, traffic=replace(SOURCE.traffic, writes_per_s=7)), "takes writes, 7.0 a second"),
        (replace(REPLICA, takes_writes=True), "replica-read-only"),
        (replace(REPLICA, link_is_up=False), "does not get here"),
    ],
)
def test_a_replica_that_could_not_be_cut_over_is_told_before_anything_is_copied(seen: SourceSurvey, why: str) -> None:
    at_once = planned(seen, options=MigrationOptions(cuts_over=True))
    assert at_once.is_refused
    found = finding(at_once, "cutover-refused")
    assert why in found.what and "slotwright migrate 10.0.0.1:6379" in found.remedy
    later = planned(seen)
    assert later.is_refused is not seen.link_is_up
    said = finding(later, "source-is-replica")
    assert "cutover" in (said.what + said.risk) and (why in said.what or not seen.link_is_up)


def test_a_replica_whose_primary_seems_to_stand_still_may_begin() -> None:
    for options in (MigrationOptions(), MigrationOptions(cuts_over=True)):
        assert told(planned(REPLICA, options=options)) == {"source-is-replica": Severity.WARNING}
    assert "unless that stands still" in finding(planned(REPLICA), "source-is-replica").what


def test_of_a_cluster_the_primaries_are_moved_whoever_was_asked() -> None:
    plan = planned(replace(REPLICA, mode=Mode.CLUSTER), options=MigrationOptions(cuts_over=True))
    assert told(plan) == {"source-in-cluster": Severity.WARNING}
