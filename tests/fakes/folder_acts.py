"""Everything that a host does with a node's folder: on this machine, and by scripts in a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor
from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.exam import NodeExam
from slotwright.hosts.facts.nodes import NodeFacts, NodeQuery
from slotwright.ports import Host
from tests.fakes import stand_in
from tests.fakes.shells import OURS

HERE = Address("127.0.0.1", 7001)
Act = Callable[[Host, str], Coroutine[Any, Any, object]]


def host_of(kind: str) -> Host:
    """``local`` or ``remote``."""
    if kind == "local":
        return LocalHost()
    shell = LocalShell("h")
    detached = DetachedSupervisor(shell, "cache")
    return RemoteHost(shell, "", detached, detached)


def facts(host: Host, folder: Path) -> NodeFacts:
    return asyncio.run(host.inspect("h", "c1", [NodeQuery(HERE, str(folder))])).nodes[0]


def exam(host: Host, folder: Path) -> NodeExam:
    return asyncio.run(host.examine("h", "c1", [NodeQuery(HERE, str(folder))])).nodes[0]


def files(folder: str) -> NodeFiles:
    return NodeFiles(folder, OURS, "port 1\n")


ACTS: dict[str, Act] = {
    "find": lambda host, folder: host.find(folder, "c1"),
    "create": lambda host, folder: host.create(files(folder)),
    "rewrite": lambda host, folder: host.rewrite_conf(files(folder)),
    "start": lambda host, folder: host.start(Launch(HERE, folder, stand_in.program())),
    "map": lambda host, folder: host.write_map(folder, "c1", "a map\n"),
    "read": lambda host, folder: host.read_map(folder, "c1"),
    "aside": lambda host, folder: host.set_data_aside(folder, "c1"),
    "mend": lambda host, folder: host.cut_append_log(folder, "c1", "/bin/false"),
    "pack": lambda host, folder: host.pack(folder, "c1", f"{folder}.tar.gz"),
    "remove": lambda host, folder: host.remove(folder, "c1"),
    "move": lambda host, folder: host.set_aside(folder, "c1", f"{folder}-kept"),
}
