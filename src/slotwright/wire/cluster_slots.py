"""CLUSTER SLOTS -> model: what every client of a cluster reads first.

A row is ``start, end, primary, replica...``, a node ``[host, port, id, [name, value, ...]]``
(redis.io/docs/latest/commands/cluster-slots). The host is null where clients shall use the one that they asked at
(``cluster-preferred-endpoint-type unknown-endpoint``), and "" where the node does not know its own; "?" where names are
preferred and the node has none. The pairs, since 7.0, are the node's other addresses: ``ip``, ``hostname``.
"""

from __future__ import annotations

from slotwright.model.cluster import Role
from slotwright.model.slots import SlotRange, SlotSet
from slotwright.model.walk import Announced, AnnouncedShard


def parse_cluster_slots(reply: object) -> tuple[AnnouncedShard, ...]:
    """Shards in the order of their first slots. Raises ValueError for what is not of that form."""
    if not isinstance(reply, list):
        raise ValueError("CLUSTER SLOTS is a list")
    ranges: dict[str, list[SlotRange]] = {}
    nodes: dict[str, tuple[Announced, ...]] = {}
    for row in reply:
        if not isinstance(row, list) or len(row) < 3 or not isinstance(row[0], int) or not isinstance(row[1], int):
            raise ValueError(f"not a row of CLUSTER SLOTS: {row!r}")
        told = tuple(_node(cell, is_first=number == 0) for number, cell in enumerate(row[2:]))
        ranges.setdefault(told[0].id, []).append(SlotRange(row[0], row[1]))
        nodes.setdefault(told[0].id, told)
    shards = (AnnouncedShard(SlotSet.of(ranges[owner]), nodes[owner]) for owner in ranges)
    return tuple(sorted(shards, key=lambda shard: shard.slots.ranges[0].first))


def _node(cell: object, *, is_first: bool) -> Announced:
    if not isinstance(cell, list) or len(cell) < 3 or not isinstance(cell[1], int):
        raise ValueError(f"not a node of CLUSTER SLOTS: {cell!r}")
    more = [_text(word) for word in cell[3]] if len(cell) > 3 and isinstance(cell[3], list) else []
    pairs = dict(zip(more[::2], more[1::2], strict=False))
    others = tuple(value for name, value in pairs.items() if name in ("ip", "hostname") and value)
    return Announced(_text(cell[2]), _text(cell[0]), cell[1], Role.PRIMARY if is_first else Role.REPLICA, others)


def _text(word: object) -> str:
    return word.decode(errors="replace") if isinstance(word, bytes) else ""
