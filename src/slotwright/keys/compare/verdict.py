"""One key on both sides -> what became of it. Pure: what was read, and when, comes in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from slotwright.keys.model.comparison import Aspect, KeyVerdict

NEVER = -1
ABSENT = -2
NONE = "none"

FOOTER = 10
"""DUMP ends with two bytes of the format's version and eight of a checksum (cluster.c, createDumpPayload)."""

_COMMON_TYPES = 22
"""Below this number a type in DUMP means the same to every server. From it on, Redis 7.4 and Valkey 9 each have their
own (rdb.h of both), so that equal bytes of two families prove nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A key as one side has it. ``type`` is "none" where it is not there. ``expires_ms`` is since 1970 by that side's
    clock, -1 for never; it is right within ``slack_ms``. ``now_ms`` was that side's clock when it had answered."""

    type: str
    expires_ms: int
    now_ms: int
    slack_ms: int = 0

    @property
    def is_there(self) -> bool:
        """Whether this side has the key."""
        return self.type != NONE


def compare_presence(source: Reading, target: Reading) -> tuple[KeyVerdict, tuple[Aspect, ...]] | None:
    """The verdict where a side does not have the key; None where both do.

    A key that one side still has is expired where its time has come by the clock of the side that has it no more.
    """
    if source.is_there and target.is_there:
        return None
    if not source.is_there and not target.is_there:
        return KeyVerdict.EXPIRED, ()
    kept, gone = (source, target) if source.is_there else (target, source)
    if kept.expires_ms != NEVER and kept.expires_ms - kept.slack_ms - 1 <= gone.now_ms:
        return KeyVerdict.EXPIRED, ()
    return KeyVerdict.DIFFERENT, (Aspect.MISSING if source.is_there else Aspect.EXTRA,)


def expire_alike(source: Reading, target: Reading) -> bool:
    """Whether both expire at the same time, or never."""
    if source.expires_ms < 0 or target.expires_ms < 0:
        return source.expires_ms == target.expires_ms
    return abs(source.expires_ms - target.expires_ms) <= source.slack_ms + target.slack_ms


def describe_expiry(source: Reading, target: Reading) -> str:
    """When both expire, for people."""
    return f"expires {_when(source.expires_ms)}, {_when(target.expires_ms)} in the target"


def is_same_dump(one: bytes, other: bytes) -> bool:
    """Whether two serialisations prove equal values. That they differ proves nothing: encodings do, by version."""
    if one == other:
        return True
    if len(one) != len(other) or not one or one[0] >= _COMMON_TYPES:
        return False
    return one[:-FOOTER] == other[:-FOOTER]


def _when(expires_ms: int) -> str:
    if expires_ms < 0:
        return "never"
    try:
        at = datetime.fromtimestamp(expires_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return f"at {expires_ms} ms"
    return f"{at:%Y-%m-%d %H:%M:%S}.{expires_ms % 1000:03d}Z"
