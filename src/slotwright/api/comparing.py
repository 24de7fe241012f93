"""compare: the proof that a cluster has every key of another server, both ways. Nothing is written anywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slotwright.api import passwords
from slotwright.api.context import Context
from slotwright.api.source import Source, open_source
from slotwright.api.targets import Target
from slotwright.errors import AuthenticationError
from slotwright.model.comparison import Compared, Comparison
from slotwright.model.migration import DatabaseMap
from slotwright.model.topology import Address
from slotwright.operations.brake import LIMIT_MS, Brake
from slotwright.operations.compare import Comparer, nobody_listens
from slotwright.operations.side import Side
from slotwright.ports import Dialer


@dataclass(frozen=True, slots=True)
class CompareWish:
    """``pace``: keys a second at the most, 0 for no limit. Where a command on the source has to wait longer than
    ``limit_ms`` for its turn, the comparison holds back."""

    databases: DatabaseMap = field(default_factory=DatabaseMap)
    pace: float = 0.0
    limit_ms: float = LIMIT_MS


async def compare(
    context: Context,
    source: Source,
    target: Target,
    wish: CompareWish | None = None,
    on_different: Callable[[Compared], None] = nobody_listens,
) -> Comparison:
    """Every key, both ways; ``on_different`` hears of each one that differs. Raises AuthenticationError,
    NodeUnreachableError, ServerError (slot-unserved, not-permitted, source-moves)."""
    async with open_comparer(context, source, target, wish or CompareWish(), on_different) as comparer:
        return await comparer.every_key()


@asynccontextmanager
async def open_comparer(
    context: Context,
    source: Source,
    target: Target,
    wish: CompareWish,
    on_different: Callable[[Compared], None] = nobody_listens,
) -> AsyncIterator[Comparer]:
    """Both sides, connected until the end of the block."""
    async with context.fleet(source.topology) as here, context.fleet(target.topology) as there:
        opened = await open_source(context, here, source)
        one = Side(source.name, opened.dialer(here), _addresses(source.target) or (source.address,), context.clock)
        other = target_side(context, target, there.login(target.password, ""))
        async with one:
            try:
                await other.__aenter__()
            except AuthenticationError as error:
                if target.record is None:
                    error.hint = f"put the target's password into the variable {passwords.FOREIGN_VARIABLE}"
                raise
            try:
                brake = Brake(context.clock, wish.pace, wish.limit_ms)
                yield Comparer(one, other, wish.databases, context.clock, context.report, brake, on_different)
            finally:
                await other.close()


def target_side(context: Context, target: Target, dialer: Dialer) -> Side:
    """Not connected yet."""
    return Side(target.name, dialer, _addresses(target), context.clock)


def _addresses(target: Target | None) -> tuple[Address, ...]:
    """Where to ask."""
    if target is None:
        return ()
    if target.record is not None:
        return tuple(node.address for node in target.record.blueprint.nodes)
    assert target.seed is not None
    return (target.seed,)
