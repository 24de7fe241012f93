"""Bad luck: what stands in the way is found before anything starts, named with its owner, and left as it is."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines import TestEngine
from tests.integration.conftest import Lab, Outcome, without_root_rights

pytestmark = pytest.mark.servers

THREE_OPEN = "password: none\nreplicas: 0\n"


def three(lab: Lab, engine: TestEngine, port: int, *, name: str = "cache", extra: str = "", **more: str) -> Path:
    """Three primaries without replicas: the least there is."""
    return lab.topology(engine, name=name, ports=(port,), replicas=0, extra=extra, **more)


def refuse(lab: Lab, code: str, *needles: str, file: str = "cluster.yaml", wrapper: tuple[str, ...] = ()) -> dict:
    """Refused by `up` with exit code 4, told in both ways, seen by `plan` as well; no node of ours runs."""
    before = {*lab.servers()}
    told = lab.run("up", file, "--yes", "--json", wrapper=wrapper)
    assert told.code == 4, told
    assert told.error["code"] == code, told.out
    assert told.error["left"] == "nothing was changed"
    text = lab.run("up", file, "--yes", wrapper=wrapper)
    assert text.code == 4
    for needle in needles:
        assert needle in text.err, (needle, text.err)
        assert needle in told.out, (needle, told.out)
    plan = lab.run("plan", file, "--json", wrapper=wrapper)
    assert (plan.code, plan.json["pending"]) == (3, True)
    assert code in {found["code"] for found in plan.json["findings"]}
    assert {*lab.servers()} == before
    return told.error


@contextmanager
def listener(host: str, port: int) -> Iterator[None]:
    """Somebody who listens, and hangs up on whoever comes."""
    with socket.socket() as taken, ThreadPoolExecutor(1) as pool:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen()

        def hang_up() -> None:
            with suppress(OSError):
                while True:
                    taken.accept()[0].close()

        pool.submit(hang_up)
        try:
            yield
        finally:
            taken.shutdown(socket.SHUT_RDWR)


def test_a_port_or_a_bus_port_is_taken_and_by_whom(lab: Lab, embedded: TestEngine) -> None:
    port = lab.free_port()
    three(lab, embedded, port)
    me, name = f"pid {os.getpid()}", Path("/proc/self/comm").read_text().strip()
    with listener(lab.hosts[1], port):
        error = refuse(lab, "port-taken", f"port {port} is taken by", me, name)
        assert error["where"] == f"{lab.hosts[1]}:{port}"
    with listener(lab.hosts[2], port + 10000):
        error = refuse(lab, "bus-port-taken", f"the cluster bus port {port + 10000} is taken by", me, name)
        assert error["where"] == f"{lab.hosts[2]}:{port}"
    with listener("0.0.0.0", port):
        refused = lab.run("up", "--yes", "--json")
        assert (refused.code, refused.error["code"]) == (4, "port-taken")
        assert len(refused.error["findings"]) == 3
        assert all(me in found["what"] for found in refused.error["findings"])
    lab.assert_nothing_is_left()
    assert lab.run("up", "--yes").code == 0


def test_a_server_is_at_an_address_of_the_file(lab: Lab, embedded: TestEngine) -> None:
    """With keys, without any, and with a password of its own: it is left alone."""
    port = lab.free_port()
    three(lab, embedded, port, password="none")
    address = f"{lab.hosts[0]}:{port}"
    server = lab.serve(embedded, address)
    error = refuse(lab, "port-taken", f"pid {server.pid}", "valkey-server")
    assert error["where"] == address
    with lab.client(address) as client:
        client.set("precious", "1")
    error = refuse(lab, "node-not-empty", "with 1 keys", f"pid {server.pid}")
    assert error["where"] == address
    with lab.client(address) as client:
        assert client.get("precious") == b"1"
        client.config_set("requirepass", "theirs")
    error = refuse(lab, "wrong-password", address, f"pid {server.pid}")
    assert error["where"] == address
    assert server.poll() is None
    assert not lab.state.exists()


def test_a_member_of_another_cluster_is_at_an_address_of_the_file(lab: Lab, embedded: TestEngine) -> None:
    port, other = lab.free_port(), lab.free_port()
    lab.topology(embedded, name="first", ports=(port,), replicas=0, password="none", file="first.yaml")
    assert lab.run("up", "first.yaml", "--yes").code == 0
    lab.topology(embedded, name="second", ports=(port, other), replicas=1, password="none", file="second.yaml")
    error = refuse(lab, "node-of-another-cluster", "a member of another cluster answers there", file="second.yaml")
    assert {found["code"] for found in error["findings"]} == {"node-of-another-cluster"}
    assert len(error["findings"]) == 3
    lab.topology(embedded, name="second", ports=(port,), replicas=0, password="generate", file="second.yaml")
    error = refuse(lab, "wrong-password", f"{lab.hosts[0]}:{port}", file="second.yaml")
    assert len(error["findings"]) == 3
    assert lab.run("check", "first", "--json").json["ok"]
    assert [each["name"] for each in lab.run("list", "--json").json["clusters"]] == ["first"]


def test_an_address_of_another_machine(lab: Lab, embedded: TestEngine) -> None:
    lab.write(
        f"name: cache\nengine: {{kind: valkey, from: {embedded.directory}}}\nreplicas: 0\npassword: generate\n"
        f"hosts: [192.0.2.1, {lab.hosts[0]}, {lab.hosts[1]}]\nports: [{lab.free_port()}]\n"
    )
    error = refuse(lab, "address-not-local", "192.0.2.1 is not an address of this machine")
    assert error["where"] == "192.0.2.1"
    lab.assert_nothing_is_left()


def test_folders_that_can_not_be_used(lab: Lab, embedded: TestEngine) -> None:
    port = lab.free_port()
    (lab.folder / "file").touch()
    three(lab, embedded, port, extra=f"data: {lab.folder}/file/below\n")
    refuse(lab, "directory-not-writable", f"{lab.folder}/file is not a folder")
    lab.assert_nothing_is_left("file")

    data = lab.folder / "data"
    three(lab, embedded, port, extra=f"data: {data}\n")
    theirs = data / f"{lab.hosts[1]}-{port}"
    theirs.mkdir(parents=True)
    (theirs / "thesis.tex").write_text("irreplaceable")
    error = refuse(lab, "directory-not-empty", str(theirs), "holds files that slotwright did not make")
    assert error["where"] == f"{lab.hosts[1]}:{port}"
    assert (theirs / "thesis.tex").read_text() == "irreplaceable"
    lab.assert_nothing_is_left("file", f"data/{theirs.name}/thesis.tex")

    (theirs / "thesis.tex").unlink()
    lab.topology(embedded, name="other", ports=(port,), replicas=0, extra=f"data: {data}\n", file="other.yaml")
    assert lab.run("up", "other.yaml", "--yes").code == 0
    assert lab.run("stop", "other", "--yes").code == 0
    error = refuse(lab, "directory-of-another-cluster", "belongs to another cluster (other)")
    assert len(error["findings"]) == 3
    assert lab.run("start", "other").code == 0


def test_folders_that_may_not_be_written(lab: Lab, embedded: TestEngine) -> None:
    wrapper = without_root_rights()
    data = lab.folder / "data"
    data.mkdir(mode=0o500)
    path = three(lab, embedded, lab.free_port(), extra=f"data: {data}/nodes\n")
    refuse(lab, "directory-not-writable", str(data), "can't be written by this user", wrapper=wrapper)
    lab.assert_nothing_is_left()

    path.write_text(path.read_text().replace(f"data: {data}/nodes\n", ""))
    for state in (data / "state", lab.folder / "cluster.yaml/state"):
        told = lab.run("up", "--yes", "--json", wrapper=wrapper, env={"SLOTWRIGHT_STATE": str(state)})
        assert told.code == 1, told
        assert str(state) in told.error["what"]
        assert "Traceback" not in told.err
    lab.assert_nothing_is_left()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_without_room_for_the_nodes(lab: Lab, embedded: TestEngine) -> None:
    with small_disk(lab.folder / "disk", "8m") as disk:
        three(lab, embedded, lab.free_port(), extra=f"data: {disk}/nodes\n")
        refuse(lab, "disk-full", "only 8 MB are free", "MB to start with")
        assert list(disk.iterdir()) == []
        lab.assert_nothing_is_left()


def test_a_disk_that_all_hosts_share_is_counted_once(lab: Lab, embedded: TestEngine) -> None:
    with small_disk(lab.folder / "disk", "40m") as disk:
        lab.topology(embedded, extra=f"data: {disk}/nodes\n")
        told = lab.run("up", "--yes", "--json")
        assert (told.code, told.error["code"]) == (4, "disk-full"), told
        lab.assert_nothing_is_left()


def up_with_room(lab: Lab, engine: TestEngine, pages: list[int]) -> dict[int, Outcome]:
    """`up` with room for so many pages where the state is; nothing may run or lie there afterwards."""
    three(lab, engine, lab.free_port(), extra=f"data: {lab.folder}/data\n")
    told = {}
    with small_disk(lab.folder / "disk", "256k") as disk:
        for count in pages:
            ballast = disk / "ballast"
            ballast.write_bytes(bytes((os.statvfs(disk).f_bavail - count) * os.statvfs(disk).f_frsize))
            told[count] = lab.run("up", "--yes", "--json", env={"SLOTWRIGHT_STATE": f"{disk}/state"})
            ballast.unlink()
            assert lab.servers() == {}, (count, told[count])
            assert lab.files() == ["cluster.yaml"], (count, told[count])
    return told


def test_a_disk_without_any_room_for_the_state(lab: Lab, embedded: TestEngine) -> None:
    outcome = up_with_room(lab, embedded, [0])[0]
    assert (outcome.code, outcome.error["code"]) == (1, "disk-full"), outcome
    assert "Traceback" not in outcome.err


def test_a_disk_that_fills_up_under_the_state(lab: Lab, embedded: TestEngine) -> None:
    """Whatever the file is that finds no room, ours or the rehearsed server's: said as such."""
    for count, outcome in up_with_room(lab, embedded, [1, 3, 4, 6, 8]).items():
        assert outcome.code == 1, (count, outcome)
        assert "Traceback" not in outcome.err, (count, outcome.err)
        assert outcome.error["code"] in ("disk-full", "start-failed"), (count, outcome)
        assert "No space left on device" in outcome.out, (count, outcome)


