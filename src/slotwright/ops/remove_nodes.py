"""Taking nodes away: for a cluster that never came to be, for ``destroy``, and for the old nodes of a ``rebuild``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from slotwright.cluster.record import ClusterRecord, directory_name
from slotwright.cluster.stages import Stage, one_by_one, side_by_side
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, RefusedError, SlotwrightError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.rehearse import await_gone
from slotwright.ops.runner import Runner, StepHandler, failures
from slotwright.ops.stop_nodes import NodeToStop, nodes_to_stop
from slotwright.ports import Clock, Fleet, Journal


async def count_keys(pool: ConnectionPool, addresses: Sequence[Address]) -> int:
    """Keys in the nodes that answer, replicas' copies included."""
    observation = await observe(pool, addresses)
    return sum(view.health.keys for view in observation.views)


@dataclass(frozen=True, slots=True)
class KillNode:
    """End the process of a node at once."""

    node: NodeToStop
    process: ProcessId

    kind = "kill"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.node.address)


@dataclass(frozen=True, slots=True)
class RemoveFolder:
    """Remove the folder of a node that does not run, with its data."""

    node: NodeToStop

    kind = "remove"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.node.address)


@dataclass(frozen=True, slots=True)
class SetFolderAside:
    """Move the folder of a node that does not run to ``destination``, where no later node looks."""

    node: NodeToStop
    destination: str

    kind = "set-aside"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.node.address)


RemovalStep = KillNode | RemoveFolder | SetFolderAside


class RemovalSteps(StepHandler[RemovalStep]):
    """How nodes are taken away. What is gone already is no failure, for the hosts themselves."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock

    async def act(self, step: RemovalStep) -> str:
        """Raises HostError; RefusedError where the process is another's."""
        node, host = step.node, self._fleet.at(step.node.address.host)
        match step:
            case KillNode():
                await host.kill(step.process, node.directory)
            case RemoveFolder():
                await host.remove(node.directory, node.cluster_id)
            case SetFolderAside():
                await host.set_aside(node.directory, node.cluster_id, step.destination)
            case _:
                assert_never(step)
        return ""

    async def read_back(self, step: RemovalStep) -> None:
        """A process is gone when its host says so; a folder, when its host has moved or removed it without an error."""
        if isinstance(step, KillNode):
            await await_gone(self._fleet, self._clock, [(step.node.address, step.process)])


@dataclass(frozen=True, slots=True)
class NodeRemoval:
    """Ends processes, and removes folders or sets them aside."""

    fleet: Fleet
    clock: Clock
    journal: Journal

    async def take_down(self, record: ClusterRecord) -> None:
        """Kill what still runs of the cluster, then remove its folders.

        Raises HostError for a process that can't be ended or a folder that can't be removed.
        """
        nodes = _nodes(record)
        lost = await self._end(nodes)
        removed = await self._run(side_by_side([RemoveFolder(node) for node in nodes]))
        _raise_first([*lost, *removed])

    async def set_aside(self, record: ClusterRecord, root: str) -> tuple[str, ...]:
        """End what still runs, then move the folders with their data below ``root``; returns where they are now."""
        nodes = _nodes(record)
        _raise_first(await self._end(nodes))
        steps = [SetFolderAside(node, f"{root}/{directory_name(node.address)}") for node in nodes]
        _raise_first(await self.move(steps))
        return tuple(step.destination for step in steps)

    async def kill(self, running: Sequence[tuple[NodeToStop, ProcessId]]) -> tuple[SlotwrightError, ...]:
        """End them all, and wait until they are gone; the errors of those that are not."""
        return await self._run(side_by_side([KillNode(node, process) for node, process in running]))

    async def move(self, steps: Sequence[SetFolderAside]) -> tuple[SlotwrightError, ...]:
        """One after the other, up to the first that fails: disks copy better so."""
        return await self._run(one_by_one(steps))

    async def _run(self, stage: Stage[RemovalStep]) -> tuple[SlotwrightError, ...]:
        return failures(await Runner(RemovalSteps(self.fleet, self.clock), self.journal).run(stage))

    async def _end(self, nodes: Sequence[NodeToStop]) -> list[SlotwrightError]:
        """What could not be ended, or even be looked for; the others are ended whatever happens. Raises RefusedError,
        with none ended, where a folder or what it says of its process can't be believed."""
        found = await asyncio.gather(
            *(self.fleet.at(node.address.host).find(node.directory, node.cluster_id) for node in nodes),
            return_exceptions=True,
        )
        # Before anything is ended: what can't be believed is for people to look at.
        _raise_first([result for result in found if isinstance(result, RefusedError)])
        _raise_first([result for result in found if not isinstance(result, HostError)])
        running = [
            (node, process) for node, process in zip(nodes, found, strict=True) if isinstance(process, ProcessId)
        ]
        lost = [result for result in found if isinstance(result, HostError)]
        return [*lost, *await self.kill(running)]


def _nodes(record: ClusterRecord) -> tuple[NodeToStop, ...]:
    return nodes_to_stop(record, [node.address for node in record.blueprint.nodes])


def _raise_first(outcomes: Sequence[object]) -> None:
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
