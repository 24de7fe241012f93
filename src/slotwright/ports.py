"""The ports: what the use cases need from the world, as protocols. Adapters implement them; tests fake them by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from slotwright.model.exam import HostExam
from slotwright.model.facts import HostFacts, NodeQuery, ProcessId
from slotwright.model.files import Launch, NodeFiles
from slotwright.model.secret import Secret
from slotwright.model.topology import Address

Argument = str | bytes | int
Reply = bytes | int | None | list["Reply"]


class ReplyError(Exception):
    """An error reply. ``str()`` is the server's line, ``code`` its first word (``MOVED``, ``NOAUTH``, ``ERR``)."""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).partition(" ")[0]


class Connection(Protocol):
    """One connection to a server. Nothing is ever sent twice.

    Any method may raise :class:`slotwright.errors.NodeUnreachableError`: whether the last command took effect is
    then unknown.
    """

    @property
    def address(self) -> Address:
        """What was dialled."""
        ...

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command's reply; an error reply is raised as :class:`ReplyError`."""
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
        """As :meth:`pipeline`, for commands that are bytes already (``wire/requests.py``) and have ``replies`` replies:
        for what goes by the million. ``timeout_s``: the longest silence."""
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

    async def mend_append_log(self, directory: str, cluster_id: str, binary: str) -> str:
        """Cut what the server can't read off the append-only file of a node that does not run, with the server's own
        tool (``redis-check-aof --fix``, which is the server program under another name). Returns what the tool said.
        Raises HostError where it fails."""
        ...

    async def free_port(self, host: str) -> int:
        """A port of ``host`` that is free now together with its bus port."""
        ...

    async def find(self, directory: str, cluster_id: str) -> ProcessId | None:
        """The live process of the node whose folder this is; None where the folder's marker names another cluster."""
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

    async def kill(self, process: ProcessId) -> None:
        """End exactly that process at once; nothing happens when it is gone."""
        ...

    async def freeze(self, process: ProcessId) -> None:
        """Stop exactly that process without ending it (SIGSTOP): it hangs, as far as others can tell."""
        ...

    async def thaw(self, process: ProcessId) -> None:
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
