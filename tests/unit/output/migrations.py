"""Fixed result values of migrations, comparisons and jobs."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import EngineKind, Mode
from slotwright.features.jobs.model import JobState, JobView
from slotwright.features.migrate.abort import Aborted
from slotwright.features.migrate.api import MigrationView
from slotwright.features.migrate.model.command_sample import (
    CommandSample,
    Crosser,
    Crossing,
    OddCommand,
    TagAdvice,
    UndeclaredKeys,
)
from slotwright.features.migrate.model.migration import (
    CopyProgress,
    CutoverPause,
    CutoverRefusal,
    Migration,
    MigrationLimits,
    MigrationPhase,
    MigrationStatus,
)
from slotwright.features.migrate.model.plan import (
    Blocking,
    MigrationOptions,
    MigrationPlan,
    MigrationRates,
    PlannedStep,
    PrimaryShare,
)
from slotwright.features.migrate.model.surveys import (
    Feeding,
    Right,
    Rights,
    ServerMemory,
    SourceSurvey,
    TargetPrimary,
    TargetSurvey,
    Traffic,
)
from slotwright.features.migrate.process import Migrated
from slotwright.features.migrate.run.migrator import CutoverResult
from slotwright.keys.model.comparison import Aspect, Compared, Comparison, KeyVerdict, Load, SideFacts
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.keys.model.sample import BigKey, DatabaseSize, KeySample, KindOfKeys
from slotwright.server.capabilities import capabilities_of
from tests.fakes.build import VERSION, at
from tests.unit.output.results import FINDING, PRIMARY, REPLICA

SOURCE = at("10.0.0.9:6379")
REDIS = ServerVersion(EngineKind.REDIS, (7, 0, 15))
LIMITS = MigrationLimits(10.0, 1_000_000)
MIGRATION = Migration(
    str(SOURCE),
    "demo",
    "demo",
    "",
    "",
    DatabaseMap(),
    LIMITS,
    MigrationPhase.MOVED,
    1795709511.0,
    moved_at=1795709600.0,
)
WRONG = Compared((0, b"user:\xff"), 1234, "hash", KeyVerdict.DIFFERENT, (Aspect.VALUE,), "1 fields with another value")


def comparison() -> Comparison:
    return Comparison(
        SideFacts(str(SOURCE), REDIS, (SOURCE,), False, {0: 122, 3: 1}),
        SideFacts("demo", VERSION, (PRIMARY, REPLICA), True, {0: 123}),
        {
            (866, "string", KeyVerdict.EQUAL): 40,
            (1234, "hash", KeyVerdict.EQUAL): 81,
            (1234, "hash", KeyVerdict.DIFFERENT): 1,
            (9, "none", KeyVerdict.EXPIRED): 2,
        },
        {Aspect.VALUE: 1, Aspect.EXTRA: 0},
        (WRONG,),
        0.4123,
        Load(9, 0.05123, 0.4, 0.41, 1.0, 10.0, 0.5),
    )


def migrated() -> Migrated:
    pause = CutoverPause("CLIENT PAUSE WRITE", 0.00041, 0.0062, 0.0077, "", 0.0)
    return Migrated(
        "10.0.0.9-6379--demo",
        MIGRATION,
        comparison(),
        (CopyProgress(30000, 607961, 5, 1, 2, 0.0812), CopyProgress(10, 20, 0, 0, 0, 0.5)),
        CutoverResult(pause, (WRONG,), 3, 30001, 30000),
        0.2071,
        1.4712,
        8.6131,
    )


def migrated_from_replica() -> Migrated:
    pause = CutoverPause("its primary stood still", 0.1, 0.2, 0.3, "10.0.0.8:6379", 5.04)
    return replace(migrated(), outcome=CutoverResult(pause, (), 0, 1, 1))


def stopped() -> Migrated:
    return replace(
        migrated(), migration=replace(MIGRATION, phase=MigrationPhase.FOLLOW, moved_at=0.0), outcome=None, progress=()
    )


def running() -> MigrationView:
    refusal = CutoverRefusal(1.0, "the source is a replica", "10.0.0.9:6379", "", "name its primary")
    status = MigrationStatus(
        1795709518.0, "ready", 30000, 30010, 5, 1, 2, 7, 3, 4, 0.41234, 3.3, is_ready=True, refusal=refusal
    )
    migration = replace(MIGRATION, phase=MigrationPhase.FOLLOW, moved_at=0.0)
    return MigrationView("10.0.0.9-6379--demo", migration, status, is_running=True)


def begun() -> MigrationView:
    """Nothing was told yet, and there is no limit."""
    migration = replace(MIGRATION, phase=MigrationPhase.COPY, moved_at=0.0, limits=MigrationLimits())
    return MigrationView("10.0.0.9-6379--demo", migration, None, is_running=False)


def aborted() -> Aborted:
    return Aborted(MIGRATION, True, 30000, comparison(), False)


def aborted_unseen() -> Aborted:
    return Aborted(MIGRATION, False, 0, None, False, "no node answers")


def job() -> JobView:
    return JobView(
        "10.0.0.9-6379--demo", "migration", ("demo",), JobState.RUNNING, "copies", 1795709511.0, "12,311 keys"
    )


def job_of_later_release() -> JobView:
    return JobView("x", "migration", (), JobState.NEWER, "", None, "", "was written by 9.9.0", "use 9.9.0")


def source() -> SourceSurvey:
    return SourceSurvey(
        SOURCE,
        REDIS,
        Mode.SINGLE,
        Role.REPLICA,
        at("10.0.0.8:6379"),
        uptime_s=86400,
        databases=(DatabaseSize(0, 20005, 3, 5000, 1), DatabaseSize(3, 1)),
        keys=KeySample(
            20006,
            20006,
            True,
            (KindOfKeys("zset", 1, 31249496),),
            (BigKey((0, b"board"), "zset", 31249496, 300000), BigKey((3, b"m"), "ReJSON-RL", 9, None)),
        ),
        functions=("mylib",),
        modules=("ReJSON",),
        memory=ServerMemory(41313280, 36490000, 0, 0, "noeviction", 2),
        feeding=Feeding(replicas=1, clients=3),
        traffic=Traffic(892.04, 426.0, ping_ms=0.2001),
        calls=(("mget", 12),),
        rights=Rights("default", (("psync", Right.ALLOWED), ("config|get", Right.DENIED))),
        unread=("CONFIG GET: NOPERM",),
    )


def target() -> TargetSurvey:
    primary = TargetPrimary(
        PRIMARY, capabilities_of(VERSION), SlotSet.parse(["0-5460"]), 2097152, 104857600, "noeviction", 0, 1
    )
    return TargetSurvey("demo", primaries=(primary,), silent=(REPLICA,))


def heard() -> CommandSample:
    return CommandSample(
        2.00049,
        1752,
        (Crossing(Crosser.COMMAND, "MGET", 292, 292, (("user:5:name", "user:5:mail"),), ("10.0.0.5",), (0,)),),
        (UndeclaredKeys("a1b2", 4, 2, ("k1",)),),
        (TagAdvice(Crosser.COMMAND, "MGET", "user:5:name", "{user:5}:name", 292, 50, 0.01961),),
        (OddCommand("keys", 1, ("10.0.0.5",)),),
        ((0, 1752),),
        transactions=292,
        scripts=1,
        several_keys=292,
        cut="the server closed the connection",
        unread=5,
    )


def migration_plan() -> MigrationPlan:
    return MigrationPlan(
        source(),
        target(),
        MigrationOptions(DatabaseMap(DatabaseRule.PREFIX), frozenset({"databases-in-use", "a"})),
        heard(),
        (FINDING,),
        (PlannedStep("copy", "copy 20,006 keys", 0.36049), PlannedStep("clients", "point them at the cluster")),
        (PrimaryShare(PRIMARY, 0.33341, 12165000, 2097152, 104857600),),
        (Blocking(0.0775242, 0.4028471), None),
        MigrationRates(1.0, 1.0, 1.0, 0.1, "a bench"),
    )


def migration_plan_unheard() -> MigrationPlan:
    return replace(migration_plan(), sample=None)
