"""repair: from what is broken to a proved cluster, losing nothing; and resume and abort, for work that was cut.

There is no other resume than to look and plan again; the journal adds only which way a cut move was going. Abort takes
such moves back where that loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.journal import read_journal
from slotwright.adapters.quarantine import QuarantineFile
from slotwright.adapters.state import ClusterStore
from slotwright.api.archiving import archive_into
from slotwright.api.context import Context
from slotwright.api.draft import marker_of
from slotwright.api.exams import examine_hosts
from slotwright.api.maps import good_map, keep_maps
from slotwright.api.passwords import resolve
from slotwright.api.targets import Target, open_verifier
from slotwright.errors import HostError, OperatorInterruptError, RefusedError, SlotwrightError
from slotwright.model.cluster import NodeView, Observation, Role
from slotwright.model.contents import QuarantinedKey, Twin
from slotwright.model.events import Began, Ended, Moved
from slotwright.model.files import NodeFiles
from slotwright.model.findings import Severity
from slotwright.model.record import ClusterRecord, Stage, directory_name
from slotwright.model.repair import RepairPlan, RepairStep, SettleSlots
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode
from slotwright.operations.key_values import read_value
from slotwright.operations.mending import FilesOf, Mender
from slotwright.operations.presence import Operator, claim
from slotwright.operations.repair import Course, DoneStep, FailedStep, Memory, Repairer
from slotwright.operations.roster import Roster
from slotwright.operations.slot_settling import Settler
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.members import changed_ids
from slotwright.planning.repair import plan_repair as make_plan
from slotwright.planning.situation import Situation
from slotwright.ports import Fleet, Journal
from slotwright.wire.journal_lines import Unfinished, move_intents, parse_journal, unfinished
from slotwright.wire.nodes_conf import judge_map
from slotwright.wire.server_conf import NodeConfig, effective_settings, render_server_conf
from slotwright.wire.systemd_unit import Persistence, persistence_of

_DEFAULT_NODE_TIMEOUT_MS = 15000
_POLL_S = 0.25
_MAPS_READ = 3

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


async def plan_repair(context: Context, target: Target) -> RepairPlan:
    """What `repair` would do now; nothing is changed."""
    async with context.fleet(target.topology) as fleet, Roster(fleet.login(target.password, "")) as roster:
        workshop = await _open(context, target, fleet, roster)
        return make_plan(await workshop.gather(Memory(), True))


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
    store = _store_of(context, target)
    _refuse_unformed(target)
    with lock.hold(store.lock_path, verb, target.name):
        async with context.fleet(target.topology) as fleet, Roster(fleet.login(target.password, "")) as roster:
            workshop = replace(await _open(context, target, fleet, roster), takes_back=takes_back)
            return await _repair(workshop, agree, accept, verb)


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
    return unfinished(parse_journal(read_journal(_store_of(context, target).journal_path)))


async def abort(
    context: Context, target: Target, agree: AgreeToRepair | None = None, accept: AcceptLoss | None = None
) -> Repaired:
    """Take back moves that were cut, as far as that loses nothing, and call the work ended."""
    return await repair(context, target, agree, accept, takes_back=True, verb="abort")


@dataclass(frozen=True, slots=True)
class _Workshop:
    """A target, connected and locked."""

    context: Context
    target: Target
    store: ClusterStore
    fleet: Fleet
    roster: Roster
    verifier: Verifier
    former: Secret | None = field(default=None, repr=False)
    takes_back: bool = False

    @property
    def record(self) -> ClusterRecord | None:
        """Of a cluster whose processes and files are ours."""
        record = self.target.record
        return record if record is not None and record.stage is not Stage.ADOPTED else None

    async def gather(self, memory: Memory, is_full: bool) -> Situation:
        """One look, with all that a plan is made from."""
        verdict = await self.verifier.look(with_canaries=False, is_deep=is_full)
        entries = parse_journal(read_journal(self.store.journal_path))
        situation = Situation(
            verdict.survey,
            verdict.observation,
            verdict.findings,
            self.verifier.expected,
            verdict.exams,
            verdict.contents,
            self._persistence(),
            _node_timeout_s(verdict.observation),
            intents=move_intents(entries),
            waited=frozenset(memory.waited),
            failed_starts=frozenset(memory.failed_starts),
            other_password=await self._other_password(verdict.observation),
            takes_back=self.takes_back,
        )
        if self.record is None or not _needs_maps(situation):
            return situation
        maps = await self._live_maps(situation)
        return replace(situation, live_maps=maps, good_maps=self._good_maps())

    def _persistence(self) -> Persistence:
        topology = self.target.topology
        if topology is None:
            return Persistence.APPEND_ONLY
        return persistence_of(effective_settings(topology.settings, topology.mode))

    async def _live_maps(self, situation: Situation) -> tuple[str, ...]:
        """Of a few members that run; the one that has seen the latest epoch first."""
        record = self.record
        assert record is not None
        views = sorted(situation.observation.views, key=lambda view: -view.current_epoch)
        members = [view for view in views if situation.is_member(view.id) and view.mode is Mode.CLUSTER]
        found = []
        for view in members[:_MAPS_READ]:
            try:
                text = await self.fleet.at(view.address.host).read_map(
                    record.node_directory(view.address), record.blueprint.cluster_id
                )
            except HostError:
                continue
            if not judge_map(text, view.id):
                found.append(text)
        return tuple(found)

    def _good_maps(self) -> dict[Address, str]:
        record = self.record
        assert record is not None
        kept = {node.address: good_map(self.store, node.address, node.id) for node in record.blueprint.nodes}
        return {address: text for address, text in kept.items() if text is not None}

    async def _other_password(self, observation: Observation) -> frozenset[Address]:
        """Nodes that refuse the cluster's password and take the one that it had before."""
        found = set()
        for silent in observation.silent:
            if silent.code == "wrong-password" and self.former != self.target.password:
                try:
                    connection = await self.fleet.login(self.former, "").dial(silent.address)
                except SlotwrightError:
                    continue
                await connection.close()
                found.add(silent.address)
        return frozenset(found)

    def files_of(self) -> FilesOf | None:
        """How a node's files are made; None where they are not ours."""
        record = self.record
        return partial(_files, record, self.target.password) if record is not None else None

    def mender(self, quarantine: QuarantineFile) -> Mender:
        """What does the steps."""
        context = self.context
        settler = Settler(
            self.roster,
            context.clock,
            context.report,
            self.verifier.addresses,
            quarantine.write,
            self.target.password,
        )
        return Mender(
            self.fleet,
            self.roster,
            context.clock,
            context.report,
            self.verifier.addresses,
            settler,
            self.record,
            self.files_of(),
            self.target.password,
            self.fleet.login,
            self.former,
        )


