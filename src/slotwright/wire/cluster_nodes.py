"""CLUSTER NODES -> model. One line a node, keyed by id, so that two nodes without an address stay two nodes.

The format is that of the command's documentation (redis.io/docs/latest/commands/cluster-nodes):
``id ip:port@cport[,hostname[,aux=value...]] flags primary ping-sent pong-received epoch link-state slot...``; a slot
is ``7``, ``0-5460``, ``[7->-id]`` (migrating) or ``[7-<-id]`` (importing).

All nodes of a sound cluster say the same of each one, apart from the times of ping and pong. So a line that was read
before is not read again: equal lines share one :class:`PeerView`.

The state of a link tells only whether there is a socket. Where packets vanish it stays ``connected`` for long, and is
so again once the server tries anew. What tells is a ping that nobody answers: its time stands there until the answer.
"""

from __future__ import annotations

from functools import lru_cache

from slotwright.model.cluster import OpenSlot, PeerView, Role
from slotwright.model.slots import SlotRange, SlotSet
from slotwright.model.topology import Address

_REMEMBERED_LINES = 4096
"""A node has two lines, as it is seen by itself and by the others: enough for 1000 nodes and some change."""


def parse_cluster_nodes(text: str, dialled: Address, unanswered_before_ms: float = 0) -> tuple[PeerView, ...]:
    """All lines. A node that doesn't know its own IP yet gets the host that was ``dialled``.

    One whose answer to a ping of before ``unanswered_before_ms`` (by the server's clock) is still awaited is not
    connected. Raises :class:`ValueError` for a line that is not of the format.
    """
    return tuple(_line(line, dialled.host, unanswered_before_ms) for line in text.splitlines() if line.strip())


def _line(line: str, host: str, unanswered_before_ms: float) -> PeerView:
    fields = line.split(None, 6)
    if len(fields) < 7:
        raise ValueError(f"not a line of CLUSTER NODES: {' '.join(fields)!r}")
    node_id, endpoint, flags, primary, ping_ms, _, rest = fields
    is_silent = ping_ms.isdigit() and 0 < int(ping_ms) < unanswered_before_ms
    return _peer(node_id, endpoint, flags, primary, rest, host if endpoint.startswith(":") else "", is_silent)


@lru_cache(_REMEMBERED_LINES)
def _peer(node_id: str, endpoint: str, flag_text: str, primary: str, rest: str, host: str, is_silent: bool) -> PeerView:
    epoch, *states = rest.split()
    if not states:
        raise ValueError(f"not a line of CLUSTER NODES: {node_id} {endpoint} {flag_text} ... {rest!r}")
    flags = frozenset(flag_text.split(","))
    slots, migrating, importing = _slots(states[1:])
    return PeerView(
        id=node_id,
        address=_address(endpoint, flags, host),
        flags=flags,
        role=Role.REPLICA if "slave" in flags else Role.PRIMARY,
        replica_of=None if primary == "-" else primary,
        epoch=int(epoch),
        is_connected=states[0] == "connected" and not is_silent,
        slots=slots,
        migrating=migrating,
        importing=importing,
    )


def _address(endpoint: str, flags: frozenset[str], own_host: str) -> Address | None:
    place = endpoint.split(",", 1)[0].split("@", 1)[0]
    host, _, port = place.rpartition(":")
    if not host and "myself" in flags:
        host = own_host
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
