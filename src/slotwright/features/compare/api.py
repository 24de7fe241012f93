"""compare: the proof that a cluster has every key of another server, both ways. Nothing is written anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slotwright.app import passwords
from slotwright.app.context import Context
from slotwright.app.source import MigrationSource, open_source
from slotwright.app.targets import Target
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError
from slotwright.keys.compare.comparer import Comparer, nobody_listens
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import Compared, Comparison
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.throttle.rate_limiter import LIMIT_MS, RateLimiter
from slotwright.ports import Dialer


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """``pace``: keys a second at the most, 0 for no limit. Where a command on the source has to wait longer than
    ``limit_ms`` for its turn, the comparison holds back."""

    databases: DatabaseMap = field(default_factory=DatabaseMap)
    pace: float = 0.0
    limit_ms: float = LIMIT_MS


async def compare(
    context: Context,
    source: MigrationSource,
    target: Target,
    options: CompareOptions | None = None,
    on_different: Callable[[Compared], None] = nobody_listens,
) -> Comparison:
    """Every key, both ways; ``on_different`` hears of each one that differs. Raises AuthenticationError,
    NodeUnreachableError, ServerError (slot-unserved, not-permitted, source-moves)."""
    async with open_comparer(context, source, target, options or CompareOptions(), on_different) as comparer:
        return await comparer.every_key()


@asynccontextmanager
async def open_comparer(
    context: Context,
    source: MigrationSource,
    target: Target,
    options: CompareOptions,
    on_different: Callable[[Compared], None] = nobody_listens,
) -> AsyncIterator[Comparer]:
    """Both sides, connected until the end of the block."""
    async with context.fleet(source.topology) as here, context.fleet(target.topology) as there:
        opened = await open_source(context, here, source)
        one = KeyspaceReader(
            source.name, opened.dialer(here), _addresses(source.target) or (source.address,), context.clock
        )
        other = target_side(context, target, there.login(target.password, ""))
        async with one:
            try:
                await other.__aenter__()
            except AuthenticationError as error:
                if target.record is None:
                    error.hint = f"put the target's password into the variable {passwords.FOREIGN_VARIABLE}"
                raise
            try:
                rate_limiter = RateLimiter(context.clock, options.pace, options.limit_ms)
                yield Comparer(one, other, options.databases, context.clock, context.report, rate_limiter, on_different)
            finally:
                await other.close()


def target_side(context: Context, target: Target, dialer: Dialer) -> KeyspaceReader:
    """Not connected yet."""
    return KeyspaceReader(target.name, dialer, _addresses(target), context.clock)


def _addresses(target: Target | None) -> tuple[Address, ...]:
    """Where to ask."""
    if target is None:
        return ()
    if target.record is not None:
        return tuple(node.address for node in target.record.blueprint.nodes)
    assert target.seed is not None
    return (target.seed,)
