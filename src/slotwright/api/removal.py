"""destroy: a cluster taken away with all of its files, or with its data set aside."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.adapters import lock
from slotwright.adapters.state import ClusterStore
from slotwright.api import ground
from slotwright.api.context import Context
from slotwright.api.lifecycle import Agree, choose_nodes, guarded, own_record, say_farewell
from slotwright.api.targets import Target
from slotwright.errors import HostError, PartialError, RefusedError
from slotwright.model.events import Began, Ended
from slotwright.model.record import ClusterRecord
from slotwright.model.site import ROOT
from slotwright.operations.roster import Roster
from slotwright.operations.stop import NodeToStop, Stopper
from slotwright.operations.undo import Undo
from slotwright.ports import Fleet


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

    Raises RefusedError when ``agree`` says no (nothing was changed).
    """
    record, store = own_record(target)
    addresses = choose_nodes(record, ())
    with lock.hold(store.lock_path, "destroy", store.name):
        async with context.fleet(record.topology) as fleet:
            async with Roster(fleet.login(target.password, "")) as roster:
                farewell = await say_farewell(fleet, record, roster, addresses, kill=not keep_data, keep_data=keep_data)
                if agree is not None and not agree(farewell):
                    raise RefusedError("not confirmed", code="declined", left="nothing was changed")
                if keep_data:
                    nodes = [
                        NodeToStop(address, record.node_directory(address), record.blueprint.cluster_id)
                        for address in addresses
                    ]
                    stopper = Stopper(fleet, roster, context.clock, context.report)
                    again = f"slotwright destroy {store.name} --keep-data"
                    await guarded(fleet, record, again, stopper.stop(nodes))
            kept = await _take_away(context, fleet, record, store, keep_data=keep_data)
    aside = tuple(str(path) for path in (store.archives_path, store.quarantine_path) if path.exists())
    return Destroyed(record.name, len(addresses), farewell.keys, kept, aside)


async def _take_away(
    context: Context, fleet: Fleet, record: ClusterRecord, store: ClusterStore, *, keep_data: bool
) -> tuple[str, ...]:
    """Every process, folder and trace on the hosts, then what is kept here; the folders that hold the data now."""
    addresses = choose_nodes(record, ())
    text = f"remove {len(addresses)} node{'' if len(addresses) == 1 else 's'}"
    context.report(Began("remove", text))
    again = f"slotwright destroy {store.name}"
    undo = Undo(fleet, context.clock)
    kept: tuple[str, ...] = ()
    try:
        if keep_data:
            again = f"{again} --keep-data"
            kept = await guarded(fleet, record, again, undo.set_aside(record, kept_root(context, record)))
        else:
            await guarded(fleet, record, again, undo.take_down(record))
        await ground.clear(context, fleet, record, store)
    except HostError as error:
        context.report(Ended("remove", text, is_ok=False))
        raise PartialError(
            error.what,
            code=error.code,
            where=error.where,
            seen=error.seen,
            left=f"what is on {error.where}; the other hosts may be cleared, and {store.name} is still known here",
            hint=f"{again} goes on when that host is back",
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
