"""Hosts whose firewall is not firewalld, or that have none: what to add, in commands to type.

slotwright opens ports on firewalld only. What it can't change it says: peers on client and bus ports, declared clients
on the client ports, nobody else.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.hosts.facts.profile import Firewall, HostProfile, InputChain, ServiceState
from slotwright.hosts.fitness.requirements import Requirements, runs_of

OWN_TABLE = "slotwright"

_KEEP = ". Then keep the same over a reboot (/etc/nftables.conf, or /etc/sysconfig/nftables.conf on RPM systems)"


def firewalls(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """Nothing where firewalld runs: its rules are made by `up`."""
    firewall = profile.firewall
    if not wants.is_remote or not wants.ports_of(profile.host) or firewall.firewalld is ServiceState.ACTIVE:
        return
    if profile.host in wants.reached and _refuses(firewall):
        return
    if firewall.is_ufw_active:
        yield _unknown(profile, "ufw is active", _ufw_lines(profile, wants))
    elif chain := _strict_chain(firewall):
        yield _unknown(
            profile,
            f"nftables: chain {chain.name} of table {chain.family} {chain.table}, policy {chain.policy}, "
            f"{chain.rules} rules",
            _nft_lines(profile, wants, chain),
        )
    elif _iptables_refuses(firewall):
        yield _unknown(profile, f"iptables: {len(firewall.iptables)} lines for INPUT", _iptables_lines(profile, wants))
    elif firewall.is_visible and not _own_chain(firewall):
        yield _none(profile, wants)
    elif not firewall.is_visible:
        yield _invisible(profile, wants)


def _refuses(firewall: Firewall) -> bool:
    return firewall.is_ufw_active or _strict_chain(firewall) is not None or _iptables_refuses(firewall)


def _strict_chain(firewall: Firewall) -> InputChain | None:
    strict = (chain for chain in firewall.chains if chain.can_refuse and chain.table != OWN_TABLE)
    return next(strict, None)


def _own_chain(firewall: Firewall) -> bool:
    """Whether the operator has typed what we told him to type on a host without a firewall."""
    return any(chain.can_refuse and chain.table == OWN_TABLE for chain in firewall.chains)


def _iptables_refuses(firewall: Firewall) -> bool:
    return any(line != "-P INPUT ACCEPT" for line in firewall.iptables)


def _unknown(profile: HostProfile, seen: str, lines: str) -> Finding:
    return Finding(
        "firewall-unknown",
        Severity.WARNING,
        profile.host,
        "a firewall runs here that slotwright does not change",
        f"unless the ports are open already, as root: {lines}",
        seen=seen,
        risk="nodes don't reach each other, and forming the cluster fails",
    )


def _none(profile: HostProfile, wants: Requirements) -> Finding:
    client, bus = _ports(profile, wants)
    is_bus_open = f", and {_spans(bus, '-')} of the cluster bus, which knows no password" if bus else ""
    is_stopped = profile.firewall.firewalld is ServiceState.INSTALLED
    way = (
        "systemctl enable --now firewalld (it closes what else this host offers, but for SSH on port 22); then "
        "`slotwright up` opens exactly the ports of this file"
        if is_stopped
        else _closing_lines(profile, wants)
    )
    return Finding(
        "firewall-none",
        Severity.WARNING,
        profile.host,
        "no firewall runs here: whoever reaches this host reaches the nodes",
        f"unless a firewall stands before this host, as root: {way}",
        seen=("firewalld is installed, but does not run; " if is_stopped else "")
        + "no rule of nftables or iptables refuses anything",
        risk=f"ports {_spans(client, '-')} are open to everybody{is_bus_open}",
    )


def _invisible(profile: HostProfile, wants: Requirements) -> Finding:
    return Finding(
        "firewall-not-visible",
        Severity.NOTE,
        profile.host,
        "whether a firewall stands in the way can't be seen here",
        "none: `up` tests every pair of hosts on both ports before it forms anything"
        if profile.login.is_root
        else "look as root: nft list ruleset (or iptables -S)",
        seen="the rules of nftables and iptables can't be read" + ("" if profile.login.is_root else " without root"),
    )


def _ports(profile: HostProfile, wants: Requirements) -> tuple[tuple[int, ...], tuple[int, ...]]:
    client = wants.ports_of(profile.host)
    offset = wants.bus_ports_offset
    return client, tuple(port + offset for port in client) if offset else ()


def _spans(ports: tuple[int, ...], to: str) -> str:
    """``6379-6380, 6390`` with the word for "to" that the tool at hand wants."""
    return ",".join(str(low) if low == high else f"{low}{to}{high}" for low, high in runs_of(ports))


def _sources(profile: HostProfile, wants: Requirements) -> Iterator[tuple[str, tuple[str, ...], tuple[int, ...]]]:
    """Who may come in, and to which ports: peers, then clients, those of IPv4 and those of IPv6 apart."""
    client, bus = _ports(profile, wants)
    peers = tuple(host for host in wants.hosts if host != profile.host)
    for sources, ports in ((peers, client + bus), (wants.clients, client)):
        for family in ("ip", "ip6"):
            if alike := tuple(source for source in sources if (":" in source) == (family == "ip6")):
                yield family, alike, ports


def _nft_lines(profile: HostProfile, wants: Requirements, chain: InputChain) -> str:
    """Inserted, so that they stand before whatever refuses."""
    where = f"{chain.family} {chain.table} {chain.name}"
    lines = [f"nft insert rule {where} {rule}" for rule in _accepts(profile, wants)]
    return "; ".join(lines) + _KEEP


def _accepts(profile: HostProfile, wants: Requirements) -> list[str]:
    """Rules in nftables' words."""
    return [
        f"{family} saddr '{{ {', '.join(sources)} }}' tcp dport '{{ {_spans(ports, '-')} }}' accept"
        for family, sources, ports in _sources(profile, wants)
    ]


def _iptables_lines(profile: HostProfile, wants: Requirements) -> str:
    lines = [
        f"{family}tables -I INPUT -p tcp -s {','.join(sources)} -m multiport --dports {_spans(ports, ':')} -j ACCEPT"
        for family, sources, ports in _sources(profile, wants)
    ]
    return "; ".join(lines) + ". Then save them as this host does (service iptables save, netfilter-persistent save)"


def _ufw_lines(profile: HostProfile, wants: Requirements) -> str:
    return "; ".join(
        f"ufw allow proto tcp from {source} to any port {_spans(ports, ':')}"
        for _, sources, ports in _sources(profile, wants)
        for source in sources
    )


def _closing_lines(profile: HostProfile, wants: Requirements) -> str:
    """A table of its own that refuses the nodes' ports to strangers and touches nothing else."""
    client, bus = _ports(profile, wants)
    chain = f"inet {OWN_TABLE} input"
    lines = [
        f"nft add table inet {OWN_TABLE}",
        f"nft add chain {chain} '{{ type filter hook input priority 0; policy accept; }}'",
        # A node speaks to itself by the host's own address, which comes in over lo as well.
        f"nft add rule {chain} iif lo accept",
        *(f"nft add rule {chain} {rule}" for rule in _accepts(profile, wants)),
        f"nft add rule {chain} tcp dport '{{ {_spans(client + bus, '-')} }}' drop",
    ]
    return "; ".join(lines) + _KEEP
