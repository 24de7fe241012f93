"""Nodes taken away on purpose, and brought back.

What is brought back does not wait for the journal: a full disk here must keep nobody's node away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Report
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.node_files import Launch
from slotwright.cluster.observation import Observation
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, PartialError, SlotwrightError
from slotwright.features.drill.plan import OutageKind, OutageStep, displaced_primaries, persistence, unsafe_starts
from slotwright.health.disk_copies import disks_to_read
from slotwright.health.permission import Copies
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.disks import read_disks
from slotwright.ops.node_steps import how_it_died
from slotwright.ops.runner import LenientJournal, Runner, StepHandler, StepOutcome, failures
from slotwright.ports import Clock, Fleet, Journal

_LOOK_S = 0.1
_GONE_S = 10.0


@dataclass
class OutageSteps(StepHandler[OutageStep]):
    """How a node is taken away, and brought back. ``away`` are those that are not back.

    A kill is not read back: who takes over is measured from the first moment on. That the process is gone is waited for
    before the next one is started.
    """

    fleet: Fleet
    clock: Clock
    record: ClusterRecord
    away: dict[Address, ProcessId] = field(default_factory=dict)
    has_begun: bool = False
    _killed: set[Address] = field(default_factory=set)
    _started: dict[Address, ProcessId] = field(default_factory=dict)

    async def is_done(self, step: OutageStep) -> bool:
        """One that was never killed, as the work was cut before, runs on."""
        is_untouched = step.kind is OutageKind.START and step.address not in self._killed
        return is_untouched and await self.fleet.at(step.address.host).is_running(step.process)

    async def act(self, step: OutageStep) -> str:
        """Raises HostError; RefusedError where the process is another's."""
        host, directory = self.fleet.at(step.address.host), self.record.node_directory(step.address)
        match step.kind:
            case OutageKind.KILL | OutageKind.FREEZE:
                # Before it is done: a signal may come in between.
                self.away[step.address], self.has_begun = step.process, True
                is_freeze = step.kind is OutageKind.FREEZE
                await (host.freeze if is_freeze else host.kill)(step.process, directory)
                self._killed.add(step.address)
            case OutageKind.THAW:
                await host.thaw(step.process, directory)
            case OutageKind.START:
                await self._await_gone(step)
                launch = Launch(step.address, directory, self.record.binary)
                self._started[step.address] = await host.start(launch)
        return ""

    async def read_back(self, step: OutageStep) -> None:
        """Raises ServerError (start-failed) for one that ended at its start; whether it serves is proved later."""
        if step.kind is OutageKind.START:
            host = self.fleet.at(step.address.host)
            if not await host.is_running(self._started[step.address]):
                raise how_it_died(step.address, await host.log_tail(self.record.node_directory(step.address)))

    async def _await_gone(self, step: OutageStep) -> None:
        host, deadline = self.fleet.at(step.address.host), self.clock.now() + _GONE_S
        while await host.is_running(step.process):
            if self.clock.now() >= deadline:
                raise HostError(
                    f"{step.address} was killed, and is not gone after {_GONE_S:g} s",
                    code="not-stopped",
                    where=str(step.address),
                    seen=f"process {step.process.pid}",
                )
            await self.clock.sleep(_LOOK_S)