async def _open(context: Context, target: Target, fleet: Fleet, roster: Roster) -> _Workshop:
    verifier = await open_verifier(context, target, fleet, roster)
    store = _store_of(context, target)
    record = target.record
    if record is not None and record.stage is not Stage.ADOPTED:
        verifier = replace(verifier, examine=partial(examine_hosts, fleet, record))
    return _Workshop(context, target, store, fleet, roster, verifier, _former_password(target, store))


def _store_of(context: Context, target: Target) -> ClusterStore:
    """A cluster that is not known here has its lock, journal and quarantine under the name of its seed."""
    if target.store is not None:
        return target.store
    assert target.seed is not None
    return context.store(f"at-{directory_name(target.seed)}")


def _former_password(target: Target, store: ClusterStore) -> Secret | None:
    """The one that the nodes were given last, where the file has another one now; else what the file has."""
    kept = store.read_password()
    if kept != target.password or target.record is None:
        return kept
    try:
        return resolve(target.record.topology.password, store)
    except SlotwrightError:
        return kept


def _node_timeout_s(observation: Observation) -> float:
    values = [view.setting("cluster-node-timeout") for view in observation.views]
    return max((int(value) for value in values if value and value.isdigit()), default=_DEFAULT_NODE_TIMEOUT_MS) / 1000


def _needs_maps(situation: Situation) -> bool:
    return bool(situation.observation.silent) or any(changed_ids(situation.observation, situation.blueprint))


def _files(record: ClusterRecord, password: Secret | None, address: Address, map_text: str | None) -> NodeFiles:
    node = record.blueprint.node_at(address)
    directory = record.node_directory(address)
    config = NodeConfig(address, directory, record.topology.mode, password, record.topology.settings)
    return NodeFiles(address, directory, marker_of(record.blueprint, node), render_server_conf(config), map_text)


