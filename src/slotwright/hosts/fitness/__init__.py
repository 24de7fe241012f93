"""Profiles of hosts x what they are to carry -> findings. Nothing is asked and nothing is changed here.

SERIOUS is what makes `up` fail or endangers data at once; WARNING a risk; NOTE worth knowing. No finding about a host
means: as far as the profile tells, nodes run well there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slotwright.cluster.findings import Finding, by_gravity
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness.access import folders, rights, selinux_modes, service_managers, tool_boxes
from slotwright.hosts.fitness.arm64_cow import cow_bugs
from slotwright.hosts.fitness.capacity import disks, memories, unbounded
from slotwright.hosts.fitness.clock import clocks, duplicates
from slotwright.hosts.fitness.engine import architectures, engines, mixtures, page_sizes, systems
from slotwright.hosts.fitness.firewall import firewalls
from slotwright.hosts.fitness.kernel import backlogs, clock_sources, file_limits, huge_pages, overcommits, swaps
from slotwright.hosts.fitness.requirements import Requirements

HostJudge = Callable[[HostProfile, Requirements], Iterator[Finding]]
FleetJudge = Callable[[tuple[HostProfile, ...], Requirements], Iterator[Finding]]

_EACH: tuple[HostJudge, ...] = (
    rights,
    service_managers,
    tool_boxes,
    folders,
    disks,
    memories,
    engines,
    architectures,
    page_sizes,
    cow_bugs,
    overcommits,
    huge_pages,
    backlogs,
    file_limits,
    swaps,
    clock_sources,
    selinux_modes,
    firewalls,
    systems,
)
_ALL: tuple[FleetJudge, ...] = (clocks, duplicates, mixtures, unbounded)


def check_fitness(profiles: tuple[HostProfile, ...], wants: Requirements) -> tuple[Finding, ...]:
    """All findings, gravest first; hosts of the file without a profile are not spoken of."""
    findings = [finding for judge in _EACH for profile in profiles for finding in judge(profile, wants)]
    findings += [finding for judge in _ALL for finding in judge(profiles, wants)]
    return by_gravity(tuple(findings))
