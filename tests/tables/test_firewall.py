"""``planning.firewall`` by cases.

A rule is said as ``SCOPE ZONE SOURCE PORTS``; inside a zone, as ``SOURCE PORTS`` or in full. The host is 10.0.0.1 with
ports 6379 and 6380, its peer 10.0.0.2, its zone ``public`` by eth0, in both scopes, unless the case says otherwise.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from slotwright.hosts.facts.firewall import (
    FirewalldState,
    FirewallFacts,
    FirewallNeed,
    FirewallRule,
    OtherFirewall,
    Scope,
    Zone,
)
from slotwright.hosts.firewall_plan import plan_firewall
from slotwright.hosts.scripts.firewalld import source_rule
from tests.tables.runner import cases

NEED = {"peers": ["10.0.0.2"], "clients": [], "ports": [6379, 6380], "bus_ports": [16379, 16380]}
PUBLIC = {"public": {"interfaces": ["eth0"], "services": ["ssh"]}}


def full(text: str) -> str:
    return text if text.startswith("rule ") else source_rule(*text.split())


def zones(given: dict[str, dict[str, Any]]) -> tuple[Zone, ...]:
    found = []
    for name, said in given.items():
        rules = tuple(full(rule) for rule in said.get("rules", ()))
        fields = {key: tuple(value) for key, value in said.items() if key not in ("rules", "target")}
        found.append(Zone(name, target=said.get("target", "default"), rules=rules, **fields))
    return tuple(found)


def facts_of(given: dict[str, Any]) -> FirewallFacts:
    both = given.get("zones", PUBLIC)
    return FirewallFacts(
        state=FirewalldState(given.get("state", "running")),
        interface=given.get("interface", "eth0"),
        default_zone=given.get("default", "public"),
        runtime=zones(given.get("runtime", both)),
        permanent=zones(given.get("permanent", both)),
        service_ports=(("redis", ("6379/tcp",)), ("ssh", ("22/tcp",))),
        other=OtherFirewall(given.get("other", "none")),
    )


def rule(text: str) -> FirewallRule:
    scope, zone, rest = text.split(" ", 2)
    return FirewallRule(zone, Scope(scope), full(rest))


def said(found: FirewallRule) -> str:
    inside = re.search(r'address="(.+?)" port port="(.+?)"', found.text)
    assert inside
    return f"{found.scope} {found.zone} {inside[1]} {inside[2]}"


@pytest.mark.parametrize(("given", "expect"), cases("firewall"))
def test_firewall(given: dict[str, Any], expect: dict[str, Any]) -> None:
    need = {key: tuple(value) for key, value in (NEED | given.get("need", {})).items()}
    ours = tuple(rule(text) for text in given.get("ours", ()))
    plan = plan_firewall(FirewallNeed("10.0.0.1", **need), facts_of(given), ours)
    findings = [f"{found.code}: {found.seen or found.remedy}" for found in plan.findings]
    told = {"add": [said(found) for found in plan.add], "remove": [said(found) for found in plan.remove]}
    told["findings"] = findings
    if "ours" in expect:
        told["ours"] = [said(found) for found in plan.ours]
    assert {key: value for key, value in told.items() if value} == {
        key: value for key, value in expect.items() if value
    }
