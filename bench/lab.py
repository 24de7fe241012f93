"""Where a measurement takes place: a temporary folder, ports from the system, and servers that are surely ended.

Everything that is started works below the folder. At the end every process whose working directory is there is ended
by its pid, also after Ctrl-C and also when it was started by a command that was killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from slotwright.adapters.engines import Binary, locate
from slotwright.adapters.local.processes import bind_error, free_port
from slotwright.cluster.topology import HIGHEST_PORT, Address, Engine, EngineKind, EngineOrigin, Mode
from slotwright.server.server_conf import NodeConfig, render_server_conf

HOSTS = ("127.0.30.1", "127.0.30.2", "127.0.30.3")
REPLICAS = 1


@dataclass(frozen=True, slots=True)
class Lab:
    """The folder of one run, and the server that all sides use."""

    folder: Path
    binary: Binary
    taken: set[int] = field(default_factory=set)

    def addresses(self, count: int) -> tuple[Address, ...]:
        """``count`` fresh addresses over the hosts, host by host in turn; their bus ports are free as well."""
        ports = [self.port() for _ in range(-(-count // len(HOSTS)))]
        return tuple(Address(HOSTS[at % len(HOSTS)], ports[at // len(HOSTS)]) for at in range(count))

    def port(self) -> int:
        """One that nobody uses on any of the hosts, nor its bus port."""
        while True:
            port = free_port(HOSTS[0], HIGHEST_PORT)
            both = {port, port + 10000}
            if both & self.taken or any(bind_error(Address(host, port), each) for host in HOSTS for each in both):
                continue
            self.taken.update(both)
            return port

    def topology(self, name: str, addresses: Sequence[Address], folder: Path) -> Path:
        """A topology file for exactly these addresses."""
        hosts = [
            f"  - {{address: {host}, ports: [{', '.join(str(each.port) for each in addresses if each.host == host)}]}}"
            for host in HOSTS
        ]
        lines = [
            f"name: {name}",
            f"engine: {{kind: {self.binary.version.kind.value}, from: {Path(self.binary.path).parent}}}",
            "hosts:",
            *hosts,
            f"replicas: {REPLICAS}",
            "password: none",
        ]
        path = folder / f"{name}.yaml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def scratch(self, name: str) -> Path:
        """A new folder in ours."""
        path = self.folder / name
        path.mkdir(parents=True)
        return path

    def sweep(self) -> None:
        """End, by pid, every process that works below the folder, and wait until they are gone."""
        end_below(self.folder)


@dataclass(slots=True)
class Servers:
    """Servers that the measurement starts itself, with the very configuration that slotwright writes."""

    lab: Lab
    addresses: tuple[Address, ...]
    folder: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def prepare(self) -> None:
        """Folders and configurations: before the clock starts."""
        for address in self.addresses:
            directory = self._directory(address)
            directory.mkdir()
            config = NodeConfig(address, str(directory), Mode.CLUSTER, None)
            (directory / "server.conf").write_text(render_server_conf(config))

    def start(self, overrides: Sequence[tuple[str, str]] = ()) -> float:
        """Start all of them; returns the moment before the first one."""
        extra = [word for name, value in overrides for word in (f"--{name}", value)]
        began = time.monotonic()
        for address in self.addresses:
            self.started.append(
                subprocess.Popen(
                    [self.lab.binary.path, str(self._directory(address) / "server.conf"), *extra],
                    cwd=self._directory(address),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        return began

    def end(self) -> None:
        """End them by pid."""
        for process in self.started:
            process.kill()
        for process in self.started:
            process.wait()
        self.started.clear()

    def _directory(self, address: Address) -> Path:
        return self.folder / f"{address.host}-{address.port}"


@contextlib.contextmanager
def open_lab(binary: str) -> Iterator[Lab]:
    """A lab that leaves no process and no file; ``binary`` "" takes the embedded Valkey."""
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="slotwright-bench-")).resolve()
    try:
        yield Lab(folder, find_binary(binary))
    finally:
        # A second Ctrl-C must not leave servers behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        end_below(folder)
        shutil.rmtree(folder, ignore_errors=True)
        signal.signal(signal.SIGINT, before)


def find_binary(path: str) -> Binary:
    """The server at ``path`` (redis-server or valkey-server), or the embedded Valkey."""
    if not path:
        return locate(Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED))
    found = Path(path).expanduser().absolute()
    kind = EngineKind.VALKEY if found.name.startswith("valkey") else EngineKind.REDIS
    return locate(Engine(kind, EngineOrigin.DIRECTORY, str(found.parent)))


def slotwright_command() -> list[str]:
    """The installed command beside this interpreter, else the module."""
    script = Path(sys.executable).with_name("slotwright")
    return [str(script)] if script.exists() else [sys.executable, "-m", "slotwright"]


def child_environment(state: Path) -> dict[str, str]:
    """As a user has it: byte code is cached, and the state is in our folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLOTWRIGHT")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return kept | {"SLOTWRIGHT_STATE": str(state)}


def end_below(folder: Path) -> None:
    """Until none is left: a command that still starts servers is ended first or in the next turn."""
    for _ in range(50):
        found = [process for process in psutil.process_iter() if _works_below(process, folder)]
        if not found:
            return
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(found, timeout=5)


def _works_below(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder)
    except (psutil.Error, OSError):
        return False


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
