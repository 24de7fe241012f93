"""`archive`: every node's folder set aside with checksums, while the cluster serves on."""

from __future__ import annotations

import asyncio
import hashlib
import json
import tarfile

import psutil
from redis.cluster import RedisCluster

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor
from tests.engines import TestEngine
from tests.integration.conftest import Lab


def made(lab: Lab, engine: TestEngine) -> list[dict]:
    lab.topology(engine)
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    host, _, port = nodes[0]["address"].rpartition(":")
    client = RedisCluster(host=host, port=int(port), password=lab.password())
    for number in range(300):
        client.set(f"key:{number}", number)
    client.close()
    return nodes


def test_all_of_a_cluster_is_set_aside_and_can_be_checked(lab: Lab, embedded: TestEngine) -> None:
    nodes = made(lab, embedded)
    folder = lab.folder / "aside"
    told = lab.run("archive", "cache", "-o", str(folder), "--json")
    assert told.code == 0, told.out
    assert all(node["trouble"] == "" and node["files"] >= 4 for node in told.json["nodes"])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in folder.glob("*.tar.gz")} == {0}
    sums = dict(reversed(line.split("  ")) for line in (folder / "SHA256SUMS").read_text().splitlines())
    assert set(sums) == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sum(node["keys"] for node in manifest["nodes"] if node["role"] == "primary") == 300
    assert {node["id"] for node in manifest["nodes"]} == {node["id"] for node in nodes}
    with tarfile.open(folder / manifest["nodes"][0]["file"]) as packed:
        names = {name.removeprefix("./") for name in packed.getnames()}
    assert {"nodes.conf", "server.conf", "server.log", "dump.rdb", "slotwright.json"} <= names
    assert lab.run("check", "cache").code == 0
    again = lab.run("archive", "cache", "-o", str(folder), "--json")
    assert (again.code, again.error["code"]) == (4, "folder-exists")


def test_nodes_that_do_not_run_are_copied_as_they_lie_there(lab: Lab, embedded: TestEngine) -> None:
    nodes = made(lab, embedded)
    dead = next(node for node in nodes if node["role"] == "replica")
    lab.kill(dead["address"])
    told = lab.run("archive", "cache", "-o", str(lab.folder / "aside"), "--json")
    assert told.code == 0, told.out
    theirs = next(node for node in told.json["nodes"] if node["address"] == dead["address"])
    assert (theirs["keys"], theirs["trouble"] != "", theirs["file"] != "") == (None, True, True)


def test_it_waits_for_a_server_of_somebody_else_that_saves(lab: Lab, embedded: TestEngine) -> None:
    """Saves of all servers of one machine at once would fill its memory: other people's are seen, by both ways."""
    made(lab, embedded)
    address = f"127.0.0.1:{lab.free_port()}"
    lab.serve(embedded, address)
    client = lab.client(address)
    for number in range(200):
        client.set(f"key:{number}", number)
    client.config_set("rdb-key-save-delay", 1_000_000)
    client.bgsave()
    lab.wait(lambda: asyncio.run(LocalHost().count_forks()), "a fork")
    shell = LocalShell("local")
    detached = DetachedSupervisor(shell, "cache", "nobody")
    assert asyncio.run(RemoteHost(shell, "", detached, detached).count_forks()) >= 1
    process = lab.popen("archive", "cache", "-o", str(lab.folder / "aside"), "--json")
    assert process.stderr is not None
    for line in process.stderr:
        if json.loads(line).get("task", "").startswith("forks "):
            break
    (child,) = psutil.Process(client.info("server")["process_id"]).children()
    child.kill()
    process.communicate(timeout=120)
    assert process.returncode == 0
