"""Hosts for people: what they are like, what is wrong, what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from slotwright.cluster.findings import Finding, Severity
from slotwright.console.cluster_view import counted, show_finding_list
from slotwright.console.screen import out, paint, size, table

if TYPE_CHECKING:
    from slotwright.features.preflight.api import Preflight
    from slotwright.features.preflight.plan import HostTuning
    from slotwright.hosts.facts.profile import HostProfile
    from slotwright.hosts.fitness.requirements import ClockOffset


def show_preflight(result: Preflight, *, was_fix: bool) -> None:
    """`preflight`: the hosts, what was mended, the findings."""
    serious = sum(finding.severity is Severity.SERIOUS for finding in result.findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in result.findings)
    if serious:
        state = paint(f"{counted(serious, 'thing')} in the way", "bad")
    else:
        state = paint(counted(warnings, "warning"), "warn") if warnings else paint("ready", "good")
    out(f"{paint(result.name, 'bold')}: {state}", "")
    if result.profiles:
        _show_hosts(result)
    if was_fix and result.profiles:
        _show_tuned(result)
    if result.findings:
        out("")
        show_finding_list(together(result.findings))


def _show_hosts(result: Preflight) -> None:
    clocks = dict(result.clocks)
    rows = [_row(profile, clocks.get(profile.host)) for profile in result.profiles]
    table(
        ("host", "system", "kernel", "cpus", "memory", "free disk", "clock"),
        rows,
        right=("cpus", "memory", "free disk"),
    )
    if result.pairs:
        out("", f"  {counted(result.pairs, 'ordered pair')} of hosts tried on client and bus ports")


def show_tuning(tunings: Sequence[HostTuning]) -> None:
    """What `--fix` is about to change, before it asks."""
    out("to be changed for good:", "")
    for tuning in tunings:
        for change in tuning.changes:
            out(f"  {tuning.host:<18} {change.what}: {change.old} -> {change.new}   ({change.file})")
    out("")


def together(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for several hosts where only the host differs."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.code, finding.severity, finding.what, finding.risk, finding.remedy)
        groups.setdefault(key, []).append(finding)
    return [_one(group) for group in groups.values()]


def _one(group: list[Finding]) -> Finding:
    first = group[0]
    results = list(dict.fromkeys(finding.seen for finding in group if finding.seen))
    text = (
        results[0]
        if len(results) == 1
        else "; ".join(f"{finding.where}: {finding.seen}" for finding in group if finding.seen)
    )
    return replace(first, where=", ".join(dict.fromkeys(finding.where for finding in group)), seen=text)


def _row(profile: HostProfile, clock: ClockOffset | None) -> tuple[str, ...]:
    system, memory = profile.system, profile.memory
    name = " ".join(part for part in (system.os_id or system.os_name, system.os_version) if part) or "unknown"
    free = profile.rooms[0].free_bytes if profile.rooms else None  # where the data goes
    return (
        profile.host,
        f"{name} {system.architecture}",
        system.kernel,
        str(system.cpus or "-"),
        size(memory.total_bytes),
        size(free),
        _ahead(clock),
    )


def _ahead(clock: ClockOffset | None) -> str:
    if clock is None:
        return "-"
    if abs(clock.ahead_s) <= max(clock.uncertainty_s, 0.05):
        return "right"
    return f"{abs(clock.ahead_s):.1f} s {'ahead' if clock.ahead_s > 0 else 'behind'}"


def _show_tuned(result: Preflight) -> None:
    if not result.mended:
        out("", "  nothing was changed: there is nothing left that --fix can mend")
        return
    out("", "  changed for good:")
    for outcome in result.mended:
        values = "; ".join(f"{change.what} {change.old} -> {change.new}" for change in outcome.tuning.changes)
        out(f"    {outcome.tuning.host:<18} {values}")
        results = [change.what for change in outcome.tuning.changes]
        for change_made in outcome.changes_made:
            if not any(what in change_made for what in results):
                out(f"    {'':<18} {change_made}")
        for trouble in outcome.troubles:
            out(f"    {'':<18} {paint(trouble, 'warn')}")
