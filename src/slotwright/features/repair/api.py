"""repair: from what is broken to a proved cluster, losing nothing; and resume and abort, for work that was cut.

There is no other resume than to look and plan again; the journal adds only which way a cut move was going. Abort takes
such moves back where that loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from slotwright.app.context import Context
from slotwright.app.kept_copies import keep_copies
from slotwright.app.nodes_conf_copies import keep_maps
from slotwright.app.targets import Target
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.key_holders import DuplicateKey, QuarantinedKey
from slotwright.cluster.observation import Link, NodeView, Role
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.errors import OperatorInterruptError, RefusedError, SlotwrightError
from slotwright.features.archive.api import archive_into
from slotwright.features.repair.model import RepairPlan, RepairStep
from slotwright.features.repair.plan import plan_repair as make_plan
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.run.repairer import DoneStep, FailedStep, Repairer, RepairOutcome, RepairState
from slotwright.features.repair.session import RepairSession, node_timeout_s, open_session, store_of
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.keys.node_keys import NodeKeys
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.presence import Operator, claim
from slotwright.ops.journal_read import Unfinished, parse_journal, unfinished
from slotwright.ops.verify import Verdict
from slotwright.ports import ClusterStore, Journal, Quarantine

_POLL_S = 0.25

AgreeToRepair = Callable[[RepairPlan], bool]
"""Shown the whole plan before anything is done."""

AcceptLoss = Callable[[RepairStep], bool]
"""Asked for each step that may lose data: whether its word was given."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done, what was not and why, and the cluster afterwards.

    ``keys_before`` and ``keys_after`` count the keys of the primaries that answered, each key once where two had it
    equally is told by ``outcome`` of the steps. ``archive`` and ``quarantine`` are paths, "" where nothing was written.
    """

    name: str
    done: tuple[DoneStep, ...]
    refused: tuple[RepairStep, ...]
    failed: tuple[FailedStep, ...]
    keys_before: int
    keys_after: int
    archive: str
    quarantine: str
    quarantined: int
    plan: RepairPlan
    verdict: Verdict

    @property
    def is_whole(self) -> bool:
        """Everything is mended and proved."""
        return self.verdict.is_ok and not self.refused and not self.failed


async def plan_repair(context: Context, target: Target, *, takes_back: bool = False) -> RepairPlan:
    """What `repair` would do now, or `abort` (``takes_back``); nothing is changed."""
    async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
        session = replace(await open_session(context, target, fleet, pool), takes_back=takes_back)
        return make_plan(await session.gather(RepairState(), True))


async def repair(
    context: Context,
    target: Target,
    agree: AgreeToRepair | None = None,
    accept: AcceptLoss | None = None,
    *,
    takes_back: bool = False,
    verb: str = "repair",
) -> Repaired:
    """Mend what can be mended. ``agree`` None: nobody is asked about the plan; ``accept`` None: nothing may be lost.

    ``takes_back``: moves of slots that were cut are undone instead of finished. Raises RefusedError (locked, declined);
    what a step could not do is in the result.
    """
    store = store_of(context, target)
    _refuse_unformed(target)
    with store.hold(verb):
        async with context.fleet(target.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
            session = replace(await open_session(context, target, fleet, pool), takes_back=takes_back)
            with context.journal(store.journal_path) as journal:
                return await _repair(session, journal, agree, accept, verb)


def _refuse_unformed(target: Target) -> None:
    record = target.record
    if record is not None and record.stage is Stage.FORMING:
        raise RefusedError(
            f"{record.name} was never formed: its up was cut",
            code="not-formed",
            where=record.name,
            left="nothing was changed",
            hint=f"slotwright up {record.topology_path} goes on from where it was",
        )


def what_was_cut(context: Context, target: Target) -> Unfinished | None:
    """The work that the journal says was begun and never ended."""
    return unfinished(parse_journal(store_of(context, target).read_journal()))


async def abort(
    context: Context, target: Target, agree: AgreeToRepair | None = None, accept: AcceptLoss | None = None
) -> Repaired:
    """Take back moves that were cut, as far as that loses nothing, and call the work ended."""
    return await repair(context, target, agree, accept, takes_back=True, verb="abort")


async def _repair(
    session: RepairSession, journal: Journal, agree: AgreeToRepair | None, accept: AcceptLoss | None, verb: str
) -> Repaired:
    context, store = session.context, session.store
    first = await session.gather(RepairState(), True)
    repair_plan = make_plan(first)
    if repair_plan.steps and agree is not None and not agree(repair_plan):
        raise RefusedError("not confirmed", code="declined", left="nothing was changed")
    operator = Operator(verb, context.operator(), context.token())
    await claim(session.pool, session.verifier.addresses, operator, session.target.name)
    stamp = datetime.fromtimestamp(context.clock.wall(), UTC).strftime("%Y%m%dT%H%M%SZ")
    quarantine = store.quarantine(stamp)
    archiver = _Archiver(session, store.archives_path / f"{stamp}-{verb}")
    consent = partial(_consent, accept, archiver, partial(_write_down, session, quarantine))
    repairer = Repairer(session.gather, session.actions(quarantine), consent, journal, context.clock, context.report)
    if session.target.record is not None and session.target.store is not None:
        _remember_addresses(session.target.record, store)
        _remember_reset_ids(session.target.record, store)
    if repair_plan.steps:
        journal.write({"phase": "begin", "verb": verb, "steps": len(repair_plan.steps)})
    try:
        verdict, last = await _until_sound(session, repairer)
    except asyncio.CancelledError:
        raise OperatorInterruptError("interrupted", where=store.name, **_half_way(session, repairer)) from None
    except SlotwrightError as error:
        values = _half_way(session, repairer)
        error.left, error.hint = error.left or values["left"], error.hint or values["hint"]
        raise
    _forgive_what_came_off(repairer.course, last, verdict)
    if repair_plan.steps or session.takes_back:
        _end(journal, repairer.course, verb)
    if session.record is not None and repairer.course.done and verdict.is_ok:
        await keep_maps(context, session.fleet, session.record, store)
        keep_copies(context.report, store, session.record, verdict.observation)
    course = repairer.course
    return Repaired(
        session.target.name,
        tuple(course.done),
        tuple(course.refused),
        tuple(course.failed),
        _owned_keys(first),
        sum(node.keys or 0 for node in verdict.survey.nodes if node.role is Role.PRIMARY and node.is_reachable),
        archiver.path,
        str(quarantine.path) if quarantine.written else "",
        quarantine.written,
        last,
        verdict,
    )


def _forgive_what_came_off(course: RepairOutcome, last: RepairPlan, verdict: Verdict) -> None:
    """A step that could not be done for a moment was done by another way, where nothing wants it any more and what it
    was for is not there."""
    wanted = {step.key for step in last.steps}
    found = [finding for finding in verdict.findings if finding.severity is not Severity.NOTE]
    left = {finding.code for finding in found} | {finding.where for finding in found}
    course.failed = [
        failed for failed in course.failed if failed.step.key in wanted or left & {failed.step.why, failed.step.where}
    ]


def _half_way(session: RepairSession, repairer: Repairer) -> dict[str, str]:
    """What an end in the middle leaves behind, and what to type next."""
    done = len(repairer.course.done)
    return {
        "left": f"{done} step{'s were' if done != 1 else ' was'} done and read back; no key is lost by where it ended",
        "hint": f"slotwright repair {session.target.name} looks again and goes on from there",
    }


def _remember_addresses(record: ClusterRecord, store: ClusterStore) -> None:
    """Where the file has the hosts at other addresses than the record, the record has them from now on."""
    kept = store.read_record()
    if kept is not None and kept.topology.addresses != record.topology.addresses:
        store.write_record(record)


def _remember_reset_ids(record: ClusterRecord, store: ClusterStore) -> None:
    """Adopted nodes that were reset are known by the ids that they have now."""
    kept = store.read_record()
    if kept is not None and kept.stage is Stage.ADOPTED and kept.blueprint != record.blueprint:
        store.write_record(replace(kept, blueprint=record.blueprint))


def _end(journal: Journal, course: RepairOutcome, verb: str) -> None:
    """A repair in which steps failed or were refused is not ended: the moves that it began keep their direction."""
    if verb == "abort":
        journal.write({"phase": "abort", "verb": verb})
    elif not course.failed:
        journal.write({"phase": "end", "verb": verb, "done": len(course.done), "refused": len(course.refused)})


def _owned_keys(repair_input: RepairInput) -> int:
    """Keys of the primaries that answered, before."""
    views = repair_input.observation.views
    return sum(view.health.keys for view in views if view.myself is None or view.myself.role is Role.PRIMARY)


async def _consent(
    accept: AcceptLoss | None,
    archiver: _Archiver,
    write_down: Callable[[RepairStep], Awaitable[None]],
    step: RepairStep,
) -> bool:
    """Values that differ are written down before anybody is asked; nothing that can be lost is touched before it was
    archived."""
    await write_down(step)
    if accept is None or not accept(step):
        return False
    await archiver.archive()
    return True


async def _write_down(session: RepairSession, quarantine: Quarantine, step: RepairStep) -> None:
    """Both values of each key that two nodes have differently, as far as they can be read now."""
    if not isinstance(step.action, SettleSlots) or not step.action.keeps_owners:
        return
    verdict = await session.verifier.look(with_canaries=False)
    views = {view.id: view for view in verdict.observation.views}
    for duplicate in verdict.contents.duplicates:
        if duplicate.is_equal or duplicate.slot not in step.action.slots:
            continue
        copies = [
            await _value_of(session, duplicate, views[node], node == duplicate.owner)
            for node in (duplicate.owner, duplicate.holder)
        ]
        await quarantine.write([copy for copy in copies if copy is not None])


async def _value_of(
    session: RepairSession, duplicate: DuplicateKey, view: NodeView, is_owner: bool
) -> QuarantinedKey | None:
    claims = view.myself is not None and duplicate.slot in view.myself.slots
    keys = NodeKeys(view.address, session.pool)
    value = await keys.value(duplicate.key, asks=not claims, database=duplicate.database)
    if value is None:
        return None
    return QuarantinedKey(duplicate.key, duplicate.slot, view.address, is_owner, value, duplicate.database)


@dataclass(slots=True)
class _Archiver:
    """Archives the nodes' files once, before the first step that may lose something."""

    session: RepairSession
    folder: Path
    path: str = ""

    async def archive(self) -> None:
        """Where files are not ours there is nothing to archive but what is quarantined."""
        session, record = self.session, self.session.record
        if self.path or record is None:
            return
        observation = (await session.verifier.look(with_canaries=False)).observation
        done = await archive_into(
            session.context, session.fleet, session.pool, record, session.store, observation, self.folder
        )
        self.path = done.folder


