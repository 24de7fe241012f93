"""drill: a primary taken away on purpose under a measured load, what clients saw, and the cluster whole again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from slotwright.adapters import lock
from slotwright.api.context import Context
from slotwright.api.lifecycle import own_record
from slotwright.api.targets import Target, open_verifier
from slotwright.errors import HostError, InputError, PartialError, RefusedError, SlotwrightError
from slotwright.model.cluster import Role
from slotwright.model.events import Began, Ended, Moved
from slotwright.model.facts import ProcessId
from slotwright.model.files import Launch
from slotwright.model.findings import Finding
from slotwright.model.record import ClusterRecord
from slotwright.model.topology import Address
from slotwright.operations.handover import Director
from slotwright.operations.ledger import Entry, Ledger, Outcome
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.operations.verify import Verdict, Verifier
from slotwright.planning.drill import Victims, choose_victims, longest_gap
from slotwright.planning.empty_start import empty_starts
from slotwright.planning.handover import Handover, plan_handover
from slotwright.ports import Clock, Fleet

AgreeToDrill = Callable[[Victims], bool]

_WARM_WRITES = 20
_WARM_S = 20.0
_AFTER_S = 2.0
_WHOLE_S = 300.0


@dataclass(frozen=True, slots=True)
class DrillWish:
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


def drill_wish(
    node: str | None, host: str, rate: float, *, is_freeze: bool = False, is_planned: bool = False
) -> DrillWish:
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
    return DrillWish(address, host, rate, is_freeze, is_planned)


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
    """What happened. Times in seconds; ``timeline`` are the ledger's entries with times counted from the blow."""

    name: str
    wish: DrillWish
    victims: Victims
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
        return not self.lost and self.whole_s is not None and all(each.now is not None for each in self.shards)


