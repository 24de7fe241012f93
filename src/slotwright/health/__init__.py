"""Observation -> findings. Nothing is asked and nothing is changed here; cause is told apart from consequence.

Every check takes the same :class:`CheckContext` and yields what it finds. No finding at all means: every node answers,
says that the cluster is ok and sees it as all others do; all slots are served; every replica is in sync with its
primary and stands on another host; and, where there is a file, roles and settings are those of the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, by_gravity
from slotwright.cluster.topology import Mode
from slotwright.health.check_context import Check, CheckContext
from slotwright.health.checks.addresses import invalid_addresses, wrong_announcements
from slotwright.health.checks.bus import bus_links, cut_off
from slotwright.health.checks.coverage import replicas_required
from slotwright.health.checks.data import came_back_empty, lost_files, shared_directories, unpersisted
from slotwright.health.checks.disk import filling_disks, persistence, rewrites, torn_logs
from slotwright.health.checks.host import clocks, newer_folders, open_files, unbelieved_folders
from slotwright.health.checks.members import member_findings
from slotwright.health.checks.memory import killed, near_limits, overcommitted
from slotwright.health.checks.replicas import (
    bare_primaries,
    colocated_replicas,
    lagging_replicas,
    moved_roles,
    replica_links,
)
from slotwright.health.checks.settings import settings_differ, short_timeouts, versions
from slotwright.health.checks.silence import loading, silent_nodes
from slotwright.health.checks.slots import slot_findings
from slotwright.health.checks.strangers import strangers
from slotwright.health.checks.views import epochs, states, uncovered_slots, views_disagree
from slotwright.health.slot_claims import slot_claims

__all__ = ["Check", "CheckContext", "diagnose"]


def diagnose(case: CheckContext) -> tuple[Finding, ...]:
    """All findings, gravest first."""
    checks = _ALWAYS + (_IN_A_CLUSTER if case.survey.mode is Mode.CLUSTER else ())
    return by_gravity(tuple(finding for check in checks for finding in check(case)))


def slots(case: CheckContext) -> Iterator[Finding]:
    """Slots that two nodes own, that a dead mover left open, or whose keys are where they should not be."""
    # Who can't reach the others still claims what another one took over; it serves nobody, and its links are told.
    apart = cut_off(case)
    cases = slot_claims(case.survey, case.observation, case.contents)
    claims = tuple(claim for claim in cases if len(claim.claimants) < 2 or apart.isdisjoint(claim.claimants))
    return slot_findings(case.survey, claims, case.contents)


def members(case: CheckContext) -> Iterator[Finding]:
    """Ghosts, changed ids and addresses, replicas of the wrong primary, a lost majority."""
    return member_findings(case.survey, case.observation, case.blueprint)


_ALWAYS: tuple[Check, ...] = (
    silent_nodes,
    persistence,
    rewrites,
    filling_disks,
    torn_logs,
    near_limits,
    overcommitted,
    killed,
    unpersisted,
    lost_files,
    shared_directories,
    clocks,
    open_files,
    unbelieved_folders,
    newer_folders,
    loading,
    settings_differ,
)
_IN_A_CLUSTER: tuple[Check, ...] = (
    uncovered_slots,
    states,
    views_disagree,
    epochs,
    slots,
    members,
    invalid_addresses,
    wrong_announcements,
    replica_links,
    lagging_replicas,
    bare_primaries,
    colocated_replicas,
    moved_roles,
    strangers,
    versions,
    bus_links,
    replicas_required,
    came_back_empty,
    short_timeouts,
)
