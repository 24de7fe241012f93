"""Mending a node's folder on this machine while its server does not run: its map, its data, its append-only file."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from slotwright.adapters.files import host_error, is_draft, make_directory, sync_directory, write_atomically
from slotwright.adapters.local import direct
from slotwright.adapters.local.claims import servers_in
from slotwright.adapters.local.folders import NOT_DATA, demand_node, read_marker
from slotwright.adapters.path_ownership import demand_program
from slotwright.cluster.node_files import ASIDE, MAP_ASIDE, NODES_CONF, SERVER_CONF
from slotwright.errors import HostError

CHECK_TOOL = "redis-check-aof"
_SAID_LENGTH = 4000
_APPEND_NAME = re.compile(r'^\s*appendfilename\s+"?([^"\n]*[^"\s])', re.MULTILINE)


def write_map(folder: Path, cluster_id: str, text: str, programs: frozenset[str] = frozenset()) -> None:
    """See the port. What is right already is not written again: the broken one beside it would be lost by that."""
    demand_at_rest(folder, cluster_id, programs)
    path = folder / NODES_CONF
    try:
        old = path.read_bytes() if path.exists() else None
    except OSError as error:
        raise host_error("read", path, error) from error
    if old == text.encode():
        return
    if old is not None:
        write_atomically(folder / MAP_ASIDE, old)
    write_atomically(path, text)


def read_map(folder: Path, cluster_id: str) -> str:
    """See the port."""
    demand_node(folder)
    if read_marker(folder).get("cluster_id") != cluster_id:
        return ""
    try:
        return (folder / NODES_CONF).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise host_error("read", folder / NODES_CONF, error) from error


def set_data_aside(folder: Path, cluster_id: str, programs: frozenset[str] = frozenset()) -> str:
    """See the port. When this is cut, the next one moves the rest, into a folder of its own."""
    demand_at_rest(folder, cluster_id, programs)
    try:
        names = sorted(entry.name for entry in folder.iterdir() if _is_data(entry.name))
        if not names:
            return ""
        number = 1
        while (folder / f"{ASIDE}{number}").exists():
            number += 1
        goal = folder / f"{ASIDE}{number}"
        make_directory(goal)
        for name in names:
            (folder / name).rename(goal / name)
        sync_directory(goal)
        sync_directory(folder)
    except OSError as error:
        raise host_error("move the data of", folder, error) from error
    return str(goal)


async def cut_append_log(folder: Path, cluster_id: str, binary: str, programs: frozenset[str] = frozenset()) -> str:
    """See the port. The program is started under the tool's name, so that it is the tool of this very server."""
    demand_at_rest(folder, cluster_id, programs)
    demand_program(Path(binary))
    log = append_log_of(folder)
    if log is None:
        raise HostError(f"{folder} has no append-only file", code="append-log-missing", where=str(folder))
    try:
        process = await asyncio.create_subprocess_exec(
            CHECK_TOOL,
            "--fix",
            str(log.relative_to(folder)),
            executable=binary,
            cwd=folder,
            env=direct.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise host_error("start", Path(binary), error) from error
    output, _ = await process.communicate(b"y\ny\n")
    text = output.decode(errors="replace").strip()[-_SAID_LENGTH:]
    if process.returncode != 0:
        raise HostError(
            f"the append-only file of {folder} can't be mended", code="append-log-broken", where=str(folder), seen=text
        )
    _sync_files(log)
    return text


def demand_at_rest(folder: Path, cluster_id: str, programs: frozenset[str] = frozenset()) -> None:
    """Raises HostError unless the folder is this cluster's, and nothing runs in it (code ``directory-missing``,
    ``directory-foreign``, ``node-running``), and RefusedError where it can't be believed."""
    demand_node(folder)
    if not folder.exists():
        raise HostError(f"{folder} is not there", code="directory-missing", where=str(folder))
    if read_marker(folder).get("cluster_id") != cluster_id:
        raise HostError(f"{folder} is not of this cluster: left alone", code="directory-foreign", where=str(folder))
    refuse_running(folder, programs)


def refuse_running(folder: Path, programs: frozenset[str]) -> None:
    """Raises HostError (node-running) where a server works in the folder, whether a file there says so or not, and
    RefusedError (process-foreign) for a note that is plainly untrue."""
    process = direct.find(folder, programs)
    processes = (process,) if process else servers_in(folder, programs)
    if processes:
        raise HostError(
            f"the server of {folder} runs: its files are left alone",
            code="node-running",
            where=str(folder),
            seen=", ".join(f"pid {candidate.pid}" for candidate in processes),
            hint="stop this node first",
        )


def _is_data(name: str) -> bool:
    return not name.startswith((*NOT_DATA, ASIDE)) and not is_draft(name)


def append_log_of(folder: Path) -> Path | None:
    """What the tool is to be given: the manifest of a server since 7.0, or the one file of an older one."""
    manifests = [path for path in folder.glob("*/*.manifest") if not path.parent.name.startswith(ASIDE)]
    if manifests:
        return max(manifests, key=lambda path: path.stat().st_mtime_ns)
    try:
        named = _APPEND_NAME.findall((folder / SERVER_CONF).read_text())
    except OSError:
        named = []
    path = folder / (named[-1] if named else "appendonly.aof")
    return path if path.is_file() else None


def _sync_files(log: Path) -> None:
    for path in log.parent.iterdir() if log.suffix == ".manifest" else (log,):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
