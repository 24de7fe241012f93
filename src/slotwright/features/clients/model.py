"""What a client's configuration is made from, and what it is made into. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """A cluster as its clients need to know it.

    ``seeds`` are addresses as the nodes announce them (with TLS their TLS ports): of every shard the primary and a
    replica, in an order that a failover does not change. ``server`` is its title (``Valkey 9.1.2``), "" where no node
    told. ``password_variable`` names the environment variable that the application reads, "" for a cluster without a
    password; ``username`` "" is the default user. ``left_out`` has a line, with their text escaped, for each node of
    which an address or name is none, and was not taken.
    """

    name: str
    seeds: tuple[Address, ...]
    shards: int
    nodes: int
    server: str
    node_timeout_ms: int
    password_variable: str
    username: str = ""
    is_tls: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file to paste: ``name`` is where it goes in a project of that kind, ``language`` is for a highlighter."""

    name: str
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One kind's configuration. ``dependency`` is the line for the build file, with the version that is tried;
    ``environment`` are the variables that must be set where the application runs; ``left_out`` as in the facts."""

    kind: str
    title: str
    dependency: str
    files: tuple[ClientFile, ...]
    environment: tuple[str, ...]
    left_out: tuple[str, ...] = ()
