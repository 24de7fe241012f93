"""What slotwright itself has on a remote host, beside the nodes' folders."""

from __future__ import annotations

from dataclasses import dataclass

SERVICE_USER = "slotwright"
ROOT = "/var/lib/slotwright"
"""What is kept on a host on which we are root; engines are elsewhere (``hosts/facts/engine.py``)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cluster's things are on every one of its hosts; absolute paths.

    ``tree`` is the cluster's own folder: its link to the running server's version and its rehearsals. ``data_root``
    holds one folder a node.
    """

    tree: str
    data_root: str
    engine_root: str

    @property
    def rehearsal(self) -> str:
        """Where a server is tried."""
        return f"{self.tree}/rehearsal"

    @property
    def link(self) -> str:
        """What leads to the folder of the running version."""
        return f"{self.tree}/engine"

    def binary(self, kind: str) -> str:
        """The path that servers are started by."""
        return f"{self.link}/bin/{kind}-server"


@dataclass(frozen=True, slots=True)
class Site:
    """Read in one pass. ``link`` is where the cluster's link leads, "" for none; ``unit_digest`` the SHA-256 of the
    cluster's unit, "" for none; ``enabled`` are the instances that start at boot; ``rooms`` whether the folders of the
    place are there."""

    host: str
    has_user: bool
    link: str = ""
    unit_digest: str = ""
    enabled: frozenset[str] = frozenset()
    rooms: bool = False
