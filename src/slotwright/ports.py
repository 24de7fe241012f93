"""The ports: what the use cases need from the world, as protocols. Adapters implement them; tests fake them by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from slotwright.cluster.baseline import Baseline
from slotwright.cluster.events import Report
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Engine, Topology
from slotwright.errors import Problem
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import HostFacts, NodeQuery, ProcessId

if TYPE_CHECKING:
    from slotwright.cluster.jobs import OpenJob
    from slotwright.cluster.key_holders import QuarantinedKey

Argument = str | bytes | int
Reply = bytes | int | None | list["Reply"]
ValueT = TypeVar("ValueT")


class ReplyError(Exception):
    """An error reply. ``str()`` is the server's line, ``code`` its first word (``MOVED``, ``NOAUTH``, ``ERR``).

    ``where`` is who said it, ``command`` to what (its name, never its arguments); "" where that is not known.
    """

    where: str = ""
    command: str = ""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).partition(" ")[0]


class Connection(Protocol):
    """One connection to a server. Nothing is ever sent twice.

    Any method may raise :class:`slotwright.errors.NodeUnreachableError`: whether the last command took effect is
    then unknown. Its subclass AnswerError says that something answers, and that it can't be read.
    """

    @property
    def address(self) -> Address:
        """What was dialled."""
        ...

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command's reply, of the type that the command is answered with (``server/reply_shapes.py``); an error
        reply is raised as :class:`ReplyError`."""
        ...

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """Several commands in one round trip; error replies stand in the list. ``timeout_s``: until the first reply,
        which tells a server that hangs from one that has a lot to say."""
        ...

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """As :meth:`pipeline`, for commands that are bytes already (``server/resp_out.py``) and have ``replies``
        replies: for what goes by the million. ``timeout_s``: the longest silence."""
        ...

    async def close(self) -> None:
        """Hang up; never raises."""
        ...


class Dialer(Protocol):
    """Makes connections, with the password that it was built with."""

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        """Connect and log in.

        Raises NodeUnreachableError (``code`` refused, timeout, loading, not-a-server) or AuthenticationError.
        """
        ...


LoginDialer = Callable[[Secret | None, str], Dialer]
"""Makes a dialer for a password and a user name."""


