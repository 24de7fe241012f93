"""Whether a port speaks TLS: the first words of a client are sent, and the first byte of the answer tells."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

from slotwright.cluster.topology import Address
from slotwright.errors import HostError, NodeUnreachableError

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

Opener = Callable[[Address], Awaitable[Streams]]
"""Another way to an address than straight there; raises OSError as a plain connection would."""

TLS = "tls"
"""The code of an error that a port which speaks TLS is told with."""

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
    except (OSError, TimeoutError, ValueError, HostError):
        return False
    return bool(first) and first[0] in (_ALERT, _HANDSHAKE)


async def told_with_tls(
    opener: Opener | None, error: NodeUnreachableError, address: Address, timeout_s: float
) -> NodeUnreachableError:
    """``error``, or, where what hung up on us speaks TLS, one that says so; waits ``timeout_s``."""
    if not await speaks_tls(opener or _straight, address, timeout_s):
        return error
    where = str(address)
    return NodeUnreachableError(f"{where} speaks TLS, and slotwright does not", code=TLS, where=where, seen=error.seen)


async def _straight(address: Address) -> Streams:
    return await asyncio.open_connection(address.host, address.port)
