"""Observed state: one view per node, as that node told it. Disagreements are kept, never merged away.

A :class:`NodeView` is what one reachable node says of itself and of the others; a :class:`SilentNode` is one that did
not answer, with the way in which it failed. An :class:`Observation` holds both side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, EngineKind, Mode


class Role(StrEnum):
    """What a node is in its shard."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True, order=True)
class ServerVersion:
    """Which server answers: its family and its own version (Valkey's, not the Redis version that it claims)."""

    kind: EngineKind
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        return ".".join(map(str, self.numbers))

    @property
    def title(self) -> str:
        """``Valkey 9.1.2``, for people."""
        return f"{self.kind.value.capitalize()} {self}".strip()


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot that is being moved: ``peer`` is the id of the node at the other end."""

    slot: int
    peer: str


@dataclass(frozen=True, slots=True)
class PeerView:
    """One line of CLUSTER NODES: how one node sees another, or itself.

    ``address`` is None for a node without a known address (``noaddr``). ``flags`` are the server's words
    (``master``, ``fail?``, ``handshake`` ...). ``is_connected``: there is a bus link, and pings are answered on it.
    ``bus_port`` is where its cluster bus listens (None: not told).
    ``address_fault`` says, with the text escaped, what of its announced address or name is none; "" where all is well.
    """

    id: str
    address: Address | None
    flags: frozenset[str]
    role: Role
    replica_of: str | None
    epoch: int
    is_connected: bool
    slots: SlotSet
    migrating: tuple[OpenSlot, ...] = ()
    importing: tuple[OpenSlot, ...] = ()
    address_fault: str = ""
    bus_port: int | None = None

    @property
    def is_failed(self) -> bool:
        """The majority of primaries agreed that it is down."""
        return "fail" in self.flags

    @property
    def is_suspected(self) -> bool:
        """The node that has this view can't reach it."""
        return "fail?" in self.flags


class Link(StrEnum):
    """A replica's connection to its primary."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Replication:
    """INFO replication. ``offset`` counts bytes: what a primary has sent, or a replica has taken.

    ``link`` is None for a primary. ``down_s`` is how long the link has been down (None: it is up or never was).
    ``good_replicas`` counts those that count for min-replicas-to-write (None: that is not set). ``history`` is the
    replication id of the data set that it has; until the offset ``former_until`` it is that of ``former_history`` as
    well ("": there is none, or it is not told).
    """

    role: Role
    offset: int
    link: Link | None = None
    down_s: int | None = None
    is_syncing: bool = False
    good_replicas: int | None = None
    history: str = ""
    former_history: str = ""
    former_until: int = -1


@dataclass(frozen=True, slots=True)
class Health:
    """What INFO says of the process: memory in bytes (``maxmemory_bytes`` 0: no limit), persistence, uptime.

    ``maxmemory_policy`` "" and ``maxclients`` None: not told. ``evicted_keys`` counts since the start.
    """

    uptime_s: int
    used_bytes: int
    maxmemory_bytes: int
    is_loading: bool
    last_save_ok: bool
    last_append_ok: bool
    has_append_log: bool
    keys: int
    maxmemory_policy: str = ""
    maxclients: int | None = None
    last_rewrite_ok: bool = True
    append_log_bytes: int = 0
    evicted_keys: int = 0


@dataclass(frozen=True, slots=True)
class NodeView:
    """What one node says. ``address`` is the one that we dialled; ``peers`` includes the node itself.

    In a stand-alone instance ``peers`` is empty, ``id`` its run id, and ``state_is_ok`` True.
    ``settings`` holds the canonical values (CONFIG GET) of the directives that were asked for. ``clock_skew_s`` is how
    far the server's clock is ahead of ours, give or take ``clock_doubt_s`` (None: not measured). ``misconf`` is the
    error that it answers a PING with while it can't write to its disk.
    """

    address: Address
    id: str
    mode: Mode
    version: ServerVersion
    state_is_ok: bool
    current_epoch: int
    replication: Replication
    health: Health
    peers: tuple[PeerView, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    clock_skew_s: float | None = None
    clock_doubt_s: float = 0.0
    misconf: str = ""
    _by_id: Mapping[str, PeerView] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Where an id stands twice, the first line counts.
        object.__setattr__(self, "_by_id", {peer.id: peer for peer in reversed(self.peers)})

    def setting(self, name: str) -> str | None:
        """The value of a directive; None where it was not asked for, or the server doesn't have it."""
        return dict(self.settings).get(name)

    @property
    def myself(self) -> PeerView | None:
        """The line in which the node describes itself."""
        return self._by_id.get(self.id)

    def peer(self, node_id: str) -> PeerView | None:
        """How this node sees another; None when it doesn't know it."""
        return self._by_id.get(node_id)

    @property
    def known_ids(self) -> Set[str]:
        """The ids of all nodes that this one knows, itself included."""
        return self._by_id.keys()


@dataclass(frozen=True, slots=True)
class SilentNode:
    """A node without a view. ``code``: refused, timeout, wrong-password, loading, not-a-server, unreachable,
    maxclients, no-permission."""

    address: Address
    code: str
    reason: str


class LoginFault(StrEnum):
    """Why a replica's own credentials don't open its primary: it has none, or others than it should."""

    MISSING = "missing"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Observation:
    """All nodes that were asked, in the order asked.

    ``login_faults`` name the replicas whose credentials were tried on their primary, in their place, and failed.
    """

    views: tuple[NodeView, ...]
    silent: tuple[SilentNode, ...] = ()
    login_faults: tuple[tuple[Address, LoginFault], ...] = ()
    _by_address: Mapping[Address, NodeView] = field(init=False, repr=False, compare=False)
    _by_id: Mapping[str, NodeView] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Every judge looks views up. Where an address or an id stands twice, the first view counts.
        object.__setattr__(self, "_by_address", {view.address: view for view in reversed(self.views)})
        object.__setattr__(self, "_by_id", {view.id: view for view in reversed(self.views)})

    def with_second(self, later: Observation) -> Observation:
        """What ``later`` says of the addresses that it asked takes the place of what was known of them."""
        asked = {view.address for view in later.views} | {silent.address for silent in later.silent}
        views = tuple(view for view in self.views if view.address not in asked) + later.views
        silent = tuple(silent for silent in self.silent if silent.address not in asked) + later.silent
        return Observation(views, silent, self.login_faults)

    def view_of(self, address: Address) -> NodeView | None:
        """The view of the node that was dialled at ``address``."""
        return self._by_address.get(address)

    def view_by_id(self, node_id: str) -> NodeView | None:
        """The view of the node that calls itself ``node_id``."""
        return self._by_id.get(node_id)
