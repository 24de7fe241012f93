"""abort of an `up` that was cut: the settings, files and record of a formed cluster go back to their baseline.

It is planned from what is seen, asked about, done on the one runner and read back, and proved as `up` is. Only then the
baseline is forgotten. Cut anywhere, it is run again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.server_placement import ServerPlacement, survey
from slotwright.app.session import Work, at_work
from slotwright.app.targets import Target, with_ways_of
from slotwright.cluster.baseline import Baseline
from slotwright.cluster.findings import Severity
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.steps import Plan
from slotwright.errors import InputError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.features.deploy import adopted
from slotwright.features.deploy.api import prove, step_context, verifier_of
from slotwright.features.deploy.baseline import plan_back, settle_baseline
from slotwright.features.deploy.desired import Draft
from slotwright.features.deploy.outcome import refuse_stale
from slotwright.features.deploy.plan.take_back import TakeBack
from slotwright.ops.node_steps import Executor
from slotwright.ops.verify import Verdict
from slotwright.ports import Journal, LoadedTopology

VERB = "abort up"
"""In the journal: `abort` of a repair is another one."""


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What was done, and the cluster afterwards. ``plan`` has what was left alone as findings; ``is_back``: nothing of
    the change is left; ``is_settled``: and that is proved, so that nothing of it is kept any more."""

    plan: Plan
    verdict: Verdict
    record: ClusterRecord
    begun_at: str
    is_back: bool
    is_settled: bool

    @property
    def is_ok(self) -> bool:
        """The cluster is as it was before the change, and sound."""
        is_whole = all(finding.severity is Severity.NOTE for finding in self.plan.findings)
        return self.is_settled and is_whole and self.verdict.is_ok


def has_change(target: Target) -> bool:
    """Whether a change of this cluster by `up` is under way, or was cut."""
    return target.store is not None and target.store.has_baseline()


async def plan_abort_up(context: Context, target: Target) -> Plan:
    """What `abort` would do now; nothing is changed. Raises InputError (nothing-cut)."""
    async with _at_change(context, target) as (work, baseline):
        return (await _planned(work, baseline)).back.plan


async def abort_up(context: Context, target: Target, confirm: Callable[[Plan], bool] | None = None) -> TakenBack:
    """Take a change that was cut back, as far as it was ours. ``confirm`` is shown the plan; None: no question.

    Raises InputError (nothing-cut), RefusedError (declined, locked, stale-plan, not-yet-possible for a cluster that has
    other nodes now), OperatorInterruptError on Ctrl-C, and PartialError for a step that failed: it is run again then.
    """
    async with _at_change(context, target) as (work, baseline):
        planned = await _planned(work, baseline)
        if planned.back.plan.steps and confirm is not None:
            if not confirm(planned.back.plan):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            refuse_stale(planned.back.plan, (again := await _planned(work, baseline)).back.plan)
            planned = again
        with context.journal(work.store.journal_path) as journal:
            try:
                return await _do(work, baseline, planned, journal)
            except asyncio.CancelledError:
                raise OperatorInterruptError("interrupted", where=work.store.name, **_left(work)) from None
            except SlotwrightError as error:
                raise _partly(error, work) from error


@dataclass(frozen=True, slots=True)
class _Planned:
    """``draft`` is None where the nodes are not ours to start or write to."""

    back: TakeBack
    draft: Draft | None = None
    server_placement: ServerPlacement | None = None


@asynccontextmanager
async def _at_change(context: Context, target: Target) -> AsyncIterator[tuple[Work, Baseline]]:
    """Hold the cluster's lock, with the file of the baseline; hosts are reached as they are now."""
    baseline = target.store.read_baseline() if target.store is not None else None
    if baseline is None or target.record is None:
        raise _nothing(target)
    if not baseline.fits(target.record):
        raise RefusedError(
            f"{target.name} has other nodes, or other addresses, than it had when the change began",
            code="not-yet-possible",
            where=target.name,
            seen=f"begun at {baseline.at}",
            left="nothing was changed",
            hint=f"slotwright up {target.record.topology_path} with the settings that you want",
        )
    former = with_ways_of(target.record.topology, baseline.record).topology
    loaded = LoadedTopology(former, Path(baseline.record.topology_path), (), target.password)
    async with at_work(context, loaded, "abort") as work:
        if work.store.read_baseline() != baseline:
            raise _nothing(target)
        yield work, baseline


def _nothing(target: Target) -> InputError:
    return InputError(
        f"no change of {target.name} was cut",
        code="nothing-cut",
        where=target.name,
        left="nothing was changed",
        hint=f"slotwright check {target.name} says whether anything is wrong",
    )


async def _planned(work: Work, baseline: Baseline) -> _Planned:
    if baseline.record.stage is Stage.ADOPTED:
        return _Planned(await adopted.plan_back(work, baseline))
    server_placement = await survey(work)
    draft, back = await plan_back(work, server_placement, baseline)
    return _Planned(back, draft, server_placement)


async def _do(work: Work, baseline: Baseline, planned: _Planned, journal: Journal) -> TakenBack:
    """What is left afterwards is told by a new look, as everything is."""
    plan = planned.back.plan
    if plan.steps:
        journal.write({"phase": "begin", "verb": VERB, "steps": len(plan.steps), "digest": plan.digest})
    if planned.draft is None:
        verdict = await adopted.take_back(work, baseline, planned.back, journal)
    else:
        verdict = await _on_nodes(work, planned, planned.draft, journal)
    left = (await _planned(work, baseline)).back if plan.steps else planned.back
    is_settled = left.is_back and settle_baseline(work.store, verdict)
    if is_settled:
        journal.write({"phase": "abort", "verb": VERB})
    record = work.store.read_record() or baseline.record
    plan = replace(plan, findings=left.plan.findings)
    return TakenBack(plan, verdict, record, baseline.at, left.is_back, is_settled)


async def _on_nodes(work: Work, planned: _Planned, draft: Draft, journal: Journal) -> Verdict:
    context, plan = work.context, planned.back.plan
    verifier = verifier_of(work, draft)
    remote_hosts = planned.server_placement.remote_hosts if planned.server_placement else None
    shop = replace(step_context(work, draft, verifier, journal), own_settings=planned.back.values)
    if plan.host_waves and remote_hosts is not None:
        # Rules that may be ours must be known before the first is added.
        kept = work.store.read_record() or draft.record
        work.store.write_record(replace(kept, rules=draft.record.rules))
        shop = replace(shop, on_hosts=remote_hosts.act)
    await Executor(shop).execute(plan)
    return await prove(context, verifier)


def _left(work: Work) -> dict[str, str]:
    return {
        "left": "some nodes may have the settings of the change still",
        "hint": f"slotwright abort {work.store.name} goes on from here",
    }


def _partly(error: SlotwrightError, work: Work) -> PartialError:
    values = _left(work)
    hint = f"{error.hint}; {values['hint']}" if error.hint else values["hint"]
    return PartialError(error.what, code=error.code, where=error.where, seen=error.seen, left=values["left"], hint=hint)
