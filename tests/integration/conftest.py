"""A state directory, addresses and a command of each test's own; what it started is ended by pid, whatever happens."""

from __future__ import annotations

import atexit
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from redis import Redis

from slotwright.adapters.local import direct
from tests.engines import TestEngine
from tests.fakes.impostor import listening_on_all, says
from tests.integration.warm import give_up_rights
from tests.unit.output.shapes import misfits

if TYPE_CHECKING:
    from tests.integration.edge import World

_FORKED = re.compile(r"(redis|valkey)-(rdb|aof|module|slot)-")
"""The title of a forked copy (redisSetProcTitle of rdb.c, aof.c and others): ``valkey-rdb-bgsave 127.0.0.1:7001``."""


PORTS = range(10_000, 22_768)
"""With their bus ports below those that Linux gives to outgoing connections: these may be taken any moment."""


@dataclass
class Outcome:
    """What a run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)

    @property
    def error(self) -> dict:
        """The one error object that stdout is under ``--json``; its four documented fields are always there."""
        found = self.json
        assert list(found) == ["format", "error"], self.out
        assert {"code", "what", "where", "hint"} <= set(found["error"]), self.out
        assert all(isinstance(found["error"][name], str) for name in ("code", "what", "where", "hint"))
        return found["error"]


@dataclass(frozen=True)
class Start:
    """How the command is started, where that is not as usual: descriptors that are closed, a file in place of stdout,
    the encoding of stdout and stderr, without root's rights; and Ctrl-C after so long."""

    closed: tuple[int, ...] = ()
    stdout: str = ""
    stderr: str = ""
    encoding: str = ""
    powerless: bool = False
    interrupt_after_s: float | None = None

    @property
    def request(self) -> dict[str, object]:
        """For ``warm.py``: what is not as usual."""
        wanted = {"closed": self.closed, "encoding": self.encoding, "powerless": self.powerless}
        return {name: value for name, value in wanted.items() if value}

    def apply(self) -> None:
        """In the child of a cold start, before it becomes the command."""
        for number in self.closed:
            os.close(number)
        if self.powerless:
            give_up_rights()


USUAL = Start()


class WarmStarter:
    """The client of ``warm.py``: one for each process of pytest; it ends with us."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="slotwright-warm-")
        self._path = f"{folder}/socket"
        words = [sys.executable, str(Path(__file__).with_name("warm.py")), self._path]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self._end, folder)

    def run(
        self,
        arguments: Sequence[str],
        cwd: Path,
        environment: dict[str, str],
        stdin: str,
        timeout: float,
        start: Start = USUAL,
    ) -> Outcome:
        told = {"arguments": arguments, "cwd": os.fsdecode(cwd), "env": environment, **start.request}
        request = json.dumps(told).encode()
        with (
            tempfile.TemporaryFile() as given,
            output_file(start.stdout) as out,
            output_file(start.stderr) as err,
            socket.socket(socket.AF_UNIX) as starter,
        ):
            given.write(stdin.encode())
            given.seek(0)
            starter.connect(self._path)
            socket.send_fds(starter, [request], [given.fileno(), out.fileno(), err.fileno()])
            told = starter.makefile()
            pid = int(told.readline())
            if start.interrupt_after_s is not None:
                _interrupt(starter, pid, start.interrupt_after_s)
            starter.settimeout(timeout)
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["slotwright", *arguments], timeout) from None
            return Outcome(code, read_back(out, start.stdout), read_back(err, start.stderr))

    def _end(self, folder: str) -> None:
        self._process.communicate(timeout=60)  # closes its stdin
        shutil.rmtree(folder)


def _interrupt(starter: socket.socket, pid: int, after_s: float) -> None:
    """Ctrl-C, unless the run ends by itself before."""
    if select.select([starter], [], [], after_s)[0]:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGINT)


def output_file(path: str) -> IO[bytes]:
    """Where a run's output goes: a file that is read back, unless the test names one."""
    return Path(path).open("wb", buffering=0) if path else tempfile.TemporaryFile()


def read_back(file: IO[bytes], path: str) -> str:
    """What was written; nothing of a file that the test named. Bytes of another encoding are shown as such."""
    if path:
        return ""
    file.seek(0)
    return file.read().decode(errors="backslashreplace")


