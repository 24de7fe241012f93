"""A migration from its first byte to the cutover: copy, follow, prove, fence, prove what is left, make read-only.

The stream makes the target nearly right quickly; the comparison makes it exactly right, and is the proof: a key that
differs is carried by value at a known offset and compared again. Keys that change after they were proved are
remembered, and proved again, so that at the cutover only the last few are left while writes wait.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.model.comparison import Compared, Comparison, Verdict, mended
from slotwright.model.events import Began, Ended, Moved, Report, Warned
from slotwright.model.migration import Named, Pause, Position, ReadOnly
from slotwright.model.topology import Address
from slotwright.operations.migration.fence import Fence
from slotwright.operations.migration.link import SOURCE_LOST
from slotwright.operations.migration.pump import NOT_FOLLOWED, Pump
from slotwright.operations.migration.values import source_offset
from slotwright.operations.roster import Roster
from slotwright.operations.side import together
from slotwright.ports import Clock, ReplyError
from slotwright.wire.info import count_keys, parse_info

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
_LOOK_S = 2.0
_MOST_COPIES = 3
_PATIENCE_S = 2.0
_FEW_HELD = 100
_SOURCE_PATIENCE_S = 300.0
_RETRY_S = 0.5


class Prover(Protocol):
    """What compares; :class:`slotwright.operations.compare.Comparer` does."""

    async def every_key(self) -> Comparison:
        """Everything, both ways. Keys that differ are told as they are found."""
        ...

    async def these_keys(self, named: Sequence[Named]) -> list[Compared]:
        """These alone."""
        ...


@dataclass(slots=True)
class Line:
    """One server of the source: its pump and its fence, and how many keys it said that it has. ``position`` is where an
    earlier run was, then where this one attached; ``is_lost``: nothing can be gone on with from there. ``copies``: how
    often its snapshot was taken since the target last caught up."""

    pump: Pump
    fence: Fence
    position: Position | None = None
    expected_keys: int = 0
    is_lost: bool = False
    copies: int = 0
    _known: Position | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._known = self.position

    @property
    def address(self) -> Address:
        """The server's."""
        return self.fence.address

    @property
    def kept(self) -> Position | None:
        """Where a later run may go on from: not within a copy, of which a part would be missing."""
        if self.is_lost:
            return None
        if not self.pump.is_copied or self.position is None:
            return self._known
        pump, history = self.pump, self.position.replication_id
        self._known = Position(str(self.address), history, pump.offset, pump.database, self.expected_keys)
        return self._known


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cutover came to. ``wrong`` are the keys that differ still: where there are any, the source was given back
    and nothing was cut over. ``rechecked``: keys that changed after they were proved, and were proved again while
    writes waited. ``expired``: of them, gone because their time had come."""

    pause: Pause
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

    lines: Sequence[Line]
    line_of: Callable[[Named], Line]
    make_prover: Callable[[Callable[[Compared], None]], Prover]
    count_target: Callable[[], Awaitable[int]]
    sync_functions: Callable[[], Awaitable[int]]
    roster: Roster
    clock: Clock
    report: Report
    before: tuple[ReadOnly, ...] = ()
    comparison: Comparison | None = None
    words: str = "begins"
    was_copied: bool = False
    libraries: int = 0
    _suspects: dict[Named, Compared] = field(default_factory=dict)
    _prover: Prover = field(init=False)
    _works: list[asyncio.Task[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prover = self.make_prover(self._suspect)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Migrator]:
        """Attach to the source, copy where there is anything to copy, and follow until the end of the block."""
        try:
            await self._attach()
            for line in self.lines:
                self._works += [
                    asyncio.create_task(self._follow(line)),
                    asyncio.create_task(line.pump.ground.guard.watch()),
                    asyncio.create_task(self._look_after(line)),
                ]
            yield self
        finally:
            for work in self._works:
                work.cancel()
            await asyncio.gather(*self._works, return_exceptions=True)
            for line in self.lines:
                await line.fence.release()
                await line.pump.close()

    @property
    def positions(self) -> tuple[Position, ...]:
        """Where to go on from."""
        return tuple(kept for line in self.lines if (kept := line.kept) is not None)

    @property
    def is_shaken(self) -> bool:
        """Whether something happened after which only a comparison of everything tells."""
        return any(line.pump.is_shaken for line in self.lines)

    @property
    def is_unsettled(self) -> bool:
        """Whether the target has to be proved anew, or what is sent to it does not arrive just now."""
        return self.is_shaken or any(line.pump.lanes.trouble or not line.pump.is_copied for line in self.lines)

    @property
    def held(self) -> int:
        """Keys that wait to be carried by value."""
        return sum(line.pump.holding.count for line in self.lines)

    @property
    def unproved(self) -> int:
        """Keys that changed since they were proved."""
        return sum(len(line.pump.unproved or ()) for line in self.lines)

    async def lag(self) -> int:
        """Bytes of the source's history that were not taken yet."""
        offsets = await self._offsets()
        return sum(max(0, offset - line.pump.offset) for offset, line in zip(offsets, self.lines, strict=True))

    async def catch_up(self) -> None:
        """Until the target is a moment behind the source at most."""
        self.words = "catching up"
        self.report(Began("follow", "catch up with what changed meanwhile"))
        while True:
            lag = await self.lag()
            is_copied = all(line.pump.is_copied and not line.pump.lanes.trouble for line in self.lines)
            if is_copied and lag <= _SMALL_LAG_BYTES and self.held <= _FEW_HELD:
                break
            self.report(Moved("follow", f"catch up: {lag:,} bytes behind, {self.held:,} keys to carry by value"))
            await self._breathe(_SHOWN_S)
        for line in self.lines:
            line.copies = 0
        changes = sum(line.pump.progress.changes for line in self.lines)
        self.report(Ended("follow", f"caught up: {changes:,} changes followed"))

    async def prove(self) -> Comparison:
        """Compare everything, carry what differs, and compare that again, until nothing is left but what changes just
        now. Raises PartialError (``not-equal``) where keys stay different."""
        for _ in range(_ROUNDS):
            await self.catch_up()
            self.words = "comparing everything"
            self.libraries = await self._watched(self.sync_functions())
            for line in self.lines:
                line.pump.unproved, line.pump.is_shaken = set(), False
                line.pump.holding.forgive(list(line.pump.holding.failed))
            self._suspects.clear()
            found = await self._watched(self._prover.every_key())
            wrong = {each.named for each in await self.recheck()}
            self.comparison = mended(found, [each for each in self._suspects.values() if each.named not in wrong])
            self._tell_problems()
            if not self.is_shaken:
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

    async def recheck(self, most: int = _FEW_UNPROVED) -> tuple[Compared, ...]:
        """Prove keys again that changed since they were proved, until at most ``most`` are left, or (``most`` not 0) as
        many change as can be proved meanwhile. Returns those that would not become equal."""
        stubborn: dict[Named, int] = {}
        wrong: dict[Named, Compared] = {}
        fewest, rounds = math.inf, 0
        while True:
            todo = [named for line in self.lines for named in line.pump.unproved or () if named not in wrong]
            if len(todo) <= most:
                return tuple(wrong.values())
            rounds = 0 if len(todo) < fewest else rounds + 1
            fewest = min(fewest, len(todo))
            if most and rounds > _ROUNDS:
                return tuple(wrong.values())
            self.words = f"proving {len(todo):,} keys again that changed meanwhile"
            batch = todo[:_BATCH]
            for named in batch:
                (self.line_of(named).pump.unproved or set()).discard(named)
            await self._taken()
            for found in await self._watched(self._prover.these_keys(batch)):
                if found.verdict in (Verdict.EQUAL, Verdict.EXPIRED):
                    continue
                stubborn[found.named] = stubborn.get(found.named, 0) + 1
                if found.verdict is Verdict.NOT_COMPARABLE and stubborn[found.named] > 1:
                    # Its final value was carried: more can't be known of what only a module can read.
                    continue
                if stubborn[found.named] > _ROUNDS:
                    why = self.line_of(found.named).pump.holding.failed.get(found.named)
                    wrong[found.named] = replace(found, words=why) if why else found
                self._suspect(found)

    async def cut_over(self, intend: Callable[[tuple[ReadOnly, ...]], None]) -> Outcome:
        """Fence the source, drain, prove what is left, and make the source read-only. ``intend`` keeps what an abort
        will have to undo, before it is done, and () where it was undone.

        Where a key differs in the end, the source is given back. Where something upset the target meanwhile, the source
        goes on, everything is proved again, and the cutover is tried again. Raises what the servers raise, and
        PartialError (``not-proved``, ``not-drained``).
        """
        for _ in range(_ROUNDS):
            if self.is_unsettled:
                await self.prove()
            await self.recheck()
            outcome = await self._close(intend)
            if outcome is not None:
                return outcome
            self.report(Warned("something upset the target during the cutover; the source goes on, and all is proved"))
        raise PartialError(
            f"something upset the target during {_ROUNDS} cutovers",
            code="not-proved",
            left="writes on the source go on; nothing was cut over",
            hint="slotwright check says what is wrong with the target; then slotwright migrate --resume",
        )

    async def _close(self, intend: Callable[[tuple[ReadOnly, ...]], None]) -> Outcome | None:
        """One try; None where something upset the target."""
        before = self.before or tuple([await line.fence.before() for line in self.lines])
        is_refusing = bool(self.before) or not all(line.fence.can_hold for line in self.lines)
        if is_refusing:
            intend(before)
        self.words = "cutting over"
        self.report(Began("fence", "hold writes on the source"))
        started = self.clock.now()
        is_done = False
        try:
            async with asyncio.timeout(_MOST_HELD_S):
                await self._fence()
                if not await self._drain():
                    return None
                drained = self.clock.now() - started
                rechecked = self.unproved
                wrong = await self.recheck(0)
                self.libraries = await self._watched(self.sync_functions())
                # A member that hangs is not waited for here: with its lane it is seen anyway, or will be.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_GLANCE_S):
                        await asyncio.gather(*(line.pump.look_again() for line in self.lines))
                keys = sum([await self._keys(line) for line in self.lines])
                found = await self.count_target()
                proved = self.clock.now() - started
                if not wrong and not self.is_unsettled:
                    intend(before)
                    is_refusing = True
                    await asyncio.gather(*(line.fence.refuse() for line in self.lines))
                    # Should holding have ended too early, then what came in between counts as well.
                    if not await self._drain():
                        return None
                    wrong = await self.recheck(0)
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
            text = f"writes on the source were held for {total * 1000:,.0f} ms"
            self.report(Ended("fence", text, is_done))
        return Outcome(Pause(self.lines[0].fence.how, drained, proved, total), wrong, rechecked, keys, found)

    async def _give_back(self, before: Sequence[ReadOnly]) -> None:
        by_address = {each.address: each for each in before}
        for line in self.lines:
            if str(line.address) in by_address:
                await line.fence.allow(by_address[str(line.address)])
        self.before = ()

    async def watch(self, seconds: float) -> None:
        """Go on following for a moment. Raises what ended it."""
        await self._breathe(seconds)

    async def _attach(self) -> None:
        for line in self.lines:
            await line.pump.open()
        await together([self._attach_first(line) for line in self.lines])

    async def _attach_first(self, line: Line) -> None:
        """A source that does not take us ends it; one that hangs up later is attached to again."""
        try:
            await self._attach_one(line)
        except NodeUnreachableError as error:
            if error.code != SOURCE_LOST or line.position is None:
                raise
            self._warn(line, error)
            await self._attach_again(line, error)

    def _warn(self, line: Line, error: NodeUnreachableError) -> None:
        self.words = f"{line.address} hung up; attaching again"
        self.report(Warned(f"the source ended the replication; attaching again. {error.seen}", error.where))

    async def _follow(self, line: Line) -> None:
        """Follow; a source that hung up is attached to again. In one process that is exact: it goes on where it was."""
        while True:
            try:
                await line.pump.follow()
            except NodeUnreachableError as error:
                if error.code != SOURCE_LOST:
                    raise
                self._warn(line, error)
                await self._attach_again(line, error)
            except PartialError as error:
                # Gone on with from here, it would come to the same again.
                line.is_lost = line.is_lost or error.code == NOT_FOLLOWED
                raise

    async def _look_after(self, line: Line) -> None:
        """What nobody tells: that slots have other owners, and how many keys the source has."""
        while True:
            await self.clock.sleep(_LOOK_S)
            await line.pump.look_again()
            with suppress(ServerError, ReplyError):
                await self._count(line)

    async def _count(self, line: Line) -> None:
        """Of the source that we follow: one that came back empty has another history."""
        connection = await self.roster.connection(line.address)
        reply = await connection.call("INFO")
        info = parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
        if line.position is not None and info.get("master_replid") == line.position.replication_id:
            line.expected_keys = max(count_keys(info), 1)

    async def _attach_again(self, line: Line, error: NodeUnreachableError) -> None:
        deadline = self.clock.now() + _SOURCE_PATIENCE_S
        while True:
            try:
                await self._attach_one(line)
                return
            except ServerError as again:
                if again.code in ("source-refuses", "rdb-unreadable", "wrong-password"):
                    raise
                if self.clock.now() > deadline:
                    raise PartialError(
                        f"{line.address} was not there again within {_SOURCE_PATIENCE_S:.0f} s",
                        code="source-away",
                        where=str(line.address),
                        seen=again.what,
                        left="the copy stays in the target, as far as it was followed",
                        hint="when the source is back: slotwright migrate --resume",
                    ) from error
                await self.clock.sleep(_RETRY_S)

    async def _attach_one(self, line: Line) -> None:
        pump, known = line.pump, line.position
        link = pump.ground.link
        history, offset = "", 0
        if known is not None and (pump.is_copied or not pump.offset):
            history, offset = known.replication_id, pump.offset or known.offset
        attached = await link.attach(history, offset)
        if attached.is_full and known is not None:
            await self._refuse_emptied(line)
        line.position = Position(str(line.address), attached.replication_id, attached.offset, 0)
        if attached.is_full:
            pump.offset, pump.is_copied = attached.offset, False
            self.was_copied = True
            self._count_copy(line)
            await self._copy(line)
            # What a copy before this one left behind shows when everything is compared, from now on.
            pump.is_shaken = True
        elif not pump.offset:
            # How much of what follows was done by the run before is not known: a comparison of everything tells.
            assert known is not None
            pump.offset, pump.database = attached.offset, known.database
            pump.is_shaken = pump.is_copied = True
            pump.progress.copied_s = pump.progress.copied_s or _POLL_S

    def _count_copy(self, line: Line) -> None:
        line.copies += 1
        if line.copies > _MOST_COPIES:
            raise PartialError(
                f"{line.address} ended the replication {_MOST_COPIES} times before the target had caught up",
                code="copy-cut",
                where=str(line.address),
                left="the source is as it was; the copy in the target is not complete",
                hint="its log says why. Where it names output buffer limits: CONFIG SET client-output-buffer-limit "
                "'replica 0 0 0' on it until the move is done, or a higher --pace; then slotwright migrate --resume",
            )

    async def _refuse_emptied(self, line: Line) -> None:
        """A source that lost its data meanwhile must not empty the copy as well."""
        keys = await self._keys(line)
        if keys * 2 < line.expected_keys:
            await line.pump.ground.link.close()
            raise PartialError(
                f"{line.address} has {keys:,} keys now, and had {line.expected_keys:,}: it seems to have lost data",
                code="source-lost-data",
                where=str(line.address),
                left="the copy in the target was left as it was, and may be the only one",
                hint="bring the source's data back, then slotwright migrate --resume; or slotwright migrate --abort, "
                "which keeps the copy",
            )

    async def _copy(self, line: Line) -> None:
        pump = line.pump
        self.words = "waiting for the source's snapshot"
        line.expected_keys = max(await self._keys(line), 1)
        guarding = asyncio.create_task(pump.ground.guard.watch())
        showing = asyncio.create_task(self._show_copy(line))
        is_ok = False
        try:
            await pump.copy()
            is_ok = True
        finally:
            for each in (guarding, showing):
                each.cancel()
            done = pump.progress
            rate = f", {done.keys / done.copied_s:,.0f} keys/s" if done.copied_s else ""
            self.report(Ended("copy", f"copy from {line.address}: {done.keys:,} keys{rate}", is_ok))

    async def _show_copy(self, line: Line) -> None:
        done = line.pump.progress
        self.report(Began("copy", f"copy from {line.address}: the source makes a snapshot"))
        began: float | None = None
        while True:
            await self.clock.sleep(_SHOWN_S)
            if not done.keys:
                continue
            began = began or self.clock.now() - _SHOWN_S
            rate = done.keys / (self.clock.now() - began)
            left = max(0, line.expected_keys - done.keys) / rate
            self.words = f"copying: {done.keys:,} of {line.expected_keys:,} keys"
            text = f"copy from {line.address}: {rate:,.0f} keys/s, {left:.0f} s left"
            self.report(Moved("copy", text, min(done.keys, line.expected_keys), line.expected_keys))

    def _tell_problems(self) -> None:
        """What the target refused that was for no key in particular."""
        for line in self.lines:
            for problem in dict.fromkeys(line.pump.problems):
                self.report(Warned(f"the target refused a command: {problem}", str(line.address)))
            line.pump.problems.clear()

    def _suspect(self, found: Compared) -> None:
        """It differs: carried by value, whatever the reason, and proved again."""
        self._suspects[found.named] = found
        pump = self.line_of(found.named).pump
        pump.holding.hold(found.named, pump.offset)
        if pump.unproved is not None:
            pump.unproved.add(found.named)

    async def _fence(self) -> None:
        for line in self.lines:
            await (line.fence.hold() if line.fence.can_hold else line.fence.refuse())

    async def _drain(self) -> bool:
        """Until all that the source did before the fence was answered for by the target; False where something upset
        that: nobody is to wait for it."""
        deadline = self.clock.now() + _DRAIN_S
        # Twice: the offset stands still now, but for the pings that a source sends its replicas.
        for _ in range(2):
            goals = await self._offsets()
            while not (self._has_taken(goals) and all(line.pump.is_drained for line in self.lines)):
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

    async def _offset(self, line: Line) -> int:
        """Waits for a source that is away: whoever follows it gives up in the end."""
        while True:
            try:
                return await source_offset(self.roster, line.address)
            except NodeUnreachableError:
                await self._breathe(_RETRY_S)

    def _has_taken(self, goals: Sequence[int]) -> bool:
        return all(
            line.pump.is_copied and line.pump.offset >= goal for line, goal in zip(self.lines, goals, strict=True)
        )

    async def _keys(self, line: Line) -> int:
        connection = await self.roster.connection(line.address)
        try:
            reply = await connection.call("INFO", "keyspace")
        except ServerError:
            await self.roster.drop(line.address)
            raise
        return count_keys(parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else ""))

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
