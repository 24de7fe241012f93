"""What every verb stands on: the adapters, put together in one place. Tests put their own in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.fleet import LocalFleet
from slotwright.adapters.journal import FileJournal
from slotwright.adapters.state import ClusterStore, known_clusters, state_directory
from slotwright.model.events import Report, silent
from slotwright.model.secret import Secret
from slotwright.model.topology import Topology
from slotwright.ports import Clock, Fleet, Journal


def _new_id() -> str:
    return secrets.token_hex(20)


def _nobody_to_ask(question: str) -> Secret | None:
    return None


def _nobody_agrees(question: str) -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """The world as the verbs see it; the defaults are the real one.

    ``ask_secret`` asks for a password (None: there is nobody to ask); ``agree`` asks a yes-or-no question, such as
    whether a host's new key is to be trusted.
    """

    state_root: Path = field(default_factory=state_directory)
    report: Report = silent
    clock: Clock = field(default_factory=MonotonicClock)
    open_journal: Callable[[Path], Journal] = FileJournal
    ask_secret: Callable[[str], Secret | None] = _nobody_to_ask
    agree: Callable[[str], bool] = _nobody_agrees
    new_id: Callable[[], str] = _new_id

    @asynccontextmanager
    async def fleet(self, topology: Topology | None) -> AsyncIterator[Fleet]:
        """The hosts of a cluster, connected; None: servers that slotwright only talks to."""
        fleet: Fleet
        if topology is not None and topology.is_remote:
            from slotwright.adapters.ssh.fleet import connect_fleet

            fleet = await connect_fleet(topology, self.report, self.ask_secret, self.agree)
        else:
            fleet = LocalFleet()
        try:
            yield fleet
        finally:
            await fleet.close()

    def store(self, name: str) -> ClusterStore:
        """The place of one cluster in the state directory."""
        return ClusterStore(self.state_root, name)

    def known(self) -> tuple[str, ...]:
        """Names of the clusters made here."""
        return known_clusters(self.state_root)

    def token(self) -> str:
        """What makes this run's canary keys its own."""
        return self.new_id()[:12]
