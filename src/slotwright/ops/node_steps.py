"""The steps that make, start and set nodes: how each is done, and what a failed one is put back to.

A plan that was cut is observed and planned again; only a cluster that never came to be, and holds no key, is taken down
again by ``undo``.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import assert_never

from slotwright.cluster.events import Began, Ended, Moved, Report
from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.stages import side_by_side
from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    HostStep,
    MarkFormed,
    Plan,
    PrepareHost,
    ProveReach,
    RememberFile,
    StartNode,
    Step,
    canary_of,
)
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.hosts.facts.nodes import ProcessId
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import setting_value
from slotwright.ops.runner import Runner, StepHandler, StepOutcome, failures
from slotwright.ops.verify import Verifier
from slotwright.ports import Clock, Connection, Fleet, Host, Journal, ReplyError
from slotwright.server.server_conf import FORMATION_OVERRIDES, find_complaint, is_secret, last_words

START_TIMEOUT_S = 30.0
_POLL_S = 0.01
_WATCH_S = 0.2
_LOG_BYTES = 256 * 1024


async def _no_hosts(step: HostStep) -> None:
    raise AssertionError(f"this machine needs no {step.kind}")


@dataclass(frozen=True, slots=True)
class StepContext:
    """Everything that executing needs from outside. ``files`` by address; ``settings`` are canonical values, but for
    those that single nodes have for their own; ``on_hosts`` does the steps that make remote hosts ready."""

    fleet: Fleet
    pool: ConnectionPool
    journal: Journal
    clock: Clock
    report: Report
    verifier: Verifier
    keep_record: Callable[[ClusterRecord], None]
    record: ClusterRecord
    files: dict[Address, NodeFiles] = field(repr=False)
    settings: dict[str, str] = field(repr=False)
    on_hosts: Callable[[HostStep], Awaitable[None]] = _no_hosts
    own_settings: Mapping[Address, Mapping[str, str]] = field(default_factory=dict, repr=False)

    def settings_of(self, address: Address) -> Mapping[str, str]:
        """What a node is to be given."""
        return self.settings | dict(self.own_settings.get(address, {}))


@dataclass(slots=True)
class AppliedSteps:
    """What was done so far, for the one who has to say what is left behind."""

    created: set[Address] = field(default_factory=set)
    started: dict[Address, ProcessId] = field(default_factory=dict)
    done: int = 0
    first_start: float | None = None


class NodeSteps(StepHandler[Step]):
    """Does each kind of step of a plan for ``up``; ``progress`` can be read at any time, also after an error."""

    def __init__(self, shop: StepContext) -> None:
        self._shop = shop
        self._before: dict[Address, dict[str, str]] = {}
        self.progress = AppliedSteps()

    def fields(self, step: Step) -> Mapping[str, object]:
        """Steps without a place of their own are the cluster's; what is set, for the one who finds it half done."""
        where: dict[str, object] = {"where": step.where or self._shop.record.name}
        if isinstance(step, ApplySettings):
            where["settings"] = [change.name for change in step.changes]
        return where

    async def act(self, step: Step) -> str:
        """Do it. Raises SlotwrightError."""
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
            case MarkFormed():
                self._shop.keep_record(replace(self._shop.record, stage=Stage.FORMED))
            case RememberFile():
                self._shop.keep_record(self._shop.record)
            case _:
                assert_never(step)
        self.progress.done += 1
        return ""

    async def put_back(self, step: Step) -> None:
        """Settings that one of them was refused with go back to what the node had; its file was not touched yet."""
        if isinstance(step, ApplySettings):
            before = self._before.pop(step.address, {})
            await put_back_settings(self._shop.pool, step.address, before, "setting-not-put-back")

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
                await shop.pool.connection(address)
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
        """First what runs, then what the next start reads: a value that the server refuses never gets into its file."""
        shop, address = self._shop, step.address
        names = [change.name for change in step.changes]
        wanted = shop.settings_of(address)
        if names:
            connection = await shop.pool.connection(address)
            before = self._before.setdefault(address, {})
            asked = ""
            try:
                for asked in names:
                    before[asked] = setting_value(await connection.call("CONFIG", "GET", asked)) or ""
                    await connection.call("CONFIG", "SET", asked, wanted[asked])
                values = {name: setting_value(await connection.call("CONFIG", "GET", name)) for name in names}
            except ReplyError as error:
                # Some versions quote the value.
                seen = f"its answer to CONFIG SET {asked}" if is_secret(asked) else str(error)
                raise ServerError(
                    f"{address} refuses a setting", code="setting-refused", where=str(address), seen=seen
                ) from error
            wrong = [name for name in names if values[name] != wanted[name]]
            if wrong:
                raise PartialError(
                    f"{', '.join(wrong)} did not take effect", code="setting-not-taken", where=str(address)
                )
        await self._at(address).rewrite_conf(shop.files[address])


