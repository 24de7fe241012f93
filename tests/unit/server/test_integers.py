"""Numbers in what servers say, and the absurd ones in lines and rows."""

from __future__ import annotations

import pytest

from slotwright.cluster.topology import Address
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.cluster_slots import parse_cluster_slots
from slotwright.server.integers import integer_in, parse_integer
from slotwright.server.server_time import server_time_us

ASKED = Address("10.0.0.9", 7001)


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("-1", -1), ("007", 7), (str(2**64 - 1), 2**64 - 1)])
def test_numbers(text: str, number: int) -> None:
    assert parse_integer(text) == integer_in(text) == number


@pytest.mark.parametrize("text", ["", "-", "+1", "1.5", "1e9", " 1", "1 ", "1_000", "٣", "²", str(2**64), "9" * 5000])
def test_no_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="not a number of 64 bits") as caught:
        parse_integer(text)
    assert len(str(caught.value)) < 100
    assert integer_in(text) is None


def test_no_setting_is_no_number() -> None:
    assert integer_in(None) is None


@pytest.mark.parametrize("port", [-1, 65536, 10**20])
def test_no_ports(port: int) -> None:
    with pytest.raises(ValueError):
        Address("h", port)


@pytest.mark.parametrize(
    "reply", [None, 7, [], [b"1"], [b"x", b"0"], [b"1", None], [b"9" * 5000, b"0"], [b"\xff", b"0"]]
)
def test_no_time(reply: object) -> None:
    assert server_time_us(reply) is None


@pytest.mark.parametrize(
    "line",
    [
        "a 10.0.0.1:1@2 master - 0 0 18446744073709551616 connected",
        "a 10.0.0.1:1@2 master - 0 0 -- connected",
        "a 10.0.0.1:1@2 master - 0 0 1 connected [16384->-b]",
        "a 10.0.0.1:1@2 master - 0 0 1 connected [x-<-b]",
        "a 10.0.0.1:1@2 master - 0 0 1 connected [1->-]",
        "a 10.0.0.1:1@2 master - 0 0 1 connected [1->-b->-c]",
        f"a 10.0.0.1:1@2 master - {'9' * 5000} 0 1 connected",
    ],
)
def test_absurd_lines_of_cluster_nodes(line: str) -> None:
    with pytest.raises(ValueError):
        parse_cluster_nodes(line, ASKED, 1.0)


@pytest.mark.parametrize(
    "reply",
    [
        b"OK",
        [7],
        [[0]],
        [[0, 1, []]],
        [[0, 99999, [b"h", 1, b"id"]]],
        [[0, 1, [b"h", 99999, b"id"]]],
        [[b"0", 1, [b"h"]]],
    ],
)
def test_absurd_rows_of_cluster_slots(reply: object) -> None:
    with pytest.raises(ValueError):
        parse_cluster_slots(reply)
