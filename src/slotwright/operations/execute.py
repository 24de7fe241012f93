"""Do a plan: journal the intent, act, read back, journal the outcome; wave by wave, a wave's steps side by side.

Nothing is rolled back here. A plan that was cut is observed and planned again; only a cluster that never came to be,
and holds no key, is taken down again by ``undo``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

from slotwright.errors import NodeUnreachableError, PartialError, ServerError, SlotwrightError
from slotwright.model.events import Began, Ended, Moved, Report
from slotwright.model.facts import ProcessId
from slotwright.model.files import Launch, NodeFiles
from slotwright.model.plan import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    HostStep,
    Plan,
    PrepareHost,
    ProveReach,
    RememberFile,
    SealRecord,
    StartNode,
    Step,
)
from slotwright.model.record import ClusterRecord, Stage
from slotwright.model.topology import Address
from slotwright.operations.observe import setting_value
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verifier
from slotwright.planning.diff import FORMATION_OVERRIDES
from slotwright.ports import Clock, Fleet, Host, Journal, ReplyError
from slotwright.wire.server_conf import find_complaint, last_words

START_TIMEOUT_S = 30.0
_POLL_S = 0.01
_WATCH_S = 0.2
_LOG_BYTES = 256 * 1024


async def _no_hosts(step: HostStep) -> None:
    raise AssertionError(f"this machine needs no {step.kind}")


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that executing needs from outside. ``files`` by address; ``settings`` are canonical values;
    ``on_hosts`` does the steps that make remote hosts ready."""

    fleet: Fleet
    roster: Roster
    journal: Journal
    clock: Clock
    report: Report
    verifier: Verifier
    keep_record: Callable[[ClusterRecord], None]
    record: ClusterRecord
    files: dict[Address, NodeFiles] = field(repr=False)
    settings: dict[str, str] = field(repr=False)
    on_hosts: Callable[[HostStep], Awaitable[None]] = _no_hosts


@dataclass(slots=True)
class Progress:
    """What was done so far, for the one who has to say what is left behind."""

    created: set[Address] = field(default_factory=set)
    started: dict[Address, ProcessId] = field(default_factory=dict)
    done: int = 0
    first_start: float | None = None


