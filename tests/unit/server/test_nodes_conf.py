"""The map that a node is given before it runs."""

from __future__ import annotations

import re

import pytest

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Address, EngineKind
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.nodes_conf import check_map, map_for, nodes_of, render_nodes_conf, same_map
from tests.fakes import build

OLD = ServerVersion(EngineKind.REDIS, (7, 0, 15))
NEW = ServerVersion(EngineKind.REDIS, (7, 2, 0))
SIX = build.blueprint(build.topology())


def test_the_whole_file_of_a_replica_of_an_old_server() -> None:
    first, second, third = SIX.shards
    assert render_nodes_conf(SIX, first.replicas[0], OLD) == (
        f"{first.primary.id} h1:7001@17001 master - 0 0 1 connected 0-5460\n"
        f"{first.replicas[0].id} h2:7002@17002 myself,slave {first.primary.id} 0 0 1 connected\n"
        f"{second.primary.id} h2:7001@17001 master - 0 0 2 connected 5461-10922\n"
        f"{second.replicas[0].id} h3:7002@17002 slave {second.primary.id} 0 0 2 connected\n"
        f"{third.primary.id} h3:7001@17001 master - 0 0 3 connected 10923-16383\n"
        f"{third.replicas[0].id} h1:7002@17002 slave {third.primary.id} 0 0 3 connected\n"
        "vars currentEpoch 3 lastVoteEpoch 0\n"
    )


def test_servers_that_keep_shard_ids_get_them_for_every_node() -> None:
    lines = render_nodes_conf(SIX, SIX.shards[0].primary, NEW).splitlines()[:-1]
    for shard, pair in zip(SIX.shards, (lines[0:2], lines[2:4], lines[4:6]), strict=True):
        assert all(f",,tls-port=0,shard-id={shard.id} " in line for line in pair)


def test_valkey_keeps_shard_ids_in_every_version() -> None:
    text = render_nodes_conf(SIX, SIX.nodes[0], ServerVersion(EngineKind.VALKEY, (7, 2, 4)))
    assert text.count("shard-id=") == 6


def test_each_file_has_one_myself() -> None:
    for node in SIX.nodes:
        lines = [line for line in render_nodes_conf(SIX, node, NEW).splitlines() if "myself" in line]
        assert [line.split()[0] for line in lines] == [node.id]


def test_what_is_written_reads_back_as_the_blueprint() -> None:
    text = render_nodes_conf(SIX, SIX.nodes[0], NEW)
    peers = parse_cluster_nodes(text[: text.index("vars")], Address("x", 1))
    assert {(peer.id, peer.address, peer.role) for peer in peers} == {
        (node.id, node.address, node.role) for node in SIX.nodes
    }
    assert {peer.id: str(peer.slots) for peer in peers if peer.slots} == {
        shard.primary.id: str(shard.slots) for shard in SIX.shards
    }


def test_no_two_primaries_share_an_epoch() -> None:
    text = render_nodes_conf(SIX, SIX.nodes[0], OLD)
    assert [line.split()[6] for line in text.splitlines() if "master" in line] == ["1", "2", "3"]


# --- judged ---

PRIMARY, REPLICA = SIX.shards[0].primary.id, SIX.shards[0].replicas[0].id
OTHER = SIX.shards[1].primary.id
WRITTEN = (
    f"{REPLICA} h2:7002@17002,,tls-port=0,shard-id={'a' * 40} slave {PRIMARY} 0 1700000000123 7 connected\n"
    f"{OTHER} h2:7001@17001,,tls-port=0,shard-id={'b' * 40} master,fail? - 1700000000001 1700000000002 2 "
    "connected 5461-9000\n"
    f"{PRIMARY} h1:7001@17001,,tls-port=0,shard-id={'a' * 40} myself,master - 0 0 7 connected 0-10 12 [3->-{OTHER}]\n"
    "vars currentEpoch 17 lastVoteEpoch 10\n"
)
"""As servers write it themselves."""


@pytest.mark.parametrize("version", [OLD, NEW])
def test_a_map_of_our_own_is_whole(version: ServerVersion) -> None:
    for node in SIX.nodes:
        assert check_map(render_nodes_conf(SIX, node, version), node.id) == ""


@pytest.mark.parametrize(
    "text", [WRITTEN, render_nodes_conf(SIX, SIX.shards[0].primary, OLD)], ids=["a server's", "ours"]
)
def test_a_map_that_was_cut_anywhere_is_broken(text: str) -> None:
    assert check_map(text, PRIMARY) == ""
    for cut in range(len(text)):
        assert check_map(text[:cut], PRIMARY), text[:cut]
        assert check_map(text[:cut] + "\0" * (len(text) - cut), PRIMARY), "a file system fills with zeros"


