"""What clients are told is read, and what they would stumble over is named once, with its cause."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from slotwright.adapters.servers.tls_probe import speaks_tls
from slotwright.cluster.announced import Announced, AnnouncedShard
from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address
from slotwright.features.clients.path_model import ClientPath, DialledNode, Redirect
from slotwright.features.clients.path_plan import check_walk
from slotwright.features.clients.path_run import _redirect
from slotwright.ports import ReplyError
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.cluster_slots import parse_cluster_slots
from tests.fakes.build import at


def node(name: str, host: str, port: int = 6379, *others: str, replica: bool = False) -> Announced:
    return Announced(name, host, port, Role.REPLICA if replica else Role.PRIMARY, others)


SHARDS = (
    AnnouncedShard(SlotSet.parse(["0-8191"]), (node("a", "10.0.0.1"), node("c", "10.0.0.2", 6380, replica=True))),
    AnnouncedShard(SlotSet.parse(["8192-16383"]), (node("b", "10.0.0.2"), node("d", "10.0.0.1", 6380, replica=True))),
)
SOUND = ClientPath(
    place="",
    seeds=(at("10.0.0.1:6379"),),
    entry=at("10.0.0.1:6379"),
    shards=SHARDS,
    dialled=tuple(
        DialledNode(at(place), id=name, took_ms=1.0)
        for place, name in (
            ("10.0.0.1:6379", "a"),
            ("10.0.0.2:6379", "b"),
            ("10.0.0.2:6380", "c"),
            ("10.0.0.1:6380", "d"),
        )
    ),
    redirects=(Redirect(at("10.0.0.1:6379"), "b", at("10.0.0.2:6379")), Redirect(at("10.0.0.1:6379"), "a")),
)


def changed(place: str, **fields: object) -> ClientPath:
    """The sound walk with one address found otherwise."""
    dialled = tuple(replace(each, **fields) if each.address == at(place) else each for each in SOUND.dialled)
    return replace(SOUND, dialled=dialled)


def told(walk: ClientPath) -> list[str]:
    return [f"{found.severity} {found.code} {found.where}" for found in check_walk(walk)]


def test_a_sound_walk_has_no_finding() -> None:
    assert told(SOUND) == []


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"code": "refused", "seen": "no", "id": ""}, "announced-unreachable"),
        ({"code": "timeout", "id": ""}, "announced-unreachable"),
        ({"code": "locked", "seen": "NOAUTH", "id": ""}, "announced-locked"),
        ({"code": "tls", "speaks_tls": True, "id": ""}, "announced-tls"),
        ({"id": "stranger"}, "announced-elsewhere"),
    ],
)
def test_an_address_that_leads_astray_is_told_once(fields: dict[str, object], code: str) -> None:
    assert told(changed("10.0.0.2:6379", **fields)) == [f"serious {code} 10.0.0.2:6379"]
    assert told(changed("10.0.0.2:6380", **fields)) == [f"warning {code} 10.0.0.2:6380"]
    assert all(found.remedy and found.risk for found in check_walk(changed("10.0.0.2:6379", **fields)))


def test_a_node_that_is_known_elsewhere_gets_a_command_to_type() -> None:
    walk = changed("10.0.0.2:6379", code="timeout", id="", took_ms=None)
    seeds = (*walk.seeds, at("192.168.1.2:6379"))
    walk = replace(walk, seeds=seeds, dialled=(*walk.dialled, DialledNode(at("192.168.1.2:6379"), id="b")))
    assert told(walk) == ["serious announced-wrong 10.0.0.2:6379"]
    assert "CONFIG SET cluster-announce-ip 192.168.1.2" in check_walk(walk)[0].remedy


def test_whoever_is_told_to_announce_another_address_hears_of_the_bus() -> None:
    """The other nodes go to an announced address as well, with the bus port that the node announces."""
    line = parse_cluster_nodes("b 10.0.0.2:6379@17777 master - 0 0 1 connected", at("10.0.0.1:6379"))
    walk = replace(changed("10.0.0.2:6379", code="timeout", id=""), members=line)
    (unreachable,) = check_walk(walk)
    assert "its bus port, 17777, at that address" in unreachable.remedy
    assert "cluster-announce-bus-port" in unreachable.remedy
    mapped = replace(walk, dialled=(*walk.dialled, DialledNode(at("192.168.1.2:7002"), id="b")))
    (wrong,) = (found for found in check_walk(mapped) if found.code == "announced-wrong")
    assert "its bus port, 17777, at 192.168.1.2" in wrong.remedy
    same_host = replace(walk, dialled=(*walk.dialled, DialledNode(at("10.0.0.2:7002"), id="b")))
    (wrong,) = (found for found in check_walk(same_host) if found.code == "announced-wrong")
    assert "bus" not in wrong.remedy, "cluster-announce-port leaves the bus port as it is"


def test_loopback_is_fine_for_those_who_came_by_it_and_for_nobody_else() -> None:
    shards = (AnnouncedShard(SlotSet.parse(["0-16383"]), (node("a", "127.0.0.1"),)),)
    here = ClientPath(
        "", (at("127.0.0.1:6379"),), at("127.0.0.1:6379"), shards, (DialledNode(at("127.0.0.1:6379"), id="a"),), ()
    )
    assert told(here) == []
    expected = ["serious announced-loopback 127.0.0.1:6379"]
    assert told(replace(here, place="10.0.0.9")) == expected
    by_name = (at("10.0.0.1:6379"), DialledNode(at("10.0.0.1:6379"), id="a"))
    assert told(replace(here, entry=by_name[0], dialled=(*here.dialled, by_name[1]))) == expected


def test_names() -> None:
    nameless = (AnnouncedShard(SlotSet.parse(["0-16383"]), (node("a", "?"),)),)
    assert told(replace(SOUND, shards=nameless, redirects=())) == ["serious announced-nowhere ?:6379"]
    two = (AnnouncedShard(SlotSet.parse(["0-16383"]), (node("a", "10.0.0.1", 6379, "old.example"),)),)
    dialled = (*SOUND.dialled, DialledNode(at("old.example:6379"), "unreachable", "no such name"))
    assert told(replace(SOUND, shards=two, dialled=dialled, redirects=())) == [
        "note other-name-astray old.example:6379"
    ]


def test_without_a_host_the_address_that_was_asked_counts() -> None:
    shards = (AnnouncedShard(SlotSet.parse(["0-16383"]), (node("a", ""),)),)
    assert told(replace(SOUND, shards=shards, redirects=())) == []


def test_redirections_are_followed() -> None:
    astray = Redirect(at("10.0.0.2:6380"), "a", at("10.9.9.9:6379"))
    walk = replace(
        SOUND,
        redirects=(*SOUND.redirects, astray, replace(astray, asked=at("10.0.0.2:6379"))),
        dialled=(*SOUND.dialled, DialledNode(at("10.9.9.9:6379"), "timeout", "did not answer")),
    )
    assert told(walk) == ["serious redirect-astray 10.0.0.2:6380"]
    down = replace(SOUND, redirects=(Redirect(at("10.0.0.1:6379"), "a", error="CLUSTERDOWN Hash slot not served"),))
    assert told(down) == ["serious walk-refused 10.0.0.1:6379"]


def test_a_seed_that_is_no_announced_address_is_a_warning_when_it_is_down() -> None:
    walk = replace(
        SOUND,
        seeds=(*SOUND.seeds, at("10.0.0.7:6379")),
        dialled=(*SOUND.dialled, DialledNode(at("10.0.0.7:6379"), "refused")),
    )
    assert told(walk) == ["warning seed-unreachable 10.0.0.7:6379"]


def test_cluster_slots_is_read_as_the_servers_write_it() -> None:
    a = [b"10.0.0.1", 6379, b"a" * 40, [b"hostname", b"one.example"]]
    b = [b"two.example", 6380, b"b" * 40, [b"ip", b"10.0.0.2"]]
    old = [b"", 6381, b"c" * 40]
    unknown = [None, 6382, b"d" * 40, []]
    shards = parse_cluster_slots([[5461, 16383, b, unknown], [0, 100, a, old], [200, 5460, a, old]])
    assert [shard.slots.texts() for shard in shards] == [("0-100", "200-5460"), ("5461-16383",)]
    assert [(each.host, each.port, each.role, each.others) for shard in shards for each in shard.nodes] == [
        ("10.0.0.1", 6379, Role.PRIMARY, ("one.example",)),
        ("", 6381, Role.REPLICA, ()),
        ("two.example", 6380, Role.PRIMARY, ("10.0.0.2",)),
        ("", 6382, Role.REPLICA, ()),
    ]
    for bad in (b"", [1], [[0, 1]], [[0, 1, [b"h"]]]):
        with pytest.raises(ValueError):
            parse_cluster_slots(bad)


def certificate(folder: Path) -> Path:
    """A self-signed one, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    place = folder / "both.pem"
    place.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return place


