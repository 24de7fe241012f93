"""plan and up: from the file to a proved cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from slotwright.app.context import Context
from slotwright.app.kept_copies import keep_copies
from slotwright.app.nodes_conf_copies import keep_maps
from slotwright.app.server_placement import ServerPlacement, clear, placement_of, survey
from slotwright.app.session import Work, at_work, load
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.expectation import Expectation
from slotwright.cluster.record import Stage
from slotwright.cluster.steps import Plan, ProveReach
from slotwright.cluster.topology import Mode
from slotwright.errors import HostError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.features.deploy import adopted
from slotwright.features.deploy.baseline import drop_untouched, keep_baseline, settle_baseline, way_back
from slotwright.features.deploy.desired import Draft, make_draft, recall_draft
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.outcome import UpResult, refuse_other, refuse_stale, refuse_unsafe, stale_approval
from slotwright.features.deploy.plan.approval import unapproved_steps
from slotwright.features.deploy.plan.diff import plan_changes
from slotwright.features.deploy.plan.facts import changed_facts, facts_of_file, topology_facts
from slotwright.features.deploy.plan_files import read_plan
from slotwright.features.deploy.world import look
from slotwright.ops.node_steps import Executor, StepContext
from slotwright.ops.processes import processes
from slotwright.ops.remove_nodes import NodeRemoval, count_keys
from slotwright.ops.runner import LenientJournal
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import Journal, LoadedTopology

if TYPE_CHECKING:
    from slotwright.app.remote_hosts import RemoteHosts

Confirm = Callable[[Plan], bool]


async def plan(context: Context, path: Path) -> Plan:
    """What ``up`` would do. Raises InputError, HostError, RefusedError (locked)."""
    loaded = load(context, path)
    async with at_work(context, loaded, "plan") as work:
        if (record := adopted.adopted_record(work)) is not None:
            return await adopted.plan(work, record)
        server_placement = await survey(work)
        _, result = await draft_and_plan(work, server_placement)
        return result


async def up(context: Context, path: Path, confirm: Confirm | None = None) -> UpResult:
    """Make the world what the file says, then prove it. ``confirm`` is shown the plan; None: no question.

    Raises RefusedError when something stands in the way (nothing was changed), OperatorInterruptError on Ctrl-C, and
    otherwise what failed, with ``left`` saying what is left behind.
    """
    return await _up(context, load(context, path), confirm)


async def up_approved(context: Context, path: Path) -> UpResult:
    """Do the plan in the file ``path``, which is the consent to it, and prove the outcome.

    Raises RefusedError (stale-plan) where a fact that the plan rests on changed, and otherwise what :func:`up` raises.
    A plan that is done already changes nothing.
    """
    approved = read_plan(path)
    loaded = load(context, Path(approved.topology_path))
    if changes := changed_facts(facts_of_file(approved.facts), tuple(topology_facts(loaded.topology))):
        what = f"{loaded.path} is not as it was when the plan was made"
        raise stale_approval(approved, what, changes)
    return await _up(context, loaded, None, approved)


async def _up(
    context: Context, loaded: LoadedTopology, confirm: Confirm | None, approved: ApprovedPlan | None = None
) -> UpResult:
    async with at_work(context, loaded, "up") as work:
        if (record := adopted.adopted_record(work)) is not None:
            return await adopted.up(work, record, confirm, approved)
        server_placement = await survey(work)
        draft, result = await draft_and_plan(work, server_placement)
        if approved is not None:
            refuse_other(approved, result, context.report)
        refuse_unsafe(result)
        if result.steps and confirm is not None:
            if not confirm(result):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            await _refuse_stale(work, server_placement, draft, result)
        return await execute(work, server_placement, draft, result, approved, keeps_baseline=True)


async def draft_and_plan(work: Work, server_placement: ServerPlacement) -> tuple[Draft, Plan]:
    """What should be, and the way there. Where the file, the program and the password are those of the last time, what
    that rehearsal gave is held against the world first; any difference is rehearsed anew."""
    draft = recall_draft(work, server_placement)
    if draft is not None:
        changes = plan_changes(draft.desired, await look(work, server_placement, draft))
        if changes.is_empty:
            return draft, changes
    draft = await make_draft(work, server_placement)
    return draft, plan_changes(draft.desired, await look(work, server_placement, draft))


async def _refuse_stale(work: Work, server_placement: ServerPlacement, draft: Draft, result: Plan) -> None:
    again = plan_changes(draft.desired, await look(work, server_placement, draft))
    refuse_unsafe(again)
    refuse_stale(result, again)


async def execute(
    work: Work,
    server_placement: ServerPlacement,
    draft: Draft,
    result: Plan,
    approved: ApprovedPlan | None = None,
    *,
    keeps_baseline: bool = False,
) -> UpResult:
    """Do the plan and prove the outcome; see :func:`up` for what is raised. ``approved``: nothing beyond it is done,
    also when the hosts are ready and the plan for the nodes is made again. ``keeps_baseline``: what a formed cluster
    was before is kept until the outcome is proved, so that `abort` can go back to it."""
    context, store = work.context, work.store
    journal = context.open_journal(store.journal_path)
    is_first = store.read_record() is None
    try:
        if is_first:
            store.write_record(draft.record)
        if work.password is not None and store.read_password() != work.password:
            store.write_password(work.password)
        if keeps_baseline:
            await keep_baseline(work, result, draft.desired.settings)
        if result.steps:
            journal.write({"phase": "begin", "verb": "up", "steps": len(result.steps), "digest": result.digest})
        todo = result
        if result.host_waves:
            draft, todo = await _make_ready(work, server_placement, draft, result, journal)
            if approved is not None and (more := unapproved_steps(result, todo)):
                what = "with the hosts ready, other steps are needed than were approved"
                raise stale_approval(approved, what, [f"{step.kind} {step.where}" for step in more])
            if keeps_baseline:
                await keep_baseline(work, todo, draft.desired.settings)
        verifier = verifier_of(work, draft)
        executor = Executor(step_context(work, draft, verifier, journal))
        await executor.execute(todo)
        await asyncio.gather(
            *(
                work.fleet.at(address.host).rotate_log(file.directory)
                for address, file in draft.files.items()
                if address.host not in server_placement.away
            )
        )
        verdict = await prove(context, verifier)
        first = executor.progress.first_start
        usable_s = None if first is None else context.clock.now() - first
        if result.steps:
            await keep_maps(context, work.fleet, store.read_record() or draft.record, store)
            keep_copies(context.report, store, store.read_record() or draft.record, verdict.observation)
        is_settled = keeps_baseline and settle_baseline(store, verdict)
        if result.steps or is_settled:
            journal.write({"phase": "end", "verb": "up", "findings": len(verdict.findings)})
        return UpResult(result, verdict, usable_s, store.read_record() or draft.record)
    except asyncio.CancelledError:
        raise await _interrupted(work, draft) from None
    except SlotwrightError as error:
        raise await _clean_up(work, draft, error, journal, is_first=is_first) from error
    finally:
        journal.close()


async def _make_ready(
    work: Work, server_placement: ServerPlacement, draft: Draft, result: Plan, journal: Journal
) -> tuple[Draft, Plan]:
    """Give remote hosts what they lack; then look, rehearse and plan again, for the nodes alone."""
    assert server_placement.remote_hosts is not None
    # Rules that may be ours must be known before the first is added.
    work.store.write_record(replace(work.store.read_record() or draft.record, rules=draft.record.rules))
    shop = replace(
        step_context(work, draft, verifier_of(work, draft), journal), on_hosts=server_placement.remote_hosts.act
    )
    executor = Executor(shop, "host-wave")
    *ready, last = result.host_waves
    is_proof = isinstance(last[0], ProveReach)
    await executor.execute(Plan(result.name, tuple(ready) if is_proof else result.host_waves))
    # The rehearsal needs no other host: it goes on while the hosts try to reach each other.
    proving = executor.execute(Plan(result.name, (last,) if is_proof else ()))
    done = await asyncio.gather(proving, _draft_again(work, server_placement.remote_hosts), return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    after, made = cast("tuple[ServerPlacement, Draft]", done[1])
    kept = work.store.read_record()
    if kept is not None and kept.stage is Stage.FORMING:
        work.store.write_record(made.record)
    again = plan_changes(made.desired, await look(work, after, made))
    refuse_unsafe(again)
    return made, again


async def _draft_again(work: Work, remote_hosts: RemoteHosts) -> tuple[ServerPlacement, Draft]:
    after = await remote_hosts.refreshed()
    still = [step for wave in after.waves(must_prove=False) for step in wave]
    if still:
        raise HostError(
            f"{getattr(still[0], 'host', work.store.name)} is not ready, though everything was done for it",
            code="host-not-prepared",
            where=work.store.name,
            seen=repr(still[0])[:300],
        )
    server_placement = placement_of(work, after)
    return server_placement, await make_draft(work, server_placement, is_prepared=True)


def verifier_of(work: Work, draft: Draft) -> Verifier:
    """What waits for the draft's cluster, and judges it."""
    return Verifier(
        work.store.name,
        work.pool,
        work.context.clock,
        work.fleet.login,
        tuple(node.address for node in draft.desired.blueprint.nodes),
        work.context.token(),
        _expectation(draft),
    )


