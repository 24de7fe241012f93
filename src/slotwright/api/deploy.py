"""plan and up: from the file to a proved cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from slotwright.adapters.journal import FileJournal
from slotwright.api import adopted
from slotwright.api.context import Context
from slotwright.api.draft import Draft, make_draft, recall_draft
from slotwright.api.ground import Ground, clear, ground_of, survey
from slotwright.api.lifecycle import processes
from slotwright.api.maps import keep_maps
from slotwright.api.work import Work, at_work, inspect_hosts, load
from slotwright.errors import HostError, OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.model.events import Began, Ended
from slotwright.model.expectation import Expectation
from slotwright.model.plan import Plan, ProveReach
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.topology import Mode
from slotwright.operations.execute import Executor, Workshop
from slotwright.operations.observe import observe
from slotwright.operations.undo import Undo, count_keys
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.diff import World, plan_changes
from slotwright.ports import Journal

if TYPE_CHECKING:
    from slotwright.api.estate import Estate

Confirm = Callable[[Plan], bool]


@dataclass(frozen=True, slots=True)
class UpResult:
    """What came of ``up``: the plan that was done, the verdict, and how long the way to usable took (seconds from
    the first server's start; None when none was started)."""

    plan: Plan
    verdict: Verdict
    usable_s: float | None
    record: ClusterRecord


async def plan(context: Context, path: Path) -> Plan:
    """What ``up`` would do. Raises InputError, HostError, RefusedError (locked)."""
    loaded = load(context, path)
    async with at_work(context, loaded, "plan") as work:
        if (record := adopted.adopted_record(work)) is not None:
            return await adopted.plan(work, record)
        ground = await survey(work)
        _, found = await draft_and_plan(work, ground)
        return found


async def up(context: Context, path: Path, confirm: Confirm | None = None) -> UpResult:
    """Make the world what the file says, then prove it. ``confirm`` is shown the plan; None: no question.

    Raises RefusedError when something stands in the way (nothing was changed), OperatorInterruptError on Ctrl-C, and
    otherwise what failed, with ``left`` saying what is left behind.
    """
    loaded = load(context, path)
    async with at_work(context, loaded, "up") as work:
        if (record := adopted.adopted_record(work)) is not None:
            return await adopted.up(work, record, confirm)
        ground = await survey(work)
        draft, found = await draft_and_plan(work, ground)
        refuse_unsafe(found)
        if found.steps and confirm is not None:
            if not confirm(found):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            await _refuse_stale(work, ground, draft, found)
        return await execute(work, ground, draft, found)


async def draft_and_plan(work: Work, ground: Ground) -> tuple[Draft, Plan]:
    """What should be, and the way there. Where the file, the program and the password are those of the last time, what
    that rehearsal gave is held against the world first; any difference is rehearsed anew."""
    draft = recall_draft(work, ground)
    if draft is not None:
        found = plan_changes(draft.desired, await look(work, ground, draft))
        if found.is_empty:
            return draft, found
    draft = await make_draft(work, ground)
    return draft, plan_changes(draft.desired, await look(work, ground, draft))


async def look(work: Work, ground: Ground, draft: Draft) -> World:
    """Facts of the hosts, and the views of every server that is at one of our addresses."""
    report = work.context.report
    record = work.store.read_record()
    places = record or draft.record
    report(Began("look", "look at the hosts"))
    hosts = await inspect_hosts(work, places.data_root, ground.away)
    live = [
        node.address
        for facts in hosts
        for node in facts.nodes
        if node.process is not None or node.port_owner is not None
    ]
    observation = await observe(work.roster, live, draft.desired.settings)
    report(Ended("look", f"look at the hosts: {len(hosts)} of them, {len(live)} nodes run"))
    return World(record, hosts, observation, ground.away)


def refuse_unsafe(found: Plan) -> None:
    """Raises PlanRefusedError for a plan with refusals or serious findings."""
    if found.refusals or found.blockers:
        raise PlanRefusedError(found)


class PlanRefusedError(RefusedError):
    """The plan can't be done: ``plan`` says why, point by point."""

    def __init__(self, plan: Plan) -> None:
        count = len(plan.refusals) + len(plan.blockers)
        first = plan.blockers[0] if plan.blockers else None
        what = first.what if first and count == 1 else f"{count} things stand in the way of {plan.name}"
        if not first and count == 1:
            what = f"{plan.refusals[0].what}: {plan.refusals[0].why}"
        super().__init__(
            what,
            code=first.code if first else "not-yet-possible",
            where=first.where if first else plan.name,
            seen=first.seen if first and count == 1 else "",
            left="nothing was changed",
            hint=(first.remedy if first else plan.refusals[0].hint) if count == 1 else "",
        )
        self.plan = plan


async def _refuse_stale(work: Work, ground: Ground, draft: Draft, found: Plan) -> None:
    again = plan_changes(draft.desired, await look(work, ground, draft))
    if again.digest != found.digest:
        raise RefusedError(
            "the world changed while the plan was being read",
            code="stale-plan",
            where=found.name,
            left="nothing was changed",
            hint="slotwright up shows the new plan",
        )


async def execute(work: Work, ground: Ground, draft: Draft, found: Plan) -> UpResult:
    """Do the plan and prove the outcome; see :func:`up` for what is raised."""
    context, store = work.context, work.store
    journal = context.open_journal(store.journal_path)
    is_first = store.read_record() is None
    try:
        if is_first:
            store.write_record(draft.record)
        if work.password is not None and store.read_password() != work.password:
            store.write_password(work.password)
        if found.steps:
            journal.write({"phase": "begin", "verb": "up", "steps": len(found.steps), "digest": found.digest})
        todo = found
        if found.host_waves:
            draft, todo = await _make_ready(work, ground, draft, found, journal)
        verifier = _verifier(work, draft)
        executor = Executor(_workshop(work, draft, verifier, journal))
        await executor.execute(todo)
        await asyncio.gather(
            *(
                work.fleet.at(address.host).rotate_log(file.directory)
                for address, file in draft.files.items()
                if address.host not in ground.away
            )
        )
        verdict = await _prove(context, verifier)
        first = executor.progress.first_start
        usable_s = None if first is None else context.clock.now() - first
        if found.steps:
            await keep_maps(context, work.fleet, store.read_record() or draft.record, store)
            journal.write({"phase": "end", "verb": "up", "findings": len(verdict.findings)})
        return UpResult(found, verdict, usable_s, store.read_record() or draft.record)
    except asyncio.CancelledError:
        raise await _interrupted(work, draft) from None
    except SlotwrightError as error:
        raise await _clean_up(work, draft, error, is_first=is_first) from error
    finally:
        if isinstance(journal, FileJournal):
            journal.close()


async def _make_ready(work: Work, ground: Ground, draft: Draft, found: Plan, journal: Journal) -> tuple[Draft, Plan]:
    """Give remote hosts what they lack; then look, rehearse and plan again, for the nodes alone."""
    assert ground.estate is not None
    # Rules that may be ours must be known before the first is added.
    work.store.write_record(replace(work.store.read_record() or draft.record, rules=draft.record.rules))
    shop = replace(_workshop(work, draft, _verifier(work, draft), journal), on_hosts=ground.estate.act)
    executor = Executor(shop, "host-wave")
    *ready, last = found.host_waves
    is_proof = isinstance(last[0], ProveReach)
    await executor.execute(Plan(found.name, tuple(ready) if is_proof else found.host_waves))
    # The rehearsal needs no other host: it goes on while the hosts try to reach each other.
    proving = executor.execute(Plan(found.name, (last,) if is_proof else ()))
    done = await asyncio.gather(proving, _draft_again(work, ground.estate), return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
    after, made = cast("tuple[Ground, Draft]", done[1])
    kept = work.store.read_record()
    if kept is not None and kept.stage is Stage.FORMING:
        work.store.write_record(made.record)
    again = plan_changes(made.desired, await look(work, after, made))
    refuse_unsafe(again)
    return made, again


async def _draft_again(work: Work, estate: Estate) -> tuple[Ground, Draft]:
    after = await estate.refreshed()
    still = [step for wave in after.waves(must_prove=False) for step in wave]
    if still:
        raise HostError(
            f"{getattr(still[0], 'host', work.store.name)} is not ready, though everything was done for it",
            code="host-not-prepared",
            where=work.store.name,
            seen=repr(still[0])[:300],
        )
    ground = ground_of(work, after)
    return ground, await make_draft(work, ground, is_prepared=True)


def _verifier(work: Work, draft: Draft) -> Verifier:
    return Verifier(
        work.store.name,
        work.roster,
        work.context.clock,
        work.fleet.login,
        tuple(node.address for node in draft.desired.blueprint.nodes),
        work.context.token(),
        _expectation(draft),
    )


def _workshop(work: Work, draft: Draft, verifier: Verifier, journal: Journal) -> Workshop:
    return Workshop(
        fleet=work.fleet,
        roster=work.roster,
        journal=journal,
        clock=work.context.clock,
        report=work.context.report,
        verifier=verifier,
        keep_record=work.store.write_record,
        record=draft.record,
        files=draft.files,
        settings=draft.desired.settings,
    )


async def _prove(context: Context, verifier: Verifier) -> Verdict:
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
        topology.hosts,
        tuple(draft.desired.settings.items()),
        topology.allow_colocated_replicas,
    )


async def _running(work: Work, draft: Draft) -> int:
    found = await processes(work.fleet, draft.record)
    return sum(process is not None for process in found.values())


async def _interrupted(work: Work, draft: Draft) -> OperatorInterruptError:
    running, total = await _running(work, draft), len(draft.desired.blueprint.nodes)
    kept = work.store.read_record()
    formed = "formed" if kept is not None and kept.stage is Stage.FORMED else "not formed yet"
    return OperatorInterruptError(
        "interrupted",
        where=work.store.name,
        left=f"{running} of {total} nodes are running; the cluster is {formed}",
        hint=f"slotwright up {draft.record.topology_path} goes on from here; "
        f"slotwright destroy {work.store.name} takes it away",
    )


async def _clean_up(work: Work, draft: Draft, error: SlotwrightError, *, is_first: bool) -> SlotwrightError:
    """What this very run began is taken down, unless a key is in it; anything else is left for the next up.

    A formation that an earlier run began may have been usable, and used, before it was cut: that no server answers now
    says nothing about the data in its folders, so they stay.
    """
    store, record = work.store, work.store.read_record()
    nodes = draft.desired.blueprint.nodes
    again = f"slotwright up {draft.record.topology_path}"
    if not is_first or (record is not None and record.stage is Stage.FORMED):
        running = await _running(work, draft)
        return _partly(error, f"{running} of {len(nodes)} nodes are running", again)
    keys = await count_keys(work.roster, [node.address for node in nodes])
    if keys:
        return _partly(error, f"the nodes that were started, with {keys} keys in them", again)
    try:
        await Undo(work.fleet, work.context.clock).take_down(draft.record)
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
