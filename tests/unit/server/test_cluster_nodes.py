"""CLUSTER NODES as servers of several versions printed it, line by line."""

from __future__ import annotations

import pytest

from slotwright.cluster.observation import OpenSlot, PeerView, Role
from slotwright.cluster.topology import Address
from slotwright.server.cluster_nodes import parse_cluster_nodes
from tests.unit.server.test_addresses import HOSTILE

A, B, C, D, E, F = (letter * 40 for letter in "abcdef")
DIALLED = Address("10.0.0.9", 7001)


def one(line: str) -> PeerView:
    (peer,) = parse_cluster_nodes(line, DIALLED)
    return peer


REDIS_6_2 = f"""\
{A} 127.0.0.1:36823@46823 myself,master - 0 0 1 connected 0-5460 [7->-{B}] [5461-<-{B}]
{E} :0@0 slave,noaddr {C} 0 0 3 disconnected
{B} 127.0.0.1:7002@17002 master - 1795400999469 0 2 disconnected 5461-10922
1541e90d049a254ea9bf28b0f501c102fff730e0 127.0.0.1:7999@17999 handshake - 0 0 0 disconnected
{D} 127.0.0.1:7004@17004 slave {B} 1795400999469 0 2 disconnected
{F} :0@0 master,noaddr - 0 0 0 disconnected
{C} 127.0.0.1:7003@17003 master,fail - 0 1795400999468 3 disconnected 10923-16383

"""

VALKEY_9_1 = f"""\
{C} 127.0.0.1:7003@17003 master,fail - 0 1795401001448 3 disconnected 10923-16383
{F} :0@0 master,fail,noaddr - 0 0 0 disconnected
{A} 127.0.0.1:45259@55259,h1.example myself,master - 0 0 1 connected 0-5460
{E} :0@0 slave,fail,noaddr {C} 0 0 3 disconnected
"""


def test_all_lines_of_redis_6_2() -> None:
    peers = {peer.id: peer for peer in parse_cluster_nodes(REDIS_6_2, DIALLED)}
    assert len(peers) == 7
    assert [str(peers[node].slots) for node in (A, B, C, D)] == ["0-5460", "5461-10922", "10923-16383", ""]
    assert peers[D].replica_of == B and peers[D].role is Role.REPLICA
    assert peers[A].migrating == (OpenSlot(7, B),)
    assert peers[A].importing == (OpenSlot(5461, B),)
    assert peers[A].is_connected and not peers[B].is_connected
    assert peers[C].is_failed and not peers[C].is_suspected


def test_two_nodes_without_an_address_stay_two() -> None:
    for text in (REDIS_6_2, VALKEY_9_1):
        lost = [peer for peer in parse_cluster_nodes(text, DIALLED) if "noaddr" in peer.flags]
        assert {(peer.id, peer.address) for peer in lost} == {(E, None), (F, None)}


def test_a_failed_node_of_valkey_9_has_both_flags() -> None:
    peers = parse_cluster_nodes(VALKEY_9_1, DIALLED)
    assert [peer.id for peer in peers if peer.is_failed] == [C, F, E]


def test_a_handshake() -> None:
    peer = one(f"{D} 127.0.0.1:7999@17999 handshake - 0 0 0 disconnected")
    assert peer.flags == {"handshake"}
    assert (peer.role, peer.replica_of, peer.address) == (Role.PRIMARY, None, Address("127.0.0.1", 7999))


def test_a_suspected_node() -> None:
    peer = one(f"{D} 127.0.0.1:7004@17004 slave,fail? {B} 1795400999469 0 2 connected")
    assert peer.is_suspected and not peer.is_failed


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("10.0.0.1:7001", Address("10.0.0.1", 7001)),
        ("10.0.0.1:7001@17001", Address("10.0.0.1", 7001)),
        ("10.0.0.1:7001@17001,h1.example", Address("10.0.0.1", 7001)),
        ("10.0.0.1:7001@17001,", Address("10.0.0.1", 7001)),
        (
            "10.0.0.1:7001@17001,,tls-port=0,shard-id=69bc080733d1355567173199cff4a6a039a2f024",
            Address("10.0.0.1", 7001),
        ),
        ("10.0.0.1:7001@17001,h1.example,tls-port=0,shard-id=69bc0807", Address("10.0.0.1", 7001)),
        ("::1:7001@17001", Address("::1", 7001)),
        ("2001:db8::2:7001@17001,h1.example", Address("2001:db8::2", 7001)),
        ("fe80::1%eth0:7001@17001", Address("fe80::1%eth0", 7001)),
        ("my_container-1:7001@17001", Address("my_container-1", 7001)),
        ("?:7001@17001", None),
        (":7001@17001", None),
        (":0@0", None),
    ],
)
def test_endpoints_of_others(endpoint: str, address: Address | None) -> None:
    peer = one(f"{B} {endpoint} master - 0 1 2 connected")
    assert (peer.address, peer.address_fault) == (address, "")


