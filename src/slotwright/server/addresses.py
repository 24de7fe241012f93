"""Where a server says that somebody is -> an address, or the news that it is none.

Every host name, IP address and port that a server names goes through here: CLUSTER NODES, CLUSTER SLOTS, MOVED and ASK,
``master_host`` of INFO, the names that it announces. What a server announces may be any text: up to 8.2 Redis takes
whatever ``cluster-announce-ip`` is set to (config.c; Valkey 9.1 refuses some characters), and a stranger's server says
what it likes. So what is no IP address and no host name never becomes an :class:`Address`: it is neither dialled nor
written anywhere, and is shown escaped (:func:`escaped`).
"""

from __future__ import annotations

import ipaddress
import re

from slotwright.cluster.topology import Address

UNKNOWN_HOST = "?"
"""What a server says where clients are to be sent to a name and the node has none (cluster.c, getPreferredEndpoint)."""

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_MOST_NAME = 253
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""As the last label it makes a name that C libraries read as an IPv4 address of another spelling (inet_aton)."""
_ZONE = re.compile(r"[A-Za-z0-9_.~-]{1,15}")
"""The name of a network interface: IFNAMSIZ is 16 with its end. The ipaddress module takes any text for a zone."""
_SHOWN = 80
_HIGHEST_PORT = 65535


def is_host_name(text: str) -> bool:
    """RFC 1123, and the underscores of containers' names; with or without the dot at its end."""
    name = text.removesuffix(".")
    if len(name) > _MOST_NAME or not _HOST_NAME.fullmatch(name):
        return False
    return not _NUMBER.fullmatch(name.rpartition(".")[2])


def is_ip(text: str) -> bool:
    """An IPv4 or IPv6 address, the latter with or without a zone (``fe80::1%eth0``)."""
    address, percent, zone = text.partition("%")
    try:
        number = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not percent or (number.version == 6 and _ZONE.fullmatch(zone) is not None)


def is_host(text: str) -> bool:
    """Whether it can be dialled and written down: nothing but letters, digits and ``. : - _ %`` is in it."""
    return is_ip(text) or is_host_name(text)


def parse_host(text: str) -> str:
    """``text`` as it is. Raises ValueError, which shows it escaped, for what is no host."""
    if not is_host(text):
        raise ValueError(f"{escaped(text)} is no IP address and no host name")
    return text


def parse_port(text: str) -> int:
    """0 to 65535, where 0 means none. Raises ValueError."""
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > _HIGHEST_PORT:
        raise ValueError(f"{escaped(text)} is no port")
    return int(text)


def parse_redirect(line: str, asked: Address) -> Address | None:
    """``MOVED 866 10.0.0.1:7002``, or ASK: where it leads; None where that is no address.

    Without a host it is the one that was asked: the node does not know its own, or clients are to stay with theirs
    (``cluster-preferred-endpoint-type unknown-endpoint``).
    """
    fields = line.split(" ")
    if len(fields) != 3:
        return None
    host, _, port = fields[2].rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or asked.host
    try:
        address = Address(parse_host(host), parse_port(port))
    except ValueError:
        return None
    return address if address.port else None


def escaped(text: str) -> str:
    """In quotes, as ASCII, with everything escaped that a terminal or a page would obey; cut where it is long."""
    return ascii(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
