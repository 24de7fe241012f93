"""Clocks that differ between hosts, and hosts of the file that are one machine."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.hosts.facts.profile import HostProfile
from slotwright.hosts.fitness.requirements import Requirements

WARNING_S = 0.5
SERIOUS_S = 5.0


def clocks(profiles: tuple[HostProfile, ...], wants: Requirements) -> Iterator[Finding]:
    """Every host against the one in the middle; only what is certain counts, measuring errors taken off.

    Keys expire at points in time that primary and replica read from their own clocks (expire.c, rdb.c), so a
    difference shortens or prolongs lives at a failover or a migration.
    """
    known = {profile.host: profile for profile in profiles}
    measured = sorted((clock for clock in wants.clocks if clock[0] in known), key=lambda clock: clock[1].ahead_s)
    if len(measured) < 2:
        return
    middle_host, middle = measured[(len(measured) - 1) // 2]
    for host, offset in measured:
        difference = offset.ahead_s - middle.ahead_s
        doubt = offset.uncertainty_s + middle.uncertainty_s
        if abs(difference) - doubt > WARNING_S:
            yield _differs(known[host], middle_host, difference, doubt)


def _differs(profile: HostProfile, other: str, difference: float, doubt: float) -> Finding:
    is_serious = abs(difference) - doubt > SERIOUS_S
    side = "ahead of" if difference > 0 else "behind"
    service = profile.time_service
    return Finding(
        "clock-difference",
        Severity.SERIOUS if is_serious else Severity.WARNING,
        profile.host,
        f"the clock is {abs(difference):.1f} s {side} that of {other}",
        f"look why {service} does not hold the clock: {_QUERY.get(service, f'systemctl status {service}')}"
        if service
        else "install and start a time service: chrony (or `timedatectl set-ntp true`)",
        seen=f"measured to {doubt:.2f} s; time service here: {service or 'none seen'}",
        risk="keys with a time to live expire too early or too late after a failover; logs of hosts don't match",
    )


_QUERY = {
    "chronyd": "chronyc tracking",
    "chrony": "chronyc tracking",
    "ntpd": "ntpq -p",
    "ntp": "ntpq -p",
    "systemd-timesyncd": "timedatectl timesync-status",
}


def duplicates(profiles: tuple[HostProfile, ...], wants: Requirements) -> Iterator[Finding]:
    """Hosts with one boot id run one kernel: one machine under two addresses, or containers of one machine."""
    boots: dict[str, list[HostProfile]] = {}
    for profile in profiles:
        if profile.system.boot_id and wants.is_remote:
            boots.setdefault(profile.system.boot_id, []).append(profile)
    for same in boots.values():
        if len(same) > 1:
            yield Finding(
                "hosts-are-one-machine",
                Severity.WARNING,
                ", ".join(profile.host for profile in same),
                f"{len(same)} hosts of the file are one machine",
                "name each machine once, with all its ports; or give these hosts one `rack` in the file",
                seen="one boot id, hostnames " + ", ".join(profile.system.hostname or "?" for profile in same),
                risk="a primary and its replica may stand on it together, and die together",
            )
