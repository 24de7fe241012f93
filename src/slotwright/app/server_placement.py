"""What the nodes stand on: which server program, where it is, and where their folders go.

On this machine all of it is there before anything begins. On remote hosts it is made first; until then a rehearsal is
not possible, and the plan says what will be made.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slotwright.app.context import Context
from slotwright.app.session import Work
from slotwright.cluster.findings import Finding
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.record import ClusterRecord
from slotwright.errors import HostError
from slotwright.ops.rehearse import RehearsalHost
from slotwright.ports import ClusterStore, Fleet

if TYPE_CHECKING:
    from slotwright.app.remote_hosts import RemoteHosts


@dataclass(frozen=True, slots=True)
class ServerPlacement:
    """``binary`` is the server's path on every host; ``host`` is where it is tried, in the folder ``rehearsal``.

    ``is_ready``: the program is there. ``remote_hosts`` is None on this machine.
    """

    binary: str
    version: ServerVersion
    data_root: str
    rehearsal: str
    host: str
    is_ready: bool = True
    remote_hosts: RemoteHosts | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found out about remote hosts."""
        return self.remote_hosts.findings if self.remote_hosts else ()

    @property
    def away(self) -> frozenset[str]:
        """Hosts that can't be reached."""
        return frozenset(self.remote_hosts.away) if self.remote_hosts else frozenset()


async def survey(work: Work) -> ServerPlacement:
    """The ground of the file's cluster. Raises HostError where there is no such program, or it can't run."""
    topology = work.topology
    if topology.is_remote:
        return await _survey_hosts(work)
    binary = work.context.find_engine(topology.engine)
    return ServerPlacement(
        binary.path,
        binary.version,
        topology.data_directory or str(work.store.nodes_path),
        str(work.store.rehearsal_path),
        topology.hosts[0].address,
    )


async def _survey_hosts(work: Work) -> ServerPlacement:
    from slotwright.app.remote_hosts import survey_remote_hosts

    remote_hosts = await survey_remote_hosts(work)
    if not remote_hosts.views:
        raise _nobody(tuple(remote_hosts.away.values()))
    return placement_of(work, remote_hosts)


def placement_of(work: Work, remote_hosts: RemoteHosts) -> ServerPlacement:
    """The ground that remote hosts are."""
    kind = work.topology.engine.kind
    present = [options.present.version for options in remote_hosts.options if options.present]
    versions = [engine.version for engine in remote_hosts.wanted.values() if engine.version]
    return ServerPlacement(
        remote_hosts.place.binary(kind.value),
        next(iter((*present, *versions)), ServerVersion(kind, ())),
        remote_hosts.place.data_root,
        remote_hosts.place.rehearsal,
        next(iter(remote_hosts.views)),
        remote_hosts.is_ready,
        remote_hosts,
    )


def _nobody(errors: tuple[HostError, ...]) -> HostError:
    first = errors[0]
    return HostError(
        first.what if len(errors) == 1 else f"none of the {len(errors)} hosts can be reached by SSH",
        code=first.code,
        where=", ".join(error.where for error in errors),
        seen=first.seen,
        left="nothing was changed",
        hint=first.hint,
    )


async def clear(
    context: Context,
    fleet: Fleet,
    record: ClusterRecord,
    store: ClusterStore,
    hosts: Collection[str] | None = None,
) -> None:
    """What a destroyed cluster leaves besides its nodes; None: on all hosts. Raises HostError."""
    if record.topology.is_remote:
        from slotwright.adapters.ssh.fleet import SshFleet
        from slotwright.app.remote_hosts import clear_hosts

        assert isinstance(fleet, SshFleet)
        await clear_hosts(fleet, record, hosts)
        return
    host = record.topology.hosts[0].address
    await RehearsalHost(fleet.at(host), context.clock, fleet.login_on(host)).clear(str(store.rehearsal_path))
