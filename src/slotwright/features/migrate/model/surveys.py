"""What a server is like that is to be moved, and the cluster that it is to be moved into: observed, not judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, Mode
from slotwright.keys.model.sample import DatabaseSize, KeySample
from slotwright.server.capabilities import Capabilities, capabilities_of
from slotwright.server.commands.table import CommandTable


@dataclass(frozen=True, slots=True)
class ServerMemory:
    """In bytes. ``system_bytes`` 0: not told. ``maxmemory_bytes`` 0: no limit."""

    used_bytes: int = 0
    data_bytes: int = 0
    rss_bytes: int = 0
    maxmemory_bytes: int = 0
    policy: str = ""
    evicted_keys: int = 0
    system_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Saving:
    """Persistence of the source. ``last_save_ok``: the last fork and write of a snapshot worked."""

    last_save_ok: bool = True
    last_fork_us: int = 0


@dataclass(frozen=True, slots=True)
class Feeding:
    """What matters for attaching one more replica. ``None``: the server did not tell (CONFIG is not allowed).

    ``limit_bytes`` and ``soft_limit_bytes`` for ``soft_limit_s`` are those of client-output-buffer-limit for replicas;
    0 is no limit.
    """

    backlog_bytes: int | None = None
    limit_bytes: int | None = None
    soft_limit_bytes: int = 0
    soft_limit_s: int = 0
    is_diskless: bool | None = None
    diskless_delay_s: int = 0
    replicas: int = 0
    min_replicas_to_write: int = 0
    maxclients: int = 0
    clients: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Between two readings. ``stream_bytes_per_s`` is what one replica would get (None where no
    replica and no backlog makes the server count it). ``ping_ms`` is the median round trip."""

    commands_per_s: float = 0.0
    writes_per_s: float = 0.0
    input_bytes_per_s: float = 0.0
    stream_bytes_per_s: float | None = None
    ping_ms: float = 0.0


class Right(StrEnum):
    """Whether our user may: ABSENT is a command that was renamed away, or that this version does not have."""

    ALLOWED = "allowed"
    DENIED = "denied"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Rights:
    """Our user on the source, and what it may do of what a migration does (names as the server writes them,
    ``client|pause``). ``all_keys`` None: can't be told. ``denial`` is the server's sentence for the first denial."""

    user: str = "default"
    rights: tuple[tuple[str, Right], ...] = ()
    all_keys: bool | None = None
    denial: str = ""

    def of(self, name: str) -> Right:
        """UNKNOWN for what was not asked."""
        return dict(self.rights).get(name, Right.UNKNOWN)


@dataclass(frozen=True, slots=True)
class SourceSurvey:
    """Everything a plan is made from on the side of the source.

    ``calls`` are the command statistics since the start (or since CONFIG RESETSTAT), ``commands`` the server's own
    table of commands. ``unread`` says what couldn't be read, and why. ``primary_fault``: what a replica tells as the
    address of its primary is none; "" where all is well. ``takes_writes``: a replica that clients may write to.
    """

    address: Address
    version: ServerVersion
    mode: Mode = Mode.SINGLE
    role: Role = Role.PRIMARY
    primary: Address | None = None
    primary_fault: str = ""
    link_is_up: bool = True
    takes_writes: bool = False
    uptime_s: int = 0
    databases: tuple[DatabaseSize, ...] = ()
    keys: KeySample = field(default_factory=KeySample)
    functions: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    memory: ServerMemory = field(default_factory=ServerMemory)
    saving: Saving = field(default_factory=Saving)
    feeding: Feeding = field(default_factory=Feeding)
    traffic: Traffic = field(default_factory=Traffic)
    calls: tuple[tuple[str, int], ...] = ()
    commands: CommandTable = field(default_factory=CommandTable, repr=False)
    rights: Rights = field(default_factory=Rights)
    notifications: str = ""
    unread: tuple[str, ...] = ()

    @property
    def total_keys(self) -> int:
        """Of all databases."""
        return sum(database.keys for database in self.databases)

    @property
    def with_ttl(self) -> int:
        """Keys with an expiry, of all databases."""
        return sum(database.with_ttl for database in self.databases)

    @property
    def data_bytes(self) -> int:
        """What the keys take on the source: by their own sizes where these are known, else what the server says that
        its data takes."""
        if self.keys.bytes and self.keys.looked_at:
            return round(self.keys.bytes * self.keys.scale)
        return self.memory.data_bytes


@dataclass(frozen=True, slots=True)
class TargetPrimary:
    """A primary that owns slots. ``maxmemory_bytes`` 0: no limit; ``system_bytes`` 0: not told."""

    address: Address
    capabilities: Capabilities
    slots: SlotSet
    used_bytes: int = 0
    maxmemory_bytes: int = 0
    policy: str = ""
    keys: int = 0
    replicas: int = 0
    system_bytes: int = 0

    @property
    def version(self) -> ServerVersion:
        """Which server it is."""
        return self.capabilities.version


@dataclass(frozen=True, slots=True)
class TargetSurvey:
    """The cluster. ``databases`` is how many it has (cluster-databases; 1 before Valkey 9). ``silent`` are members that
    don't answer. ``is_cluster`` False: a stand-alone server answered."""

    name: str
    is_cluster: bool = True
    state_is_ok: bool = True
    primaries: tuple[TargetPrimary, ...] = ()
    served: SlotSet = field(default_factory=SlotSet)
    databases: int = 1
    modules: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    silent: tuple[Address, ...] = ()
    replica_versions: tuple[ServerVersion, ...] = ()

    @property
    def versions(self) -> tuple[ServerVersion, ...]:
        """Of all primaries, each once, the oldest first."""
        return tuple(sorted({primary.version for primary in self.primaries}))

    @property
    def capabilities(self) -> tuple[Capabilities, ...]:
        """Of all members: as the primaries answered, and as the replicas' versions are known to."""
        return (*(primary.capabilities for primary in self.primaries), *map(capabilities_of, self.replica_versions))

    @property
    def keys(self) -> int:
        """That are there already."""
        return sum(primary.keys for primary in self.primaries)
