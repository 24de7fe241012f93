"""What may stand for a host: an IP address or a host name, in one spelling each."""

from __future__ import annotations

import ipaddress
import re

from slotwright.server.addresses import is_host_name


class AddressError(ValueError):
    """A text that is no address of one host: ``what`` is wrong and a ``hint``."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):\d+")


def canonical_host(text: str) -> str:
    """An IP address in its usual spelling or a host name in lower case; else :class:`AddressError`."""
    if _WITH_PORT.fullmatch(text):
        raise AddressError(f"a host is an address without a port, not {text!r}", "ports go under `ports`")
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return _host_name(text)
    if address.is_unspecified or address.is_multicast or "%" in text:
        raise AddressError(f"{text} is not the address of one host", "name the address that others reach it by")
    return str(address)


def _host_name(text: str) -> str:
    if not is_host_name(text) or text.endswith("."):
        hint = "write it without brackets" if text.startswith("[") else "for example 127.0.1.1, ::1 or db1.example.org"
        raise AddressError(f"{text!r} is neither an IP address nor a host name", hint)
    return text.lower()
