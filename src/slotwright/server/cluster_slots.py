"""CLUSTER SLOTS -> model: what every client of a cluster reads first.

A row is ``start, end, primary, replica...``, a node ``[host, port, id, [name, value, ...]]``
(redis.io/docs/latest/commands/cluster-slots). The host is null where clients shall use the one that they asked at
(``cluster-preferred-endpoint-type unknown-endpoint``), and "" where the node does not know its own; "?" where names are
preferred and the node has none. The pairs, since 7.0, are the node's other addresses: ``ip``, ``hostname``; in RESP3
they are a map. All of these are what a node announced, which may be any text.
"""

from __future__ import annotations

from slotwright.cluster.announced import Announced, AnnouncedShard
from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.server.addresses import UNKNOWN_HOST, escaped, is_host


def parse_cluster_slots(reply: object) -> tuple[AnnouncedShard, ...]:
    """Shards in the order of their first slots. Raises ValueError for what is not of that form."""
    if not isinstance(reply, list):
        raise ValueError("CLUSTER SLOTS is a list")
    ranges: dict[str, list[SlotRange]] = {}
    nodes: dict[str, tuple[Announced, ...]] = {}
    for row in reply:
        if not isinstance(row, list) or len(row) < 3 or not isinstance(row[0], int) or not isinstance(row[1], int):
            raise ValueError(f"not a row of CLUSTER SLOTS: {escaped(str(row))}")
        announcements = tuple(_node(cell, is_first=number == 0) for number, cell in enumerate(row[2:]))
        ranges.setdefault(announcements[0].id, []).append(SlotRange(row[0], row[1]))
        nodes.setdefault(announcements[0].id, announcements)
    shards = (AnnouncedShard(SlotSet.of(ranges[owner]), nodes[owner]) for owner in ranges)
    return tuple(sorted(shards, key=lambda shard: shard.slots.ranges[0].first))


def _node(cell: object, *, is_first: bool) -> Announced:
    if not isinstance(cell, list) or len(cell) < 3 or not isinstance(cell[1], int) or not 0 <= cell[1] <= 65535:
        raise ValueError(f"not a node of CLUSTER SLOTS: {escaped(str(cell))}")
    host, others = _text(cell[0]), _others(cell[3] if len(cell) > 3 else None)
    bad = [text for text in (host, *others) if text not in ("", UNKNOWN_HOST) and not is_host(text)]
    return Announced(
        _text(cell[2]),
        UNKNOWN_HOST if host in bad else host,
        cell[1],
        Role.PRIMARY if is_first else Role.REPLICA,
        tuple(text for text in others if text not in bad),
        f"{' and '.join(map(escaped, bad))} is no IP address and no host name" if bad else "",
    )


def _others(more: object) -> tuple[str, ...]:
    """The further addresses of a node."""
    if isinstance(more, dict):
        pairs = {_text(name): _text(value) for name, value in more.items()}
    else:
        fields = [_text(word) for word in more] if isinstance(more, list) else []
        pairs = dict(zip(fields[::2], fields[1::2], strict=False))
    return tuple(value for name, value in pairs.items() if name in ("ip", "hostname") and value)


def _text(word: object) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else ""