async def drill(context: Context, target: Target, wish: DrillWish, agree: AgreeToDrill | None = None) -> Drill:
    """Take nodes away, measure, and make the cluster whole again.

    Raises RefusedError (not-sound, not-a-drill, declined, locked): nothing was changed then.
    """
    record, store = own_record(target)
    with lock.hold(store.lock_path, "drill", store.name):
        async with context.fleet(record.topology) as fleet, Roster(fleet.login(target.password, "")) as roster:
            verifier = await open_verifier(context, target, fleet, roster)
            before = await verifier.look(with_canaries=True)
            _refuse_if_not_sound(before)
            victims = choose_victims(before.survey, node=wish.node, host=wish.host)
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
            journal = context.open_journal(store.journal_path)
            nodes = [str(address) for address in victims.nodes]
            journal.write({"phase": "intent", "step": "drill", "nodes": nodes, "how": wish.how})
            exercise = _Exercise(context, fleet, verifier, record, wish, victims, before)
            done = await exercise.run(
                Ledger(fleet.login(target.password, ""), context.clock, before.survey, context.token(), wish.rate)
            )
            journal.write({"phase": "done", "step": "drill", "lost": len(done.lost), "whole_s": done.whole_s})
            return done


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
class _Exercise:
    context: Context
    fleet: Fleet
    verifier: Verifier
    record: ClusterRecord
    wish: DrillWish
    victims: Victims
    before: Verdict

    @property
    def _clock(self) -> Clock:
        return self.context.clock

    async def run(self, ledger: Ledger) -> Drill:
        ledger.start()
        struck: dict[Address, ProcessId] = {}
        try:
            await self._warm_up(ledger)
            blow = self._clock.now()
            try:
                if self.wish.is_planned:
                    promoted = await self._hand_over(blow)
                else:
                    await self._strike(struck)
                    promoted = await self._await_heirs(blow)
                await self._await_writes(ledger)
            finally:
                # Whatever went wrong meanwhile: nobody's nodes stay away.
                await self._bring_back(struck)
            whole = await self._await_whole(blow)
        finally:
            await ledger.stop()
        lost = await ledger.lost()
        verdict = await self.verifier.look(with_canaries=True)
        writes = [entry for entry in ledger.entries if entry.is_write]
        outcomes = [entry.outcome for entry in writes]
        return Drill(
            self.record.name,
            self.wish,
            self.victims,
            tuple(self._outage(shard, ledger, blow, promoted) for shard in self.victims.shards),
            whole,
            outcomes.count(Outcome.ACKNOWLEDGED),
            outcomes.count(Outcome.REFUSED),
            outcomes.count(Outcome.INDETERMINATE),
            lost,
            tuple(_shifted(entry, blow) for entry in ledger.entries),
            verdict,
        )

    async def _warm_up(self, ledger: Ledger) -> None:
        text = f"{self.wish.rate:g} writes and as many reads a second"
        self.context.report(Began("load", text))
        deadline = self._clock.now() + _WARM_S
        shards = {node.shard for node in self.before.survey.nodes if node.shard is not None}
        while any(len(ledger.acknowledged(shard)) < _WARM_WRITES for shard in shards):
            if self._clock.now() > deadline:
                raise HostError("the load could not be brought up", code="drill-load", where=self.record.name)
            await self._clock.sleep(0.05)
        self.context.report(Ended("load", text))

    async def _hand_over(self, blow: float) -> dict[int, tuple[Address, float]]:
        """A planned failover of each shard, one after the other; times are from the beginning, as for a blow."""
        director = Director(self.verifier.roster, self._clock, self.context.report, self.verifier.addresses)
        promoted: dict[int, tuple[Address, float]] = {}
        for shard in self.victims.shards:
            heir = next(
                node.address
                for node in self.before.survey.shard(shard)
                if node.role is Role.REPLICA and node.address is not None and node.address not in self.victims.nodes
            )
            step = plan_handover(self.before.survey, heir, may_force=False)
            if not isinstance(step, Handover):
                raise HostError(f"{heir} can't take over shard {shard}", code="drill-failover", where=str(heir))
            began = self._clock.now()
            done = await director.hand_over(step)
            promoted[shard] = (heir, began - blow + done.promoted_s)
        return promoted

    async def _strike(self, struck: dict[Address, ProcessId]) -> None:
        cluster_id = self.record.blueprint.cluster_id
        found = await asyncio.gather(
            *(
                self.fleet.at(address.host).find(self.record.node_directory(address), cluster_id)
                for address in self.victims.nodes
            )
        )
        processes = {address: each for address, each in zip(self.victims.nodes, found, strict=True) if each is not None}
        text = f"{'freeze' if self.wish.is_freeze else 'kill'} {', '.join(map(str, processes))}"
        self.context.report(Began("blow", text))
        for address, process in processes.items():
            host = self.fleet.at(address.host)
            struck[address] = process
            await (host.freeze(process) if self.wish.is_freeze else host.kill(process))
        self.context.report(Ended("blow", text))

    async def _await_heirs(self, blow: float) -> dict[int, tuple[Address, float]]:
        """Polled at the nodes that may take over, until each shard has a new primary."""
        timeout_s = await self._patience()
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
            seen = await observe(self.verifier.roster, waiting, timeout_s=1.0)
            for view in seen.views:
                mine = view.myself
                if mine is not None and mine.role is Role.PRIMARY and mine.slots:
                    promoted.setdefault(heirs[view.address], (view.address, self._clock.now() - blow))
            await self._clock.sleep(0.02)
        self.context.report(Ended("promotion", text, is_ok=len(promoted) == len(self.victims.shards)))
        return promoted

    async def _patience(self) -> float:
        settings = dict(self.record.settings)
        return 4 * int(settings.get("cluster-node-timeout", "15000")) / 1000 + 20

    async def _await_writes(self, ledger: Ledger) -> None:
        """Until every shard takes writes again, and a little longer, so that the end of the outage is in the ledger."""
        start = self._clock.now()
        while self._clock.now() < start + 30:
            recent = self._clock.now() - 0.5
            if all(entries and entries[-1].ended > recent for entries in map(ledger.acknowledged, self.victims.shards)):
                break
            await self._clock.sleep(0.05)
        await self._clock.sleep(_AFTER_S)

    async def _bring_back(self, processes: dict[Address, ProcessId]) -> None:
        if not processes:
            return
        text = f"bring back {', '.join(map(str, processes))}"
        self.context.report(Began("back", text))
        try:
            await self._refuse_empty_starts(processes)
            for address, process in processes.items():
                host = self.fleet.at(address.host)
                if self.wish.is_freeze:
                    await host.thaw(process)
                else:
                    directory = self.record.node_directory(address)
                    await host.start(Launch(address, directory, self.record.binary))
        except SlotwrightError as error:
            self.context.report(Ended("back", text, is_ok=False))
            raise PartialError(
                error.what,
                code=error.code,
                where=error.where,
                seen=error.seen,
                left="nodes that the drill took away are still away",
                hint=f"slotwright start {self.record.name}",
            ) from error
        self.context.report(Ended("back", text))

    async def _refuse_empty_starts(self, processes: dict[Address, ProcessId]) -> None:
        """A primary that keeps nothing on its disk must not come back before its replica has taken over."""
        if self.wish.is_freeze:
            return
        seen = await observe(self.verifier.roster, self.verifier.addresses)
        for found in empty_starts(self.record.topology, set(processes), seen):
            raise HostError(found.what, code=found.code, where=found.where, seen=found.seen, hint=found.remedy)

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
        self, shard: int, ledger: Ledger, blow: float, promoted: dict[int, tuple[Address, float]]
    ) -> ShardOutage:
        was = next(
            node.address
            for node in self.before.survey.shard(shard)
            if node.address in self.victims.nodes and node.role is Role.PRIMARY
        )
        assert was is not None
        mine = [entry for entry in ledger.entries if entry.shard == shard and entry.outcome is Outcome.ACKNOWLEDGED]
        end = max((entry.ended for entry in ledger.entries), default=blow)
        writes = sorted(entry.ended for entry in mine if entry.is_write)
        reads = sorted(entry.ended for entry in mine if not entry.is_write)
        now, promoted_s = promoted.get(shard, (None, None))
        return ShardOutage(shard, was, now, promoted_s, longest_gap(writes, blow, end), longest_gap(reads, blow, end))


def _shifted(entry: Entry, blow: float) -> Entry:
    return Entry(entry.shard, entry.key, entry.is_write, entry.outcome, entry.began - blow, entry.ended - blow)
