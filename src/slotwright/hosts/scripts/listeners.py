"""Listening TCP ports as ``ss -ltnp`` and /proc/net/tcp tell them, one line each -> model."""

from __future__ import annotations

import re

from slotwright.hosts.facts.nodes import PortOwner
from slotwright.hosts.facts.profile import Listener


def listener_from_ss(line: str) -> Listener | None:
    """``LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=812,fd=3))``; ``%eth0`` may follow the address."""
    fields = line.split()
    if len(fields) < 5:
        return None
    address, _, port = fields[3].rpartition(":")
    owner = re.search(r'\(\("((?:[^"]|"(?!,pid=))*)",pid=(\d+)', line)
    if not port.isdigit():
        return None
    whom = PortOwner(int(owner[2]), owner[1]) if owner else None
    return Listener(address.partition("%")[0].strip("[]"), int(port), whom)


def listener_from_proc(line: str) -> Listener | None:
    """``0: 0100007F:18EB 00000000:0000 0A ...``: addresses are words of 32 bits in the order of the machine (ours are
    little-endian)."""
    local = re.match(r"\s*\d+:\s+([0-9A-F]+):([0-9A-F]{4})\s", line)
    if not local or len(local[1]) not in (8, 32):
        return None
    raw = b"".join(bytes.fromhex(local[1][at : at + 8])[::-1] for at in range(0, len(local[1]), 8))
    return Listener(_address(raw), int(local[2], 16))


def _address(raw: bytes) -> str:
    if len(raw) == 4:
        return ".".join(str(byte) for byte in raw)
    if not any(raw):
        return "::"
    return ":".join(f"{raw[at] << 8 | raw[at + 1]:x}" for at in range(0, 16, 2))
