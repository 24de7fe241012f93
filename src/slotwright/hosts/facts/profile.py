"""What a host is like: everything that one pass of the profile script saw. Collected, not judged.

None (or "") always means: the host did not tell. Nothing here is a default that stands in for an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotwright.hosts.facts.nodes import PortOwner


@dataclass(frozen=True, slots=True)
class System:
    """``os_id`` and ``os_like`` as in os-release(5), ``architecture`` as ``uname -m`` says it.

    ``libc`` is "glibc" or "musl", ``libc_version`` its version. ``boot_id`` is new after every boot of the machine.
    """

    os_id: str = ""
    os_version: str = ""
    os_name: str = ""
    os_like: tuple[str, ...] = ()
    hostname: str = ""
    architecture: str = ""
    kernel: str = ""
    page_bytes: int | None = None
    libc: str = ""
    libc_version: str = ""
    boot_id: str = ""
    cpus: int | None = None


@dataclass(frozen=True, slots=True)
class HostMemory:
    """Of the whole host, from /proc/meminfo, in bytes."""

    total_bytes: int | None = None
    available_bytes: int | None = None
    swap_bytes: int | None = None
    swap_used_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Kernel:
    """Settings of the running kernel. ``thp`` and ``thp_defrag`` are the words in brackets (always, madvise, never)."""

    overcommit_memory: int | None = None
    swappiness: int | None = None
    max_map_count: int | None = None
    somaxconn: int | None = None
    syn_backlog: int | None = None
    thp: str = ""
    thp_defrag: str = ""


@dataclass(frozen=True, slots=True)
class FileLimits:
    """Open files of the login, and what systemd gives to a unit that asks for nothing. Unlimited is a huge number."""

    soft: int | None = None
    hard: int | None = None
    systemd_default: int | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """A folder that matters, seen at its nearest existing parent (``existing``, links resolved).

    ``free_bytes`` and ``free_inodes`` are what an ordinary user may still take; ``total_inodes`` 0: the file system
    makes them as it needs them. ``is_writable`` is for the user whom the script ran as.
    """

    path: str
    existing: str = ""
    is_there: bool = False
    is_writable: bool | None = None
    free_bytes: int | None = None
    free_inodes: int | None = None
    total_inodes: int | None = None
    mount_point: str = ""
    file_system: str = ""
    is_read_only: bool = False
    is_noexec: bool = False


class SudoRights(StrEnum):
    """Whether the user of the script may become root without a password."""

    IS_ROOT = "root"
    FREE = "free"
    PASSWORD = "password"
    REFUSED = "refused"
    ABSENT = "absent"
    UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class LoginUser:
    """The user whom the script ran as. ``came_from`` is the user who called sudo for it, "" without sudo."""

    uid: int | None = None
    user: str = ""
    sudo: SudoRights = SudoRights.UNKNOWN
    came_from: str = ""

    @property
    def is_root(self) -> bool:
        """Whether the script had root's eyes."""
        return self.uid == 0

    @property
    def can_be_root(self) -> bool:
        """Whether root's rights can be had without anybody typing."""
        return self.is_root or self.sudo is SudoRights.FREE


class Selinux(StrEnum):
    """SELinux's mode."""

    ENFORCING = "enforcing"
    PERMISSIVE = "permissive"
    DISABLED = "disabled"
    ABSENT = "absent"
    UNKNOWN = ""


class ServiceState(StrEnum):
    """A service of the host: there and running, there, or not there."""

    ACTIVE = "active"
    INSTALLED = "installed"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class InputChain:
    """A chain of nftables that every incoming packet passes. ``policy`` is accept or drop."""

    family: str
    table: str
    name: str
    policy: str
    rules: int

    @property
    def can_refuse(self) -> bool:
        """Whether it may stop a packet: an empty chain that accepts can't."""
        return self.policy != "accept" or self.rules > 0


@dataclass(frozen=True, slots=True)
class Firewall:
    """``chains`` are nftables' input chains, ``iptables`` the INPUT rules of the old iptables as ``-S`` lists them.

    ``is_visible`` False: the rules could not be read (not root, or no tool to read them with).
    """

    firewalld: ServiceState = ServiceState.ABSENT
    is_ufw_active: bool = False
    chains: tuple[InputChain, ...] = ()
    iptables: tuple[str, ...] = ()
    is_visible: bool = False


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP port; ``address`` is as the kernel has it (``0.0.0.0``, ``::``, ``*`` or one address).

    ``owner`` None: this user may not see it.
    """

    address: str
    port: int
    owner: PortOwner | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A user of /etc/passwd."""

    name: str
    uid: int
    home: str = ""


@dataclass(frozen=True, slots=True)
class FoundServer:
    """A server binary on the PATH, with the first line of its ``--version``."""

    path: str
    version: str = ""


@dataclass(frozen=True, slots=True)
class EngineTrial:
    """What came of trying the engine's binary on this host.

    ``machine`` is the architecture in its ELF header, in the words of ``uname -m`` ("" unknown). ``status`` and
    ``output`` are of ``--version``. ``check_output`` is what ``--check-system`` printed ("" not asked: only servers
    from 7.0 on have it, syscheck.c), ``check_status`` 0 where all its checks passed and 1 where one did not.
    """

    path: str
    is_there: bool = False
    machine: str = ""
    status: int | None = None
    output: str = ""
    check_status: int | None = None
    check_output: str = ""

    @property
    def runs(self) -> bool:
        """Whether the binary works here."""
        return self.status == 0


@dataclass(frozen=True, slots=True)
class HostTime:
    """The host's clock in seconds since the epoch, at the start and at the end of the script.

    ``step_s`` is how fine it tells: 1.0 where ``date`` knows no fractions.
    """

    start_s: float
    end_s: float
    step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class HostProfile:
    """All of it. ``host`` is the address as in the file.

    ``init`` is "systemd" where it runs as the service manager, else "". ``package_tool`` is the one that installs
    packages here (apt-get, dnf, yum, zypper, apk) or "". ``time_service`` is what keeps the clock right, if seen.
    """

    host: str
    system: System = System()
    memory: HostMemory = HostMemory()
    kernel: Kernel = Kernel()
    files: FileLimits = FileLimits()
    rooms: tuple[Room, ...] = ()
    init: str = ""
    init_version: str = ""
    selinux: Selinux = Selinux.UNKNOWN
    time: HostTime | None = None
    time_service: str = ""
    login: LoginUser = LoginUser()
    package_tool: str = ""
    firewall: Firewall = Firewall()
    listeners: tuple[Listener, ...] = ()
    users: tuple[User, ...] = ()
    tools: frozenset[str] = frozenset()
    servers: tuple[FoundServer, ...] = ()
    engine: EngineTrial | None = None

    @property
    def has_systemd(self) -> bool:
        """Whether nodes can be units here."""
        return self.init == "systemd"

    def room(self, path: str) -> Room | None:
        """What was seen of this folder."""
        return next((room for room in self.rooms if room.path == path), None)

    def user(self, name: str) -> User | None:
        """That user, if there is one."""
        return next((user for user in self.users if user.name == name), None)