class Executor:
    """Executes one plan; ``progress`` can be read at any time, also after an error."""

    def __init__(self, shop: Workshop, task: str = "wave") -> None:
        self._shop = shop
        self._task = task
        self._waves = 0
        self.progress = Progress()

    async def execute(self, plan: Plan) -> None:
        """All waves in order. Raises the first error of a wave when the wave's other steps have ended."""
        for wave in plan.waves:
            await self._wave(wave)

    async def _wave(self, wave: tuple[Step, ...]) -> None:
        text = describe_wave(wave)
        self._waves += 1
        task = f"{self._task}-{self._waves}"
        self._shop.report(Began(task, text))
        self._finished = 0
        results = await asyncio.gather(
            *(self._journaled(step, task, text, len(wave)) for step in wave), return_exceptions=True
        )
        errors = [result for result in results if isinstance(result, BaseException)]
        self._shop.report(Ended(task, text, is_ok=not errors))
        if errors:
            raise errors[0]

    async def _journaled(self, step: Step, task: str, text: str, total: int) -> None:
        place = getattr(step, "address", None) or getattr(step, "host", self._shop.record.name)
        entry = {"step": step.kind, "where": str(place)}
        self._shop.journal.write({"phase": "intent", **entry})
        try:
            await self._act(step)
        except SlotwrightError as error:
            self._shop.journal.write({"phase": "failed", **entry, "code": error.code})
            raise
        self._shop.journal.write({"phase": "done", **entry})
        self.progress.done += 1
        self._finished += 1
        if total > 1:
            self._shop.report(Moved(task, text, self._finished, total))

    async def _act(self, step: Step) -> None:
        match step:
            case PrepareHost() | ChangeFirewall() | ProveReach():
                await self._shop.on_hosts(step)
            case CreateNode():
                await self._at(step.address).create(self._shop.files[step.address])
                self.progress.created.add(step.address)
            case StartNode():
                await self._start(step)
            case ApplySettings():
                await self._apply(step)
            case AwaitUsable():
                await self._await_usable()
            case SealRecord():
                self._shop.keep_record(replace(self._shop.record, stage=Stage.FORMED))
            case RememberFile():
                self._shop.keep_record(self._shop.record)
            case _:
                assert_never(step)

    def _at(self, address: Address) -> Host:
        return self._shop.fleet.at(address.host)

    async def _await_usable(self) -> None:
        """Waiting ends early when a server that was started here dies meanwhile: its last words are the reason."""
        waiting = asyncio.ensure_future(self._shop.verifier.await_usable(self._shop.report))
        watching = asyncio.ensure_future(self._watch_started())
        try:
            await asyncio.wait({waiting, watching}, return_when=asyncio.FIRST_COMPLETED)
            await (watching if watching.done() else waiting)
        finally:
            for task in (waiting, watching):
                task.cancel()
            await asyncio.gather(waiting, watching, return_exceptions=True)

    async def _watch_started(self) -> None:
        while True:
            started = list(self.progress.started.items())
            alive = await asyncio.gather(*(self._at(address).is_running(process) for address, process in started))
            for (address, _), is_alive in zip(started, alive, strict=True):
                if not is_alive:
                    raise await self._autopsy(address)
            await self._shop.clock.sleep(_WATCH_S)

    async def _autopsy(self, address: Address) -> ServerError:
        """Why a server that was started here is gone; it is not to be started again by anybody else."""
        host, directory = self._at(address), self._shop.files[address].directory
        await host.give_up(directory)
        return how_it_died(address, await host.log_tail(directory, _LOG_BYTES))

    async def _start(self, step: StartNode) -> None:
        shop = self._shop
        files = shop.files[step.address]
        if step.address not in self.progress.created:
            await self._at(step.address).rewrite_conf(files)
        overrides = FORMATION_OVERRIDES if step.is_hurried and files.nodes_conf is not None else ()
        if self.progress.first_start is None:
            self.progress.first_start = shop.clock.now()
        process = await self._at(step.address).start(
            Launch(step.address, files.directory, shop.record.binary, overrides)
        )
        self.progress.started[step.address] = process
        await self._until_it_answers(step.address, process)

    async def _until_it_answers(self, address: Address, process: ProcessId) -> None:
        """A server that loads its data answers INFO, which is enough here; one that dies is quoted."""
        shop = self._shop
        deadline = shop.clock.now() + START_TIMEOUT_S
        while True:
            try:
                await shop.roster.connection(address)
                return
            except NodeUnreachableError as error:
                if not await self._at(address).is_running(process):
                    raise await self._autopsy(address) from error
                if error.code == "loading":
                    return
                if shop.clock.now() > deadline:
                    raise
            await shop.clock.sleep(_POLL_S)

    async def _apply(self, step: ApplySettings) -> None:
        shop = self._shop
        await self._at(step.address).rewrite_conf(shop.files[step.address])
        if not step.changes:
            return
        connection = await shop.roster.connection(step.address)
        names = [change.name for change in step.changes]
        try:
            for name in names:
                await connection.call("CONFIG", "SET", name, shop.settings[name])
            found = {name: setting_value(await connection.call("CONFIG", "GET", name)) for name in names}
        except ReplyError as error:
            raise ServerError(
                f"{step.address} refuses a setting", code="setting-refused", where=str(step.address), seen=str(error)
            ) from error
        wrong = [name for name in names if found[name] != shop.settings[name]]
        if wrong:
            raise PartialError(
                f"{', '.join(wrong)} did not take effect", code="setting-not-taken", where=str(step.address)
            )


def describe_wave(wave: tuple[Step, ...]) -> str:
    """``start 6 nodes``: what the steps of a wave do together."""
    count = Counter(step.kind for step in wave)
    nodes = f"{len(wave)} node{'s' if len(wave) > 1 else ''}"
    match wave[0]:
        case PrepareHost() | ChangeFirewall():
            hosts = {step.host for step in wave if isinstance(step, PrepareHost | ChangeFirewall)}
            return (
                f"prepare {len(hosts)} host{'s' if len(hosts) > 1 else ''}: {', '.join(dict.fromkeys(_prepared(wave)))}"
            )
        case ProveReach():
            return "every pair of hosts reaches each other's client and bus ports"
        case CreateNode():
            return f"create {nodes}: folder, configuration, place in the cluster"
        case StartNode():
            return f"start {nodes}"
        case AwaitUsable(1):
            return "wait until the node is ready"
        case AwaitUsable(total):
            return f"wait until {total} nodes agree and every replica is in sync"
        case ApplySettings() if count["set"] == len(wave):
            names = sorted({change.name for step in wave if isinstance(step, ApplySettings) for change in step.changes})
            return f"set {', '.join(names) or 'the configuration files'} on {nodes}, and read back"
        case SealRecord(name):
            return f"note that {name} is formed"
        case RememberFile(name):
            return f"keep the new file of {name}"
        case _:
            return f"{len(wave)} steps"


def _prepared(wave: tuple[Step, ...]) -> Iterator[str]:
    for step in wave:
        if isinstance(step, PrepareHost):
            yield from step.what
    if any(isinstance(step, ChangeFirewall) for step in wave):
        yield "firewall"


def how_it_died(address: Address, log: str) -> ServerError:
    """The error for a server that was started and ended, with its own last words."""
    complaint = find_complaint(log)
    reason = f"it refuses '{complaint.directive}': {complaint.reason}" if complaint else last_words(log)
    return ServerError(
        f"the server of {address} died at its start",
        code="start-failed",
        where=str(address),
        seen=reason or "it said nothing",
        hint=f"slotwright logs {address} shows all of its log",
    )
