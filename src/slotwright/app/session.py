"""A cluster being worked on: its file, its lock, its hosts and the connections to its servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.app import passwords
from slotwright.app.context import Context
from slotwright.cluster.events import Warned
from slotwright.cluster.record import folder_of
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.errors import InputError, OperatorInterruptError
from slotwright.hosts.facts.nodes import HostFacts, NodeQuery
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import ClusterStore, Fleet, LoadedTopology


@dataclass(frozen=True, slots=True)
class Work:
    """A cluster with its lock held: the file, where its state is, and the connections with its password."""

    context: Context
    loaded: LoadedTopology
    store: ClusterStore
    fleet: Fleet
    pool: ConnectionPool
    password: Secret | None = field(repr=False)

    @property
    def topology(self) -> Topology:
        """What the file says."""
        return self.loaded.topology


def load(context: Context, path: Path) -> LoadedTopology:
    """The file, its warnings reported. Raises InputError."""
    loaded = context.read_topology(path)
    for warning in loaded.warnings:
        context.report(Warned(warning.what, warning.where))
    return loaded


def _demand_text(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the path {str(path)!a} is not UTF-8, and can't be kept",
            code="path-not-text",
            where=ascii(str(path)),
            left="nothing was changed",
            hint="give the topology file, and its folders, names in UTF-8",
        ) from error


@asynccontextmanager
async def at_hosts(context: Context, loaded: LoadedTopology, verb: str, *, is_change: bool) -> AsyncIterator[Work]:
    """The hosts of a file, without its servers: no password is needed, and the lock only for a change."""
    store = context.store(loaded.topology.name)
    had_folder = store.exists()
    with store.hold(verb) if is_change else nullcontext():
        store.demand_known_formats()
        try:
            async with context.fleet(loaded.topology) as fleet, ConnectionPool(fleet.login(None, "")) as pool:
                yield Work(context, loaded, store, fleet, pool, None)
        finally:
            if is_change and not had_folder:
                store.remove()


@asynccontextmanager
async def at_work(context: Context, loaded: LoadedTopology, verb: str) -> AsyncIterator[Work]:
    """Hold the cluster's lock; what was made only to hold it goes again.

    Raises InputError (path-not-text) for a file whose path can't be kept in the record.
    """
    if verb != "plan":
        _demand_text(loaded.path)
    store = context.store(loaded.topology.name)
    had_file = store.has_topology()
    with store.hold(verb):
        store.demand_known_formats()
        try:
            password = passwords.resolve(context.secrets, loaded.topology.password, store, loaded.inline_password)
            async with context.fleet(loaded.topology) as fleet, ConnectionPool(fleet.login(password, "")) as pool:
                yield Work(context, loaded, store, fleet, pool, password)
        except asyncio.CancelledError:
            # Executing has its own word for this; here, nothing was begun yet.
            raise OperatorInterruptError("interrupted", where=store.name, left="nothing was changed") from None
        finally:
            is_kept = (had_file and store.has_topology()) or store.has_rebuild()
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
