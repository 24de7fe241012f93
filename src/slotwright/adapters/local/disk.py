"""What a node's disk on this machine would bring back: its append-only file, read by the server's own tool."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from slotwright.adapters.files import host_error
from slotwright.adapters.local import direct
from slotwright.adapters.local.folders import demand_node, read_marker
from slotwright.adapters.local.repair import CHECK_TOOL, append_log_of
from slotwright.adapters.path_ownership import demand_program
from slotwright.errors import HostError
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.server.append_log import parse_manifest


async def read_disk(folder: Path, cluster_id: str, binary: str, programs: frozenset[str] = frozenset()) -> NodeDisk:
    """See the port. Raises RefusedError where the folder or the program can't be believed."""
    demand_node(folder)
    demand_program(Path(binary))
    if read_marker(folder).get("cluster_id") != cluster_id:
        raise HostError(f"{folder} is not of this cluster: left alone", code="directory-foreign", where=str(folder))
    try:
        log = append_log_of(folder)
        if log is None:
            return NodeDisk(AppendLog.ABSENT)
        parts = list(_parts(log))
        times = [part.stat().st_mtime for part in parts if part.is_file()]
    except (OSError, ValueError):
        return NodeDisk(AppendLog.UNREAD)
    disk = NodeDisk(AppendLog.WHOLE, max(times) - time.time() if times else None)
    if not all(part.is_file() for part in parts):
        return replace(disk, append_log=AppendLog.INCOMPLETE)
    last = parts[-1]
    if direct.find(folder, programs) is not None or not last.stat().st_size:
        return disk
    return disk if await _is_sound(folder, last, binary) else replace(disk, append_log=AppendLog.CUT)


def _parts(log: Path) -> Iterator[Path]:
    """The files that a start would load; the last one is what writes are appended to."""
    if log.suffix != ".manifest":
        yield log
        return
    for part in parse_manifest(log.read_bytes().decode(errors="replace")):
        yield log.parent / part.name


async def _is_sound(folder: Path, log: Path, binary: str) -> bool:
    """Whether the tool has nothing against the file. It only reads: without ``--fix`` it changes no byte."""
    try:
        process = await asyncio.create_subprocess_exec(
            CHECK_TOOL,
            os.fspath(log.relative_to(folder)),
            executable=binary,
            cwd=folder,
            env=direct.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise host_error("start", Path(binary), error) from error
    return await process.wait() == 0
