"""firewalld's answers -> zones, and needs -> rich rules in firewalld's own spelling.

Three forms of a zone are read: the dictionary of ``getZoneSettings2`` (firewalld >= 0.9), the tuple of
``getZoneSettings`` (all before), both as ``busctl --json=short`` prints them, and the text of
``firewall-cmd --list-all-zones`` for hosts whose busctl has no JSON (systemd < 239).
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from slotwright.hosts.facts.firewall import FirewalldState, FirewallFacts, OtherFirewall, Scope, Zone

_TARGETS = {"%%REJECT%%": "REJECT", "{chain}_{zone}": "default", "": "default"}


def source_rule(source: str, ports: str) -> str:
    """The rich rule that lets TCP ``ports`` (``6379`` or ``6379-6380``) in from ``source``, an address or a network.

    The spelling is that of firewalld's ``str(Rich_Rule)``, so a rule that is there compares equal. Raises ValueError
    when ``source`` is neither.
    """
    network = ipaddress.ip_network(source, strict=False)
    address = str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)
    return f'rule family="ipv{network.version}" source address="{address}" port port="{ports}" protocol="tcp" accept'


def port_ranges(ports: Iterable[int]) -> tuple[str, ...]:
    """Ports, contiguous ones joined: 6379, 6380, 7000 -> ``6379-6380``, ``7000``."""
    runs: list[list[int]] = []
    for port in sorted(set(ports)):
        if runs and runs[-1][1] == port - 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return tuple(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def covered_ports(texts: Iterable[str], ports: Sequence[int]) -> tuple[int, ...]:
    """Which of ``ports`` the texts (``6379/tcp``, ``7000-7005/tcp``) open."""
    spans = [_span(text) for text in texts]
    return tuple(port for port in ports if any(first <= port <= last for first, last in spans))


def rule_ports(rule: str) -> str:
    """The TCP ports a rich rule speaks of as ``7000-7005/tcp``; "" when it names none."""
    match = re.search(r'(?<!-)port port="([\d-]+)" protocol="tcp"', rule)
    return f"{match[1]}/tcp" if match else ""


def rule_source(rule: str) -> str:
    """The source of a rich rule: a network, ``ipset:NAME``, a MAC address, "" for everybody. A negated one
    (``source NOT``) counts as everybody."""
    match = re.search(r'source (address|mac|ipset)="([^"]+)"', rule)
    if not match:
        return ""
    return f"ipset:{match[2]}" if match[1] == "ipset" else match[2]


def rule_action(rule: str) -> str:
    """``accept``, ``reject``, ``drop``, ``mark``, or "" for a rule that only logs."""
    match = re.search(r"\b(accept|reject|drop|mark)\b", _bare(rule))
    return match[1] if match else ""


def rule_priority(rule: str) -> int:
    """What a rich rule says of its place: below 0 first, 0 by default, denying ones before allowing ones."""
    match = re.search(r'^rule priority="(-?\d+)"', rule)
    return int(match[1]) if match else 0


def is_about_something_else(rule: str) -> bool:
    """Whether a rich rule speaks of a service, a protocol or of forwarding, not of ports or of all traffic."""
    return bool(re.search(r" (service|protocol value|icmp-|masquerade|forward-port|source-port)", _bare(rule)))


def _bare(rule: str) -> str:
    return re.sub(r'"[^"]*"', '""', rule)


def parse_facts(text: str) -> FirewallFacts:
    """What the script of ``adapters.firewalld`` printed: lines of a keyword and its value, blocks of zones.

    Raises ValueError when the text is cut or not of that kind.
    """
    values: dict[str, str] = {}
    zones: dict[Scope, list[Zone]] = {scope: [] for scope in Scope}
    services: dict[str, list[str]] = {}
    lines = iter(text.splitlines())
    for line in lines:
        keyword, _, rest = line.partition(" ")
        if keyword == "zone":
            scope, name, data = rest.split(" ", 2)
            zones[Scope(scope)].append(parse_zone(name, data))
        elif keyword == "zones":
            zones[Scope(rest)] = list(parse_zone_list(_block(lines)))
        elif keyword == "service":
            name, _, element = rest.partition(" ")
            services.setdefault(name, []).extend(_service_port(element))
        else:
            values[keyword] = rest
    if "end" not in values:
        raise ValueError("the answer is incomplete")
    return FirewallFacts(
        state=FirewalldState(values["state"]),
        interface=values.get("interface", ""),
        default_zone=values.get("default", ""),
        runtime=tuple(zones[Scope.RUNTIME]),
        permanent=tuple(zones[Scope.PERMANENT]),
        service_ports=tuple((name, tuple(ports)) for name, ports in sorted(services.items())),
        other=OtherFirewall(values.get("other", "none")),
    )


def parse_zone(name: str, data: str) -> Zone:
    """One zone from busctl's JSON, in either form."""
    answer = json.loads(data)
    settings = answer["data"][0]
    fields = _from_tuple(settings) if answer["type"].startswith("(") else _from_dictionary(settings)
    return Zone(
        name=name,
        target=_TARGETS.get(fields["target"], fields["target"]),
        interfaces=tuple(sorted(fields["interfaces"])),
        sources=tuple(sorted(fields["sources"])),
        services=tuple(sorted(fields["services"])),
        ports=tuple(sorted(f"{port}/{protocol}" for port, protocol in fields["ports"])),
        rules=tuple(sorted(fields["rules_str"])),
    )


