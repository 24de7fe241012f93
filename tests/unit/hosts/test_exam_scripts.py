"""The scripts that examine nodes and mend their folders: run by the shells that hosts have, on real files."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotwright.adapters.local.processes import identify
from slotwright.cluster.node_files import MAP_ASIDE, MARKER, NODES_CONF, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG
from slotwright.cluster.topology import Address
from slotwright.hosts.facts.exam import LOG_BYTES, HostExam, NodeExam
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery, ProcessId
from slotwright.hosts.scripts import exam as scripts
from tests.engines import TestEngine, engine_params
from tests.fakes import stand_in
from tests.fakes.shells import Sh, make_ours

NAMES = [name for name in vars(scripts) if name.isupper() and not name.startswith("_")]


def examine(sh: Sh, *folders: Path, cluster_id: str = "c1") -> HostExam:
    queries = [NodeQuery(Address("127.0.0.1", 7001 + index), str(each)) for index, each in enumerate(folders)]
    done = sh.run(scripts.EXAMINE, cluster_id, *map(str, folders), "--")
    assert (done.returncode, done.stderr) == (0, "")
    return scripts.parse_exam(done.stdout, "h", cluster_id, queries, ())


def exam_of(sh: Sh, folder: Path, cluster_id: str = "c1") -> NodeExam:
    return examine(sh, folder, cluster_id=cluster_id).nodes[0]


def as_owner(sh: Sh, script: str, folder: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return sh.run(scripts.AT_REST, str(folder), "c1", "", script, str(folder), *words, stdin=stdin)


@pytest.fixture
def sleeper(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder.mkdir(parents=True)
    with stand_in.running(folder) as process:
        yield process


def note(folder: Path, pid: int) -> ProcessId:
    process = identify(pid)
    assert process is not None
    (folder / PROCESS).write_text(json.dumps({"pid": process.pid, "started": process.started}))
    return process


def test_what_a_folder_is(sh: Sh, folder: Path) -> None:
    found = exam_of(sh, folder)
    assert found.directory is DirectoryState.ABSENT
    assert found.free_bytes
    folder.mkdir(parents=True)
    (folder / ".server.conf.77.tmp").write_text("cut")
    assert exam_of(sh, folder).directory is DirectoryState.EMPTY
    (folder / "dump.rdb").write_text("x")
    assert exam_of(sh, folder).directory is DirectoryState.FOREIGN
    for text in ("", "no json", "[]"):
        (folder / MARKER).write_text(text)
        assert exam_of(sh, folder).directory is DirectoryState.FOREIGN
    make_ours(folder)
    assert exam_of(sh, folder).directory is DirectoryState.OURS
    assert exam_of(sh, folder, "another").directory is DirectoryState.OTHER_CLUSTER


def test_nothing_is_told_of_what_is_another_clusters(sh: Sh, folder: Path, sleeper: subprocess.Popen[bytes]) -> None:
    make_ours(folder, SERVER_LOG, NODES_CONF, "dump.rdb")
    note(folder, sleeper.pid)
    found = exam_of(sh, folder, "another")
    assert (found.process, found.map_text, found.log_tail, found.data_bytes) == (None, None, "", 0)


@pytest.mark.parametrize(
    "text", ["", "\n", "half a li", "one\ntwo\n", "a\r\nb\u2028c\x0b\n\n", "@end\n@node /x\n|bar\n", "% $HOME \\n `x`"]
)
def test_texts_come_as_they_are_whatever_is_in_them(sh: Sh, folder: Path, text: str) -> None:
    make_ours(folder)
    for name in (NODES_CONF, SERVER_LOG):
        (folder / name).write_bytes(text.encode())
    queries = [NodeQuery(Address("127.0.0.1", 7001), str(folder))]
    words = [*sh.words, "-c", scripts.EXAMINE, "sh", "c1", str(folder), "--"]
    output = subprocess.run(words, capture_output=True, check=True, timeout=20).stdout.decode()
    (found,) = scripts.parse_exam(output, "h", "c1", queries, ()).nodes
    assert (found.map_text, found.log_tail) == (text, text)


def test_what_is_no_text_at_all_is_seen_to_be_none(sh: Sh, folder: Path) -> None:
    make_ours(folder)
    assert exam_of(sh, folder).map_text is None
    (folder / NODES_CONF).write_bytes(b"\0" * 100)
    assert exam_of(sh, folder).map_text == "\1" * 100


def test_the_one_server_that_works_in_a_folder_is_its_node_s_whatever_the_files_say(
    sh: Sh, folder: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    make_ours(folder, NODES_CONF)
    assert exam_of(sh, folder).process == identify(sleeper.pid)
    with stand_in.running(folder, name="valkey-server"):
        assert exam_of(sh, folder).process is None, "of several, nobody knows which"


def test_a_node_that_runs_shows_its_process_and_not_its_map(
    sh: Sh, folder: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    make_ours(folder, NODES_CONF)
    process = note(folder, sleeper.pid)
    found = exam_of(sh, folder)
    assert (found.process, found.map_text) == (process, None)
    assert found.process_state in ("R", "S", "D")
    limits = Path(f"/proc/{sleeper.pid}/limits").read_text()
    assert found.nofile == int(limits.partition("Max open files")[2].split()[0])
    os.kill(sleeper.pid, signal.SIGSTOP)
    deadline = time.monotonic() + 60
    while not exam_of(sh, folder).is_stopped and time.monotonic() < deadline:
        time.sleep(0.01)
    assert exam_of(sh, folder).is_stopped
    os.kill(sleeper.pid, signal.SIGCONT)


def test_the_end_of_a_log_is_bounded(sh: Sh, folder: Path) -> None:
    make_ours(folder)
    (folder / SERVER_LOG).write_text("x" * 9000 + "the end\n")
    assert exam_of(sh, folder).log_tail == "x" * (LOG_BYTES - 8) + "the end\n"


def test_data_is_what_is_nothing_else(sh: Sh, folder: Path) -> None:
    make_ours(folder, SERVER_CONF, SERVER_LOG, f"{SERVER_LOG}.1", NODES_CONF, MAP_ASIDE, PID_FILE)
    assert exam_of(sh, folder).data_bytes == 0
    (folder / "du mp.rdb").write_text("x" * 10)
    for name in ("appendonlydir", "aside-1"):
        (folder / name).mkdir()
        (folder / name / "appendonly.aof.1.incr.aof").write_text("x" * 7)
    assert exam_of(sh, folder).data_bytes == 17


def test_many_nodes_and_their_host(sh: Sh, tmp_path: Path) -> None:
    folders = [tmp_path / f"n {number}" for number in range(3)]
    for one in folders[:2]:
        make_ours(one, SERVER_LOG)
    found = examine(sh, *folders)
    states = [DirectoryState.OURS, DirectoryState.OURS, DirectoryState.ABSENT]
    assert [node.directory for node in found.nodes] == states
    assert [node.address.port for node in found.nodes] == [7001, 7002, 7003]
    assert found.memory_bytes
    assert examine(sh).nodes == ()


def test_an_exam_that_was_cut_is_no_answer(sh: Sh, folder: Path) -> None:
    make_ours(folder, SERVER_LOG, NODES_CONF)
    text = sh.run(scripts.EXAMINE, "c1", str(folder), "--").stdout
    queries = [NodeQuery(Address("127.0.0.1", 1), str(folder))]
    scripts.parse_exam(text, "h", "c1", queries, ())
    for cut in range(len(text)):
        with pytest.raises(ValueError, match="too early"):
            scripts.parse_exam(text[:cut], "h", "c1", queries, ())


def test_how_a_run_ended_is_the_service_managers_word() -> None:
    """In whatever order it tells it, with the empty line between two units that it prints."""
    queries = [NodeQuery(Address("h", port), f"/n/{port}") for port in (1, 2, 3)]
    units = [f"slotwright-c@{port}.service" for port in (1, 2, 3)]
    told = f"Result=oom-kill\nId={units[0]}\n\nId={units[1]}\nResult=success\n\nResult=exit-code\nId={units[2]}\n"
    nodes = "".join(f'@node /n/{port}\n@marker {{"cluster_id": "c1"}}\n@room x\n' for port in (1, 2, 3))
    unit_lines = "".join(f"@unit {line}\n" for line in told.splitlines())
    found = scripts.parse_exam(f"{nodes}@host\n{unit_lines}@end\n", "h", "c1", queries, units)
    assert [node.ended_by for node in found.nodes] == ["oom-kill", "", "exit-code"]


def test_a_map_is_replaced_and_the_old_one_kept_beside_it(sh: Sh, folder: Path) -> None:
    make_ours(folder)
    assert as_owner(sh, scripts.WRITE_MAP, folder, "EOT", stdin="new\nmap\nEOT\n").returncode == 0
    assert (folder / NODES_CONF).read_text() == "new\nmap\n"
    assert not (folder / MAP_ASIDE).exists()
    (folder / NODES_CONF).write_bytes(b"half a \0")
    for _ in range(2):
        done = as_owner(sh, scripts.WRITE_MAP, folder, "EOT", stdin="new\nmap\nEOT\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert (folder / NODES_CONF).read_text() == "new\nmap\n"
        assert (folder / MAP_ASIDE).read_bytes() == b"half a \0", "a second time keeps the first one's"
    assert sorted(path.name for path in folder.iterdir()) == sorted([MARKER, NODES_CONF, MAP_ASIDE])
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.name != MARKER} == {0o600}


def test_a_map_that_was_cut_on_its_way_replaces_nothing(sh: Sh, folder: Path) -> None:
    make_ours(folder, NODES_CONF)
    assert as_owner(sh, scripts.WRITE_MAP, folder, "EOT", stdin="half").returncode == 42
    assert (folder / NODES_CONF).read_text() == f"text of {NODES_CONF}\n"
    assert sorted(path.name for path in folder.iterdir()) == sorted([MARKER, NODES_CONF])


@pytest.mark.parametrize("script", [scripts.WRITE_MAP, scripts.SET_DATA_ASIDE, scripts.CUT_APPEND_LOG])
def test_only_a_folder_of_ours_in_which_nothing_runs_is_touched(sh: Sh, folder: Path, script: str) -> None:
    def status(cluster_id: str = "c1") -> int:
        words = (str(folder), cluster_id, "", script, str(folder), "EOT")
        return sh.run(scripts.AT_REST, *words, stdin="new\nEOT\n").returncode

    assert status() == 45
    folder.mkdir(parents=True)
    assert status() == 44
    make_ours(folder, NODES_CONF, "dump.rdb")
    assert status("another") == 44
    with stand_in.running(folder) as process:
        note(folder, process.pid)
        assert status() == 47
    assert sorted(path.name for path in folder.iterdir()) == sorted([MARKER, NODES_CONF, "dump.rdb", PROCESS])
    assert (folder / NODES_CONF).read_text() == f"text of {NODES_CONF}\n"


def test_a_map_is_read_only_where_it_is_ours(sh: Sh, folder: Path) -> None:
    assert sh.run(scripts.READ_MAP, str(folder), "c1").stdout == ""
    make_ours(folder)
    assert (sh.run(scripts.READ_MAP, str(folder), "c1").stdout) == ""
    (folder / NODES_CONF).write_text("half a li")
    assert sh.run(scripts.READ_MAP, str(folder), "c1").stdout == "half a li"
    assert sh.run(scripts.READ_MAP, str(folder), "another").stdout == ""


def test_data_is_set_aside_and_nothing_else(sh: Sh, folder: Path) -> None:
    kept = [MARKER, SERVER_CONF, SERVER_LOG, NODES_CONF, MAP_ASIDE]
    make_ours(folder, *kept[1:])
    assert as_owner(sh, scripts.SET_DATA_ASIDE, folder).stdout == ""
    for goal in ("aside-1", "aside-2"):
        (folder / "appendonlydir").mkdir()
        (folder / "appendonlydir" / "a b.aof").write_text("x")
        (folder / "-dump.rdb").write_text("x")
        assert as_owner(sh, scripts.SET_DATA_ASIDE, folder).stdout == f"{folder}/{goal}\n"
        assert sorted(path.name for path in (folder / goal).iterdir()) == ["-dump.rdb", "appendonlydir"]
        assert stat.S_IMODE((folder / goal).stat().st_mode) == 0o700
    assert sorted(path.name for path in folder.iterdir()) == sorted([*kept, "aside-1", "aside-2"])


@pytest.mark.parametrize("engine", engine_params())
def test_an_append_only_file_loses_what_can_not_be_read(sh: Sh, folder: Path, engine: TestEngine) -> None:
    make_ours(folder)
    whole, log = write_append_log(folder, has_parts=engine.version_prefix != "6.2.")
    log.write_bytes(whole + b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$9\r\nhal")
    done = as_owner(sh, scripts.CUT_APPEND_LOG, folder, str(engine.binary))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "truncated" in done.stdout
    assert log.read_bytes() == whole
    assert as_owner(sh, scripts.CUT_APPEND_LOG, folder, str(engine.binary)).returncode == 0, "a whole one stays"
    assert log.read_bytes() == whole
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    (folder / "appendonlydir" / "appendonly.aof.manifest").unlink(missing_ok=True)
    (folder / "appendonly.aof").unlink(missing_ok=True)
    assert as_owner(sh, scripts.CUT_APPEND_LOG, folder, str(engine.binary)).returncode == 48


def write_append_log(folder: Path, *, has_parts: bool) -> tuple[bytes, Path]:
    """As a server writes it; its bytes, and the file that a crash would cut."""
    whole = b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
    log = folder / "appendonly.aof"
    if has_parts:
        (folder / "appendonlydir").mkdir()
        log = folder / "appendonlydir" / "appendonly.aof.1.incr.aof"
        manifest = "file appendonly.aof.1.incr.aof seq 1 type i\n"
        (folder / "appendonlydir" / "appendonly.aof.manifest").write_text(manifest)
    log.write_bytes(whole)
    return whole, log


def test_a_tool_that_fails_says_why(sh: Sh, folder: Path) -> None:
    make_ours(folder)
    write_append_log(folder, has_parts=False)
    done = as_owner(sh, scripts.CUT_APPEND_LOG, folder, "/bin/false")
    assert done.returncode == 49
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
