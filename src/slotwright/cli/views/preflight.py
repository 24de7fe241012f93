"""Hosts for people and for programs: what they are like, what is wrong, what was changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.human import counted, show_finding_list
from slotwright.cli.views.json import finding_json
from slotwright.cli.views.screen import out, paint, size, table
from slotwright.model.findings import Finding, Severity

if TYPE_CHECKING:
    from slotwright.api import Preflight
    from slotwright.model.profile import HostProfile
    from slotwright.planning.fitness_wants import ClockOffset
    from slotwright.planning.mending import Mending


def show_preflight(result: Preflight, *, was_fix: bool) -> None:
    """`preflight`: the hosts, what was mended, the findings."""
    serious = sum(found.severity is Severity.SERIOUS for found in result.findings)
    warnings = sum(found.severity is Severity.WARNING for found in result.findings)
    if serious:
        state = paint(f"{counted(serious, 'thing')} in the way", "bad")
    else:
        state = paint(counted(warnings, "warning"), "warn") if warnings else paint("ready", "good")
    out(f"{paint(result.name, 'bold')}: {state}", "")
    if result.profiles:
        _show_hosts(result)
    if was_fix and result.profiles:
        _show_mended(result)
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


def show_mendings(mendings: Sequence[Mending]) -> None:
    """What `--fix` is about to change, before it asks."""
    out("to be changed for good:", "")
    for mending in mendings:
        for change in mending.changes:
            out(f"  {mending.host:<18} {change.what}: {change.old} -> {change.new}   ({change.file})")
    out("")


def together(findings: Sequence[Finding]) -> list[Finding]:
    """One finding for several hosts where only the host differs."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for found in findings:
        key = (found.code, found.severity, found.what, found.risk, found.remedy)
        groups.setdefault(key, []).append(found)
    return [_one(group) for group in groups.values()]


def _one(group: list[Finding]) -> Finding:
    first = group[0]
    seen = list(dict.fromkeys(found.seen for found in group if found.seen))
    told = seen[0] if len(seen) == 1 else "; ".join(f"{found.where}: {found.seen}" for found in group if found.seen)
    return replace(first, where=", ".join(dict.fromkeys(found.where for found in group)), seen=told)


def preflight_json(result: Preflight) -> dict[str, Any]:
    """`preflight`."""
    clocks = dict(result.clocks)
    return {
        "name": result.name,
        "ready": not any(found.severity is Severity.SERIOUS for found in result.findings),
        "pairs_tried": result.pairs,
        "hosts": [_host_json(profile, clocks.get(profile.host)) for profile in result.profiles],
        "changed": [
            {"host": each.mending.host, "did": list(each.deeds), "troubles": list(each.troubles)}
            for each in result.mended
        ],
        "findings": [finding_json(found) for found in result.findings],
    }


def _host_json(profile: HostProfile, clock: ClockOffset | None) -> dict[str, Any]:
    fields = asdict(profile)
    fields["tools"] = sorted(profile.tools)
    fields["clock_ahead_s"] = None if clock is None else round(clock.ahead_s, 4)
    return fields


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


def _show_mended(result: Preflight) -> None:
    if not result.mended:
        out("", "  nothing was changed: there is nothing left that --fix can mend")
        return
    out("", "  changed for good:")
    for each in result.mended:
        values = "; ".join(f"{change.what} {change.old} -> {change.new}" for change in each.mending.changes)
        out(f"    {each.mending.host:<18} {values}")
        told = [change.what for change in each.mending.changes]
        for deed in each.deeds:
            if not any(what in deed for what in told):
                out(f"    {'':<18} {deed}")
        for trouble in each.troubles:
            out(f"    {'':<18} {paint(trouble, 'warn')}")
