"""TIME -> microseconds since 1970, by the server's own clock: the moment at which it was executed."""

from __future__ import annotations

from slotwright.server.integers import parse_integer


def server_time_us(reply: object) -> int | None:
    """None for what is no answer to TIME (two texts: seconds, and microseconds within the second)."""
    if not isinstance(reply, list) or len(reply) != 2:
        return None
    seconds, micros = reply
    if not isinstance(seconds, bytes) or not isinstance(micros, bytes):
        return None
    try:
        return parse_integer(seconds.decode()) * 1_000_000 + parse_integer(micros.decode())
    except ValueError:
        return None
