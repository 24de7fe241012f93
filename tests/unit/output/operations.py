"""Fixed result values of what changes a cluster: repairs, failovers, drills, rebuilds, ends, hosts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from slotwright.cluster.events import Began, Ended, Moved, Warned
from slotwright.cluster.slots import SlotSet
from slotwright.errors import NodeUnreachableError
from slotwright.features.archive.api import Archived, ArchivedNode
from slotwright.features.bundle.api import BundleReport
from slotwright.features.drill.api import Drill, DrillOptions, ShardOutage
from slotwright.features.drill.plan import DrillTargets
from slotwright.features.failover.api import Failover
from slotwright.features.failover.plan import FailoverStep
from slotwright.features.failover.run import FailoverResult
from slotwright.features.lifecycle.destroy import Destroyed
from slotwright.features.preflight.exec import Ran
from slotwright.features.rebuild.api import Rebuilt
from slotwright.features.rebuild.model import ShardCopy
from slotwright.features.repair.api import Repaired
from slotwright.features.repair.model import RepairPlan, RepairStep, Risk, StartServer, Thaw
from slotwright.features.repair.run.repairer import DoneStep, FailedStep
from slotwright.features.watch.api import WatchUpdate
from slotwright.features.watch.plan import ClusterChange, Happening
from slotwright.keys.copy_keys import CopiedKeys, CountedKeys
from slotwright.keys.model.counts import Count, Difference
from slotwright.ops.stop_nodes import Stopped
from tests.unit.output.results import FINDING, NOTE, PRIMARY, REFUSAL, REPLICA, sound, verdict

NOON = datetime(2026, 1, 2, 12, 0, 0, 482000, tzinfo=UTC)
THAW = RepairStep(Thaw(PRIMARY), "node-hangs", str(PRIMARY), "wake its process up")
LOSS = RepairStep(
    StartServer(REPLICA), "slots-lost", str(REPLICA), "start it empty", Risk.LOSS, "lose-data", "its keys are gone"
)


EVENTS = (
    Began("wave-2", "start 6 nodes"),
    Moved("wave-2", "start 6 nodes", 3, 6),
    Moved("usable", "one link"),
    Ended("wave-2", "start 6 nodes"),
    Ended("prove", "x", False),
    Warned("the password stands in the file", "cluster.yaml:6"),
    Warned("w"),
)


def repair_plan() -> RepairPlan:
    return RepairPlan("demo", ((THAW,), (LOSS,)), (NOTE,), (REFUSAL,))


def repaired() -> Repaired:
    error = NodeUnreachableError("no answer in 5 s", code="timeout", seen="127.0.1.2:7002")
    return Repaired(
        "demo",
        (DoneStep(THAW, "it answers"),),
        (LOSS,),
        (FailedStep(LOSS, error),),
        306,
        305,
        "/state/archives/1",
        "/state/quarantine/1.jsonl",
        2,
        repair_plan(),
        verdict(),
    )


def failover() -> Failover:
    step = FailoverStep(REPLICA, "2" * 40, str(PRIMARY), "1" * 40, 1, is_forced=True)
    return Failover("demo", (FailoverResult(step, 0.0204, 3.2519, 2, 0.0),), (FINDING,), verdict())


def drill() -> Drill:
    return Drill(
        "demo",
        DrillOptions(PRIMARY, is_freeze=True),
        DrillTargets((PRIMARY, REPLICA), (1, 2)),
        (
            ShardOutage(1, PRIMARY, REPLICA, 4.85123, 5.29, 5.31),
            ShardOutage(2, REPLICA, None, None, 9.0, 9.1),
        ),
        13.5149,
        3575,
        246,
        1,
        ("k1",),
        (),
        verdict(),
    )


def rebuilt() -> Rebuilt:
    expected: Count = Count({(0, 5, "string"): 721, (0, 7, "hash"): 300})
    return Rebuilt(
        "demo",
        "/state/archives/1",
        ("h1:/kept/demo-1",),
        (ShardCopy(PRIMARY, 1, SlotSet.parse(["0-5460"]), True, False, "the primary did not answer"),),
        CopiedKeys(expected, 1021, 0.41234, 3, 1, 2, 1),
        CountedKeys(expected, Difference(((0, b"a"),), (), ()), 4),
        (FINDING,),
        sound(),
        "form",
    )


def rebuilt_empty() -> Rebuilt:
    return Rebuilt("demo", "/state/archives/1", (), (), None, None, (), sound())


def stopped() -> tuple[Stopped, ...]:
    return (
        Stopped(PRIMARY, 12, (("dump.rdb", 173), ("appendonlydir/1.aof", 9))),
        Stopped(REPLICA, None, (), was_killed=True),
    )


def destroyed() -> Destroyed:
    return Destroyed("demo", 6, 12, ("/data/kept",), ("/data/archives",))


def archived() -> Archived:
    return Archived(
        "demo",
        "/backup/demo-1",
        (
            ArchivedNode(PRIMARY, "primary", 100, "127.0.1.1-7001.tar.gz", 4096, 8),
            ArchivedNode(REPLICA, "replica", None, "127.0.1.2-7002.tar.gz", 2048, 7, "it does not answer"),
        ),
    )


def bundled() -> BundleReport:
    return BundleReport(Path("bundle"), 36, 24397872, "cluster.yaml", "valkey for x86_64", ("no wheel for 3.14",))


def ran() -> tuple[Ran, ...]:
    return (Ran("h1", 0, "ok\n", ""), Ran("h2", None, "", "not reached"))


def watched() -> tuple[WatchUpdate, ...]:
    """The first state, what happened, and that nothing can be seen."""
    change = ClusterChange(Happening.FAILOVER, str(REPLICA), "shard 1: it is primary instead of 127.0.1.1:7001")
    return (WatchUpdate(NOON, sound(), (change,)), WatchUpdate(NOON, None, (), "no node answers"))