@dataclass
class NodeOutage:
    """The nodes that a drill took away: killed, or frozen. ``kept`` is what all held before."""

    steps: OutageSteps
    pool: ConnectionPool
    report: Report
    journal: Journal
    is_freeze: bool
    kept: KeptCopies = field(default_factory=KeptCopies)

    @property
    def away(self) -> tuple[Address, ...]:
        """Those that are not back."""
        return tuple(self.steps.away)

    @property
    def has_begun(self) -> bool:
        """Whether any process was touched."""
        return self.steps.has_begun

    async def begin(self, nodes: Sequence[Address]) -> None:
        """Kill or freeze them all at once; those that don't run are left out. Raises the first error, when the others
        are done."""
        processes = await self._processes(nodes)
        text = f"{'freeze' if self.is_freeze else 'kill'} {', '.join(map(str, processes))}"
        self.report(Began("blow", text))
        kind = OutageKind.FREEZE if self.is_freeze else OutageKind.KILL
        steps = [OutageStep(kind, address, process) for address, process in processes.items()]
        failed = failures(await Runner(self.steps, self.journal).run(side_by_side(steps)))
        self.report(Ended("blow", text, is_ok=not failed))
        if failed:
            raise failed[0]

    async def end(self, deadline: float) -> None:
        """Bring every node back; one that would start empty waits for its replica to take over, until ``deadline``.

        Raises PartialError for those that stay away; the others are back then.
        """
        if not self.away:
            return
        text = f"bring back {', '.join(map(str, self.away))}"
        self.report(Began("back", text))
        error = await self._bring_back(deadline)
        self.report(Ended("back", text, is_ok=error is None))
        if error is not None:
            raise PartialError(
                error.what,
                code=error.code,
                where=error.where,
                seen=error.seen,
                left=f"nodes that the drill took away are still away: {', '.join(map(str, self.away))}",
                hint=f"slotwright start {self.steps.record.name}",
            ) from error

    async def _bring_back(self, deadline: float) -> SlotwrightError | None:
        """All that may come back at once, the others when they may; the first error of those that stay away."""
        errors: dict[Address, SlotwrightError] = {}
        while waiting := [address for address in self.away if address not in errors]:
            try:
                unsafe = await self._unsafe_starts(waiting)
            except SlotwrightError as error:
                # What a host or a server can't tell now, it may tell at the next look.
                unsafe = dict.fromkeys(waiting, error)
            for outcome in await self._return([address for address in waiting if address not in unsafe]):
                if outcome.error is not None:
                    errors[outcome.step.address] = outcome.error
            if unsafe and self.steps.clock.now() >= deadline:
                return next(iter((errors | unsafe).values()))
            if unsafe:
                await self.steps.clock.sleep(_LOOK_S)
        return next(iter(errors.values()), None)

    async def _return(self, nodes: Sequence[Address]) -> tuple[StepOutcome[OutageStep], ...]:
        """Wake them up, or start them; a node that can't come back keeps no other away.

        A frozen primary whose place was taken is ended and started: woken up, it would answer what waits in its sockets
        before it learns that it is none, and those writes would be lost.
        """
        journal = LenientJournal(self.journal)
        displaced = await self._displaced(nodes) if self.is_freeze else frozenset[Address]()
        kills = [OutageStep(OutageKind.KILL, address, self.steps.away[address]) for address in sorted(displaced)]
        failed = [end for end in await Runner(self.steps, journal).run(side_by_side(kills)) if end.error is not None]
        left = [address for address in nodes if address not in {end.step.address for end in failed}]
        steps = [
            OutageStep(
                OutageKind.THAW if self.is_freeze and address not in displaced else OutageKind.START,
                address,
                self.steps.away[address],
            )
            for address in left
        ]
        runner = Runner(self.steps, journal, ended=self._ended)
        return (*failed, *await runner.run(side_by_side(steps)))

    async def _displaced(self, nodes: Sequence[Address]) -> frozenset[Address]:
        """Nobody, where nobody can tell: what is frozen must not stay away for that."""
        try:
            return displaced_primaries(self.steps.record.blueprint, nodes, await self.look())
        except SlotwrightError:
            return frozenset()

    async def look(self) -> Observation:
        """What every node says now, on new connections: one that a signal has cut is closed for good, and its node is
        none that is silent."""
        addresses = [node.address for node in self.steps.record.blueprint.nodes]
        await asyncio.gather(*(self.pool.drop(address) for address in addresses))
        return await observe(self.pool, addresses)

    def _ended(self, outcome: StepOutcome[OutageStep]) -> None:
        if outcome.error is None:
            del self.steps.away[outcome.step.address]

    async def _processes(self, nodes: Sequence[Address]) -> dict[Address, ProcessId]:
        fleet, record = self.steps.fleet, self.steps.record
        cluster_id = record.blueprint.cluster_id
        found = await asyncio.gather(
            *(fleet.at(node.host).find(record.node_directory(node), cluster_id) for node in nodes)
        )
        return {node: process for node, process in zip(nodes, found, strict=True) if process is not None}

    async def _unsafe_starts(self, waiting: Sequence[Address]) -> dict[Address, SlotwrightError]:
        """What is frozen lost nothing. Raises SlotwrightError where nobody can tell now."""
        if self.is_freeze:
            return {}
        record, clock = self.steps.record, self.steps.clock
        observation = await self.look()
        wanted = disks_to_read(observation, record.blueprint, set(waiting))
        disks = await read_disks(self.steps.fleet, clock, record, wanted)
        copies = Copies(observation, record.blueprint, persistence(record), disks, set(waiting), self.kept)
        return unsafe_starts(record, copies)
