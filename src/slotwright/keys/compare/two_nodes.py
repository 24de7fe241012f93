"""Whether two nodes hold the same key with the same value: what a cut move left, or keys where they don't belong.

The same comparison as of two whole keyspaces: equal serialisations prove equality, unequal ones prove nothing, and big
values are compared in pieces. Copies are made by MIGRATE, so expiries are compared by the time left.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.keys.compare.expiries import ExpiryRule
from slotwright.keys.compare.key_pair import Batch, KeyPair
from slotwright.keys.model.comparison import Aspect, KeyVerdict
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.node_keys import NodeSide
from slotwright.keys.throttle.rate_limiter import RateLimiter

_AT_ONCE = 200


async def equal_on_both(
    one: NodeSide, other: NodeSide, keys: Sequence[bytes], rate_limiter: RateLimiter, *, database: int = 0
) -> dict[bytes, bool]:
    """Those of ``keys`` that both have: whether type, content and time to live are the same.

    A module's value counts as equal only when its serialisation is. Raises ServerError.
    """
    names = DatabaseMap()
    pair = KeyPair(one, other, names, rate_limiter, ExpiryRule.TIME_LEFT)
    values: dict[bytes, bool] = {}
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        for key, compared in zip(part, await pair.closely(Batch.of(names, database, part)), strict=True):
            if compared.verdict is KeyVerdict.EXPIRED or {Aspect.MISSING, Aspect.EXTRA} & {*compared.aspects}:
                continue
            values[key] = compared.verdict is KeyVerdict.EQUAL
    return values
