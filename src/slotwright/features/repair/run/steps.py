"""Do one step of a repair, and read back that it was done.

Every action can be done again: what is already as it should be is no failure. An answer of OK counts for nothing here;
each action waits, for a bounded time, until the nodes or the hosts themselves say what it was meant to bring about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from slotwright.cluster.events import Moved, Report
from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.failover.plan import FailoverStep
from slotwright.features.failover.run import FailoverSteps, refuse_over_the_living
from slotwright.features.repair.model import (
    Action,
    Announce,
    Await,
    BumpEpoch,
    CutAppendLog,
    EndNode,
    Follow,
    Forget,
    Meet,
    Promote,
    SetDataAside,
    SetPassword,
    StartServer,
    Thaw,
    Way,
    WriteMap,
)
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.keys.move_slots import SlotMover
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.fork_budget import ForkBudget
from slotwright.ops.node_steps import how_it_died
from slotwright.ports import Clock, Fleet, Host, LoginDialer, ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.info import info_number, parse_info

_POLL_S = 0.05
_START_S = 30.0
_END_S = 60.0
_MEMBER_S = 15.0
_SYNC_S = 60.0
_COPY_POLL_S = 0.1
_LOG_BYTES = 256 * 1024

FilesOf = Callable[[Address, str | None], NodeFiles]
"""The files of the node at an address, with this map (None: without one)."""


@dataclass(frozen=True, slots=True)
class RepairActions:
    """What doing a step needs. ``record`` and ``files_of`` are None where processes and files are not ours to touch.

    ``former`` is a way in with the password that the cluster had before. A setting is kept by writing the node's own
    configuration anew, or, where its files are not ours, by the server (CONFIG REWRITE).
    """

    fleet: Fleet
    pool: ConnectionPool
    clock: Clock
    report: Report
    addresses: tuple[Address, ...]
    mover: SlotMover
    record: ClusterRecord | None = None
    files_of: FilesOf | None = None
    password: Secret | None = field(default=None, repr=False)
    former: LoginDialer | None = None
    former_password: Secret | None = field(default=None, repr=False)
    budget: ForkBudget | None = None

    async def act(self, action: Action, task: str = "") -> str:
        """Do it, with its progress under ``task``; what came of it in few words, "" for nothing to add.

        Raises ServerError, HostError.
        """
        match action:
            case Thaw(address):
                await self._thaw(address)
            case EndNode(address, saves):
                await self._end(address, saves=saves)
            case WriteMap(address, text, is_new):
                await self._write_map(address, text, is_new=is_new)
            case SetDataAside(address):
                return await self._at(address).set_data_aside(self._directory(address), self._cluster_id)
            case CutAppendLog(address):
                return await self._at(address).cut_append_log(
                    self._directory(address), self._cluster_id, self._own.binary
                )
            case StartServer(address):
                await self._start(address)
            case Await():
                raise AssertionError("waiting is the repairer's matter")
            case SetPassword(address, is_own):
                await self._set_password(address, task, is_own=is_own)
            case Announce():
                await self._announce(action)
            case Meet():
                await self._meet(action)
            case Forget(node_id, on):
                await self._forget(node_id, on)
            case Promote():
                return await self._promote(action)
            case Follow(address, primary_id):
                await self._follow(address, primary_id, task)
            case BumpEpoch(address):
                await self._call(address, "CLUSTER", "BUMPEPOCH")
            case SettleSlots():
                settled = await self.mover.settle(action, task)
                return f"{settled.moved} keys brought, {settled.dropped} copies dropped"
            case _:
                assert_never(action)
        return ""

    @property
    def _own(self) -> ClusterRecord:
        assert self.record is not None
        return self.record

    @property
    def _cluster_id(self) -> str:
        return self._own.blueprint.cluster_id

    def _at(self, address: Address) -> Host:
        return self.fleet.at(address.host)

    def _directory(self, address: Address) -> str:
        return self._own.node_directory(address)

    async def _process(self, address: Address) -> ProcessId | None:
        return await self._at(address).find(self._directory(address), self._cluster_id)

    async def _thaw(self, address: Address) -> None:
        process = await self._process(address)
        if process is not None:
            await self._at(address).thaw(process, self._directory(address))
            await self._until(lambda: self._answers(address), _MEMBER_S, f"{address} was woken up and does not answer")

    async def _end(self, address: Address, *, saves: bool) -> None:
        process = await self._process(address)
        if process is None:
            return
        if saves:
            await self._shut_down(address)
        else:
            await self._at(address).kill(process, self._directory(address))
        deadline = self.clock.now() + _END_S
        while await self._at(address).is_running(process):
            if self.clock.now() > deadline:
                raise ServerError(f"{address} does not end", code="not-stopped", where=str(address))
            await self.clock.sleep(0.01)
        await self.pool.drop(address)

    async def _shut_down(self, address: Address) -> None:
        """It answers only when it refuses; when it obeys, the connection ends."""
        try:
            await self._call(address, "SHUTDOWN", "SAVE", timeout_s=_END_S)
        except NodeUnreachableError as error:
            await self.pool.drop(address)
            if error.code != "closed":
                raise

    async def _write_map(self, address: Address, text: str, *, is_new: bool) -> None:
        assert self.files_of is not None
        if is_new:
            await self._at(address).create(self.files_of(address, text))
        await self._at(address).write_map(self._directory(address), self._cluster_id, text)

    async def _start(self, address: Address) -> None:
        assert self.files_of is not None
        host = self._at(address)
        process = await self._process(address)
        if process is None:
            await host.rewrite_conf(self.files_of(address, None))
            process = await host.start(Launch(address, self._directory(address), self._own.binary))
        await self.pool.drop(address)
        deadline = self.clock.now() + _START_S
        while True:
            try:
                await self.pool.connection(address)
                return
            except NodeUnreachableError as error:
                if not await host.is_running(process):
                    raise await self._died(address) from error
                if error.code == "loading":
                    return
                if self.clock.now() > deadline:
                    raise
            await self.clock.sleep(0.01)

    async def _died(self, address: Address) -> ServerError:
        host, directory = self._at(address), self._directory(address)
        await host.give_up(directory)
        return how_it_died(address, await host.log_tail(directory, _LOG_BYTES))

    async def _set_password(self, address: Address, task: str, *, is_own: bool) -> None:
        """The way in last: cut before it, the next run finds the node as it was."""
        password = self.password.reveal() if self.password else ""
        names = ("masterauth", "requirepass") if is_own else ("masterauth",)
        if is_own and self.former is not None:
            connection = await self.former(self.former_password, "").dial(address)
        else:
            connection = await self.pool.connection(address)
        try:
            for name in names:
                await connection.call("CONFIG", "SET", name, password)
            if self.files_of is not None:
                await self._at(address).rewrite_conf(self.files_of(address, None))
            else:
                await connection.call("CONFIG", "REWRITE")
        except ReplyError as error:
            # What a server says of a value may repeat the value.
            raise _refused(address, "a password", ReplyError(f"{error.code} in answer to CONFIG SET")) from None
        finally:
            if is_own:
                await connection.close()
                await self.pool.drop(address)
        if not is_own:
            await self._await_link(address, f"{address} has the password, and its link stays down", task)

    async def _announce(self, step: Announce) -> None:
        """The others hear of it with its next ping (cluster.c, nodeUpdateAddressIfNeeded)."""
        address = step.address
        connection = await self.pool.connection(address)
        try:
            for name, value in step.values:
                await connection.call("CONFIG", "SET", name, value)
            if self.files_of is not None:
                await self._at(address).rewrite_conf(self.files_of(address, None))
            else:
                await connection.call("CONFIG", "REWRITE")
        except ReplyError as error:
            raise _refused(address, "what it announces", error) from error

        async def is_found() -> bool:
            others = [other for other in self.addresses if other != address]
            lines = await asyncio.gather(*(self._line_of(other, step.node_id) for other in (address, *others)))
            found = [line for line in lines if line is not None]
            return bool(found) and all(line.address == address for line in found)

        await self._until(is_found, _MEMBER_S, f"{address} announces itself, and the others do not know it there yet")

    async def _line_of(self, via: Address, node_id: str) -> PeerView | None:
        """None, too, where the node that is asked does not answer."""
        try:
            return await self._line(via, node_id)
        except ServerError:
            return None

    async def _meet(self, step: Meet) -> None:
        """The server updates the address of a node that it knows by id (cluster.c, clusterProcessPacket).

        It takes port + 10000 for the bus unless it is told.
        """
        via, node_id, address = step.via, step.node_id, step.address
        is_usual = step.bus_port in (None, address.bus_port)
        bus = () if is_usual or step.bus_port is None else (step.bus_port,)
        await self._call(via, "CLUSTER", "MEET", address.host, address.port, *bus)

        async def is_met() -> bool:
            line = await self._line(via, node_id)
            return line is not None and line.address == address and line.is_connected

        await self._until(
            is_met, _MEMBER_S, f"{via} was told that {node_id[:8]} is at {address}, and does not reach it"
        )

    async def _forget(self, node_id: str, on: tuple[Address, ...]) -> None:
        """Everywhere at once: within a minute gossip can't bring it back (cluster.c, CLUSTER_BLACKLIST_TTL)."""
        await asyncio.gather(*(self._forget_on(node_id, address) for address in on))

        async def is_forgotten() -> bool:
            lines = await asyncio.gather(*(self._line(address, node_id) for address in on))
            return not any(lines)

        await self._until(is_forgotten, _MEMBER_S, f"{node_id[:8]} is known again after it was forgotten")

    async def _forget_on(self, node_id: str, address: Address) -> None:
        connection = await self.pool.connection(address)
        try:
            await connection.call("CLUSTER", "FORGET", node_id)
        except ReplyError as error:
            if "Unknown node" not in str(error):
                raise _refused(address, f"to forget {node_id[:8]}", error) from error

    async def _promote(self, action: Promote) -> str:
        if action.way is Way.TAKEOVER:
            await refuse_over_the_living(self.pool, self.addresses, action.primary_id, action.primary)
            await self._call(action.address, "CLUSTER", "FAILOVER", "TAKEOVER")

            async def leads() -> bool:
                line = await self._line(action.address, action.node_id)
                return line is not None and line.role is Role.PRIMARY

            await self._until(leads, _MEMBER_S, f"{action.address} said OK to a takeover, and did not become primary")
            return "without votes"
        steps = FailoverSteps(self.pool, self.clock, self.report, self.addresses)
        step = FailoverStep(
            action.address,
            action.node_id,
            action.primary,
            action.primary_id,
            action.shard,
            is_forced=True,
        )
        done = await steps.fail_over(step)
        return f"in {done.promoted_s:.1f} s"

    async def _follow(self, address: Address, primary_id: str, task: str) -> None:
        await self._call(address, "CLUSTER", "REPLICATE", primary_id)
        await self._await_link(address, f"{address} follows {primary_id[:8]}, and its link stays down", task)

    async def _await_link(self, address: Address, otherwise: str, task: str) -> None:
        """A full copy may take hours: as long as one is on its way, it is waited for."""
        while True:
            await self._until(lambda: self._is_linked_or_copying(address), _SYNC_S, otherwise)
            sync = await self._sync(address)
            if sync.get("master_link_status") == "up":
                return
            if (total := info_number(sync, "master_sync_total_bytes")) > 0:
                done = info_number(sync, "master_sync_read_bytes")
                self.report(Moved(task, f"{address}: takes its primary's data", done, total))
            await self.clock.sleep(_COPY_POLL_S)

    async def _is_linked_or_copying(self, address: Address) -> bool:
        """The latter is said by the replica also while it loads what it got (replication.c, repl_state; INFO)."""
        sync = await self._sync(address)
        return sync.get("role") == "slave" and (
            sync.get("master_link_status") == "up" or sync.get("master_sync_in_progress") == "1"
        )

    async def _sync(self, address: Address) -> Mapping[str, str]:
        reply = await self._call(address, "INFO", "replication")
        with reading(address, "INFO"):
            return parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")

    async def _answers(self, address: Address) -> bool:
        await self.pool.drop(address)
        await self.pool.connection(address)
        return True

    async def _line(self, address: Address, node_id: str) -> PeerView | None:
        reply = await self._call(address, "CLUSTER", "NODES")
        with reading(address, "CLUSTER NODES"):
            lines = parse_cluster_nodes(reply.decode(errors="replace") if isinstance(reply, bytes) else "", address)
        return next((line for line in lines if line.id == node_id), None)

    async def _call(self, address: Address, *arguments: str | int, timeout_s: float | None = None) -> object:
        connection = await self.pool.connection(address)
        try:
            return await connection.call(*arguments, timeout_s=timeout_s)
        except ReplyError as error:
            raise _refused(address, " ".join(map(str, arguments[:3])), error) from error
        except NodeUnreachableError:
            await self.pool.drop(address)
            raise

    async def _until(self, is_so: Callable[[], Awaitable[bool]], timeout_s: float, otherwise: str) -> None:
        deadline = self.clock.now() + timeout_s
        while True:
            try:
                if await is_so():
                    return
            except NodeUnreachableError:
                if self.clock.now() > deadline:
                    raise
            if self.clock.now() > deadline:
                raise ServerError(otherwise, code="repair-without-effect", hint="slotwright check says what is left")
            await self.clock.sleep(_POLL_S)


def _refused(address: Address, what: str, error: ReplyError) -> ServerError:
    return ServerError(
        f"{address} refuses {what}", code="repair-refused", where=str(address), seen=str(error), hint="slotwright check"
    )