def formed(lab: Lab, engine: TestEngine) -> tuple[list[str], list[Path]]:
    """Three primaries, stopped: their addresses and their folders."""
    three(lab, engine, lab.free_port(), settings="{cluster-node-timeout: 2000}")
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.err
    addresses = [node["address"] for node in up.json["status"]["nodes"]]
    return addresses, [lab.state / "clusters/cache/nodes" / address.replace(":", "-") for address in addresses]


@pytest.mark.parametrize("damage", ["map", "data"])
def test_a_server_that_dies_at_its_start_is_quoted(lab: Lab, embedded: TestEngine, damage: str) -> None:
    addresses, folders = formed(lab, embedded)
    with lab.client(addresses[0], lab.password()) as client:
        client.execute_command("SET", key_of_first_shard(), "1")
    assert lab.run("stop", addresses[0], "--yes").code == 0
    broken = next(folders[0].glob("appendonlydir/*.incr.aof")) if damage == "data" else folders[0] / "nodes.conf"
    good = broken.read_bytes()
    broken.write_bytes(b"*2\r\n$not a number\r\n" + good if damage == "data" else b'"unbalanced\n' + good)
    pids = lab.processes()
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.error["code"], up.error["where"]) == (5, "start-failed", addresses[0]), up
    words = {"data": "Bad file format reading the append only file", "map": "corrupted cluster config file"}
    assert words[damage] in up.error["seen"], up.error["seen"]
    assert "2 of 3 nodes are running" in up.error["left"]
    text = lab.run("start", "cache", addresses[0])
    assert text.code == 5
    assert words[damage] in text.err
    assert f"slotwright logs {addresses[0]}" in text.err
    assert lab.processes() == pids
    broken.write_bytes(good)
    mended = lab.run("up", "--yes", "--json")
    assert (mended.code, mended.json["check"]["ok"]) == (0, True)


