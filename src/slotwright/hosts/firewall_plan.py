"""Which rules a host's firewall lacks, which of ours are no longer wanted, and what is wider than needed.

What always holds: only rich rules of one source and exact ports are added; nothing that we did not add is removed; no
zone's target, default, interface or source is changed. A rule that was there before us is not ours, and stays.

A zone bound to the source of a packet judges it before the zone of the interface that it came in by, and that before
the default zone (firewalld.zones(5)). Where a binding is a network that only overlaps the source, or can't be compared
with it (a MAC address, an ipset), either zone may judge: the rule, exact as it is, goes into both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.topology import Mode, Topology
from slotwright.hosts.facts.firewall import (
    FirewalldState,
    FirewallFacts,
    FirewallNeed,
    FirewallPlan,
    FirewallRule,
    Scope,
    Zone,
)
from slotwright.hosts.scripts.firewalld import (
    covered_ports,
    is_about_something_else,
    port_ranges,
    rule_action,
    rule_ports,
    rule_priority,
    rule_source,
    source_rule,
)

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def firewall_need(topology: Topology, host: str) -> FirewallNeed:
    """What the nodes on ``host`` need: peers are the other hosts of the file."""
    ports = tuple(node.port for node in topology.addresses if node.host == host)
    buses = tuple(node.bus_port for node in topology.addresses if node.host == host)
    peers = tuple(dict.fromkeys(spec.address for spec in topology.hosts if spec.address != host))
    return FirewallNeed(host, peers, topology.clients, ports, buses if topology.mode is Mode.CLUSTER else ())


def plan_firewall(need: FirewallNeed, facts: FirewallFacts, ours: Sequence[FirewallRule] = ()) -> FirewallPlan:
    """The way from ``facts`` to ``need``. ``ours`` are the rules that earlier plans left in their ``ours``.

    A need of nothing takes all of ours back, also from a firewalld that does not run (its permanent rules).
    """
    wanted = tuple(_wanted(need, facts)) if facts.state is FirewalldState.RUNNING else ()
    add = tuple(rule for rule in wanted if not facts.has(rule))
    keeps_all = facts.state is not FirewalldState.RUNNING and bool(need.ports)
    stale = () if keeps_all else tuple(rule for rule in ours if rule not in wanted and facts.has(rule))
    remove = tuple(rule for rule in stale if not _is_lent(rule, facts, ours))
    kept = tuple(rule for rule in ours if keeps_all or rule in wanted)
    return FirewallPlan(
        host=need.host,
        add=add,
        remove=remove,
        ours=tuple(dict.fromkeys((*kept, *add))),
        findings=by_gravity(tuple(_check(need, facts))),
    )


def _is_lent(rule: FirewallRule, facts: FirewallFacts, ours: Sequence[FirewallRule]) -> bool:
    """A runtime rule whose permanent twin is the administrator's: since the last reload it is the administrator's."""
    twin = FirewallRule(rule.zone, Scope.PERMANENT, rule.text)
    return rule.scope is Scope.RUNTIME and twin not in ours and facts.has(twin)


def _wanted(need: FirewallNeed, facts: FirewallFacts) -> Iterator[FirewallRule]:
    result = set()
    for scope in Scope:
        for source, ports in _openings(need):
            for zone in judging_zones(source, facts, scope):
                rule = FirewallRule(zone, scope, source_rule(source, ports))
                if rule not in result:
                    result.add(rule)
                    yield rule


def _openings(need: FirewallNeed) -> Iterator[tuple[str, str]]:
    """Source and port range, peers before clients; names instead of addresses are left out."""
    for source in (*need.peers, *need.clients):
        if _network(source) is not None:
            yield from ((source, ports) for ports in port_ranges(need.ports))
    for source in need.peers:
        if _network(source) is not None:
            yield from ((source, ports) for ports in port_ranges(need.bus_ports))


def judging_zones(source: str, facts: FirewallFacts, scope: Scope) -> tuple[str, ...]:
    """The zones that may judge packets from ``source`` to the host: see the module's text."""
    network = _network(source)
    result = []
    is_bound = False
    for zone in facts.zones(scope):
        for bound in zone.sources:
            other = _network(bound)
            if network is not None and other is not None and _is_within(network, other):
                result.append(zone.name)
                is_bound = True
            elif network is None or other is None or _is_within(other, network):
                result.append(zone.name)
    if not is_bound:
        result.append(_interface_zone(facts, scope))
    return tuple(dict.fromkeys(result))


