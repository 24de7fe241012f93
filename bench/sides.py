"""The three ways to a cluster, each from nothing to usable, and taken away again afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from judge import Check, open_roster, shards_of
from lab import REPLICAS, Lab, Servers, child_environment, end_below, slotwright_command
from meet import Meet

from slotwright.errors import ServerError
from slotwright.ports import ReplyError
from slotwright.server.server_conf import CLUSTER_DEFAULTS

SIDES = ("slotwright", "meet", "redis-cli")
_STOCK = (*CLUSTER_DEFAULTS, ("repl-diskless-sync-delay", "5"))
"""What the servers run with in the end, on all sides: slotwright's defaults, and the server's own delay."""


@dataclass(frozen=True, slots=True)
class Round:
    """One formation, in seconds. ``usable_s`` counts from the first server's start; it says nothing when ``fault``.

    ``parts`` are times of its own. slotwright: "command" (the whole process), "judged" (from the first server's start
    until the judge agreed, the end of the process included). redis-cli: "create" alone. Both others: "answered".
    ``is_late``: the judge did not agree with slotwright at its first look; then its time is the one that counts.
    """

    side: str
    nodes: int
    number: int
    usable_s: float | None = None
    fault: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a side came to."""

    usable_s: float | None = None
    fault: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)
    is_late: bool = False


@dataclass(frozen=True, slots=True)
class Course:
    """What all rounds of a run share."""

    lab: Lab
    redis_cli: str
    timeout_s: float

    async def run(self, side: str, nodes: int, number: int) -> Round:
        """One formation, judged, and taken away again."""
        folder = self.lab.scratch(f"{number}-{nodes}-{side}")
        form = {"slotwright": self._slotwright, "meet": self._meet, "redis-cli": self._redis_cli}[side]
        try:
            found = await form(nodes, folder)
        except (ServerError, ReplyError, OSError) as error:
            found = Outcome(fault=str(error) or type(error).__name__)
        finally:
            end_below(folder)
        return Round(
            side, nodes, number, None if found.fault else found.usable_s, found.fault, found.parts, found.is_late
        )

    async def _slotwright(self, nodes: int, folder: Path) -> Outcome:
        addresses = self.lab.addresses(nodes)
        file = self.lab.topology("bench", addresses, folder)
        command = [*slotwright_command(), "up", str(file), "--yes", "--json"]
        began = time.monotonic()
        done = await _run(command, folder, self.timeout_s, env=child_environment(folder / "state"))
        parts = {"command": time.monotonic() - began}
        if done is None:
            return Outcome(None, f"slotwright up did not end within {self.timeout_s:.0f} s")
        answer = json.loads(done.out or b"{}")
        if done.code != 0:
            return Outcome(None, f"slotwright up: exit {done.code}, {str(answer)[:300]}", parts)
        async with open_roster() as pool:
            judge = Check(addresses, shards_of(addresses, REPLICAS), REPLICAS, pool)
            first_fault = await judge.fault()
            fault = first_fault and await judge.await_usable(time.monotonic() + self.timeout_s)
            parts["judged"] = _seconds_since_first_start(folder)
        usable_s = parts["judged"] if first_fault else answer["usable_s"]
        return Outcome(usable_s, fault, parts, bool(first_fault))

    async def _meet(self, nodes: int, folder: Path) -> Outcome:
        addresses = self.lab.addresses(nodes)
        servers = Servers(self.lab, addresses, folder)
        servers.prepare()
        try:
            async with open_roster() as pool:
                shards = shards_of(addresses, REPLICAS)
                judge = Check(addresses, shards, REPLICAS, pool)
                deadline = time.monotonic() + self.timeout_s
                meet = Meet(addresses, shards, pool, deadline)
                began = servers.start(meet.overrides())
                fault = await judge.await_answers(deadline)
                parts = {"answered": time.monotonic() - began}
                fault = fault or await meet.form() or await judge.await_usable(deadline)
                fault = fault or await meet.restore(_STOCK) or await judge.await_usable(deadline)
                return Outcome(time.monotonic() - began, fault, parts)
        finally:
            servers.end()

    async def _redis_cli(self, nodes: int, folder: Path) -> Outcome:
        addresses = self.lab.addresses(nodes)
        servers = Servers(self.lab, addresses, folder)
        servers.prepare()
        try:
            async with open_roster() as pool:
                judge = Check(addresses, shards_of(addresses, REPLICAS), REPLICAS, pool)
                deadline = time.monotonic() + self.timeout_s
                began = servers.start()
                fault = await judge.await_answers(deadline)
                parts = {"answered": time.monotonic() - began}
                if not fault:
                    started = time.monotonic()
                    fault = await self._create([str(address) for address in addresses], folder, deadline)
                    parts["create"] = time.monotonic() - started
                fault = fault or await judge.await_usable(deadline)
                return Outcome(time.monotonic() - began, fault, parts)
        finally:
            servers.end()

    async def _create(self, addresses: Sequence[str], folder: Path, deadline: float) -> str:
        options = ["--cluster-replicas", str(REPLICAS), "--cluster-yes"]
        command = [self.redis_cli, "--cluster", "create", *addresses, *options]
        done = await _run(command, folder, deadline - time.monotonic())
        if done is None:
            return f"redis-cli --cluster create did not end within {self.timeout_s:.0f} s"
        last = (done.out.decode(errors="replace").strip().splitlines() or [""])[-1]
        return f"redis-cli --cluster create: exit {done.code}, {last}" if done.code else ""


@dataclass(frozen=True, slots=True)
class _Done:
    """A process that ended by itself."""

    code: int
    out: bytes


async def _run(
    command: Sequence[str], folder: Path, timeout_s: float, env: Mapping[str, str] | None = None
) -> _Done | None:
    """A whole process, in a session of its own; None when it had to be ended."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        await _end(process)
    return _Done(process.returncode or 0, out)


async def _end(process: asyncio.subprocess.Process) -> None:
    """One that still runs gets a Ctrl-C, and a little time, before it is ended by force."""
    for sign in (signal.SIGINT, signal.SIGKILL):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                process.send_signal(sign)
                async with asyncio.timeout(10):
                    await process.wait()


def _seconds_since_first_start(folder: Path) -> float:
    """Since the first server below ``folder`` started: start ticks (proc(5), field 22) against the same clock."""
    ticks = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and Path(process.cwd()).is_relative_to(folder):
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                ticks.append(int(fields[19]))
    return time.clock_gettime(time.CLOCK_BOOTTIME) - min(ticks) / os.sysconf("SC_CLK_TCK")
