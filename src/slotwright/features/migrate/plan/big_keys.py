"""How long one big key holds a server up: a server does one command at a time, so everybody else waits for it.

Figures of ``bench/big_keys.py``: of Redis 6.2, 7.0, 8.2, Valkey 8.1 and 9.1 the slowest one for each type, on a 2-core
Xeon that had other work as well. So they are upper bounds rather than averages; another machine differs.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.features.migrate.model.plan import Blocking
from slotwright.keys.model.sample import BigKey

BASIS = "estimated from bench/big_keys.py, the slowest of five server versions"

NOTED_S = 0.01
"""What clients would see in their latencies."""
WARNED_S = 0.1


@dataclass(frozen=True, slots=True)
class _Cost:
    """In nanoseconds: an element, and a byte of memory (MEMORY USAGE), at DUMP and at RESTORE."""

    dump_each: float
    dump_byte: float
    restore_each: float
    restore_byte: float


_COSTS = {
    "string": _Cost(0, 0.7, 0, 3.5),
    "list": _Cost(21, 0.57, 12, 0.8),
    "set": _Cost(259, 2.3, 0, 3.7),
    "zset": _Cost(123, 1.3, 697, 6.2),
    "hash": _Cost(513, 1.5, 131, 2.3),
    "stream": _Cost(24, 1.1, 37, 1.6),
}


def blocking_of(key: BigKey) -> Blocking | None:
    """None for a module's type, of which nothing is known."""
    cost = _COSTS.get(key.type)
    if cost is None:
        return None
    elements = key.elements or 0
    return Blocking(
        (elements * cost.dump_each + key.bytes * cost.dump_byte) / 1e9,
        (elements * cost.restore_each + key.bytes * cost.restore_byte) / 1e9,
    )
