"""Moving one server's data into a cluster: what the parts of a migration say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

Named = tuple[int, bytes]
"""Database and key, as the source has them, unless something else is said."""


class DatabaseRule(StrEnum):
    """What becomes of databases other than 0, which a cluster (before Valkey 9) does not have."""

    REFUSE = "refuse"
    """Only database 0 is moved, and a source that has keys in others is refused."""
    PREFIX = "prefix"
    """Keys of database 3 get the prefix ``db3:`` (:attr:`DatabaseMap.template`), those of database 0 none."""
    KEEP = "keep"
    """The same database in the cluster: Valkey 9 with ``cluster-databases`` large enough."""


@dataclass(frozen=True, slots=True)
class DatabaseMap:
    """Where a key of the source lives in the target. ``template`` has ``{db}`` in it, and is for PREFIX alone."""

    rule: DatabaseRule = DatabaseRule.REFUSE
    template: str = "db{db}:"

    @property
    def is_renaming(self) -> bool:
        """Whether keys may be called otherwise in the target."""
        return self.rule is DatabaseRule.PREFIX

    def target(self, named: Named) -> Named:
        """The database and key in the cluster."""
        database, key = named
        if database == 0 or self.rule is not DatabaseRule.PREFIX:
            return named
        return 0, self.prefix(database) + key

    def prefix(self, database: int) -> bytes:
        """What is put before the keys of ``database``."""
        if database == 0 or self.rule is not DatabaseRule.PREFIX:
            return b""
        return self.template.replace("{db}", str(database)).encode()


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the source may be asked for. ``latency_ms``: how long a client of it may have to wait before we take
    less; ``pace_bytes``: bytes a second to copy at the most (0: as fast as it goes); ``buffer_bytes``: what may wait in
    the source's memory for us before we take it as fast as it goes after all."""

    latency_ms: float = 10.0
    pace_bytes: int = 0
    buffer_bytes: int = 128 * 1024 * 1024


@dataclass(slots=True)
class Progress:
    """How far the copying of one source is, for people; the only value here that changes.

    ``keys`` and ``bytes`` are those of the snapshot, ``changes`` those of the stream that were sent, ``by_value`` those
    that could not be, ``mended`` what was refused or lost and carried anew; ``copied_s`` is 0 until the snapshot is in.
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


class Phase(StrEnum):
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


class Request(StrEnum):
    """What one terminal asks of the process in another that follows."""

    CUTOVER = "cutover"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Position:
    """How far the history of one server of the source was taken, to go on from there. ``keys``: how many it had, as it
    told last."""

    address: str
    replication_id: str
    offset: int
    database: int
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Migration:
    """What is kept of a migration. ``source`` and ``target`` are as they were typed; no password is in it."""

    source: str
    target: str
    target_name: str
    user: str
    password_file: str
    databases: DatabaseMap
    limits: Limits
    phase: Phase
    began: float
    positions: tuple[Position, ...] = ()
    read_only: tuple[ReadOnly, ...] = ()
    moved_at: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether nothing of it can be gone on with."""
        return self.phase is Phase.ABORTED

    @property
    def name(self) -> str:
        """For people and for the place where it is kept."""
        return f"{self.source} to {self.target_name}"


@dataclass(frozen=True, slots=True)
class Pause:
    """How long writes waited at the cutover, in seconds: until everything was drained, until it was proved, until the
    source refused writes. ``how`` says by what."""

    how: str
    drained_s: float = 0.0
    proved_s: float = 0.0
    total_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Status:
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
    unproved: int = 0
    source_p50_ms: float = 0.0
    source_p99_ms: float = 0.0
    is_ready: bool = False
