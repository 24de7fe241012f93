"""The exam of nodes on this machine: what their folders and ``/proc`` tell of them, in a few reads a node.

A check asks this of every node it knows, so it costs no more than it must: no process is started, a map is read only
where nothing runs, and nothing is asked of psutil that ``/proc`` tells.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from slotwright.adapters.files import is_draft
from slotwright.adapters.local import direct
from slotwright.adapters.local.claims import Places
from slotwright.adapters.local.folders import NOT_DATA, distrust_node, unknown_format
from slotwright.adapters.local.processes import workplaces
from slotwright.adapters.path_ownership import user_name
from slotwright.cluster.node_files import ASIDE, MARKER, NODES_CONF, SERVER_LOG
from slotwright.hosts.facts.exam import LOG_BYTES, HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery
from slotwright.hosts.scripts.trust import claim_remedy, explain_misfit

_PROC = Path("/proc")


def examine(
    host: str, cluster_id: str, queries: Sequence[NodeQuery], programs: frozenset[str] = frozenset()
) -> HostExam:
    """See :meth:`slotwright.ports.Host.examine`."""
    places = workplaces()
    nodes = tuple(_node(query, cluster_id, programs, places) for query in queries)
    return HostExam(host, nodes, _memory_bytes())


def _node(query: NodeQuery, cluster_id: str, programs: frozenset[str], places: Places) -> NodeExam:
    folder = Path(query.directory)
    distrust = distrust_node(folder)
    if distrust is not None:
        return _unbelieved(query, f"{distrust.what} ({distrust.seen})", distrust.remedy(user_name(os.geteuid())))
    unknown = unknown_format(folder)
    if unknown is not None:
        state, free_bytes = DirectoryState.NEWER, _free_bytes(folder)
        return NodeExam(query.address, state, free_bytes=free_bytes, reason=unknown.reason, remedy=unknown.remedy)
    state = _directory_state(folder, cluster_id)
    if state is not DirectoryState.OURS:
        return NodeExam(query.address, state, free_bytes=_free_bytes(folder))
    process, pid, reason = direct.look(folder, programs, places)
    if reason:
        return _unbelieved(query, explain_misfit(f"{pid} {reason}"), claim_remedy(str(folder)))
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


def _unbelieved(query: NodeQuery, reason: str, remedy: str) -> NodeExam:
    free_bytes = _free_bytes(Path(query.directory))
    return NodeExam(query.address, DirectoryState.UNSAFE, free_bytes=free_bytes, reason=reason, remedy=remedy)


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


def _memory_bytes() -> int | None:
    text = _text(_PROC / "meminfo")
    if text is None:
        import psutil

        return int(psutil.virtual_memory().total)
    match = re.search(r"(?m)^MemTotal: *(\d+) kB$", text)
    return int(match[1]) * 1024 if match else None


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
            result = os.statvfs(place)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
        return result.f_bavail * result.f_frsize
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
