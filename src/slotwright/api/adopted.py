"""plan and up of an adopted cluster: its nodes are asked and told over their client ports, and nothing else is touched.

Nothing here reads or writes a folder, and no process is started or ended. What is set is written to the node's own
configuration file by the node itself (CONFIG REWRITE), and read back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from slotwright.adapters.journal import FileJournal
from slotwright.api.targets import Target
from slotwright.api.work import Work
from slotwright.errors import OperatorInterruptError, PartialError, RefusedError, ServerError, SlotwrightError
from slotwright.model.cluster import Link, Observation
from slotwright.model.events import Began, Ended
from slotwright.model.plan import ApplySettings, Plan
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.topology import Address
from slotwright.operations.observe import observe, setting_value
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.adoption_changes import (
    AdoptedDesire,
    AdoptedWorld,
    names_to_ask,
    plan_adopted,
    texts,
)
from slotwright.planning.adoption_settings import agrees, wanted_settings
from slotwright.ports import Connection, Journal, ReplyError
from slotwright.wire.info import parse_info
from slotwright.wire.server_conf import SECRET_DIRECTIVES

if TYPE_CHECKING:
    from slotwright.api.deploy import UpResult

_LINKS_S = 20.0
_POLL_S = 0.1


def adopted_record(work: Work) -> ClusterRecord | None:
    """The record of the file's cluster, if that is an adopted one."""
    record = work.store.read_record()
    return record if record is not None and record.stage is Stage.ADOPTED else None


async def plan(work: Work, record: ClusterRecord) -> Plan:
    """What ``up`` would set, and what it refuses."""
    addresses = [node.address for node in record.blueprint.nodes]
    work.context.report(Began("look", "look at the nodes"))
    observation = await observe(work.roster, addresses, names_to_ask(work.topology))
    with_file = await asyncio.gather(*(_has_file(work, view.address) for view in observation.views))
    owners = frozenset(view.address for view, has in zip(observation.views, with_file, strict=True) if has)
    work.context.report(Ended("look", f"look at the nodes: {len(observation.views)} of {len(addresses)} answer"))
    return plan_adopted(_desire(work), record, AdoptedWorld(observation, owners))


async def up(work: Work, record: ClusterRecord, confirm: Callable[[Plan], bool] | None) -> UpResult:
    """Set what the file says otherwise than the nodes, and prove the outcome.

    Raises PlanRefusedError, RefusedError (declined, stale), and PartialError when some nodes have it and some not.
    """
    from slotwright.api.deploy import UpResult, refuse_unsafe

    found = await plan(work, record)
    refuse_unsafe(found)
    if found.steps and confirm is not None:
        if not confirm(found):
            raise RefusedError("not confirmed", code="declined", left="nothing was changed")
        if (await plan(work, record)).digest != found.digest:
            raise RefusedError(
                "the world changed while the plan was being read",
                code="stale-plan",
                where=found.name,
                left="nothing was changed",
                hint="slotwright up shows the new plan",
            )
    journal = work.context.open_journal(work.store.journal_path)
    try:
        await _apply(work, found, journal)
        kept = await _remember(work, record)
        verdict = await _prove(work, kept)
    except asyncio.CancelledError:
        raise OperatorInterruptError(
            "interrupted",
            where=record.name,
            left="settings were being changed: some nodes may have the new ones",
            hint=f"slotwright up {work.loaded.path} goes on from here",
        ) from None
    finally:
        if isinstance(journal, FileJournal):
            journal.close()
    return UpResult(found, verdict, None, kept)


def _desire(work: Work) -> AdoptedDesire:
    return AdoptedDesire(work.topology, work.password)


async def _has_file(work: Work, address: Address) -> bool:
    connection = await work.roster.connection(address)
    reply = await connection.call("INFO", "server")
    return bool(isinstance(reply, bytes) and parse_info(reply.decode(errors="replace")).get("config_file"))


