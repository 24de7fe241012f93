"""A cluster of real servers as a stage, made from the same maps as the simulated one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.adapters.servers.resp import RespDialer
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.hosts.scripts.systemd_unit import Persistence
from slotwright.ports import Dialer
from slotwright.server.capabilities import Capability
from tests.conformance.cast import MEMBERS, NAMES, Cast, cast
from tests.conformance.play import Condition, Play
from tests.conformance.rules import Layout
from tests.engines import TestEngine
from tests.fakes.operator import PASSWORD
from tests.fakes.sick_cluster import render_map, sound_cluster
from tests.integration.conftest import Lab

NODE_TIMEOUT_S = 2
_PATIENCE_S = 60
_KEPT = {
    Persistence.APPEND_ONLY: ("--appendonly", "yes", "--save", ""),
    Persistence.SNAPSHOTS: ("--appendonly", "no", "--save", "3600", "1"),
    Persistence.NONE: ("--appendonly", "no", "--save", ""),
}


@dataclass
class RealStage:
    """Implements :class:`tests.conformance.play.Stage`."""

    folder: Path
    engine: TestEngine
    cast: Cast
    dialer: Dialer = field(default_factory=lambda: RespDialer(PASSWORD))
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def begin(self) -> None:
        """Starts the members, each with its map; `ready` waits for them."""
        layout = self.cast.layout
        has_shard_ids = self.engine.capabilities.has(Capability.SHARD_IDS)
        made = sound_cluster(self.cast.blueprint, layout.persistence, {}, has_shard_ids=has_shard_ids)
        for name in NAMES:
            self._place(name).mkdir(parents=True)
        for name in MEMBERS:
            (self._place(name) / "nodes.conf").write_text(render_map(made, made.nodes[self.cast.addresses[name]]))
            self._run(name)

    async def ready(self) -> None:
        for name in MEMBERS:
            await self._listening(name)
        play = Play(self)
        try:
            await self.until("the cluster to be as it was made", lambda: self._is_sound(play))
        finally:
            await play.close()

    async def _is_sound(self, play: Play) -> bool:
        return not await play.faults()

    def end(self) -> None:
        """Its servers end; the folders stay."""
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait(60)

    async def until(self, what: str, condition: Condition) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not await condition():
            assert time.monotonic() < deadline, f"{self.engine.label} never comes to this: {what}"
            await asyncio.sleep(0.03)

    async def live_on(self) -> None:
        await asyncio.sleep(3 * NODE_TIMEOUT_S)

    async def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(60)

    async def start(self, name: str) -> bool:
        self._run(name)
        return await self._listening(name)

    async def freeze(self, name: str) -> None:
        os.kill(self._processes[name].pid, signal.SIGSTOP)

    async def thaw(self, name: str) -> None:
        os.kill(self._processes[name].pid, signal.SIGCONT)

    async def rewrite_map(self, name: str, change: Callable[[str], str | None]) -> None:
        path = self._place(name) / "nodes.conf"
        text = change(path.read_text())
        if text is None:
            path.unlink()
        else:
            path.write_text(text)

    def _place(self, name: str) -> Path:
        return self.folder / name

    def _run(self, name: str) -> None:
        place, address = self._place(name), self.cast.addresses[name]
        words = [str(self.engine.binary), "--bind", address.host, "--port", str(address.port), "--dir", str(place)]
        words += ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT_S * 1000)]
        words += ["--cluster-announce-ip", address.host]
        words += ["--requirepass", PASSWORD.reveal(), "--masterauth", PASSWORD.reveal()]
        words += ["--repl-diskless-sync-delay", "0", *_KEPT[self.cast.layout.persistence]]
        with (place / "log").open("ab") as log:
            self._processes[name] = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=place)

    async def _listening(self, name: str) -> bool:
        """Whether it takes commands; False where it ended."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._processes[name].poll() is None:
            try:
                connection = await self.dialer.dial(self.cast.addresses[name])
            except NodeUnreachableError:
                assert time.monotonic() < deadline, (self._place(name) / "log").read_text()
                await asyncio.sleep(0.02)
            else:
                await connection.close()
                return True
        del self._processes[name]
        return False


def real_stage(lab: Lab, number: int, engine: TestEngine, layout: Layout) -> RealStage:
    """A cluster that is starting, on free ports."""
    host = lab.hosts[0]
    places = tuple(Address(host, lab.free_port()) for _ in NAMES)
    stage = RealStage(lab.folder / f"stage-{number}", engine, cast(layout, places))
    stage.begin()
    return stage
