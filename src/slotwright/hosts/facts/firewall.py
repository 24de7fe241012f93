"""A host's firewall: what it lets in now, what we need of it, and the rules that we add or take back.

firewalld keeps every setting twice: *runtime* (what the kernel does now) and *permanent* (what a reload or a reboot
brings). Neither follows from the other, so both are facts, and a rule of ours is one rule in one of the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slotwright.cluster.findings import Finding


class FirewalldState(StrEnum):
    """RUNNING; STOPPED: it is installed and does not run; ABSENT."""

    RUNNING = "running"
    STOPPED = "stopped"
    ABSENT = "absent"


class OtherFirewall(StrEnum):
    """What filters the incoming traffic of a host where firewalld does not."""

    NONE = "none"
    UFW = "ufw"
    NFTABLES = "nftables"
    IPTABLES = "iptables"


class Scope(StrEnum):
    """Which of firewalld's two configurations."""

    PERMANENT = "permanent"
    RUNTIME = "runtime"


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone in one scope. ``target`` is "default", "ACCEPT", "DROP" or "REJECT"; ``sources`` are networks, MAC
    addresses or ``ipset:NAME``; ``ports`` are texts like ``6379/tcp`` or ``7000-7005/tcp``; ``rules`` are rich rules
    in firewalld's own spelling."""

    name: str
    target: str = "default"
    interfaces: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FirewallFacts:
    """``interface`` holds the host's address ("" when none does); zones that were not asked for are missing.

    ``service_ports`` are the TCP ports that the enabled services stand for. ``other`` counts only where firewalld
    doesn't run.
    """

    state: FirewalldState
    interface: str = ""
    default_zone: str = ""
    runtime: tuple[Zone, ...] = ()
    permanent: tuple[Zone, ...] = ()
    service_ports: tuple[tuple[str, tuple[str, ...]], ...] = ()
    other: OtherFirewall = OtherFirewall.NONE

    def zones(self, scope: Scope) -> tuple[Zone, ...]:
        """The zones of one scope."""
        return self.runtime if scope is Scope.RUNTIME else self.permanent

    def has(self, rule: FirewallRule) -> bool:
        """Whether that very rule is there."""
        return any(zone.name == rule.zone and rule.text in zone.rules for zone in self.zones(rule.scope))


@dataclass(frozen=True, slots=True)
class FirewallNeed:
    """What must get through to one host: ``ports`` from ``peers`` (addresses) and ``clients`` (networks),
    ``bus_ports`` from ``peers`` alone. Nothing: all that is ours goes."""

    host: str
    peers: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    bus_ports: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class FirewallRule:
    """One rich rule in one zone and scope. ``str()`` is its stable form, which a record keeps and ``parse`` reads."""

    zone: str
    scope: Scope
    text: str

    def __str__(self) -> str:
        return f"{self.zone} {self.scope} {self.text}"

    @classmethod
    def parse(cls, line: str) -> FirewallRule:
        """From ``str()``; ValueError for anything else."""
        zone, _, rest = line.partition(" ")
        scope, _, text = rest.partition(" ")
        if not zone or not text.startswith("rule "):
            raise ValueError(f"not a firewall rule: {line!r}")
        return cls(zone, Scope(scope), text)


@dataclass(frozen=True, slots=True)
class FirewallPlan:
    """What changes on one host. ``ours`` are the rules to be remembered as ours once it is done.

    ``claims`` belong in the record *before* it is applied: a rule that was added, or not removed, by a run that was
    then cut would be taken for the administrator's by the next.
    """

    host: str
    add: tuple[FirewallRule, ...] = ()
    remove: tuple[FirewallRule, ...] = ()
    ours: tuple[FirewallRule, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when nothing has to be changed."""
        return not self.add and not self.remove

    @property
    def claims(self) -> tuple[FirewallRule, ...]:
        """What is or was ours as long as the plan is not known to be done."""
        return (*self.ours, *self.remove)
