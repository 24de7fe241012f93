"""When keys expire, as each side of a comparison tells it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from slotwright.keys.compare.verdict import ABSENT, NONE, Reading
from slotwright.keys.key_side import Answers, KeySide
from slotwright.server.capabilities import Capability
from slotwright.server.resp_out import for_each_key

TOLERANCE_MS = 5
"""Without PEXPIRETIME (before Redis 7.0) an expiry is the time left and the server's clock, read before and after: it
is known as well as these two are near."""

TIME_LEFT_TOLERANCE_MS = 2000
"""Two reads of one time left are never at the same instant, and a big value is on its way for a while."""


class ExpiryRule(Enum):
    """What has to be the same on both sides."""

    INSTANT = auto()
    """The moment at which a key expires: what replication and files carry."""
    TIME_LEFT = auto()
    """How long a key still lives: what MIGRATE carries (cluster.c, migrateCommand). The target counts on from there by
    its own clock, so the moments of two copies differ by the clocks of two hosts."""


def is_exact(side: KeySide, rule: ExpiryRule) -> bool:
    """Whether the side says the moment itself."""
    return rule is ExpiryRule.INSTANT and side.capabilities.has(Capability.EXPIRE_TIME)


def expiry_column(side: KeySide, keys: Sequence[bytes], rule: ExpiryRule) -> list[bytes]:
    """A command for each key."""
    return for_each_key(keys, "PEXPIRETIME" if is_exact(side, rule) else "PTTL")


def as_expiries(side: KeySide, answers: Answers, column: int, rule: ExpiryRule) -> list[Reading]:
    """Readings without a type. By time left, ``now_ms`` is 0; else, without PEXPIRETIME, the time left is added to the
    server's clock, which was read before and after."""
    values, says_moments = answers.columns[column], is_exact(side, rule)
    readings: list[Reading | None] = [None] * len(values)
    for stretch in answers.stretches:
        began, ended = stretch.began_ms, stretch.ended_ms
        slack = 0 if says_moments else ended - began + 1
        if rule is ExpiryRule.TIME_LEFT:
            began, ended, slack = 0, 0, slack + TIME_LEFT_TOLERANCE_MS // 2
        for at in stretch.indices:
            value = values[at]
            left = value if isinstance(value, int) else ABSENT
            expires = left if says_moments or left < 0 else began + left
            readings[at] = Reading(NONE, expires, ended, slack)
    return [reading if reading is not None else Reading(NONE, ABSENT, 0) for reading in readings]
