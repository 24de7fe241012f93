"""What `preflight --fix` does: for each host the changes that last, and the scripts that make them.

Every script can be run again: where all is as it should be it changes nothing and prints nothing. Its output
is told in hosts/scripts/tuning. What came of it is seen by taking the profile again, never by what the script says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotwright.cluster.findings import Finding
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness.requirements import Requirements, is_tunable
from slotwright.hosts.scripts.tuning import LIMITS_SCRIPT, SYSCTL_SCRIPT, THP_SCRIPT

SYSCTL_FILE = "/etc/sysctl.d/60-slotwright.conf"
LIMITS_FILE = "/etc/security/limits.d/60-slotwright.conf"
THP_UNIT = "/etc/systemd/system/slotwright-thp.service"

SOMAXCONN = 4096
"""What kernels from 5.4 on have themselves; a larger backlog in the file gets as much as it asks for."""

OPEN_FILES = 65536


@dataclass(frozen=True, slots=True)
class TuningChange:
    """One value that is to change, "old" as the profile saw it, and the file that makes it last."""

    what: str
    old: str
    new: str
    file: str


@dataclass(frozen=True, slots=True)
class HostTuning:
    """A script for one host, to be run as root with these arguments."""

    host: str
    changes: tuple[TuningChange, ...]
    script: str
    arguments: tuple[str, ...]

    kind = "tune"

    @property
    def where(self) -> str:
        """The host."""
        return self.host


def plan_tuning(
    profiles: tuple[HostProfile, ...], findings: tuple[Finding, ...], wants: Requirements
) -> tuple[HostTuning, ...]:
    """What can be mended of ``findings``, host by host; nothing on a host where root can't be had."""
    results = {(finding.where, finding.code) for finding in findings}
    return tuple(
        tuning
        for profile in profiles
        if is_tunable(profile, wants)
        for tuning in _of_host(profile, frozenset(code for where, code in results if where == profile.host), wants)
    )


def _of_host(profile: HostProfile, codes: frozenset[str], wants: Requirements) -> Iterator[HostTuning]:
    kernel = [change for code, change in _sysctls(profile, wants) if code in codes]
    if kernel:
        yield HostTuning(
            profile.host,
            tuple(kernel),
            SYSCTL_SCRIPT,
            (SYSCTL_FILE, *(f"{change.what}={change.new}" for change in kernel)),
        )
    if "transparent-huge-pages" in codes and profile.has_systemd:
        change = TuningChange("transparent huge pages", profile.kernel.thp, "madvise", THP_UNIT)
        yield HostTuning(profile.host, (change,), THP_SCRIPT, (THP_UNIT,))
    if "nofile-low" in codes and wants.is_remote:
        yield _limits(profile, wants)


def _sysctls(profile: HostProfile, wants: Requirements) -> tuple[tuple[str, TuningChange], ...]:
    overcommit, somaxconn = profile.kernel.overcommit_memory, profile.kernel.somaxconn
    queue = max(SOMAXCONN, wants.backlog)
    return (
        ("overcommit-memory-off", TuningChange("vm.overcommit_memory", _shown(overcommit), "1", SYSCTL_FILE)),
        ("somaxconn-low", TuningChange("net.core.somaxconn", _shown(somaxconn), str(queue), SYSCTL_FILE)),
    )


def _limits(profile: HostProfile, wants: Requirements) -> HostTuning:
    """For the service user and for the login, from which nodes inherit it where they are started detached."""
    files = max(OPEN_FILES, wants.files)
    change = TuningChange("open files of a process", _shown(profile.files.hard), str(files), LIMITS_FILE)
    login = profile.login.came_from or profile.login.user or "root"
    users = tuple(dict.fromkeys((wants.service_user, "root", login)))
    return HostTuning(
        profile.host,
        (change,),
        LIMITS_SCRIPT,
        (LIMITS_FILE, str(files), *users),
    )


def _shown(value: int | None) -> str:
    return "unknown" if value is None else str(value)
