"""A dress rehearsal: the very binary, started once with the very configuration, before anything else is touched.

It finds an unknown or refused directive and names it, gives the canonical value of every setting (``64mb`` is
``67108864`` to the server), tells which of them may change while a server runs, tries whether a replica's own
credentials would open its primary, and that the map of the cluster is read as it was meant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.node_files import Launch, NodeFiles, marker_text
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import HostError, InputError, NodeUnreachableError, ServerError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.nodes.answers import reading
from slotwright.nodes.observe import setting_value
from slotwright.ports import Clock, Connection, Fleet, Host, LoginDialer, ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.integers import integer_in
from slotwright.server.nodes_conf import render_nodes_conf
from slotwright.server.path_directives import NOT_REHEARSED, for_rehearsal
from slotwright.server.server_conf import (
    CLUSTER_DEFAULTS,
    DEFAULTS,
    Directive,
    NodeConfig,
    effective_settings,
    find_complaint,
    last_words,
    render_server_conf,
)

WATCHED = ("masterauth", "repl-diskless-sync-delay")
"""Looked at besides the file's settings: what a formation lowers, and what lets replicas in."""

_START_TIMEOUT_S = 15.0
_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Script:
    """What to rehearse; ``extra_names`` are directives whose values are wanted besides those of ``settings``."""

    directory: str
    binary: str
    version: ServerVersion
    mode: Mode
    password: Secret | None
    settings: tuple[Directive, ...]
    extra_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Canonical values by directive (secrets inside), and the directives that may change while a server runs.

    ``modules`` are the paths of those that were not loaded (``server/path_directives.py`` says why).
    """

    settings: dict[str, str] = field(repr=False)
    live: frozenset[str]
    modules: tuple[str, ...] = ()


class RehearsalHost:
    """Where rehearsals take place: a host, a clock, and a way to log in."""

    def __init__(self, host: Host, clock: Clock, login: LoginDialer) -> None:
        self._host = host
        self._clock = clock
        self._login = login

    async def rehearse(self, script: Script, blueprint: Blueprint) -> Rehearsed:
        """Start, ask, stop, remove. What would touch a path outside of its own folder is left out.

        Raises InputError (bad-setting, replica-auth-...), HostError, ServerError, or RefusedError where others may
        write to what would be run.
        """
        inside = for_rehearsal(script.settings)
        rehearsed = await self._rehearse(replace(script, settings=inside.kept), blueprint)
        return replace(rehearsed, modules=inside.modules)

    async def _rehearse(self, script: Script, blueprint: Blueprint) -> Rehearsed:
        await self.clear(script.directory)
        port = await self._host.free_port(_HOST)
        address = Address(_HOST, port)
        await self._host.create(_files(script, blueprint, address))
        process = await self._host.start(Launch(address, script.directory, script.binary, is_trial=True))
        try:
            connection = await self._connect(script, address, process)
            try:
                await self._try_replica_login(connection)
                if script.mode is Mode.CLUSTER:
                    await _try_map(script, blueprint, connection)
                return await _read(script, connection)
            except ReplyError as error:
                raise _needed_command(script, error) from error
            finally:
                await connection.close()
        finally:
            await self._host.kill(process, script.directory)
            await _gone(self._host, self._clock, process)
            await self._host.remove(script.directory, _MARKER_ID)

    async def clear(self, directory: str) -> None:
        """End and remove what a rehearsal that was killed may have left there."""
        left = await self._host.find(directory, _MARKER_ID)
        if left is not None:
            await self._host.kill(left, directory)
            await _gone(self._host, self._clock, left)
        await self._host.remove(directory, _MARKER_ID)

    async def _connect(self, script: Script, address: Address, process: ProcessId) -> Connection:
        dialer = self._login(script.password, "")
        deadline = self._clock.now() + _START_TIMEOUT_S
        while True:
            try:
                return await dialer.dial(address)
            except NodeUnreachableError as error:
                if not await self._host.is_running(process):
                    raise _died(script, await self._host.log_tail(script.directory)) from error
                if self._clock.now() > deadline:
                    raise
                await self._clock.sleep(0.01)

    async def _try_replica_login(self, connection: Connection) -> None:
        """Log in to the rehearsed server with its own ``masteruser`` and ``masterauth``, as its replica would."""
        password = setting_value(await connection.call("CONFIG", "GET", "masterauth")) or ""
        user = setting_value(await connection.call("CONFIG", "GET", "masteruser")) or ""
        text = ""
        try:
            trial = await self._login(Secret(password) if password else None, user).dial(connection.address)
            try:
                await trial.call("REPLCONF", "capa", "eof")
            finally:
                await trial.close()
        except (ServerError, ReplyError) as error:
            text = (error.seen or error.what) if isinstance(error, ServerError) else str(error)
        if text:
            raise _replica_locked_out(is_missing=not password, seen=text)


_MARKER_ID = "rehearsal"


def _files(script: Script, blueprint: Blueprint, address: Address) -> NodeFiles:
    config = NodeConfig(address, script.directory, script.mode, script.password, script.settings)
    nodes_conf = None
    if script.mode is Mode.CLUSTER:
        alone = _alone(blueprint, address)
        nodes_conf = render_nodes_conf(alone, alone.shards[0].primary, script.version)
    return NodeFiles(script.directory, marker_text(_MARKER_ID, "rehearsal"), render_server_conf(config), nodes_conf)


def _alone(blueprint: Blueprint, address: Address) -> Blueprint:
    """The first shard's primary under an id that no node has: it must never be taken for a member of the cluster."""
    first = blueprint.shards[0]
    me = replace(first.primary, address=address, id=blueprint.cluster_id)
    return replace(blueprint, shards=(replace(first, primary=me, replicas=()),))


