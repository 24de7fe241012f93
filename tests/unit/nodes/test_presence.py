"""Who changes a cluster is seen on its nodes, and gives way to whom it sees there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, RefusedError
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.presence import Operator, claim
from slotwright.ports import Argument, Reply, ReplyError

NODES = (Address("h1", 7001), Address("h2", 7001))


@dataclass
class Node:
    """A server that knows the names of its clients."""

    address: Address
    names: list[str] = field(default_factory=list)

    async def call(self, *words: Argument, timeout_s: float | None = None) -> Reply:
        if words[:2] == ("CLIENT", "SETNAME"):
            if " " in str(words[2]):
                raise ReplyError("ERR Client names cannot contain spaces, newlines or special characters.")
            self.names.append(str(words[2]))
            return b"OK"
        rows = [f"id={number} addr=h:1 name={name} age=1" for number, name in enumerate(self.names)]
        return "\n".join(rows).encode()

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        return [await self.call(*command) for command in commands]

    async def close(self) -> None:
        pass


@dataclass
class Nodes:
    """Implements :class:`slotwright.ports.Dialer`."""

    nodes: dict[Address, Node]

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Node:
        if address not in self.nodes:
            raise NodeUnreachableError(f"nothing listens on {address}")
        return self.nodes[address]


def come(nodes: Nodes, who: str, token: str) -> None:
    asyncio.run(claim(ConnectionPool(nodes), NODES, Operator("repair", who, token), "cache"))


def test_whoever_comes_second_gives_way_and_is_told_to_whom() -> None:
    nodes = Nodes({address: Node(address) for address in NODES})
    come(nodes, "ann@east", "t1")
    with pytest.raises(RefusedError) as caught:
        come(nodes, "bob@west", "t2")
    assert caught.value.code == "locked"
    assert caught.value.seen == "`slotwright repair` of ann@east, connected to its nodes"


def test_one_does_not_give_way_to_oneself_nor_to_other_clients() -> None:
    nodes = Nodes({address: Node(address, ["app-server", ""]) for address in NODES})
    come(nodes, "ann@east", "t1")
    come(nodes, "ann@east", "t1")


def test_a_node_that_is_away_tells_nothing() -> None:
    come(Nodes({NODES[1]: Node(NODES[1])}), "ann@east", "t1")


def test_a_name_fits_what_servers_allow() -> None:
    name = Operator("repair", "jean luc/x@höst", "t1").name
    assert name == "slotwright/repair/jean_luc_x@h_st/t1"
