"""plan and up of an adopted cluster: its nodes are asked and told over their client ports, and nothing else is touched.

Nothing here reads or writes a folder, and no process is started or ended. What is set is written to the node's own
configuration file by the node itself (CONFIG REWRITE), and read back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from slotwright.app.session import Work
from slotwright.app.targets import Target
from slotwright.cluster.baseline import Baseline
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.observation import Link, Observation
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.steps import ApplySettings, Plan, RememberFile
from slotwright.cluster.topology import Address
from slotwright.errors import OperatorInterruptError, PartialError, RefusedError, ServerError, SlotwrightError
from slotwright.features.deploy.baseline import drop_untouched, keep_baseline, settle_baseline, way_back
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.plan.adopted import AdoptedDesire, AdoptedWorld, names_to_ask, plan_adopted, texts
from slotwright.features.deploy.plan.take_back import TakeBack, former_record, plan_adopted_back
from slotwright.nodes.observe import observe, setting_value
from slotwright.ops.journal_read import cut_settings, parse_journal
from slotwright.ops.node_steps import put_back_settings
from slotwright.ops.runner import Runner, StepHandler, failures
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import Journal, ReplyError
from slotwright.server.info import parse_info
from slotwright.server.server_conf import SECRET_DIRECTIVES, is_secret
from slotwright.server.setting_values import agrees, wanted_settings

if TYPE_CHECKING:
    from slotwright.features.deploy.outcome import UpResult

_LINKS_S = 20.0
_POLL_S = 0.1


def adopted_record(work: Work) -> ClusterRecord | None:
    """The record of the file's cluster, if that is an adopted one."""
    record = work.store.read_record()
    return record if record is not None and record.stage is Stage.ADOPTED else None


async def plan(work: Work, record: ClusterRecord) -> Plan:
    """What ``up`` would set, and what it refuses."""
    return plan_adopted(_desire(work), record, await _look(work, record, names_to_ask(work.topology)))


async def _look(work: Work, record: ClusterRecord, names: Iterable[str]) -> AdoptedWorld:
    addresses = [node.address for node in record.blueprint.nodes]
    work.context.report(Began("look", "look at the nodes"))
    observation = await observe(work.pool, addresses, names)
    with_file = await asyncio.gather(*(_has_file(work, view.address) for view in observation.views))
    owners = frozenset(view.address for view, has in zip(observation.views, with_file, strict=True) if has)
    work.context.report(Ended("look", f"look at the nodes: {len(observation.views)} of {len(addresses)} answer"))
    return AdoptedWorld(observation, owners, _cut(work, record))


async def plan_back(work: Work, baseline: Baseline) -> TakeBack:
    """The way back to ``baseline``, whose file ``work`` has."""
    record = work.store.read_record()
    assert record is not None
    names = dict.fromkeys((*names_to_ask(work.topology), *baseline.names))
    return plan_adopted_back(baseline, _desire(work), record, await _look(work, record, names))


async def take_back(work: Work, baseline: Baseline, back: TakeBack, journal: Journal) -> Verdict:
    """Set back what ``back`` says, keep the former record, and look again. Raises what a step failed with."""
    steps = [step for step in back.plan.steps if isinstance(step, ApplySettings)]
    if steps:
        await _set(work, steps, _ClientSettings(work, {}, back.values), journal, "")
    record = work.store.read_record() or baseline.record
    if any(isinstance(step, RememberFile) for step in back.plan.steps):
        work.store.write_record(former_record(baseline, record))
    return await _prove(work, former_record(baseline, record))