async def _try_map(script: Script, blueprint: Blueprint, connection: Connection) -> None:
    """The server must have read the map as it was meant: its own id, its epoch, its slots, all links known."""
    expected = _alone(blueprint, connection.address).shards[0]
    reply = await connection.call("CLUSTER", "NODES")
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    with reading(connection.address, "CLUSTER NODES"):
        peers = parse_cluster_nodes(text, connection.address)
    result = [(peer.id, peer.epoch, peer.slots) for peer in peers]
    if result != [(expected.primary.id, expected.primary.epoch, expected.slots)]:
        raise ServerError(
            f"{script.version.title} reads the map of the cluster otherwise than it was written",
            code="map-misread",
            where=script.binary,
            seen=str(reply)[:200],
            left="nothing was changed",
        )


async def _read(script: Script, connection: Connection) -> Rehearsed:
    # What is expected of a running node is what this very binary makes of the file.
    names = [name for name, _ in effective_settings(script.settings, script.mode)]
    names += [name for name, _ in DEFAULTS + (CLUSTER_DEFAULTS if script.mode is Mode.CLUSTER else ())]
    extra = [name for name in script.extra_names if name not in NOT_REHEARSED]
    wanted = list(dict.fromkeys((*names, *WATCHED, *extra)))
    replies = await connection.pipeline([("CONFIG", "GET", name) for name in wanted])
    values = {name: setting_value(reply) for name, reply in zip(wanted, replies, strict=True)}
    settings = {name: value for name, value in values.items() if value is not None}
    tried = await connection.pipeline([("CONFIG", "SET", name, value) for name, value in settings.items()])
    live = {name for name, reply in zip(settings, tried, strict=True) if not isinstance(reply, ReplyError)}
    return Rehearsed(settings | _lowered_by_the_host(script, settings), frozenset(live))


def _lowered_by_the_host(script: Script, settings: Mapping[str, str]) -> dict[str, str]:
    """What the file wants and this process could not have: a server takes fewer clients than it is told where it may
    not open files for them (server.c, adjustOpenFilesLimit), and the nodes themselves may have another limit."""
    wanted = integer_in(dict(script.settings).get("maxclients"))
    seen = integer_in(settings.get("maxclients"))
    return {"maxclients": str(wanted)} if wanted is not None and seen is not None and seen < wanted else {}


async def _gone(host: Host, clock: Clock, process: ProcessId) -> None:
    deadline = clock.now() + _START_TIMEOUT_S
    while await host.is_running(process):
        if clock.now() > deadline:
            raise HostError(f"pid {process.pid} can't be ended", code="process-stuck")
        await clock.sleep(0.005)


_QUOTES_INSIDE = "; one value of several words needs quotes of its own inside those of YAML: '\"two words\"'"
"""YAML takes the outer ones away before the server sees the value."""


def _died(script: Script, log: str) -> InputError | ServerError:
    complaint = find_complaint(log)
    title = script.version.title
    if complaint is not None:
        words = "" if "wrong number of arguments" not in complaint.reason.lower() else _QUOTES_INSIDE
        return InputError(
            f"{title} refuses the setting '{complaint.directive}'",
            code="bad-setting",
            where=f"settings: {complaint.directive}",
            seen=complaint.reason,
            left="nothing was changed",
            hint="correct it under `settings:` in the file; the names are those of the server's own configuration"
            + words,
        )
    return ServerError(
        f"{title} dies at its start with this configuration",
        code="start-failed",
        where=script.binary,
        seen=last_words(log),
        left="nothing was changed",
    )


def _needed_command(script: Script, error: ReplyError) -> InputError:
    return InputError(
        f"with these settings, {script.version.title} refuses a command that slotwright needs",
        code="bad-setting",
        where="settings",
        seen=str(error),
        left="nothing was changed",
        hint="don't rename or disable CONFIG, CLUSTER and INFO",
    )


def _replica_locked_out(*, is_missing: bool, seen: str) -> InputError:
    return InputError(
        "replicas would have no password for their primaries (masterauth)"
        if is_missing
        else "the replicas' password (masterauth) does not open their primaries",
        code="replica-auth-missing" if is_missing else "replica-auth-rejected",
        where="settings: masterauth",
        seen=seen,
        left="nothing was changed",
        hint="leave masterauth and masteruser out of `settings:`; slotwright sets them from `password:`",
    )


async def await_gone(fleet: Fleet, clock: Clock, processes: Sequence[tuple[Address, ProcessId]]) -> None:
    """Wait until all of these nodes' processes have ended; raises HostError for one that doesn't."""
    await asyncio.gather(*(_gone(fleet.at(address.host), clock, process) for address, process in processes))