def step_context(work: Work, draft: Draft, verifier: Verifier, journal: Journal) -> StepContext:
    """What the steps towards a draft are done with."""
    return StepContext(
        fleet=work.fleet,
        pool=work.pool,
        journal=journal,
        clock=work.context.clock,
        report=work.context.report,
        verifier=verifier,
        keep_record=work.store.write_record,
        record=draft.record,
        files=draft.files,
        settings=draft.desired.settings,
    )


async def prove(context: Context, verifier: Verifier) -> Verdict:
    """Look again from nothing, write and read keys, and judge."""
    is_single = verifier.expected is not None and verifier.expected.blueprint.mode is Mode.SINGLE
    whole = "prove: all nodes agree, replicas in sync, a key written and read on every shard"
    text = "prove: a key written and read" if is_single else whole
    context.report(Began("prove", text))
    verdict = await verifier.look(with_canaries=True)
    context.report(Ended("prove", text, is_ok=verdict.is_ok))
    return verdict


def _expectation(draft: Draft) -> Expectation:
    topology = draft.desired.topology
    return Expectation(
        draft.desired.blueprint,
        tuple(draft.desired.settings.items()),
        topology.allow_colocated_replicas,
    )


async def _running(work: Work, draft: Draft) -> int:
    process_by_address = await processes(work.fleet, draft.record)
    return sum(process is not None for process in process_by_address.values())