@pytest.mark.parametrize("is_tls", [True, False])
def test_tls_is_told_from_something_else(is_tls: bool, tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"-ERR unknown command\r\n")
        writer.close()

    async def straight(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(address.host, address.port)

    async def ask() -> tuple[bool, bool]:
        context = None
        if is_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate(tmp_path))
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        found = await speaks_tls(straight, address)
        server.close()
        await server.wait_closed()
        return found, await speaks_tls(straight, address)

    assert asyncio.run(ask()) == (is_tls, False)


def test_what_is_no_address_is_never_dialled_and_told() -> None:
    evil = '"+evil+"'
    a = [evil.encode(), 6379, b"a" * 40, [b"hostname", b"one.example"]]
    b = [b"10.0.0.2", 6380, b"b" * 40, {b"hostname": b"a\nb", b"ip": b"::1"}]
    nodes = parse_cluster_slots([[0, 16383, a, b]])[0].nodes
    assert [(each.host, each.others) for each in nodes] == [("?", ("one.example",)), ("10.0.0.2", ("::1",))]
    assert evil in nodes[0].fault and r"a\nb" in nodes[1].fault
    assert all(each.fault.isprintable() for each in nodes)
    shards = (AnnouncedShard(SlotSet.parse(["0-16383"]), nodes),)
    dialled = (SOUND.dialled[0], DialledNode(at("one.example:6379"), id="a" * 40))
    dialled += tuple(DialledNode(Address(host, 6380), id="b" * 40) for host in ("10.0.0.2", "::1"))
    walk = ClientPath("", SOUND.seeds, SOUND.entry, shards, dialled, ())
    assert told(walk) == ["serious address-not-valid 10.0.0.2:6380", "serious address-not-valid ?:6379"]
    led = Redirect(at("10.0.0.2:6380"), nodes[0].id, error=f"MOVED 1 {evil}:6379")
    assert told(replace(walk, redirects=(led,))) == told(walk), "its cause was told"
    led = replace(led, owner="somebody", asked=at("10.0.0.1:6379"))
    assert "serious address-not-valid 10.0.0.1:6379" in told(replace(walk, redirects=(led, led)))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(port: int) -> None:
    with pytest.raises(ValueError):
        parse_cluster_slots([[0, 16383, [b"10.0.0.1", port, b"a" * 40]]])


