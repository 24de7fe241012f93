"""The exam of nodes on this machine, with real files and a real process."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.local.processes import identify
from slotwright.cluster.node_files import MARKER, NODES_CONF, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.exam import HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery
from tests.fakes import stand_in
from tests.moments import agree

ADDRESS = Address("127.0.0.1", 7001)
OURS = json.dumps({"cluster_id": "c1", "name": "cache", "node_id": "n1"})


def examine(*folders: Path, cluster_id: str = "c1") -> HostExam:
    queries = [NodeQuery(Address("127.0.0.1", 7001 + index), str(folder)) for index, folder in enumerate(folders)]
    return asyncio.run(LocalHost().examine("h", cluster_id, queries))


def exam_of(folder: Path, cluster_id: str = "c1") -> NodeExam:
    return examine(folder, cluster_id=cluster_id).nodes[0]


def note(folder: Path, pid: int) -> None:
    process = identify(pid)
    assert process is not None
    (folder / PROCESS).write_text(json.dumps({"pid": process.pid, "started": process.started}))


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "n1"
    folder.mkdir()
    (folder / MARKER).write_text(OURS)
    return folder


@pytest.fixture
def sleeper(node: Path) -> Iterator[subprocess.Popen[bytes]]:
    with stand_in.running(node) as process:
        yield process


def test_what_a_folder_is(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    found = exam_of(folder)
    assert found == NodeExam(ADDRESS, DirectoryState.ABSENT, free_bytes=found.free_bytes)
    assert agree(lambda: shutil.disk_usage(tmp_path).free, lambda: exam_of(folder).free_bytes or 0)
    folder.mkdir()
    (folder / ".server.conf.77.tmp").write_text("cut")
    assert exam_of(folder).directory is DirectoryState.EMPTY
    (folder / "dump.rdb").write_text("x")
    assert exam_of(folder).directory is DirectoryState.FOREIGN
    for text in ("", "no json", "[]"):
        (folder / MARKER).write_text(text)
        assert exam_of(folder).directory is DirectoryState.FOREIGN
    (folder / MARKER).write_text(OURS)
    assert exam_of(folder).directory is DirectoryState.OURS
    assert exam_of(folder, "another").directory is DirectoryState.OTHER_CLUSTER


def test_nothing_is_told_of_what_is_another_clusters(node: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (node / SERVER_LOG).write_text("secret")
    (node / NODES_CONF).write_text("secret")
    note(node, sleeper.pid)
    found = exam_of(node, "another")
    assert (found.process, found.map_text, found.log_tail, found.data_bytes) == (None, None, "", 0)


def test_a_node_that_does_not_run_shows_its_map_as_it_is(node: Path) -> None:
    assert exam_of(node).map_text is None
    for text in ("", "half a li", "a\r\nb\u2028\n\n"):
        (node / NODES_CONF).write_bytes(text.encode())
        assert exam_of(node).map_text == text
    (node / NODES_CONF).write_bytes(b"\0\xff")
    assert exam_of(node).map_text == "\0\ufffd"


def test_a_node_that_runs_shows_its_process_and_not_its_map(node: Path, sleeper: subprocess.Popen[bytes]) -> None:
    (node / NODES_CONF).write_text("a map")
    note(node, sleeper.pid)
    found = exam_of(node)
    assert found.process == identify(sleeper.pid)
    assert found.process_state in ("R", "S", "D")
    assert not found.is_stopped
    assert found.nofile == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert (found.map_text, found.ended_by) == (None, "")


def test_a_process_that_was_stopped_is_seen(node: Path, sleeper: subprocess.Popen[bytes]) -> None:
    note(node, sleeper.pid)
    os.kill(sleeper.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while not exam_of(node).is_stopped and time.monotonic() < deadline:
        time.sleep(0.01)
    assert exam_of(node).is_stopped
    os.kill(sleeper.pid, signal.SIGCONT)


def test_a_process_that_only_has_the_same_pid_is_none(node: Path) -> None:
    with stand_in.running(node.parent) as other:
        (node / PROCESS).write_text(json.dumps({"pid": other.pid, "started": "boot:1"}))
        assert exam_of(node).process is None


def test_the_one_server_that_works_in_a_folder_is_its_node_s_whatever_the_files_say(
    node: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    (node / PROCESS).write_text(json.dumps({"pid": sleeper.pid, "started": "boot:1"}))
    assert exam_of(node).process == identify(sleeper.pid)
    (node / PROCESS).unlink()
    assert exam_of(node).process == identify(sleeper.pid)
    with stand_in.running(node, name="valkey-server"):
        assert exam_of(node).process is None, "of several, nobody knows which"


def test_the_end_of_a_log_is_bounded(node: Path) -> None:
    (node / SERVER_LOG).write_bytes(b"x" * 9000 + b"\xffthe end\n")
    found = exam_of(node).log_tail
    assert found.endswith("\ufffdthe end\n")
    assert len(found) == 8192


def test_data_is_what_is_nothing_else(node: Path) -> None:
    for name in (SERVER_CONF, SERVER_LOG, f"{SERVER_LOG}.1", NODES_CONF, f"{NODES_CONF}.broken", PROCESS, "server.pid"):
        (node / name).write_text("x" * 100)
    assert exam_of(node).data_bytes == 0
    (node / "dump.rdb").write_text("x" * 10)
    for folder in ("appendonlydir", "aside-1"):
        (node / folder).mkdir()
        (node / folder / "appendonly.aof.1.incr.aof").write_text("x" * 7)
    assert exam_of(node).data_bytes == 17


def test_memory_and_disk_are_the_hosts(node: Path) -> None:
    found = examine(node)
    assert found.host == "h"
    assert found.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found.memory_bytes > 0
    assert agree(lambda: shutil.disk_usage(node).free, lambda: exam_of(node).free_bytes or 0)


@pytest.fixture
def servers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(60)


def test_many_nodes_are_told_apart(tmp_path: Path, servers: list[subprocess.Popen[bytes]]) -> None:
    folders = [tmp_path / f"n{number}" for number in range(40)]
    for folder in folders:
        (folder / "appendonlydir").mkdir(parents=True)
        (folder / MARKER).write_text(OURS)
        (folder / SERVER_LOG).write_text("x" * 10000)
        for name in (
            "dump.rdb",
            "appendonlydir/a.manifest",
            "appendonlydir/a.1.base.rdb",
            "appendonlydir/a.1.incr.aof",
        ):
            (folder / name).write_text("x")
        servers.append(stand_in.start(folder))
        note(folder, servers[-1].pid)
    found = examine(*folders)
    assert [node.process.pid for node in found.nodes if node.process] == [server.pid for server in servers]