async def _interrupted(work: Work, draft: Draft) -> OperatorInterruptError:
    running, total = await _running(work, draft), len(draft.desired.blueprint.nodes)
    kept = work.store.read_record()
    formed = "formed" if kept is not None and kept.stage is Stage.FORMED else "not formed yet"
    instead = way_back(work.store) or f"slotwright destroy {work.store.name} takes it away"
    return OperatorInterruptError(
        "interrupted",
        where=work.store.name,
        left=f"{running} of {total} nodes are running; the cluster is {formed}",
        hint=f"slotwright up {draft.record.topology_path} goes on from here; {instead}",
    )


async def _clean_up(
    work: Work, draft: Draft, error: SlotwrightError, journal: Journal, *, is_first: bool
) -> SlotwrightError:
    """What this very run began is taken down, unless a key is in it; anything else is left for the next up.

    A formation that an earlier run began may have been usable, and used, before it was cut: that no server answers now
    says nothing about the data in its folders, so they stay.
    """
    store, record = work.store, work.store.read_record()
    nodes = draft.desired.blueprint.nodes
    again = f"slotwright up {draft.record.topology_path}"
    if not is_first or (record is not None and record.stage is Stage.FORMED):
        running = await _running(work, draft)
        partly = _partly(error, f"{running} of {len(nodes)} nodes are running", again)
        if await drop_untouched(work):
            partly.hint = f"{partly.hint}; {way_back(store)}"
        return partly
    keys = await count_keys(work.pool, [node.address for node in nodes])
    if keys:
        return _partly(error, f"the nodes that were started, with {keys} keys in them", again)
    try:
        await NodeRemoval(work.fleet, work.context.clock, LenientJournal(journal)).take_down(draft.record)
        await clear(work.context, work.fleet, work.store.read_record() or draft.record, store)
    except SlotwrightError:
        return _partly(error, "some of the nodes that were started", f"slotwright destroy {store.name}")
    store.remove()
    error.left = "nothing: the nodes that had been started held no keys, and were taken away again"
    if not error.hint or "slotwright logs" in error.hint:
        error.hint = "mend the cause, then run slotwright up again"
    return error


def _partly(error: SlotwrightError, left: str, hint: str) -> PartialError:
    return PartialError(
        error.what, code=error.code, where=error.where, seen=error.seen, left=left, hint=error.hint or hint
    )