class Host(Protocol):
    """A machine that nodes live on: its folders and its processes."""

    async def inspect(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostFacts:
        """Facts in one pass, changing nothing. ``cluster_id`` "" means: no folder is ours yet."""
        ...

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        """What the host can tell of these nodes that they can't tell themselves, in one pass, changing nothing.

        Raises HostError where the host can't be asked.
        """
        ...

    async def write_map(self, directory: str, cluster_id: str, text: str) -> None:
        """Replace ``nodes.conf`` of a node that does not run, in a folder that is ours, by temp + fsync + rename. What
        was there is kept beside it as ``nodes.conf.broken``. Raises HostError (directory-foreign, ...)."""
        ...

    async def read_map(self, directory: str, cluster_id: str) -> str:
        """``nodes.conf`` as it is now, "" when there is none or the folder is not ours."""
        ...

    async def set_data_aside(self, directory: str, cluster_id: str) -> str:
        """Move the RDB and AOF files of a node that does not run into a new folder ``aside-N`` inside its own; the path
        of that folder, "" when there was nothing to move. Raises HostError (directory-foreign, ...)."""
        ...

    async def read_disk(self, directory: str, cluster_id: str, binary: str) -> NodeDisk:
        """What the node's append-only file would bring back; nothing is changed. ``written_at`` counts from now: -2.5
        is two and a half seconds ago, by the host's own clock. The end of the file is read with the server's own tool
        where no server runs on it; of a running one only size and time are told. Raises HostError."""
        ...

    async def cut_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """Cut what the server can't read off the append-only file of a node that does not run, with the server's own
        tool (``redis-check-aof --fix``, which is the server program under another name). Returns what the tool said.
        Raises HostError where it fails."""
        ...

    async def free_port(self, host: str) -> int:
        """A port of ``host`` that is free now together with its bus port."""
        ...

    async def count_forks(self) -> int:
        """How many forked copies of servers work on the host now, of whatever cluster: each saves, rewrites an
        append-only file, or sends a full copy. Raises HostError where the host can't be asked."""
        ...

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """The live process of the node whose folder this is; None where the folder's marker names another cluster.

        Raises RefusedError where the folder can't be believed (folder-unsafe), names a process that can't be the node's
        (process-foreign), or was written by a later release in an unknown format (directory-newer)."""
        ...

    async def create(self, files: NodeFiles) -> None:
        """Make the folder (0700) and write its files (0600), each by temp + fsync + rename; the map only when there
        is none yet. Raises :class:`slotwright.errors.HostError`."""
        ...

    async def rewrite_conf(self, files: NodeFiles) -> None:
        """Write the configuration anew, nothing else."""
        ...

    async def start(self, launch: Launch) -> ProcessId:
        """Start the server detached; returns as soon as the process exists, with its identity kept in the folder."""
        ...

    async def is_running(self, process: ProcessId) -> bool:
        """Whether exactly that process is alive (a zombie is not)."""
        ...

    async def kill(self, process: ProcessId, directory: str) -> None:
        """End exactly that process at once; nothing happens when it is gone. Raises RefusedError (process-foreign) when
        it is not what we start for the node whose folder is ``directory``: by its user, its program, and where it
        works. The same counts for the two that follow."""
        ...

    async def freeze(self, process: ProcessId, directory: str) -> None:
        """Stop exactly that process without ending it (SIGSTOP): it hangs, as far as others can tell."""
        ...

    async def thaw(self, process: ProcessId, directory: str) -> None:
        """Let it go on (SIGCONT)."""
        ...

    async def give_up(self, directory: str) -> None:
        """The node died at its start: see that nobody starts it again by itself."""
        ...

    async def log_tail(self, directory: str, most_bytes: int = 8192) -> str:
        """The end of the server's log, "" when there is none."""
        ...

    async def rotate_log(self, directory: str) -> None:
        """Move a log that has grown over the limit aside; the server opens a new one with its next line."""
        ...

    async def log_from(self, directory: str, offset: int) -> tuple[str, int]:
        """What stands in the log from byte ``offset`` on (negative: from its end), and the offset to go on from. A log
        that is shorter than that was rotated, and is read from its start."""
        ...

    async def data_files(self, directory: str) -> tuple[tuple[str, int], ...]:
        """Names and sizes of the data files (RDB, AOF) below the folder."""
        ...

    async def pack(self, directory: str, cluster_id: str, archive: str) -> None:
        """Write the node's folder as a ``.tar.gz`` to the new file ``archive`` of the control machine, 0600. Files that
        grow meanwhile are taken as far as they were read. Raises HostError (directory-foreign, directory-missing)."""
        ...

    async def remove(self, directory: str, cluster_id: str) -> None:
        """Remove the node's folder with all that is in it, only if its marker names ``cluster_id``; the folder above
        it goes too when that leaves it empty."""
        ...

    async def set_aside(self, directory: str, cluster_id: str, destination: str) -> None:
        """Move the node's folder to ``destination``, where no later node looks, without its configuration and logs
        (the password is in them). Nothing happens when the folder is gone already."""
        ...


class ByteStream(Protocol):
    """One connection to a server, logged in, as bytes: for what goes by the million, or is no command and reply."""

    async def read(self) -> bytes:
        """What has come, at least a byte; b"" when the other side hung up. Raises NodeUnreachableError."""
        ...

    def write(self, data: bytes) -> None:
        """Put into the queue; never waits. What a lost connection had in it may or may not have arrived."""
        ...

    async def drain(self) -> None:
        """Wait until the queue is short again. Raises NodeUnreachableError."""
        ...

    async def close(self) -> None:
        """Hang up; never raises."""
        ...


class StreamDialer(Protocol):
    """Makes byte streams, with the password that it was built with."""

    async def open(self, address: Address, *, timeout_s: float = 2.0) -> ByteStream:
        """Connect and log in. Raises what :meth:`Dialer.dial` raises."""
        ...


class Fleet(Protocol):
    """The hosts of one cluster, and the ways to the servers on them."""

    def at(self, host: str) -> Host:
        """The host with this address. For one that can't be reached, a host whose every method says so."""
        ...

    def login(self, password: Secret | None, username: str) -> Dialer:
        """Dials the nodes' addresses, by whatever way leads there."""
        ...

    def login_on(self, host: str) -> LoginDialer:
        """Dials addresses as they are meant on that host: its own loopback, too."""
        ...

    def streams(self, password: Secret | None, username: str) -> StreamDialer:
        """As :meth:`login`, for byte streams."""
        ...

    async def close(self) -> None:
        """Hang up; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class ShellResult:
    """What a script on a host came to. ``status`` is its exit code; output is decoded with replacement characters."""

    status: int
    output: str
    complaint: str


class Shell(Protocol):
    """A POSIX shell on one host, local or remote. Nothing else is expected of a host."""

    @property
    def host(self) -> str:
        """The host's address as it stands in the file."""
        ...

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        """Run ``script`` (POSIX sh) with ``$1``... set to ``arguments`` and ``stdin`` as its input.

        ``as_root``: through sudo where the login is not root and may; otherwise as the login itself. Script and
        arguments can be seen in the host's process list: secrets belong in ``stdin``. A script that ends with a status
        is a result, whatever the status. Raises :class:`slotwright.errors.HostError` with code ``host-unreachable``,
        ``host-lost`` (the connection ended: whether the script did its work is unknown) or ``host-timeout``.
        """
        ...

    async def stream(self, script: str, *arguments: str, to: str, timeout_s: float) -> ShellResult:
        """The same, with the script's output, of any size, going to the new file ``to`` (0600) of this machine; as root
        where that can be."""
        ...


class Journal(Protocol):
    """What was intended and what came of it, on disk before the next thing happens."""

    def write(self, entry: Mapping[str, object]) -> None:
        """Append and fsync."""
        ...

    def close(self) -> None:
        """Let go of the file; a later entry opens it again."""
        ...


class Clock(Protocol):
    """Time, so that a test can hold it."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def wall(self) -> float:
        """What this machine takes for the time of day, in seconds since 1970."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        ...


class Quarantine(Protocol):
    """A file of values that a repair must not throw away; made with its first value."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def written(self) -> int:
        """How many values are in it."""
        ...

    async def write(self, copies: Sequence[QuarantinedKey]) -> None:
        """Append those that are not in it yet, and fsync. Raises HostError."""
        ...


class ClusterStore(Protocol):
    """What the control machine keeps of one cluster: what was meant and what was under way, never what *is*.

    The paths are places for others to write to, and for people to read of; what has a method is read and written by
    that alone. Any method may raise HostError for what can't be read or written.
    """

    @property
    def name(self) -> str:
        """The cluster's."""
        ...

    @property
    def journal_path(self) -> Path:
        """What a journal of the cluster is opened by."""
        ...

    @property
    def topology_path(self) -> Path:
        """The file of a demo, or of an adopted cluster."""
        ...

    @property
    def rehearsal_path(self) -> Path:
        """Where a server is tried."""
        ...

    @property
    def nodes_path(self) -> Path:
        """Where the nodes' folders are by default."""
        ...

    @property
    def archives_path(self) -> Path:
        """Where repairs and rebuilds archive to; it outlives the cluster."""
        ...

    @property
    def quarantine_path(self) -> Path:
        """Values that two nodes had differently; nothing removes it."""
        ...

    @property
    def password_path(self) -> Path:
        """Where the password is kept, for people who look for it."""
        ...

    def hold(self, verb: str) -> AbstractContextManager[None]:
        """Hold the cluster's lock while ``verb`` works; it ends with its holder.

        Raises RefusedError (locked) that names the holder, or (folder-unsafe) where others may write there."""
        ...

    def exists(self) -> bool:
        """Whether there is anything of the cluster."""
        ...

    def has_topology(self) -> bool:
        """Whether the file of a demo or of an adopted cluster is there."""
        ...

    def prepare(self) -> None:
        """Make the place, private to this user."""
        ...

    def demand_known_formats(self) -> None:
        """Raise RefusedError (format-newer) where a later release wrote anything here in a format that is not known:
        asked before anything is changed or removed."""
        ...

    def read_record(self) -> ClusterRecord | None:
        """None when the cluster isn't known here. Raises RefusedError (format-newer)."""
        ...

    def write_record(self, record: ClusterRecord) -> None:
        """Replace it, durably."""
        ...

    def forget_record(self) -> None:
        """Nothing is made here any more: the next record is of another cluster. A baseline goes with it."""
        ...

    def record_text(self) -> str:
        """The record as it is kept, for an archive."""
        ...

    def as_unknown(self) -> ClusterStore:
        """The same place, as if there were no record in it."""
        ...

    def read_journal(self) -> str:
        """All entries, one JSON object a line; "" where nothing was ever done. Raises RefusedError (format-newer)."""
        ...

    def read_password(self) -> Secret | None:
        """The password that the nodes were given, None when none was."""
        ...

    def write_password(self, password: Secret) -> None:
        """Keep it, for nobody else to read; it may be of any bytes."""
        ...

    def read_map(self, label: str) -> str | None:
        """The copy of a node's ``nodes.conf`` that is kept as ``label``."""
        ...

    def write_map(self, label: str, text: str) -> None:
        """Replace that copy, durably."""
        ...

    def read_rebuild(self, kind: type[ValueT]) -> ValueT | None:
        """What was decided of a rebuild that is under way. Raises RefusedError (format-newer)."""
        ...

    def write_rebuild(self, rebuild: object) -> None:
        """Keep it, durably."""
        ...

    def forget_rebuild(self) -> None:
        """None is under way."""
        ...

    def has_rebuild(self) -> bool:
        """Whether one is under way."""
        ...

    def read_baseline(self) -> Baseline | None:
        """What the cluster was before a change that is under way. Raises RefusedError (format-newer)."""
        ...

    def write_baseline(self, baseline: Baseline) -> None:
        """Keep it, durably and for nobody else to read."""
        ...

    def forget_baseline(self) -> None:
        """The change is proved or taken back. Nothing happens where none is kept."""
        ...

    def has_baseline(self) -> bool:
        """Whether a change is under way, or was cut."""
        ...

    def read_copies(self) -> KeptCopies:
        """What each node held when the cluster was last proved; of no node where nothing is kept. Raises RefusedError
        (format-newer)."""
        ...

    def write_copies(self, copies: KeptCopies) -> None:
        """Replace it, durably."""
        ...

    def quarantine(self, label: str) -> Quarantine:
        """A new file for values that differ."""
        ...

    def remove(self) -> None:
        """Forget the cluster. A node's folder that is still there stays, and so do the folders above it."""
        ...


class State(Protocol):
    """What this control machine keeps: a place for each cluster, and the jobs."""

    @property
    def root(self) -> Path:
        """Where jobs, engines and data that was set aside are."""
        ...

    def cluster(self, name: str) -> ClusterStore:
        """The place of one cluster; nothing is made by asking for it."""
        ...

    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that have a record, sorted."""
        ...

    def open_jobs(self, cluster: str) -> tuple[OpenJob, ...]:
        """The jobs of all kinds that work on ``cluster`` or are not over, by name."""
        ...


class Secrets(Protocol):
    """Where passwords come from."""

    def generate(self) -> Secret:
        """A new one that nobody guesses."""
        ...

    def in_variable(self, name: str) -> Secret | None:
        """What the environment has; None for nothing."""
        ...

    def in_file(self, path: str) -> Secret | None:
        """A file's text without its line end; None where there is none. Raises InputError (password-unreadable)."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedTopology:
    """A sound topology and where it came from.

    ``path`` is absolute; ``inline_password`` is given exactly when the password's source is INLINE.
    """

    topology: Topology
    path: Path
    warnings: tuple[Problem, ...]
    inline_password: Secret | None


@dataclass(frozen=True, slots=True)
class Binary:
    """A server that can run here: absolute path and version."""

    path: str
    version: ServerVersion


AskSecret = Callable[[str], Secret | None]
"""Asks for a password; None: there is nobody to ask."""

AgreeTo = Callable[[str], bool]
"""Asks a yes-or-no question, such as whether a host's new key is to be trusted."""


class FleetOpener(Protocol):
    """Connects the hosts of a cluster."""

    async def __call__(
        self, topology: Topology | None, programs: Sequence[str], report: Report, ask: AskSecret, agree: AgreeTo
    ) -> Fleet:
        """``topology`` None: servers that are only talked to. ``programs`` are those that servers were started with
        before. Raises HostError where no host can be reached at all."""
        ...


JournalOpener = Callable[[Path], Journal]
"""Opens a journal by its path. Raises RefusedError (format-newer) for one of a later release."""

TopologyReader = Callable[[Path], LoadedTopology]
"""Reads a topology file. Raises InputError with all of its problems."""

EngineFinder = Callable[[Engine], Binary]
"""Finds a server program on this machine. Raises HostError, or RefusedError (program-unsafe)."""

ShellOpener = Callable[[str], Shell]
"""A shell of this machine, which is called so."""
