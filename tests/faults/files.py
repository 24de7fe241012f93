"""Faults of files: maps, append-only files, snapshots and disks."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis.exceptions

from tests.faults.cluster import Cluster
from tests.faults.injected import InjectedFault

DISK = "48m"


def _first(cluster: Cluster) -> tuple[str, str]:
    primary = cluster.primaries()[0]
    return primary, cluster.replica_of(primary)


def cut_map(cluster: Cluster, address: str) -> None:
    path = cluster.folder(address) / "nodes.conf"
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


def map_of_a_replica(cluster: Cluster) -> None:
    """F25."""
    _, replica = _first(cluster)
    cluster.kill(replica)
    cut_map(cluster, replica)
    cluster.wait_until_failed(replica)


def map_of_a_lone_primary(cluster: Cluster) -> None:
    """F25, where nobody else has its keys."""
    primary = cluster.primaries()[0]
    cluster.kill(primary)
    cut_map(cluster, primary)
    cluster.wait_until_failed(primary)


def delete_folder(cluster: Cluster, address: str) -> None:
    """Of a node that does not run."""
    shutil.rmtree(cluster.folder(address))


def folder_deleted(cluster: Cluster) -> None:
    """F27: process and folder of a primary are gone; its replica took over."""
    primary, replica = _first(cluster)
    cluster.kill(primary)
    delete_folder(cluster, primary)
    cluster.wait_for_takeover(replica)


def wiped_and_started(cluster: Cluster) -> None:
    """F27: the disk was wiped, and somebody started the server anew: a new id, and the old one is a ghost."""
    primary, replica = _first(cluster)
    before = cluster.id(primary)
    cluster.kill(primary)
    folder = cluster.folder(primary)
    for path in folder.iterdir():
        if path.name in ("server.conf", "slotwright.json"):
            continue
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    cluster.wait_for_takeover(replica)
    cluster.start_by_hand(primary)
    cluster.wait_until_answers(primary)
    assert cluster.id(primary) != before


def now() -> float:
    """The clock that files' times come from."""
    return time.time()


def append_log(cluster: Cluster, address: str) -> Path:
    """The append-only file that was written to last."""
    found = [*cluster.folder(address).rglob("*.incr.aof"), *cluster.folder(address).glob("appendonly.aof")]
    return max(found, key=lambda path: path.stat().st_mtime)


def damage_append_log(cluster: Cluster, address: str) -> None:
    """Of a node that does not run: a command in the middle begins with what none begins with."""
    path = append_log(cluster, address)
    text = path.read_bytes()
    start = text.index(b"\r\n*", len(text) // 2) + 2
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\0rotten\0")


def start_in_vain(cluster: Cluster, address: str) -> None:
    """Somebody starts it; it refuses its files, and its log says so."""
    process = cluster.start_by_hand(address)
    cluster.lab.wait(lambda: cluster.has_ended(process), f"{address} to give up")


def _dead_primary(cluster: Cluster) -> str:
    primary, replica = _first(cluster)
    cluster.kill(primary)
    cluster.wait_for_takeover(replica)
    return primary


def append_log_cut(cluster: Cluster) -> None:
    """F37: the machine died within a write; started again, the server leaves the rest out and says so in its log."""
    primary = _dead_primary(cluster)
    path = append_log(cluster, primary)
    os.truncate(path, path.stat().st_size - 11)
    cluster.start_by_hand(primary)
    cluster.wait_until_answers(primary)
    cluster.lab.wait(cluster.is_in_sync, "it to copy what its successor has")
    cluster.wait_until_ok()


def append_log_of_a_lone_primary_cut(cluster: Cluster) -> None:
    """F37, where nobody else has what was cut off: the key that was written last is gone."""
    primary = cluster.primaries()[0]
    last = cluster.slot_with_keys(primary)[1][0] + b":last"
    cluster.execute(primary, "SET", last, b"x" * 100)
    cluster.kill(primary)
    path = append_log(cluster, primary)
    os.truncate(path, path.stat().st_size - 11)
    cluster.wait_until_failed(primary)
    cluster.start_by_hand(primary)
    cluster.wait_until_answers(primary)
    cluster.wait_until_ok()
    assert cluster.execute(primary, "EXISTS", last) == 0


def append_log_damaged(cluster: Cluster) -> None:
    """F38: bytes in the middle are others."""
    primary = _dead_primary(cluster)
    damage_append_log(cluster, primary)
    start_in_vain(cluster, primary)


def append_log_of_a_replica_damaged(cluster: Cluster) -> None:
    """F38, of a replica: its primary has it all."""
    _, replica = _first(cluster)
    cluster.kill(replica)
    damage_append_log(cluster, replica)
    start_in_vain(cluster, replica)
    cluster.wait_until_failed(replica)


def save_fails(cluster: Cluster) -> InjectedFault:
    """F39: something stands where the snapshot has to go."""
    primary, _ = _first(cluster)
    place = cluster.folder(primary) / "dump.rdb"
    place.unlink(missing_ok=True)
    place.mkdir()
    (place / "in the way").touch()
    cluster.execute(primary, "BGSAVE")
    cluster.lab.wait(
        lambda: cluster.info(primary, "persistence")["rdb_last_bgsave_status"] == "err", "the save to fail", 20
    )

    def relieve() -> None:
        """The way is free again, and the server is told to use it."""
        shutil.rmtree(place)
        cluster.execute(primary, "BGSAVE")

    return InjectedFault(relieve)


def disk_full(cluster: Cluster) -> InjectedFault:
    """F40: the disk of one primary is full; it can't append."""
    primary, _ = _first(cluster)
    folder = cluster.folder(primary)
    on_a_small_disk(cluster, primary)
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass
    filler = cluster.slot_with_keys(primary)[1][0] + b":until-full"

    def fails() -> bool:
        """Acknowledged before the append failed, or not: nobody knows, and so it is not counted."""
        try:
            cluster.execute(primary, "SET", filler, b"x" * 60000)
        except redis.exceptions.ResponseError as error:
            return "MISCONF" in str(error)
        return False

    cluster.lab.wait(fails, "the append to fail")
    cluster.extra.add(filler)
    return InjectedFault(relieve=ballast.unlink)


def on_a_small_disk(cluster: Cluster, address: str) -> None:
    """The node's folder moves to a file system of its own; unmounted with the lab."""
    if os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    folder = cluster.folder(address)
    cluster.kill(address)
    aside = folder.with_name(f"{folder.name}.aside")
    folder.rename(aside)
    folder.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no mounts here: {mounted.stderr.strip()}")
    cluster.mounts.append(folder)
    shutil.copytree(aside, folder, dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(aside)
    cluster.start_by_hand(address)
    cluster.wait_until_answers(address)
    cluster.lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    cluster.wait_until_ok()


def few_open_files(cluster: Cluster) -> InjectedFault:
    """F46: somebody started it from a shell with a small limit."""
    primary, _ = _first(cluster)
    pid = cluster.lab.processes()[primary.replace(":", "-")]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (128, before[1]))

    def relieve() -> None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    return InjectedFault(relieve)
