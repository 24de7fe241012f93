"""The capabilities that the product asks for: what each means, how it is tried, and which versions have it.

A running server is asked, where it can tell: by ``COMMAND INFO`` or ``CONFIG GET``. Where it can't, and where there is
no running server (a file, a program that was not started yet), the versions stand in. They come from the servers'
sources, and ``make capabilities`` holds them to what every server at hand does (docs/capabilities.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind


class Capability(Enum):
    """Names, as docs/capabilities.md has them."""

    ABSOLUTE_DEADLINES = "absolute-deadlines"
    ACL_DRYRUN = "acl-dryrun"
    DISABLES_HUGE_PAGES = "disables-huge-pages"
    EXPIRE_TIME = "expire-time"
    FIELD_EXPIRY = "field-expiry"
    FUNCTIONS = "functions"
    IMPORT_MODE = "import-mode"
    NO_TOUCH = "no-touch"
    REFUSES_TO_QUEUE_PSYNC = "refuses-to-queue-psync"
    SCRIPT_REPLICA_CHECK = "script-replica-check"
    SHARD_IDS = "shard-ids"
    WRITE_PAUSE = "write-pause"


@dataclass(frozen=True, slots=True)
class AskCommand:
    """COMMAND INFO knows it; with ``flag``, it has that flag, too."""

    name: str
    flag: str = ""


@dataclass(frozen=True, slots=True)
class AskSetting:
    """CONFIG GET knows it."""

    name: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """A running cluster's node can't be asked without a change of it: tried on servers of the tests alone."""

    words: str


Trial = AskCommand | AskSetting | Experiment

Since = tuple[int, ...] | None
"""The first version that has it; None: no version."""

ALWAYS: Since = ()


@dataclass(frozen=True, slots=True)
class CapabilityRow:
    """``redis`` and ``valkey`` are the first versions that have it; ``basis`` is where that is from."""

    capability: Capability
    meaning: str
    trial: Trial
    redis: Since
    valkey: Since
    basis: str

    def is_in(self, version: ServerVersion) -> bool:
        """What the table says of a version."""
        since = self.valkey if version.kind is EngineKind.VALKEY else self.redis
        return since is not None and version.numbers >= since


ROWS: tuple[CapabilityRow, ...] = (
    CapabilityRow(
        Capability.ABSOLUTE_DEADLINES,
        "replicas are told the moments at which keys expire, not times from now",
        Experiment("SET with PX, and the stream to a replica says PXAT"),
        (7, 0),
        ALWAYS,
        "t_string.c, expire.c",
    ),
    CapabilityRow(
        Capability.ACL_DRYRUN,
        "a user's rights can be asked without doing anything",
        AskCommand("ACL|DRYRUN"),
        (7, 0),
        ALWAYS,
        "acl.c",
    ),
    CapabilityRow(
        Capability.DISABLES_HUGE_PAGES,
        "the server switches transparent huge pages off for itself",
        AskSetting("disable-thp"),
        (6, 2),
        ALWAYS,
        "config.c",
    ),
    CapabilityRow(
        Capability.EXPIRE_TIME,
        "the moment at which a key expires can be read",
        AskCommand("PEXPIRETIME"),
        (7, 0),
        ALWAYS,
        "expire.c",
    ),
    CapabilityRow(
        Capability.FIELD_EXPIRY,
        "fields of a hash can expire, and the moment can be read",
        AskCommand("HPEXPIRETIME"),
        (7, 4),
        (9, 0),
        "page of the command HPEXPIRETIME",
    ),
    CapabilityRow(
        Capability.FUNCTIONS,
        "libraries of functions",
        AskCommand("FUNCTION"),
        (7, 0),
        ALWAYS,
        "functions.c",
    ),
    CapabilityRow(
        Capability.IMPORT_MODE,
        "a primary can be told to expire and evict nothing, and shows expired keys to clients that import",
        AskSetting("import-mode"),
        None,
        (8, 1),
        "db.c, expireIfNeeded",
    ),
    CapabilityRow(
        Capability.NO_TOUCH,
        "a client can read keys without making them look used",
        AskCommand("CLIENT|NO-TOUCH"),
        (7, 2),
        ALWAYS,
        "page of the command CLIENT NO-TOUCH",
    ),
    CapabilityRow(
        Capability.REFUSES_TO_QUEUE_PSYNC,
        "PSYNC is refused in a transaction, so it can't be queued to find out whether a user may",
        AskCommand("PSYNC", "no_multi"),
        (7, 0),
        ALWAYS,
        "server.c, processCommand",
    ),
    CapabilityRow(
        Capability.SCRIPT_REPLICA_CHECK,
        "a script's writes are refused for want of replicas, as others are",
        Experiment("min-replicas-to-write 1, and EVAL of a SET is answered NOREPLICAS"),
        (7, 0),
        ALWAYS,
        "script.c, scriptVerifyWriteCommandAllow",
    ),
    CapabilityRow(
        Capability.SHARD_IDS,
        "nodes keep a shard id in nodes.conf",
        Experiment("a node of a cluster starts, and its nodes.conf has shard-id="),
        (7, 2),
        ALWAYS,
        "cluster.c, auxFieldHandlers",
    ),
    CapabilityRow(
        Capability.WRITE_PAUSE,
        "writes alone can be made to wait, while reads are answered",
        Experiment("CLIENT PAUSE 1 WRITE is answered OK"),
        (6, 2),
        ALWAYS,
        "networking.c, clientCommand",
    ),
)
"""Each capability once; a test holds that."""
