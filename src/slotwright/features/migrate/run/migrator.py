"""A migration from its first byte to the cutover: copy, follow, prove, fence, prove what is left, make read-only.

The stream makes the target nearly right quickly; the comparison makes it exactly right, and is the proof: a key that
differs is carried by value at a known offset and compared again. Keys that change after they were proved are
remembered, and proved again, so that at the cutover only the last few are left while writes wait.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Set
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from slotwright.cluster.events import Began, Ended, Moved, Report, Warned
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.features.migrate.model.migration import CutoverPause, MigrationLimits, ReadOnly, StreamPosition
from slotwright.features.migrate.run.attach import Attacher, SourceStream
from slotwright.features.migrate.run.expiry_pause import ExpiryPause
from slotwright.features.migrate.run.gate import CutoverGate
from slotwright.features.migrate.run.values import source_offset
from slotwright.keys.model.comparison import Compared, Comparison, KeyVerdict, with_rechecked_keys
from slotwright.keys.model.databases import Named
from slotwright.keys.side_by_side import together
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock

Result = TypeVar("Result")

_POLL_S = 0.01
_SHOWN_S = 0.2
_SMALL_LAG_BYTES = 64 * 1024
_FEW_UNPROVED = 200
_BATCH = 5000
_ROUNDS = 5
_DRAIN_S = 10.0
_MOST_HELD_S = 30.0
_GLANCE_S = 0.3
_PATIENCE_S = 2.0
_FEW_HELD = 100
_RETRY_S = 0.5


class Prover(Protocol):
    """What compares; :class:`slotwright.keys.compare.comparer.Comparer` does."""

    async def every_key(self) -> Comparison:
        """Everything, both ways. Keys that differ are told as they are found."""
        ...

    async def these_keys(self, named: Sequence[Named]) -> list[Compared]:
        """These alone."""
        ...


@dataclass(frozen=True, slots=True)
class CutoverResult:
    """What a cutover came to. ``wrong`` are the keys that differ still: where there are any, the source was given back
    and nothing was cut over. ``rechecked``: keys that changed after they were proved, and were proved again while
    writes waited. ``expired``: of them, gone because their time had come."""

    pause: CutoverPause
    wrong: tuple[Compared, ...]
    rechecked: int
    source_keys: int
    target_keys: int


@dataclass(slots=True)
class Migrator:
    """Use: ``async with migrator.running(): await migrator.prove(); await migrator.cut_over(...)``.

    ``before`` is how the source was, where an earlier run made it read-only already. ``line_of`` gives the line that a
    key of the source belongs to; ``count_target`` how many keys the target has.
    """

    lines: Sequence[SourceStream]
    line_of: Callable[[Named], SourceStream]
    make_prover: Callable[[Callable[[Compared], None]], Prover]
    count_target: Callable[[], Awaitable[int]]
    sync_functions: Callable[[], Awaitable[int]]
    expiry: ExpiryPause
    pool: ConnectionPool
    clock: Clock
    report: Report
    before: tuple[ReadOnly, ...] = ()
    comparison: Comparison | None = None
    words: str = "begins"
    libraries: int = 0
    _suspects: dict[Named, Compared] = field(default_factory=dict)
    _differing: dict[Named, Compared] = field(default_factory=dict)
    _prover: Prover = field(init=False)
    _gate: CutoverGate = field(init=False)
    _attacher: Attacher = field(init=False)
    _works: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prover = self.make_prover(self._suspect)
        self._attacher = Attacher(self.pool, self.clock, self.report, self._say)
        self._gate = CutoverGate(self.lines, self.pool, self.clock, self._breathe, self._say)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Migrator]:
        """Attach to the source, copy where there is anything to copy, and follow until the end of the block."""
        try:
            await self._attach()
            for line in self.lines:
                self._works += [
                    asyncio.create_task(self._attacher.follow(line)),
                    asyncio.create_task(line.replicator.ground.guard.watch()),
                    asyncio.create_task(self._attacher.look_after(line)),
                ]
            yield self
        finally:
            for work in self._works:
                work.cancel()
            await asyncio.gather(*self._works, return_exceptions=True)
            for line in self.lines:
                await line.fence.release()
                await line.replicator.close()
            await self.expiry.release()

    @property
    def positions(self) -> tuple[StreamPosition, ...]:
        """Where to go on from."""
        return tuple(kept for line in self.lines if (kept := line.kept) is not None)

    def limit(self, limits: MigrationLimits) -> None:
        """Ask the source for no more than this from now on."""
        for line in self.lines:
            line.replicator.ground.guard.limits = limits

    @property
    def needs_full_compare(self) -> bool:
        """Whether something happened after which only a comparison of everything tells."""
        return any(line.replicator.needs_full_compare for line in self.lines)

    @property
    def is_unsettled(self) -> bool:
        """Whether the target has to be proved anew, or what is sent to it does not arrive just now."""
        return self.needs_full_compare or any(
            line.replicator.writers.trouble or not line.replicator.is_copied for line in self.lines
        )

    @property
    def held(self) -> int:
        """Keys that wait to be carried by value."""
        return sum(line.replicator.resync_queue.count for line in self.lines)

    @property
    def dirty_keys(self) -> int:
        """Keys that changed since they were proved."""
        return sum(len(line.replicator.dirty_keys or ()) for line in self.lines)

    async def lag(self) -> int:
        """Bytes of the source's history that were not taken yet."""
        offsets = await self._offsets()
        return sum(max(0, offset - line.replicator.offset) for offset, line in zip(offsets, self.lines, strict=True))

    async def catch_up(self) -> None:
        """Until the target is a moment behind the source at most."""
        self.words = "catching up"
        self.report(Began("follow", "catch up with what changed meanwhile"))
        while True:
            lag = await self.lag()
            is_copied = all(line.replicator.is_copied and not line.replicator.writers.trouble for line in self.lines)
            if is_copied and lag <= _SMALL_LAG_BYTES and self.held <= _FEW_HELD:
                break
            self.report(Moved("follow", f"catch up: {lag:,} bytes behind, {self.held:,} keys to carry by value"))
            await self._breathe(_SHOWN_S)
        for line in self.lines:
            line.copies = 0
        changes = sum(line.replicator.progress.changes for line in self.lines)
        self.report(Ended("follow", f"caught up: {changes:,} changes followed"))

    async def prove(self) -> Comparison:
        """Compare everything, carry what differs, and compare that again, until nothing is left but what changes just
        now. Raises PartialError (``not-equal``) where keys stay different."""
        for _ in range(_ROUNDS):
            await self.catch_up()
            self.words = "comparing everything"
            self.libraries = await self._watched(self.sync_functions())
            for line in self.lines:
                line.replicator.dirty_keys, line.replicator.needs_full_compare = set(), False
                line.replicator.resync_queue.forgive(list(line.replicator.resync_queue.failed))
            await self._watched(self._settle_deadlines())
            self._suspects.clear()
            self.comparison = await self._watched(self._prover.every_key())
            # What differs later was equal here, and is counted so.
            self._differing = dict(self._suspects)
            wrong = {candidate.named for candidate in await self.recheck()}
            self._proved(self._differing.keys() - wrong)
            self._tell_problems()
            if not self.needs_full_compare:
                break
        else:
            raise PartialError(
                f"something upset the target {_ROUNDS} times while it was compared",
                code="not-proved",
                left="the source is as it was and the copy stays",
                hint="slotwright check says what is wrong with the target; then slotwright migrate --resume",
            )
        self.words = "ready"
        return self.comparison

    def _proved(self, names: Set[Named]) -> None:
        """Keys that were different when everything was compared, and are equal now."""
        if self.comparison is not None:
            self.comparison = with_rechecked_keys(self.comparison, [self._differing.pop(name) for name in names])

    async def _settle_deadlines(self) -> None:
        """From now on keys of the target have the source's deadlines. What changes meanwhile is noted already."""
        for line in self.lines:
            await line.replicator.caught_up()
        await self.expiry.settle()
        for line in self.lines:
            line.replicator.carry_late_keys()
        while self.held > _FEW_HELD:
            await self.clock.sleep(_POLL_S)

    async def recheck(self, most: int = _FEW_UNPROVED) -> tuple[Compared, ...]:
        """Prove keys again that changed since they were proved, until at most ``most`` are left, or (``most`` not 0) as
        many change as can be proved meanwhile. Returns those that would not become equal."""
        stubborn: dict[Named, int] = {}
        wrong: dict[Named, Compared] = {}
        fewest, rounds = math.inf, 0
        while True:
            todo = [named for line in self.lines for named in line.replicator.dirty_keys or () if named not in wrong]
            if len(todo) <= most:
                return tuple(wrong.values())
            rounds = 0 if len(todo) < fewest else rounds + 1
            fewest = min(fewest, len(todo))
            if most and rounds > _ROUNDS:
                return tuple(wrong.values())
            self.words = f"proving {len(todo):,} keys again that changed meanwhile"
            batch = todo[:_BATCH]
            for named in batch:
                (self.line_of(named).replicator.dirty_keys or set()).discard(named)
            await self._taken()
            for result in await self._watched(self._prover.these_keys(batch)):
                if result.verdict in (KeyVerdict.EQUAL, KeyVerdict.EXPIRED):
                    continue
                stubborn[result.named] = stubborn.get(result.named, 0) + 1
                if result.verdict is KeyVerdict.NOT_COMPARABLE and stubborn[result.named] > 1:
                    # Its final value was carried: more can't be known of what only a module can read.
                    continue
                if stubborn[result.named] > _ROUNDS:
                    why = self.line_of(result.named).replicator.resync_queue.failed.get(result.named)
                    wrong[result.named] = replace(result, words=why) if why else result
                self._suspect(result)

    async def cut_over(self, intend: Callable[[tuple[ReadOnly, ...]], None]) -> CutoverResult:
        """Fence the source, drain, prove what is left, and make the source read-only. ``intend`` keeps what an abort
        will have to undo, before it is done, and () where it was undone.

        Where a key differs in the end, the source is given back. Where something upset the target meanwhile, the source
        goes on, everything is proved again, and the cutover is tried again. Raises what the servers raise, PartialError
        (``not-proved``, ``not-drained``), and RefusedError (``source-is-replica``) where others take the writes: the
        source is as it was then.
        """
        await self.refuse_hopeless()
        for _ in range(_ROUNDS):
            if self.is_unsettled:
                await self.prove()
            await self.recheck()
            await self._taken()
            await self._gate.open()
            outcome = await self._close(intend)
            if outcome is not None:
                # Under the fence every key that was still different was proved: what was hot before is no difference.
                self._proved(self._differing.keys() - {candidate.named for candidate in outcome.wrong})
                return outcome
            self.report(Warned("something upset the target during the cutover; the source goes on, and all is proved"))
        raise PartialError(
            f"something upset the target during {_ROUNDS} cutovers",
            code="not-proved",
            left="writes on the source go on; nothing was cut over",
            hint="slotwright check says what is wrong with the target; then slotwright migrate --resume",
        )

    async def refuse_hopeless(self) -> None:
        """Raises RefusedError (``source-is-replica``) where a cutover could never be."""
        await self._gate.refuse_hopeless()

    async def _close(self, intend: Callable[[tuple[ReadOnly, ...]], None]) -> CutoverResult | None:
        """One try; None where something upset the target."""
        known = {was.address for was in self.before}
        # A source that a failover made one since was not changed yet.
        new = [await line.fence.before() for line in self.lines if str(line.address) not in known]
        before = (*self.before, *new)
        is_refusing = bool(self.before) or not all(line.fence.can_hold for line in self.lines)
        if is_refusing:
            intend(before)
        self.words = "cutting over"
        primary, still_s = self._gate.still
        held = f"{primary} stood still for {still_s:.0f} s; what was left was taken and proved in" if primary else ""
        self.report(Began("fence", "take what the source has left" if primary else "hold writes on the source"))
        started = self.clock.now()
        is_done = False
        try:
            async with asyncio.timeout(_MOST_HELD_S):
                await self._fence()
                if not await self._drain():
                    return None
                drained = self.clock.now() - started
                rechecked = self.dirty_keys
                wrong = await self.recheck(0)
                self.libraries = await self._watched(self.sync_functions())
                # A member that hangs is not waited for here: with its lane it is seen anyway, or will be.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GLANCE_S):
                        await asyncio.gather(*(line.replicator.look_again() for line in self.lines))
                keys = sum([await self._attacher.keys(line) for line in self.lines])
                number = await self.count_target()
                proved = self.clock.now() - started
                if not wrong and not self.is_unsettled:
                    intend(before)
                    is_refusing = True
                    await asyncio.gather(*(line.fence.refuse() for line in self.lines))
                    # Should holding have ended too early, then what came in between counts as well.
                    if not await self._drain():
                        return None
                    wrong = await self.recheck(0)
                    await self._gate.confirm()
                    is_done = not wrong and not self.is_unsettled
            if not is_done and not wrong:
                return None
        except TimeoutError:
            raise self._not_drained(f"what was left was not proved within {_MOST_HELD_S:.0f} s") from None
        finally:
            if is_refusing and not is_done:
                await self._give_back(before)
                intend(())
            for line in self.lines:
                await line.fence.release()
            total = self.clock.now() - started
            text = f"{held or 'writes on the source were held for'} {total * 1000:,.0f} ms"
            self.report(Ended("fence", text, is_done))
        how = "nothing: its primary stood still" if primary else self.lines[0].fence.how
        return CutoverResult(
            CutoverPause(how, drained, proved, total, primary, still_s), wrong, rechecked, keys, number
        )

    async def _give_back(self, before: Sequence[ReadOnly]) -> None:
        """Each server that was changed, also one that is no source any more: it may be a primary again some day."""
        fences = {str(line.address): line.fence for line in self.lines}
        known = self.lines[0].fence
        outcomes = await asyncio.gather(
            *((fences.get(was.address) or known.of(Address.parse(was.address))).allow(was) for was in before),
            return_exceptions=True,
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self.before = ()

    async def watch(self, seconds: float) -> None:
        """Go on following for a moment. Raises what ended it."""
        await self._breathe(seconds)

    async def _attach(self) -> None:
        for line in self.lines:
            await line.replicator.open()
        await together([self._attacher.attach(line) for line in self.lines])

    def _say(self, text: str) -> None:
        self.words = text

    def _tell_problems(self) -> None:
        """What the target refused that was for no key in particular."""
        for line in self.lines:
            for problem in dict.fromkeys(line.replicator.problems):
                self.report(Warned(f"the target refused a command: {problem}", str(line.address)))
            line.replicator.problems.clear()

    def _suspect(self, result: Compared) -> None:
        """It differs: carried by value, whatever the reason, and proved again."""
        self._suspects[result.named] = result
        replicator = self.line_of(result.named).replicator
        replicator.resync_queue.hold(result.named, replicator.offset)
        if replicator.dirty_keys is not None:
            replicator.dirty_keys.add(result.named)

    async def _fence(self) -> None:
        for line in self.lines:
            if line.address in self._gate.followers:
                continue
            await (line.fence.hold() if line.fence.can_hold else line.fence.refuse())

    async def _drain(self) -> bool:
        """Until all that the source did before the fence was answered for by the target; False where something upset
        that: nobody is to wait for it."""
        deadline = self.clock.now() + _DRAIN_S
        # Twice: the offset stands still now, but for the pings that a source sends its replicas.
        for _ in range(2):
            goals = await self._offsets()
            while not (self._has_taken(goals) and all(line.replicator.is_drained for line in self.lines)):
                if self.is_unsettled:
                    return False
                if self.clock.now() > deadline:
                    raise self._not_drained(f"the target did not take what was left within {_DRAIN_S:.0f} s")
                await self._breathe(_POLL_S)
        return not self.is_unsettled

    def _not_drained(self, what: str) -> PartialError:
        return PartialError(
            what,
            code="not-drained",
            left="writes on the source go on; nothing was cut over",
            hint="slotwright migrate --status shows the lag; slotwright migrate --cutover tries again",
        )

    async def _taken(self) -> None:
        """Until what the source has done by now was taken; under load there is always something on its way."""
        goals, patience = await self._offsets(), self.clock.now() + _PATIENCE_S
        while not self._has_taken(goals) or (self.held and self.clock.now() < patience):
            await self._breathe(_POLL_S)

    async def _offsets(self) -> list[int]:
        return [await self._offset(line) for line in self.lines]

    async def _offset(self, line: SourceStream) -> int:
        """Waits for a source that is away: whoever follows it gives up in the end."""
        while True:
            try:
                return await source_offset(self.pool, line.address)
            except NodeUnreachableError:
                await self._breathe(_RETRY_S)

    def _has_taken(self, goals: Sequence[int]) -> bool:
        return all(
            line.replicator.is_copied and line.replicator.offset >= goal
            for line, goal in zip(self.lines, goals, strict=True)
        )

    async def _breathe(self, seconds: float) -> None:
        self._raise_failure()
        await self.clock.sleep(seconds)
        self._raise_failure()

    async def _watched(self, work: Awaitable[Result]) -> Result:
        """As long as it takes; what ends the following meanwhile ends it."""
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait([task, *self._works], return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._raise_failure()
            return await task
        finally:
            task.cancel()

    def _raise_failure(self) -> None:
        for work in self._works:
            if work.done():
                work.result()
                raise ServerError("following the source ended", code="source-lost")
