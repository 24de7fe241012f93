"""This machine as a host: folders, processes and ports, all of them real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from slotwright.adapters.files import (
    OTHER_DATA,
    clear_drafts,
    host_error,
    is_draft,
    make_own_directory,
    write_atomically,
)
from slotwright.adapters.local import direct
from slotwright.adapters.local import disk as local_disk
from slotwright.adapters.local import repair as local_repair
from slotwright.adapters.local.claims import Places, servers_in, signal_server
from slotwright.adapters.local.exam import examine
from slotwright.adapters.local.folders import (
    BESIDE_THE_DATA,
    NOT_DATA,
    demand_node,
    directory_fact,
    marker_of,
    read_marker,
    refuse_foreign,
    refuse_link,
)
from slotwright.adapters.local.processes import (
    bind_error,
    count_forks,
    free_port,
    is_running,
    kill,
    port_owner,
    workplaces,
)
from slotwright.cluster.node_files import MARKER, NODES_CONF, SERVER_CONF, SERVER_LOG, Launch, NodeFiles, renewed_marker
from slotwright.cluster.topology import HIGHEST_PORT
from slotwright.errors import HostError
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import DirectoryState, HostFacts, NodeFacts, NodeQuery, ProcessId
from slotwright.hosts.scripts.trust import claim_remedy, explain_misfit

_SAVER_POLL_S = 0.05
_SAVER_POLLS = 20
_REMOVAL_POLLS = 100


class LocalHost:
    """Implements :class:`slotwright.ports.Host` for this machine.

    ``programs`` are the files that servers are started with, as far as they are known from before.
    """

    def __init__(self, programs: Sequence[str] = ()) -> None:
        self._programs = frozenset(programs)
        self._born: set[ProcessId] = set()

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        """Look at folders, processes and ports; a port of a node that runs is not asked about."""
        places = workplaces()
        nodes = tuple(_node_facts(query, cluster_id, self._programs, places) for query in queries)
        nearest = _nearest(Path(queries[0].directory if queries else "/"))
        return HostFacts(host, nodes, shutil.disk_usage(nearest).free, f"local:{nearest.stat().st_dev}")

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        """From ``/proc`` and the folders, without starting a process."""
        return examine(host, cluster_id, queries, self._programs)

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        """Only where nothing runs."""
        await self._await_savers(Path(directory))
        local_repair.write_map(Path(directory), cluster_id, text, self._programs)

    async def read_map(self, directory: str, cluster_id: str) -> str:
        """As it is."""
        return local_repair.read_map(Path(directory), cluster_id)

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        """All but configuration, map and log, under whatever name."""
        await self._await_savers(Path(directory))
        return local_repair.set_data_aside(Path(directory), cluster_id, self._programs)

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        """Files and manifest, and what the tool says of the last part."""
        return await local_disk.read_disk(Path(directory), cluster_id, binary, self._programs)

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """By the server's program itself, under the tool's name."""
        await self._await_savers(Path(directory))
        return await local_repair.cut_append_log(Path(directory), cluster_id, binary, self._programs)

    async def free_port(self, host: str) -> int:
        """Asked of the system."""
        return free_port(host, HIGHEST_PORT)

    async def count_forks(self) -> int:
        """By the names that the kernel has for processes."""
        return await asyncio.to_thread(count_forks)

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """By pid and start time, as the direct supervisor noted them, where the process itself fits."""
        folder = Path(directory)
        demand_node(folder)
        return direct.find(folder, self._programs) if read_marker(folder).get("cluster_id") == cluster_id else None

    async def create(self, files: NodeFiles) -> None:
        """Marker first: from then on the folder is known as ours, whatever happens next."""
        directory = Path(files.directory)
        make_own_directory(directory, instead=OTHER_DATA)
        demand_node(directory)
        clear_drafts(directory)
        write_atomically(directory / MARKER, renewed_marker(marker_of(directory), files.marker))
        write_atomically(directory / SERVER_CONF, files.server_conf)
        if files.nodes_conf is not None and not (directory / NODES_CONF).exists():
            write_atomically(directory / NODES_CONF, files.nodes_conf)

    async def rewrite_conf(self, files: NodeFiles) -> None:
        """The configuration alone."""
        demand_node(Path(files.directory))
        clear_drafts(Path(files.directory))
        write_atomically(Path(files.directory) / SERVER_CONF, files.server_conf)

    async def start(self, launch: Launch) -> ProcessId:
        """Detached, by the direct supervisor."""
        demand_node(Path(launch.directory))
        process = direct.start(launch)
        self._programs |= {launch.binary}
        self._born.add(process)
        return process

    async def is_running(self, process: ProcessId) -> bool:
        """Pid and start both."""
        return is_running(process)

    async def kill(self, process: ProcessId, directory: str) -> None:
        """SIGKILL to exactly that process."""
        self._signal(process, directory, signal.SIGKILL)

    async def freeze(self, process: ProcessId, directory: str) -> None:
        """SIGSTOP to exactly that process."""
        self._signal(process, directory, signal.SIGSTOP)

    async def thaw(self, process: ProcessId, directory: str) -> None:
        """SIGCONT to exactly that process."""
        self._signal(process, directory, signal.SIGCONT)

    def _signal(self, process: ProcessId, directory: str, sign: int) -> None:
        """What we started ourselves in this run is known without a claim, also while it is no server yet."""
        if process in self._born:
            kill(process, sign)
        else:
            signal_server(process, Path(directory), sign, self._programs)

    async def give_up(self, directory: str) -> None:
        """Nobody starts it again here."""

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        """The last bytes, decoded as well as can be."""
        try:
            with (Path(directory) / SERVER_LOG).open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - most_bytes))
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise host_error("read", Path(directory) / SERVER_LOG, error) from error

    async def rotate_log(self, directory: str) -> None:
        """The last three of 16 MiB are kept."""
        direct.rotate_log(Path(directory) / SERVER_LOG)

    async def log_from(self, directory: str, offset: int) -> tuple[str, int]:
        """At the most 64 KiB at a time."""
        path = Path(directory) / SERVER_LOG
        size = _size(path)
        start = size if offset < 0 else 0 if offset > size else offset
        if start == size:
            return "", start
        with path.open("rb") as log:
            log.seek(start)
            data = log.read(65536)
        return data.decode(errors="replace"), start + len(data)

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        """Everything that is neither configuration nor log: RDB and AOF files, under whatever name."""
        folder = Path(directory)
        paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(NOT_DATA)]
        return tuple((str(path.relative_to(folder)), path.stat().st_size) for path in sorted(paths))

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """In a thread: a large folder must not stop everything else."""
        folder = Path(directory)
        demand_node(folder)
        if not folder.exists():
            raise HostError(f"{folder} is not there", code="directory-missing", where=directory)
        refuse_foreign(folder, cluster_id)
        try:
            await asyncio.to_thread(_pack, folder, Path(archive))
        except (OSError, tarfile.TarError) as error:
            raise HostError(f"can't copy {folder}: {error}", code="host-files", where=directory) from error

    async def remove(self, directory: str, cluster_id: str) -> None:
        """The marker goes last, so that a removal that was cut can be taken up again."""
        folder = Path(directory)
        await self._refuse_removal(folder, cluster_id)
        if not folder.exists():
            return
        try:
            for entry in folder.iterdir():
                if entry.name != MARKER:
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            shutil.rmtree(folder)
            _remove_if_empty(folder.parent)
        except OSError as error:
            raise host_error("remove", folder, error) from error

    async def set_aside(self, directory: str, cluster_id: str, destination: str) -> None:
        """What slotwright and the server wrote beside the data goes; everything else moves along, whatever its name."""
        folder, target = Path(directory), Path(destination)
        await self._refuse_removal(folder, cluster_id)
        if not folder.exists():
            return
        make_own_directory(target.parent, instead=OTHER_DATA)
        try:
            for entry in folder.iterdir():
                if entry.name.startswith(BESIDE_THE_DATA) or is_draft(entry.name):
                    entry.unlink()
            shutil.move(folder, target)
            _remove_if_empty(folder.parent)
        except OSError as error:
            raise host_error("move", folder, error) from error

    async def _refuse_removal(self, folder: Path, cluster_id: str) -> None:
        """Raises HostError or RefusedError for a folder that is not this cluster's, or that a server still works in."""
        demand_node(folder)
        refuse_link(folder)
        if not folder.exists():
            return
        refuse_foreign(folder, cluster_id)
        await self._await_savers(folder, _REMOVAL_POLLS)
        local_repair.refuse_running(folder, self._programs)

    async def _await_savers(self, folder: Path, polls: int = _SAVER_POLLS) -> None:
        """What a server forked to save ends by itself when it next tells its parent, which is gone (childinfo.c)."""
        left = polls
        while left and direct.look(folder, self._programs)[0] is None and servers_in(folder, self._programs):
            await asyncio.sleep(_SAVER_POLL_S)
            left -= 1