async def up(
    work: Work,
    record: ClusterRecord,
    confirm: Callable[[Plan], bool] | None,
    approved: ApprovedPlan | None = None,
) -> UpResult:
    """Set what the file says otherwise than the nodes, and prove the outcome. ``approved``: that plan alone is done.

    Raises PlanRefusedError, RefusedError (declined, stale), and PartialError when some nodes have it and some not.
    """
    from slotwright.features.deploy.outcome import UpResult, refuse_other, refuse_stale, refuse_unsafe

    result = await plan(work, record)
    if approved is not None:
        refuse_other(approved, result, work.context.report)
    refuse_unsafe(result)
    if result.steps and confirm is not None:
        if not confirm(result):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        refuse_stale(result, await plan(work, record))
    journal = work.context.open_journal(work.store.journal_path)
    try:
        await keep_baseline(work, result, texts(_desire(work)))
        await _apply(work, result, journal)
        kept = await _remember(work, record)
        verdict = await _prove(work, kept)
        is_settled = settle_baseline(work.store, verdict)
        if is_settled or any(isinstance(step, ApplySettings) for step in result.steps):
            journal.write({"phase": "end", "verb": "up"})
    except asyncio.CancelledError:
        raise OperatorInterruptError(
            "interrupted",
            where=record.name,
            left="settings were being changed: some nodes may have the new ones",
            hint=f"slotwright up {work.loaded.path} goes on from here{'; ' if work.store.has_baseline() else ''}"
            f"{way_back(work.store)}",
        ) from None
    except SlotwrightError as error:
        if await drop_untouched(work, plan_back):
            error.hint = "; ".join(filter(None, (error.hint, way_back(work.store))))
        raise
    finally:
        journal.close()
    return UpResult(result, verdict, None, kept)


def _desire(work: Work) -> AdoptedDesire:
    return AdoptedDesire(work.topology, work.password)


def _cut(work: Work, record: ClusterRecord) -> dict[Address, frozenset[str]]:
    """Between CONFIG SET and CONFIG REWRITE a node runs with what its file lacks, and only the journal knows; and of a
    change that was cut between two nodes, its baseline."""
    cut, baseline = cut_settings(parse_journal(work.store.read_journal())), work.store.read_baseline()
    found = {node.address: cut.get(str(node.address), frozenset()) for node in record.blueprint.nodes}
    for node in baseline.nodes if baseline is not None else ():
        found[node.address] = found.get(node.address, frozenset()) | {setting.name for setting in node.settings}
    return {address: names for address, names in found.items() if names}


async def _has_file(work: Work, address: Address) -> bool:
    connection = await work.pool.connection(address)
    reply = await connection.call("INFO", "server")
    return bool(isinstance(reply, bytes) and parse_info(reply.decode(errors="replace")).get("config_file"))


async def _apply(work: Work, result: Plan, journal: Journal) -> None:
    """One node first: what it refuses, the others would refuse too, and then nothing was changed."""
    # What only writes its file tries nothing: it goes ahead of nobody.
    steps = sorted(
        (step for step in result.steps if isinstance(step, ApplySettings)), key=lambda step: not step.changes
    )
    if not steps:
        return
    journal.write({"phase": "begin", "verb": "up", "steps": len(steps), "digest": result.digest})
    on = f"slotwright up {work.loaded.path} goes on from here"
    await _set(work, steps, _ClientSettings(work, texts(_desire(work))), journal, on)
    if any(change.name == "masterauth" for step in steps for change in step.changes):
        await _await_links(work, result)


async def _set(
    work: Work, steps: Sequence[ApplySettings], handler: _ClientSettings, journal: Journal, hint: str
) -> None:
    names = ", ".join(sorted({change.name for step in steps for change in step.changes}))
    text = f"set {names or 'the configuration files'}"
    work.context.report(Began("set", text))
    is_ok = False
    try:
        runner = Runner(handler, journal)
        outcomes = await runner.run(side_by_side(steps, has_canary=True))
        errors = failures(outcomes)
        if errors:
            raise errors[0] if len(outcomes) == 1 else _partly(errors[0], len(outcomes) - len(errors), len(steps), hint)
        is_ok = True
    finally:
        work.context.report(Ended("set", text, is_ok))


def _partly(error: SlotwrightError, done: int, total: int, hint: str) -> PartialError:
    return PartialError(
        error.what,
        code=error.code,
        where=error.where,
        seen=error.seen,
        left=f"{done} of {total} nodes have the new settings",
        hint=error.hint or hint,
    )