@pytest.mark.parametrize(
    ("line", "goal", "error"),
    [
        ("MOVED 1 10.0.0.1:7000", at("10.0.0.1:7000"), ""),
        ("MOVED 1 :7000", at("10.0.0.9:7000"), ""),
        ("MOVED 1 fe80::1%eth0:7000", Address("fe80::1%eth0", 7000), ""),
        ("MOVED 1 ?:7000", None, "MOVED 1 ?:7000"),
        ("MOVED 1 \x1b[31m:7000", None, r"MOVED 1 \x1b[31m:7000"),
        ("CLUSTERDOWN \x1b[31m", None, r"CLUSTERDOWN \x1b[31m"),
    ],
)
def test_redirections_are_parsed(line: str, goal: Address | None, error: str) -> None:
    assert _redirect(at("10.0.0.9:6379"), "a", ReplyError(line)) == Redirect(at("10.0.0.9:6379"), "a", goal, error)


def member(name: str, place: str, replica_of: str | None = None, flags: str = "slave") -> PeerView:
    role = Role.REPLICA if replica_of else Role.PRIMARY
    return PeerView(name, at(place), frozenset(flags.split(",")), role, replica_of, 1, True, SlotSet())


def test_a_replica_that_clients_are_not_told_of_is_named() -> None:
    known = (member("c", "10.0.0.2:6380", "a"), member("e", "10.0.0.3:6380", "a"), member("f", "10.0.0.3:6379"))
    assert told(replace(SOUND, members=known)) == ["warning replica-not-told 10.0.0.3:6380"]


def test_a_map_without_all_slots_is_no_success() -> None:
    assert told(replace(SOUND, shards=(), redirects=())) == ["serious map-incomplete 10.0.0.1:6379"]
    part = told(replace(SOUND, shards=SHARDS[:1]))
    assert "serious map-incomplete 10.0.0.1:6379" in part
