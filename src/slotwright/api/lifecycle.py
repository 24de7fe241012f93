"""stop, start and destroy: the life of a cluster that was made here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from slotwright.adapters import lock
from slotwright.adapters.state import ClusterStore
from slotwright.api.context import Context
from slotwright.api.targets import Target
from slotwright.errors import HostError, InputError, OperatorInterruptError, RefusedError
from slotwright.model.cluster import Role
from slotwright.model.facts import ProcessId
from slotwright.model.plan import ApplySettings, AwaitUsable, Plan, StartNode, Step
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.topology import Address
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.operations.stop import NodeToStop, Stopped, Stopper
from slotwright.ports import Fleet


@dataclass(frozen=True, slots=True)
class Farewell:
    """What a destructive verb is about to do: shown before it asks. ``risks`` are sentences of their own."""

    name: str
    nodes: tuple[Address, ...]
    running: int
    keys: int
    directories: tuple[str, ...]
    risks: tuple[str, ...] = ()
    keep_data: bool = False


if TYPE_CHECKING:
    from slotwright.api.deploy import UpResult

Value = TypeVar("Value")
Agree = Callable[[Farewell], bool]


def own_record(target: Target) -> tuple[ClusterRecord, ClusterStore]:
    """The record and its place; InputError for a cluster that was not made here, RefusedError for an adopted one."""
    if target.record is None or target.store is None:
        raise InputError(
            f"{target.name} was not made by slotwright here: it can be looked at, not changed",
            code="not-ours",
            where=target.name,
        )
    if target.record.stage is Stage.ADOPTED:
        raise RefusedError(
            f"{target.name} was adopted, not made by slotwright: its processes and files are not slotwright's",
            code="adopted",
            where=target.name,
            left="nothing was changed",
            hint=f"use what runs it on its hosts; slotwright adopt --forget {target.name} only forgets it here",
        )
    return target.record, target.store


def choose_nodes(record: ClusterRecord, texts: Sequence[str]) -> tuple[Address, ...]:
    """Addresses for ``host:port`` texts or unique beginnings of ids; all nodes for none. Raises InputError."""
    if not texts:
        return tuple(node.address for node in record.blueprint.nodes)
    chosen = []
    for text in texts:
        found = [node.address for node in record.blueprint.nodes if str(node.address) == text]
        found = found or [node.address for node in record.blueprint.nodes if len(text) > 3 and node.id.startswith(text)]
        if len(found) != 1:
            nodes = ", ".join(str(node.address) for node in record.blueprint.nodes[:12])
            raise InputError(
                f"{record.name} has no node {text}", code="unknown-node", where=text, hint=f"its nodes are {nodes}"
            )
        chosen.append(found[0])
    return tuple(dict.fromkeys(chosen))


async def stop(
    context: Context, target: Target, texts: Sequence[str] = (), agree: Agree | None = None, *, kill: bool = False
) -> tuple[Stopped, ...]:
    """Stop nodes cleanly, or at once with ``kill``. ``agree`` is asked first when service or data is at risk.

    Raises RefusedError (declined, locked) and PartialError (some still run).
    """
    record, store = own_record(target)
    addresses = choose_nodes(record, texts)
    with lock.hold(store.lock_path, "stop", store.name):
        async with context.fleet(record.topology) as fleet, Roster(fleet.login(target.password, "")) as roster:
            nodes = [
                NodeToStop(address, record.node_directory(address), record.blueprint.cluster_id)
                for address in addresses
            ]
            farewell = await say_farewell(fleet, record, roster, addresses, kill=kill)
            if farewell.running and agree is not None and not agree(farewell):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            stopper = Stopper(fleet, roster, context.clock, context.report, is_kill=kill)
            journal = context.open_journal(store.journal_path)
            journal.write({"phase": "begin", "verb": "stop", "nodes": [str(address) for address in addresses]})
            stopped = await guarded(fleet, record, f"slotwright stop {store.name}", stopper.stop(nodes))
            journal.write({"phase": "end", "verb": "stop", "stopped": len(stopped)})
            return stopped


async def guarded(fleet: Fleet, record: ClusterRecord, again: str, work: Awaitable[Value]) -> Value:
    """Do ``work``; Ctrl-C in it says what still runs, and that ``again`` finishes it."""
    try:
        return await work
    except asyncio.CancelledError:
        raise await _interrupted(fleet, record, again) from None


async def _interrupted(fleet: Fleet, record: ClusterRecord, again: str) -> OperatorInterruptError:
    everyone = await processes(fleet, record)
    running = [address for address, process in everyone.items() if process is not None]
    return OperatorInterruptError(
        "interrupted",
        where=record.name,
        left=f"{len(running)} of {len(everyone)} nodes still run; those that were told to stop go on stopping",
        hint=f"{again} finishes it; slotwright start {record.name} starts the others again",
    )


async def processes(fleet: Fleet, record: ClusterRecord) -> dict[Address, ProcessId | None]:
    """The process of every node, None for one that doesn't run, or whose host can't be asked."""
    addresses = [node.address for node in record.blueprint.nodes]
    cluster_id = record.blueprint.cluster_id
    found = await asyncio.gather(
        *(fleet.at(address.host).find(record.node_directory(address), cluster_id) for address in addresses),
        return_exceptions=True,
    )
    for each in found:
        if isinstance(each, BaseException) and not isinstance(each, HostError):
            raise each
    return {
        address: None if isinstance(each, BaseException) else each
        for address, each in zip(addresses, found, strict=True)
    }


async def say_farewell(
    fleet: Fleet,
    record: ClusterRecord,
    roster: Roster,
    addresses: Sequence[Address],
    *,
    kill: bool,
    keep_data: bool = False,
) -> Farewell:
    """What ending these nodes would cost, as far as they can tell."""
    everyone = [node.address for node in record.blueprint.nodes]
    """What ending these nodes would cost, as far as they can tell."""
    found = await processes(fleet, record)
    running = [address for address in addresses if found[address] is not None]
    observation = await observe(roster, [address for address in everyone if found[address] is not None])
    keys = sum(
        view.health.keys
        for view in observation.views
        if view.address in running and view.replication.role is Role.PRIMARY
    )
    risks = []
    primaries = [
        view.address
        for view in observation.views
        if view.address in running and view.myself is not None and view.myself.slots
    ]
    if primaries and set(addresses) != set(everyone):
        named = ", ".join(map(str, primaries))
        what = "is a primary: its" if len(primaries) == 1 else "are primaries: their"
        risks.append(f"{named} {what} slots are not served until a replica takes over")
    if kill and running and not keep_data:
        risks.append("nothing is saved: what is not on disk yet is lost")
    return Farewell(
        record.name,
        tuple(addresses),
        len(running),
        keys,
        tuple(record.node_directory(address) for address in addresses),
        tuple(risks),
        keep_data,
    )


async def start(context: Context, target: Target, texts: Sequence[str] = ()) -> UpResult:
    """Start nodes that don't run, as they were made; then wait until the cluster is usable, if all of it runs.

    Returns the UpResult of what was done. Raises what :func:`slotwright.api.deploy.up` raises.
    """
    from slotwright.adapters.topology_file import LoadedTopology
    from slotwright.api.deploy import draft_and_plan, execute, refuse_unsafe
    from slotwright.api.ground import survey
    from slotwright.api.work import at_work

    record, _ = own_record(target)
    chosen = choose_nodes(record, texts)
    if record.stage is Stage.FORMING:
        raise RefusedError(
            f"{record.name} was never formed: its up was cut",
            code="not-formed",
            where=record.name,
            left="nothing was changed",
            hint=f"slotwright up {record.topology_path} goes on from where it was",
        )
    loaded = LoadedTopology(record.topology, Path(record.topology_path), (), target.password)
    async with at_work(context, loaded, "start") as work:
        ground = await survey(work)
        draft, found = await draft_and_plan(work, ground)
        refuse_unsafe(found)
        return await execute(work, ground, draft, _only(found, chosen))


def _only(found: Plan, chosen: tuple[Address, ...]) -> Plan:
    """The starts of the chosen nodes; waiting only when no other node stays away."""
    starts = [step for step in found.steps if isinstance(step, StartNode)]
    mine = tuple(step for step in starts if step.address in chosen)
    waves: list[tuple[Step, ...]] = [mine] if mine else []
    if mine and len(mine) == len(starts):
        waves.append(tuple(step for step in found.steps if isinstance(step, AwaitUsable)))
    restored = tuple(step for step in found.steps if isinstance(step, ApplySettings) and step.address in chosen)
    waves += [restored] if restored else []
    return Plan(found.name, tuple(waves), (), found.findings, found.digest)