async def _until_sound(session: RepairSession, repairer: Repairer) -> tuple[Verdict, RepairPlan]:
    """Mend, then wait for what heals by itself (a copy under way, gossip); what shows meanwhile is mended too."""
    context = session.context
    last = await repairer.run()
    with_canaries = session.record is not None
    verdict = await session.verifier.look(with_canaries=with_canaries)
    if not _is_worth_waiting(session, verdict, repairer):
        return verdict, last
    patience_s = 30.0 + 2 * node_timeout_s(verdict.observation) + 0.5 * len(session.verifier.addresses)
    text = "wait until all nodes agree and every replica is in sync"
    context.report(Began("settle-down", text))
    started = context.clock.now()
    while _is_worth_waiting(session, verdict, repairer) and context.clock.now() - started < patience_s:
        context.report(Moved("settle-down", f"{verdict.findings[0].where}: {verdict.findings[0].what}"))
        await context.clock.sleep(_POLL_S)
        before = len(repairer.course.done)
        last = await repairer.run()
        started = context.clock.now() if len(repairer.course.done) > before else started
        verdict = await session.verifier.look(with_canaries=with_canaries)
    context.report(Ended("settle-down", text, is_ok=verdict.is_ok))
    return verdict, last


def _is_worth_waiting(session: RepairSession, verdict: Verdict, repairer: Repairer) -> bool:
    """Whether something is left that passes by itself once its cause is gone, and no cause was left as it is."""
    away = {exam.host for exam in verdict.exams if exam.trouble}
    left = [
        finding
        for finding in verdict.findings
        if finding.severity is not Severity.NOTE
        and not (finding.code == "node-down" and finding.where.rpartition(":")[0] in away)
    ]
    is_stuck = repairer.course.refused or repairer.course.failed
    # A node whose process is not ours to start stays away, and its shard without it.
    heals = _HEALS if session.record is not None else _HEALS - {"node-down", "shard-without-replica"}
    return not is_stuck and any(finding.code in heals and not _is_for_good(verdict, finding) for finding in left)


def _is_for_good(verdict: Verdict, finding: Finding) -> bool:
    """Whether it stays for want of what nobody brings: a primary wants more replicas than it has, and these are all in
    sync."""
    primary = next((node for node in verdict.survey.nodes if node.place == finding.where), None)
    if finding.code != "replicas-required" or primary is None:
        return False
    followers = [node for node in verdict.survey.nodes if node.replica_of == primary.id]
    return all(node.link is Link.UP and not node.trouble for node in followers)


_HEALS = frozenset(
    {
        "bus-link-down",
        "canary-failed",
        "cluster-state-fail",
        "epoch-collision",
        "ghost-node",
        "loading",
        "member-unknown",
        "node-down",
        "replica-link-down",
        "replica-auth-rejected",
        "replica-auth-missing",
        "replica-lagging",
        "replicas-required",
        "shard-without-replica",
        "views-disagree",
    }
)


__all__ = [
    "AcceptLoss",
    "AgreeToRepair",
    "Repaired",
    "abort",
    "plan_repair",
    "repair",
    "what_was_cut",
]
