"""A state directory, addresses and a command of each test's own; what it started is ended by pid, whatever happens."""

from __future__ import annotations

import atexit
import json
import os
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

import pytest
from redis import Redis

from slotwright.adapters.supervisors import direct
from tests.engines import ENGINES, TestEngine


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
        assert list(found) == ["error"], self.out
        assert {"code", "what", "where", "hint"} <= set(found["error"]), self.out
        assert all(isinstance(found["error"][name], str) for name in ("code", "what", "where", "hint"))
        return found["error"]


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
        self, arguments: Sequence[str], cwd: Path, environment: dict[str, str], stdin: str, timeout: float
    ) -> Outcome:
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": environment}).encode()
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as starter,
        ):
            given.write(stdin.encode())
            given.seek(0)
            starter.connect(self._path)
            socket.send_fds(starter, [request], [given.fileno(), out.fileno(), err.fileno()])
            told = starter.makefile()
            pid = int(told.readline())
            starter.settimeout(timeout)
            try:
                code = int(told.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["slotwright", *arguments], timeout) from None
            out.seek(0)
            err.seek(0)
            return Outcome(code, out.read().decode(), err.read().decode())

    def _end(self, folder: str) -> None:
        self._process.communicate(timeout=10)  # closes its stdin
        shutil.rmtree(folder)


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
        """A port that is free, with its bus port, on all three hosts."""
        while True:
            with socket.socket() as probe:
                probe.bind((self.hosts[0], 0))
                port = probe.getsockname()[1]
            if (
                port > 55535
                or port in self.taken
                or not all(self._is_free(h, p) for h in self.hosts for p in (port, port + 10000))
            ):
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
        timeout: float = 90,
        env: dict[str, str] | None = None,
        stdin: str | None = None,
        wrapper: tuple[str, ...] = (),
    ) -> Outcome:
        """The command as a process of its own, as a user runs it; ``wrapper`` is a command that runs it in its turn."""
        environment = self.environment | (env or {})
        if not wrapper and "SLOTWRIGHT_TEST_COLD" not in os.environ:
            return _warm().run(arguments, self.folder, environment, stdin or "", timeout)
        done = subprocess.run(
            [*wrapper, sys.executable, "-m", "slotwright", *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=self.folder,
            env=environment,
            input=stdin or "",
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

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
        return Redis(host, int(port), password=password, socket_timeout=5)

    def processes(self) -> dict[str, int]:
        """Folder name -> pid of every node that runs, of any cluster of this test."""
        found = {}
        for note in [*self.folder.rglob("process.json"), *self.folder.rglob("server.pid")]:
            process = direct.find(note.parent)
            if process is not None:
                found[note.parent.name] = process.pid
        return found

    def servers(self) -> dict[int, str]:
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
        assert not self.state.exists(), self.files()
        assert self.files() == sorted(("cluster.yaml", *but))

    def kill(self, address: str, sign: int = signal.SIGKILL) -> None:
        """Signal the node at ``host:port``."""
        os.kill(self.processes()[address.replace(":", "-")], sign)

    def serve(self, engine: TestEngine, address: str, *options: str) -> subprocess.Popen[bytes]:
        """A server that slotwright has nothing to do with; ended with the lab."""
        assert engine.directory is not None
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

        self.wait(listens, f"{address} to listen", 10)
        return process

    def wait(self, condition: Callable[[], object], what: str, timeout: float = 40) -> object:
        """Wait until ``condition`` is true, and return what it gave."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited {timeout} s for: {what}")


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
        for pid in {*lab.processes().values(), *lab.servers()}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        lab.wait(lambda: not lab.servers(), "the servers of this test to be gone", 10)


@pytest.fixture
def lab(tmp_path: Path, worker_id: str) -> Iterator[Lab]:
    with open_lab(tmp_path, worker_id) as lab:
        yield lab


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Lab]:
    """A lab for all tests of a module: for those that only look."""
    with open_lab(tmp_path_factory.mktemp("shared"), worker_id) as lab:
        yield lab


@pytest.fixture(scope="session")
def embedded() -> TestEngine:
    """The embedded default."""
    engine = ENGINES[-1]
    if engine.directory is None:
        pytest.skip("no embedded Valkey on this machine")
    return engine
