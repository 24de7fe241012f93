"""The map that a node is given before it runs."""

from __future__ import annotations

from slotwright.model.cluster import ServerVersion
from slotwright.model.topology import Address, EngineKind
from slotwright.wire.cluster_nodes import parse_cluster_nodes
from slotwright.wire.nodes_conf import render_nodes_conf
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
