"""Servers started by scripts, as on a host without a service manager: a real server on loopback, through a real shell.

The supervisor for systemd is tried in the lab; here a shell that only listens shows what it would be told.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local import processes
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor, SystemdSupervisor
from slotwright.cluster.node_files import LOG_LIMIT_BYTES, PROCESS, SERVER_CONF, SERVER_LOG, Launch
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, RefusedError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.hosts.scripts.systemd_unit import UnitSpec
from slotwright.ports import ShellResult
from tests.engines import any_engine
from tests.fakes import stand_in

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="remote hosts run Linux")


@dataclass
class Site:
    """A folder for one node, and what was started in it."""

    folder: Path
    supervisor: DetachedSupervisor
    started: list[ProcessId] = field(default_factory=list)

    def launch(self, *overrides: tuple[str, str], binary: str = "") -> Launch:
        port = processes.free_port("127.0.0.1")
        conf = f'bind 127.0.0.1\nport {port}\ndir "{self.folder}"\npidfile "{self.folder}/server.pid"\n'
        conf += f'logfile "{self.folder}/server.log"\nsave ""\n'
        (self.folder / SERVER_CONF).write_text(conf)
        binary = binary or str(any_engine().binary)
        return Launch(Address("127.0.0.1", port), str(self.folder), binary, overrides)

    def start(self, launch: Launch) -> ProcessId:
        process = asyncio.run(self.supervisor.start(launch))
        self.started.append(process)
        return process


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "a node's folder"
    folder.mkdir(mode=0o700)
    user = os.popen("id -un").read().strip()
    found = Site(folder, DetachedSupervisor(LocalShell(), "cache", user))
    yield found
    for process in found.started:
        processes.kill(process)


def ask(launch: Launch, *words: str) -> str:
    deadline = time.monotonic() + 60
    while True:
        try:
            with socket.create_connection(("127.0.0.1", launch.address.port), timeout=2) as connection:
                connection.sendall(" ".join(words).encode() + b"\r\n")
                return connection.recv(4096).decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_server_is_started_found_and_ended(site: Site) -> None:
    launch = site.launch(("maxmemory", "123mb"))
    process = site.start(launch)
    assert process == processes.identify(process.pid)
    assert "PONG" in ask(launch, "PING")
    assert str(123 * 1024 * 1024) in ask(launch, "CONFIG", "GET", "maxmemory")
    assert asyncio.run(site.supervisor.find(launch.directory)) == process
    assert os.getsid(process.pid) != os.getsid(0), "a server of this session would end with it"
    asyncio.run(site.supervisor.kill(process, launch.directory))
    assert asyncio.run(site.supervisor.find(launch.directory)) is None
    asyncio.run(site.supervisor.kill(process, launch.directory))


def test_nobody_else_can_read_what_it_writes(site: Site) -> None:
    launch = site.launch()
    site.start(launch)
    ask(launch, "PING")
    for name in (SERVER_LOG, PROCESS, "server.pid"):
        assert stat.S_IMODE((site.folder / name).stat().st_mode) == 0o600, name


def test_the_environment_is_not_handed_on(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", "canary")
    teller = tmp_path / "teller"
    teller.write_text("#!/bin/sh\nenv\necho told\nexec sleep 30\n")
    teller.chmod(0o755)
    site.start(site.launch(binary=str(teller)))
    deadline = time.monotonic() + 60
    while "told" not in (said := (site.folder / SERVER_LOG).read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "canary" not in said
    assert "PATH=" in said


def test_a_server_without_a_note_is_found_by_its_folder(site: Site) -> None:
    launch = site.launch()
    process = site.start(launch)
    ask(launch, "PING")
    (site.folder / PROCESS).unlink()
    assert asyncio.run(site.supervisor.find(launch.directory)) == process
    other = site.folder.parent / "other"
    other.mkdir()
    (other / "server.pid").write_text(str(process.pid))
    assert asyncio.run(site.supervisor.find(str(other))) is None
    both = asyncio.run(site.supervisor.find_all([str(other), launch.directory]))
    assert both == {str(other): None, launch.directory: process}


def test_what_it_says_before_its_log_is_open_stands_in_its_log(site: Site) -> None:
    launch = site.launch(("no-such-directive", "1"))
    process = site.start(launch)
    log = site.folder / SERVER_LOG
    deadline = time.monotonic() + 60
    while not log.exists() or "no-such-directive" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    while asyncio.run(site.supervisor.is_running([process])):
        assert time.monotonic() < deadline


def test_a_log_over_the_limit_is_moved_aside_before_a_start(site: Site) -> None:
    with (site.folder / SERVER_LOG).open("wb") as log:
        log.truncate(LOG_LIMIT_BYTES)
    (site.folder / f"{SERVER_LOG}.1").write_text("older")
    site.start(site.launch())
    assert (site.folder / f"{SERVER_LOG}.1").stat().st_size == LOG_LIMIT_BYTES
    assert (site.folder / f"{SERVER_LOG}.2").read_text() == "older"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user")
@pytest.mark.parametrize("missing", [(), ("setpriv",), ("setpriv", "runuser")], ids=["setpriv", "runuser", "su"])
def test_root_starts_it_as_the_service_user(site: Site, tmp_path: Path, missing: tuple[str, ...]) -> None:
    if missing and not shutil.which("su"):
        pytest.skip("no su here")
    for name in missing:
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    site.supervisor = DetachedSupervisor(ShellWithPath(str(tmp_path)), "cache", "nobody", "nobody")
    launch = site.launch()
    for path in (site.folder, *site.folder.parents):
        if path == Path("/") or path.stat().st_mode & 0o001:
            continue
        if path == site.folder:
            continue
        path.chmod(0o711)
    for path in (site.folder, site.folder / SERVER_CONF):
        shutil.chown(path, "nobody")
    process = site.start(launch)
    assert "PONG" in ask(launch, "PING")
    assert Path(f"/proc/{process.pid}").stat().st_uid == Path(site.folder).stat().st_uid != 0
    assert asyncio.run(site.supervisor.find(launch.directory)) == process


class ShellWithPath(LocalShell):
    """A shell that looks into another folder first."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        script = f"PATH='{self._folder}':$PATH\n{script}"
        return await super().run(script, *arguments, stdin=stdin, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("change", "code"),
    [("folder", "directory-missing"), ("binary", "binary-missing"), ("user", "user-missing")],
)
def test_a_start_that_can_not_be(site: Site, change: str, code: str) -> None:
    launch = site.launch(binary="/no/such/server" if change == "binary" else "/bin/true")
    if change == "folder":
        shutil.rmtree(site.folder)
    if change == "user":
        if os.geteuid() != 0:
            pytest.skip("the user counts for root alone")
        site.supervisor = DetachedSupervisor(LocalShell(), "cache", "no-such-user")
    with pytest.raises(HostError) as caught:
        site.start(launch)
    assert caught.value.code == code


