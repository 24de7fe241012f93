"""The old nodes of a rebuild: looked at, ended with their folders set aside, and their data served again for a while.

What reads old data is a stand-alone server on the folder's own host, on loopback, that never writes any: no snapshot,
no rewrite, and its append-only file closed as soon as it is loaded. It has a marker of its own, so that one that a
killed run left behind is found and ended.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from slotwright.errors import HostError, NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.model.cluster import Observation, PeerView
from slotwright.model.events import Began, Ended, Report
from slotwright.model.facts import DirectoryState, NodeQuery, ProcessId
from slotwright.model.files import Launch, NodeFiles
from slotwright.model.rebuild import Rebuild, ShardCopy
from slotwright.model.record import ClusterRecord
from slotwright.model.secret import Secret
from slotwright.model.topology import Address, Mode
from slotwright.operations.key_copy import Keyspace, Source
from slotwright.operations.rehearse import await_gone
from slotwright.operations.roster import Roster
from slotwright.operations.stop import NodeToStop, Stopper
from slotwright.planning.rebuild import Member
from slotwright.ports import Clock, Fleet, ReplyError
from slotwright.wire.cluster_nodes import parse_cluster_nodes
from slotwright.wire.server_conf import NOTHING_TO_RUN, NodeConfig, last_words, render_reader_conf

_LOOPBACK = "127.0.0.1"
_POLL_S = 0.02

_FOLDERS = {
    DirectoryState.ABSENT: "its folder is gone",
    DirectoryState.EMPTY: "its folder is empty",
    DirectoryState.FOREIGN: "its folder is not slotwright's",
    DirectoryState.OTHER_CLUSTER: "its folder is of another cluster",
    DirectoryState.UNWRITABLE: "its folder can't be used",
}


def old_settings(record: ClusterRecord) -> tuple[tuple[str, str], ...]:
    """What the old servers ran with: the file's words, and the canonical values over them."""
    return tuple((dict(record.topology.settings) | dict(record.settings)).items()) + tuple(
        pair for pair in record.topology.settings if pair[0] == "loadmodule"
    )


async def look_at_members(fleet: Fleet, record: ClusterRecord, observation: Observation) -> tuple[Member, ...]:
    """Every old node: whether its folder can be had, what data is in it, and its map, from itself or from its disk."""
    return tuple(await asyncio.gather(*(_member(fleet, record, node.address, observation) for node in _nodes(record))))


async def _member(fleet: Fleet, record: ClusterRecord, address: Address, observation: Observation) -> Member:
    node, view = record.blueprint.node_at(address), observation.view_of(address)
    host, directory, cluster_id = fleet.at(address.host), record.node_directory(address), record.blueprint.cluster_id
    keys, lines = (view.health.keys, view.peers) if view else (None, ())
    member = Member(address, node.id, keys=keys, lines=lines)
    try:
        facts = await host.inspect(address.host, cluster_id, [NodeQuery(address, directory)])
        folder = facts.nodes[0].directory
        if folder.state is not DirectoryState.OURS:
            is_out = folder.state not in (DirectoryState.ABSENT, DirectoryState.EMPTY)
            return replace(member, trouble=folder.reason or _FOLDERS[folder.state], is_out_of_reach=is_out)
        data = await host.data_files(directory)
        if view is None:
            lines = _lines(await host.read_map(directory, cluster_id), address)
        return replace(member, data=data, lines=lines)
    except HostError as error:
        return replace(member, trouble=error.what, is_out_of_reach=True)


