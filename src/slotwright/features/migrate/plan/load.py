"""What a migration asks of the source: memory for a snapshot, room for one more replica, connections."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.sizes import COPY_SHARE, shown_bytes
from slotwright.features.migrate.model.surveys import SourceSurvey

_BACKLOG_S = 60
"""A connection that is lost for so long should find what it missed."""
_NEAR = 0.5
_OUR_CONNECTIONS = 4


def check_load(source: SourceSurvey, copy_s: float) -> Iterator[Finding]:
    """``copy_s`` is how long the copy will take, by estimate."""
    yield from _memory(source)
    yield from _feeding(source, copy_s)


def _memory(source: SourceSurvey) -> Iterator[Finding]:
    memory, where = source.memory, str(source.address)
    is_full = memory.maxmemory_bytes and memory.used_bytes > 0.95 * memory.maxmemory_bytes
    if memory.policy not in ("", "noeviction") and memory.maxmemory_bytes and (memory.evicted_keys or is_full):
        yield Finding(
            "source-evicting",
            Severity.WARNING if is_full else Severity.NOTE,
            where,
            "it evicts keys to stay below its maxmemory" if is_full else "it has evicted keys since it was started",
            "nothing for the copy: an eviction reaches the target as a deletion. To keep keys: CONFIG SET maxmemory",
            seen=f"{memory.evicted_keys:,} evicted, {shown_bytes(memory.used_bytes)} of "
            f"{shown_bytes(memory.maxmemory_bytes)}, {memory.policy}",
        )
    free = memory.system_bytes - max(memory.used_bytes, memory.rss_bytes)
    if memory.system_bytes and free < COPY_SHARE * memory.used_bytes:
        yield Finding(
            "source-memory-short",
            Severity.WARNING,
            where,
            "while the snapshot is made, pages that clients change are copied, and its host has little room for that",
            "copy when few writes come, or give a replica on another host as the source",
            seen=f"{shown_bytes(memory.used_bytes)} used on a host with {shown_bytes(memory.system_bytes)}",
            risk="the kernel ends the server when memory runs out. Other programs there make it worse",
        )


def _feeding(source: SourceSurvey, copy_s: float) -> Iterator[Finding]:
    feeding, where = source.feeding, str(source.address)
    rate = stream_rate(source)
    waiting = rate * copy_s
    limits = [
        limit
        for limit in (feeding.limit_bytes, feeding.soft_limit_bytes if copy_s > feeding.soft_limit_s else 0)
        if limit
    ]
    if limits and waiting > _NEAR * min(limits):
        yield Finding(
            "replica-limit",
            Severity.SERIOUS if waiting > min(limits) else Severity.WARNING,
            where,
            "more changes may come during the copy than the source keeps for a replica before it hangs up",
            f'CONFIG SET client-output-buffer-limit "replica {_room(waiting)} 0 0"   (until the move is done)',
            seen=f"{shown_bytes(round(rate))}/s for {copy_s:.0f} s; the limit is {shown_bytes(min(limits))}",
            risk="the copy begins anew, over and over",
        )
    if feeding.backlog_bytes is not None and rate * _BACKLOG_S > feeding.backlog_bytes:
        yield Finding(
            "backlog-small",
            Severity.WARNING,
            where,
            f"the source's backlog has less than {_BACKLOG_S} s of changes",
            f"CONFIG SET repl-backlog-size {_room(rate * _BACKLOG_S)}",
            seen=f"{shown_bytes(round(rate))}/s; repl-backlog-size {shown_bytes(feeding.backlog_bytes)}",
            risk="a connection that is lost for longer than that makes the copy begin anew",
        )
    if feeding.maxclients and feeding.clients + _OUR_CONNECTIONS > feeding.maxclients:
        yield Finding(
            "maxclients-reached",
            Severity.SERIOUS,
            where,
            f"the source has no room for {_OUR_CONNECTIONS} more connections",
            f"CONFIG SET maxclients {feeding.clients + 100}   (or end some clients)",
            seen=f"{feeding.clients:,} of {feeding.maxclients:,}",
        )
    if feeding.min_replicas_to_write:
        yield Finding(
            "min-replicas",
            Severity.NOTE,
            where,
            "the source counts its replicas before it takes a write, and counts slotwright as one of them meanwhile",
            "see that it has enough others when the move is over, if it shall go on",
            seen=f"min-replicas-to-write {feeding.min_replicas_to_write}, {feeding.replicas} replicas",
        )


def stream_rate(source: SourceSurvey) -> float:
    """Bytes of changes a second; where the source doesn't count them, the part of its input that its writes may be."""
    traffic = source.traffic
    if traffic.stream_bytes_per_s is not None:
        return traffic.stream_bytes_per_s
    if not traffic.commands_per_s:
        return 0.0
    return traffic.input_bytes_per_s * min(1.0, traffic.writes_per_s / traffic.commands_per_s)


def _room(count: float) -> str:
    """Twice as much, in whole megabytes, at least 64."""
    return f"{max(64, round(2 * count / 2**20) + 1)}mb"
