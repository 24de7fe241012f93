"""Moving one server's data into a cluster: what the parts of a migration say to each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from slotwright.cluster.observation import Role
from slotwright.keys.model.databases import DatabaseMap


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """How much the source may be asked for. ``latency_ms``: how long a client of it may have to wait before we take
    less; ``pace_bytes``: bytes a second to copy at the most (0: as fast as it goes); ``buffer_bytes``: what may wait in
    the source's memory for us before we take it as fast as it goes after all."""

    latency_ms: float = 10.0
    pace_bytes: int = 0
    buffer_bytes: int = 128 * 1024 * 1024


@dataclass(slots=True)
class CopyProgress:
    """How far the copying of one source is, for people; the only value here that changes.

    ``keys`` and ``bytes`` are those of the snapshot, ``changes`` those of the stream that were sent, ``by_value`` those
    that could not be, ``mended`` what was refused, not done or lost, and carried anew; ``copied_s`` is 0 until the
    snapshot is in.
    """

    keys: int = 0
    bytes: int = 0
    changes: int = 0
    by_value: int = 0
    mended: int = 0
    copied_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """How a server of the source was before it was made to refuse writes. ``rights`` are users with their commands as
    ``ACL GETUSER`` tells them, where these were changed."""

    address: str
    min_replicas: int
    max_lag: int
    rights: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicationStanding:
    """What a server of the source says of its place in its replication. ``role`` None: it can't be told. ``primary`` is
    whom a replica follows, escaped text where that is no address. ``takes_writes``: a replica that clients may write
    to, whose writes are in no stream (``replica-read-only no``). ``history`` is its replication id: with another
    one it is another standing."""

    role: Role | None
    primary: str = ""
    link_is_up: bool = True
    takes_writes: bool = False
    is_in_cluster: bool = False
    history: str = ""

    @property
    def is_replica(self) -> bool:
        """Somebody else takes the writes."""
        return self.role is Role.REPLICA


@dataclass(frozen=True, slots=True)
class CutoverRefusal:
    """Why a cutover that another terminal asked for was refused; ``at`` is the time of day."""

    at: float
    what: str
    where: str
    seen: str
    hint: str


@dataclass(frozen=True, slots=True)
class PausedExpiry:
    """What was changed in the target so that no key expires there before the source says so. ``import_mode`` are the
    nodes whose ``import-mode`` was switched on; ``has_later_deadlines``: keys may have a deadline that is later than
    the source's."""

    import_mode: tuple[str, ...] = ()
    has_later_deadlines: bool = False


class MigrationPhase(StrEnum):
    """How far a migration is. Every one can be gone on with; only after MOVED the clients may write to the target."""

    COPY = "copy"
    """The snapshot is on its way."""
    FOLLOW = "follow"
    """The target follows the source."""
    CLOSING = "closing"
    """All is proved; the source is being made read-only."""
    MOVED = "moved"
    """The source refuses writes, the target has everything."""
    ABORTED = "aborted"
    """Given up; the source is as it was."""


class MigrationRequest(StrEnum):
    """What one terminal asks of the process in another that follows."""

    CUTOVER = "cutover"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class StreamPosition:
    """How far the history of one server of the source was taken, to go on from there. ``keys``: how many it had, as it
    told last."""

    address: str
    replication_id: str
    offset: int
    database: int
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Migration:
    """What is kept of a migration. ``source`` and ``target`` are as they were typed; no password is in it. ``clusters``
    are the sides that are known here, by name. ``is_paused``: its last process was asked to end, and did."""

    source: str
    target: str
    target_name: str
    user: str
    password_file: str
    databases: DatabaseMap
    limits: MigrationLimits
    phase: MigrationPhase
    began: float
    positions: tuple[StreamPosition, ...] = ()
    read_only: tuple[ReadOnly, ...] = ()
    moved_at: float = 0.0
    paused_expiry: PausedExpiry = PausedExpiry()
    clusters: tuple[str, ...] = ()
    is_paused: bool = False

    @property
    def needs_both_sides(self) -> bool:
        """Whether keys are still to be carried: neither side may go."""
        return self.phase in (MigrationPhase.COPY, MigrationPhase.FOLLOW, MigrationPhase.CLOSING)

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can be gone on with."""
        return self.phase is MigrationPhase.ABORTED

    @property
    def name(self) -> str:
        """For people and for the place where it is kept."""
        return f"{self.source} to {self.target_name}"


def with_pace(migration: Migration, bytes_s: int) -> Migration:
    """The same with another rate of copying; 0: as fast as it goes."""
    return replace(migration, limits=replace(migration.limits, pace_bytes=bytes_s))


@dataclass(frozen=True, slots=True)
class CutoverPause:
    """How long writes waited at the cutover, in seconds: until everything was drained, until it was proved, until the
    source refused writes. ``how`` says by what.

    ``primary`` is that of a source that is a replica: nothing was held then, and the primary stood still for
    ``still_s`` before. It was not made to refuse writes."""

    how: str
    drained_s: float = 0.0
    proved_s: float = 0.0
    total_s: float = 0.0
    primary: str = ""
    still_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """A migration as it is just now, for whoever asks from another terminal. ``at`` is the time of day."""

    at: float
    words: str
    keys: int = 0
    expected_keys: int = 0
    changes: int = 0
    by_value: int = 0
    mended: int = 0
    lag_bytes: int = 0
    held: int = 0
    dirty_keys: int = 0
    source_p50_ms: float = 0.0
    source_p99_ms: float = 0.0
    is_ready: bool = False
    refusal: CutoverRefusal | None = None
