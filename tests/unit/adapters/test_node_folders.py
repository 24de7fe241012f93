"""Maps, data and append-only files of nodes that rest: the same on this machine and over a shell."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from functools import partial
from pathlib import Path

import pytest

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local.host import LocalHost
from slotwright.adapters.local.processes import identify
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor
from slotwright.cluster.node_files import MAP_ASIDE, MARKER, NODES_CONF, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.cluster.topology import Address
from slotwright.errors import HostError
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery
from slotwright.ports import Host
from tests.engines import TestEngine, engine_params
from tests.fakes import stand_in
from tests.fakes.shells import OURS, make_ours
from tests.fakes.world import FakeHost, World
from tests.moments import agree

WHOLE = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"


def remote() -> RemoteHost:
    shell = LocalShell("h")
    detached = DetachedSupervisor(shell, "cache", "nobody")
    return RemoteHost(shell, "", detached, detached)


@pytest.fixture(params=["local", "remote"])
def host(request: pytest.FixtureRequest) -> Host:
    return LocalHost() if request.param == "local" else remote()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_map_is_replaced_and_the_old_one_kept_beside_it(host: Host, folder: Path) -> None:
    make_ours(folder)
    (folder / NODES_CONF).write_bytes(b"half\0")
    for _ in range(2):
        asyncio.run(host.write_map(str(folder), "c1", "a\nmap\n"))
        assert asyncio.run(host.read_map(str(folder), "c1")) == "a\nmap\n"
        assert (folder / MAP_ASIDE).read_bytes() == b"half\0"
    assert names(folder) == sorted([MARKER, NODES_CONF, MAP_ASIDE])
    assert stat.S_IMODE((folder / NODES_CONF).stat().st_mode) == 0o600


def test_a_map_is_read_only_where_there_is_one_of_ours(host: Host, folder: Path) -> None:
    assert asyncio.run(host.read_map(str(folder), "c1")) == ""
    make_ours(folder)
    assert asyncio.run(host.read_map(str(folder), "c1")) == ""
    (folder / NODES_CONF).write_text("half a li")
    assert asyncio.run(host.read_map(str(folder), "c1")) == "half a li"
    assert asyncio.run(host.read_map(str(folder), "c2")) == ""


def test_data_is_set_aside_whatever_its_name(host: Host, folder: Path) -> None:
    make_ours(folder, SERVER_CONF, f"{SERVER_LOG}.1", NODES_CONF, MAP_ASIDE)
    kept = names(folder)
    assert asyncio.run(host.set_data_aside(str(folder), "c1")) == ""
    for number in (1, 2):
        (folder / "my data.rdb").write_text("x")
        (folder / "appendonlydir").mkdir()
        goal = asyncio.run(host.set_data_aside(str(folder), "c1"))
        assert goal == f"{folder}/aside-{number}"
        assert names(Path(goal)) == ["appendonlydir", "my data.rdb"]
        assert stat.S_IMODE(Path(goal).stat().st_mode) == 0o700
    assert names(folder) == sorted([*kept, "aside-1", "aside-2"])


def test_only_a_folder_of_ours_in_which_nothing_runs_is_touched(host: Host, folder: Path) -> None:
    def refusals(cluster_id: str = "c1") -> set[str]:
        codes = set()
        for doing in (
            host.write_map(str(folder), cluster_id, "new\n"),
            host.set_data_aside(str(folder), cluster_id),
            host.cut_append_log(str(folder), cluster_id, "/bin/false"),
        ):
            with pytest.raises(HostError) as caught:
                asyncio.run(doing)
            assert caught.value.where == str(folder)
            codes.add(caught.value.code)
        return codes

    assert refusals() == {"directory-missing"}
    folder.mkdir(parents=True)
    assert refusals() == {"directory-foreign"}
    make_ours(folder, NODES_CONF, "dump.rdb", "appendonly.aof")
    assert refusals("c2") == {"directory-foreign"}
    process = stand_in.start(folder)
    try:
        found = identify(process.pid)
        assert found is not None
        (folder / PROCESS).write_text(json.dumps({"pid": found.pid, "started": found.started}))
        before = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert refusals() == {"node-running"}
        (folder / PROCESS).unlink()
        assert refusals() == {"node-running"}, "whether a file says so or not"
        (folder / PROCESS).write_bytes(before[PROCESS])
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize("name", ["appendonly.aof", "my log.aof"])
def test_an_append_only_file_loses_what_can_not_be_read(
    host: Host, folder: Path, engine: TestEngine, name: str
) -> None:
    make_ours(folder)
    (folder / SERVER_CONF).write_text(f'port 1\nappendfilename "{name}"\n')
    log = folder / name
    if engine.version_prefix != "6.2.":
        log = folder / "appendonlydir" / f"{name}.1.incr.aof"
        log.parent.mkdir()
        (log.parent / f"{name}.manifest").write_text(f'file "{log.name}" seq 1 type i\n')
    log.write_bytes(WHOLE + b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$9\r\nhal")
    before = names(folder)
    said = asyncio.run(host.cut_append_log(str(folder), "c1", str(engine.binary)))
    assert "Successfully truncated" in said
    assert log.read_bytes() == WHOLE
    assert "valid" in asyncio.run(host.cut_append_log(str(folder), "c1", str(engine.binary)))
    assert (names(folder), log.read_bytes()) == (before, WHOLE)


def test_what_the_tool_can_not_mend_is_said_in_its_words(host: Host, folder: Path) -> None:
    make_ours(folder)
    with pytest.raises(HostError) as caught:
        asyncio.run(host.cut_append_log(str(folder), "c1", "/bin/false"))
    assert caught.value.code == "append-log-missing"
    (folder / "appendonly.aof").write_bytes(WHOLE)
    for binary, seen in (("/bin/false", ""), ("/bin/ls", "--help")):
        with pytest.raises(HostError) as caught:
            asyncio.run(host.cut_append_log(str(folder), "c1", binary))
        assert caught.value.code == "append-log-broken"
        assert seen in caught.value.seen
    assert names(folder) == sorted([MARKER, "appendonly.aof"])


def test_both_kinds_of_hosts_see_the_same(folder: Path) -> None:
    make_ours(folder, SERVER_LOG, NODES_CONF, "dump.rdb")
    queries = [
        NodeQuery(Address("h", 7001), str(folder)),
        NodeQuery(Address("h", 7002), f"{folder}-other"),
    ]

    def examine(host: Host) -> HostExam:
        return asyncio.run(host.examine("h", "c1", queries))

    def free_bytes(host: Host, number: int) -> int:
        return examine(host).nodes[number].free_bytes or 0

    here, there = examine(LocalHost()), examine(remote())
    assert [node.directory for node in here.nodes] == [DirectoryState.OURS, DirectoryState.ABSENT]
    for one, other in zip(here.nodes, there.nodes, strict=True):
        assert (one.directory, one.process, one.map_text, one.log_tail, one.data_bytes) == (
            other.directory,
            other.process,
            other.map_text,
            other.log_tail,
            other.data_bytes,
        )
    assert here.memory_bytes == there.memory_bytes
    for number in range(len(queries)):
        seen_here, seen_there = partial(free_bytes, LocalHost(), number), partial(free_bytes, remote(), number)
        assert agree(seen_here, seen_there, slack=1024), "df counts in KiB"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_what_root_has_written_is_the_service_users(open_folder: Path) -> None:
    folder = open_folder / "n1"
    make_ours(folder, NODES_CONF, "dump.rdb")
    for path in (folder, *folder.iterdir()):
        os.chown(path, 65534, 65534)
    shell = LocalShell("h")
    detached = DetachedSupervisor(shell, "cache", "nobody")
    host = RemoteHost(shell, "nobody", detached, detached)
    asyncio.run(host.write_map(str(folder), "c1", "a map\n"))
    asyncio.run(host.set_data_aside(str(folder), "c1"))
    assert {path.stat().st_uid for path in folder.rglob("*")} == {65534}
    assert (folder / NODES_CONF).read_text() == "a map\n"


def test_the_fake_host_does_as_the_real_ones() -> None:
    async def body() -> None:
        world = World()
        host = FakeHost(world)
        world.folders["/n"] = {MARKER: OURS, NODES_CONF: "old\n", "dump.rdb": "x", "a.aof": "ab?c"}
        await host.write_map("/n", "c1", "new\n")
        assert (await host.read_map("/n", "c1"), world.folders["/n"][MAP_ASIDE]) == ("new\n", "old\n")
        await host.cut_append_log("/n", "c1", "")
        exam = (await host.examine("h", "c1", [NodeQuery(Address("h", 1), "/n")])).nodes[0]
        assert (exam.directory, exam.map_text, exam.data_bytes) == (DirectoryState.OURS, "new\n", 3)
        assert await host.set_data_aside("/n", "c1") == "/n/aside-1"
        assert await host.set_data_aside("/n", "c1") == ""
        with pytest.raises(HostError):
            await host.write_map("/n", "c2", "new\n")

    asyncio.run(body())
