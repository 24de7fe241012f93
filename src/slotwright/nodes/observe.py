"""Ask every node for its own view, all at once, each within its own time: a dead one costs the others nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import cast

from slotwright.cluster.observation import Link, LoginFault, NodeView, Observation, SilentNode
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address, Mode
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError, SlotwrightError
from slotwright.nodes.answers import excerpt_of, reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Dialer, LoginDialer, Reply, ReplyError
from slotwright.server.capabilities import version_from_info
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.error_words import MAXCLIENTS_WORDS
from slotwright.server.info import health, parse_info, replication
from slotwright.server.integers import integer_in, parse_integer
from slotwright.server.server_time import server_time_us

ALWAYS_ASKED = (
    "appendonly",
    "appenddirname",
    "appendfilename",
    "cluster-allow-reads-when-down",
    "cluster-announce-ip",
    "cluster-config-file",
    "cluster-node-timeout",
    "cluster-require-full-coverage",
    "dbfilename",
    "dir",
    "maxmemory-policy",
    "min-replicas-to-write",
    "save",
    "stop-writes-on-bgsave-error",
)
"""The directives that a check asks every server for, whatever the file says: findings are judged from them."""

_PING_MS = 2000
"""However short the node time-out is, a busy machine may take so long to answer a ping."""


async def observe(
    pool: ConnectionPool,
    addresses: Sequence[Address],
    settings: Iterable[str] = (),
    *,
    timeout_s: float = 2.0,
    wall: Callable[[], float] | None = None,
    answer_s: float | None = None,
) -> Observation:
    """The views of all ``addresses``; ``settings`` are the directives whose values to ask for as well.

    ``wall`` tells our own time of day: with it the servers' clocks are measured, and each is asked whether it
    can write. Then who owes a server the answer to a ping for longer than ``answer_s`` is not connected to it; None:
    for so long that the server itself doubts the link.
    """
    names = tuple(settings)
    result = await asyncio.gather(*(_look(pool, address, names, timeout_s, wall, answer_s) for address in addresses))
    return Observation(
        tuple(view for view in result if isinstance(view, NodeView)),
        tuple(silent for silent in result if isinstance(silent, SilentNode)),
    )


async def discover(pool: ConnectionPool, seed: Address) -> tuple[Address, ...]:
    """All addresses that the node at ``seed`` knows, itself first; just itself for a stand-alone instance.

    Raises what dialling raises, AuthenticationError where the node wants a password and got none, and AnswerError where
    what it says can't be read.
    """
    connection = await pool.connection(seed)
    try:
        text = await connection.call("CLUSTER", "NODES")
    except ReplyError as error:
        if error.code == "NOAUTH":
            raise AuthenticationError(f"{seed} wants a password", where=str(seed), seen=str(error)) from error
        if error.code == "DENIED":
            raise NodeUnreachableError(
                f"{seed} is in protected mode: without a password it lets in its own machine only",
                code="protected-mode",
                where=str(seed),
                seen=str(error).partition(".")[0],
                hint="set requirepass on it (or protected-mode no, where a firewall guards it), then try again",
            ) from error
        return (seed,)
    with reading(seed, "CLUSTER NODES"):
        peers = parse_cluster_nodes(_text(text), seed)
    known = [peer.address for peer in peers if peer.address and "myself" not in peer.flags]
    return (seed, *sorted(address for address in known if address != seed))


async def _look(
    pool: ConnectionPool,
    address: Address,
    names: tuple[str, ...],
    timeout_s: float,
    wall: Callable[[], float] | None,
    answer_s: float | None,
) -> NodeView | SilentNode:
    try:
        connection = await pool.connection(address, timeout_s=timeout_s)
        commands: list[tuple[str, ...]] = [("INFO",), ("CLUSTER", "MYID"), ("CLUSTER", "INFO"), ("CLUSTER", "NODES")]
        commands += [("CONFIG", "GET", name) for name in names]
        if wall is None:
            return _view(address, await connection.pipeline(commands, timeout_s=timeout_s), names)
        before = wall()
        *replies, alive, result = await connection.pipeline([*commands, ("PING",), ("TIME",)], timeout_s=timeout_s)
        after, theirs = wall(), _time_s(result)
        view = _timed(_view(address, replies, names, theirs, answer_s), theirs, before, after)
        is_misconf = isinstance(alive, ReplyError) and alive.code == "MISCONF"
        return replace(view, misconf=str(alive)) if is_misconf else view
    except AuthenticationError as error:
        return SilentNode(address, "wrong-password", error.what)
    except ServerError as error:
        await pool.drop(address)
        return SilentNode(address, error.code, error.what)
    except ReplyError as error:
        return _silent(address, error)
    except SlotwrightError:
        raise
    except Exception as error:
        # Whatever one node says, and whatever that does to us: the others are judged all the same.
        await pool.drop(address)
        return SilentNode(address, "answers-unreadable", f"its answers can't be read: {excerpt_of(error)}")


def _silent(address: Address, error: ReplyError) -> SilentNode:
    """INFO is answered while a server loads (since 2.8); NOAUTH means that it wants a password and got none."""
    if MAXCLIENTS_WORDS in str(error):
        return SilentNode(address, "maxclients", f"{address} lets nobody in: {error}")
    codes = {"NOAUTH": "wrong-password", "LOADING": "loading", "NOPERM": "no-permission"}
    code = codes.get(error.code, "not-a-server")
    reasons = {
        "wrong-password": f"{address} wants a password",
        "loading": f"{address} is loading its data",
        "no-permission": f"{address} refuses our user: {error}",
    }
    return SilentNode(address, code, reasons.get(code, f"{address} answered: {error}"))


def _view(
    address: Address,
    replies: list[Reply | ReplyError],
    names: tuple[str, ...],
    now_s: float | None = None,
    answer_s: float | None = None,
) -> NodeView:
    """``now_s`` is the server's own time: with it, who does not answer the server's pings is not connected to it.

    Raises ValueError where an answer is not what that command says.
    """
    info_reply, my_id, cluster_info, cluster_nodes, *values = replies
    if isinstance(info_reply, ReplyError):
        raise info_reply
    info = parse_info(_text(info_reply))
    if "role" not in info:
        raise ValueError("INFO says no role")
    if isinstance(my_id, ReplyError) and my_id.code == "LOADING":
        raise my_id
    if isinstance(cluster_nodes, ReplyError) and cluster_nodes.code == "NOPERM":
        # Not a stand-alone instance: a node whose view we may not have.
        raise cluster_nodes
    is_cluster = info.get("cluster_enabled") == "1" and not isinstance(cluster_nodes, ReplyError)
    state = parse_info("" if isinstance(cluster_info, ReplyError) else _text(cluster_info))
    settings = tuple(
        (name, value) for name, reply in zip(names, values, strict=True) if (value := setting_value(reply)) is not None
    )
    late_ms = _unanswered_before_ms(now_s, dict(settings).get("cluster-node-timeout"), answer_s)
    peers = parse_cluster_nodes(_text(cast("Reply", cluster_nodes)), address, late_ms) if is_cluster else ()
    if is_cluster and not any("myself" in peer.flags for peer in peers):
        raise ValueError("CLUSTER NODES has no line of the node itself")
    return NodeView(
        address=address,
        id=info.get("run_id", "") if not is_cluster or isinstance(my_id, ReplyError) else _text(my_id),
        mode=Mode.CLUSTER if is_cluster else Mode.SINGLE,
        version=version_from_info(info),
        state_is_ok=not is_cluster or state.get("cluster_state") == "ok",
        current_epoch=parse_integer(state.get("cluster_current_epoch", "0")),
        replication=replication(info),
        health=health(info),
        peers=peers,
        settings=settings,
    )


def _unanswered_before_ms(now_s: float | None, node_timeout: str | None, answer_s: float | None) -> float:
    """A ping that was sent earlier ought to be answered: where it is not, the server itself doubts its link after half
    a node time-out (cluster.c, clusterCron). 0 where that can't be known."""
    if now_s is None:
        return 0
    if answer_s is not None:
        return (now_s - answer_s) * 1000
    timeout_ms = integer_in(node_timeout)
    return 0 if timeout_ms is None else now_s * 1000 - max(timeout_ms / 2, _PING_MS)


