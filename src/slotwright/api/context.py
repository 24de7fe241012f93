"""What every verb stands on: the adapters, put together in one place. Tests put their own in."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.hosts.local import LocalHost
from slotwright.adapters.journal import FileJournal
from slotwright.adapters.node import RespDialer
from slotwright.adapters.state import ClusterStore, known_clusters, state_directory
from slotwright.model.events import Report, silent
from slotwright.model.secret import Secret
from slotwright.operations.observe import LoginDialer
from slotwright.ports import Clock, Dialer, Host, Journal


def _new_id() -> str:
    return secrets.token_hex(20)


def _login(password: Secret | None, username: str) -> Dialer:
    return RespDialer(password, username)


@dataclass(frozen=True)
class Context:
    """The world as the verbs see it; the defaults are the real one."""

    state_root: Path = field(default_factory=state_directory)
    report: Report = silent
    host: Host = field(default_factory=LocalHost)
    clock: Clock = field(default_factory=MonotonicClock)
    open_journal: Callable[[Path], Journal] = FileJournal
    login: LoginDialer = _login
    new_id: Callable[[], str] = _new_id

    def store(self, name: str) -> ClusterStore:
        """The place of one cluster in the state directory."""
        return ClusterStore(self.state_root, name)

    def known(self) -> tuple[str, ...]:
        """Names of the clusters made here."""
        return known_clusters(self.state_root)

    def token(self) -> str:
        """What makes this run's canary keys its own."""
        return self.new_id()[:12]