@cache
def _warm() -> WarmStarter:
    return WarmStarter()


@dataclass
class Lab:
    """One test's own world: three loopback hosts, a state directory, and the command."""

    folder: Path
    hosts: tuple[str, str, str]
    environment: dict[str, str]
    taken: set[int] = field(default_factory=set)

    @property
    def state(self) -> Path:
        return Path(self.environment["SLOTWRIGHT_STATE"])

    def free_port(self) -> int:
        """A port that is free, with its bus port, on all three hosts and on 127.0.0.1, where some tests have others."""
        places = (*self.hosts, "127.0.0.1")
        while True:
            port = random.choice(PORTS)
            if port in self.taken or not all(self._is_free(host, n) for host in places for n in (port, port + 10000)):
                continue
            self.taken.add(port)
            return port

    @staticmethod
    def _is_free(host: str, port: int) -> bool:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
        return True

    def run(
        self,
        *arguments: str,
        timeout: float = 180,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        wrapper: tuple[str, ...] = (),
        start: Start = USUAL,
        is_cold: bool = False,
        cwd: Path | None = None,
    ) -> Outcome:
        """The command as a process of its own, as a user runs it; ``wrapper`` is a command that runs it in its turn.

        With `--json`, what it writes is of one of the types of its verb, whatever the test is about."""
        outcome = self._run(arguments, timeout, env, stdin, wrapper, start, is_cold, cwd)
        assert misfits(arguments, outcome.out) == []
        return outcome

    def _run(
        self,
        arguments: Sequence[str],
        timeout: float,
        env: dict[str, str] | None,
        stdin: str | None,
        wrapper: tuple[str, ...],
        start: Start,
        is_cold: bool,
        cwd: Path | None,
    ) -> Outcome:
        environment = self.environment | (env or {})
        folder = cwd or self.folder
        if not wrapper and not is_cold and "SLOTWRIGHT_TEST_COLD" not in os.environ:
            return _warm().run(arguments, folder, environment, stdin or "", timeout, start)
        if start.encoding:
            environment["PYTHONIOENCODING"] = start.encoding
        with output_file(start.stdout) as out, output_file(start.stderr) as err:
            process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "slotwright", *arguments],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                cwd=folder,
                env=environment,
                preexec_fn=None if start == USUAL else start.apply,
            )
            try:
                process.communicate((stdin or "").encode(), timeout=start.interrupt_after_s or timeout)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL if start.interrupt_after_s is None else signal.SIGINT)
                process.wait(timeout)
                if start.interrupt_after_s is None:
                    raise
            return Outcome(process.returncode, read_back(out, start.stdout), read_back(err, start.stderr))

    def popen(
        self, *arguments: str, env: dict[str, str] | None = None, stdout: int = subprocess.PIPE
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "slotwright", *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment | (env or {}),
            stdin=subprocess.DEVNULL,
        )

    def write(self, text: str, name: str = "cluster.yaml") -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def topology(
        self,
        engine: TestEngine,
        *,
        name: str = "cache",
        settings: str = "{}",
        password: str = "generate",
        extra: str = "",
        ports: tuple[int, ...] = (),
        replicas: int = 1,
        file: str = "cluster.yaml",
    ) -> Path:
        """The origin story's shape: three hosts with two ports each."""
        chosen = ports or (self.free_port(), self.free_port())
        return self.write(
            f"name: {name}\n"
            f"engine: {{kind: {engine.kind}, from: {engine.directory}}}\n"
            f"hosts: [{', '.join(self.hosts)}]\n"
            f"ports: [{', '.join(map(str, chosen))}]\n"
            f"replicas: {replicas}\npassword: {password}\nsettings: {settings}\n{extra}",
            file,
        )

    def password(self, name: str = "cache") -> str | None:
        path = self.state / "clusters" / name / "password"
        return path.read_text() if path.exists() else None

    def client(self, address: str, password: str | None = None) -> Redis:
        host, port = address.rsplit(":", 1)
        return Redis(host, int(port), password=password, socket_timeout=30)

    def processes(self) -> dict[str, int]:
        """Folder name -> pid of every node that runs, of any cluster of this test."""
        found = {}
        for note in [*self.folder.rglob("process.json"), *self.folder.rglob("server.pid")]:
            process = direct.find(note.parent)
            if process is not None:
                found[note.parent.name] = process.pid
        return found

    def servers(self) -> dict[int, str]:
        """`running` without the forked copies of servers that save or send: these end by themselves, also some
        moments after a server that was killed."""
        return {pid: words for pid, words in self.running().items() if not _FORKED.match(words)}

    def running(self) -> dict[int, str]:
        """Pid -> command line of everything that works in this test's folder or was started with a file of it, also
        when its folder is gone: what slotwright should have ended is seen here whether it knows of it or not."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            conf = any(word.startswith(f"{self.folder}/") and word.endswith("/server.conf") for word in words)
            if conf or place.startswith(f"{self.folder}/"):
                found[int(entry.name)] = " ".join(words)
        return found

    def files(self) -> list[str]:
        """Every file below the test's folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if not path.is_dir())

    def assert_nothing_is_left(self, *but: str) -> None:
        """No process, no state, and no file but those that the test itself wrote."""
        assert self.servers() == {}
        self.wait(lambda: not self.running(), "forked copies to end")
        assert not self.state.exists(), self.files()
        assert self.files() == sorted(("cluster.yaml", *but))

    def kill(self, address: str, sign: int = signal.SIGKILL) -> None:
        """Signal the node at ``host:port``; one that is killed is gone when this returns."""
        pid = self.processes()[address.replace(":", "-")]
        os.kill(pid, sign)
        if sign == signal.SIGKILL:
            self.wait(lambda: pid not in self.servers(), f"{address} to be gone")

    def serve(self, engine: TestEngine, address: str, *options: str) -> subprocess.Popen[bytes]:
        """A server that slotwright has nothing to do with; ended with the lab."""
        host, port = address.rsplit(":", 1)
        folder = self.folder / f"foreign-{host}-{port}"
        folder.mkdir()
        words = [str(engine.binary), "--bind", host, "--port", port, "--dir", str(folder), "--save", "", *options]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)

        def listens() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex((host, int(port))) == 0

        self.wait(listens, f"{address} to listen")
        return process

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 120) -> object:
        """Wait until ``condition`` is true, and return what it gave."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {timeout} s for: {what}")


def read_terminal(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody holds the other end any more
        return b""


def without_root_rights() -> tuple[str, ...]:
    """A wrapper under which permissions of files hold for root, too; empty for anybody else."""
    if os.geteuid() != 0:
        return ()
    found = shutil.which("setpriv")
    if found is None:
        pytest.skip("root may read and write every file, and there is no setpriv to give that up")
    return (found, "--bounding-set", "-dac_override,-dac_read_search")


@contextmanager
def open_lab(folder: Path, worker: str) -> Iterator[Lab]:
    """A lab in ``folder``; whatever it started is ended with it."""
    block = 10 + (int(worker[2:]) if worker.startswith("gw") else 90)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLOTWRIGHT", "CACHE"))}
    environment |= {"SLOTWRIGHT_STATE": str(folder / "state"), "NO_COLOR": "1"}
    lab = Lab(folder, (f"127.0.{block}.1", f"127.0.{block}.2", f"127.0.{block}.3"), environment)
    try:
        yield lab
    finally:
        for pid in {*lab.processes().values(), *lab.running()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        lab.wait(lambda: not lab.running(), "the servers of this test to be gone")


@pytest.fixture
def lab(tmp_path: Path, worker_id: str) -> Iterator[Lab]:
    with open_lab(tmp_path, worker_id) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Lab]:
    """A lab for all tests of a module: for those that only look."""
    with open_lab(tmp_path_factory.mktemp("shared"), worker_id) as lab:
        yield lab


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, worker_id: str, embedded: TestEngine) -> Iterator[World]:
    """Three primaries that were up, and were killed."""
    from tests.integration.edge import make_world

    with open_lab(tmp_path_factory.mktemp("edge"), worker_id) as lab:
        yield make_world(lab, embedded)


@pytest.fixture(scope="module")
def refusing(world: World) -> Iterator[World]:
    """Servers of sorts are at the nodes' places, and refuse every command: no verb starts anything."""
    with listening_on_all(list(world.addresses), says(b"-ERR no\r\n")):
        yield world
