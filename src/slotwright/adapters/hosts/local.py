"""This machine as a host: folders, processes and ports, all of them real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tarfile
from collections.abc import Sequence
from pathlib import Path

from slotwright.adapters.files import clear_drafts, host_error, is_draft, make_directory, write_atomically
from slotwright.adapters.hosts.local_exam import examine
from slotwright.adapters.hosts.local_folders import (
    BESIDE_THE_DATA,
    NOT_DATA,
    directory_fact,
    read_marker,
    refuse_foreign,
)
from slotwright.adapters.processes import bind_error, free_port, is_running, kill, port_owner
from slotwright.adapters.supervisors import direct
from slotwright.errors import HostError
from slotwright.model.exam import HostExam
from slotwright.model.facts import DirectoryState, HostFacts, NodeFacts, NodeQuery, ProcessId
from slotwright.model.files import (
    MARKER,
    NODES_CONF,
    SERVER_CONF,
    SERVER_LOG,
    Launch,
    NodeFiles,
)
from slotwright.model.topology import HIGHEST_PORT


class LocalHost:
    """Implements :class:`slotwright.ports.Host` for this machine."""

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        """Look at folders, processes and ports; a port of a node that runs is not asked about."""
        nodes = tuple(_node_facts(query, cluster_id) for query in queries)
        nearest = _nearest(Path(queries[0].directory if queries else "/"))
        return HostFacts(host, nodes, shutil.disk_usage(nearest).free, f"local:{nearest.stat().st_dev}")

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        """From ``/proc`` and the folders, without starting a process."""
        return examine(host, cluster_id, queries)

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        """Only where nothing runs."""
        from slotwright.adapters.hosts import local_repair

        local_repair.write_map(Path(directory), cluster_id, text)

    async def read_map(self, directory: str, cluster_id: str) -> str:
        """As it is."""
        from slotwright.adapters.hosts import local_repair

        return local_repair.read_map(Path(directory), cluster_id)

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        """All but configuration, map and log, under whatever name."""
        from slotwright.adapters.hosts import local_repair

        return local_repair.set_data_aside(Path(directory), cluster_id)

    async def mend_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """By the server's program itself, under the tool's name."""
        from slotwright.adapters.hosts import local_repair

        return await local_repair.mend_append_log(Path(directory), cluster_id, binary)

    async def free_port(self, host: str) -> int:
        """Asked of the system."""
        return free_port(host, HIGHEST_PORT)

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """By pid and start time, as the direct supervisor noted them."""
        folder = Path(directory)
        return direct.find(folder) if read_marker(folder).get("cluster_id") == cluster_id else None

    async def create(self, files: NodeFiles) -> None:
        """Marker first: from then on the folder is known as ours, whatever happens next."""
        directory = Path(files.directory)
        make_directory(directory)
        clear_drafts(directory)
        write_atomically(directory / MARKER, files.marker)
        write_atomically(directory / SERVER_CONF, files.server_conf)
        if files.nodes_conf is not None and not (directory / NODES_CONF).exists():
            write_atomically(directory / NODES_CONF, files.nodes_conf)

    async def rewrite_conf(self, files: NodeFiles) -> None:
        """The configuration alone."""
        clear_drafts(Path(files.directory))
        write_atomically(Path(files.directory) / SERVER_CONF, files.server_conf)

    async def start(self, launch: Launch) -> ProcessId:
        """Detached, by the direct supervisor."""
        return direct.start(launch)

    async def is_running(self, process: ProcessId) -> bool:
        """Pid and start both."""
        return is_running(process)

    async def kill(self, process: ProcessId) -> None:
        """SIGKILL to exactly that process."""
        kill(process)

    async def freeze(self, process: ProcessId) -> None:
        """SIGSTOP to exactly that process."""
        kill(process, signal.SIGSTOP)

    async def thaw(self, process: ProcessId) -> None:
        """SIGCONT to exactly that process."""
        kill(process, signal.SIGCONT)

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
        found = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(NOT_DATA)]
        return tuple((str(path.relative_to(folder)), path.stat().st_size) for path in sorted(found))

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """In a thread: a large folder must not stop everything else."""
        folder = Path(directory)
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
        if not folder.exists():
            return
        refuse_foreign(folder, cluster_id)
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
        if not folder.exists():
            return
        refuse_foreign(folder, cluster_id)
        make_directory(target.parent)
        try:
            for entry in folder.iterdir():
                if entry.name.startswith(BESIDE_THE_DATA) or is_draft(entry.name):
                    entry.unlink()
            shutil.move(folder, target)
            _remove_if_empty(folder.parent)
        except OSError as error:
            raise host_error("move", folder, error) from error


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


def _node_facts(query: NodeQuery, cluster_id: str) -> NodeFacts:
    folder = Path(query.directory)
    directory = directory_fact(folder, cluster_id)
    ours = directory.state is DirectoryState.OURS
    process = direct.find(folder) if ours else None
    if process is not None:
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
