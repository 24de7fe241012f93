"""The files of one node: texts to be written below its folder. Secrets are inside, so they are written 0600."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from slotwright.cluster.formats import FileKind, head_of
from slotwright.cluster.topology import Address

MARKER = "slotwright.json"
SERVER_CONF = "server.conf"
NODES_CONF = "nodes.conf"
SERVER_LOG = "server.log"
PID_FILE = "server.pid"
PROCESS = "process.json"
MAP_ASIDE = "nodes.conf.broken"
ASIDE = "aside-"
"""How the name of a folder begins that data was moved into, out of the server's way."""
LOG_LIMIT_BYTES = 16 * 1024 * 1024
LOGS_KEPT = 3
"""A server's log that has grown to this is moved aside; so many of these are kept."""


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """``nodes_conf`` is None for a stand-alone instance. The texts don't show in a ``repr``."""

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


def marker_text(cluster_id: str, name: str, node_id: str = "") -> str:
    """What a node's folder is known by: whose it is, and in which format that is written."""
    content: dict[str, object] = {**head_of(FileKind.MARKER), "cluster_id": cluster_id, "name": name}
    if node_id:
        content["node_id"] = node_id
    return json.dumps(content, indent=1) + "\n"


def renewed_marker(old: str, new: str) -> str:
    """The ``new`` text of a marker, with the fields of the ``old`` one that it lacks, if both are of one cluster.

    Fields that a later release wrote are kept by that. A text that is no marker is replaced.
    """
    try:
        before, after = json.loads(old), json.loads(new)
    except ValueError:
        return new
    if not isinstance(before, dict) or before.get("cluster_id") != after.get("cluster_id"):
        return new
    further = {name: value for name, value in before.items() if name not in after}
    return json.dumps({**after, **further}, indent=1) + "\n" if further else new
