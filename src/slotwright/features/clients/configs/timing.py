"""The times of a client, from the one time of the cluster that decides how long a dead primary stays unnoticed.

A primary is held failed when it owes an answer for ``cluster-node-timeout``, and a ping is sent at the latest half that
time after the last answer (cluster.c, clusterCron); then its replica waits 500 ms and up to 500 more before it asks for
votes (cluster.c, clusterHandleReplicaFailover).
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.features.clients.model import ClientFacts

MAX_REDIRECTS = 5
"""More than that is no way, but a circle."""

DEFAULT_NODE_TIMEOUT_MS = 15_000
"""What a server has that was not told otherwise (config.c)."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds. ``takeover_ms``: how long a shard may be without a primary. ``connect_ms`` and ``command_ms``: for
    one connection and one command, shorter than the takeover, so that a client is free again to ask who serves now.
    ``patience_ms``: how long a call may go on trying, never longer than people wait. ``refresh_ms``: how often the
    map is fetched, for what no error tells of."""

    takeover_ms: int
    connect_ms: int
    command_ms: int
    patience_ms: int
    refresh_ms: int


def timing(facts: ClientFacts) -> Timing:
    """For a cluster with this node time-out."""
    limit = facts.node_timeout_ms
    takeover = limit * 3 // 2 + 1500
    return Timing(
        takeover_ms=takeover,
        connect_ms=_between(500, limit // 4, 1000),
        command_ms=_between(500, limit // 2, 2000),
        patience_ms=min(takeover, 5000),
        refresh_ms=_between(2000, limit, 10_000),
    )


def _between(least: int, value: int, most: int) -> int:
    return max(least, min(value, most))