def _time_s(result: Reply | ReplyError) -> float | None:
    time_us = server_time_us(result)
    return None if time_us is None else time_us / 1e6


def _timed(view: NodeView, theirs: float | None, before: float, after: float) -> NodeView:
    """With how far the server's clock is ahead of ours: it was read at some moment between ``before`` and ``after``."""
    if theirs is None or after < before:
        return view
    return replace(view, clock_skew_s=theirs - (before + after) / 2, clock_doubt_s=(after - before) / 2)


def setting_value(reply: Reply | ReplyError) -> str | None:
    """The value in a reply to CONFIG GET with one full name; None when the server has no such directive."""
    if isinstance(reply, list) and len(reply) >= 2:
        return _text(reply[1])
    return None


async def find_login_faults(pool: ConnectionPool, observation: Observation, login: LoginDialer) -> Observation:
    """The same observation with the cause of dead links: each such replica's own credentials tried on its primary."""
    faults = await asyncio.gather(
        *(
            _login_fault(pool, view, observation, login)
            for view in observation.views
            if view.replication.link is Link.DOWN
        )
    )
    return Observation(observation.views, observation.silent, tuple(fault for fault in faults if fault))


async def _login_fault(
    pool: ConnectionPool, view: NodeView, observation: Observation, login: LoginDialer
) -> tuple[Address, LoginFault] | None:
    mine = view.myself
    primary = view.peer(mine.replica_of) if mine and mine.replica_of else None
    if primary is None or primary.address is None or observation.view_of(primary.address) is None:
        return None
    connection = await pool.connection(view.address)
    names = ("masterauth", "masteruser")
    try:
        replies = await connection.pipeline([("CONFIG", "GET", name) for name in names])
    except ServerError:
        return None
    values = [setting_value(reply) for reply in replies]
    if values[0] is None:
        return None
    password = values[0]
    error = await _try_login(primary.address, login(Secret(password) if password else None, values[1] or ""))
    if error is None:
        return None
    return view.address, LoginFault.REJECTED if password else LoginFault.MISSING


async def _try_login(address: Address, dialer: Dialer) -> str | None:
    """None when the credentials suffice for what a replica does; else the server's word."""
    try:
        connection = await dialer.dial(address)
    except AuthenticationError as error:
        return error.seen or error.what
    except ServerError:
        return None
    try:
        await connection.call("REPLCONF", "capa", "eof")
    except ReplyError as error:
        return str(error)
    except ServerError:
        return None
    finally:
        await connection.close()
    return None


def _text(reply: Reply | ReplyError) -> str:
    if not isinstance(reply, bytes):
        raise ReplyError(f"ERR unexpected reply of type {type(reply).__name__}")
    return reply.decode(errors="replace")
