"""The old nodes of a rebuild: looked at, ended, their folders set aside; each is a step that can be done again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slotwright.cluster.events import Report
from slotwright.cluster.observation import Observation, PeerView
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.features.rebuild.model import Rebuild
from slotwright.features.rebuild.plan.copies import Member
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery, ProcessId
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.remove_nodes import NodeRemoval, SetFolderAside
from slotwright.ops.runner import Runner, StepHandler, failures
from slotwright.ops.stop_nodes import NodeToStop, Stopper, nodes_to_stop
from slotwright.ports import Clock, Fleet, Journal, ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes

_POLL_S = 0.02
_GONE_S = 10.0

_FOLDERS = {
    DirectoryState.ABSENT: "its folder is gone",
    DirectoryState.EMPTY: "its folder is empty",
    DirectoryState.FOREIGN: "its folder is not slotwright's",
    DirectoryState.OTHER_CLUSTER: "its folder is of another cluster",
    DirectoryState.UNWRITABLE: "its folder can't be used",
    DirectoryState.UNSAFE: "its folder can't be believed",
    DirectoryState.NEWER: "its folder was written by a later slotwright",
}


async def look_at_members(fleet: Fleet, record: ClusterRecord, observation: Observation) -> tuple[Member, ...]:
    """Every old node: whether its folder can be had, what data is in it, and its map, from itself or from its disk."""
    return tuple(
        await asyncio.gather(*(_member(fleet, record, node.address, observation) for node in record.blueprint.nodes))
    )


async def _member(fleet: Fleet, record: ClusterRecord, address: Address, observation: Observation) -> Member:
    node, view = record.blueprint.node_at(address), observation.view_of(address)
    host, directory, cluster_id = fleet.at(address.host), record.node_directory(address), record.blueprint.cluster_id
    keys, lines = (view.health.keys, view.peers) if view else (None, ())
    member = Member(address, node.id, keys=keys, lines=lines)
    try:
        facts = await host.inspect(address.host, cluster_id, [NodeQuery(address, directory)])
        folder = facts.nodes[0].directory
        if folder.state is not DirectoryState.OURS:
            is_out = folder.state not in (DirectoryState.ABSENT, DirectoryState.EMPTY)
            return replace(member, trouble=folder.reason or _FOLDERS[folder.state], is_out_of_reach=is_out)
        data = await host.data_files(directory)
        if view is None:
            lines = _lines(await host.read_map(directory, cluster_id), address)
        return replace(member, data=data, lines=lines)
    except HostError as error:
        return replace(member, trouble=error.what, is_out_of_reach=True)


def _lines(text: str, address: Address) -> tuple[PeerView, ...]:
    """The nodes of a ``nodes.conf``; a map that can't be read says nothing."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("vars "))
    try:
        return parse_cluster_nodes(kept, address)
    except ValueError:
        return ()


@dataclass(frozen=True, slots=True)
class EndHomeless:
    """End a server of the old cluster whose folder was taken away under it: nobody finds its process by that, and it
    still holds the port."""

    address: Address

    kind = "end"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.address)


@dataclass(frozen=True, slots=True)
class HomelessSteps(StepHandler[EndHomeless]):
    """How such a server is ended: there is nothing left that it could save to."""

    pool: ConnectionPool
    clock: Clock

    async def act(self, step: EndHomeless) -> str:
        """When it obeys, the connection ends. Raises ServerError (not-stopped) where it refuses."""
        try:
            connection = await self.pool.connection(step.address)
            await connection.call("SHUTDOWN", "NOSAVE")
        except NodeUnreachableError:
            await self.pool.drop(step.address)
        except ReplyError as error:
            raise _still_there(step, str(error)) from error
        return ""

    async def read_back(self, step: EndHomeless) -> None:
        """Until nobody answers there. Raises ServerError (not-stopped)."""
        deadline = self.clock.now() + _GONE_S
        while (await observe(self.pool, [step.address])).views:
            if self.clock.now() > deadline:
                raise _still_there(step, "it answers still")
            await self.clock.sleep(_POLL_S)


def _still_there(step: EndHomeless, seen: str) -> ServerError:
    return ServerError(
        f"{step.address} does not end, and its folder is gone",
        code="not-stopped",
        where=step.where,
        seen=seen,
        hint="end that server by hand",
    )


@dataclass(frozen=True, slots=True)
class OldNodes:
    """The nodes of the old cluster that can be reached. All of it can be done again after any cut."""

    fleet: Fleet
    pool: ConnectionPool
    clock: Clock
    report: Report
    journal: Journal

    async def are_aside(self, rebuild: Rebuild) -> bool:
        """Whether none of them has its folder or answers any more, however far an earlier run came by its own word."""
        nodes = _reachable(rebuild)
        states = await asyncio.gather(*(self._directory_state(node) for node in nodes))
        if any(state is not DirectoryState.ABSENT for state in states):
            return False
        return not (await observe(self.pool, [node.address for node in nodes])).views

    async def set_aside(self, rebuild: Rebuild) -> None:
        """End them all, then move their folders, each on its own host. Raises HostError, or PartialError where a node
        can't save: it goes on running then."""
        nodes = _reachable(rebuild)
        await self._end(rebuild.old, nodes)
        steps = [SetFolderAside(node, rebuild.kept_directory(node.address)) for node in nodes]
        _raise_first(await self._removal.move(steps))

    @property
    def _removal(self) -> NodeRemoval:
        return NodeRemoval(self.fleet, self.clock, self.journal)

    async def _directory_state(self, node: NodeToStop) -> DirectoryState:
        host, query = node.address.host, NodeQuery(node.address, node.directory)
        facts = await self.fleet.at(host).inspect(host, node.cluster_id, [query])
        return facts.nodes[0].directory.state

    async def _end(self, old: ClusterRecord, nodes: Sequence[NodeToStop]) -> None:
        """Those that answer save and go; the others are ended at once."""
        observation = await observe(self.pool, [node.address for node in nodes])
        willing = [node for node in nodes if observation.view_of(node.address) is not None]
        try:
            await Stopper(self.fleet, self.pool, self.clock, self.report, self.journal).stop(willing)
        except PartialError as error:
            if error.code == "save-failed":
                raise
        await self._end_homeless(old, willing)
        await self._kill(nodes)

    async def _end_homeless(self, old: ClusterRecord, nodes: Sequence[NodeToStop]) -> None:
        await asyncio.gather(*(self.pool.drop(node.address) for node in nodes))
        observation = await observe(self.pool, [node.address for node in nodes])
        steps = [
            EndHomeless(view.address) for view in observation.views if view.id == old.blueprint.node_at(view.address).id
        ]
        _raise_first(
            failures(await Runner(HomelessSteps(self.pool, self.clock), self.journal).run(side_by_side(steps)))
        )

    async def _kill(self, nodes: Sequence[NodeToStop]) -> None:
        found = await asyncio.gather(
            *(self.fleet.at(node.address.host).find(node.directory, node.cluster_id) for node in nodes)
        )
        running = [
            (node, process) for node, process in zip(nodes, found, strict=True) if isinstance(process, ProcessId)
        ]
        _raise_first(await self._removal.kill(running))


def _reachable(rebuild: Rebuild) -> tuple[NodeToStop, ...]:
    left = frozenset(rebuild.left_behind)
    everyone = [node.address for node in rebuild.old.blueprint.nodes]
    return nodes_to_stop(rebuild.old, [address for address in everyone if address not in left])


def _raise_first(errors: Sequence[SlotwrightError]) -> None:
    for error in errors:
        raise error
