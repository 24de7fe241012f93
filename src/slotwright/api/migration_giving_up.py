"""migrate --abort: the source takes writes again; what that would lose is counted first, and asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from slotwright.adapters import lock
from slotwright.adapters.migration_store import MigrationStore
from slotwright.api.context import Context
from slotwright.api.migration_ground import Ways, fences
from slotwright.api.migration_known import declined, find_migration, found_source, ways_of
from slotwright.api.source import open_source
from slotwright.errors import OperatorInterruptError, PartialError, RefusedError, SlotwrightError
from slotwright.model.comparison import Comparison, Verdict
from slotwright.model.events import Began, Ended
from slotwright.model.migration import Migration, Phase, Request
from slotwright.operations.brake import Brake
from slotwright.operations.compare import Comparer
from slotwright.operations.roster import Roster
from slotwright.operations.side import Side

AgreeToAbort = Callable[["Giving"], bool]

_ASK_S = 0.2
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Giving:
    """What an abort is about to do. ``target_keys`` are all that the target has now; ``written``: how it differs from
    the source since the cutover, None before it. ``target_trouble``: why the target can't be asked, "" where it can."""

    migration: Migration
    target_keys: int
    written: Comparison | None
    removes_copy: bool
    target_trouble: str = ""

    @property
    def may_lose(self) -> bool:
        """Whether something was written to the target alone, as far as is known."""
        return bool(self.loses or (self.target_trouble and self.migration.phase is Phase.MOVED))

    @property
    def loses(self) -> int:
        """Keys of the target that the source does not have like that."""
        return self.written.count(Verdict.DIFFERENT) if self.written is not None else 0


@dataclass(frozen=True, slots=True)
class Aborted:
    """``was_fenced``: the source had refused writes; ``migration`` is as it was before. ``target_trouble``: why the
    target could not be asked."""

    migration: Migration
    was_fenced: bool
    target_keys: int
    written: Comparison | None
    removed_copy: bool
    target_trouble: str = ""


async def abort_migration(
    context: Context, name: str | None, agree: AgreeToAbort | None = None, *, removes_copy: bool = False
) -> Aborted:
    """Give a migration up: the source takes writes again, as it was. The copy stays in the target, unless
    ``removes_copy``.

    After the cutover both sides are compared first: keys that were written to the target since are not in the source,
    and ``agree`` is told of them. A target that is away keeps nobody from getting the source back. Raises RefusedError
    (declined, target-written, locked).
    """
    store, migration = find_migration(context, name)
    await _end_running(context, store)
    with lock.hold(store.lock_path, "migrate --abort", store.name):
        migration = store.read() or migration
        async with _source_of(context, migration) as (roster, side):
            giving = await _what_is_given_up(context, migration, removes_copy=removes_copy)
            if agree is None and giving.may_lose:
                raise _written(giving)
            if agree is not None and not agree(giving):
                raise _written(giving) if giving.may_lose else declined()
            journal = context.open_journal(store.journal_path)
            journal.write({"phase": "intent", "step": "abort", "was": migration.phase.value})
            text = f"give {migration.source} back"
            context.report(Began("abort", text))
            for fence in fences(roster, side, context.clock):
                before = next((each for each in migration.read_only if each.address == str(fence.address)), None)
                if before is not None:
                    await fence.allow(before)
            if removes_copy:
                await _remove_copy(context, migration)
            store.write(replace(migration, phase=Phase.ABORTED, read_only=()))
            journal.write({"phase": "done", "step": "abort"})
            context.report(Ended("abort", text))
            was_fenced = bool(migration.read_only)
            return Aborted(
                migration, was_fenced, giving.target_keys, giving.written, removes_copy, giving.target_trouble
            )


async def _what_is_given_up(context: Context, migration: Migration, *, removes_copy: bool) -> Giving:
    """A target that is away keeps nobody from getting the source back, but it can't be emptied."""
    try:
        async with ways_of(context, migration) as ways:
            written = await _written_since(ways, migration) if migration.phase is Phase.MOVED else None
            return Giving(migration, sum((await ways.target_side.facts()).keys.values()), written, removes_copy)
    except SlotwrightError as error:
        if removes_copy or isinstance(error, OperatorInterruptError):
            raise
        return Giving(migration, 0, None, removes_copy, error.what)


def _written(giving: Giving) -> RefusedError:
    name = giving.migration.target_name
    what = f"{giving.loses:,} keys of {name} are not in the source as they are there"
    if giving.target_trouble:
        what = f"{name} can't be asked whether something was written to it since the cutover"
    return RefusedError(
        what,
        code="target-written",
        where=name,
        seen=giving.target_trouble,
        left="nothing was changed",
        hint="on a terminal the question names what is lost; without one: --accept lose-writes",
    )


async def _end_running(context: Context, store: MigrationStore) -> None:
    """Ask the process that follows to end, and wait until it has."""
    deadline = context.clock.now() + _STOP_S
    if lock.is_held(store.lock_path):
        store.ask(Request.STOP)
    while lock.is_held(store.lock_path) and context.clock.now() < deadline:
        await context.clock.sleep(_ASK_S)


async def _written_since(ways: Ways, migration: Migration) -> Comparison:
    """The source takes no writes since the cutover: what differs now was written to the target."""
    brake = Brake(ways.context.clock)
    return await Comparer(
        ways.source_side, ways.target_side, migration.databases, ways.context.clock, ways.context.report, brake
    ).every_key()


async def _remove_copy(context: Context, migration: Migration) -> None:
    async with ways_of(context, migration) as ways:
        for address in ways.target_side.servers:
            connection = await ways.target_roster.connection(address)
            await connection.call("FLUSHALL", timeout_s=120)
        left = sum((await ways.target_side.facts()).keys.values())
        if left:
            raise PartialError(
                f"{migration.target_name} still has {left:,} keys after it was emptied: somebody writes to it",
                code="copy-not-removed",
                where=migration.target_name,
                left="the source takes writes again, as before",
                hint="see that no client writes to the target, then run the same command again",
            )


@asynccontextmanager
async def _source_of(context: Context, migration: Migration) -> AsyncIterator[tuple[Roster, Side]]:
    """The source alone."""
    source = found_source(context, migration)
    async with context.fleet(source.topology) as fleet:
        source = await open_source(context, fleet, source)
        dialer = source.dialer(fleet)
        async with Roster(dialer) as roster, Side(source.name, dialer, (source.address,), context.clock) as side:
            yield roster, side
