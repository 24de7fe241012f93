"""The exam of nodes on this machine: what their folders and ``/proc`` tell of them, in a few reads a node.

A check asks this of every node it knows, so it costs no more than it must: no process is started, a map is read only
where nothing runs, and nothing is asked of psutil that ``/proc`` tells.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from slotwright.adapters.files import is_draft
from slotwright.adapters.hosts.local_folders import NOT_DATA
from slotwright.adapters.supervisors import direct
from slotwright.model.exam import HostExam, NodeExam
from slotwright.model.facts import DirectoryState, NodeQuery
from slotwright.model.files import ASIDE, MARKER, NODES_CONF, SERVER_LOG

LOG_BYTES = 8192
_PROC = Path("/proc")


def examine(host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
    """See :meth:`slotwright.ports.Host.examine`."""
    nodes = tuple(_node(query, cluster_id) for query in queries)
    memory_bytes, available_bytes = _memory()
    return HostExam(host, nodes, memory_bytes, available_bytes)


def _node(query: NodeQuery, cluster_id: str) -> NodeExam:
    folder = Path(query.directory)
    state = _directory_state(folder, cluster_id)
    if state is not DirectoryState.OURS:
        return NodeExam(query.address, state, free_bytes=_free_bytes(folder))
    process = direct.find(folder)
    letter, nofile = _of_process(process.pid) if process else ("", None)
    return NodeExam(
        query.address,
        state,
        process=process,
        process_state=letter,
        nofile=nofile,
        map_text=_text(folder / NODES_CONF) if process is None else None,
        log_tail=_tail(folder / SERVER_LOG),
        free_bytes=_free_bytes(folder),
        data_bytes=sum(_data_sizes(folder)),
    )


def _directory_state(folder: Path, cluster_id: str) -> DirectoryState:
    try:
        marker = json.loads((folder / MARKER).read_bytes())
    except FileNotFoundError:
        return _unmarked_state(folder)
    except OSError:
        return DirectoryState.UNWRITABLE
    except ValueError:
        return DirectoryState.FOREIGN
    if not isinstance(marker, dict):
        return DirectoryState.FOREIGN
    return DirectoryState.OURS if marker.get("cluster_id") == cluster_id else DirectoryState.OTHER_CLUSTER


def _unmarked_state(folder: Path) -> DirectoryState:
    try:
        with os.scandir(folder) as entries:
            is_empty = all(is_draft(entry.name) for entry in entries)
    except FileNotFoundError:
        return DirectoryState.ABSENT
    except OSError:
        return DirectoryState.UNWRITABLE
    return DirectoryState.EMPTY if is_empty else DirectoryState.FOREIGN


def _of_process(pid: int) -> tuple[str, int | None]:
    """Its state's letter and its limit of open files; both unknown where there is no ``/proc``."""
    stat = (_text(_PROC / str(pid) / "stat") or "").rpartition(")")[2].split()
    limits = _text(_PROC / str(pid) / "limits") or ""
    soft = limits.partition("Max open files")[2].split(maxsplit=1)[:1]
    return stat[0] if stat else "", int(soft[0]) if soft and soft[0].isdigit() else None


def _memory() -> tuple[int | None, int | None]:
    text = _text(_PROC / "meminfo")
    if text is None:
        import psutil

        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available)
    sizes = {name: value.split() for name, _, value in (line.partition(":") for line in text.splitlines())}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    return int(total[0]) * 1024 if total else None, int(available[0]) * 1024 if available else None


def _text(path: Path) -> str | None:
    """A whole file, decoded as well as can be; None where it can't be read."""
    try:
        return path.read_bytes().decode(errors="replace")
    except OSError:
        return None


def _tail(path: Path) -> str:
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            return os.pread(file.fileno(), LOG_BYTES, max(0, size - LOG_BYTES)).decode(errors="replace")
    except OSError:
        return ""


def _free_bytes(folder: Path) -> int | None:
    """On the disk that it lies on, or would: what is left for others than root."""
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
        return found.f_bavail * found.f_frsize
    return None


def _data_sizes(folder: Path | str) -> Iterator[int]:
    """Of every file but what is known to be something else; what was set aside is no server's data any more."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith((*NOT_DATA, ASIDE)):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield from _data_sizes(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    yield entry.stat(follow_symlinks=False).st_size
    except OSError:
        return
