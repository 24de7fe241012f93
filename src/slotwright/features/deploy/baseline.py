"""The baseline of a change: kept before its first step, looked back to, and forgotten when the change is settled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from slotwright.app.server_placement import ServerPlacement, survey
from slotwright.app.session import Work
from slotwright.cluster.baseline import Baseline
from slotwright.cluster.findings import Severity
from slotwright.cluster.record import Stage
from slotwright.cluster.steps import ApplySettings, Plan
from slotwright.errors import SlotwrightError
from slotwright.features.deploy.desired import Draft, draft_of_record
from slotwright.features.deploy.plan.take_back import (
    TakeBack,
    changes_something,
    former_nodes,
    former_record,
    plan_take_back,
)
from slotwright.features.deploy.world import look
from slotwright.nodes.observe import observe
from slotwright.ops.verify import Verdict
from slotwright.ports import ClusterStore, LoadedTopology


async def keep_baseline(work: Work, plan: Plan, wanted: Mapping[str, str]) -> None:
    """Keep what the steps of ``plan`` are about to change, as the servers tell it now. ``wanted`` are the texts that
    settings are set to.

    A cluster that is being formed has no past; and where the first change was cut, what it kept counts.
    """
    record = work.store.read_record()
    if record is None or record.stage is Stage.FORMING:
        return
    steps = [step for step in plan.steps if isinstance(step, ApplySettings) and step.changes]
    names = dict.fromkeys(change.name for step in steps for change in step.changes)
    observation = await observe(work.pool, [step.address for step in steps], names)
    nodes = former_nodes(plan, observation, wanted, record)
    if not nodes and not changes_something(plan):
        return
    at = datetime.fromtimestamp(work.context.clock.wall(), UTC).isoformat(timespec="seconds")
    kept, begun = work.store.read_baseline(), Baseline(record, "up", at, nodes)
    if kept is None or kept.record.blueprint.cluster_id != record.blueprint.cluster_id:
        work.store.write_baseline(begun)
    elif (extended := kept.extended(begun)) != kept:
        work.store.write_baseline(extended)


def settle_baseline(store: ClusterStore, verdict: Verdict) -> bool:
    """Forget it once the change is proved: keys were written and read, and nothing serious is found. Whether there was
    one, and it is forgotten."""
    is_proved = verdict.is_proved and all(finding.severity is not Severity.SERIOUS for finding in verdict.findings)
    if not is_proved or not store.has_baseline():
        return False
    store.forget_baseline()
    return True


async def plan_back(work: Work, server_placement: ServerPlacement, baseline: Baseline) -> tuple[Draft, TakeBack]:
    """What the baseline's file wants, and the way back there from what is seen now. ``work`` has that file."""
    draft = draft_of_record(work, server_placement, baseline.record)
    world = await look(work, server_placement, draft, baseline.names)
    draft = replace(draft, record=former_record(baseline, draft.record))
    return draft, plan_take_back(baseline, draft.desired, world)


async def look_back(work: Work, baseline: Baseline) -> TakeBack:
    """The way back from what is seen now; ``work`` has the baseline's file."""
    _, back = await plan_back(work, await survey(work), baseline)
    return back


async def drop_untouched(work: Work, look: Callable[[Work, Baseline], Awaitable[TakeBack]] = look_back) -> bool:
    """Forget the baseline of a change that failed where a ``look`` says that nothing of it is left. Whether one is kept
    on: also where that can't be told."""
    baseline, record = work.store.read_baseline(), work.store.read_record()
    if baseline is None:
        return False
    if record is None or not baseline.fits(record):
        return True
    try:
        back = await look(at_baseline(work, baseline), baseline)
    except SlotwrightError:
        return True
    if back.is_back:
        work.store.forget_baseline()
    return not back.is_back


def way_back(store: ClusterStore) -> str:
    """What to type instead of going on; "" where there is no change to take back."""
    return f"slotwright abort {store.name} takes the change back" if store.has_baseline() else ""


def at_baseline(work: Work, baseline: Baseline) -> Work:
    """The same cluster with the file of the baseline, and the password that is used now."""
    record = baseline.record
    return replace(work, loaded=LoadedTopology(record.topology, Path(record.topology_path), (), work.password))