async def put_back_settings(pool: ConnectionPool, address: Address, before: Mapping[str, str], code: str) -> None:
    """Set what the node had, as far as it has something else. A setting whose answer was lost may be in force, and the
    connection that it was lost on is closed for good: then the node is dialled again.

    Raises PartialError (``code``) where it has some of the new ones still.
    """
    if not before:
        return
    left = dict(before)
    try:
        try:
            await _set_each(await pool.connection(address), left)
        except NodeUnreachableError:
            await pool.drop(address)
            await _set_each(await pool.connection(address), left)
    except (ReplyError, ServerError) as error:
        raise PartialError(
            f"{address} may still have the new value of {', '.join(left)}, and can't be set back now",
            code=code,
            where=str(address),
            # A refusal may repeat the value, and that may be a secret.
            seen=error.code if any(map(is_secret, left)) else str(error),
            hint="slotwright plan shows what it has, when it answers again",
        ) from error


async def _set_each(connection: Connection, left: dict[str, str]) -> None:
    """Take out of ``left`` what is as it should be."""
    for name, value in list(left.items()):
        if setting_value(await connection.call("CONFIG", "GET", name)) != value:
            await connection.call("CONFIG", "SET", name, value)
        del left[name]


class Executor:
    """Executes one plan, wave by wave, a wave's steps side by side; ``progress`` can be read also after an error."""

    def __init__(self, shop: StepContext, task: str = "wave") -> None:
        self._shop = shop
        self._task = task
        self._waves = 0
        self._steps = NodeSteps(shop)

    @property
    def progress(self) -> AppliedSteps:
        """What was done so far."""
        return self._steps.progress

    async def execute(self, plan: Plan) -> None:
        """All waves in order. Raises the first error of a wave when the wave's other steps have ended."""
        for wave in plan.waves:
            await self._wave(wave)

    async def _wave(self, wave: tuple[Step, ...]) -> None:
        """Settings go to one node first: what it refuses, the others would refuse too."""
        text = describe_wave(wave)
        self._waves += 1
        task, finished, errors = f"{self._task}-{self._waves}", 0, True
        report = self._shop.report

        def moved(outcome: StepOutcome[Step]) -> None:
            nonlocal finished
            finished += outcome.error is None
            if len(wave) > 1 and outcome.error is None:
                report(Moved(task, text, finished, len(wave)))

        report(Began(task, text))
        first = canary_of(wave)
        ordered = wave if first is None else (first, *(step for step in wave if step is not first))
        try:
            runner: Runner[Step] = Runner(self._steps, self._shop.journal, ended=moved)
            failed = failures(await runner.run(side_by_side(ordered, has_canary=first is not None)))
            errors = bool(failed)
        finally:
            report(Ended(task, text, is_ok=not errors))
        if failed:
            raise failed[0]


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
        case MarkFormed(name):
            return f"note that {name} is formed"
        case RememberFile(name, _, is_former):
            return f"keep the {'former' if is_former else 'new'} file of {name}"
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
