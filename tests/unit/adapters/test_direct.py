"""Processes without a service manager: believed only when they are surely the ones that were started.

``sh`` and a ``sleep`` that is called like one stand for a server; whatever is started is ended by its pid.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from slotwright.adapters.local import claims, direct, processes
from slotwright.cluster.formats import FileKind, head_of
from slotwright.cluster.node_files import LOG_LIMIT_BYTES, PID_FILE, PROCESS, SERVER_CONF, SERVER_LOG, Launch
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, RefusedError
from slotwright.hosts.facts.nodes import ProcessId
from tests.fakes import stand_in

SHELL = shutil.which("sh") or "/bin/sh"
HERE = Address("127.0.0.1", 7001)
_SOMEBODY = 54321
"""A user without a name."""


class Nursery:
    """Starts children and ends them."""

    def __init__(self) -> None:
        self.pids: list[int] = []

    def sleeper(self, folder: Path | None = None) -> ProcessId:
        child = stand_in.start(folder or Path.cwd())
        child.returncode = 0  # it is reaped below, or by what is tested
        self.pids.append(child.pid)
        found = processes.identify(child.pid)
        assert found is not None
        return found

    def adopt(self, process: ProcessId) -> ProcessId:
        self.pids.append(process.pid)
        return process

    def end(self) -> None:
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    found = Nursery()
    yield found
    found.end()


def note(folder: Path, pid: object, started: object) -> None:
    (folder / PROCESS).write_text(json.dumps({"pid": pid, "started": started}))


def server(folder: Path, script: str) -> Launch:
    """A server whose program is the shell, and whose configuration is a script."""
    (folder / SERVER_CONF).write_text(script)
    return Launch(HERE, str(folder), SHELL)


def test_a_process_is_its_pid_and_its_start(nursery: Nursery) -> None:
    one, other = nursery.sleeper(), nursery.sleeper()
    assert processes.identify(one.pid) == one
    assert one != other
    assert processes.is_running(one)
    assert not processes.is_running(ProcessId(one.pid, "another start"))


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1, 10**30])
def test_no_such_process(pid: int) -> None:
    assert processes.identify(pid) is None


def test_a_noted_process_is_found(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper(tmp_path)
    note(tmp_path, process.pid, process.started)
    assert direct.find(tmp_path) == process


def test_a_reused_pid_is_not_believed(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper()
    note(tmp_path, process.pid, f"{process.started}0")
    assert direct.find(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", "{}", '{"pid": "x", "started": "y"}', '{"pid": null, "started": ""}', "\xff\xfe"],
)
def test_a_note_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / PROCESS).write_bytes(text.encode("latin-1"))
    assert direct.find(tmp_path) is None


def test_nothing_is_found_where_nothing_is(tmp_path: Path) -> None:
    assert direct.find(tmp_path) is None
    assert direct.find(tmp_path / "gone") is None


def test_a_zombie_is_dead(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper()
    note(tmp_path, process.pid, process.started)
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.identify(process.pid) is None
    assert direct.find(tmp_path) is None
    assert not processes.is_running(process)


def test_the_pid_file_is_believed_for_a_process_that_works_in_the_folder(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper(tmp_path)
    (tmp_path / PID_FILE).write_text(f"{process.pid}\n")
    assert direct.find(tmp_path) == process


def test_a_note_of_a_process_that_can_t_be_the_node_s_is_refused(tmp_path: Path, nursery: Nursery) -> None:
    (tmp_path / "node").mkdir()
    elsewhere = nursery.sleeper(tmp_path)
    no_server = nursery.adopt(direct.start(server(tmp_path / "node", "exec sleep 30")))
    for process, reason in ((elsewhere, f"it works in {tmp_path}"), (no_server, "which is no server")):
        note(tmp_path / "node", process.pid, process.started)
        with pytest.raises(RefusedError) as caught:
            direct.find(tmp_path / "node")
        assert caught.value.code == "process-foreign"
        assert reason in caught.value.seen
        with pytest.raises(RefusedError):
            claims.signal_server(process, tmp_path / "node")
        assert processes.is_running(process)


def test_a_pid_file_counts_beside_a_note_that_is_not_true(tmp_path: Path, nursery: Nursery) -> None:
    (tmp_path / "node").mkdir()
    server_, other = nursery.sleeper(tmp_path / "node"), nursery.sleeper(tmp_path)
    note(tmp_path / "node", other.pid, other.started)
    (tmp_path / "node" / PID_FILE).write_text(str(server_.pid))
    assert direct.find(tmp_path / "node") == server_


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of somebody else's")
def test_a_process_of_another_user_is_never_a_node_s(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    with stand_in.running(tmp_path, user=_SOMEBODY) as child:
        process = processes.identify(child.pid)
        assert process is not None
        note(tmp_path, process.pid, process.started)
        with pytest.raises(RefusedError) as caught:
            direct.find(tmp_path)
        assert caught.value.exit_code == 4
        assert f"it runs as {_SOMEBODY}" in caught.value.seen
        for sign in (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP, signal.SIGCONT):
            with pytest.raises(RefusedError):
                claims.signal_server(process, tmp_path, sign)
        (tmp_path / PROCESS).unlink()
        (tmp_path / PID_FILE).write_text(str(process.pid))
        assert direct.find(tmp_path) is None
        assert claims.servers_in(tmp_path) == ()
        assert child.poll() is None


def test_a_program_that_was_replaced_is_still_a_server(tmp_path: Path) -> None:
    copy = tmp_path / "valkey-server"
    shutil.copy2(stand_in.program(), copy)
    child = subprocess.Popen([str(copy), "60"], cwd=tmp_path)
    try:
        copy.unlink()
        assert processes.executable(child.pid) == f"{copy} (deleted)"
        process = processes.identify(child.pid)
        assert process is not None
        assert claims.servers_in(tmp_path) == (process,)
        claims.signal_server(process, tmp_path)
        assert child.wait(60) == -signal.SIGKILL
    finally:
        child.kill()
        child.wait(60)


def test_a_program_of_any_name_counts_where_servers_are_started_with_it(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.adopt(direct.start(server(tmp_path, "exec sleep 30")))
    sleep = os.path.realpath(shutil.which("sleep") or "/bin/sleep")
    deadline = time.monotonic() + 60
    while processes.executable(process.pid) != sleep:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (tmp_path / "my-server").symlink_to(sleep)
    assert direct.find(tmp_path, frozenset({str(tmp_path / "my-server")})) == process


def test_nothing_happens_to_a_process_that_ends_meanwhile(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper(tmp_path)
    processes.kill(process, signal.SIGTERM, lambda pid: os.kill(pid, signal.SIGKILL) is None)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    claims.signal_server(process, tmp_path)


def test_the_pid_file_is_not_believed_for_one_that_works_elsewhere(tmp_path: Path, nursery: Nursery) -> None:
    (tmp_path / "node").mkdir()
    process = nursery.sleeper(tmp_path)
    (tmp_path / "node" / PID_FILE).write_text(str(process.pid))
    assert direct.find(tmp_path / "node") is None


def test_the_pid_file_helps_where_the_note_is_stale(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.sleeper(tmp_path)
    note(tmp_path, process.pid, "before the last boot")
    (tmp_path / PID_FILE).write_text(str(process.pid))
    assert direct.find(tmp_path) == process


def test_a_folder_by_another_way_is_the_same_folder(tmp_path: Path, nursery: Nursery) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "node")
    process = nursery.sleeper(tmp_path / "node")
    (tmp_path / "node" / PID_FILE).write_text(str(process.pid))
    assert direct.find(tmp_path / "link") == process


@pytest.mark.parametrize("text", ["", "0", "-1", "x", "99999999999999999999"])
def test_a_pid_file_with_no_pid(tmp_path: Path, text: str) -> None:
    (tmp_path / PID_FILE).write_text(text)
    assert direct.find(tmp_path) is None


def test_only_the_very_process_is_killed(nursery: Nursery) -> None:
    process = nursery.sleeper()
    processes.kill(ProcessId(process.pid, "another start"))
    assert processes.is_running(process)
    processes.kill(process)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.is_running(process)
    processes.kill(process)


def test_a_started_server_is_detached_noted_and_found(tmp_path: Path, nursery: Nursery) -> None:
    process = nursery.adopt(direct.start(server(tmp_path, f"exec {stand_in.program()} 30")))
    deadline = time.monotonic() + 60
    while not processes.executable(process.pid).endswith("/redis-server"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    noted = json.loads((tmp_path / PROCESS).read_text())
    assert noted == {**head_of(FileKind.PROCESS), "pid": process.pid, "started": process.started}
    assert direct.find(tmp_path) == process
    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    assert oct((tmp_path / SERVER_LOG).stat().st_mode & 0o777) == "0o600"


def test_a_server_that_can_not_be_noted_is_gone_when_that_is_said(tmp_path: Path) -> None:
    before = psutil.Process().children()
    (tmp_path / PROCESS / "in the way").mkdir(parents=True)
    with pytest.raises(HostError) as caught:
        direct.start(server(tmp_path, "exec sleep 30"))
    assert caught.value.code == "host-files"
    assert psutil.Process().children() == before, "not even a zombie"


def test_early_words_go_to_the_log_and_the_environment_stays_here(
    tmp_path: Path, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", "hunter2")
    (tmp_path / SERVER_LOG).write_text("before\n")
    process = nursery.adopt(
        direct.start(server(tmp_path, 'echo out $*; echo err >&2; echo "[$CACHE_PASSWORD]"; umask'))
    )
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert (tmp_path / SERVER_LOG).read_text() == "before\nout\nerr\n[]\n0077\n"


def test_overrides_are_arguments(tmp_path: Path, nursery: Nursery) -> None:
    launch = server(tmp_path, 'printf "%s|" "$@"')
    launch = Launch(launch.address, launch.directory, launch.binary, (("repl-diskless-sync-delay", "0"),))
    process = nursery.adopt(direct.start(launch))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert (tmp_path / SERVER_LOG).read_text() == "--repl-diskless-sync-delay|0|"


@pytest.mark.parametrize(
    ("content", "mode", "code"),
    [
        (None, 0, "binary-missing"),
        (b"", 0o600, "binary-not-executable"),
        (b"\x7fELF", 0o700, "binary-wrong-architecture"),
    ],
)
def test_a_binary_that_can_t_be_started(tmp_path: Path, content: bytes | None, mode: int, code: str) -> None:
    binary = tmp_path / "redis-server"
    if content is not None:
        binary.write_bytes(content)
        binary.chmod(mode)
    with pytest.raises(HostError) as caught:
        direct.start(Launch(HERE, str(tmp_path), str(binary)))
    assert (caught.value.code, caught.value.where) == (code, "127.0.0.1:7001")


def test_the_umask_is_what_it_was(tmp_path: Path, nursery: Nursery) -> None:
    before = os.umask(0o027)
    try:
        nursery.adopt(direct.start(server(tmp_path, "exit")))
        with pytest.raises(HostError):
            direct.start(Launch(HERE, str(tmp_path), "/no/such/program"))
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_a_big_log_is_moved_aside_three_times(tmp_path: Path) -> None:
    log = tmp_path / SERVER_LOG
    for _ in range(5):
        with log.open("wb") as file:
            file.truncate(LOG_LIMIT_BYTES)
        direct.rotate_log(log)
        assert not log.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["server.log.1", "server.log.2", "server.log.3"]


def test_a_small_log_stays(tmp_path: Path) -> None:
    (tmp_path / SERVER_LOG).write_text("small")
    direct.rotate_log(tmp_path / SERVER_LOG)
    direct.rotate_log(tmp_path / "gone.log")
    assert [path.name for path in tmp_path.iterdir()] == [SERVER_LOG]