def test_lines_that_a_server_leaves_empty_are_nothing() -> None:
    """Before 7.0 it pads with them what it is about to shorten."""
    assert check_map(WRITTEN + "\n\n\n", PRIMARY) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n \n", "empty"),
        ("\0" * 100, "empty"),
        ("\1" * 100, "empty"),
        (WRITTEN.replace("myself,", ""), "no line of its own"),
        (WRITTEN.replace("slave", "myself,slave"), "2 lines of its own"),
        (WRITTEN.replace("myself,master", "master").replace("slave", "myself,slave"), f"another node's: {REPLICA}"),
        (WRITTEN.partition("vars")[0], "cut off: no vars line at its end"),
        (WRITTEN + "x", "cut off: no vars line at its end"),
        (WRITTEN.replace("5461-9000", "5461-90000"), "damaged: line 2 can't be read"),
        (WRITTEN.replace(PRIMARY[:8], "\ufffd" * 8), "damaged: line 1 can't be read"),
        (WRITTEN.replace(" 7 connected 0-10", " x connected 0-10"), "damaged: line 3 can't be read"),
        ("\n".join(line for line in WRITTEN.splitlines() if line[:40] != PRIMARY) + "\n", "no line of its own"),
    ],
)
def test_what_is_wrong_with_a_map_is_said(text: str, reason: str) -> None:
    found = check_map(text, PRIMARY)
    assert found == reason or (reason.startswith("damaged") and found.startswith("damaged"))


def test_maps_are_the_same_when_only_times_differ() -> None:
    later = WRITTEN.replace("1700000000", "1800000000")
    lines = later.splitlines()
    assert same_map(WRITTEN, "\n".join([lines[1], lines[0], *lines[2:]]) + "\n"), "in whatever order"
    assert not same_map(WRITTEN, WRITTEN.replace("currentEpoch 17", "currentEpoch 18"))
    assert not same_map(WRITTEN, WRITTEN.replace("0-10", "0-9"))
    assert not same_map(WRITTEN, WRITTEN.replace("h1:7001", "h1:7002"))


# --- made from another member's ---


def test_a_map_is_made_from_another_members() -> None:
    assert map_for(WRITTEN, REPLICA) == (
        f"{REPLICA} h2:7002@17002,,tls-port=0,shard-id={'a' * 40} myself,slave {PRIMARY} 0 0 7 connected\n"
        f"{OTHER} h2:7001@17001,,tls-port=0,shard-id={'b' * 40} master - 0 0 2 connected 5461-9000\n"
        f"{PRIMARY} h1:7001@17001,,tls-port=0,shard-id={'a' * 40} master - 0 0 7 connected 0-10 12\n"
        "vars currentEpoch 17 lastVoteEpoch 17\n"
    )


def test_who_failed_comes_back_and_who_is_unknown_yet_is_left_out() -> None:
    stranger = f"{'c' * 40} h9:7001@17001 handshake,master - 0 0 0 disconnected\n"
    text = stranger + WRITTEN.replace("slave", "slave,fail,noaddr").replace("fail?", "fail")
    made = map_for(text, REPLICA)
    assert [line.split()[2] for line in made.splitlines()[:-1]] == ["myself,slave", "master,fail", "master"]
    assert nodes_of(made) == {PRIMARY, REPLICA, OTHER}


def test_a_primary_that_was_replaced_becomes_a_replica_of_the_one_that_leads_its_slots() -> None:
    """A server that starts as a primary without slots stays one: nobody takes anything from it."""
    after = WRITTEN.replace(f"slave {PRIMARY}", "master,fail -")
    line = f"myself,slave {PRIMARY} 0 0 7 connected"
    assert map_for(after, REPLICA).splitlines()[0].endswith(line)
    old = re.sub(r",,tls-port=0,shard-id=\w+", "", after)
    assert map_for(old, REPLICA).splitlines()[0].endswith("myself,master - 0 0 7 connected")
    assert map_for(old, REPLICA, OTHER).splitlines()[0].endswith(f"myself,slave {OTHER} 0 0 2 connected")
    assert map_for(old, REPLICA, "e" * 40) == map_for(old, REPLICA), "one that leads nothing is no heir"
    assert map_for(WRITTEN, OTHER, PRIMARY).splitlines()[1].split()[2] == "myself,master", "one with slots keeps them"


def test_every_members_map_makes_every_others() -> None:
    for version in (OLD, NEW):
        for source in SIX.nodes:
            text = render_nodes_conf(SIX, source, version)
            for node in SIX.nodes:
                made = map_for(text, node.id)
                assert check_map(made, node.id) == ""
                assert same_map(made, render_nodes_conf(SIX, node, version).replace("VoteEpoch 0", "VoteEpoch 3"))


def test_a_node_that_nobody_knows_gets_no_map() -> None:
    with pytest.raises(ValueError, match="does not know"):
        map_for(WRITTEN, "d" * 40)
    with pytest.raises(ValueError, match="cut off"):
        map_for(WRITTEN.partition("vars")[0], REPLICA)
