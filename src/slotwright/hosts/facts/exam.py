"""A node as its host sees it: its folder, its process, its map, the end of its log. Collected, not judged.

What the servers say of each other is in ``cluster/observation.py``. A node that does not answer is told apart only
here: its process is gone, or stopped; its map is lost; its disk is full.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.hosts.facts.nodes import DirectoryState, ProcessId

LOG_BYTES = 8192
MAP_BYTES = 16 * 1024 * 1024
"""How much of a log and of a map is read."""


@dataclass(frozen=True, slots=True)
class NodeExam:
    """What could not be found out is None or "".

    ``process_state`` is the letter of ``/proc/PID/stat`` (R, S, D, T: stopped). ``nofile`` is the running process's own
    soft limit. ``map_text`` is its ``nodes.conf`` (None: there is none); it is read only for a node that does not run.
    ``log_tail`` is the end of its log, at the most 8 KiB. ``data_bytes`` counts RDB and AOF files. ``ended_by`` is the
    service manager's word for how the last run ended (``oom-kill``, ``exit-code``, ``signal``). ``reason`` and
    ``remedy`` say why what is there is not believed (UNSAFE) or can't be read (NEWER); then nothing else is known,
    whether it runs or not.
    """

    address: Address
    directory: DirectoryState
    process: ProcessId | None = None
    process_state: str = ""
    nofile: int | None = None
    map_text: str | None = field(default=None, repr=False)
    log_tail: str = field(default="", repr=False)
    free_bytes: int | None = None
    data_bytes: int = 0
    ended_by: str = ""
    reason: str = ""
    remedy: str = ""

    @property
    def is_stopped(self) -> bool:
        """Somebody froze it (SIGSTOP): it is there, and does nothing."""
        return self.process_state in ("T", "t")


@dataclass(frozen=True, slots=True)
class HostExam:
    """All nodes of one host. ``trouble`` says why the host could not be asked (``nodes`` is empty then);
    ``memory_bytes`` is the host's."""

    host: str
    nodes: tuple[NodeExam, ...] = ()
    memory_bytes: int | None = None
    trouble: str = ""


def exam_of(exams: tuple[HostExam, ...], address: Address | None) -> NodeExam | None:
    """The exam of the node at ``address``; None where its host was not asked, or could not be."""
    return next((node for host in exams for node in host.nodes if node.address == address), None)