def test_processes_are_told_apart_by_their_start(site: Site) -> None:
    me = processes.identify(os.getpid())
    assert me is not None
    asked = [me, ProcessId(me.pid, "another start"), ProcessId(0, ""), ProcessId(999999999, me.started)]
    assert asyncio.run(site.supervisor.is_running(asked)) == {me}
    asyncio.run(site.supervisor.kill(ProcessId(me.pid, "another start"), str(site.folder)))


@pytest.mark.parametrize("kind", ["detached", "systemd"])
def test_what_can_not_be_the_node_s_server_is_not_signalled(tmp_path: Path, kind: str) -> None:
    shell, node = LocalShell(), tmp_path / "node"
    node.mkdir()
    supervisor = (
        DetachedSupervisor(shell, "cache") if kind == "detached" else SystemdSupervisor(shell, "cache", owner="")
    )
    host = RemoteHost(shell, "", supervisor, supervisor)
    for folder, name, reason in (
        (tmp_path, "redis-server", f"it works in {tmp_path}"),
        (node, "sleep", "which is no server"),
    ):
        with stand_in.running(folder, name=name) as child:
            process = processes.identify(child.pid)
            assert process is not None
            for signalling in (host.kill, host.freeze, host.thaw):
                with pytest.raises(RefusedError) as caught:
                    asyncio.run(signalling(process, str(node)))
                assert (caught.value.code, caught.value.exit_code) == ("process-foreign", 4)
                assert reason in caught.value.what
            assert child.poll() is None
            assert processes.is_running(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of somebody else's")
def test_root_signals_the_service_user_s_processes_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    supervisor = DetachedSupervisor(LocalShell(), "cache", "nobody", "nobody")
    with stand_in.running(Path("/")) as mine, stand_in.running(Path("/"), user=65534) as theirs:
        for child, is_ended in ((mine, False), (theirs, True)):
            process = processes.identify(child.pid)
            assert process is not None
            if is_ended:
                asyncio.run(supervisor.kill(process, "/"))
                assert child.wait(60) == -signal.SIGKILL
            else:
                with pytest.raises(RefusedError, match="it runs as user root"):
                    asyncio.run(supervisor.kill(process, "/"))
                assert child.poll() is None


@pytest.mark.parametrize(("main", "is_ended"), [("itself", True), ("another", False), ("0", True)])
def test_systemd_s_main_process_is_the_truth(tmp_path: Path, main: str, is_ended: bool) -> None:
    """A program called ``systemctl`` stands in for systemd."""
    node = tmp_path / "nodes" / "192.0.2.7-6379"
    node.mkdir(parents=True)
    with stand_in.running(node) as child:
        process = processes.identify(child.pid)
        assert process is not None
        main = {"itself": str(child.pid), "another": "1"}.get(main, main)
        systemctl = tmp_path / "bin" / "systemctl"
        systemctl.parent.mkdir()
        shows = f"ExecStart={{ argv[]=/x {node}/server.conf ; }}\\nMainPID={main}"
        systemctl.write_text(
            f'#!/bin/sh\n[ "$1" != show ] || printf "{shows}\\n" | grep "^$3="\necho "$@" >>{tmp_path}/told\n'
        )
        systemctl.chmod(0o755)
        supervisor = SystemdSupervisor(ShellWithPath(str(systemctl.parent)), "cache", owner="")
        if is_ended:
            asyncio.run(supervisor.kill(process, str(node)))
            assert child.wait(60) == -signal.SIGKILL
        else:
            with pytest.raises(RefusedError, match=f"the main process of {UNIT} is 1"):
                asyncio.run(supervisor.kill(process, str(node)))
            assert child.poll() is None
        assert (f"stop {UNIT}" in (tmp_path / "told").read_text()) == (main == str(child.pid))


def test_the_unit_of_a_folder_of_the_same_name_elsewhere_says_nothing(tmp_path: Path) -> None:
    """A rebuild reads the old data in a folder that was set aside, while the new node runs."""
    kept = tmp_path / "kept" / "192.0.2.7-6379"
    kept.mkdir(parents=True)
    systemctl = tmp_path / "bin" / "systemctl"
    systemctl.parent.mkdir()
    shows = "ExecStart={ argv[]=/x /nodes/192.0.2.7-6379/server.conf ; }\\nMainPID=1"
    systemctl.write_text(f'#!/bin/sh\n[ "$1" != show ] || printf "{shows}\\n" | grep "^$3="\n')
    systemctl.chmod(0o755)
    with stand_in.running(kept) as child:
        process = processes.identify(child.pid)
        assert process is not None
        asyncio.run(SystemdSupervisor(ShellWithPath(str(systemctl.parent)), "cache", owner="").kill(process, str(kept)))
        assert child.wait(60) == -signal.SIGKILL


def test_what_a_host_refuses_is_said_with_what_mends_it() -> None:
    facts = "@unsafe others drwxrwxrwx root root /srv/shared\n"
    with pytest.raises(RefusedError) as caught:
        asyncio.run(SystemdSupervisor(Listener(ShellResult(60, "", facts)), "cache").start(HURRIED))
    error = caught.value
    assert (error.code, error.exit_code, error.where) == ("folder-unsafe", 4, "192.0.2.7:/srv/shared")
    assert error.seen == "drwxrwxrwx root:root /srv/shared"
    assert "chmod go-w /srv/shared" in error.hint
    for facts, code in (
        ("@unsafe-program owner -rwxr-xr-x eve eve /x\n", "program-unsafe"),
        ("@misfit 77 it runs as user root\n", "process-foreign"),
        ("what?\n", "folder-unsafe"),
    ):
        with pytest.raises(RefusedError) as caught:
            asyncio.run(SystemdSupervisor(Listener(ShellResult(60, "", facts)), "cache").start(HURRIED))
        assert caught.value.code == code


class Listener:
    """A host that answers what it was told to, and keeps what it was asked."""

    host = "192.0.2.7"

    def __init__(self, *answers: ShellResult) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, tuple[str, ...], bytes]] = []

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        self.asked.append((script, arguments, stdin))
        return self.answers.pop(0)


