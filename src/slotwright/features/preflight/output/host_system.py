"""A host's system, memory, kernel settings, disks and login in `preflight --json`."""

from __future__ import annotations

from slotwright.console.output import Output
from slotwright.hosts.facts.profile import FileLimits, HostMemory, HostTime, Kernel, LoginUser, Room, System


class SystemOutput(Output, frozen=True, kw_only=True):
    """The operating system and the machine."""

    os_id: str
    os_version: str
    os_name: str
    os_like: tuple[str, ...]
    hostname: str
    architecture: str
    kernel: str
    page_bytes: int | None
    libc: str
    libc_version: str
    boot_id: str
    cpus: int | None


class MemoryOutput(Output, frozen=True, kw_only=True):
    """Memory and swap."""

    total_bytes: int | None
    available_bytes: int | None
    swap_bytes: int | None
    swap_used_bytes: int | None


class KernelOutput(Output, frozen=True, kw_only=True):
    """Settings of the kernel."""

    overcommit_memory: int | None
    swappiness: int | None
    max_map_count: int | None
    somaxconn: int | None
    syn_backlog: int | None
    thp: str
    thp_defrag: str


class FileLimitsOutput(Output, frozen=True, kw_only=True):
    """How many files may be open."""

    soft: int | None
    hard: int | None
    systemd_default: int | None


class RoomOutput(Output, frozen=True, kw_only=True):
    """A folder's disk."""

    path: str
    existing: str
    is_there: bool
    is_writable: bool | None
    free_bytes: int | None
    free_inodes: int | None
    total_inodes: int | None
    mount_point: str
    file_system: str
    is_read_only: bool
    is_noexec: bool


class TimeOutput(Output, frozen=True, kw_only=True):
    """The host's clock when it was read."""

    start_s: float
    end_s: float
    step_s: float


class LoginOutput(Output, frozen=True, kw_only=True):
    """Who we are there."""

    uid: int | None
    user: str
    sudo: str
    came_from: str


def system_output(system: System) -> SystemOutput:
    """The operating system and the machine."""
    return SystemOutput(
        os_id=system.os_id,
        os_version=system.os_version,
        os_name=system.os_name,
        os_like=system.os_like,
        hostname=system.hostname,
        architecture=system.architecture,
        kernel=system.kernel,
        page_bytes=system.page_bytes,
        libc=system.libc,
        libc_version=system.libc_version,
        boot_id=system.boot_id,
        cpus=system.cpus,
    )


def memory_output(memory: HostMemory) -> MemoryOutput:
    """Memory and swap."""
    return MemoryOutput(
        total_bytes=memory.total_bytes,
        available_bytes=memory.available_bytes,
        swap_bytes=memory.swap_bytes,
        swap_used_bytes=memory.swap_used_bytes,
    )


def kernel_output(kernel: Kernel) -> KernelOutput:
    """Settings of the kernel."""
    return KernelOutput(
        overcommit_memory=kernel.overcommit_memory,
        swappiness=kernel.swappiness,
        max_map_count=kernel.max_map_count,
        somaxconn=kernel.somaxconn,
        syn_backlog=kernel.syn_backlog,
        thp=kernel.thp,
        thp_defrag=kernel.thp_defrag,
    )


def file_limits_output(limits: FileLimits) -> FileLimitsOutput:
    """How many files may be open."""
    return FileLimitsOutput(soft=limits.soft, hard=limits.hard, systemd_default=limits.systemd_default)


def room_output(room: Room) -> RoomOutput:
    """A folder's disk."""
    return RoomOutput(
        path=room.path,
        existing=room.existing,
        is_there=room.is_there,
        is_writable=room.is_writable,
        free_bytes=room.free_bytes,
        free_inodes=room.free_inodes,
        total_inodes=room.total_inodes,
        mount_point=room.mount_point,
        file_system=room.file_system,
        is_read_only=room.is_read_only,
        is_noexec=room.is_noexec,
    )


def time_output(time: HostTime) -> TimeOutput:
    """The host's clock when it was read."""
    return TimeOutput(start_s=time.start_s, end_s=time.end_s, step_s=time.step_s)


def login_output(login: LoginUser) -> LoginOutput:
    """Who we are there."""
    return LoginOutput(uid=login.uid, user=login.user, sudo=login.sudo.value, came_from=login.came_from)
