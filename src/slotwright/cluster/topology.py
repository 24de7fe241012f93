"""Desired state: what the topology file says, validated, with every default filled in.

Values only. A :class:`Topology` that exists is sound in itself: addresses are unique, ports and bus ports are legal,
there are enough nodes for what it asks. What the world makes of it (ports taken, hosts down) is somebody else's
question. The constructor of the values is in ``adapters/topology/file.py``, which reports every problem at once.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from enum import StrEnum

BUS_PORT_OFFSET = 10000
"""The cluster bus listens on port + 10000 (cluster.h: CLUSTER_PORT_INCR)."""

HIGHEST_PORT = 65535 - BUS_PORT_OFFSET


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a node is: ``host`` is an IP address or a name, ``port`` its client port (0: none is known), or
    :class:`ValueError`."""

    host: str
    port: int

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"not a port: {self.port}")

    @property
    def bus_port(self) -> int:
        """The port of the cluster bus."""
        return self.port + BUS_PORT_OFFSET

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """``host:port`` or ``[v6]:port``; :class:`ValueError` for anything else."""
        host, colon, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 65535:
            raise ValueError(f"not host:port: {text!r}")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """True when only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class EngineKind(StrEnum):
    """Which server family runs."""

    REDIS = "redis"
    VALKEY = "valkey"


class EngineOrigin(StrEnum):
    """Where the binaries come from."""

    EMBEDDED = "embedded"
    PATH = "path"
    DIRECTORY = "directory"
    PACKAGE = "package"
    ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class Engine:
    """The server to run. ``directory`` is an absolute path: for DIRECTORY the folder on the hosts that holds the
    binaries, for ARCHIVE the tarball on this machine; "" for every other origin."""

    kind: EngineKind
    origin: EngineOrigin
    directory: str = ""


class SudoMode(StrEnum):
    """Whether a user who is not root becomes root: AUTO where the host allows it, NEVER even where it would."""

    AUTO = "auto"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class SshSpec:
    """How a host is reached. "" and 0 mean: as ``~/.ssh/config`` says, else SSH's own default.

    ``key`` is the absolute path of a private key, ``jump`` is ``[user@]host[:port]``. ``password_variable`` names the
    environment variable that holds the login's password (sudo's, too); ``ask_password``: it is asked for on the
    terminal. The password itself is never here. ``address`` is where SSH connects when that is not the host's address.
    """

    user: str = ""
    port: int = 0
    key: str = ""
    jump: str = ""
    address: str = ""
    password_variable: str = ""
    ask_password: bool = False
    sudo: SudoMode = SudoMode.AUTO


class Via(StrEnum):
    """How this machine talks to the servers of remote hosts: through SSH, or straight to their client ports."""

    SSH = "ssh"
    DIRECT = "direct"


class Mode(StrEnum):
    """A cluster, or one stand-alone instance."""

    CLUSTER = "cluster"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host of the file: its address, the client ports of its nodes in order, and optional labels.

    ``ssh`` None: it is this machine. Either every host of a topology has it, or none.
    """

    address: str
    ports: tuple[int, ...]
    rack: str = ""
    zone: str = ""
    ssh: SshSpec | None = None

    @property
    def node_addresses(self) -> tuple[Address, ...]:
        """One address a port, in the file's order."""
        return tuple(Address(self.address, port) for port in self.ports)


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """An explicit shard: this primary here, its replicas there."""

    primary: Address
    replicas: tuple[Address, ...] = ()


class PasswordSource(StrEnum):
    """Where the password comes from."""

    ENVIRONMENT = "env"
    FILE = "file"
    GENERATED = "generate"
    INLINE = "inline"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class PasswordRef:
    """A reference, never the password: ``name`` is the variable or the absolute path of the file.

    INLINE is allowed with a warning; its text is then read again from the file each time, and not kept here.
    """

    source: PasswordSource
    name: str = ""


@dataclass(frozen=True, slots=True)
class Topology:
    """Everything that the file says.

    ``settings`` are (directive, value) pairs as the server's configuration takes them, in the file's order; a
    directive given several values stands once for each. ``data_directory`` is an absolute path, or "" for the state
    directory.
    ``allow_colocated_replicas`` permits a replica on its primary's host where nothing else is possible.
    ``clients`` are the networks (CIDR) that may reach the client ports; peers always may. ``via`` counts for remote
    hosts only.
    """

    name: str
    engine: Engine
    hosts: tuple[HostSpec, ...]
    replicas: int = 1
    shards: tuple[ShardSpec, ...] = ()
    password: PasswordRef = field(default_factory=lambda: PasswordRef(PasswordSource.NONE))
    settings: tuple[tuple[str, str], ...] = ()
    data_directory: str = ""
    mode: Mode = Mode.CLUSTER
    allow_colocated_replicas: bool = False
    clients: tuple[str, ...] = ()
    via: Via = Via.SSH

    @property
    def is_remote(self) -> bool:
        """Whether the nodes live on hosts that are reached by SSH."""
        return any(host.ssh is not None for host in self.hosts)

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every node's address, host by host in the file's order."""
        return tuple(address for host in self.hosts for address in host.node_addresses)
