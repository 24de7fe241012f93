"""The data of the old nodes served again for a while.

What reads old data is a stand-alone server on the folder's own host, on loopback, that never writes any: no snapshot,
no rewrite, and its append-only file closed as soon as it is loaded. It has a marker of its own, so that one that a
killed run left behind is found and ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Report
from slotwright.cluster.node_files import Launch, NodeFiles, marker_text
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import NodeUnreachableError, ServerError, SlotwrightError
from slotwright.features.rebuild.model import Rebuild, ShardCopy
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.keys.copy_keys import KeySource
from slotwright.keys.node_keys import NodeKeys
from slotwright.nodes.connections import ConnectionPool
from slotwright.ops.rehearse import await_gone
from slotwright.ports import Clock, Fleet, ReplyError
from slotwright.server.server_conf import NOTHING_TO_RUN, NodeConfig, last_words, render_reader_conf

_LOOPBACK = "127.0.0.1"
_POLL_S = 0.02


def old_settings(record: ClusterRecord) -> tuple[tuple[str, str], ...]:
    """What the old servers ran with: the file's words, and the canonical values over them."""
    return tuple((dict(record.topology.settings) | dict(record.settings)).items()) + tuple(
        pair for pair in record.topology.settings if pair[0] == "loadmodule"
    )


@dataclass(frozen=True, slots=True)
class Readers:
    """Serves the data of kept folders again, for as long as it takes to copy it. ``binary_on`` gives the server program
    of a host."""

    fleet: Fleet
    clock: Clock
    report: Report
    rebuild: Rebuild
    password: Secret | None = field(repr=False)
    binary_on: Callable[[str], str]

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[KeySource, ...]]:
        """The chosen copies that have data; all of the servers are ended when this is left, however it is left."""
        copies = [copy for copy in self.rebuild.copies if copy.has_data]
        pools: list[ConnectionPool] = []
        text = f"load the data of {len(copies)} folder{'' if len(copies) == 1 else 's'}"
        self.report(Began("read", text))
        await self.end()
        try:
            started = [await self._start(copy) for copy in copies]
            sources = await asyncio.gather(
                *(self._await_loaded(copy, *entry, pools) for copy, entry in zip(copies, started, strict=True))
            )
            self.report(Ended("read", text))
            yield tuple(sources)
        finally:
            await asyncio.gather(*(pool.__aexit__(None, None, None) for pool in pools))
            await self.end()

    async def end(self) -> None:
        """End what reads, also what an earlier run left; the password goes from the folders."""
        for copy in self.rebuild.copies:
            directory, host = self.rebuild.kept_directory(copy.address), self.fleet.at(copy.address.host)
            process = await host.find(directory, self.rebuild.marker_id)
            if process is not None:
                await host.kill(process, directory)
                await await_gone(self.fleet, self.clock, [(copy.address, process)])

    async def forget(self) -> None:
        """Nobody reads any more: the password goes from the folders."""
        for copy in self.rebuild.copies:
            if copy.has_data:
                await self.fleet.at(copy.address.host).rewrite_conf(self._files(copy, copy.address, NOTHING_TO_RUN))

    async def _start(self, copy: ShardCopy) -> tuple[Address, ProcessId]:
        host, directory = self.fleet.at(copy.address.host), self.rebuild.kept_directory(copy.address)
        address = Address(_LOOPBACK, await host.free_port(_LOOPBACK))
        config = NodeConfig(address, directory, Mode.SINGLE, self.password, old_settings(self.rebuild.old))
        conf = render_reader_conf(config, append_log=copy.append_log)
        await host.create(self._files(copy, address, conf))
        process = await host.start(Launch(address, directory, self.binary_on(copy.address.host), is_trial=True))
        return address, process

    def _files(self, copy: ShardCopy, address: Address, conf: str) -> NodeFiles:
        marker = marker_text(self.rebuild.marker_id, self.rebuild.old.name)
        return NodeFiles(self.rebuild.kept_directory(copy.address), marker, conf)

    async def _await_loaded(
        self, copy: ShardCopy, address: Address, process: ProcessId, pools: list[ConnectionPool]
    ) -> KeySource:
        """However long it takes, as long as the server lives."""
        pool = ConnectionPool(self.fleet.login_on(copy.address.host)(self.password, ""))
        pools.append(pool)
        keys = NodeKeys(address, pool)
        while True:
            try:
                if (await keys.info("persistence")).get("loading") == "0":
                    break
            except (NodeUnreachableError, ReplyError) as error:
                if isinstance(error, ReplyError) and error.code != "LOADING":
                    raise _unreadable(copy, self.rebuild, str(error)) from error
                host = self.fleet.at(copy.address.host)
                if not await host.is_running(process):
                    log = await host.log_tail(self.rebuild.kept_directory(copy.address))
                    raise _unreadable(copy, self.rebuild, last_words(log)) from error
            await self.clock.sleep(_POLL_S)
        if copy.append_log:
            await keys.call(0, "CONFIG", "SET", "appendonly", "no")
        return KeySource(copy.address, copy.slots, keys)


def _unreadable(copy: ShardCopy, rebuild: Rebuild, seen: str) -> SlotwrightError:
    return ServerError(
        f"the data of {copy.address} (shard {copy.shard}) can't be loaded",
        code="data-unreadable",
        where=f"{copy.address.host}:{rebuild.kept_directory(copy.address)}",
        seen=seen,
        hint="mend the file there with redis-check-aof --fix or redis-check-rdb, as the log says, then go on",
    )