def parse_zone_list(lines: Iterable[str]) -> Iterator[Zone]:
    """Zones from ``firewall-cmd --list-all-zones``: a name at the margin, keys below it, rich rules by tab."""
    name, fields, rules = "", dict[str, str](), list[str]()
    for line in [*lines, "end"]:
        if line[:1].isalnum():
            if name:
                yield _zone_of_text(name, fields, rules)
            name, fields, rules = line.split()[0], {}, []
        elif line.strip().startswith("rule "):
            rules.append(line.strip())
        elif ":" in line:
            key, _, value = line.strip().partition(":")
            fields[key] = value.strip()


def _zone_of_text(name: str, fields: dict[str, str], rules: list[str]) -> Zone:
    target = fields.get("target", "")
    return Zone(
        name=name,
        target=_TARGETS.get(target, target),
        interfaces=tuple(sorted(fields.get("interfaces", "").split())),
        sources=tuple(sorted(fields.get("sources", "").split())),
        services=tuple(sorted(fields.get("services", "").split())),
        ports=tuple(sorted(fields.get("ports", "").split())),
        rules=tuple(sorted(rules)),
    )


def _from_dictionary(settings: dict[str, Any]) -> dict[str, Any]:
    empty: dict[str, Any] = {"target": "", "interfaces": [], "sources": [], "services": [], "ports": []}
    empty["rules_str"] = []
    return empty | {key: value["data"] for key, value in settings.items() if key in empty}


def _from_tuple(settings: list[Any]) -> dict[str, Any]:
    """Signature (sssbsasa(ss)asba(ssss)asasasasa(ss)b), D-Bus interface 0.4 to 1.x."""
    places = {"target": 4, "services": 5, "ports": 6, "interfaces": 10, "sources": 11, "rules_str": 12}
    return {key: settings[place] for key, place in places.items()}


def _service_port(element: str) -> Iterator[str]:
    port = re.search(r'\bport="([\d-]+)"', element)
    if port and 'protocol="tcp"' in element:
        yield f"{port[1]}/tcp"


def _block(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == ".":
            return
        yield line


def _span(text: str) -> tuple[int, int]:
    ports, _, protocol = text.partition("/")
    first, _, last = ports.partition("-")
    if protocol != "tcp" or not first.isdigit():
        return (1, 0)
    return (int(first), int(last or first))