DIRECTORY = "/var/lib/slotwright/clusters/cache/nodes/192.0.2.7-6379"
UNIT = "slotwright-cache@192.0.2.7-6379.service"
HURRIED = Launch(Address("192.0.2.7", 6379), DIRECTORY, "/x", (("cluster-node-timeout", "500"),))


def test_a_unit_is_started_by_the_name_of_the_folder() -> None:
    host = Listener(ShellResult(0, "4711 boot:99\n", ""))
    process = asyncio.run(SystemdSupervisor(host, "cache").start(HURRIED))
    assert process == ProcessId(4711, "boot:99")
    [(_, arguments, stdin)] = host.asked
    assert arguments == (UNIT, "/run/slotwright/cache/192.0.2.7-6379.env", DIRECTORY, "/x")
    assert stdin == b"""SLOTWRIGHT_OVERRIDES='--cluster-node-timeout "500"'\n"""


def test_a_unit_that_fails_is_an_error_with_the_words_of_the_journal() -> None:
    host = Listener(ShellResult(1, "", "Failed at step NAMESPACE\n"))
    with pytest.raises(HostError) as caught:
        asyncio.run(SystemdSupervisor(host, "cache").start(HURRIED))
    assert (caught.value.code, caught.value.seen) == ("start-failed", "Failed at step NAMESPACE")
    assert UNIT in caught.value.hint


def test_a_server_that_ended_at_once_has_no_start() -> None:
    host = Listener(ShellResult(0, "gone\n", ""))
    assert asyncio.run(SystemdSupervisor(host, "cache").start(HURRIED)).started == ""


def test_many_units_are_asked_for_in_one_run() -> None:
    host = Listener(ShellResult(0, "4711 boot:99\n-\n", ""))
    found = asyncio.run(SystemdSupervisor(host, "cache").find_all([DIRECTORY, DIRECTORY + "0"]))
    assert found == {DIRECTORY: ProcessId(4711, "boot:99"), DIRECTORY + "0": None}


@pytest.mark.parametrize(("settings", "verb"), [((("appendonly", "yes"),), "yes"), ((("save", ""),), "no")])
def test_what_would_come_back_empty_does_not_start_at_boot(settings: tuple[tuple[str, str], ...], verb: str) -> None:
    host = Listener(ShellResult(0, "", ""))
    spec = UnitSpec("cache", "/x/redis-server", "/nodes", settings=settings)
    asyncio.run(SystemdSupervisor(host, "cache").install(spec, ["192.0.2.7-6379"]))
    assert host.asked[0][1][-2:] == (verb, UNIT)
