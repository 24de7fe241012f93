"""One source's data into the cluster: its snapshot, then each later change, in the order in which they happened.

What always holds:

- Changes of one key reach its primary in order and at the most once: one connection to each primary, nothing is resent.
- A key whose change can't be replayed, or failed, or may have been lost, is *held*: its changes are dropped until its value
  was read from the source together with the offset at which it was read, and written. Changes up to that offset are
  in the value, those after it are applied. So every trouble ends in the same state as none.
- Nobody reads the target before the cutover, so transactions of the source are replayed command by command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from slotwright.errors import ServerError
from slotwright.model.migration import DatabaseMap, Named
from slotwright.model.slots import SlotSet, key_slot
from slotwright.model.topology import Address
from slotwright.operations.migration.guard import Guard
from slotwright.operations.migration.lanes import Lanes
from slotwright.operations.migration.link import ReplicaLink
from slotwright.operations.migration.values import Value, ValueReader
from slotwright.planning.replay import ByValue, FlushAll, Replayer, Send, SendToAll, Stop
from slotwright.ports import Clock
from slotwright.wire.replication import CommandStream

Owners = Callable[[], Awaitable[tuple[tuple[Address, SlotSet], ...]]]
"""The target's primaries with their slots as they are now; waits for a failover to end. Raises ServerError."""

_BATCH = 32
_TRIES = 5
_RETRY_S = 0.02
_SLICE = 64 * 1024


@dataclass(slots=True)
class Progress:
    """What was done so far, for people. Offsets count the source's bytes."""

    keys: int = 0
    bytes: int = 0
    changes: int = 0
    by_value: int = 0
    mended: int = 0
    expected_keys: int = 0
    copied_s: float = 0.0


@dataclass(slots=True)
class _Held:
    """A key that waits for its value: the offset of the last change of it that was dropped, and how often it failed."""

    last_change: int = 0
    tries: int = 0
    seen: str = ""
