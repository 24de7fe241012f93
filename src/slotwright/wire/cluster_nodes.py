"""CLUSTER NODES -> model. One line a node, keyed by id, so that two nodes without an address stay two nodes.

The format is that of the command's documentation (redis.io/docs/latest/commands/cluster-nodes):
``id ip:port@cport[,hostname[,aux=value...]] flags primary ping-sent pong-received epoch link-state slot...``; a slot
is ``7``, ``0-5460``, ``[7->-id]`` (migrating) or ``[7-<-id]`` (importing).
"""

from __future__ import annotations

from slotwright.model.cluster import OpenSlot, PeerView, Role
from slotwright.model.slots import SlotRange, SlotSet
from slotwright.model.topology import Address


def parse_cluster_nodes(text: str, dialled: Address) -> tuple[PeerView, ...]:
    """All lines. A node that doesn't know its own IP yet gets the host that was ``dialled``.

    Raises :class:`ValueError` for a line that is not of the format.
    """
    return tuple(_peer(line.split(), dialled) for line in text.splitlines() if line.strip())


def _peer(fields: list[str], dialled: Address) -> PeerView:
    if len(fields) < 8:
        raise ValueError(f"not a line of CLUSTER NODES: {' '.join(fields)!r}")
    node_id, endpoint, flag_text, primary, _, _, epoch, link = fields[:8]
    flags = frozenset(flag_text.split(","))
    slots, migrating, importing = _slots(fields[8:])
    return PeerView(
        id=node_id,
        address=_address(endpoint, flags, dialled),
        flags=flags,
        role=Role.REPLICA if "slave" in flags else Role.PRIMARY,
        replica_of=None if primary == "-" else primary,
        epoch=int(epoch),
        is_connected=link == "connected",
        slots=slots,
        migrating=migrating,
        importing=importing,
    )


def _address(endpoint: str, flags: frozenset[str], dialled: Address) -> Address | None:
    place = endpoint.split(",", 1)[0].split("@", 1)[0]
    host, _, port = place.rpartition(":")
    if not host and "myself" in flags:
        host = dialled.host
    if not host or "noaddr" in flags or not port.isdigit():
        return None
    return Address(host, int(port))


def _slots(words: list[str]) -> tuple[SlotSet, tuple[OpenSlot, ...], tuple[OpenSlot, ...]]:
    ranges: list[SlotRange] = []
    migrating: list[OpenSlot] = []
    importing: list[OpenSlot] = []
    for word in words:
        if not word.startswith("["):
            ranges.append(SlotRange.parse(word))
        elif "->-" in word:
            slot, peer = word[1:-1].split("->-")
            migrating.append(OpenSlot(int(slot), peer))
        else:
            slot, peer = word[1:-1].split("-<-")
            importing.append(OpenSlot(int(slot), peer))
    return SlotSet.of(ranges), tuple(migrating), tuple(importing)
