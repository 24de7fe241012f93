"""Valkey 9 has databases in a cluster: keys of every one of them are counted, compared and moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from slotwright.cluster.slots import key_slot
from tests.engines import TestEngine
from tests.integration.conftest import Lab

KEYS = [b"{tag}:%d" % number for number in range(10)]
SLOT = key_slot(KEYS[0])


@pytest.fixture
def ends(lab: Lab, embedded: TestEngine) -> tuple[str, str]:
    """The owner of the slot and another primary; all keys are in database 2 of the owner."""
    lab.topology(embedded, settings="{cluster-databases: 4}")
    assert lab.run("up", "--yes").code == 0
    primaries = [node for node in lab.run("status", "--json").json["nodes"] if node["role"] == "primary"]
    owner = lab.run("slot", KEYS[0].decode(), "--json").json["keys"][0]["primary"]
    other = next(node["address"] for node in primaries if node["address"] != owner)
    with in_database(lab, owner) as client:
        for key in KEYS:
            client.execute_command("SET", key, b"of 2")
    return owner, other


@contextmanager
def in_database(lab: Lab, address: str, database: int = 2) -> Iterator[Redis]:
    host, _, port = address.rpartition(":")
    with Redis(host, int(port), database, lab.password()) as client:
        yield client


def open_slot(lab: Lab, source: str, target: str) -> None:
    with lab.client(source, lab.password()) as one, lab.client(target, lab.password()) as other:
        ids = [client.execute_command("CLUSTER MYID").decode() for client in (one, other)]
        other.execute_command("CLUSTER SETSLOT", SLOT, "IMPORTING", ids[0])
        one.execute_command("CLUSTER SETSLOT", SLOT, "MIGRATING", ids[1])


def migrate(lab: Lab, source: str, target: str, keys: list[bytes], *options: str) -> None:
    host, _, port = target.rpartition(":")
    with in_database(lab, source) as client:
        client.execute_command("MIGRATE", host, port, "", 2, 5000, *options, "AUTH", lab.password(), "KEYS", *keys)


def count(lab: Lab, address: str) -> int:
    with in_database(lab, address) as client:
        return client.dbsize()


def test_a_cut_move_is_taken_up_in_every_database(lab: Lab, ends: tuple[str, str]) -> None:
    owner, other = ends
    open_slot(lab, owner, other)
    migrate(lab, owner, other, KEYS[:4])
    assert (count(lab, owner), count(lab, other)) == (6, 4)
    assert "open-slot" in [each["code"] for each in lab.run("check", "--json").json["findings"]]
    repaired = lab.run("repair", "--yes", "--json")
    assert repaired.code == 0, repaired.out + repaired.err
    assert sorted([count(lab, owner), count(lab, other)]) == [0, 10]
    assert lab.run("check", "--json").json["findings"] == []


def test_keys_that_are_misplaced_in_a_database_are_found_and_brought_home(lab: Lab, ends: tuple[str, str]) -> None:
    owner, other = ends
    open_slot(lab, owner, other)
    migrate(lab, owner, other, KEYS[:4])
    for address in ends:
        with lab.client(address, lab.password()) as client:
            client.execute_command("CLUSTER SETSLOT", SLOT, "STABLE")
    found = lab.run("check", "--keys", "--json").json["findings"]
    assert [(each["code"], each["where"]) for each in found] == [("keys-misplaced", other)], found
    repaired = lab.run("repair", "--yes", "--json")
    assert repaired.code == 0, repaired.out + repaired.err
    assert (count(lab, owner), count(lab, other)) == (10, 0)


def test_a_different_value_in_a_database_is_kept_with_its_number(lab: Lab, ends: tuple[str, str]) -> None:
    owner, other = ends
    open_slot(lab, owner, other)
    migrate(lab, owner, other, KEYS[:1], "COPY")
    with in_database(lab, other) as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.execute_command("ASKING")
        pipeline.execute_command("SET", KEYS[0], b"otherwise")
        pipeline.execute()
    assert "key-differs" in [each["code"] for each in lab.run("check", "--json").json["findings"]]
    asked = lab.run("repair", "--yes", "--json")
    assert asked.code != 0
    assert (count(lab, owner), count(lab, other)) == (10, 1), "nothing is dropped unasked"
    repaired = lab.run("repair", "--yes", "--accept", "keep-owners", "--json")
    assert repaired.code == 0, repaired.out + repaired.err
    for written in (lab.state / "clusters" / "cache" / "quarantine").iterdir():
        values = [json.loads(line) for line in written.read_text().splitlines()]
        assert {(value["database"], value["node"]) for value in values} == {(2, owner), (2, other)}
    assert sorted([count(lab, owner), count(lab, other)]) == [0, 10]
