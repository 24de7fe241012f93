"""Fixed result values, from which the golden files are made: of one cluster, looked at, planned and formed."""

from __future__ import annotations

from dataclasses import replace

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, Observation, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    MarkFormed,
    Plan,
    PrepareHost,
    ProveReach,
    Refusal,
    RememberFile,
    SettingChange,
    StartNode,
    Step,
)
from slotwright.cluster.survey import ClusterState, Survey, SurveyNode
from slotwright.cluster.topology import Mode
from slotwright.features.deploy.abort import TakenBack
from slotwright.features.deploy.outcome import UpResult
from slotwright.features.look.api import SlotOfKey
from slotwright.ops.verify import Verdict
from tests.fakes import build
from tests.fakes.build import VERSION, at

PRIMARY, REPLICA, LOST = at("127.0.1.1:7001"), at("127.0.1.2:7002"), "0000000000000000000000000000000000000003"

FINDING = Finding(
    "node-down",
    Severity.SERIOUS,
    str(PRIMARY),
    "the primary of shard 1 is down",
    "slotwright repair demo",
    "nothing listens on 127.0.1.1:7001",
    "slots 0-5460 are not served",
)
NOTE = Finding("clients-change", Severity.NOTE, "demo", "clients have to be told")
REFUSAL = Refusal("shards: 4", "a cluster can't grow yet", "slotwright migrate moves its data into a larger one")


def nodes() -> tuple[SurveyNode, ...]:
    """A primary, its replica, and one of which nothing is known but its id."""
    return (
        SurveyNode(
            "1" * 40,
            PRIMARY,
            Role.PRIMARY,
            SlotSet.parse(["0-5460", "7000"]),
            None,
            1,
            True,
            keys=12,
            used_bytes=2947136,
            version=VERSION,
        ),
        SurveyNode(
            "2" * 40, REPLICA, Role.REPLICA, SlotSet(), "1" * 40, 1, True, "", Link.UP, 17, 12, 2947000, VERSION
        ),
        SurveyNode(LOST, None, Role.REPLICA, SlotSet(), None, None, False, "unreachable"),
    )


def survey() -> Survey:
    return Survey("demo", Mode.CLUSTER, ClusterState.DEGRADED, SlotSet.parse(["0-5460", "7000"]), nodes())


def verdict() -> Verdict:
    """With a serious finding, and with one that has no more than it must have."""
    return Verdict(survey(), Observation(()), (FINDING, NOTE), False, unjudged=("h2 is away: its disk was not judged",))


def sound() -> Verdict:
    """Proved."""
    return Verdict(replace(survey(), state=ClusterState.OK), Observation(()), (), True)


def steps() -> tuple[tuple[Step, ...], ...]:
    """One of each kind."""
    return (
        (
            PrepareHost("h1", ("service user", "unit")),
            ChangeFirewall("h1", ("open 7001",), ("public permanent 7001/tcp",), ("public runtime 7002/tcp",)),
        ),
        (ProveReach(2, (7001, 7002)),),
        (CreateNode(PRIMARY, Role.PRIMARY, 1),),
        (StartNode(PRIMARY, Role.PRIMARY, 1, "its process is gone", is_hurried=True),),
        (ApplySettings(REPLICA, (SettingChange("maxmemory", "64mb", "128mb"),)), ApplySettings(PRIMARY, ())),
        (AwaitUsable(6),),
        (MarkFormed("demo"), RememberFile("demo", "replicas")),
    )


def plan() -> Plan:
    return Plan("demo", steps(), (REFUSAL,), (FINDING,), "297849bc2be24ae3", ("h3",))


def up() -> UpResult:
    return UpResult(plan(), sound(), 2.1123456, build.record(build.topology()))


def up_without_change() -> UpResult:
    return UpResult(Plan("demo"), verdict(), None, build.record(build.topology()))


def taken_back() -> TakenBack:
    """With one setting of somebody else left alone."""
    steps = (ApplySettings(REPLICA, (SettingChange("maxmemory", "128mb", "64mb"),)), AwaitUsable(6))
    foreign = Finding(
        "setting-changed-since",
        Severity.WARNING,
        str(PRIMARY),
        "maxmemory has a value that `up` did not set: it is left as it is",
        "write the value that you want into the file, then slotwright up",
    )
    plan = Plan("demo", (steps[:1], steps[1:], (RememberFile("demo", "former", is_former=True),)), (), (foreign,))
    return TakenBack(plan, sound(), build.record(build.topology()), "2026-01-01T00:00:00+00:00", True, True)


def slots() -> tuple[SlotOfKey, ...]:
    """One that is served, and one of bytes that are no text and whose slot nobody owns."""
    primary, replica, _ = nodes()
    return (SlotOfKey(b"user:1000", 1649, primary, (replica,)), SlotOfKey(b"a\xff", 9, None))
