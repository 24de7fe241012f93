"""What a server is like that is to be moved, and the cluster that it is to be moved into: observed, not judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.model.cluster import Role, ServerVersion
from slotwright.model.command_table import CommandTable
from slotwright.model.migration import Named
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Address, Mode

PLAIN_TYPES = ("string", "list", "set", "zset", "hash", "stream")
"""The types that every server has, as TYPE names them; any other one is a module's."""


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """One database of the source. ``average_ttl_ms`` is the server's own estimate over the keys with an expiry, 0
    where there is none. ``with_field_ttl`` counts hashes with expiring fields."""

    number: int
    keys: int
    with_ttl: int = 0
    average_ttl_ms: int = 0
    with_field_ttl: int = 0


@dataclass(frozen=True, slots=True)
class KindOfKeys:
    """The keys of one type among those looked at; ``bytes`` is their memory on the source."""

    type: str
    keys: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BigKey:
    """One of the largest keys found. ``elements`` None: not counted (a module's type, or gone meanwhile)."""

    named: Named
    type: str
    bytes: int
    elements: int | None


@dataclass(frozen=True, slots=True)
class KeySample:
    """The keys that were looked at.

    ``total`` is how many there were when it began. A server gives its keys in the order of a seeded hash, so the first
    ones of a SCAN are a fair sample, but rare big keys are missed. ``bytes_by_slot`` has 16384 numbers: what the keys
    looked at take, by their slot in the target; empty where memory can't be asked. ``keys_per_s`` is what was reached,
    ``slowed`` how often the pace was lowered because the source answered late. ``prefixed`` counts keys of
    database 0 that begin with what is to be put before the keys of another one.
    """

    looked_at: int = 0
    total: int = 0
    is_complete: bool = True
    kinds: tuple[KindOfKeys, ...] = ()
    biggest: tuple[BigKey, ...] = ()
    bytes_by_slot: tuple[int, ...] = ()
    keys_per_s: float = 0.0
    slowed: int = 0
    prefixed: int = 0

    @property
    def bytes(self) -> int:
        """Memory of the keys looked at."""
        return sum(kind.bytes for kind in self.kinds)

    @property
    def scale(self) -> float:
        """What a figure of the sample has to be multiplied with."""
        return max(1.0, self.total / self.looked_at) if self.looked_at else 1.0


@dataclass(frozen=True, slots=True)
class Memory:
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

    has_append_log: bool = False
    has_snapshots: bool = False
    last_save_ok: bool = True
    is_saving: bool = False
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
    timeout_s: int | None = None
    compresses: bool | None = None
    replicas: int = 0
    min_replicas_to_write: int = 0
    maxclients: int = 0
    clients: int = 0


@dataclass(frozen=True, slots=True)
class Traffic:
    """Over ``span_s`` between two readings. ``stream_bytes_per_s`` is what one replica would get (None where no
    replica and no backlog makes the server count it). ``ping_ms`` is the median round trip."""

    span_s: float = 0.0
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

    def having(self, right: Right) -> tuple[str, ...]:
        """The names with that answer."""
        return tuple(name for name, found in self.rights if found is right)


@dataclass(frozen=True, slots=True)
class SourceSurvey:
    """Everything a plan is made from on the side of the source.

    ``calls`` are the command statistics since the start (or since CONFIG RESETSTAT), ``commands`` the server's own
    table of commands. ``unread`` says what couldn't be read, and why.
    """

    address: Address
    version: ServerVersion
    mode: Mode = Mode.SINGLE
    role: Role = Role.PRIMARY
    primary: Address | None = None
    link_is_up: bool = True
    run_id: str = ""
    uptime_s: int = 0
    databases: tuple[DatabaseSize, ...] = ()
    keys: KeySample = field(default_factory=KeySample)
    functions: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    memory: Memory = field(default_factory=Memory)
    saving: Saving = field(default_factory=Saving)
    feeding: Feeding = field(default_factory=Feeding)
    traffic: Traffic = field(default_factory=Traffic)
    calls: tuple[tuple[str, int], ...] = ()
    commands: CommandTable = field(default_factory=CommandTable, repr=False)
    rights: Rights = field(default_factory=Rights)
    notifications: str = ""
    has_password: bool | None = None
    protected_mode: bool | None = None
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
    version: ServerVersion
    slots: SlotSet
    used_bytes: int = 0
    maxmemory_bytes: int = 0
    policy: str = ""
    keys: int = 0
    replicas: int = 0
    has_append_log: bool = False
    system_bytes: int = 0
    host_id: str = ""


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
    def keys(self) -> int:
        """That are there already."""
        return sum(primary.keys for primary in self.primaries)
