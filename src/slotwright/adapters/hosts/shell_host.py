"""A host on which there is nothing but a POSIX shell: its folders and processes, by scripts."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Sequence

from slotwright.adapters.supervisors.refusals import refused_by
from slotwright.adapters.supervisors.supervisors import RemoteSupervisor
from slotwright.cluster.node_files import (
    LOG_LIMIT_BYTES,
    LOGS_KEPT,
    MARKER,
    NODES_CONF,
    Launch,
    NodeFiles,
    renewed_marker,
)
from slotwright.cluster.topology import HIGHEST_PORT
from slotwright.errors import HostError, RefusedError, SlotwrightError
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import DirectoryState, HostFacts, NodeQuery, ProcessId
from slotwright.hosts.scripts import disk as disk_scripts
from slotwright.hosts.scripts import exam as exam_scripts
from slotwright.hosts.scripts import nodes as scripts
from slotwright.hosts.scripts.files import REFUSED, RUNS, assigned
from slotwright.ports import Shell, ShellResult

_LIVENESS_S = 0.1
_MOVE_TIMEOUT_S = 600.0
_PACK_TIMEOUT_S = 24 * 3600.0
_MEND_TIMEOUT_S = 24 * 3600.0
_REST_TRIES = 3
_REST_S = 0.5
_CODES = {
    44: "directory-foreign",
    45: "directory-missing",
    RUNS: "node-running",
    48: "append-log-missing",
    49: "append-log-broken",
}


class RemoteHost:
    """Implements :class:`slotwright.ports.Host`.

    ``owner`` is the service user that the folders belong to, "" for the login itself. ``service`` runs nodes, and
    ``trial`` what lives for a moment only. ``program`` is what servers were started by before.
    """

    def __init__(
        self, shell: Shell, owner: str, service: RemoteSupervisor, trial: RemoteSupervisor, program: str = ""
    ) -> None:
        self._shell = shell
        self._owner = owner
        self._believed = assigned(owner=owner, program=program)
        self._service = service
        self._trial = trial
        self._asked: set[ProcessId] = set()
        self._asking: asyncio.Task[set[ProcessId]] | None = None

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        """One script."""
        folders = [query.directory for query in queries]
        result = await self._shell.run(self._believed + scripts.INSPECT, *folders)
        try:
            return scripts.parse_inspection(result.output, host, cluster_id, queries)
        except ValueError as error:
            raise self._failed("look at its folders", result) from error

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        """One script; how a node's last run ended is known where a service manager runs it."""
        folders = [query.directory for query in queries]
        units = [unit for unit in map(self._service.unit_of, folders) if unit]
        result = await self._shell.run(self._believed + exam_scripts.EXAMINE, cluster_id, *folders, "--", *units)
        try:
            return exam_scripts.parse_exam(result.output, host, cluster_id, queries, units)
        except ValueError as error:
            raise self._failed("examine its nodes", result) from error

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        """As the owner, after root looked that nothing runs there."""
        boundary = secrets.token_hex(16)
        content = f"{text}{boundary}\n".encode()
        result = await self._at_rest(directory, cluster_id, exam_scripts.WRITE_MAP, boundary, stdin=content)
        self._check(result, "write the map of", directory)

    async def read_map(self, directory: str, cluster_id: str) -> str:
        """As it is."""
        result = await self._shell.run(self._believed + exam_scripts.READ_MAP, directory, cluster_id)
        self._check(result, "read the map of", directory)
        return result.output

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        """All but configuration, map and log, under whatever name."""
        result = await self._at_rest(directory, cluster_id, exam_scripts.SET_DATA_ASIDE, timeout_s=_MOVE_TIMEOUT_S)
        self._check(result, "move the data of", directory)
        return result.output.removesuffix("\n")

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        """One script, as the folder's owner."""
        arguments = (directory, cluster_id, self._owner, disk_scripts.READ_APPEND_LOG, directory, binary)
        result = await self._shell.run(self._believed + disk_scripts.READ_DISK, *arguments, timeout_s=_MEND_TIMEOUT_S)
        self._check(result, "read the append-only file of", directory)
        try:
            return disk_scripts.parse_disk(result.output)
        except ValueError as error:
            raise self._failed("read the append-only file of", result, directory) from error

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """By the server's program itself, under the tool's name."""
        script = exam_scripts.CUT_APPEND_LOG
        result = await self._at_rest(directory, cluster_id, script, binary, timeout_s=_MEND_TIMEOUT_S)
        self._check(result, "mend the append-only file of", directory)
        return result.output.strip()

    async def free_port(self, host: str) -> int:
        """One that nothing of the host listens on, on any address."""
        tries = random.sample(range(20000, HIGHEST_PORT - 10000), 8)
        result = await self._shell.run(scripts.FREE_PORT, *map(str, tries))
        if not result.output.strip().isdigit():
            raise self._failed("find a free port", result)
        return int(result.output)

    async def count_forks(self) -> int:
        """By the names that the kernel has for processes."""
        result = await self._shell.run(scripts.FORKS)
        if not result.output.strip().isdigit():
            raise self._failed("count its forked servers", result)
        return int(result.output)

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """By the pid that the server noted, believed only when it works in that folder."""
        result = await self._shell.run(self._believed + scripts.FIND, directory)
        self._check(result, "look into", directory)
        outcome = scripts.parse_folders(result.output, cluster_id).get(directory)
        if outcome is None:
            raise self._failed(f"look into {directory}", result)
        folder, process = outcome
        if folder.state is DirectoryState.NEWER:
            raise RefusedError(
                f"the folder {self._shell.host}:{directory} is left alone: {folder.reason}",
                code="directory-newer",
                where=f"{self._shell.host}:{directory}",
                left="nothing was changed",
                hint=folder.remedy,
            )
        if folder.state is DirectoryState.UNSAFE:
            raise RefusedError(
                f"{self._shell.host}: the folder {directory} can't be believed: {folder.reason}",
                code="process-foreign" if folder.is_misfit else "folder-unsafe",
                where=f"{self._shell.host}:{directory}",
                seen=folder.reason,
                left="nothing was changed",
                hint=folder.remedy,
            )
        return process

    async def create(self, files: NodeFiles) -> None:
        """Marker first: from then on the folder is known as ours, whatever happens next."""
        made = await self._shell.run(self._believed + scripts.MAKE_FOLDER, files.directory)
        self._check(made, "make the folder", files.directory)
        texts = (renewed_marker(made.output, files.marker), files.server_conf, files.nodes_conf or "")
        await self._write(scripts.FILL_FOLDER, files.directory, texts)

    async def rewrite_conf(self, files: NodeFiles) -> None:
        """The configuration alone."""
        await self._write(scripts.REWRITE, files.directory, (files.server_conf,))

    async def start(self, launch: Launch) -> ProcessId:
        """By the host's service manager, or detached."""
        if not launch.is_trial:
            await self.rotate_log(launch.directory)
            return await self._service.start(launch)
        return await self._trial.start(launch)

    async def is_running(self, process: ProcessId) -> bool:
        """Everybody who asks at the same time gets one script's answer: waiting for many nodes costs one channel."""
        self._asked.add(process)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._alive())
        return process in await asyncio.shield(self._asking)

    async def _alive(self) -> set[ProcessId]:
        await asyncio.sleep(_LIVENESS_S)
        asked, self._asked = self._asked, set()
        self._asking = None
        return await self._service.is_running(tuple(asked))

    async def kill(self, process: ProcessId, directory: str) -> None:
        """By the service manager, so that it is not started again."""
        await self._service.kill(process, directory)

    async def freeze(self, process: ProcessId, directory: str) -> None:
        """SIGSTOP to exactly that process."""
        await self._signal(process, directory, "STOP")

    async def thaw(self, process: ProcessId, directory: str) -> None:
        """SIGCONT to exactly that process."""
        await self._signal(process, directory, "CONT")

    async def _signal(self, process: ProcessId, directory: str, name: str) -> None:
        arguments = (str(process.pid), process.started, name, directory, self._service.unit_of(directory))
        result = await self._shell.run(self._believed + scripts.SIGNAL, *arguments)
        if result.status != 0:
            raise self._failed(f"signal process {process.pid}", result, directory)

    async def give_up(self, directory: str) -> None:
        """Otherwise the service manager would start it again and again."""
        await self._service.give_up(directory)

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        """See the port."""
        log = (await self._as_owner(scripts.LOG_TAIL, directory, str(most_bytes))).output
        # A server that refuses its configuration says so before it opens its log.
        return log + await self._service.early_output(directory)

    async def rotate_log(self, directory: str) -> None:
        """The last three of 16 MiB are kept."""
        await self._as_owner(scripts.ROTATE, directory, str(LOG_LIMIT_BYTES), str(LOGS_KEPT))

    async def log_from(self, directory: str, offset: int) -> tuple[str, int]:
        """At the most 64 KiB at a time."""
        result = await self._as_owner(scripts.LOG_FROM, directory, str(offset))
        head, _, text = result.output.partition("\n")
        start, _, size = head.partition(" ")
        if not start.isdigit() or not size.isdigit():
            raise self._failed("read the log of", result)
        return text, min(int(size), int(start) + 65536) if text else int(start)

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        """Everything that is neither configuration nor log."""
        result = await self._shell.run(scripts.DATA_FILES, directory)
        rows = [line.strip().partition(" ") for line in result.output.splitlines()]
        beside = (*scripts.BESIDE_THE_DATA, MARKER, NODES_CONF)
        return tuple((name, int(size)) for size, _, name in rows if not name.rpartition("/")[2].startswith(beside))

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """By tar and gzip on the host; tar's status 1 means that a file grew while it was read."""
        result = await self._shell.stream(
            self._believed + scripts.PACK, directory, cluster_id, to=archive, timeout_s=_PACK_TIMEOUT_S
        )
        if result.status not in (0, 1):
            raise self._failed(f"copy {directory}", result, directory)

    async def remove(self, directory: str, cluster_id: str) -> None:
        """The marker goes last, so that a removal that was cut can be taken up again."""
        result = await self._shell.run(
            self._believed + scripts.REMOVE, directory, cluster_id, timeout_s=_MOVE_TIMEOUT_S
        )
        self._check(result, "remove", directory)

    async def set_aside(self, directory: str, cluster_id: str, destination: str) -> None:
        """What slotwright and the server wrote beside the data goes; everything else moves along."""
        arguments = (directory, cluster_id, destination)
        result = await self._shell.run(self._believed + scripts.SET_ASIDE, *arguments, timeout_s=_MOVE_TIMEOUT_S)
        self._check(result, "move", directory)

    async def _write(self, script: str, directory: str, texts: Sequence[str]) -> None:
        boundary = secrets.token_hex(16)
        content = "".join(f"{text}{boundary}\n" for text in texts)
        result = await self._as_owner(script, directory, boundary, stdin=content.encode())
        self._check(result, "write the files of", directory)

    async def _as_owner(self, script: str, *arguments: str, stdin: bytes = b"") -> ShellResult:
        words_for_owner = (self._owner, script, *arguments)
        result = await self._shell.run(self._believed + scripts.IN_FOLDER, *words_for_owner, stdin=stdin)
        if result.status == REFUSED:
            raise self._failed("look into", result, arguments[0])
        return result

    async def _at_rest(
        self, directory: str, cluster_id: str, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0
    ) -> ShellResult:
        """Run ``script`` as the owner, in a folder of this cluster in which no server runs.

        A service manager may be starting one in vain, again and again: it is stopped between two of its tries."""
        before = (directory, cluster_id, self._owner, script, directory)
        for attempt in range(_REST_TRIES):
            if attempt:
                await asyncio.sleep(_REST_S)
            await self._service.hold(directory)
            script_at_rest = self._believed + exam_scripts.AT_REST
            result = await self._shell.run(script_at_rest, *before, *arguments, stdin=stdin, timeout_s=timeout_s)
            if result.status != RUNS:
                break
        return result

    def _check(self, result: ShellResult, doing: str, directory: str) -> None:
        if result.status != 0:
            raise self._failed(f"{doing} {directory}", result, directory)

    def _failed(self, doing: str, result: ShellResult, directory: str = "") -> SlotwrightError:
        refused = refused_by(result, self._shell.host, directory)
        if refused is not None:
            return refused
        text = result.output if result.status == 49 else result.complaint
        results = text.strip().splitlines()
        reason = scripts.EXIT_TEXTS.get(result.status, "")
        is_full = "No space left" in result.complaint or "quota" in result.complaint
        code = "disk-full" if is_full else _CODES.get(result.status, "host-files")
        return HostError(
            f"{self._shell.host}: can't {doing}{f': {reason}' if reason else ''}",
            code=code,
            where=directory or self._shell.host,
            seen=results[-1] if results else f"status {result.status}",
            hint="free some room there, or choose another folder with `data:` in the file" if is_full else "",
        )
