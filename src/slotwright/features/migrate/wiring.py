"""What a migration stands on: both sides opened, one line for each server of the source, everything put together."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from slotwright.app.context import Context
from slotwright.app.source import MigrationSource, open_source
from slotwright.app.targets import Target, open_verifier
from slotwright.cluster.slots import key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import InputError, NodeUnreachableError, ServerError
from slotwright.features.migrate.model.migration import Migration
from slotwright.features.migrate.own_calls import OwnCalls
from slotwright.features.migrate.replay.replayer import Replayer, ServerCommands
from slotwright.features.migrate.run.attach import SourceStream
from slotwright.features.migrate.run.expiry_pause import ExpiryPause, Keep
from slotwright.features.migrate.run.fence import Fence
from slotwright.features.migrate.run.latency_guard import LatencyGuard
from slotwright.features.migrate.run.migrator import Migrator
from slotwright.features.migrate.run.replica_client import ReplicaClient
from slotwright.features.migrate.run.replicator import Replicator, ReplicatorContext
from slotwright.features.migrate.run.target import TargetCluster, library_codes
from slotwright.features.migrate.run.values import ValueReader
from slotwright.features.migrate.survey.source_info import calls
from slotwright.keys.compare.comparer import Comparer
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import Compared
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.verify import Verifier
from slotwright.ports import Clock, Dialer, Fleet, ReplyError
from slotwright.server.capabilities import Capability
from slotwright.server.commands.parse import parse_command_table
from slotwright.server.info import parse_info
from slotwright.server.rdb.restore import Placing
from slotwright.server.server_time import server_time_us

_RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class MigrationEndpoints:
    """Both sides, opened: how they are dialled, and what is there."""

    context: Context
    source: MigrationSource
    target: Target
    source_fleet: Fleet
    target_fleet: Fleet
    source_side: KeyspaceReader
    target_side: KeyspaceReader
    own_calls: OwnCalls
    source_pool: ConnectionPool
    probe_roster: ConnectionPool
    target_pool: ConnectionPool
    verifier: Verifier

    @property
    def source_dialer(self) -> Dialer:
        """With the source's login; what is called is counted as ours."""
        return self.own_calls.dialer(self.source.dialer(self.source_fleet))

    @property
    def target_dialer(self) -> Dialer:
        """With the target's login."""
        return self.target_fleet.login(self.target.password, "")


@asynccontextmanager
async def open_ways(context: Context, source: MigrationSource, target: Target) -> AsyncIterator[MigrationEndpoints]:
    """Connect to both. Raises what dialling raises, and InputError (same-server) where they are one."""
    async with AsyncExitStack() as stack:
        source_fleet = await stack.enter_async_context(context.fleet(source.topology))
        source = await open_source(context, source_fleet, source)
        target_fleet = await stack.enter_async_context(context.fleet(target.topology))
        own_calls = OwnCalls(context.state_root / "sources")
        stack.callback(own_calls.keep)
        source_dialer = own_calls.dialer(source.dialer(source_fleet))
        target_dialer = target_fleet.login(target.password, "")
        target_pool = await stack.enter_async_context(ConnectionPool(target_dialer))
        verifier = await open_verifier(context, target, target_fleet, target_pool)
        source_side = KeyspaceReader(source.name, source_dialer, (source.address,), context.clock)
        target_side = KeyspaceReader(target.name, target_dialer, verifier.addresses, context.clock)
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
        source_pool = await stack.enter_async_context(ConnectionPool(source_dialer))
        for address in source_side.servers:
            await _look_at_calls(own_calls, source_pool, address)
        # What measures waits must not wait for our own work.
        probe_roster = await stack.enter_async_context(ConnectionPool(source_dialer))
        yield MigrationEndpoints(
            context,
            source,
            target,
            source_fleet,
            target_fleet,
            source_side,
            target_side,
            own_calls,
            source_pool,
            probe_roster,
            target_pool,
            verifier,
        )


async def _look_at_calls(own_calls: OwnCalls, pool: ConnectionPool, address: Address) -> None:
    """Who does not let us ask is told of when more is asked."""
    with contextlib.suppress(ServerError, ReplyError):
        connection = await pool.connection(address)
        replies = await connection.pipeline([("INFO", "server"), ("INFO", "commandstats")])
        texts = [reply.decode(errors="replace") if isinstance(reply, bytes) else "" for reply in replies]
        run_id = parse_info(texts[0]).get("run_id", "")
        if run_id:
            own_calls.look(address, run_id, calls(parse_info(texts[1])))