def _pack(folder: Path, archive: Path) -> None:
    with os.fdopen(os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as packed:
            for path in sorted(folder.rglob("*")):
                # What the server removes while we read (a rewritten append-only file) is no loss.
                with contextlib.suppress(FileNotFoundError):
                    packed.add(path, arcname=str(path.relative_to(folder)), recursive=False)
        file.flush()
        os.fsync(file.fileno())


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def _node_facts(query: NodeQuery, cluster_id: str, programs: frozenset[str], places: Places) -> NodeFacts:
    folder = Path(query.directory)
    directory = directory_fact(folder, cluster_id)
    ours = directory.state is DirectoryState.OURS
    process, pid, reason = direct.look(folder, programs, places) if ours else (None, 0, "")
    if reason:
        directory = replace(
            directory,
            state=DirectoryState.UNSAFE,
            reason=explain_misfit(f"{pid} {reason}"),
            remedy=claim_remedy(str(folder)),
        )
    # Who holds the port is no news where it is unknown which process is the node's.
    if process is not None or directory.state.hides_process:
        return NodeFacts(query.address, directory, process)
    address = query.address
    port_error = bind_error(address, address.port)
    bus_error = bind_error(address, address.bus_port) if query.with_bus else ""
    return NodeFacts(
        address,
        directory,
        port_error=port_error,
        port_owner=port_owner(address.host, address.port) if port_error == "in-use" else None,
        bus_error=bus_error,
        bus_owner=port_owner(address.host, address.bus_port) if bus_error == "in-use" else None,
    )


def _nearest(folder: Path) -> Path:
    """The folder itself or the first above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
