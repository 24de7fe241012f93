"""What every verb stands on: the world as ports. ``app/world.py`` has the real one; tests hand another one in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.app import world
from slotwright.cluster.events import Report, silent
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Topology
from slotwright.ports import (
    AgreeTo,
    AskSecret,
    Clock,
    ClusterStore,
    EngineFinder,
    Fleet,
    FleetOpener,
    Journal,
    JournalOpener,
    Secrets,
    ShellOpener,
    State,
    TopologyReader,
)


def _nobody_to_ask(question: str) -> Secret | None:
    return None


def _nobody_agrees(question: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Context:
    """The world as the verbs see it, made of ports alone; the defaults are the real one.

    ``ask_secret`` asks for a password (None: there is nobody to ask); ``agree`` asks a yes-or-no question, such as
    whether a host's new key is to be trusted. ``operator`` is who runs this, for others to see.
    """

    state: State = field(default_factory=world.StateDirectory)
    report: Report = silent
    clock: Clock = field(default_factory=world.MonotonicClock)
    open_journal: JournalOpener = world.open_journal
    ask_secret: AskSecret = _nobody_to_ask
    agree: AgreeTo = _nobody_agrees
    new_id: Callable[[], str] = world.new_id
    open_fleet: FleetOpener = world.open_fleet
    read_topology: TopologyReader = world.read_topology
    find_engine: EngineFinder = world.find_engine
    open_shell: ShellOpener = world.open_shell
    secrets: Secrets = field(default_factory=world.SystemSecrets)
    operator: Callable[[], str] = world.operator

    @asynccontextmanager
    async def fleet(self, topology: Topology | None) -> AsyncIterator[Fleet]:
        """The hosts of a cluster, connected; None: servers that slotwright only talks to."""
        fleet = await self.open_fleet(topology, self._programs(topology), self.report, self.ask_secret, self.agree)
        try:
            yield fleet
        finally:
            await fleet.close()

    def _programs(self, topology: Topology | None) -> tuple[str, ...]:
        """What the cluster's servers were started with the last time."""
        record = self.store(topology.name).read_record() if topology is not None else None
        return (record.binary,) if record is not None and record.binary else ()

    @contextmanager
    def journal(self, path: Path) -> Iterator[Journal]:
        """A journal, closed at the end."""
        journal = self.open_journal(path)
        try:
            yield journal
        finally:
            journal.close()

    @property
    def state_root(self) -> Path:
        """Where jobs, engines and data that was set aside are."""
        return self.state.root

    def store(self, name: str) -> ClusterStore:
        """The place of one cluster in the state directory."""
        return self.state.cluster(name)

    def known(self) -> tuple[str, ...]:
        """Names of the clusters made here."""
        return self.state.clusters()

    def token(self) -> str:
        """What makes this run's canary keys its own."""
        return self.new_id()[:12]
