"""What the nodes stand on: which server program, where it is, and where their folders go.

On this machine all of it is there before anything begins. On remote hosts it is made first; until then a rehearsal is
not possible, and the plan says what will be made.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slotwright.adapters.state import ClusterStore
from slotwright.api.context import Context
from slotwright.api.work import Work
from slotwright.errors import HostError
from slotwright.model.cluster import ServerVersion
from slotwright.model.findings import Finding
from slotwright.model.record import ClusterRecord
from slotwright.operations.rehearse import Stage
from slotwright.ports import Fleet

if TYPE_CHECKING:
    from slotwright.api.estate import Estate


@dataclass(frozen=True, slots=True)
class Ground:
    """``binary`` is the server's path on every host; ``host`` is where it is tried, in the folder ``rehearsal``.

    ``is_ready``: the program is there. ``estate`` is None on this machine.
    """

    binary: str
    version: ServerVersion
    data_root: str
    rehearsal: str
    host: str
    is_ready: bool = True
    estate: Estate | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found out about remote hosts."""
        return self.estate.findings if self.estate else ()

    @property
    def away(self) -> frozenset[str]:
        """Hosts that can't be reached."""
        return frozenset(self.estate.away) if self.estate else frozenset()


async def survey(work: Work) -> Ground:
    """The ground of the file's cluster. Raises HostError where there is no such program, or it can't run."""
    topology = work.topology
    if topology.is_remote:
        return await _survey_hosts(work)
    from slotwright.adapters.engines import locate

    binary = locate(topology.engine)
    return Ground(
        binary.path,
        binary.version,
        topology.data_directory or str(work.store.nodes_path),
        str(work.store.rehearsal_path),
        topology.hosts[0].address,
    )


async def _survey_hosts(work: Work) -> Ground:
    from slotwright.api.estate import survey_estate

    estate = await survey_estate(work)
    if not estate.views:
        raise _nobody(tuple(estate.away.values()))
    return ground_of(work, estate)


def ground_of(work: Work, estate: Estate) -> Ground:
    """The ground that remote hosts are."""
    kind = work.topology.engine.kind
    present = [wish.present.version for wish in estate.wishes if wish.present]
    wished = [each.version for each in estate.wanted.values() if each.version]
    return Ground(
        estate.place.binary(kind.value),
        next(iter((*present, *wished)), ServerVersion(kind, ())),
        estate.place.data_root,
        estate.place.rehearsal,
        next(iter(estate.views)),
        estate.is_ready,
        estate,
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
        from slotwright.api.estate import clear_hosts

        assert isinstance(fleet, SshFleet)
        await clear_hosts(fleet, record, hosts)
        return
    host = record.topology.hosts[0].address
    await Stage(fleet.at(host), context.clock, fleet.login_on(host)).clear(str(store.rehearsal_path))
