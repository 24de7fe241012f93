"""drill: a primary taken away on purpose under a measured load, what clients saw, and the cluster whole again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from slotwright.app.context import Context
from slotwright.app.targets import Target, open_verifier, own_record
from slotwright.cluster.events import Began, Ended, Moved
from slotwright.cluster.findings import Finding
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.observation import Role
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.stages import one_by_one
from slotwright.cluster.topology import Address
from slotwright.errors import (
    HostError,
    InputError,
    OperatorInterruptError,
    RefusedError,
    SlotwrightError,
)
from slotwright.features.drill.plan import DrillTargets, choose_victims, longest_gap
from slotwright.features.drill.run import NodeOutage, OutageSteps
from slotwright.features.failover.plan import FailoverStep, plan_failover
from slotwright.features.failover.run import FailoverSteps
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ops.load_generator import Entry, LoadGenerator, WriteOutcome
from slotwright.ops.runner import Runner, failures, journaled
from slotwright.ops.shielded import shielded
from slotwright.ops.verify import Verdict, Verifier
from slotwright.ports import Clock, Journal

AgreeToDrill = Callable[[DrillTargets], bool]

_WARM_WRITES = 20
_WARM_S = 20.0
_AFTER_S = 2.0
_WHOLE_S = 300.0


@dataclass(frozen=True, slots=True)
class DrillOptions:
    """What to take away (nothing named: the first shard's primary), at how many writes a second: killed, frozen, or
    with a planned failover to a replica and no process touched."""

    node: Address | None = None
    host: str = ""
    rate: float = 300.0
    is_freeze: bool = False
    is_planned: bool = False

    @property
    def how(self) -> str:
        """In a word."""
        return "handed over" if self.is_planned else "frozen" if self.is_freeze else "killed"


def drill_options(
    node: str | None, host: str, rate: float, *, is_freeze: bool = False, is_planned: bool = False
) -> DrillOptions:
    """From texts; InputError for a node that is not ``host:port``."""
    try:
        address = Address.parse(node) if node else None
    except ValueError as error:
        raise InputError(
            f"{node} is not host:port",
            code="unknown-node",
            where=node or "",
            left="nothing was changed",
            hint="slotwright status shows the nodes",
        ) from error
    return DrillOptions(address, host, rate, is_freeze, is_planned)


@dataclass(frozen=True, slots=True)
class ShardOutage:
    """What the clients of a shard that lost its primary saw. ``promoted_s`` None: nobody took over."""

    shard: int
    was: Address
    now: Address | None
    promoted_s: float | None
    write_outage_s: float
    read_outage_s: float


@dataclass(frozen=True, slots=True)
class Drill:
    """What happened. Times in seconds; ``timeline`` are the load's entries with times counted from the blow."""

    name: str
    options: DrillOptions
    victims: DrillTargets
    shards: tuple[ShardOutage, ...]
    whole_s: float | None
    acknowledged: int
    refused: int
    indeterminate: int
    lost: tuple[str, ...]
    timeline: tuple[Entry, ...]
    verdict: Verdict

    @property
    def is_passed(self) -> bool:
        """Every shard was taken over, nothing acknowledged was lost, and the cluster is whole again."""
        return not self.lost and self.whole_s is not None and all(shard.now is not None for shard in self.shards)


async def drill(context: Context, target: Target, options: DrillOptions, agree: AgreeToDrill | None = None) -> Drill:
    """Take nodes away, measure, and make the cluster whole again.

    Raises RefusedError (not-sound, not-a-drill, declined, locked): nothing was changed then.
    """
    record, store = own_record(target)
    with store.hold("drill"):
        async with context.fleet(record.topology) as fleet, ConnectionPool(fleet.login(target.password, "")) as pool:
            verifier = await open_verifier(context, target, fleet, pool)
            before = await verifier.look(with_canaries=True)
            _refuse_if_not_sound(before)
            victims = choose_victims(before.survey, node=options.node, host=options.host)
            if isinstance(victims, Finding):
                raise RefusedError(
                    victims.what,
                    code=victims.code,
                    where=victims.where,
                    left="nothing was changed",
                    hint=victims.remedy,
                )
            if agree is not None and not agree(victims):
                raise RefusedError("not confirmed", code="declined", left="nothing was changed")
            nodes = [str(address) for address in victims.nodes]
            load = LoadGenerator(
                fleet.login(target.password, ""), context.clock, before.survey, context.token(), options.rate
            )
            with (
                context.journal(store.journal_path) as journal,
                journaled(journal, {"step": "drill", "nodes": nodes, "how": options.how}) as told,
            ):
                steps = OutageSteps(fleet, context.clock, record)
                kept = KeptCopies().renewed(before.observation, record.blueprint)
                outage = NodeOutage(steps, pool, context.report, journal, options.is_freeze, kept)
                drill_run = _DrillRun(context, verifier, record, options, victims, before, outage, journal)
                try:
                    done = await drill_run.run(load)
                except BaseException as error:
                    told["away"] = [str(address) for address in outage.away]
                    if _is_interrupted():
                        raise _interrupted(store.name, options, outage, error) from error
                    raise
                told |= {"lost": len(done.lost), "whole_s": done.whole_s}
            return done


def _is_interrupted() -> bool:
    """Whether a signal has cancelled the work, whatever error that became on its way."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _interrupted(name: str, options: DrillOptions, outage: NodeOutage, error: BaseException) -> OperatorInterruptError:
    """Say where the nodes are now, and why some are still away."""
    if outage.away:
        return OperatorInterruptError(
            "interrupted",
            where=name,
            seen=error.what if isinstance(error, SlotwrightError) else "",
            left=f"nodes that the drill took away are still away: {', '.join(map(str, outage.away))}",
            hint=f"slotwright start {name}",
        )
    left = "no node was taken away"
    if outage.has_begun:
        left = "the nodes that it took away are back; nobody waited until they are in sync"
    elif options.is_planned:
        left = "no process was touched; a planned failover that was begun may have been done"
    return OperatorInterruptError(
        "interrupted",
        where=name,
        left=f"{left}; keys that it wrote go by themselves within an hour",
        hint=f"slotwright check {name}",
    )


def _refuse_if_not_sound(verdict: Verdict) -> None:
    if not verdict.is_ok:
        first = verdict.findings[0]
        raise RefusedError(
            f"{verdict.survey.name} is not sound, and a drill would make it worse: {first.what}",
            code="not-sound",
            where=first.where,
            left="nothing was changed",
            hint="slotwright check",
        )


@dataclass
class _DrillRun:
    context: Context
    verifier: Verifier
    record: ClusterRecord
    options: DrillOptions
    victims: DrillTargets
    before: Verdict
    outage: NodeOutage
    journal: Journal

    @property
    def _clock(self) -> Clock:
        return self.context.clock

    async def run(self, load: LoadGenerator) -> Drill:
        load.start()
        try:
            await self._warm_up(load)
            blow = self._clock.now()
            try:
                if self.options.is_planned:
                    promoted = await self._fail_over(blow)
                else:
                    await self.outage.begin(self.victims.nodes)
                    promoted = await self._await_heirs(blow)
                await self._await_writes(load)
            finally:
                # Whatever went wrong meanwhile, and whatever signal comes now: nobody's nodes stay away.
                await shielded(self.outage.end(blow + self._patience_s))
            whole = await self._await_whole(blow)
        finally:
            await load.stop()
        lost = await load.lost()
        verdict = await self.verifier.look(with_canaries=True)
        writes = [entry for entry in load.entries if entry.is_write]
        outcomes = [entry.outcome for entry in writes]
        return Drill(
            self.record.name,
            self.options,
            self.victims,
            tuple(self._outage(shard, load, blow, promoted) for shard in self.victims.shards),
            whole,
            outcomes.count(WriteOutcome.ACKNOWLEDGED),
            outcomes.count(WriteOutcome.REFUSED),
            outcomes.count(WriteOutcome.INDETERMINATE),
            lost,
            tuple(_shifted(entry, blow) for entry in load.entries),
            verdict,
        )

    async def _warm_up(self, load: LoadGenerator) -> None:
        text = f"{self.options.rate:g} writes and as many reads a second"
        self.context.report(Began("load", text))
        deadline = self._clock.now() + _WARM_S
        shards = {node.shard for node in self.before.survey.nodes if node.shard is not None}
        while any(len(load.acknowledged(shard)) < _WARM_WRITES for shard in shards):
            if self._clock.now() > deadline:
                raise HostError("the load could not be brought up", code="drill-load", where=self.record.name)
            await self._clock.sleep(0.05)
        self.context.report(Ended("load", text))

    async def _fail_over(self, blow: float) -> dict[int, tuple[Address, float]]:
        """A planned failover of each shard, one after the other; times are from the beginning, as for a blow."""
        handler = FailoverSteps(self.verifier.pool, self._clock, self.context.report, self.verifier.addresses)
        steps = [self._failover_step(shard) for shard in self.victims.shards]
        failed = failures(await Runner(handler, self.journal).run(one_by_one(steps)))
        if failed:
            raise failed[0]
        results = [handler.results[step] for step in steps]
        return {result.step.shard: (result.step.replica, result.began - blow + result.promoted_s) for result in results}

    def _failover_step(self, shard: int) -> FailoverStep:
        heir = next(
            node.address
            for node in self.before.survey.shard(shard)
            if node.role is Role.REPLICA and node.address is not None and node.address not in self.victims.nodes
        )
        step = plan_failover(self.before.survey, heir, may_force=False)
        if not isinstance(step, FailoverStep):
            raise HostError(f"{heir} can't take over shard {shard}", code="drill-failover", where=str(heir))
        return step

    async def _await_heirs(self, blow: float) -> dict[int, tuple[Address, float]]:
        """Polled at the nodes that may take over, until each shard has a new primary."""
        timeout_s = self._patience_s
        heirs = {
            node.address: shard
            for shard in self.victims.shards
            for node in self.before.survey.shard(shard)
            if node.address is not None and node.address not in self.victims.nodes
        }
        promoted: dict[int, tuple[Address, float]] = {}
        text = "a replica takes over"
        self.context.report(Began("promotion", text))
        while len(promoted) < len(self.victims.shards) and self._clock.now() < blow + timeout_s:
            waiting = [address for address, shard in heirs.items() if shard not in promoted]
            observation = await observe(self.verifier.pool, waiting, timeout_s=1.0)
            for view in observation.views:
                mine = view.myself
                if mine is not None and mine.role is Role.PRIMARY and mine.slots:
                    promoted.setdefault(heirs[view.address], (view.address, self._clock.now() - blow))
            await self._clock.sleep(0.02)
        self.context.report(Ended("promotion", text, is_ok=len(promoted) == len(self.victims.shards)))
        return promoted

    @property
    def _patience_s(self) -> float:
        """How long a replica may take to become the primary."""
        settings = dict(self.record.settings)
        return 4 * int(settings.get("cluster-node-timeout", "15000")) / 1000 + 20

    async def _await_writes(self, load: LoadGenerator) -> None:
        """Until every shard takes writes again, and a little longer, so that the end of the outage is seen."""
        start = self._clock.now()
        while self._clock.now() < start + 30:
            recent = self._clock.now() - 0.5
            if all(entries and entries[-1].ended > recent for entries in map(load.acknowledged, self.victims.shards)):
                break
            await self._clock.sleep(0.05)
        await self._clock.sleep(_AFTER_S)

    async def _await_whole(self, blow: float) -> float | None:
        """Seconds from the blow until nothing is left to find but roles that moved."""
        text = "all nodes back and in sync"
        self.context.report(Began("whole", text))
        deadline = self._clock.now() + _WHOLE_S
        while self._clock.now() < deadline:
            verdict = await self.verifier.look(with_canaries=False)
            if verdict.is_ok:
                self.context.report(Ended("whole", text))
                return self._clock.now() - blow
            self.context.report(Moved("whole", f"{verdict.findings[0].where}: {verdict.findings[0].what}"))
            await self._clock.sleep(0.1)
        self.context.report(Ended("whole", text, is_ok=False))
        return None

    def _outage(
        self, shard: int, load: LoadGenerator, blow: float, promoted: dict[int, tuple[Address, float]]
    ) -> ShardOutage:
        was = next(
            node.address
            for node in self.before.survey.shard(shard)
            if node.address in self.victims.nodes and node.role is Role.PRIMARY
        )
        assert was is not None
        mine = [entry for entry in load.entries if entry.shard == shard and entry.outcome is WriteOutcome.ACKNOWLEDGED]
        end = max((entry.ended for entry in load.entries), default=blow)
        writes = sorted(entry.ended for entry in mine if entry.is_write)
        reads = sorted(entry.ended for entry in mine if not entry.is_write)
        now, promoted_s = promoted.get(shard, (None, None))
        return ShardOutage(shard, was, now, promoted_s, longest_gap(writes, blow, end), longest_gap(reads, blow, end))


def _shifted(entry: Entry, blow: float) -> Entry:
    return Entry(entry.shard, entry.key, entry.is_write, entry.outcome, entry.began - blow, entry.ended - blow)