class _ClientSettings(StepHandler[ApplySettings]):
    """Sets over the client port, and lets the node write its own file (CONFIG REWRITE)."""

    def __init__(
        self, work: Work, wanted: Mapping[str, str], own: Mapping[Address, Mapping[str, str]] | None = None
    ) -> None:
        """``wanted`` by directive; ``own`` are those of single nodes."""
        self._work = work
        self._wanted = wanted
        self._own = own or {}
        self._before: dict[Address, dict[str, str]] = {}

    def fields(self, step: ApplySettings) -> Mapping[str, object]:
        """What is set, for the one who finds it half done."""
        return {"settings": [change.name for change in step.changes]}

    async def act(self, step: ApplySettings) -> str:
        """All of them, or none: see :meth:`put_back`."""
        names, wanted = [change.name for change in step.changes], self._of(step.address)
        connection = await self._work.pool.connection(step.address)
        before, done = self._before.setdefault(step.address, {}), list[str]()
        try:
            for name in names:
                before[name] = setting_value(await connection.call("CONFIG", "GET", name)) or ""
                await connection.call("CONFIG", "SET", name, wanted[name])
                done.append(name)
            await connection.call("CONFIG", "REWRITE")
        except ReplyError as error:
            raise _refusal(step.address, names, done, error) from error
        return ""

    async def read_back(self, step: ApplySettings) -> None:
        """What the node says of each."""
        self._before.pop(step.address, None)
        connection = await self._work.pool.connection(step.address)
        names, wanted = [change.name for change in step.changes], self._of(step.address)
        after = {name: setting_value(await connection.call("CONFIG", "GET", name)) or "" for name in names}
        wrong = [name for name in names if not _is_met(name, wanted[name], after[name])]
        if wrong:
            raise PartialError(
                f"{', '.join(wrong)} did not take effect", code="setting-not-taken", where=str(step.address)
            )

    def _of(self, address: Address) -> Mapping[str, str]:
        return {**self._wanted, **self._own.get(address, {})}

    async def put_back(self, step: ApplySettings) -> None:
        """What could not be written for good is not left in force either: the next plan shows it again."""
        before = self._before.pop(step.address, {})
        await put_back_settings(self._work.pool, step.address, before, "config-not-written")


def _is_met(name: str, wanted: str, seen: str) -> bool:
    return wanted == seen if name in SECRET_DIRECTIVES else agrees(name, wanted, seen)


def _refusal(address: Address, names: list[str], done: list[str], error: ReplyError) -> ServerError:
    if len(done) < len(names):
        name = names[len(done)]
        text = f"its answer to CONFIG SET {name}" if is_secret(name) else str(error)
        return ServerError(
            f"{address} refuses to set {name}",
            code="setting-refused",
            where=str(address),
            seen=text,
            left="that node is as it was",
            hint="undo that change in the file, or change the nodes' own configuration",
        )
    return ServerError(
        f"{address} can't write its configuration file, so nothing was set on it",
        code="config-not-written",
        where=str(address),
        seen=str(error),
        left="that node is as it was",
        hint="let the server's user write that file and its folder, then slotwright up again",
    )


async def _await_links(work: Work, result: Plan) -> None:
    """Replicas try again every second; a link that stays down is told by the proof."""
    addresses = [step.address for step in result.steps if isinstance(step, ApplySettings)]
    text = "wait for the replicas to come into sync"
    work.context.report(Began("links", text))
    deadline = work.context.clock.now() + _LINKS_S
    while work.context.clock.now() < deadline and _are_down(await observe(work.pool, addresses)):
        await work.context.clock.sleep(_POLL_S)
    work.context.report(Ended("links", text))


def _are_down(observation: Observation) -> bool:
    return any(view.replication.link is Link.DOWN for view in observation.views)


async def _remember(work: Work, record: ClusterRecord) -> ClusterRecord:
    """The file, with the canonical values that the nodes gave for it."""
    names = tuple(name for name in wanted_settings(work.topology.settings) if name not in SECRET_DIRECTIVES)
    observation = await observe(work.pool, [record.blueprint.nodes[0].address], names)
    settings = observation.views[0].settings if observation.views else record.settings
    kept = replace(record, topology=work.topology, topology_path=str(work.loaded.path), settings=settings)
    if kept != record:
        work.store.write_record(kept)
    if work.password is not None and work.store.read_password() != work.password:
        work.store.write_password(work.password)
    return kept


async def _prove(work: Work, record: ClusterRecord) -> Verdict:
    target = Target(record.name, work.password, record, work.store)
    addresses = tuple(node.address for node in record.blueprint.nodes)
    verifier = Verifier(
        record.name,
        work.pool,
        work.context.clock,
        work.fleet.login,
        addresses,
        work.context.token(),
        target.expectation,
    )
    work.context.report(Began("prove", "prove: all nodes agree, a key written and read"))
    verdict = await verifier.look(with_canaries=True)
    work.context.report(Ended("prove", "prove: all nodes agree, a key written and read", is_ok=verdict.is_ok))
    return verdict
