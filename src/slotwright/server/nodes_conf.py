"""nodes.conf, the cluster's map in a server's own words: rendered from a blueprint, judged, and made from another's.

A server that starts with such a file is a member of its cluster from its first moment: no MEET, no handshake, no
window in which slots are lost (cluster.c, clusterLoadConfig; the format is stable since 3.0, later versions read the
earlier ones' lines). Servers since 7.2 want the shard id of every node (auxiliary field), or each of them invents one.

A server that starts with a map that was cut off ends with an error, goes on without what is missing, or, where nothing
is left of it, is a member of nothing under a new id. So only a whole map is used: the server writes the line of the
epochs last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from slotwright.cluster.blueprint import Blueprint, BlueprintNode, BlueprintShard
from slotwright.cluster.observation import Role, ServerVersion
from slotwright.server.capabilities import Capability, capabilities_of
from slotwright.server.cluster_nodes import is_node_line

_VARS = re.compile(r"vars currentEpoch (\d+) lastVoteEpoch \d+")
_ID = re.compile(r"[0-9a-f]{40}")


def render_nodes_conf(blueprint: Blueprint, me: BlueprintNode, version: ServerVersion) -> str:
    """The file of node ``me``: every node a line, then the epochs."""
    with_shard_id = capabilities_of(version).has(Capability.SHARD_IDS)
    lines = [
        _line(shard, node, is_me=node == me, with_shard_id=with_shard_id)
        for shard in blueprint.shards
        for node in shard.nodes
    ]
    highest = max(node.epoch for node in blueprint.nodes)
    return "\n".join([*lines, f"vars currentEpoch {highest} lastVoteEpoch 0", ""])


def _line(shard: BlueprintShard, node: BlueprintNode, *, is_me: bool, with_shard_id: bool) -> str:
    aux = f",,tls-port=0,shard-id={shard.id}" if with_shard_id else ""
    endpoint = f"{node.address.host}:{node.address.port}@{node.address.bus_port}{aux}"
    role = "master" if node.role is Role.PRIMARY else "slave"
    primary = "-" if node.role is Role.PRIMARY else shard.primary.id
    # A replica is shown with its primary's epoch, as the server itself writes it.
    fields = [node.id, endpoint, f"myself,{role}" if is_me else role, primary, "0", "0"]
    fields += [str(shard.primary.epoch), "connected"]
    if node.role is Role.PRIMARY:
        fields += shard.slots.texts()
    return " ".join(fields)


def check_map(text: str, node_id: str) -> str:
    """Why a server could not be started with ``text`` as the node ``node_id``; "" for a whole map of its own."""
    if not text.strip("\0\1 \n"):
        return "empty"
    # Not splitlines: what is no line's end to the server is none here.
    lines = [line for line in text.split("\n") if line]
    if not text.endswith("\n") or not _VARS.fullmatch(lines[-1]):
        return "cut off: no vars line at its end"
    for number, line in enumerate(lines[:-1], 1):
        if not _is_readable(line):
            return f"damaged: line {number} can't be read"
    own = [line.split()[0] for line in lines[:-1] if "myself" in line.split()[2].split(",")]
    if len(own) != 1:
        return "no line of its own" if not own else f"{len(own)} lines of its own"
    return "" if own[0] == node_id else f"another node's: {own[0]}"


def same_map(one: str, other: str) -> bool:
    """Whether two maps differ in nothing but when their writer last heard of the others."""
    return sorted(_lasting(one)) == sorted(_lasting(other))


def nodes_of(text: str) -> frozenset[str]:
    """The ids of all nodes in a map."""
    return frozenset(fields[0] for fields in map(str.split, text.split("\n")) if fields and _ID.fullmatch(fields[0]))


def map_for(text: str, node_id: str, heir: str = "") -> str:
    """The map of ``node_id``, made from the whole map of another member of its cluster.

    One that is a primary without a slot there was replaced: a server that starts like that stays one for ever. So it
    becomes a replica of the primary of its shard, as far as shard ids tell that (Redis since 7.2, Valkey), and else of
    ``heir``, the id of the node that took over, where that is given and leads slots. It counts as having voted in the
    present epoch: what it voted stood in the map that is lost.

    Raises ValueError where the other one does not know it, or is not whole.
    """
    lines = [line.split() for line in text.split("\n") if line]
    match = _VARS.fullmatch(" ".join(lines[-1])) if lines else None
    if match is None:
        raise ValueError("the map is cut off")
    members = [line for line in lines[:-1] if "handshake" not in line[2].split(",")]
    me = next((member for member in members if member[0] == node_id), None)
    if me is None:
        raise ValueError(f"the map does not know {node_id}")
    leader = _leader_of(me, members, heir)
    rows = [_myself(me, leader) if member is me else _another(member) for member in members]
    return "\n".join([*map(" ".join, rows), f"vars currentEpoch {match[1]} lastVoteEpoch {match[1]}", ""])


def _leader_of(me: list[str], members: list[list[str]], heir: str) -> list[str] | None:
    """The line of the primary that took this node's place; None for a replica, and for one that leads slots."""
    if "slave" in me[2].split(",") or me[8:]:
        return None
    leaders = [member for member in members if "master" in member[2].split(",") and member[8:]]
    in_shard = [leader for leader in leaders if _shard_id(leader) and _shard_id(leader) == _shard_id(me)]
    return next(iter(in_shard or [leader for leader in leaders if leader[0] == heir]), None)


def _shard_id(fields: list[str]) -> str:
    match = re.search(r",shard-id=([0-9a-f]+)", fields[1])
    return match[1] if match else ""


def _myself(fields: list[str], leader: list[str] | None) -> list[str]:
    name, endpoint, flags, primary, _, _, epoch, _, *slots = fields
    kept = [flag for flag in flags.split(",") if flag not in ("myself", "fail?", "fail", "noaddr")]
    if leader is not None:
        kept = ["slave" if flag == "master" else flag for flag in kept]
        primary, epoch = leader[0], leader[6]
    return [name, endpoint, ",".join(["myself", *kept]), primary, "0", "0", epoch, "connected", *_owned(slots)]


def _another(fields: list[str]) -> list[str]:
    """Who suspects whom is each node's own; that somebody failed was agreed on."""
    kept = [flag for flag in fields[2].split(",") if flag not in ("myself", "fail?")]
    return [*fields[:2], ",".join(kept) or "noflags", fields[3], "0", "0", *fields[6:8], *_owned(fields[8:])]


def _owned(slots: list[str]) -> list[str]:
    """Open slots go: they are known by their owner alone."""
    return [slot for slot in slots if not slot.startswith("[")]


def _is_readable(line: str) -> bool:
    return is_node_line(line.rstrip()) and _ID.fullmatch(line.split()[0]) is not None


def _lasting(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        fields = line.split()
        yield " ".join([*fields[:4], *fields[6:7], *fields[8:]]) if len(fields) > 7 else line
