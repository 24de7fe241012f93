"""Settings of the kernel that a node suffers from: overcommit, huge pages, backlog, open files, swap, clock source."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.sizes import shown_bytes
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness.arm64_cow import check_result
from slotwright.hosts.fitness.requirements import Requirements, is_tunable, version_numbers
from slotwright.server.capabilities import Capability, capabilities_of

FIX = "slotwright preflight --fix"

SWAPPED_BYTES = 64 * 2**20
"""More than this in swap is not just what nobody has touched since boot."""

SWAPPINESS = 30
"""Above it the kernel swaps out idle memory of processes rather than drop its file cache."""


def overcommits(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """A save forks: without overcommit the kernel may refuse a second copy of memory that is never needed
    (syscheck.c, checkOvercommit)."""
    mode = profile.kernel.overcommit_memory
    if mode is None or mode == 1:
        return
    strictly = (
        "the kernel strictly counts every promised page" if mode == 2 else "the kernel guesses what it may promise"
    )
    yield Finding(
        "overcommit-memory-off",
        Severity.WARNING,
        profile.host,
        f"memory overcommit is off: {strictly}",
        _sysctl_remedy(profile, wants, "vm.overcommit_memory=1"),
        seen=f"vm.overcommit_memory = {mode}, wanted 1",
        risk="a background save or a replica's first copy fails when memory is more than half full; then writes are "
        "refused (MISCONF)",
    )


def _sysctl_remedy(profile: HostProfile, wants: Requirements, setting: str) -> str:
    if is_tunable(profile, wants):
        return FIX
    return f"as root: echo {setting} > /etc/sysctl.d/60-{setting.partition('=')[0]}.conf; sysctl -w {setting}"


def huge_pages(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Since 6.2 the server switches them off for itself (config.c, ``disable-thp yes``), older ones can't."""
    if profile.kernel.thp != "always":
        return
    is_off_inside = _disables_thp(wants)
    yield Finding(
        "transparent-huge-pages",
        Severity.NOTE if is_off_inside else Severity.WARNING,
        profile.host,
        "transparent huge pages are on" + (" (the server switches them off for itself)" if is_off_inside else ""),
        FIX
        if profile.has_systemd and is_tunable(profile, wants)
        else "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; and the same line in /etc/rc.local "
        "or whatever this host runs at boot",
        seen=f"enabled: always, defrag: {profile.kernel.thp_defrag or 'unknown'}",
        risk="latency peaks and memory during saves",
    )


def _disables_thp(wants: Requirements) -> bool:
    if (wants.setting("disable-thp") or "yes").lower() != "yes":
        return False
    numbers = version_numbers(wants.engine_version)
    version = ServerVersion(wants.engine_kind, numbers)
    return not numbers or capabilities_of(version).has(Capability.DISABLES_HUGE_PAGES)


def backlogs(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """The kernel cuts what a server asks for to net.core.somaxconn, silently (listen(2); the server logs it)."""
    limit = profile.kernel.somaxconn
    if limit is not None and limit < wants.backlog:
        yield Finding(
            "somaxconn-low",
            Severity.WARNING,
            profile.host,
            "the kernel's queue for new connections is shorter than the server asks for",
            _sysctl_remedy(profile, wants, f"net.core.somaxconn={wants.backlog}"),
            seen=f"net.core.somaxconn = {limit}, tcp-backlog {wants.backlog}",
            risk="when many clients reconnect at once, after a failover, some are turned away or wait for seconds",
        )


def file_limits(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Only where no unit sets the limit: a server raises its soft limit itself, up to the hard one."""
    hard = profile.files.hard
    if profile.has_systemd and wants.is_remote:
        return
    if hard is not None and hard < wants.files:
        yield Finding(
            "nofile-low",
            Severity.WARNING,
            profile.host,
            "a process may not open as many files as the server needs for all its clients",
            FIX
            if wants.is_remote and is_tunable(profile, wants)
            else f"raise the hard limit of open files to {wants.files} or more (limits.conf)",
            seen=f"hard limit {hard}; maxclients and the server's own files need {wants.files}",
            risk=f"the server lowers maxclients to {max(hard - 32, 0)} by itself",
        )


def swaps(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Having no swap is a choice, and told only with ``maxmemory-unset``; swap that is in use costs latency now."""
    memory, swappiness = profile.memory, profile.kernel.swappiness
    if not memory.swap_bytes:
        return
    if (used := memory.swap_used_bytes or 0) > SWAPPED_BYTES:
        yield Finding(
            "swap-in-use",
            Severity.WARNING,
            profile.host,
            f"{shown_bytes(used)} of this host's memory are in swap",
            "free -m; give the host more memory, or move away what else runs there",
            seen=f"{shown_bytes(used)} of {shown_bytes(memory.swap_bytes)} swap used, "
            f"{shown_bytes(memory.available_bytes or 0)} of memory available",
            risk="a node whose pages are swapped out hangs for seconds, and may be held failed by the others",
        )
    if swappiness is not None and swappiness > SWAPPINESS:
        yield Finding(
            "swappiness-high",
            Severity.NOTE,
            profile.host,
            "the kernel likes to swap idle memory out",
            "as root: echo vm.swappiness=10 > /etc/sysctl.d/60-swappiness.conf; sysctl -w vm.swappiness=10",
            seen=f"vm.swappiness = {swappiness}, and there is swap",
            risk="keys that were not read for a while come back from disk",
        )


def clock_sources(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """The server's own measurement (syscheck.c, since 7.0): asking for the time goes through a system call."""
    if check_result(profile, "slow-clocksource") == "WARNING":
        yield Finding(
            "clock-source-slow",
            Severity.NOTE,
            profile.host,
            "asking this host for the time is slow",
            "cat /sys/devices/system/clocksource/clocksource0/available_clocksource; if tsc is there: as root, "
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
            seen="the server's --check-system: [slow-clocksource]",
            risk="less throughput: the server asks for the time at every command",
        )