@pytest.mark.parametrize(
    ("endpoint", "bus_port"),
    [("10.0.0.1:7001@27001", 27001), ("::1:7001@17001,h1.example", 17001), ("10.0.0.1:7001", None), (":0@0", None)],
)
def test_the_port_of_the_bus(endpoint: str, bus_port: int | None) -> None:
    assert one(f"{B} {endpoint} master - 0 1 2 connected").bus_port == bus_port


def test_myself_without_an_ip_is_where_we_dialled() -> None:
    assert one(f"{A} :36823@46823 myself,master - 0 0 1 connected 0-5460").address == Address("10.0.0.9", 36823)


def test_myself_with_an_ip_keeps_it() -> None:
    peer = one(f"{A} 127.0.0.1:32891@42891,h1.example myself,slave {B} 0 0 1 connected")
    assert peer.address == Address("127.0.0.1", 32891)
    assert peer.role is Role.REPLICA


def test_single_slots_and_ranges() -> None:
    assert one(f"{A} 10.0.0.1:1@2 master - 0 0 1 connected 0 2-4 5 16383").slots.texts() == ("0", "2-5", "16383")


def test_carriage_returns_and_empty_lines_are_nothing() -> None:
    assert parse_cluster_nodes(f"\r\n{A} 10.0.0.1:1@2 master - 0 0 1 connected 5\r\n\r\n", DIALLED)[
        0
    ].slots.texts() == ("5",)


def test_no_lines() -> None:
    assert parse_cluster_nodes("", DIALLED) == ()


@pytest.mark.parametrize(
    "line",
    [
        "ERR This instance has cluster support disabled",
        f"{A} 10.0.0.1:7001@17001 master - 0 0",
        f"{A} 10.0.0.1:7001@17001 master - 0 0 x connected",
        f"{A} 10.0.0.1:7001@17001 master - 0 0 1 connected 0-99999",
        f"{A} 10.0.0.1:7001@17001 master - 0 0 1 connected [7]",
    ],
)
def test_lines_of_another_format(line: str) -> None:
    with pytest.raises(ValueError):
        one(line)


def test_equal_lines_share_one_object_whatever_the_times() -> None:
    line = f"{A} 10.0.0.1:7001@17001 master - 0 1795400999469 3 connected 0-5460"
    again = f"{A} 10.0.0.1:7001@17001 master - 17 1795401001448 3 connected 0-5460"
    assert one(line) is one(again)


VARIANTS = [
    f"{A} 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460",
    f"{B} 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460",
    f"{A} 10.0.0.2:7001@17001 master - 0 0 3 connected 0-5460",
    f"{A} 10.0.0.1:7002@17002 master - 0 0 3 connected 0-5460",
    f"{A} 10.0.0.1:7001@17001 myself,master - 0 0 3 connected 0-5460",
    f"{A} 10.0.0.1:7001@17001 slave {B} 0 0 3 connected",
    f"{A} 10.0.0.1:7001@17001 slave {C} 0 0 3 connected",
    f"{A} 10.0.0.1:7001@17001 master - 0 0 4 connected 0-5460",
    f"{A} 10.0.0.1:7001@17001 master - 0 0 3 disconnected 0-5460",
    f"{A} 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5461",
    f"{A} 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460 [7->-{B}]",
    f"{A} 10.0.0.1:7001@17001 master - 0 0 3 connected 0-5460 [7-<-{B}]",
]


def test_lines_that_differ_in_one_thing_never_mix() -> None:
    for text in (VARIANTS, VARIANTS[::-1]):
        peers = parse_cluster_nodes("\n".join(text), DIALLED)
        assert len({id(peer) for peer in peers}) == len({repr(peer) for peer in peers}) == len(VARIANTS)


