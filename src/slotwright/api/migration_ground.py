"""What a migration stands on: both sides opened, one line for each server of the source, everything put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from slotwright.api.context import Context
from slotwright.api.source import Source, open_source
from slotwright.api.targets import Target, open_verifier
from slotwright.errors import InputError, NodeUnreachableError, ServerError
from slotwright.model.comparison import Compared
from slotwright.model.migration import DatabaseMap, Migration
from slotwright.model.slots import key_slot
from slotwright.model.topology import Address
from slotwright.operations.brake import Brake
from slotwright.operations.compare import Comparer
from slotwright.operations.migration.attaching import Line
from slotwright.operations.migration.fence import Fence
from slotwright.operations.migration.guard import Guard
from slotwright.operations.migration.link import ReplicaLink
from slotwright.operations.migration.migrator import Migrator
from slotwright.operations.migration.pump import Ground, Pump
from slotwright.operations.migration.target import TargetCluster, library_codes
from slotwright.operations.migration.values import ValueReader
from slotwright.operations.roster import Roster
from slotwright.operations.side import Side
from slotwright.operations.verify import Verifier
from slotwright.planning.replay import Replayer
from slotwright.planning.replay import Side as ReplaySide
from slotwright.ports import Clock, Dialer, Fleet
from slotwright.wire.command_table import parse_command_table
from slotwright.wire.flavor import has_expire_time, has_functions
from slotwright.wire.placing import Placing
from slotwright.wire.server_time import server_time_us

_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Ways:
    """Both sides, opened: how they are dialled, and what is there."""

    context: Context
    source: Source
    target: Target
    source_fleet: Fleet
    target_fleet: Fleet
    source_side: Side
    target_side: Side
    source_roster: Roster
    probe_roster: Roster
    target_roster: Roster
    verifier: Verifier

    @property
    def source_dialer(self) -> Dialer:
        """With the source's login."""
        return self.source.dialer(self.source_fleet)


@asynccontextmanager
async def open_ways(context: Context, source: Source, target: Target) -> AsyncIterator[Ways]:
    """Connect to both. Raises what dialling raises, and InputError (same-server) where they are one."""
    async with AsyncExitStack() as stack:
        source_fleet = await stack.enter_async_context(context.fleet(source.topology))
        source = await open_source(context, source_fleet, source)
        target_fleet = await stack.enter_async_context(context.fleet(target.topology))
        source_dialer = source.dialer(source_fleet)
        target_dialer = target_fleet.login(target.password, "")
        target_roster = await stack.enter_async_context(Roster(target_dialer))
        verifier = await open_verifier(context, target, target_fleet, target_roster)
        source_side = Side(source.name, source_dialer, (source.address,), context.clock)
        target_side = Side(target.name, target_dialer, verifier.addresses, context.clock)
        await stack.enter_async_context(source_side)
        await stack.enter_async_context(target_side)
        if not target_side.is_cluster:
            raise InputError(
                f"{target.name} is no cluster: a migration goes into one",
                code="target-no-cluster",
                where=target.name,
                hint="slotwright up makes one; slotwright compare compares any two servers",
            )
        if {*source_side.servers} & {*target_side.servers}:
            raise InputError(f"{source.name} and {target.name} are the same servers", code="same-server")
        source_roster = await stack.enter_async_context(Roster(source_dialer))
        # What measures waits must not wait for our own work.
        probe_roster = await stack.enter_async_context(Roster(source_dialer))
        yield Ways(
            context,
            source,
            target,
            source_fleet,
            target_fleet,
            source_side,
            target_side,
            source_roster,
            probe_roster,
            target_roster,
            verifier,
        )


async def build_migrator(ways: Ways, migration: Migration) -> Migrator:
    """Everything for one run of ``migration``, from where it is."""
    context = ways.context
    cluster = TargetCluster(ways.verifier, ways.target_side.version, context.clock, context.report)
    await cluster.look()
    target = await _replay_side(ways.target_roster, cluster.owners[0][0], ways.target_side)
    lines = [await _line(ways, migration, cluster, address, target) for address in ways.source_side.servers]
    by_address = {line.address: line for line in lines}
    owners = [by_address[owner] if owner is not None else lines[0] for owner in ways.source_side.owners]

    def make_prover(tell: Callable[[Compared], None]) -> Comparer:
        brake = Brake(context.clock, limit_ms=migration.limits.latency_ms)
        return Comparer(
            ways.source_side, ways.target_side, migration.databases, context.clock, context.report, brake, tell
        )

    async def sync_functions() -> int:
        is_exact = any(line.pump.has_new_functions for line in lines)
        return await _take_functions(ways, cluster, is_exact=is_exact)

    return Migrator(
        lines,
        lambda named: owners[key_slot(named[1])],
        make_prover,
        cluster.count,
        sync_functions,
        ways.source_roster,
        context.clock,
        context.report,
        before=migration.read_only,
    )


def fences(roster: Roster, source: Side, clock: Clock) -> list[Fence]:
    """One for each server of the source."""
    return [Fence(roster, address, source.version, clock) for address in source.servers]


async def _line(ways: Ways, migration: Migration, cluster: TargetCluster, address: Address, target: ReplaySide) -> Line:
    context, version = ways.context, ways.source_side.version
    source = await _replay_side(ways.source_roster, address, ways.source_side)
    databases: DatabaseMap = migration.databases
    ground = Ground(
        ReplicaLink(ways.source_fleet.streams(ways.source.password, ways.source.username), address, version),
        ways.target_fleet.streams(ways.target.password, ""),
        cluster.look,
        cluster.glance,
        ValueReader(ways.source_roster, address, has_expire_time=has_expire_time(version)),
        Guard(ways.probe_roster, address, context.clock, migration.limits),
        context.clock,
        databases,
        Placing(ways.target_side.version),
        lambda database: Replayer(source, target, databases, database),
        await _skew_ms(ways, address),
    )
    position = next((each for each in migration.positions if each.address == str(address)), None)
    keys = position.keys if position is not None else 0
    return Line(Pump(ground), Fence(ways.source_roster, address, version, context.clock), position, keys)


async def _replay_side(roster: Roster, address: Address, side: Side) -> ReplaySide:
    connection = await roster.connection(address)
    return ReplaySide(side.version, parse_command_table(await connection.call("COMMAND")))


async def _skew_ms(ways: Ways, address: Address) -> int:
    """The source's clock minus ours."""
    connection = await ways.source_roster.connection(address)
    before = ways.context.clock.wall()
    said = await connection.call("TIME")
    theirs_us = server_time_us(said)
    if theirs_us is None:
        raise ServerError(f"{address} does not tell its time", code="refused-reply", where=str(address))
    return int(theirs_us / 1000 - (before + ways.context.clock.wall()) / 2 * 1000)


async def _take_functions(ways: Ways, cluster: TargetCluster, *, is_exact: bool) -> int:
    """Functions are not keys: no slot owns them, and a change of one is not in the comparison."""
    if not has_functions(ways.source_side.version):
        return 0
    address = ways.source_side.servers[0]
    while True:
        try:
            connection = await ways.source_roster.connection(address)
            libraries = library_codes(await connection.call("FUNCTION", "LIST", "WITHCODE"))
            payload = await connection.call("FUNCTION", "DUMP")
            break
        except NodeUnreachableError:
            # Whoever follows it gives up in the end.
            await ways.source_roster.drop(address)
            await ways.context.clock.sleep(_RETRY_S)
    return await cluster.take_functions(libraries, payload if isinstance(payload, bytes) else None, is_exact=is_exact)