def key_of_first_shard() -> str:
    return "{06S}"  # slot 0


def test_a_server_that_dies_while_it_loads_is_quoted_at_once(lab: Lab, embedded: TestEngine) -> None:
    addresses, folders = formed(lab, embedded)
    assert lab.run("stop", addresses[0], "--yes").code == 0
    broken = next(folders[0].glob("appendonlydir/*.incr.aof"))
    value = b"v" * 1000
    with broken.open("wb") as file:
        for number in range(200_000):
            name = key_of_first_shard().encode() + b"%d" % (number % 100)
            file.write(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$1000\r\n%b\r\n" % (len(name), name, value))
        file.write(b"garbage\r\n")
    up = lab.run("up", "--yes", "--json", timeout=60)
    assert (up.code, up.error["code"], up.error["where"]) == (5, "start-failed", addresses[0]), up
    assert "Bad file format reading the append only file" in up.error["seen"]


def test_a_server_that_can_not_be_noted_is_not_left_running(lab: Lab, embedded: TestEngine) -> None:
    binary = lab.folder / "bin" / embedded.binary.name
    binary.parent.mkdir()
    # Slow to start, so that its own pid file is not there yet either.
    binary.write_text(
        f'#!/bin/sh\n[ -e {lab.folder}/slow ] && case "$1" in */nodes/*) sleep 3;; esac\n'
        f'exec {shlex.quote(str(embedded.binary))} "$@"\n'
    )
    binary.chmod(0o755)
    addresses, folders = formed(lab, replace(embedded, directory=binary.parent))
    assert lab.run("stop", addresses[0], "--yes").code == 0
    note = folders[0] / "process.json"
    note.unlink(missing_ok=True)
    (note / "in the way").mkdir(parents=True)
    (lab.folder / "slow").touch()
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.error["code"]) == (5, "host-files"), up
    assert "2 of 3 nodes are running" in up.error["left"]
    assert len(lab.servers()) == 2, lab.servers()


def test_a_lost_folder_is_never_made_anew_by_itself(lab: Lab, embedded: TestEngine) -> None:
    addresses, folders = formed(lab, embedded)
    assert lab.run("stop", addresses[1], "--yes").code == 0
    folders[1].rename(lab.folder / "aside")
    refused = lab.run("up", "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (4, "not-yet-possible")
    assert f"make {addresses[1]} anew" in refused.error["what"]
    assert not folders[1].exists()
    (lab.folder / "aside").rename(folders[1])
    assert lab.run("up", "--yes").code == 0


def test_a_record_that_can_not_be_read(lab: Lab, embedded: TestEngine) -> None:
    formed(lab, embedded)
    record = lab.state / "clusters/cache/record.json"
    good = record.read_bytes()
    record.write_bytes(good[: len(good) // 2])
    for verb in (("up", "--yes"), ("status",), ("destroy", "--yes")):
        told = lab.run(*verb, "--json")
        assert (told.code, told.error["code"], told.error["where"]) == (1, "record-unreadable", str(record)), verb
    assert len(lab.servers()) == 3
    assert record.exists()
    record.write_bytes(good)
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()
