"""What `preflight --fix` does: for each host the changes that last, and the scripts that make them.

Every script can be run again: where all is as it should be it changes nothing and prints nothing. Its output
is told in wire/mending_scripts.py. What came of it is seen by taking the profile again, never by what the script says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotwright.model.findings import Finding
from slotwright.model.profile import HostProfile
from slotwright.planning.fitness_wants import Wants, is_mendable
from slotwright.wire.mending_scripts import LIMITS_SCRIPT, SYSCTL_SCRIPT, THP_SCRIPT

SYSCTL_FILE = "/etc/sysctl.d/60-slotwright.conf"
LIMITS_FILE = "/etc/security/limits.d/60-slotwright.conf"
THP_UNIT = "/etc/systemd/system/slotwright-thp.service"

SOMAXCONN = 4096
"""What kernels from 5.4 on have themselves; a larger backlog in the file gets as much as it asks for."""

OPEN_FILES = 65536


@dataclass(frozen=True, slots=True)
class Change:
    """One value that is to change, "old" as the profile saw it, and the file that makes it last."""

    what: str
    old: str
    new: str
    file: str


@dataclass(frozen=True, slots=True)
class Mending:
    """A script for one host, to be run as root with these arguments; ``codes`` are the findings that it ends.

    ``at_next_login``: a session that is open now, and what it starts, keeps the old value.
    """

    host: str
    codes: tuple[str, ...]
    changes: tuple[Change, ...]
    script: str
    arguments: tuple[str, ...]
    at_next_login: bool = False


def plan_mending(profiles: tuple[HostProfile, ...], findings: tuple[Finding, ...], wants: Wants) -> tuple[Mending, ...]:
    """What can be mended of ``findings``, host by host; nothing on a host where root can't be had."""
    found = {(finding.where, finding.code) for finding in findings}
    return tuple(
        mending
        for profile in profiles
        if is_mendable(profile, wants)
        for mending in _of_host(profile, frozenset(code for where, code in found if where == profile.host), wants)
    )


def _of_host(profile: HostProfile, codes: frozenset[str], wants: Wants) -> Iterator[Mending]:
    kernel = [change for code, change in _sysctls(profile, wants) if code in codes]
    if kernel:
        yield Mending(
            profile.host,
            tuple(code for code, _ in _sysctls(profile, wants) if code in codes),
            tuple(kernel),
            SYSCTL_SCRIPT,
            (SYSCTL_FILE, *(f"{change.what}={change.new}" for change in kernel)),
        )
    if "transparent-huge-pages" in codes and profile.has_systemd:
        change = Change("transparent huge pages", profile.kernel.thp, "madvise", THP_UNIT)
        yield Mending(profile.host, ("transparent-huge-pages",), (change,), THP_SCRIPT, (THP_UNIT,))
    if "nofile-low" in codes and wants.is_remote:
        yield _limits(profile, wants)


def _sysctls(profile: HostProfile, wants: Wants) -> tuple[tuple[str, Change], ...]:
    overcommit, somaxconn = profile.kernel.overcommit_memory, profile.kernel.somaxconn
    queue = max(SOMAXCONN, wants.backlog)
    return (
        ("overcommit-memory-off", Change("vm.overcommit_memory", _told(overcommit), "1", SYSCTL_FILE)),
        ("somaxconn-low", Change("net.core.somaxconn", _told(somaxconn), str(queue), SYSCTL_FILE)),
    )


def _limits(profile: HostProfile, wants: Wants) -> Mending:
    """For the service user and for the login, from which nodes inherit it where they are started detached."""
    files = max(OPEN_FILES, wants.files)
    change = Change("open files of a process", _told(profile.files.hard), str(files), LIMITS_FILE)
    login = profile.login.came_from or profile.login.user or "root"
    users = tuple(dict.fromkeys((wants.service_user, "root", login)))
    return Mending(
        profile.host,
        ("nofile-low",),
        (change,),
        LIMITS_SCRIPT,
        (LIMITS_FILE, str(files), *users),
        at_next_login=True,
    )


def _told(value: int | None) -> str:
    return "unknown" if value is None else str(value)