def expiry_pause(ways: MigrationEndpoints, migration: Migration, keep: Keep) -> ExpiryPause:
    """That of its target, as an earlier run left it. ``keep`` notes durably what is changed there."""
    context = ways.context
    cluster = TargetCluster(ways.verifier, ways.target_side.capabilities, context.clock, context.report)
    return ExpiryPause(cluster, ways.target_dialer, keep, migration.paused_expiry)


async def build_migrator(ways: MigrationEndpoints, migration: Migration, keep: Keep) -> Migrator:
    """Everything for one run of ``migration``, from where it is. ``keep``: see :func:`expiry_pause`."""
    context = ways.context
    expiry = expiry_pause(ways, migration, keep)
    cluster = expiry.cluster
    await cluster.look()
    target = await _server_commands(ways.target_pool, cluster.owners[0][0], ways.target_side)
    lines = [await _line(ways, migration, expiry, address, target) for address in ways.source_side.servers]
    by_address = {line.address: line for line in lines}
    owners = [by_address[owner] if owner is not None else lines[0] for owner in ways.source_side.owners]

    def make_prover(tell: Callable[[Compared], None]) -> Comparer:
        rate_limiter = RateLimiter(context.clock, limit_ms=migration.limits.latency_ms)
        return Comparer(
            ways.source_side, ways.target_side, migration.databases, context.clock, context.report, rate_limiter, tell
        )

    async def sync_functions() -> int:
        is_exact = any(line.replicator.has_new_functions for line in lines)
        return await _take_functions(ways, cluster, is_exact=is_exact)

    return Migrator(
        lines,
        lambda named: owners[key_slot(named[1])],
        make_prover,
        cluster.count,
        sync_functions,
        expiry,
        ways.source_pool,
        context.clock,
        context.report,
        before=migration.read_only,
    )


def make_fence(pool: ConnectionPool, source: KeyspaceReader, clock: Clock, address: Address) -> Fence:
    """That of one server of the source."""
    return Fence(pool, address, source.capabilities, clock)


async def _line(
    ways: MigrationEndpoints, migration: Migration, expiry: ExpiryPause, address: Address, target: ServerCommands
) -> SourceStream:
    context, capabilities = ways.context, ways.source_side.capabilities
    source = await _server_commands(ways.source_pool, address, ways.source_side)
    databases: DatabaseMap = migration.databases
    ground = ReplicatorContext(
        ReplicaClient(
            ways.source_fleet.streams(ways.source.password, ways.source.username), address, capabilities.version
        ),
        ways.target_fleet.streams(ways.target.password, ""),
        expiry.cluster.look,
        expiry.cluster.glance,
        ValueReader(ways.source_pool, address, has_expire_time=capabilities.has(Capability.EXPIRE_TIME)),
        LatencyGuard(ways.probe_roster, address, context.clock, migration.limits),
        context.clock,
        databases,
        Placing(ways.target_side.version),
        lambda database: Replayer(source, target, databases, database),
        expiry,
        await _skew_ms(ways, address),
    )
    position = next((candidate for candidate in migration.positions if candidate.address == str(address)), None)
    keys = position.keys if position is not None else 0
    return SourceStream(
        Replicator(ground), Fence(ways.source_pool, address, capabilities, context.clock), position, keys
    )


async def _server_commands(pool: ConnectionPool, address: Address, side: KeyspaceReader) -> ServerCommands:
    connection = await pool.connection(address)
    table = await connection.call("COMMAND")
    with reading(address, "COMMAND"):
        return ServerCommands(side.capabilities, parse_command_table(table))


async def _skew_ms(ways: MigrationEndpoints, address: Address) -> int:
    """The source's clock minus ours."""
    connection = await ways.source_pool.connection(address)
    before = ways.context.clock.wall()
    result = await connection.call("TIME")
    theirs_us = server_time_us(result)
    if theirs_us is None:
        raise ServerError(f"{address} does not tell its time", code="refused-reply", where=str(address))
    return int(theirs_us / 1000 - (before + ways.context.clock.wall()) / 2 * 1000)


async def _take_functions(ways: MigrationEndpoints, cluster: TargetCluster, *, is_exact: bool) -> int:
    """Functions are not keys: no slot owns them, and a change of one is not in the comparison."""
    if not ways.source_side.capabilities.may_have(Capability.FUNCTIONS):
        return 0
    address = ways.source_side.servers[0]
    while True:
        try:
            connection = await ways.source_pool.connection(address)
            libraries = library_codes(await connection.call("FUNCTION", "LIST", "WITHCODE"))
            payload = await connection.call("FUNCTION", "DUMP")
            break
        except NodeUnreachableError:
            # Whoever follows it gives up in the end.
            await ways.source_pool.drop(address)
            await ways.context.clock.sleep(_RETRY_S)
    return await cluster.take_functions(libraries, payload if isinstance(payload, bytes) else None, is_exact=is_exact)
