"""Whoever sits at the control machine: a home, a state directory and a topology file, and the real command.

    operator = Operator(lab, tmp_path)
    operator.topology(settings={"maxmemory": "64mb"})
    assert operator.up().code == 0

Every run is a process of its own, with nothing of slotwright's or SSH's environment of ours.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from redis import Redis
from redis.cluster import ClusterNode, RedisCluster

import slotwright
from tests.lab.machine import PATIENCE_S
from tests.lab.machines import Lab

PASSWORD = f"Canary-pass word%7 {os.environ.get('PYTEST_XDIST_WORKER', '')}".rstrip()
"""Awkward in URLs, shells and configuration files. Another one in each lab, for who looks for it in all processes."""

Value = TypeVar("Value")


@dataclass
class Outcome:
    """What a run of the command came to."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        """What ``--json`` put on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict), self.out
        return found

    @property
    def error(self) -> dict[str, Any]:
        """The error object that stdout is under ``--json``."""
        found = self.json["error"]
        assert isinstance(found, dict), self.out
        return found

    @property
    def text(self) -> str:
        """All that was said."""
        return f"{self.out}\n{self.err}"

    def took(self, task: str) -> float:
        """How many seconds passed between its event that the task began and the one that it ended (``--json``)."""
        events = [json.loads(line) for line in self.err.splitlines()]
        at = {event["event"]: event["at"] for event in events if event.get("task") == task}
        return float(at["ended"]) - float(at["began"])

    def succeeded(self) -> Outcome:
        """Itself; fails with all that was said where the exit code is not 0."""
        return self.ended_with(0)

    def ended_with(self, code: int) -> Outcome:
        """Itself; fails with all that was said where the exit code is another."""
        assert self.code == code, f"exit code {self.code} after {self.seconds:.1f} s, not {code}\n{self.text}"
        return self


class Operator:
    """``lab``'s hosts by the command, from ``folder``; the lab's host keys are known unless ``knows_hosts`` is off."""

    def __init__(self, lab: Lab, folder: Path, *, knows_hosts: bool = True) -> None:
        self.lab = lab
        self.folder = folder
        self.home = folder / "home"
        self.state = folder / "state"
        self.file = folder / "cluster.yaml"
        self.known_hosts = self.home / ".ssh" / "known_hosts"
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SLOTWRIGHT", "CACHE", "SSH_", "XDG_"))
        }
        self.environment |= {
            "HOME": str(self.home),
            "SLOTWRIGHT_STATE": str(self.state),
            "CACHE_PASSWORD": PASSWORD,
            "NO_COLOR": "1",
            "PYTHONPATH": str(Path(slotwright.__file__).parents[1]),
        }
        self.known_hosts.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        if knows_hosts:
            self.known_hosts.write_text(lab.ssh.known_hosts.read_text())

    # --- the file ---

    def topology(self, **changes: object) -> Path:
        """Writes the file: the origin story's, with ``changes`` of its top-level keys (None takes a key out)."""
        wanted: dict[str, object] = {
            "name": "cache",
            "engine": {"kind": "redis", "from": "package"},
            "ssh": {"user": "root", "key": str(self.lab.ssh.key)},
            "hosts": self.hosts(),
            "ports": [6379, 6380],
            "replicas": 1,
            "clients": [f"{self.lab.control.address}/32"],
            "settings": {"maxmemory": "64mb"},
            "password": {"env": "CACHE_PASSWORD"},
        }
        wanted |= changes
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in wanted.items() if value is not None]
        return self.write("".join(lines))

    def hosts(self, **every: object) -> list[dict[str, object]]:
        """The ``hosts:`` entries, a rack each; ``every`` is added to each of them (``ssh=...``)."""
        return [{"address": host.address, "rack": name} | every for name, host in self.lab.hosts.items()]

    def write(self, text: str, name: str = "cluster.yaml") -> Path:
        """A file of the operator's own making, beside the topology."""
        path = self.folder / name
        path.write_text(text)
        return path

    # --- the command ---

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout_s: float = 300,
        wrapper: Sequence[str] = (),
    ) -> Outcome:
        """The command, to its end, in the operator's folder; ``wrapper`` is a command that runs it in its turn."""
        begun = time.monotonic()
        done = subprocess.run(
            [*wrapper, *self._words(arguments)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=self.folder,
            env=self.environment | dict(env or {}),
            input=stdin,
            check=False,
        )
        return Outcome(done.returncode, done.stdout, done.stderr, time.monotonic() - begun)

    def begin(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The command, running on; the caller ends it and reads its pipes."""
        return subprocess.Popen(
            self._words(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.environment | dict(env or {}),
            preexec_fn=_interruptible,
        )

    @staticmethod
    def _words(arguments: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "slotwright", *arguments]

    def up(self, *arguments: str, timeout_s: float = 300) -> Outcome:
        """``up --yes --json``, whatever it came to."""
        return self.run("up", "--yes", "--json", *arguments, timeout_s=timeout_s)

    def plan(self) -> dict[str, Any]:
        """``plan --json``: the plan. The exit code must agree with it."""
        outcome = self.run("plan", "--json")
        assert outcome.code in (0, 3), outcome.text
        found = outcome.json
        assert (outcome.code == 3) == bool(found["pending"]), outcome.text
        return found

    def check(self) -> Outcome:
        """``check --json``."""
        return self.run("check", "--json")

    def destroy(self, *arguments: str) -> Outcome:
        """``destroy --yes --json`` by the name, so that it works whatever the file says now."""
        return self.run("destroy", "cache", "--yes", "--json", *arguments)

    # --- the data ---

    def node(self, host: str, port: int = 6379) -> Redis:
        """A client of one node, by the host's letter."""
        return Redis(self.lab.hosts[host].address, port, password=PASSWORD, socket_timeout=5, socket_connect_timeout=5)

    def client(self, port: int = 6379) -> RedisCluster:
        """A client of the cluster, as an application on the control machine has it: what counts as usable."""
        nodes = [ClusterNode(host.address, port) for host in self.lab.hosts.values()]
        return RedisCluster(startup_nodes=nodes, password=PASSWORD, socket_timeout=5, socket_connect_timeout=1)


def _interruptible() -> None:
    """Ctrl-C reaches it also where we ourselves were started in the background by a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def eventually(condition: Callable[[], Value], what: str, timeout_s: float = PATIENCE_S) -> Value:
    """Waits until ``condition`` gives something true, and returns that; errors in it count as not yet."""
    deadline = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = condition()
            if found:
                return found
            last = found
        except Exception as error:
            last = error
        time.sleep(0.05)
    raise AssertionError(f"waited {timeout_s:g} s for {what}: {last!r}")
