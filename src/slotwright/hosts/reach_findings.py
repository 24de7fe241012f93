"""Connections that were tried between hosts -> findings: which way is shut, and what shuts it as far as can be told."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.topology import Topology
from slotwright.hosts.facts.firewall import FirewalldState, FirewallFacts, OtherFirewall
from slotwright.hosts.facts.reach import ReachOutcome, Trial


def check_reach(
    trials: Sequence[Trial],
    firewalls: Mapping[str, FirewallFacts],
    closed: Collection[str] = (),
    by_hand: Mapping[str, Sequence[str]] | None = None,
) -> tuple[Finding, ...]:
    """One finding for each host and kind of port that some other host can't reach, and one for what was not tried.

    ``closed`` are hosts whose own firewalld lacks our rules yet: that it shuts others out is as it should be.
    ``by_hand`` are the commands for root of hosts on which we are not root.
    """
    result = []
    shut: dict[tuple[str, bool], list[Trial]] = {}
    for trial in trials:
        if trial.outcome is ReachOutcome.SHUT:
            shut.setdefault((trial.goal, trial.is_bus), []).append(trial)
    for goal in sorted({goal for goal, _ in shut if goal in closed}):
        result.append(
            Finding(
                "firewall-closed",
                Severity.NOTE,
                goal,
                "firewalld does not let the other hosts in yet",
                "`slotwright up` adds the exact rules; whether anything else is in the way is told then",
            )
        )
    for (goal, is_bus), theirs in shut.items():
        if goal in closed:
            continue
        way = _way_in(firewalls.get(goal), (by_hand or {}).get(goal, ()))
        result.append(_shut(goal, theirs, way, is_bus=is_bus))
    untried = sorted({(trial.goal, trial.seen) for trial in trials if trial.outcome is ReachOutcome.UNTRIED})
    for goal, text in untried:
        result.append(
            Finding(
                "reach-untested",
                Severity.WARNING,
                goal,
                f"whether the other hosts reach the ports of {goal} could not be tried",
                "open the ports by hand if a firewall is between the hosts",
                text,
            )
        )
    return by_gravity(tuple(result))


def check_speakers(topology: Topology, speakers: Mapping[str, str]) -> tuple[Finding, ...]:
    """With ``via: direct``: hosts whose firewall will keep this machine out. ``speakers`` are this machine's addresses
    as the hosts with firewalld see them."""
    allowed = [ipaddress.ip_network(text) for text in topology.clients]
    peers = {host.address for host in topology.hosts}
    return tuple(
        Finding(
            "not-a-client",
            Severity.SERIOUS,
            host,
            f"this machine ({address}) is not among `clients`, and `via: direct` needs the client ports",
            "add it to `clients` in the file, or leave `via: direct` out",
        )
        for host, address in speakers.items()
        if address
        and address not in peers
        and not any(ipaddress.ip_address(address) in candidate for candidate in allowed)
    )


def _shut(goal: str, trials: list[Trial], way: str, *, is_bus: bool) -> Finding:
    first = trials[0]
    sources = list(dict.fromkeys(trial.source for trial in trials))
    ports = ", ".join(str(port) for port in sorted({trial.port for trial in trials}))
    what = "the cluster bus" if is_bus else "the client port"
    others = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
    return Finding(
        "bus-blocked" if is_bus else "port-blocked",
        Severity.SERIOUS,
        goal,
        f"{what} of {goal} ({ports}) can't be reached from {sources[0]}{others}",
        f"let {', '.join(sources)} in on TCP {ports} of {goal}: {way}",
        f"{first.source} -> {goal}:{first.port}: {first.seen}",
        "the nodes would never agree" if is_bus else "replicas could not copy their primaries",
    )


def _way_in(firewall: FirewallFacts | None, commands: Sequence[str]) -> str:
    if commands:
        return "firewalld has no rules for it, and we are not root there; as root: " + "; ".join(commands)
    if firewall is not None and firewall.state is FirewalldState.RUNNING:
        return "firewalld's own rules are in place, so look for another packet filter or a cloud security group"
    if firewall is not None and firewall.other is not OtherFirewall.NONE:
        return f"{firewall.other} filters there"
    return "look for a packet filter on the way or a cloud security group"
