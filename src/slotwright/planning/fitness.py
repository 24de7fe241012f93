"""Profiles of hosts x what they are to carry -> findings. Nothing is asked and nothing is changed here.

SERIOUS is what makes `up` fail or endangers data at once; WARNING a risk; NOTE worth knowing. No finding about a host
means: as far as the profile tells, nodes run well there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slotwright.model.findings import Finding, by_gravity
from slotwright.model.profile import HostProfile
from slotwright.planning.fitness_access import folders, rights, selinux_modes, service_managers, tool_boxes
from slotwright.planning.fitness_clock import clocks, twins
from slotwright.planning.fitness_cow import cow_bugs
from slotwright.planning.fitness_engine import architectures, engines, mixtures, page_sizes, systems
from slotwright.planning.fitness_firewall import firewalls
from slotwright.planning.fitness_kernel import backlogs, clock_sources, file_limits, huge_pages, overcommits, swaps
from slotwright.planning.fitness_room import disks, memories, unbounded
from slotwright.planning.fitness_wants import Wants

HostJudge = Callable[[HostProfile, Wants], Iterator[Finding]]
FleetJudge = Callable[[tuple[HostProfile, ...], Wants], Iterator[Finding]]

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
_ALL: tuple[FleetJudge, ...] = (clocks, twins, mixtures, unbounded)


def judge_fitness(profiles: tuple[HostProfile, ...], wants: Wants) -> tuple[Finding, ...]:
    """All findings, gravest first; hosts of the file without a profile are not spoken of."""
    found = [finding for judge in _EACH for profile in profiles for finding in judge(profile, wants)]
    found += [finding for judge in _ALL for finding in judge(profiles, wants)]
    return by_gravity(tuple(found))
