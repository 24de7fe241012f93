"""What remote hosts lack -> the first waves of a plan: prepare, open exactly the ports, prove that they are open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slotwright.cluster.steps import ChangeFirewall, PrepareHost, ProveReach, Step
from slotwright.hosts.facts.engine import EngineOnHost, WantedEngine
from slotwright.hosts.facts.firewall import FirewallPlan, FirewallRule
from slotwright.hosts.facts.installation import Site
from slotwright.hosts.scripts.firewalld import rule_ports, rule_source


@dataclass(frozen=True, slots=True)
class HostRequirements:
    """What a host should have. ``present`` is the engine where it is there already, ``unit`` the text of the cluster's
    unit ("" on a host without systemd), ``instances`` those that should start at boot."""

    site: Site
    wanted: WantedEngine
    present: EngineOnHost | None
    unit: str
    instances: frozenset[str]
    firewall: FirewallPlan
    is_root: bool

    @property
    def is_ready(self) -> bool:
        """Whether the server can be tried there."""
        return self.present is not None and self.site.link == self.present.folder and self.site.rooms


def plan_host_waves(
    options: Sequence[HostRequirements], ports: tuple[int, ...], *, must_prove: bool
) -> tuple[tuple[Step, ...], ...]:
    """The waves; none when nothing is lacking. ``must_prove``: reach is proved even so."""
    prepare = tuple(
        PrepareHost(options.site.host, lacking) for options in options if (lacking := tuple(_lacking(options)))
    )
    firewall = tuple(_change(options.firewall) for options in options if not options.firewall.is_empty)
    # One needs nothing of the other, and both take their time on the host.
    waves: list[tuple[Step, ...]] = [prepare + firewall]
    if len(options) > 1 and (must_prove or firewall):
        waves.append((ProveReach(len(options), ports),))
    return tuple(wave for wave in waves if wave)


def _lacking(options: HostRequirements) -> Iterator[str]:
    site = options.site
    if options.is_root and not site.has_user:
        yield "service user"
    if options.present is None:
        yield options.wanted.title
    elif site.link != options.present.folder:
        yield f"link to {options.present.version.title}"
    if not site.rooms:
        yield "folders"
    if options.unit and site.unit_digest != hashlib.sha256(options.unit.encode()).hexdigest():
        yield "unit"
    elif options.unit and site.enabled != options.instances:
        yield "start at boot" if options.instances else "no start at boot"


def _change(plan: FirewallPlan) -> ChangeFirewall:
    what = tuple(_describe("let in", plan.add)) + tuple(_describe("no longer", plan.remove))
    return ChangeFirewall(plan.host, what, tuple(map(str, plan.add)), tuple(map(str, plan.remove)))


def _describe(doing: str, rules: Sequence[FirewallRule]) -> Iterator[str]:
    """``let in 10.0.0.2, 10.0.0.3 on 6379-6380 and 16379-16380``: sources that get the same ports together."""
    ports: dict[str, dict[str, None]] = {}
    for rule in rules:
        ports.setdefault(rule_source(rule.text), {})[rule_ports(rule.text).removesuffix("/tcp")] = None
    sources: dict[tuple[str, ...], list[str]] = {}
    for source, values in ports.items():
        sources.setdefault(tuple(values), []).append(source)
    for theirs, who in sources.items():
        yield f"{doing} {', '.join(who)} on {' and '.join(theirs)}"
