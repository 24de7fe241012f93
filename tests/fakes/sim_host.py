"""A host of the simulated cluster: the folders and processes of its nodes, behind the port of a real one."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.record import directory_name
from slotwright.errors import HostError, ServerError
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import DirectoryFact, DirectoryState, HostFacts, NodeFacts, NodeQuery, ProcessId
from tests.fakes.build import DATA_ROOT
from tests.fakes.sick_cluster import Cluster, Life, Node, render_map
from tests.fakes.sick_views import exam_of_node
from tests.fakes.sim_server import Change
from tests.fakes.world import FakeHost


@dataclass(slots=True)
class SimHost:
    """Implements :class:`slotwright.ports.Host`, as far as a cluster that was made is worked on.

    Rehearsals are not the cluster's: they have a host of their own.
    """

    cluster: Cluster
    change: Change
    host: str
    rehearsals: FakeHost

    def _node(self, directory: str) -> Node:
        """A host that a node keeps us out of, or that is away, tells nothing."""
        self._demand_there()
        for place, node in self.cluster.nodes.items():
            if directory == f"{DATA_ROOT}/{directory_name(place)}":
                return node
        raise HostError(f"{directory} is not there", code="directory-missing", where=directory)

    def _demand_there(self) -> None:
        mine = [node for place, node in self.cluster.nodes.items() if place.host == self.host]
        if any(node.life is Life.AWAY or node.keeps_us_out for node in mine):
            raise HostError("no route to host", code="host-unreachable", where=self.host)

    def _at_rest(self, directory: str) -> Node:
        node = self._node(directory)
        if node.life is not Life.DEAD:
            raise HostError(f"the server of {directory} runs", code="node-running", where=directory)
        if node.folder.state is not DirectoryState.OURS:
            raise HostError(f"{directory} is not of this cluster", code="directory-foreign", where=directory)
        return node

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        self._demand_there()
        return HostFacts(host, tuple(self._facts(query) for query in queries), 10**12)

    def _facts(self, query: NodeQuery) -> NodeFacts:
        node = self._node(query.directory)
        conf = hashlib.sha256(node.folder.conf.encode()).hexdigest()
        has_map = node.life is not Life.DEAD or node.folder.map is not None
        fact = DirectoryFact(query.directory, node.folder.state, self.cluster.blueprint.name, has_map, conf)
        return NodeFacts(query.address, fact, process_of(node))

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        self._demand_there()
        return HostExam(host, tuple(exam_of_node(self._node(query.directory)) for query in queries), 2**34)

    # Folders.

    async def create(self, files: NodeFiles) -> None:
        if _is_rehearsal(files.directory):
            await self.rehearsals.create(files)
            return
        node = self._node(files.directory)
        folder = node.folder
        assert folder.state is not DirectoryState.OURS, "a folder with data is made anew"

        def make() -> None:
            folder.state, folder.data, folder.map, folder.conf = DirectoryState.OURS, {}, None, files.server_conf

        self.change(f"folder {node.place}", make)
        if files.nodes_conf is not None:
            self.change(f"map {node.place}", lambda: _set_map(self.cluster, node, files.nodes_conf or ""))

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        node = self._at_rest(directory)
        if node.folder.map != text:
            self.change(f"map {node.place}", lambda: _set_map(self.cluster, node, text))

    async def read_map(self, directory: str, cluster_id: str) -> str:
        node = self._node(directory)
        return node.folder.map or "" if node.life is Life.DEAD else render_map(self.cluster, node)

    async def rewrite_conf(self, files: NodeFiles) -> None:
        node = self._node(files.directory)
        self.change(f"conf {node.place}", lambda: setattr(node.folder, "conf", files.server_conf))

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        node = self._at_rest(directory)
        if not node.folder.is_damaged and not node.folder.data:
            return ""
        self.change(f"aside {node.place}", lambda: _set_aside(node))
        return f"{directory}/aside-{len(node.folder.aside)}"

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        node = self._at_rest(directory)
        self.change(f"cut {node.place}", lambda: _cut_log(node))
        return "Successfully truncated AOF"

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        node = self._node(directory)
        age_s = float(node.folder.written_at - self.cluster.now)
        if node.life is not Life.DEAD or not node.folder.has_lost_end:
            return NodeDisk(AppendLog.WHOLE, age_s)
        return NodeDisk(AppendLog.CUT if node.folder.data else AppendLog.ABSENT)

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        node = self._node(directory)
        return (("dump.rdb", len(node.folder.data)),)

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """Its values are safe in there, whatever becomes of it."""
        node = self._node(directory)
        data = node.folder.data if node.life is Life.DEAD else node.data
        content = json.dumps([[slot, name.decode(), value] for (slot, name), value in data.items()]).encode()
        member = tarfile.TarInfo("data.json")
        member.size = len(content)
        with tarfile.open(archive, "w:gz") as packed:
            packed.addfile(member, io.BytesIO(content))
        assert Path(archive).exists()
        self.cluster.kept |= set(data.items())

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        if _is_rehearsal(directory):
            return await self.rehearsals.log_tail(directory, most_bytes)
        return self._node(directory).folder.log

    async def rotate_log(self, directory: str) -> None:
        pass

    async def remove(self, directory: str, cluster_id: str) -> None:
        assert _is_rehearsal(directory), "nodes are taken away in world.py"
        await self.rehearsals.remove(directory, cluster_id)

    async def free_port(self, host: str) -> int:
        return await self.rehearsals.free_port(host)

    async def give_up(self, directory: str) -> None:
        pass

    async def count_forks(self) -> int:
        self._demand_there()
        return 0

    # Processes.

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        if _is_rehearsal(directory):
            return await self.rehearsals.find(directory, cluster_id)
        return process_of(self._node(directory))

    async def start(self, launch: Launch) -> ProcessId:
        if _is_rehearsal(launch.directory):
            return await self.rehearsals.start(launch)
        node = self._node(launch.directory)
        self.change(f"start {node.place}", lambda: self._start(node, launch))
        return process_of(node) or ProcessId(1, "died")

    def _start(self, node: Node, launch: Launch) -> None:
        node.overrides = dict(launch.overrides)
        try:
            self.cluster.start(node)
        except ServerError:
            return
        # Its configuration was written by us, with the password.
        node.has_password = node.has_password or bool(node.folder.conf)

    async def is_running(self, process: ProcessId) -> bool:
        is_node = any(process_of(node) == process for node in self.cluster.nodes.values())
        return is_node or await self.rehearsals.is_running(process)

    async def kill(self, process: ProcessId, directory: str) -> None:
        if _is_rehearsal(directory):
            await self.rehearsals.kill(process, directory)
            return
        node = self._node(directory)
        if process_of(node) == process:
            self.change(f"kill {node.place}", lambda: self.cluster.kill(node))

    async def freeze(self, process: ProcessId, directory: str) -> None:
        self._set_life(process, directory, Life.RUNNING, Life.STOPPED)

    async def thaw(self, process: ProcessId, directory: str) -> None:
        self._set_life(process, directory, Life.STOPPED, Life.RUNNING)

    def _set_life(self, process: ProcessId, directory: str, before: Life, after: Life) -> None:
        node = self._node(directory)
        if process_of(node) == process and node.life is before:
            self.change(f"{after} {node.place}", lambda: setattr(node, "life", after))


def _is_rehearsal(directory: str) -> bool:
    return directory.endswith("/rehearsal")


def process_of(node: Node) -> ProcessId | None:
    """None for one that does not run."""
    return None if node.life is Life.DEAD else ProcessId(node.starts, str(node.place))


def _set_map(cluster: Cluster, node: Node, text: str) -> None:
    """The folder's name in the cluster's map is the node's, whatever id it had in between."""
    node.folder.map = text
    node.id = cluster.blueprint.node_at(node.place).id


def _set_aside(node: Node) -> None:
    node.folder.aside.append(dict(node.folder.data))
    node.folder.data, node.folder.is_damaged = {}, False


def _cut_log(node: Node) -> None:
    """The end is cut off: here, all but the first key. The whole file stays archived."""
    node.folder.aside.append(dict(node.folder.data))
    node.folder.data = dict(sorted(node.folder.data.items())[:1])
    node.folder.is_damaged = False
