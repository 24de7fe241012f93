"""A cluster being worked on: its file, its lock, its hosts and the connections to its servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.adapters import lock
from slotwright.adapters.state import ClusterStore
from slotwright.adapters.topology_file import LoadedTopology, load_topology
from slotwright.api import passwords
from slotwright.api.context import Context
from slotwright.errors import OperatorInterruptError
from slotwright.model.events import Warned
from slotwright.model.facts import HostFacts, NodeQuery
from slotwright.model.record import folder_of
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode, Topology
from slotwright.operations.roster import Roster
from slotwright.ports import Fleet


@dataclass(frozen=True, slots=True)
class Work:
    """A cluster with its lock held: the file, where its state is, and the connections with its password."""

    context: Context
    loaded: LoadedTopology
    store: ClusterStore
    fleet: Fleet
    roster: Roster
    password: Secret | None = field(repr=False)

    @property
    def topology(self) -> Topology:
        """What the file says."""
        return self.loaded.topology


def load(context: Context, path: Path) -> LoadedTopology:
    """The file, its warnings reported. Raises InputError."""
    loaded = load_topology(path)
    for warning in loaded.warnings:
        context.report(Warned(warning.what, warning.where))
    return loaded


@asynccontextmanager
async def at_hosts(context: Context, loaded: LoadedTopology, verb: str, *, is_change: bool) -> AsyncIterator[Work]:
    """The hosts of a file, without its servers: no password is needed, and the lock only for a change."""
    store = context.store(loaded.topology.name)
    had_folder = store.folder.exists()
    with lock.hold(store.lock_path, verb, store.name) if is_change else nullcontext():
        try:
            async with context.fleet(loaded.topology) as fleet, Roster(fleet.login(None, "")) as roster:
                yield Work(context, loaded, store, fleet, roster, None)
        finally:
            if is_change and not had_folder:
                store.remove()


@asynccontextmanager
async def at_work(context: Context, loaded: LoadedTopology, verb: str) -> AsyncIterator[Work]:
    """Hold the cluster's lock; what was made only to hold it goes again."""
    store = context.store(loaded.topology.name)
    had_file = store.topology_path.exists()
    with lock.hold(store.lock_path, verb, store.name):
        try:
            password = passwords.resolve(loaded.topology.password, store, loaded.inline_password)
            async with context.fleet(loaded.topology) as fleet, Roster(fleet.login(password, "")) as roster:
                yield Work(context, loaded, store, fleet, roster, password)
        except asyncio.CancelledError:
            # Executing has its own word for this; here, nothing was begun yet.
            raise OperatorInterruptError("interrupted", where=store.name, left="nothing was changed") from None
        finally:
            is_kept = (had_file and store.topology_path.exists()) or store.rebuild_path.exists()
            if store.read_record() is None and not is_kept:
                store.remove()


async def inspect_hosts(
    work: Work, data_root: str, away: Collection[str] = (), but: Collection[Address] = ()
) -> tuple[HostFacts, ...]:
    """Folders, processes and ports where the file's nodes are or would be, of all hosts but those that are ``away``,
    and of all nodes ``but`` those."""
    record = work.store.read_record()
    cluster_id = record.blueprint.cluster_id if record else ""
    has_bus = work.topology.mode is Mode.CLUSTER
    asked = [
        work.fleet.at(host.address).inspect(
            host.address,
            cluster_id,
            [
                NodeQuery(address, f"{data_root}/{folder_of(record, address)}", has_bus)
                for address in host.node_addresses
                if address not in but
            ],
        )
        for host in work.topology.hosts
        if host.address not in away
    ]
    return tuple(await asyncio.gather(*asked))
