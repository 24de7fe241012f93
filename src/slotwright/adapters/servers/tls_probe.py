"""Whether a port speaks TLS: the first words of a client are sent, and the first byte of the answer tells."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

from slotwright.adapters.servers.resp import Opener
from slotwright.cluster.topology import Address
from slotwright.errors import HostError

_ALERT, _HANDSHAKE = 0x15, 0x16
"""Types of a TLS record (RFC 8446, 5.1): a server that speaks it begins with one of them, whatever it thinks of us."""


def client_hello() -> bytes:
    """What a client says first."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming = ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), incoming).do_handshake()
    return incoming.read()


async def speaks_tls(opener: Opener, address: Address, timeout_s: float = 2.0) -> bool:
    """Never raises: who can't be reached speaks nothing."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await opener(address)
            try:
                writer.write(client_hello())
                await writer.drain()
                first = await reader.read(1)
            finally:
                writer.close()
    except (OSError, TimeoutError, HostError):
        return False
    return bool(first) and first[0] in (_ALERT, _HANDSHAKE)