def _interface_zone(facts: FirewallFacts, scope: Scope) -> str:
    """The permanent zone of an interface is often kept by NetworkManager alone: then the running one counts."""
    for zones in (facts.zones(scope), facts.runtime):
        for zone in zones:
            if facts.interface and facts.interface in zone.interfaces:
                return zone.name
    return facts.default_zone


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _is_within(one: _Network, other: _Network) -> bool:
    if isinstance(one, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return one.subnet_of(other)
    if isinstance(one, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return one.subnet_of(other)
    return False


def _check(need: FirewallNeed, facts: FirewallFacts) -> Iterator[Finding]:
    if not need.ports:
        return
    for name in (source for source in need.peers if _network(source) is None):
        yield Finding(
            "firewall-needs-address",
            Severity.WARNING,
            need.host,
            f"{name} is a name; firewall rules need an address",
            "write the address in the file",
        )
    if facts.state is not FirewalldState.RUNNING:
        # What to do by hand on such a host is told from its profile (hosts/fitness/firewall.py).
        return
    findings = (
        finding
        for scope in Scope
        for zone in facts.zones(scope)
        if (sources := _zones_of(zone.name, scope, need, facts))
        for finding in _check_zone(need, zone, facts, sources)
    )
    yield from dict.fromkeys(findings)


def _zones_of(zone: str, scope: Scope, need: FirewallNeed, facts: FirewallFacts) -> tuple[str, ...]:
    sources = dict.fromkeys(source for source, _ in _openings(need))
    return tuple(source for source in sources if zone in judging_zones(source, facts, scope))


def _check_zone(need: FirewallNeed, zone: Zone, facts: FirewallFacts, sources: Sequence[str]) -> Iterator[Finding]:
    wanted = (*need.ports, *need.bus_ports)
    for port_text, how in _open_to_all(zone, facts):
        ports = covered_ports([port_text], wanted)
        if ports:
            yield Finding(
                "firewall-wider-than-needed",
                Severity.WARNING,
                need.host,
                f"{_ports(ports)} can be reached by everybody whom zone {zone.name} judges",
                f"take that out of zone {zone.name}; the exact rules of this cluster stay",
                seen=how,
                risk="the cluster bus has no password" if set(ports) & set(need.bus_ports) else "",
            )
    for rule in zone.rules:
        if rule_action(rule) in ("reject", "drop") and _forbids(rule, sources, wanted):
            yield Finding(
                "firewall-denies",
                Severity.SERIOUS,
                need.host,
                f"a rule of zone {zone.name} shuts out a peer or a client",
                "change that rule: firewalld obeys denying rules before allowing ones",
                seen=rule,
            )


def _forbids(rule: str, sources: Sequence[str], wanted: Sequence[int]) -> bool:
    """Whether a denying rule covers all that we let in from some source; one of a later priority does not matter."""
    ports, source = rule_ports(rule), rule_source(rule)
    if rule_priority(rule) > 0 or is_about_something_else(rule) or (ports and not covered_ports([ports], wanted)):
        return False
    if not source:
        return bool(ports) and "source NOT" not in rule
    denied = _network(source)
    if denied is None or "source NOT" in rule:
        return False
    return any(_is_within(network, denied) for network in map(_network, sources) if network is not None)


def _open_to_all(zone: Zone, facts: FirewallFacts) -> Iterator[tuple[str, str]]:
    """Port texts that need no source, each with what opens it."""
    if zone.target == "ACCEPT":
        yield "1-65535/tcp", f"zone {zone.name}: target ACCEPT"
        return
    for port in zone.ports:
        yield port, f"zone {zone.name}: port {port}"
    named = dict(facts.service_ports)
    for service in zone.services:
        for port in named.get(service, ()):
            yield port, f"zone {zone.name}: service {service} ({port})"
    for rule in zone.rules:
        if rule_action(rule) == "accept" and rule_ports(rule) and not rule_source(rule):
            yield rule_ports(rule), f"zone {zone.name}: {rule}"


def _ports(ports: Iterable[int]) -> str:
    ranges = port_ranges(ports)
    return f"port{'' if len(ranges) == 1 and '-' not in ranges[0] else 's'} {', '.join(ranges)}"


def commands_for(plan: FirewallPlan) -> tuple[str, ...]:
    """What root would type on the host for the rules that are to be added there, permanent and running."""
    lines = []
    for rule in plan.add:
        scope = "--permanent " if rule.scope is Scope.PERMANENT else ""
        lines.append(f"firewall-cmd {scope}--zone={rule.zone} --add-rich-rule='{rule.text}'")
    return tuple(lines)
