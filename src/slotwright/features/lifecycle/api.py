"""stop, start and destroy: the life of a cluster that was made here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.app.context import Context
from slotwright.app.jobs import refuse_while_running
from slotwright.app.targets import Target, choose_nodes, own_record
from slotwright.cluster.observation import Role
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.steps import ApplySettings, AwaitUsable, Plan, StartNode, Step
from slotwright.cluster.topology import Address
from slotwright.errors import RefusedError
from slotwright.features.lifecycle.lost_folders import find_lost, folder_lost
from slotwright.health.slot_claims import dropped_at_start
from slotwright.keys.slot_contents import count_keys
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.processes import guarded, processes
from slotwright.ops.stop_nodes import Stopped, Stopper, nodes_to_stop
from slotwright.ports import Fleet, LoadedTopology


@dataclass(frozen=True, slots=True)
class ShutdownImpact:
    """What a destructive verb is about to do: shown before it asks. ``risks`` are sentences of their own."""

    name: str
    nodes: tuple[Address, ...]
    running: int
    keys: int
    directories: tuple[str, ...]
    risks: tuple[str, ...] = ()
    keep_data: bool = False


if TYPE_CHECKING:
    from slotwright.features.deploy.outcome import UpResult

Agree = Callable[[ShutdownImpact], bool]


async def stop(
    context: Context, target: Target, texts: Sequence[str] = (), agree: Agree | None = None, *, kill: bool = False
) -> tuple[Stopped, ...]:
    """Stop nodes cleanly, or at once with ``kill``. ``agree`` is asked first when service or data is at risk.

    Raises RefusedError (declined, locked; job-running for all nodes of a cluster) and PartialError (some still run).
    """
    record, store = own_record(target)
    addresses = choose_nodes(record, texts)
    is_whole = set(addresses) == {node.address for node in record.blueprint.nodes}
    with store.hold("stop"):
        if is_whole:
            refuse_while_running(context, store.name)
        async with context.fleet(record.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
            await _refuse_strays(pool, record, addresses)
            lost = await find_lost(fleet, pool, record, addresses)
            if lost:
                raise folder_lost(lost, "SHUTDOWN NOSAVE on it, by redis-cli, ends it with what it has")
            impact = await shutdown_impact(fleet, record, pool, addresses, kill=kill)
            if impact.running and agree is not None and not agree(impact):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            if is_whole:
                # One may have been begun while somebody was being asked.
                refuse_while_running(context, store.name)
            with context.journal(store.journal_path) as journal:
                stopper = Stopper(fleet, pool, context.clock, context.report, journal, is_kill=kill)
                journal.write({"phase": "begin", "verb": "stop", "nodes": [str(address) for address in addresses]})
                work = stopper.stop(nodes_to_stop(record, addresses))
                stopped = await guarded(fleet, record, f"slotwright stop {store.name}", work)
                journal.write({"phase": "end", "verb": "stop", "stopped": len(stopped)})
            return stopped


async def _refuse_strays(pool: ConnectionPool, record: ClusterRecord, addresses: Sequence[Address]) -> None:
    """Raises RefusedError (keys-misplaced): Valkey deletes keys of others' slots when it starts (cluster_legacy.c,
    verifyClusterConfigWithData). Redis keeps them, and imports their slots."""
    for view in (await observe(pool, addresses)).views:
        at_risk = dropped_at_start(view)
        keys = sum((await count_keys(pool, view, at_risk)).values()) if at_risk else 0
        if keys:
            raise RefusedError(
                f"{view.address} holds {keys} key{'s' if keys > 1 else ''} of slots that it does not own, and would "
                "delete them at its next start",
                code="keys-misplaced",
                where=str(view.address),
                left="nothing was changed",
                hint=f"slotwright repair {record.name} brings them to the slots' owners",
            )


async def shutdown_impact(
    fleet: Fleet,
    record: ClusterRecord,
    pool: ConnectionPool,
    addresses: Sequence[Address],
    *,
    kill: bool,
    keep_data: bool = False,
) -> ShutdownImpact:
    """What ending these nodes would cost, as far as they can tell."""
    everyone = [node.address for node in record.blueprint.nodes]
    process_by_address = await processes(fleet, record)
    running = [address for address in addresses if process_by_address[address] is not None]
    observation = await observe(pool, [address for address in everyone if process_by_address[address] is not None])
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
    return ShutdownImpact(
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

    Returns the UpResult of what was done. Raises what :func:`slotwright.features.deploy.api.up` raises.
    """
    from slotwright.app.server_placement import survey
    from slotwright.app.session import at_work
    from slotwright.features.deploy.api import draft_and_plan, execute
    from slotwright.features.deploy.outcome import refuse_unsafe

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
        server_placement = await survey(work)
        draft, plan = await draft_and_plan(work, server_placement)
        refuse_unsafe(plan)
        return await execute(work, server_placement, draft, _only(plan, chosen))


def _only(plan: Plan, chosen: tuple[Address, ...]) -> Plan:
    """The starts of the chosen nodes; waiting only when no other node stays away."""
    starts = [step for step in plan.steps if isinstance(step, StartNode)]
    mine = tuple(step for step in starts if step.address in chosen)
    waves: list[tuple[Step, ...]] = [mine] if mine else []
    if mine and len(mine) == len(starts):
        waves.append(tuple(step for step in plan.steps if isinstance(step, AwaitUsable)))
    restored = tuple(step for step in plan.steps if isinstance(step, ApplySettings) and step.address in chosen)
    waves += [restored] if restored else []
    return Plan(plan.name, tuple(waves), (), plan.findings, plan.digest)
