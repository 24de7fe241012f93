"""destroy: a cluster taken away with all of its files, or with its data set aside."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.app import server_placement as server_placement
from slotwright.app.context import Context
from slotwright.app.jobs import refuse_while_open
from slotwright.app.targets import Target, choose_nodes, own_record
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.record import ClusterRecord
from slotwright.errors import HostError, PartialError, RefusedError
from slotwright.features.lifecycle.api import Agree, shutdown_impact
from slotwright.features.lifecycle.lost_folders import end_lost, find_lost, folder_lost
from slotwright.hosts.facts.installation import ROOT
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.processes import guarded
from slotwright.ops.remove_nodes import NodeRemoval
from slotwright.ops.runner import LenientJournal
from slotwright.ops.stop_nodes import Stopper, nodes_to_stop
from slotwright.ports import ClusterStore


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What is gone: nodes that had to be ended, folders removed; ``kept`` are the folders that hold the data now.

    ``aside`` are folders that earlier repairs and rebuilds wrote: archives, and values that differed. They are nobody's
    to remove but the operator's.
    """

    name: str
    nodes: int
    keys: int
    kept: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()


async def destroy(
    context: Context, target: Target, agree: Agree | None = None, *, keep_data: bool = False
) -> Destroyed:
    """End every node and remove every file of the cluster; with ``keep_data``, save first and set the data aside.

    Raises RefusedError (declined, locked, job-running): nothing was changed.
    """
    record, store = own_record(target)
    addresses = choose_nodes(record, ())
    with store.hold("destroy"):
        store.demand_known_formats()
        refuse_while_open(context, store.name)
        async with context.fleet(record.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
            impact = await shutdown_impact(fleet, record, pool, addresses, kill=not keep_data, keep_data=keep_data)
            if agree is not None and not agree(impact):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            # One may have been begun while somebody was being asked.
            refuse_while_open(context, store.name)
            lost = await find_lost(fleet, pool, record, addresses)
            if lost and keep_data:
                raise folder_lost(lost, f"slotwright destroy {store.name} without --keep-data")
            # Where nothing can be noted, as on a full disk, it goes all the same: that makes room.
            with context.journal(store.journal_path) as strict:
                journal, verb = LenientJournal(strict), "destroy --keep-data" if keep_data else "destroy"
                journal.write({"phase": "begin", "verb": verb, "nodes": [str(address) for address in addresses]})
                if keep_data:
                    stopper = Stopper(fleet, pool, context.clock, context.report, journal)
                    work = stopper.stop(nodes_to_stop(record, addresses))
                    await guarded(fleet, record, f"slotwright destroy {store.name} --keep-data", work)
                await end_lost(pool, context.clock, lost)
                removal = NodeRemoval(fleet, context.clock, journal)
                kept = await _take_away(context, removal, record, store, keep_data=keep_data)
    aside = tuple(str(path) for path in (store.archives_path, store.quarantine_path) if path.exists())
    return Destroyed(record.name, len(addresses), impact.keys, kept, aside)


async def _take_away(
    context: Context, removal: NodeRemoval, record: ClusterRecord, store: ClusterStore, *, keep_data: bool
) -> tuple[str, ...]:
    """Every process, folder and trace on the hosts, then what is kept here; the folders that hold the data now."""
    addresses = choose_nodes(record, ())
    text = f"remove {len(addresses)} node{'' if len(addresses) == 1 else 's'}"
    context.report(Began("remove", text))
    again = f"slotwright destroy {store.name}"
    fleet = removal.fleet
    kept: tuple[str, ...] = ()
    try:
        if keep_data:
            again = f"{again} --keep-data"
            kept = await guarded(fleet, record, again, removal.set_aside(record, kept_root(context, record)))
        else:
            await guarded(fleet, record, again, removal.take_down(record))
        await server_placement.clear(context, fleet, record, store)
    except (HostError, RefusedError) as error:
        context.report(Ended("remove", text, is_ok=False))
        raise PartialError(
            error.what,
            code=error.code,
            where=error.where,
            seen=error.seen,
            left=f"what is on {error.where}; the other hosts may be cleared, and {store.name} is still known here",
            hint=f"{error.hint}; then {again}" if error.hint else f"{again} goes on when that host is back",
        ) from error
    store.remove()
    context.report(Ended("remove", text))
    return kept


def kept_root(context: Context, record: ClusterRecord) -> str:
    """Where the data of a destroyed cluster goes: beside where it was, where no later cluster looks."""
    label = f"{record.name}-{record.blueprint.cluster_id[:8]}"
    if record.topology.data_directory:
        return f"{record.data_root}/kept/{label}"
    if record.topology.is_remote:
        return f"{ROOT}/kept/{label}"
    return str(context.state_root / "kept" / label)
