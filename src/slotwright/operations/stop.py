"""A clean stop: SHUTDOWN with save, replicas before primaries, and a report of what was saved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.errors import HostError, NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.model.cluster import Role
from slotwright.model.events import Began, Ended, Moved, Report
from slotwright.model.facts import ProcessId
from slotwright.model.topology import Address
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.ports import Clock, Fleet, ReplyError

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


@dataclass(frozen=True, slots=True)
class Stopper:
    """Stops nodes; ``is_kill`` ends them at once, without a save."""

    fleet: Fleet
    roster: Roster
    clock: Clock
    report: Report
    is_kill: bool = False

    async def stop(self, nodes: Sequence[NodeToStop]) -> tuple[Stopped, ...]:
        """Replicas first, so that no primary's end starts a failover. Nodes that don't run are left out.

        Raises PartialError with what was stopped and what was not.
        """
        found = await asyncio.gather(
            *(self.fleet.at(node.address.host).find(node.directory, node.cluster_id) for node in nodes),
            return_exceptions=True,
        )
        unseen = [each for each in found if isinstance(each, BaseException)]
        for each in unseen:
            if not isinstance(each, HostError):
                raise each
        running = [
            (node, process) for node, process in zip(nodes, found, strict=True) if isinstance(process, ProcessId)
        ]
        observation = await observe(self.roster, [node.address for node, _ in running])
        roles = {view.address: view.replication.role for view in observation.views}
        keys = {view.address: view.health.keys for view in observation.views}
        text = f"stop {len(running)} node{'s' if len(running) != 1 else ''}" + (
            " at once" if self.is_kill else ", with save"
        )
        self.report(Began("stop", text))
        stopped: list[Stopped] = []
        failed: list[SlotwrightError] = [each for each in unseen if isinstance(each, HostError)]
        for role in (Role.REPLICA, Role.PRIMARY):
            wave = [(node, process) for node, process in running if roles.get(node.address, Role.PRIMARY) is role]
            results = await asyncio.gather(
                *(self._stop_one(node, process, keys.get(node.address)) for node, process in wave),
                return_exceptions=True,
            )
            stopped += [result for result in results if isinstance(result, Stopped)]
            failed += [result for result in results if isinstance(result, ServerError | HostError)]
            others = [result for result in results if isinstance(result, BaseException)]
            for other in others:
                if not isinstance(other, ServerError | HostError):
                    raise other
            self.report(Moved("stop", text, len(stopped), len(running)))
        self.report(Ended("stop", text, is_ok=not failed))
        if failed:
            raise _not_all(failed, stopped)
        return tuple(sorted(stopped, key=lambda node: node.address))

    async def _stop_one(self, node: NodeToStop, process: ProcessId, keys: int | None) -> Stopped:
        host = self.fleet.at(node.address.host)
        if self.is_kill:
            await host.kill(process)
        else:
            await self._shut_down(node.address)
        deadline = self.clock.now() + SHUTDOWN_PATIENCE_S
        while await host.is_running(process):
            if self.clock.now() > deadline:
                raise ServerError(f"{node.address} does not end", code="not-stopped", where=str(node.address))
            await self.clock.sleep(0.01)
        return Stopped(node.address, keys, await host.data_files(node.directory), self.is_kill)

    async def _shut_down(self, address: Address) -> None:
        """The server answers only when it refuses; when it obeys, the connection ends."""
        try:
            connection = await self.roster.connection(address)
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
            await self.roster.drop(address)
            if error.code != "closed":
                error.hint = "--kill ends it without saving (what is not on its disk yet is lost)"
                raise


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
