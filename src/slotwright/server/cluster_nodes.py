"""CLUSTER NODES -> model. One line a node, keyed by id, so that two nodes without an address stay two nodes.

The format is that of the command's documentation (redis.io/docs/latest/commands/cluster-nodes):
``id ip:port@cport[,hostname[,aux=value...]] flags primary ping-sent pong-received epoch link-state slot...``; a slot
is ``7``, ``0-5460``, ``[7->-id]`` (migrating) or ``[7-<-id]`` (importing).

All nodes of a sound cluster say the same of each one, apart from the times of ping and pong. So a line that was read
before is not read again: equal lines share one :class:`PeerView`.

The IP is what the node announced, up to 45 bytes of any text, and every member prints it as it is (cluster.c,
clusterGenNodeDescription). With blanks and line ends in it one node could so make a line of another one's, or make
everybody's answer unreadable. So a line counts as one only where all of its fields are right. The rest is put
together with what stands beside it: what follows the text is the server's own, thus a node's fields are read from the
end, and the text between them and its id is no address.

The state of a link tells only whether there is a socket. Where packets vanish it stays ``connected`` for long, and is
so again once the server tries anew. What tells is a ping that nobody answers: its time stands there until the answer.
"""

from __future__ import annotations

import re
from functools import lru_cache

from slotwright.cluster.observation import OpenSlot, PeerView, Role
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.topology import Address
from slotwright.server.addresses import UNKNOWN_HOST, escaped, is_host_name, parse_host, parse_port
from slotwright.server.integers import integer_in

_REMEMBERED_LINES = 4096
"""A node has two lines, as it is seen by itself and by the others: enough for 1000 nodes and some change."""

_HEAD = re.compile(r"[0-9a-f]{40} ")
_FIELDS = re.compile(
    r"(\S+) (.*) ([a-z?,]+) (\S+) ([0-9]+) ([0-9]+) ([0-9]+) ((?:dis)?connected(?: [0-9-]+| \[\S+\])*)", re.DOTALL
)
"""A greedy text in the middle: the last fields that look like a node's are the server's own."""
_ENDPOINT = re.compile(r"(.*):([0-9]+)(?:@([0-9]+)(?:,([^,]*)(?:,.*)?)?)?", re.DOTALL)
_MOST_PARTS = 64
"""Line ends within one announced IP: more than it has bytes (NET_IP_STR_LEN is 46)."""
_MOST_PUZZLED_OVER = 8 * 1024 * 1024
"""Characters of texts whose fields are looked for, all tries together: a tenth of a second."""


def parse_cluster_nodes(text: str, dialled: Address, unanswered_before_ms: float = 0) -> tuple[PeerView, ...]:
    """All lines. A node that doesn't know its own IP yet gets the host that was ``dialled``; one whose address is none
    has a :attr:`PeerView.address_fault`.

    One whose answer to a ping of before ``unanswered_before_ms`` (by the server's clock) is still awaited is not
    connected. Raises :class:`ValueError` for a line that is not of the format.
    """
    reader = _Reader(dialled.host, unanswered_before_ms)
    # Not splitlines: what is a line's end to Python is text to the server.
    for line in text.split("\n"):
        if line.strip():
            reader.take(line.rstrip("\r"))
    return reader.peers()


def is_node_line(line: str) -> bool:
    """Whether ``line`` by itself is a node's, as a server that reads its ``nodes.conf`` takes it: every field in its
    place. Its address may be any text."""
    return _whole_line(line, "", 0) is not None


class _Reader:
    """Lines -> nodes. ``_open`` is the beginning of a node whose fields have not come yet."""

    def __init__(self, host: str, unanswered_before_ms: float) -> None:
        self._host = host
        self._before_ms = unanswered_before_ms
        self._found: list[PeerView] = []
        self._last = ""
        self._open = ""
        self._parts = 0
        self._puzzled_over = 0

    def take(self, line: str) -> None:
        """A line, or a part of one."""
        if self._open:
            self._close(f"{self._open}\n{line}")
            return
        peer = _whole_line(line.rstrip(" "), self._host, self._before_ms)
        if peer is not None:
            self._found.append(peer)
            self._last, self._parts = line, 0
        elif _HEAD.match(line):
            self._close(line)
        elif self._found:
            # A rest: the line before it was not the node's own.
            self._found.pop()
            self._close(f"{self._last}\n{line}")
        else:
            raise _not_a_line(line)

    def peers(self) -> tuple[PeerView, ...]:
        """All of them. Raises ValueError where the fields of the last one did not come."""
        if self._open:
            raise _not_a_line(self._open)
        return tuple(self._found)

    def _close(self, text: str) -> None:
        """A node's text whose fields don't stand where they should: they are its last ones."""
        self._parts += 1
        self._puzzled_over += len(text)
        if self._parts > _MOST_PARTS or self._puzzled_over > _MOST_PUZZLED_OVER:
            raise _not_a_line(text)
        match = _FIELDS.fullmatch(text.rstrip(" "))
        node_id, endpoint, flags, primary, ping, _, epoch, rest = match.groups() if match else [""] * 8
        ping_ms = integer_in(ping)
        is_silent = ping_ms is not None and 0 < ping_ms < self._before_ms
        is_whole = match is not None and ping_ms is not None
        peer = _peer(node_id, endpoint, flags, primary, f"{epoch} {rest}", "", is_silent) if is_whole else None
        self._open = "" if peer is not None else text
        if peer is not None:
            self._found.append(peer)
            self._last = text


