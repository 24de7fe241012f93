"""The files of one node: texts to be written below its folder. Secrets are inside, so they are written 0600."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.model.topology import Address

MARKER = "slotwright.json"
SERVER_CONF = "server.conf"
NODES_CONF = "nodes.conf"
SERVER_LOG = "server.log"
PID_FILE = "server.pid"
PROCESS = "process.json"
MAP_ASIDE = "nodes.conf.broken"
ASIDE = "aside-"
"""How the name of a folder begins that data was moved into, out of the server's way."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """``nodes_conf`` is None for a stand-alone instance. The texts don't show in a ``repr``."""

    address: Address
    directory: str
    marker: str
    server_conf: str = field(repr=False)
    nodes_conf: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started: ``overrides`` are directives that win over the file, for a formation only.

    ``is_trial``: it lives for a moment only, and is no service of its host.
    """

    address: Address
    directory: str
    binary: str
    overrides: tuple[tuple[str, str], ...] = ()
    is_trial: bool = False
