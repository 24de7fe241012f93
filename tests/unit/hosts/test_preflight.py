"""What stands in the way of nodes that don't run yet, from the facts of their hosts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from slotwright.cluster.topology import Address, Mode
from slotwright.hosts.facts.nodes import DirectoryFact, DirectoryState, HostFacts, NodeFacts, PortOwner, ProcessId
from slotwright.hosts.node_places import NODE_ROOM_BYTES, check_hosts

HERE = Address("h1", 7001)
ABSENT = DirectoryFact("/data/h1-7001", DirectoryState.ABSENT)
FREE = NodeFacts(HERE, ABSENT)
OWNER = PortOwner(4711, "redis-server")
RUNNING = ProcessId(12, "boot")


def judged(*nodes: NodeFacts, free: int = 10**12, mode: Mode = Mode.CLUSTER) -> list[str]:
    return [f"{one.severity} {one.code} {one.where}" for one in check_hosts((HostFacts("h1", nodes, free),), mode)]


def directory(state: DirectoryState, **more: str) -> NodeFacts:
    return replace(FREE, directory=replace(ABSENT, state=state, **more))


def test_free_ports_and_no_folder_are_as_they_should_be() -> None:
    assert judged(FREE) == []
    assert judged() == []


@pytest.mark.parametrize("state", [DirectoryState.ABSENT, DirectoryState.EMPTY, DirectoryState.OURS])
def test_folders_that_can_be_used(state: DirectoryState) -> None:
    assert judged(directory(state)) == []


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (DirectoryState.UNWRITABLE, "directory-not-writable"),
        (DirectoryState.OTHER_CLUSTER, "directory-of-another-cluster"),
        (DirectoryState.FOREIGN, "directory-not-empty"),
    ],
)
def test_folders_that_can_t(state: DirectoryState, code: str) -> None:
    assert judged(directory(state)) == [f"serious {code} h1:7001"]


def test_the_owner_of_a_folder_and_the_reason_are_told() -> None:
    other, unwritable = (
        directory(DirectoryState.OTHER_CLUSTER, owner="sessions"),
        directory(DirectoryState.UNWRITABLE, reason="/data is not a folder"),
    )
    (found,) = check_hosts((HostFacts("h1", (other,), 10**12),), Mode.CLUSTER)
    assert "sessions" in found.what and "/data/h1-7001" in found.what
    (found,) = check_hosts((HostFacts("h1", (unwritable,), 10**12),), Mode.CLUSTER)
    assert "/data is not a folder" in found.what


@pytest.mark.parametrize(
    ("error", "found"),
    [
        ("in-use", "serious port-taken h1:7001"),
        ("denied", "serious port-denied h1:7001"),
        ("not-local", "serious address-not-local h1"),
    ],
)
def test_ports(error: str, found: str) -> None:
    assert judged(replace(FREE, port_error=error, port_owner=OWNER)) == [found]


@pytest.mark.parametrize(
    ("error", "found"), [("in-use", "serious bus-port-taken h1:7001"), ("denied", "serious bus-port-denied h1:7001")]
)
def test_bus_ports(error: str, found: str) -> None:
    assert judged(replace(FREE, bus_error=error, bus_owner=OWNER)) == [found]


def test_the_owner_of_a_port_is_named() -> None:
    (found,) = check_hosts(
        (HostFacts("h1", (replace(FREE, port_error="in-use", port_owner=OWNER),), 10**12),), Mode.CLUSTER
    )
    assert "7001" in found.what and "pid 4711 (redis-server)" in found.what


def test_one_process_on_both_ports_is_told_once() -> None:
    node = replace(FREE, port_error="in-use", port_owner=OWNER, bus_error="in-use", bus_owner=OWNER)
    assert judged(node) == ["serious port-taken h1:7001"]


def test_two_processes_on_the_two_ports_are_both_told() -> None:
    node = replace(FREE, port_error="in-use", port_owner=OWNER, bus_error="in-use", bus_owner=PortOwner(4712, "nginx"))
    assert judged(node) == ["serious bus-port-taken h1:7001", "serious port-taken h1:7001"]


def test_a_single_instance_has_no_bus() -> None:
    assert judged(replace(FREE, bus_error="in-use", bus_owner=OWNER), mode=Mode.SINGLE) == []


def test_a_foreign_address_is_told_once_a_host() -> None:
    nodes = [
        replace(FREE, address=Address("h1", port), port_error="not-local", bus_error="not-local") for port in (1, 2)
    ]
    assert judged(*nodes) == ["serious address-not-local h1"]


def test_the_ports_of_a_node_that_runs_are_its_own() -> None:
    node = replace(directory(DirectoryState.OURS), process=RUNNING, port_error="in-use", bus_error="in-use")
    assert judged(node) == []


def test_too_little_room_for_what_is_to_be_made() -> None:
    nodes = [replace(FREE, address=Address("h1", port)) for port in (7001, 7002)]
    assert judged(*nodes, free=2 * NODE_ROOM_BYTES) == []
    assert judged(*nodes, free=2 * NODE_ROOM_BYTES - 1) == ["serious disk-full h1"]


def two_hosts(first: str, second: str) -> list[str]:
    hosts = [
        HostFacts(name, (replace(FREE, address=Address(name, 7001)),), NODE_ROOM_BYTES, disk)
        for name, disk in (("h1", first), ("h2", second))
    ]
    return [f"{one.code} {one.where}" for one in check_hosts(tuple(hosts), Mode.CLUSTER)]


def test_hosts_that_share_a_disk_share_its_room() -> None:
    assert two_hosts("sda", "sdb") == []
    assert two_hosts("", "") == []
    assert two_hosts("sda", "sda") == ["disk-full h1, h2"]


def test_nodes_that_run_need_no_room() -> None:
    assert judged(replace(FREE, process=RUNNING), free=0) == []


def test_a_folder_that_can_t_be_made_hides_how_full_the_disk_is() -> None:
    assert judged(directory(DirectoryState.UNWRITABLE), free=0) == ["serious directory-not-writable h1:7001"]


def test_everything_is_told_at_once() -> None:
    node = replace(directory(DirectoryState.FOREIGN), port_error="in-use", port_owner=OWNER)
    assert judged(node, free=0) == [
        "serious directory-not-empty h1:7001",
        "serious disk-full h1",
        "serious port-taken h1:7001",
    ]
