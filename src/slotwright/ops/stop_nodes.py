"""A clean stop: SHUTDOWN with save, replicas before primaries, and a report of what was saved."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Moved, Report
from slotwright.cluster.observation import Observation, Role
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.runner import Runner, StepHandler, failures
from slotwright.ports import Clock, Fleet, Journal, ReplyError

SHUTDOWN_PATIENCE_S = 300.0
"""A save of a large data set takes its time; the server itself waits up to 10 s for its replicas (shutdown-timeout)."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """One node that was stopped. ``keys`` None: it could not be asked before. ``saved`` are (file, bytes)."""

    address: Address
    keys: int | None
    saved: tuple[tuple[str, int], ...]
    was_killed: bool = False


@dataclass(frozen=True, slots=True)
class NodeToStop:
    """A node with its folder."""

    address: Address
    directory: str
    cluster_id: str


def nodes_to_stop(record: ClusterRecord, addresses: Sequence[Address]) -> tuple[NodeToStop, ...]:
    """The nodes at these addresses, with the folders that the record gives them."""
    cluster_id = record.blueprint.cluster_id
    return tuple(NodeToStop(address, record.node_directory(address), cluster_id) for address in addresses)


@dataclass(frozen=True, slots=True)
class StopNode:
    """End the server of ``node``, which runs as ``process``; ``keys`` None: it could not be asked."""

    node: NodeToStop
    process: ProcessId
    role: Role
    keys: int | None

    kind = "stop"

    @property
    def where(self) -> str:
        """The node."""
        return str(self.node.address)


@dataclass
class StopSteps(StepHandler[StopNode]):
    """How a node is stopped; ``is_kill``: at once, without a save. ``stopped`` are those that were."""

    fleet: Fleet
    pool: ConnectionPool
    clock: Clock
    is_kill: bool
    stopped: list[Stopped] = field(default_factory=list)

    async def is_done(self, step: StopNode) -> bool:
        """Whether it has ended by itself meanwhile."""
        return not await self.fleet.at(step.node.address.host).is_running(step.process)

    async def act(self, step: StopNode) -> str:
        """Raises ServerError (save-failed), HostError; RefusedError where the process is another's."""
        if self.is_kill:
            await self.fleet.at(step.node.address.host).kill(step.process, step.node.directory)
        else:
            await self._shut_down(step.node.address)
        return ""

    async def read_back(self, step: StopNode) -> None:
        """Until its host says that the process is gone; then what is on its disk. Raises ServerError (not-stopped)."""
        address = step.node.address
        host, deadline = self.fleet.at(address.host), self.clock.now() + SHUTDOWN_PATIENCE_S
        while await host.is_running(step.process):
            if self.clock.now() > deadline:
                raise ServerError(f"{address} does not end", code="not-stopped", where=str(address))
            await self.clock.sleep(0.01)
        files = await host.data_files(step.node.directory)
        self.stopped.append(Stopped(address, step.keys, files, self.is_kill))

    async def _shut_down(self, address: Address) -> None:
        """The server answers only when it refuses; when it obeys, the connection ends."""
        try:
            connection = await self.pool.connection(address)
            await connection.call("SHUTDOWN", "SAVE", timeout_s=SHUTDOWN_PATIENCE_S)
        except ReplyError as error:
            raise ServerError(
                f"{address} could not save, and goes on running",
                code="save-failed",
                where=str(address),
                seen=str(error),
                hint=f"slotwright logs {address} says why; --kill ends it without saving",
            ) from error
        except NodeUnreachableError as error:
            await self.pool.drop(address)
            if error.code != "closed":
                error.hint = "--kill ends it without saving (what is not on its disk yet is lost)"
                raise


@dataclass(frozen=True, slots=True)
class Stopper:
    """Stops nodes; ``is_kill`` ends them at once, without a save."""

    fleet: Fleet
    pool: ConnectionPool
    clock: Clock
    report: Report
    journal: Journal
    is_kill: bool = False

    async def stop(self, nodes: Sequence[NodeToStop]) -> tuple[Stopped, ...]:
        """Replicas first, so that no primary's end starts a failover. Nodes that don't run are left out.

        Raises PartialError with what was stopped and what was not.
        """
        steps, failed = await self._plan(nodes)
        text = f"stop {len(steps)} node{'s' if len(steps) != 1 else ''}" + (
            " at once" if self.is_kill else ", with save"
        )
        self.report(Began("stop", text))
        handler = StopSteps(self.fleet, self.pool, self.clock, self.is_kill)
        for role in (Role.REPLICA, Role.PRIMARY):
            stage = side_by_side([step for step in steps if step.role is role])
            failed += failures(await Runner(handler, self.journal).run(stage))
            _raise_others(failed)
            self.report(Moved("stop", text, len(handler.stopped), len(steps)))
        self.report(Ended("stop", text, is_ok=not failed))
        if failed:
            raise _not_all(failed, handler.stopped)
        return tuple(sorted(handler.stopped, key=lambda node: node.address))

    async def _plan(self, nodes: Sequence[NodeToStop]) -> tuple[list[StopNode], list[SlotwrightError]]:
        """A step for each node that runs, and why some could not be looked for."""
        outcome = await asyncio.gather(
            *(self.fleet.at(node.address.host).find(node.directory, node.cluster_id) for node in nodes),
            return_exceptions=True,
        )
        for result in outcome:
            if isinstance(result, BaseException) and not isinstance(result, HostError):
                raise result
        running = [
            (node, process) for node, process in zip(nodes, outcome, strict=True) if isinstance(process, ProcessId)
        ]
        observation = await observe(self.pool, [node.address for node, _ in running])
        unseen: list[SlotwrightError] = [result for result in outcome if isinstance(result, HostError)]
        return list(_steps(running, observation)), unseen


def _steps(running: Sequence[tuple[NodeToStop, ProcessId]], observation: Observation) -> Iterator[StopNode]:
    """One that does not answer counts as a primary: it may be one."""
    for node, process in running:
        view = observation.view_of(node.address)
        is_replica = view is not None and view.replication.role is Role.REPLICA
        role = Role.REPLICA if is_replica else Role.PRIMARY
        yield StopNode(node, process, role, view.health.keys if view is not None else None)


def _raise_others(failed: Sequence[SlotwrightError]) -> None:
    """What is neither the host's fault nor the server's ends all of it: people must look first."""
    for error in failed:
        if not isinstance(error, ServerError | HostError):
            raise error


def _not_all(failed: list[SlotwrightError], stopped: list[Stopped]) -> PartialError:
    first = failed[0]
    return PartialError(
        first.what if len(failed) == 1 else f"{len(failed)} nodes could not be stopped",
        code=first.code,
        where=", ".join(error.where for error in failed),
        seen=first.seen,
        left=f"{len(stopped)} nodes were stopped, {len(failed)} may still run",
        hint=first.hint,
    )
