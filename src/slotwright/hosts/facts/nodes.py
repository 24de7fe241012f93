"""Facts of a host: what stands in the way of a node, and which of ours runs already. Collected, not judged."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that can't be mistaken for another: its pid, and when it started in the host's own counting.

    ``started`` is opaque: two values are equal exactly when it is one process (boot id and start ticks on Linux).
    """

    pid: int
    started: str


@dataclass(frozen=True, slots=True)
class PortOwner:
    """Who listens on a port; ``pid`` is 0 and ``command`` "" where the system doesn't tell us."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})" if self.pid else "a process that this user may not see"


@dataclass(frozen=True, slots=True)
class NodeQuery:
    """What to look for on a host: a node's address and the folder that should be its own."""

    address: Address
    directory: str
    with_bus: bool = True


class DirectoryState(StrEnum):
    """What was found where a node's folder should be."""

    ABSENT = "absent"
    EMPTY = "empty"
    OURS = "ours"
    OTHER_CLUSTER = "other-cluster"
    FOREIGN = "foreign"
    UNWRITABLE = "unwritable"
    UNSAFE = "unsafe"
    """Others could have made it or can change it, or what stands in it is plainly untrue: nothing of it is believed."""
    NEWER = "newer"
    """A later release wrote what it is known by, in a format that this one doesn't know: it is ours, and left alone."""

    @property
    def hides_process(self) -> bool:
        """Nothing in it is acted upon: that no process is known of it doesn't mean that none runs."""
        return self in (DirectoryState.UNSAFE, DirectoryState.NEWER)


@dataclass(frozen=True, slots=True)
class DirectoryFact:
    """``owner`` is the name of the cluster in the marker; ``reason`` says why it can't be written, believed or
    read, and ``remedy`` what to do about the latter two. ``doubtful`` is the entry on the way to it that can't be
    believed."""

    path: str
    state: DirectoryState
    owner: str = ""
    has_nodes_conf: bool = False
    conf_digest: str = ""
    reason: str = ""
    remedy: str = ""
    doubtful: str = ""

    @property
    def is_misfit(self) -> bool:
        """The folder itself is well, and names a process that is none of its node."""
        return self.state is DirectoryState.UNSAFE and not self.doubtful


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """``process`` is ours and alive, or None. ``port_error`` is the system's word when the address can't be bound:
    "in-use", "not-local", "denied" or ""; the same for the bus."""

    address: Address
    directory: DirectoryFact
    process: ProcessId | None = None
    port_error: str = ""
    port_owner: PortOwner | None = None
    bus_error: str = ""
    bus_owner: PortOwner | None = None


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One host's facts; ``free_bytes`` is the room on the disk that the node folders will lie on, ``disk`` its name:
    hosts with the same one share that room."""

    host: str
    nodes: tuple[NodeFacts, ...]
    free_bytes: int
    disk: str = ""
