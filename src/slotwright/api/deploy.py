"""plan and up: from the file to a proved cluster."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.engines import Binary, locate
from slotwright.adapters.journal import FileJournal
from slotwright.adapters.state import ClusterStore
from slotwright.adapters.topology_file import LoadedTopology, load_topology
from slotwright.api import passwords
from slotwright.api.context import Context
from slotwright.errors import OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.model.blueprint import Blueprint, BlueprintNode
from slotwright.model.events import Began, Ended, Warned
from slotwright.model.expectation import Expectation
from slotwright.model.files import NodeFiles
from slotwright.model.plan import Plan
from slotwright.model.record import ClusterRecord, Stage, directory_name
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode, Topology
from slotwright.operations.execute import Executor, Workshop
from slotwright.operations.observe import observe
from slotwright.operations.rehearse import Rehearsed, Script
from slotwright.operations.rehearse import Stage as RehearsalStage
from slotwright.operations.roster import Roster
from slotwright.operations.undo import Undo, count_keys
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.diff import Desired, World, plan_changes
from slotwright.planning.formation import make_blueprint
from slotwright.planning.placement import place
from slotwright.ports import NodeQuery
from slotwright.wire.nodes_conf import render_nodes_conf
from slotwright.wire.server_conf import SECRET_DIRECTIVES, NodeConfig, effective_settings, render_server_conf

Confirm = Callable[[Plan], bool]


@dataclass(frozen=True, slots=True)
class UpResult:
    """What came of ``up``: the plan that was done, the verdict, and how long the way to usable took (seconds from
    the first server's start; None when none was started)."""

    plan: Plan
    verdict: Verdict
    usable_s: float | None
    record: ClusterRecord


@dataclass(frozen=True, slots=True)
class Draft:
    """The desired state with all that is needed to bring it about."""

    desired: Desired
    record: ClusterRecord
    files: dict[Address, NodeFiles] = field(repr=False)


async def plan(context: Context, path: Path) -> Plan:
    """What ``up`` would do. Raises InputError, HostError, RefusedError (locked)."""
    loaded = _load(context, path)
    async with at_work(context, loaded, "plan") as work:
        draft = await make_draft(work)
        return plan_changes(draft.desired, await look(work, draft))


async def up(context: Context, path: Path, confirm: Confirm | None = None) -> UpResult:
    """Make the world what the file says, then prove it. ``confirm`` is shown the plan; None: no question.

    Raises RefusedError when something stands in the way (nothing was changed), OperatorInterruptError on Ctrl-C, and
    otherwise what failed, with ``left`` saying what is left behind.
    """
    loaded = _load(context, path)
    async with at_work(context, loaded, "up") as work:
        draft = await make_draft(work)
        found = plan_changes(draft.desired, await look(work, draft))
        refuse_unsafe(found)
        if found.steps and confirm is not None:
            if not confirm(found):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            await _refuse_stale(work, draft, found)
        return await execute(work, draft, found)


def _load(context: Context, path: Path) -> LoadedTopology:
    loaded = load_topology(path)
    for warning in loaded.warnings:
        context.report(Warned(warning.what, warning.where))
    return loaded


@dataclass(frozen=True, slots=True)
class Work:
    """A cluster with its lock held: the file, where its state is, and the connections with its password."""

    context: Context
    loaded: LoadedTopology
    store: ClusterStore
    roster: Roster
    password: Secret | None = field(repr=False)


@asynccontextmanager
async def at_work(context: Context, loaded: LoadedTopology, verb: str) -> AsyncIterator[Work]:
    """Hold the cluster's lock; what was made only to hold it goes again."""
    store = context.store(loaded.topology.name)
    had_file = store.topology_path.exists()
    with lock.hold(store.lock_path, verb, store.name):
        try:
            password = passwords.resolve(loaded.topology.password, store, loaded.inline_password)
            async with Roster(context.login(password, "")) as roster:
                yield Work(context, loaded, store, roster, password)
        except asyncio.CancelledError:
            # Executing has its own word for this; here, nothing was begun yet.
            raise OperatorInterruptError("interrupted", where=store.name, left="nothing was changed") from None
        finally:
            if store.read_record() is None and not (had_file and store.topology_path.exists()):
                store.remove()


async def make_draft(work: Work) -> Draft:
    """The desired state, rehearsed. Raises HostError for the binary, InputError for its configuration."""
    topology, record = work.loaded.topology, work.store.read_record()
    binary = locate(topology.engine)
    placement = place(topology)
    blueprint = record.blueprint if record else make_blueprint(topology, placement, work.context.new_id)
    rehearsed = Rehearsed({}, frozenset())
    if blueprint.shards:
        rehearsed = await _rehearse(work, binary, blueprint, record)
    files = _files(work, blueprint, binary)
    topology = _without_secrets(topology)
    desired = Desired(
        topology,
        blueprint,
        binary.version.title,
        rehearsed.settings,
        rehearsed.live,
        {address: hashlib.sha256(file.server_conf.encode()).hexdigest() for address, file in files.items()},
        placement.findings if record is None else (),
    )
    kept = ClusterRecord(
        blueprint=blueprint,
        topology=topology,
        stage=record.stage if record else Stage.FORMING,
        topology_path=str(work.loaded.path.absolute()),
        data_root=_data_root(work),
        binary=binary.path,
        version=binary.version.title,
        settings=tuple((name, value) for name, value in rehearsed.settings.items() if name not in SECRET_DIRECTIVES),
    )
    return Draft(desired, kept, files)


def _without_secrets(topology: Topology) -> Topology:
    """As it may be kept: a ``masterauth`` among the settings has just been proved to be the password itself."""
    return replace(
        topology, settings=tuple((name, value) for name, value in topology.settings if name not in SECRET_DIRECTIVES)
    )


async def _rehearse(work: Work, binary: Binary, blueprint: Blueprint, record: ClusterRecord | None) -> Rehearsed:
    text = f"rehearse the configuration with {binary.version.title}"
    work.context.report(Began("rehearse", text))
    before = effective_settings(record.topology.settings, record.topology.mode) if record else ()
    script = Script(
        directory=str(work.store.rehearsal_path),
        binary=binary.path,
        version=binary.version,
        mode=work.loaded.topology.mode,
        password=work.password,
        settings=work.loaded.topology.settings,
        extra_names=tuple(name for name, _ in before),
    )
    stage = RehearsalStage(work.context.host, work.context.clock, work.context.login)
    is_ok = False
    try:
        rehearsed = await stage.rehearse(script, blueprint)
        is_ok = True
    finally:
        work.context.report(Ended("rehearse", text, is_ok))
    return rehearsed


def _data_root(work: Work) -> str:
    return work.loaded.topology.data_directory or str(work.store.nodes_path)


def _files(work: Work, blueprint: Blueprint, binary: Binary) -> dict[Address, NodeFiles]:
    topology, root = work.loaded.topology, _data_root(work)
    files: dict[Address, NodeFiles] = {}
    for node in blueprint.nodes:
        directory = f"{root}/{directory_name(node.address)}"
        config = NodeConfig(node.address, directory, topology.mode, work.password, topology.settings)
        is_cluster = topology.mode is Mode.CLUSTER
        files[node.address] = NodeFiles(
            node.address,
            directory,
            _marker(blueprint, node),
            render_server_conf(config),
            render_nodes_conf(blueprint, node, binary.version) if is_cluster else None,
        )
    return files


def _marker(blueprint: Blueprint, node: BlueprintNode) -> str:
    content = {"cluster_id": blueprint.cluster_id, "name": blueprint.name, "node_id": node.id, "format": 1}
    return json.dumps(content, indent=1) + "\n"


async def look(work: Work, draft: Draft) -> World:
    """Facts of the hosts, and the views of every server that is at one of our addresses."""
    report, topology = work.context.report, draft.desired.topology
    record = work.store.read_record()
    cluster_id = record.blueprint.cluster_id if record else ""
    places = record or draft.record
    report(Began("look", "look at the hosts"))
    hosts = []
    for host in topology.hosts:
        queries = [
            NodeQuery(address, places.node_directory(address), topology.mode is Mode.CLUSTER)
            for address in host.node_addresses
        ]
        hosts.append(await work.context.host.inspect(host.address, cluster_id, queries))
    live = [
        node.address
        for facts in hosts
        for node in facts.nodes
        if node.process is not None or node.port_owner is not None
    ]
    observation = await observe(work.roster, live, draft.desired.settings)
    report(Ended("look", f"look at the hosts: {len(hosts)} of them, {len(live)} nodes run"))
    return World(record, tuple(hosts), observation)


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


async def _refuse_stale(work: Work, draft: Draft, found: Plan) -> None:
    again = plan_changes(draft.desired, await look(work, draft))
    if again.digest != found.digest:
        raise RefusedError(
            "the world changed while the plan was being read",
            code="stale-plan",
            where=found.name,
            left="nothing was changed",
            hint="slotwright up shows the new plan",
        )


async def execute(work: Work, draft: Draft, found: Plan) -> UpResult:
    """Do the plan and prove the outcome; see :func:`up` for what is raised."""
    context, store = work.context, work.store
    verifier = Verifier(
        store.name,
        work.roster,
        context.clock,
        context.login,
        tuple(node.address for node in draft.desired.blueprint.nodes),
        context.token(),
        _expectation(draft),
    )
    journal = context.open_journal(store.journal_path)
    shop = Workshop(
        host=context.host,
        roster=work.roster,
        journal=journal,
        clock=context.clock,
        report=context.report,
        verifier=verifier,
        keep_record=store.write_record,
        record=draft.record,
        files=draft.files,
        settings=draft.desired.settings,
    )
    executor = Executor(shop)
    is_first = store.read_record() is None
    try:
        if is_first:
            store.write_record(draft.record)
        if work.password is not None and store.read_password() != work.password:
            store.write_password(work.password)
        if found.steps:
            journal.write({"phase": "begin", "verb": "up", "steps": len(found.steps), "digest": found.digest})
        await executor.execute(found)
        for file in draft.files.values():
            await context.host.rotate_log(file.directory)
        verdict = await _prove(context, verifier)
        first = executor.progress.first_start
        usable_s = None if first is None else context.clock.now() - first
        if found.steps:
            journal.write({"phase": "end", "verb": "up", "findings": len(verdict.findings)})
        return UpResult(found, verdict, usable_s, store.read_record() or draft.record)
    except asyncio.CancelledError:
        raise await _interrupted(work, draft) from None
    except SlotwrightError as error:
        raise await _clean_up(work, draft, error, is_first=is_first) from error
    finally:
        if isinstance(journal, FileJournal):
            journal.close()


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


async def _running(context: Context, draft: Draft) -> int:
    found = [
        await context.host.find(draft.record.node_directory(node.address), draft.record.blueprint.cluster_id)
        for node in draft.desired.blueprint.nodes
    ]
    return sum(process is not None for process in found)


async def _interrupted(work: Work, draft: Draft) -> OperatorInterruptError:
    running, total = await _running(work.context, draft), len(draft.desired.blueprint.nodes)
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
        running = await _running(work.context, draft)
        return _partly(error, f"{running} of {len(nodes)} nodes are running", again)
    keys = await count_keys(work.roster, [node.address for node in nodes])
    if keys:
        return _partly(error, f"the nodes that were started, with {keys} keys in them", again)
    try:
        await Undo(work.context.host, work.context.clock).take_down(draft.record)
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