async def _repair(workshop: _Workshop, agree: AgreeToRepair | None, accept: AcceptLoss | None, verb: str) -> Repaired:
    context, store = workshop.context, workshop.store
    first = await workshop.gather(Memory(), True)
    found = make_plan(first)
    if found.steps and agree is not None and not agree(found):
        raise RefusedError("not confirmed", code="declined", left="nothing was changed")
    operator = Operator(verb, lock.operator(), context.token())
    await claim(workshop.roster, workshop.verifier.addresses, operator, workshop.target.name)
    journal = context.open_journal(store.journal_path)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    quarantine = QuarantineFile(store.quarantine_path / f"{stamp}.jsonl")
    archiver = _Archiver(workshop, store.archives_path / f"{stamp}-{verb}")
    consent = partial(_consent, accept, archiver, partial(_write_down, workshop, quarantine))
    repairer = Repairer(workshop.gather, workshop.mender(quarantine), consent, journal, context.clock, context.report)
    if workshop.target.record is not None and workshop.target.store is not None:
        _remember_addresses(workshop.target.record, store)
    if found.steps:
        journal.write({"phase": "begin", "verb": verb, "steps": len(found.steps)})
    try:
        verdict, last = await _until_sound(workshop, repairer)
    except asyncio.CancelledError:
        raise OperatorInterruptError("interrupted", where=store.name, **_half_way(workshop, repairer)) from None
    except SlotwrightError as error:
        told = _half_way(workshop, repairer)
        error.left, error.hint = error.left or told["left"], error.hint or told["hint"]
        raise
    if found.steps or workshop.takes_back:
        _end(journal, repairer.course, verb)
    if workshop.record is not None and repairer.course.done and verdict.is_ok:
        await keep_maps(context, workshop.fleet, workshop.record, store)
    course = repairer.course
    return Repaired(
        workshop.target.name,
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


def _half_way(workshop: _Workshop, repairer: Repairer) -> dict[str, str]:
    """What an end in the middle leaves behind, and what to type next."""
    done = len(repairer.course.done)
    return {
        "left": f"{done} step{'s were' if done != 1 else ' was'} done and read back; no key is lost by where it ended",
        "hint": f"slotwright repair {workshop.target.name} looks again and goes on from there",
    }


def _remember_addresses(record: ClusterRecord, store: ClusterStore) -> None:
    """Where the file has the hosts at other addresses than the record, the record has them from now on."""
    kept = store.read_record()
    if kept is not None and kept.topology.addresses != record.topology.addresses:
        store.write_record(record)


def _end(journal: Journal, course: Course, verb: str) -> None:
    """A repair in which steps failed or were refused is not ended: the moves that it began keep their direction."""
    if verb == "abort":
        journal.write({"phase": "abort", "verb": verb})
    elif not course.failed:
        journal.write({"phase": "end", "verb": verb, "done": len(course.done), "refused": len(course.refused)})


def _owned_keys(situation: Situation) -> int:
    """Keys of the primaries that answered, before."""
    views = situation.observation.views
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


async def _write_down(workshop: _Workshop, quarantine: QuarantineFile, step: RepairStep) -> None:
    """Both values of each key that two nodes have differently, as far as they can be read now."""
    if not isinstance(step.action, SettleSlots) or not step.action.keeps_owners:
        return
    verdict = await workshop.verifier.look(with_canaries=False)
    views = {view.id: view for view in verdict.observation.views}
    for twin in verdict.contents.twins:
        if twin.is_equal or twin.slot not in step.action.slots:
            continue
        found = [await _value_of(workshop, twin, views[node], node == twin.owner) for node in (twin.owner, twin.holder)]
        await quarantine.write([each for each in found if each is not None])


async def _value_of(workshop: _Workshop, twin: Twin, view: NodeView, is_owner: bool) -> QuarantinedKey | None:
    claims = view.myself is not None and twin.slot in view.myself.slots
    value = await read_value(await workshop.roster.connection(view.address), twin.key, asks=not claims)
    return QuarantinedKey(twin.key, twin.slot, view.address, is_owner, value) if value is not None else None


@dataclass(slots=True)
class _Archiver:
    """Archives the nodes' files once, before the first step that may lose something."""

    workshop: _Workshop
    folder: Path
    path: str = ""

    async def archive(self) -> None:
        """Where files are not ours there is nothing to archive but what is quarantined."""
        workshop, record = self.workshop, self.workshop.record
        if self.path or record is None:
            return
        observation = (await workshop.verifier.look(with_canaries=False)).observation
        done = await archive_into(
            workshop.context, workshop.fleet, workshop.roster, record, workshop.store, observation, self.folder
        )
        self.path = done.folder


async def _until_sound(workshop: _Workshop, repairer: Repairer) -> tuple[Verdict, RepairPlan]:
    """Mend, then wait for what heals by itself (a copy under way, gossip); what shows meanwhile is mended too."""
    context = workshop.context
    last = await repairer.run()
    with_canaries = workshop.record is not None
    verdict = await workshop.verifier.look(with_canaries=with_canaries)
    if not _is_worth_waiting(workshop, verdict, repairer):
        return verdict, last
    patience_s = 30.0 + 2 * _node_timeout_s(verdict.observation) + 0.5 * len(workshop.verifier.addresses)
    text = "wait until all nodes agree and every replica is in sync"
    context.report(Began("settle-down", text))
    started = context.clock.now()
    while _is_worth_waiting(workshop, verdict, repairer) and context.clock.now() - started < patience_s:
        context.report(Moved("settle-down", f"{verdict.findings[0].where}: {verdict.findings[0].what}"))
        await context.clock.sleep(_POLL_S)
        before = len(repairer.course.done)
        last = await repairer.run()
        started = context.clock.now() if len(repairer.course.done) > before else started
        verdict = await workshop.verifier.look(with_canaries=with_canaries)
    context.report(Ended("settle-down", text, is_ok=verdict.is_ok))
    return verdict, last


def _is_worth_waiting(workshop: _Workshop, verdict: Verdict, repairer: Repairer) -> bool:
    """Whether something is left that passes by itself once its cause is gone, and no cause was left as it is."""
    away = {exam.host for exam in verdict.exams if exam.trouble}
    left = [
        found
        for found in verdict.findings
        if found.severity is not Severity.NOTE
        and not (found.code == "node-down" and found.where.rpartition(":")[0] in away)
    ]
    is_stuck = repairer.course.refused or repairer.course.failed
    # A node whose process is not ours to start stays away, and its shard without it.
    heals = _HEALS if workshop.record is not None else _HEALS - {"node-down", "shard-without-replica"}
    return not is_stuck and any(found.code in heals for found in left)


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
