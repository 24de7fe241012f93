"""What remote hosts lack -> the first waves of a plan: prepare, open exactly the ports, prove that they are open."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from slotwright.model.engine import EngineOnHost, WantedEngine
from slotwright.model.firewall import FirewallPlan, FirewallRule
from slotwright.model.plan import ChangeFirewall, PrepareHost, ProveReach, Step
from slotwright.model.site import Site
from slotwright.wire.firewalld import rule_ports, rule_source


@dataclass(frozen=True, slots=True)
class HostWish:
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


def plan_estate(
    wishes: Sequence[HostWish], ports: tuple[int, ...], *, must_prove: bool
) -> tuple[tuple[Step, ...], ...]:
    """The waves; none when nothing is lacking. ``must_prove``: reach is proved even so."""
    prepare = tuple(PrepareHost(wish.site.host, lacking) for wish in wishes if (lacking := tuple(_lacking(wish))))
    firewall = tuple(_change(wish.firewall) for wish in wishes if not wish.firewall.is_empty)
    # One needs nothing of the other, and both take their time on the host.
    waves: list[tuple[Step, ...]] = [prepare + firewall]
    if len(wishes) > 1 and (must_prove or firewall):
        waves.append((ProveReach(len(wishes), ports),))
    return tuple(wave for wave in waves if wave)


def _lacking(wish: HostWish) -> Iterator[str]:
    site = wish.site
    if wish.is_root and not site.has_user:
        yield "service user"
    if wish.present is None:
        yield wish.wanted.title
    elif site.link != wish.present.folder:
        yield f"link to {wish.present.version.title}"
    if not site.rooms:
        yield "folders"
    if wish.unit and site.unit_digest != hashlib.sha256(wish.unit.encode()).hexdigest():
        yield "unit"
    elif wish.unit and site.enabled != wish.instances:
        yield "start at boot" if wish.instances else "no start at boot"


def _change(plan: FirewallPlan) -> ChangeFirewall:
    what = tuple(_in_words("let in", plan.add)) + tuple(_in_words("no longer", plan.remove))
    return ChangeFirewall(plan.host, what, tuple(map(str, plan.add)), tuple(map(str, plan.remove)))


def _in_words(doing: str, rules: Sequence[FirewallRule]) -> Iterator[str]:
    """``let in 10.0.0.2, 10.0.0.3 on 6379-6380 and 16379-16380``: sources that get the same ports together."""
    ports: dict[str, dict[str, None]] = {}
    for rule in rules:
        ports.setdefault(rule_source(rule.text), {})[rule_ports(rule.text).removesuffix("/tcp")] = None
    sources: dict[tuple[str, ...], list[str]] = {}
    for source, found in ports.items():
        sources.setdefault(tuple(found), []).append(source)
    for theirs, who in sources.items():
        yield f"{doing} {', '.join(who)} on {' and '.join(theirs)}"