def _whole_line(line: str, host: str, before_ms: float) -> PeerView | None:
    fields = line.split(" ", 6)
    ping_ms = integer_in(fields[4]) if len(fields) == 7 else None
    if ping_ms is None or not fields[4].isdecimal() or not fields[5].isdecimal():
        return None
    node_id, endpoint, flags, primary, _, _, rest = fields
    is_silent = 0 < ping_ms < before_ms
    return _peer(node_id, endpoint, flags, primary, rest, host if endpoint.startswith(":") else "", is_silent)


@lru_cache(_REMEMBERED_LINES)
def _peer(
    node_id: str, endpoint: str, flag_text: str, primary: str, rest: str, host: str, is_silent: bool
) -> PeerView | None:
    """None where a field is not of the format."""
    epoch_text, *states = rest.split(" ")
    epoch = integer_in(epoch_text)
    if epoch is None or epoch < 0 or not states or states[0] not in ("connected", "disconnected"):
        return None
    flags = frozenset(flag_text.split(","))
    try:
        slots, migrating, importing = _slots(states[1:])
    except ValueError:
        return None
    address, fault = _address(endpoint, flags, host)
    return PeerView(
        id=node_id,
        address=address,
        flags=flags,
        role=Role.REPLICA if "slave" in flags else Role.PRIMARY,
        replica_of=None if primary == "-" else primary,
        epoch=epoch,
        is_connected=states[0] == "connected" and not is_silent,
        slots=slots,
        migrating=migrating,
        importing=importing,
        address_fault=fault,
        bus_port=_bus_port(endpoint),
    )


def _address(endpoint: str, flags: frozenset[str], own_host: str) -> tuple[Address | None, str]:
    """None with "" where no address is told; else what is wrong with it, in words."""
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        return None, f"{escaped(endpoint)} is no address"
    host, port, _, name = match.groups(default="")
    fault = "" if name in ("", UNKNOWN_HOST) or is_host_name(name) else f"{escaped(name)} is no host name"
    try:
        number = parse_port(port)
        if host not in ("", UNKNOWN_HOST):
            parse_host(host)
    except ValueError as error:
        return None, str(error)
    if not host and "myself" in flags:
        host = own_host
    if host in ("", UNKNOWN_HOST) or "noaddr" in flags:
        return None, fault
    return Address(host, number), fault


def _bus_port(endpoint: str) -> int | None:
    match = _ENDPOINT.fullmatch(endpoint)
    number = integer_in(match[3] or "") if match else None
    return number if number is not None and 0 < number <= 65535 else None


def _slots(fields: list[str]) -> tuple[SlotSet, tuple[OpenSlot, ...], tuple[OpenSlot, ...]]:
    ranges: list[SlotRange] = []
    migrating: list[OpenSlot] = []
    importing: list[OpenSlot] = []
    for word in fields:
        if not word.startswith("["):
            ranges.append(SlotRange.parse(word))
        elif "->-" in word:
            migrating.append(_open_slot(word, "->-"))
        else:
            importing.append(_open_slot(word, "-<-"))
    return SlotSet.of(ranges), tuple(migrating), tuple(importing)


def _open_slot(word: str, arrow: str) -> OpenSlot:
    slot, text, peer = word.removeprefix("[").partition(arrow)
    if not text or not peer.endswith("]") or arrow in peer or peer == "]":
        raise ValueError(f"not a slot: {escaped(word)}")
    return OpenSlot(SlotRange.parse(slot).first, peer[:-1])


def _not_a_line(text: str) -> ValueError:
    return ValueError(f"not a line of CLUSTER NODES: {escaped(text)}")
