"""Faults that are not let happen: two operators, merged clusters, shared folders, half done settings."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.engines import TestEngine
from tests.faults import slots
from tests.faults.cluster import codes_of, form
from tests.faults.conftest import engine_params
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]


@contextmanager
def another_operator(lab: Lab) -> Iterator[None]:
    """Somebody holds the cluster's lock, and wrote down who it is."""
    handle = os.open(lab.state / "clusters/cache/lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        holder = {"verb": "up", "user": "somebody", "host": "elsewhere", "pid": 1, "since": "2026-01-01T00:00:00"}
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        os.close(handle)


def test_a_second_operator_is_told_of_the_first(lab: Lab, embedded: TestEngine) -> None:
    """F13, on one control machine."""
    cluster = form(lab, embedded)
    slots.half_moved(cluster)
    before = {address: cluster.line(address).open for address in cluster.addresses}
    with another_operator(lab):
        told = cluster.repair()
        assert (told.code, told.error["code"]) == (4, "locked"), told
        assert "somebody" in told.out
        assert cluster.check().code == 3, "looking is free"
    assert {address: cluster.line(address).open for address in cluster.addresses} == before
    assert cluster.repair().code == 0
    assert cluster.differing() == {}


@pytest.mark.parametrize("engine", engine_params())
def test_no_live_cluster_is_met(lab: Lab, engine: TestEngine) -> None:
    """F32: a file that names nodes of a cluster that lives is refused, and both stay as they are."""
    cluster = form(lab, engine)
    ports = tuple(sorted({int(address.rpartition(":")[2]) for address in cluster.addresses}))
    lab.topology(engine, name="other", ports=ports, file="other.yaml", password="none")
    told = lab.run("up", "other.yaml", "--yes", "--json")
    assert told.code in (1, 4), told
    assert told.error["left"] == "nothing was changed" or told.error["code"] == "wrong-password"
    assert cluster.check().code == 0
    assert all(len(view) == 6 for view in cluster.views().values())
    assert cluster.differing() == {}


def test_two_clusters_never_share_a_folder(lab: Lab, embedded: TestEngine) -> None:
    """F34, by a file."""
    place = lab.folder / "data"
    cluster = form(lab, embedded, extra=f"data: {place}\n")
    other = lab.environment | {"SLOTWRIGHT_STATE": str(lab.folder / "other state")}
    cluster.kill(*cluster.addresses)
    told = lab.run("up", "--yes", "--json", env=other)
    assert told.code == 4, told
    assert told.error["code"] in ("directory-of-another-cluster", "directory-not-empty")
    assert lab.run("start", "cache", "--json").code in (0, 3)
    lab.wait(lambda: lab.run("check", "--json").code == 0, "the cluster to be sound again")
    assert cluster.differing() == {}


@pytest.mark.parametrize("engine", engine_params())
def test_a_second_server_in_a_node_s_folder(lab: Lab, engine: TestEngine, request: pytest.FixtureRequest) -> None:
    """F34, by hand: the server refuses the map that another one holds, and the node is none the worse for it."""
    if engine.kind == "valkey":
        why = (
            "Valkey 9.1 does not refuse: its lock goes with the file that it renames; `check` does not name the second"
        )
        request.applymarker(pytest.mark.xfail(reason=why, strict=True))
    cluster = form(lab, engine)
    victim = cluster.primaries()[0]
    before = lab.servers()
    pid = cluster.start_by_hand(victim, "--port", str(lab.free_port()))
    lab.wait(lambda: cluster.has_ended(pid), "the second server to give up")
    assert set(lab.servers()) == set(before)
    assert codes_of(cluster.check().json) == set()
    assert cluster.differing() == {}


def test_who_refuses_a_connection_is_told(lab: Lab, embedded: TestEngine) -> None:
    """F43: a server that listens elsewhere, and one in protected mode."""
    here, there = lab.hosts[:2]
    port = lab.free_port()
    lab.serve(embedded, f"{there}:{port}")
    told = lab.run("check", f"{here}:{port}", "--json")
    assert (told.code, told.error["code"]) == (1, "refused"), told
    assert f"{here}:{port}" in told.error["what"]
    own = _address_of_this_machine()
    if own is None:
        pytest.skip("this machine has no address but loopback: protected mode lets loopback in")
    guarded = lab.free_port()
    folder = lab.folder / f"foreign-{here}-{guarded}"
    lab.serve(embedded, f"{here}:{guarded}", "--bind", f"{here} {own}", "--protected-mode", "yes")
    assert folder.exists()
    told = lab.run("check", f"{own}:{guarded}", "--json")
    assert (told.code, told.error["code"]) == (1, "protected-mode"), told


def _address_of_this_machine() -> str | None:
    """One that is not loopback; nothing is sent for that."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        found = probe.getsockname()[0]
    return None if found.startswith("127.") else found


def test_a_setting_that_no_node_takes_is_no_success(lab: Lab, embedded: TestEngine) -> None:
    """F51: every node refuses; the exit code is not 0, and what is left is told."""
    cluster = form(lab, embedded)
    path = lab.folder / "cluster.yaml"
    for address in cluster.addresses:
        cluster.execute(address, "ACL", "SETUSER", "default", "-config|set")
    path.write_text(path.read_text().replace("cluster-node-timeout: 2500", "cluster-node-timeout: 3500"))
    told = lab.run("up", "--yes", "--json")
    assert told.code in (1, 4, 5), told
    assert told.error["left"], told
    for address in cluster.addresses:
        cluster.execute(address, "ACL", "SETUSER", "default", "+config|set")
    for address in cluster.addresses:
        with cluster.connect(address) as client:
            assert client.config_get("cluster-node-timeout") == {"cluster-node-timeout": "2500"}
    assert lab.run("up", "--yes").code == 0
    assert cluster.check().code == 0


@pytest.mark.parametrize("engine", engine_params())
def test_a_shard_is_not_given_away_while_it_is_down(lab: Lab, engine: TestEngine) -> None:
    """F17: not even what could be typed reassigns slots of a shard that can come back."""
    cluster = form(lab, engine, replicas=0, per_host=1)
    victim = cluster.primaries()[0]
    owned = cluster.line(victim).slots
    folder = cluster.folder(victim)
    aside = folder.with_name(f"{folder.name}.on-another-disk")
    cluster.kill(victim)
    shutil.move(folder, aside)
    cluster.wait_until_failed(victim)
    told = cluster.repair()
    assert told.code in (3, 4), told
    for view in cluster.views().values():
        assert not any(owned & line.slots for line in view.values() if line.address != victim)
    assert not folder.exists(), "an empty node in its place would be the loss"
    shutil.move(aside, folder)
    assert cluster.repair().code == 0
    assert cluster.differing() == {}


def test_resume_and_abort_with_nothing_to_do(lab: Lab, embedded: TestEngine) -> None:
    cluster = form(lab, embedded, replicas=0, per_host=1)
    for verb in ("resume", "abort"):
        told = cluster.run(verb, cluster.target, "--yes", "--json")
        assert (told.code, told.error["code"]) == (2, "nothing-cut"), (verb, told)
    assert cluster.check().code == 0