async def _apply(work: Work, found: Plan, journal: Journal) -> None:
    """One node first: what it refuses, the others would refuse too, and then nothing was changed."""
    steps = [step for step in found.steps if isinstance(step, ApplySettings)]
    if not steps:
        return
    text = f"set {', '.join(sorted({change.name for step in steps for change in step.changes}))}"
    work.context.report(Began("set", text))
    journal.write({"phase": "begin", "verb": "up", "steps": len(steps), "digest": found.digest})
    is_ok = False
    try:
        await _set(work, steps[0], journal)
        results = await asyncio.gather(*(_set(work, step, journal) for step in steps[1:]), return_exceptions=True)
        errors = [each for each in results if isinstance(each, BaseException)]
        if errors:
            raise _partly(errors[0], len(steps) - len(errors), len(steps), work)
        is_ok = True
    finally:
        work.context.report(Ended("set", text, is_ok))
    if any(change.name == "masterauth" for step in steps for change in step.changes):
        await _await_links(work, found)
    journal.write({"phase": "end", "verb": "up"})


def _partly(error: BaseException, done: int, total: int, work: Work) -> BaseException:
    if not isinstance(error, SlotwrightError):
        return error
    return PartialError(
        error.what,
        code=error.code,
        where=error.where,
        seen=error.seen,
        left=f"{done} of {total} nodes have the new settings",
        hint=error.hint or f"slotwright up {work.loaded.path} goes on from here",
    )


async def _set(work: Work, step: ApplySettings, journal: Journal) -> None:
    entry = {"step": step.kind, "where": str(step.address)}
    journal.write({"phase": "intent", **entry})
    wanted = texts(_desire(work))
    names = [change.name for change in step.changes]
    connection = await work.roster.connection(step.address)
    before = {name: setting_value(await connection.call("CONFIG", "GET", name)) or "" for name in names}
    done: list[str] = []
    try:
        for name in names:
            await connection.call("CONFIG", "SET", name, wanted[name])
            done.append(name)
        await connection.call("CONFIG", "REWRITE")
    except ReplyError as error:
        await _put_back(connection, step.address, {name: before[name] for name in done})
        journal.write({"phase": "failed", **entry})
        raise _refusal(step.address, names, done, error) from error
    after = {name: setting_value(await connection.call("CONFIG", "GET", name)) or "" for name in names}
    wrong = [name for name in names if not _is_met(name, wanted[name], after[name])]
    if wrong:
        raise PartialError(f"{', '.join(wrong)} did not take effect", code="setting-not-taken", where=str(step.address))
    journal.write({"phase": "done", **entry})


def _is_met(name: str, wanted: str, seen: str) -> bool:
    return wanted == seen if name in SECRET_DIRECTIVES else agrees(name, wanted, seen)


async def _put_back(connection: Connection, address: Address, before: dict[str, str]) -> None:
    """What could not be written for good is not left in force either: the next plan shows it again."""
    try:
        for name, value in before.items():
            await connection.call("CONFIG", "SET", name, value)
    except (ReplyError, ServerError) as error:
        raise PartialError(
            f"{address} has new settings that it could not write to its configuration file",
            code="config-not-written",
            where=str(address),
            seen=str(error),
            hint="CONFIG REWRITE on it, when its file can be written",
        ) from error


def _refusal(address: Address, names: list[str], done: list[str], error: ReplyError) -> ServerError:
    if len(done) < len(names):
        name = names[len(done)]
        seen = f"its answer to CONFIG SET {name}" if name in SECRET_DIRECTIVES else str(error)
        return ServerError(
            f"{address} refuses to set {name}",
            code="setting-refused",
            where=str(address),
            seen=seen,
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


async def _await_links(work: Work, found: Plan) -> None:
    """Replicas try again every second; a link that stays down is told by the proof."""
    addresses = [step.address for step in found.steps if isinstance(step, ApplySettings)]
    text = "wait for the replicas to come into sync"
    work.context.report(Began("links", text))
    deadline = work.context.clock.now() + _LINKS_S
    while work.context.clock.now() < deadline and _are_down(await observe(work.roster, addresses)):
        await work.context.clock.sleep(_POLL_S)
    work.context.report(Ended("links", text))


def _are_down(observation: Observation) -> bool:
    return any(view.replication.link is Link.DOWN for view in observation.views)


async def _remember(work: Work, record: ClusterRecord) -> ClusterRecord:
    """The file, with the canonical values that the nodes gave for it."""
    names = tuple(name for name in wanted_settings(work.topology.settings) if name not in SECRET_DIRECTIVES)
    seen = await observe(work.roster, [record.blueprint.nodes[0].address], names)
    settings = seen.views[0].settings if seen.views else record.settings
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
        work.roster,
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
