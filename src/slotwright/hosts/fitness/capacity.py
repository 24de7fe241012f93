"""Memory and disk: what the nodes of a host may come to need, against what is there."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.sizes import COPY_SHARE, PROCESS_BYTES, shown_bytes
from slotwright.hosts.facts.profile import HostProfile, Room
from slotwright.hosts.fitness.requirements import Requirements

REPLICA_BYTES = 64 * 2**20
"""What a primary may hold back for each of its replicas (config.c: the soft limit of a replica's output buffer)."""

SYSTEM_BYTES = 512 * 2**20
SYSTEM_SHARE = 0.1
"""What the host itself needs: a tenth of its memory, at most 512 MB."""

EMPTY_NODE_BYTES = 64 * 2**20
"""The least disk a node starts with: its first append-only files, a save, and room for its log."""

UNBOUNDED_DISK_BYTES = 2**30
INODES_PER_NODE = 50


def memories(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """maxmemory counts neither the copy that a save makes nor the buffers of replicas and clients."""
    nodes, limit, total = len(wants.ports_of(profile.host)), wants.maxmemory_bytes, profile.memory.total_bytes
    if not nodes or not limit or not total:
        return
    needed = _needed(nodes, limit, total, wants.replicas)
    if needed > total:
        fitting = affordable_maxmemory(total, nodes, wants.replicas)
        yield Finding(
            "memory-short",
            Severity.WARNING,
            profile.host,
            f"{_nodes(nodes)} of maxmemory {shown_bytes(limit)} may need {shown_bytes(needed)}, and this host has "
            f"{shown_bytes(total)}",
            f"set `maxmemory: {as_setting(fitting)}` or less in the file, or put fewer nodes on this host"
            if fitting
            else "put fewer nodes on this host, or give it more memory",
            seen=f"data {shown_bytes(nodes * limit)}, "
            f"copies during saves {shown_bytes(int(nodes * limit * COPY_SHARE))}, "
            f"processes and buffers {shown_bytes(nodes * _beside(wants.replicas))}, "
            f"the system {shown_bytes(_system(total))}",
            risk="the kernel kills a node (OOM) when memory runs out, usually during a save",
        )


def unbounded(profiles: tuple[HostProfile, ...], wants: Requirements) -> Iterator[Finding]:
    """Without maxmemory: one finding, for the host that can afford least."""
    if wants.maxmemory_bytes or not profiles:
        return
    afford = [
        (affordable_maxmemory(total, nodes, wants.replicas), profile)
        for profile in profiles
        if (total := profile.memory.total_bytes) and (nodes := len(wants.ports_of(profile.host)))
    ]
    if not afford:
        return
    fitting, least = min(afford, key=lambda pair: pair[0])
    nodes, total = len(wants.ports_of(least.host)), least.memory.total_bytes or 0
    swap = "" if least.memory.swap_bytes != 0 else ", no swap"
    yield Finding(
        "maxmemory-unset",
        Severity.WARNING,
        least.host,
        "no maxmemory is set: a node grows until the kernel kills it",
        f"set `maxmemory: {as_setting(fitting)}` in the file's settings (what the smallest host bears)"
        if fitting
        else "put fewer nodes on this host, or give it more memory; then set `maxmemory`",
        seen=f"{_nodes(nodes)} on {shown_bytes(total)} of memory{swap}",
        risk="the kernel kills a node (OOM) when memory runs out, usually during a save",
    )


def affordable_maxmemory(total_bytes: int, nodes: int, replicas: int) -> int:
    """The maxmemory that ``nodes`` on this much memory bear, rounded down to two digits; 0 when there is none."""
    spare = total_bytes - _system(total_bytes) - nodes * _beside(replicas)
    number = int(spare / (nodes * (1 + COPY_SHARE)))
    return _rounded(number) if number >= 16 * 2**20 else 0


def as_setting(count: int) -> str:
    """``2560mb`` or ``4gb``: how the file would say it."""
    return f"{count // 2**30}gb" if count % 2**30 == 0 else f"{count // 2**20}mb"


def _rounded(count: int) -> int:
    """Down to whole GB from 10 GB on, to hundreds of MB above 1 GB, to tens below."""
    step = 2**30 if count >= 10 * 2**30 else 100 * 2**20 if count >= 2**30 else 10 * 2**20
    return count // step * step


def _system(total: int) -> int:
    return min(SYSTEM_BYTES, int(total * SYSTEM_SHARE))


def _beside(replicas: int) -> int:
    """What a node takes beside its data."""
    return PROCESS_BYTES + REPLICA_BYTES * replicas


def _needed(nodes: int, limit: int, total: int, replicas: int) -> int:
    return int(nodes * (limit * (1 + COPY_SHARE) + _beside(replicas))) + _system(total)


def _nodes(count: int) -> str:
    return "1 node" if count == 1 else f"{count} nodes"


def disks(profile: HostProfile, wants: Requirements) -> Iterator[Finding]:
    """The disk of the data; a file system without inode counts has none to run out of."""
    nodes, room = len(wants.ports_of(profile.host)), profile.room(wants.data_root)
    if not nodes or room is None:
        return
    yield from _space(profile, room, nodes, wants)
    free = room.free_inodes
    if room.total_inodes and free is not None and free < nodes * INODES_PER_NODE:
        yield Finding(
            "inodes-short",
            Severity.SERIOUS,
            profile.host,
            f"the file system of {room.path} has almost no inodes left: no more files can be made",
            f"find what fills it (du --inodes -x {room.mount_point or '/'} | sort -n | tail), or choose another place "
            "with `data:` in the file",
            seen=f"{free} of {room.total_inodes} inodes free on {_place(room)}",
            risk="saves and the append-only file fail, writes are refused (MISCONF)",
        )


def _space(profile: HostProfile, room: Room, nodes: int, wants: Requirements) -> Iterator[Finding]:
    if room.free_bytes is None:
        return
    copies, limit = 3 if wants.has_append_only_file else 2, wants.maxmemory_bytes
    wanted = nodes * limit * copies if limit else UNBOUNDED_DISK_BYTES
    least = nodes * EMPTY_NODE_BYTES
    if room.free_bytes >= max(wanted, least):
        return
    is_serious = room.free_bytes < least
    kinds = "the append-only file, its rewriting and a save" if copies == 3 else "a save beside the last one"
    yield Finding(
        "disk-short",
        Severity.SERIOUS if is_serious else Severity.WARNING,
        profile.host,
        f"only {shown_bytes(room.free_bytes)} are free where the data of {_nodes(nodes)} will be",
        f"free some room on {_place(room)}, or choose another place with `data:` in the file",
        seen=f"{_nodes(nodes)} need {shown_bytes(least)} to start with"
        if is_serious
        else f"{kinds} can take {shown_bytes(wanted)} when the nodes are full",
        risk="a full disk stops saves and the append-only file; then writes are refused (MISCONF)",
    )


def _place(room: Room) -> str:
    kind = f" ({room.file_system})" if room.file_system else ""
    return f"{room.mount_point or room.existing}{kind}"
