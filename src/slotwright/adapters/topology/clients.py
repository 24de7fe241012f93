"""``clients`` and ``via``: who may reach the client ports of remote hosts, and how this machine does."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from slotwright.adapters.topology.schema import Report, RootPart, shown
from slotwright.cluster.topology import Via

_EXAMPLE = "clients: [172.27.204.0/24, 10.1.2.3]"
_ZERO = "the hosts are this machine, and its firewall is left as it is"


def read_clients(raw: Sequence[object] | None, is_local: bool, report: Report) -> tuple[str, ...]:
    """The networks as CIDR in the file's order, a single address as its /32 or /128; problems go to ``report``."""
    results: list[str] = []
    for at, value in enumerate(raw or ()):
        network = _network(value, at, report)
        if network in results:
            report.problem(f"{network} stands twice in clients", "clients", at, hint="remove one")
        elif network:
            results.append(network)
    if is_local and results:
        report.warning(f"clients does nothing here: {_ZERO}", "clients", hint="it is for hosts with ssh; remove it")
    return tuple(results)


def read_via(root: RootPart, is_local: bool, report: Report) -> Via:
    """How the servers are reached; without the key through SSH, as it always works."""
    if root.via is not None and is_local:
        what = "via does nothing here: the hosts are this machine"
        report.warning(what, "via", hint="it is for hosts with ssh; remove it")
    return Via(root.via or Via.SSH)


def _network(value: object, at: int, report: Report) -> str:
    text = value if isinstance(value, str) else ""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        what = f"{shown(value)} is neither a network nor an address"
        report.problem(what, "clients", at, hint=_hint(text))
        return ""
    if "%" in text:
        report.problem(f"{text} is an address of one link only", "clients", at, hint="leave the part from '%' out")
        return ""
    if not _is_exact(text):
        what = f"{text} names an address inside a network, and a length"
        hint = f"{network} for the whole network, {text.partition('/')[0]} for the one address"
        report.problem(what, "clients", at, hint=hint)
        return ""
    if network.prefixlen == 0:
        what = f"clients has {network}: every address that finds a way to the hosts may connect to the client ports"
        report.warning(what, "clients", at, hint="name the networks that your applications are in")
    return str(network)


def _is_exact(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _hint(text: str) -> str:
    is_name = any(character.isalpha() for character in text) and ":" not in text
    return "a firewall knows no names: write its address" if is_name else _EXAMPLE
