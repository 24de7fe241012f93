"""What slotwright remembers of a cluster between two commands: the blueprint, the file and where things lie.

The record never says what *is*: that is asked of the servers each time. It holds no password of the cluster; the
settings of modules stand in it as in the topology file, secret or not, so it is for its owner's eyes alone (0600).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.topology import Address, Topology


class Stage(StrEnum):
    """FORMING until the servers proved the cluster once; FORMED from then on. ADOPTED: others made it."""

    FORMING = "forming"
    FORMED = "formed"
    ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class HostRules:
    """The firewall rules of one host that are ours to take back, in their stable form."""

    host: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """``topology_path`` is the absolute path of the file last applied ("" for a demo); ``data_root`` holds one folder
    a node; ``binary`` is the server's path and ``version`` its title ("Valkey 9.1.2"); ``settings`` are the canonical
    values of the file's settings, the server's own passwords left out; ``rules`` what was added to hosts' firewalls;
    ``folders`` the folders' names of nodes (``host:port``) that have another address now than when they were made."""

    blueprint: Blueprint
    topology: Topology
    stage: Stage
    topology_path: str
    data_root: str
    binary: str
    version: str
    settings: tuple[tuple[str, str], ...] = ()
    rules: tuple[HostRules, ...] = ()
    folders: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.blueprint.name

    def node_directory(self, address: Address) -> str:
        """The folder of the node at ``address``."""
        return f"{self.data_root}/{self.folder_name(address)}"

    def folder_name(self, address: Address) -> str:
        """The name of that folder: that of the address that the node was made with."""
        return dict(self.folders).get(str(address)) or directory_name(address)


def directory_name(address: Address) -> str:
    """``127.0.1.1-7001``: one folder a node, readable and safe in every file system."""
    return f"{address.host.replace(':', '_')}-{address.port}"


def folder_of(record: ClusterRecord | None, address: Address) -> str:
    """The folder's name of the node at ``address``, also where no cluster was made yet."""
    return record.folder_name(address) if record else directory_name(address)
