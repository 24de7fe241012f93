"""A host that can't be reached: everything that is asked of it gets the reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.errors import HostError
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import HostFacts, NodeQuery, ProcessId


class UnreachableHost:
    """Implements :class:`slotwright.ports.Host`; every method raises the HostError that it was made with."""

    def __init__(self, error: HostError) -> None:
        self._error = error

    def _fail(self) -> NoReturn:
        # A fresh one each time: what an error says of what was left behind is added where it is caught.
        old = self._error
        raise HostError(old.what, code=old.code, where=old.where, seen=old.seen, left=old.left, hint=old.hint)

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        """Raises."""
        self._fail()

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        """Raises."""
        self._fail()

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        """Raises."""
        self._fail()

    async def read_map(self, directory: str, cluster_id: str) -> str:
        """Raises."""
        self._fail()

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        """Raises."""
        self._fail()

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        """Raises."""
        self._fail()

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """Raises."""
        self._fail()

    async def free_port(self, host: str) -> int:
        """Raises."""
        self._fail()

    async def count_forks(self) -> int:
        """Raises."""
        self._fail()

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """Raises."""
        self._fail()

    async def create(self, files: NodeFiles) -> None:
        """Raises."""
        self._fail()

    async def rewrite_conf(self, files: NodeFiles) -> None:
        """Raises."""
        self._fail()

    async def start(self, launch: Launch) -> ProcessId:
        """Raises."""
        self._fail()

    async def is_running(self, process: ProcessId) -> bool:
        """Raises."""
        self._fail()

    async def kill(self, process: ProcessId, directory: str) -> None:
        """Raises."""
        self._fail()

    async def freeze(self, process: ProcessId, directory: str) -> None:
        """Raises."""
        self._fail()

    async def thaw(self, process: ProcessId, directory: str) -> None:
        """Raises."""
        self._fail()

    async def give_up(self, directory: str) -> None:
        """Raises."""
        self._fail()

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        """Raises."""
        self._fail()

    async def log_from(self, directory: str, offset: int) -> tuple[str, int]:
        """Raises."""
        self._fail()

    async def rotate_log(self, directory: str) -> None:
        """Raises."""
        self._fail()

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        """Raises."""
        self._fail()

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """Raises."""
        self._fail()

    async def remove(self, directory: str, cluster_id: str) -> None:
        """Raises."""
        self._fail()

    async def set_aside(self, directory: str, cluster_id: str, destination: str) -> None:
        """Raises."""
        self._fail()