def _lines(text: str, address: Address) -> tuple[PeerView, ...]:
    """The nodes of a ``nodes.conf``; a map that can't be read says nothing."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("vars "))
    try:
        return parse_cluster_nodes(kept, address)
    except ValueError:
        return ()


def _nodes(record: ClusterRecord) -> Sequence[NodeToStop]:
    return [
        NodeToStop(node.address, record.node_directory(node.address), record.blueprint.cluster_id)
        for node in record.blueprint.nodes
    ]


@dataclass(frozen=True, slots=True)
class Farewells:
    """Ends the old nodes and sets their folders aside. Can be run again after any cut."""

    fleet: Fleet
    roster: Roster
    clock: Clock
    report: Report

    async def end(self, rebuild: Rebuild, answering: frozenset[Address]) -> None:
        """Those that answer save and go; the others are ended at once. Raises HostError, or PartialError when a node
        can't save: it goes on running then."""
        nodes = [node for node in _nodes(rebuild.old) if node.address not in rebuild.left_behind]
        willing = [node for node in nodes if node.address in answering]
        try:
            await Stopper(self.fleet, self.roster, self.clock, self.report).stop(willing)
        except PartialError as error:
            if error.code == "save-failed":
                raise
        await self._dismiss_homeless(rebuild.old, willing)
        await self._kill(nodes)

    async def set_aside(self, rebuild: Rebuild) -> tuple[Address, ...]:
        """The folders of all nodes that could be reached, each on its own host; whose they were."""
        moved = []
        for node in _nodes(rebuild.old):
            if node.address in rebuild.left_behind:
                continue
            host = self.fleet.at(node.address.host)
            await host.set_aside(node.directory, node.cluster_id, rebuild.kept_directory(node.address))
            moved.append(node.address)
        return tuple(moved)

    async def _kill(self, nodes: Sequence[NodeToStop]) -> None:
        found = await asyncio.gather(
            *(self.fleet.at(node.address.host).find(node.directory, node.cluster_id) for node in nodes)
        )
        running = [(node.address, each) for node, each in zip(nodes, found, strict=True) if each is not None]
        await asyncio.gather(*(self.fleet.at(address.host).kill(each) for address, each in running))
        await await_gone(self.fleet, self.clock, running)

    async def _dismiss_homeless(self, old: ClusterRecord, nodes: Sequence[NodeToStop]) -> None:
        """A server whose folder was taken away under it is not found by it; it still holds the port."""
        for node in nodes:
            await self.roster.drop(node.address)
            try:
                connection = await self.roster.connection(node.address)
                if await connection.call("CLUSTER", "MYID") == old.blueprint.node_at(node.address).id.encode():
                    await connection.call("SHUTDOWN", "NOSAVE")
            except (ServerError, ReplyError):
                # It has ended, as it should.
                await self.roster.drop(node.address)


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
    async def open(self) -> AsyncIterator[tuple[Source, ...]]:
        """The chosen copies that have data; all of the servers are ended when this is left, however it is left."""
        copies = [copy for copy in self.rebuild.copies if copy.has_data]
        rosters: list[Roster] = []
        text = f"load the data of {len(copies)} folder{'' if len(copies) == 1 else 's'}"
        self.report(Began("read", text))
        await self.end()
        try:
            started = [await self._start(copy) for copy in copies]
            sources = await asyncio.gather(
                *(self._await_loaded(copy, *each, rosters) for copy, each in zip(copies, started, strict=True))
            )
            self.report(Ended("read", text))
            yield tuple(sources)
        finally:
            await asyncio.gather(*(roster.__aexit__(None, None, None) for roster in rosters))
            await self.end()

    async def end(self) -> None:
        """End what reads, also what an earlier run left; the password goes from the folders."""
        for copy in self.rebuild.copies:
            directory, host = self.rebuild.kept_directory(copy.address), self.fleet.at(copy.address.host)
            process = await host.find(directory, self.rebuild.marker_id)
            if process is not None:
                await host.kill(process)
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
        content = {"cluster_id": self.rebuild.marker_id, "name": self.rebuild.old.name, "format": 1}
        marker = json.dumps(content, indent=1) + "\n"
        return NodeFiles(address, self.rebuild.kept_directory(copy.address), marker, conf)

    async def _await_loaded(
        self, copy: ShardCopy, address: Address, process: ProcessId, rosters: list[Roster]
    ) -> Source:
        """However long it takes, as long as the server lives."""
        roster = Roster(self.fleet.login_on(copy.address.host)(self.password, ""))
        rosters.append(roster)
        keys = Keyspace(address, roster)
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
        return Source(copy.address, copy.slots, keys)


def _unreadable(copy: ShardCopy, rebuild: Rebuild, seen: str) -> SlotwrightError:
    return ServerError(
        f"the data of {copy.address} (shard {copy.shard}) can't be loaded",
        code="data-unreadable",
        where=f"{copy.address.host}:{rebuild.kept_directory(copy.address)}",
        seen=seen,
        hint="mend the file there with redis-check-aof --fix or redis-check-rdb, as the log says, then go on",
    )