def test_the_own_address_is_that_which_was_dialled_each_time() -> None:
    line = f"{A} :7001@17001 myself,master - 0 0 1 connected 0-5460"
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        (peer,) = parse_cluster_nodes(line, Address(host, 7001))
        assert peer.address == Address(host, 7001)


@pytest.mark.parametrize("line", [f"{A} 10.0.0.1:7001@17001 master - 0 0", f"{A} 10.0.0.1:7001@17001 master - 0 0 1"])
def test_a_line_that_was_cut_is_refused_each_time(line: str) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="CLUSTER NODES"):
            parse_cluster_nodes(line, DIALLED)


def test_who_does_not_answer_pings_is_not_connected() -> None:
    """Where packets vanish, the state of the link goes on saying connected."""
    text = (
        f"{A} 10.0.0.1:1@2 myself,master - 0 0 1 connected 5\n"
        f"{B} 10.0.0.2:1@2 master - 1795400999469 1795400999000 2 connected 6\n"
        f"{C} 10.0.0.3:1@2 master - 0 1795400999000 3 connected 7\n"
    )
    for before_ms, connected in ((0, True), (1795400999469, True), (1795400999470, False)):
        peers = parse_cluster_nodes(text, DIALLED, before_ms)
        assert [peer.is_connected for peer in peers] == [True, connected, True]


SOUND = f"{A} 10.0.0.1:1@2 myself,master - 0 0 1 connected 5\n{C} 10.0.0.3:1@2 master - 0 9 3 connected 7\n"
LIE = f"\n{C} x"


@pytest.mark.parametrize(
    "text",
    [
        *(text for text in HOSTILE if text not in ("", "?")),
        LIE,
        "x:1@2 master - 0 0 1 connected",
        "10.6.6.6:1@2 master - 0 0 1 connected\n",
        "10.6.6.6:1@2 master - 0 0 1 connected 0-9",
        "10.6.6.6:1@2 master - 0 0 1 connected [5-<-",
        "10.6.6.6:1@2,",
        "\n",
        "\n" * 45,
        "\ufffd",
        f"{C} 10",
    ],
)
@pytest.mark.parametrize("at_line", [0, 1, 2])
def test_whatever_a_node_announces_it_is_that_node_and_nobody_else(text: str, at_line: int) -> None:
    """The server prints it as it is, with the node's own fields behind it."""
    lines = SOUND.splitlines()
    lines.insert(at_line, f"{B} {text}:7002@17002 slave {A} 0 9 1 connected")
    peers = {peer.id: peer for peer in parse_cluster_nodes("\n".join(lines) + "\n", DIALLED)}
    assert peers.keys() == {A, B, C}
    assert (peers[B].address, peers[B].role, peers[B].replica_of, peers[B].slots.texts()) == (None, Role.REPLICA, A, ())
    assert peers[B].address_fault and peers[B].address_fault.isascii() and peers[B].address_fault.isprintable()
    sound = {peer.id: peer for peer in parse_cluster_nodes(SOUND, DIALLED)}
    assert (peers[A], peers[C]) == (sound[A], sound[C])


def test_a_name_that_is_none_leaves_the_address_good() -> None:
    peer = one(f'{B} 10.0.0.2:7002@17002,"+evil+",shard-id=1 master - 0 9 1 connected 6')
    assert peer.address == Address("10.0.0.2", 7002)
    assert "evil" in peer.address_fault


@pytest.mark.parametrize("port", ["65536", "99999999999999999999"])
def test_a_port_that_is_none(port: str) -> None:
    peer = one(f"{B} 10.0.0.2:{port}@17002 master - 0 9 1 connected 6")
    assert peer.address is None and port[:9] in peer.address_fault


def test_a_rest_without_end_is_refused_before_long() -> None:
    with pytest.raises(ValueError, match="CLUSTER NODES"):
        parse_cluster_nodes(SOUND + "x\n" * 1_000_000, DIALLED)


def test_a_puzzle_without_an_end_is_given_up() -> None:
    """What looks like the beginning of a node again and again, and never closes: others wait meanwhile."""
    text = "\n".join([f"{A} " + "q " * 200_000] * 60)
    with pytest.raises(ValueError, match="not a line of CLUSTER NODES"):
        parse_cluster_nodes(text, DIALLED)
