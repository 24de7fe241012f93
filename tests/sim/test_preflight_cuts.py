"""preflight --fix, cut before everything that its scripts change on a host: run again, the host is right for good."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

from slotwright.app.context import Context
from slotwright.features.preflight.api import preflight
from slotwright.features.preflight.plan import SYSCTL_FILE, THP_UNIT
from slotwright.hosts.scripts.profile import PROFILE_SCRIPT
from slotwright.hosts.scripts.tuning import SYSCTL_SCRIPT, THP_SCRIPT
from slotwright.ports import ShellResult
from tests.fakes import build
from tests.fakes.operator import FILE, Operator
from tests.fakes.state import MemoryClusterStore
from tests.fakes.world import World
from tests.sim.cuts import Law

PROFILE = Path(__file__).parents[1] / "unit" / "hosts" / "profiles" / "systemd.txt"
HUGE_PAGES = {"always": "[always] madvise never", "madvise": "always [madvise] never"}
RIGHT = {"vm.overcommit_memory": "1", "net.core.somaxconn": "4096"}


@dataclass
class Machine:
    """Implements :class:`slotwright.ports.Shell`: a kernel and a disk, as far as the scripts of hosts/scripts/tuning
    change them, each change an effect."""

    world: World
    host: str = ""
    values: dict[str, str] = field(default_factory=lambda: {"vm.overcommit_memory": "0", "net.core.somaxconn": "128"})
    huge_pages: str = "always"
    files: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        if script == PROFILE_SCRIPT:
            return ShellResult(0, self._profile(), "")
        before = self.state
        if script == SYSCTL_SCRIPT:
            self._place(arguments[0], arguments[1:])
            for name, _, value in (pair.partition("=") for pair in arguments[1:]):
                if self.values[name] != value:
                    self._change(f"sysctl {name}", self.values, name, value)
        else:
            assert script == THP_SCRIPT
            self._place(arguments[0], ("madvise",))
            if self.huge_pages != "madvise":
                self.world.effect("huge pages")
                self.huge_pages = "madvise"
        return ShellResult(0, "" if self.state == before else "did something\n", "")

    async def stream(self, script: str, *arguments: str, to: str, timeout_s: float) -> ShellResult:
        raise AssertionError("nothing is copied from here")

    @property
    def state(self) -> object:
        return dict(self.values), self.huge_pages, dict(self.files)

    def _place(self, path: str, text: tuple[str, ...]) -> None:
        if self.files.get(path) != text:
            self._change(f"write {path}", self.files, path, text)

    def _change(self, what: str, where: dict[str, object] | dict[str, str], key: str, value: object) -> None:
        self.world.effect(what)
        where[key] = value  # type: ignore[assignment]

    def _profile(self) -> str:
        lines = []
        for line in PROFILE.read_text().splitlines():
            for name, value in self.values.items():
                path = f"sysctl=/proc/sys/{name.replace('.', '/')}:"
                line = path + value if line.startswith(path) else line
            lines.append(f"kernel.thp={HUGE_PAGES[self.huge_pages]}" if line.startswith("kernel.thp=") else line)
        return "\n".join(lines) + "\n"


@dataclass
class Untuned:
    """A machine on which nothing was made yet."""

    who: Operator
    machine: Machine

    @property
    def world(self) -> World:
        return self.who.world

    @property
    def store(self) -> MemoryClusterStore:
        return self.who.store

    @property
    def context(self) -> Context:
        return replace(self.who.context, open_shell=lambda host: self.machine_called(host))

    def machine_called(self, host: str) -> Machine:
        self.machine.host = host
        return self.machine


def untuned() -> Untuned:
    who = Operator(World(), build.topology())
    return Untuned(who, Machine(who.world))


async def fix(scene: Untuned) -> None:
    await preflight(scene.context, FILE, fix=True)


def tuned(scene: Untuned) -> None:
    """Now and after a reboot, and a look has nothing more to mend."""
    machine = scene.machine
    assert (machine.values, machine.huge_pages) == (RIGHT, "madvise")
    assert set(machine.files) == {SYSCTL_FILE, THP_UNIT}
    scene.world.effects.clear()
    result = asyncio.run(preflight(scene.context, FILE))
    codes = {finding.code for finding in result.findings}
    assert not codes & {"overcommit-memory-off", "somaxconn-low", "transparent-huge-pages"}
    assert not scene.world.effects, "a look changes nothing"


def test_preflight_that_mends() -> None:
    cuts = Law(untuned, fix, tuned).hold(0)
    print(f"preflight --fix: {cuts} cuts")
    assert cuts >= 9
