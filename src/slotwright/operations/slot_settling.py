"""Give slots one owner, and bring it their keys. Nothing is deleted that the owner does not have with the same content.

For each slot: the ends are opened so that keys can be read and moved; keys that the owner lacks go there with MIGRATE
(never REPLACE); keys that both have are compared, and equal copies dropped at the holder; then the owner is told that
it owns the slot, then those who thought otherwise, then the rest; and every node's view is read back.

A MIGRATE that fails or times out may have arrived: both ends are looked at again, never is it simply repeated.
Different values of one key stop the slot, with both ends left readable, unless the step says that the owner's stays;
then both are written to files first (cluster.c, CLUSTER SETSLOT, getNodeByQuery; 6.2 to 8.x and Valkey).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.model.cluster import NodeView, Observation, Role
from slotwright.model.contents import QuarantinedKey
from slotwright.model.events import Moved, Report
from slotwright.model.repair import SettleSlots
from slotwright.model.secret import Secret
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Address
from slotwright.operations.contents import keys_in, present
from slotwright.operations.key_values import are_equal, ask, read_value
from slotwright.operations.observe import observe
from slotwright.operations.roster import Roster
from slotwright.ports import Argument, Clock, Connection, ReplyError

BATCH_KEYS = 100
BATCH_BYTES = 8 * 1024 * 1024
_BYTES_PER_S = 5 * 1024 * 1024
_TRIES = 4
_SETTLE_S = 15.0
_SLOTS_AT_ONCE = 1024
_POLL_S = 0.05


Quarantine = Callable[[Sequence[QuarantinedKey]], Awaitable[None]]
"""Writes values to files, durably, before it returns."""


@dataclass(slots=True)
class Settled:
    """What came of it: keys brought to the owner, equal copies dropped, keys with different values."""

    moved: int = 0
    dropped: int = 0
    different: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The two ends for one slot: connections, and whether reading needs ASKING there."""

    slot: int
    owner: Connection
    holder: Connection
    asks_owner: bool
    asks_holder: bool


@dataclass(frozen=True, slots=True)
class Settler:
    """Settles slots of the cluster that has nodes at ``addresses``; nodes log in to each other with ``password``."""

    roster: Roster
    clock: Clock
    report: Report
    addresses: tuple[Address, ...]
    quarantine: Quarantine
    password: Secret | None = field(default=None, repr=False)
    username: str = ""

    async def settle(self, step: SettleSlots, task: str = "settle") -> Settled:
        """``task`` is what its progress belongs to.

        Raises ServerError (migrate-failed, target-full, slot-not-settled, settling-refused) and PartialError
        (key-differs): what was brought stays brought, and the next plan goes on from there.
        """
        done = Settled()
        try:
            await self._settle(step, task, done)
        except ReplyError as error:
            raise ServerError(
                f"a node refuses what would settle slots at {step.owner}",
                code="settling-refused",
                where=str(step.owner),
                seen=str(error),
                left=f"{done.moved} keys were brought; nothing is lost",
                hint="slotwright check says what is left",
            ) from error
        return done

    async def _settle(self, step: SettleSlots, task: str, done: Settled) -> None:
        seen = await observe(self.roster, self.addresses)
        owner = _view(seen, step.owner)
        holders = [_view(seen, address) for address in step.holders]
        # Whoever claims or has it open must be told, also when it holds no key of it.
        others = [_view(seen, address) for address in step.open_at if address not in (step.owner, *step.holders)]
        await self._make_room_in_time(owner, step)
        total, done_with = len(step.slots), 0
        for part in _parts(step.slots, 1 if holders else _SLOTS_AT_ONCE):
            settled = [slot for slot in part if await self._bring_all(step, slot, owner, holders, done)]
            if any(not _claims(owner, slot) for slot in settled) or _are_rivals(owner, holders, settled):
                await self._bump(step.owner)
            await self._finalise(settled, owner, [*holders, *others], seen)
            done_with += len(part)
            self.report(Moved(task, f"{step.owner}: {done.moved} keys brought", done_with, total))
        if done.different and not step.keeps_owners:
            raise _differing(step, done)
        await self._await_views(step)

    async def _make_room_in_time(self, owner: NodeView, step: SettleSlots) -> None:
        """What would be brought must fit, by an estimate on a few keys of each holder."""
        limit = owner.health.maxmemory_bytes
        if not limit or not step.holders:
            return
        room = limit - owner.health.used_bytes
        needed = 0
        for address in step.holders:
            holder = await self.roster.connection(address)
            for slot in step.slots:
                keys = await keys_in(holder, slot, BATCH_KEYS)
                needed += sum(await _sizes(holder, keys))
                if needed > room:
                    raise ServerError(
                        f"{step.owner} has no room for the keys of its slots",
                        code="target-full",
                        where=str(step.owner),
                        seen=f"{needed} bytes and more would come, {max(0, room)} are left of maxmemory {limit}",
                        left="no key was moved",
                        hint="raise maxmemory of that node (the file's settings, then slotwright up), then try again",
                    )

    async def _bump(self, address: Address) -> None:
        """A higher epoch than anybody's: what it will claim is believed (BUMPED, or STILL where it has it already)."""
        connection = await self.roster.connection(address)
        await connection.call("CLUSTER", "BUMPEPOCH")

    async def _bring_all(
        self, step: SettleSlots, slot: int, owner: NodeView, holders: Sequence[NodeView], done: Settled
    ) -> bool:
        """Whether nobody else holds a key of the slot now. A slot with different values stays as it is, open."""
        before = len(done.different)
        for holder in holders:
            await self._bring(step, slot, owner, holder, done)
        return step.keeps_owners or len(done.different) == before

    async def _bring(self, step: SettleSlots, slot: int, owner: NodeView, holder: NodeView, done: Settled) -> None:
        ours, theirs = await self.roster.connection(owner.address), await self.roster.connection(holder.address)
        if not await keys_in(theirs, slot, 1):
            return
        await self._open(slot, owner, holder)
        ends = _Ends(slot, ours, theirs, not _claims(owner, slot), not _claims(holder, slot))
        skipped: set[bytes] = set()
        for attempt in range(1, 1 << 30):
            keys = [key for key in await keys_in(theirs, slot, BATCH_KEYS + len(skipped)) if key not in skipped]
            if not keys:
                return
            there = await present(ours, keys, ends.asks_owner)
            before = done.moved + done.dropped + len(done.different)
            await self._sort_out(step, ends, [key for key in keys if key in there], skipped, done)
            await self._migrate(step.owner, ends, [key for key in keys if key not in there], done)
            if done.moved + done.dropped + len(done.different) == before and attempt > _TRIES:
                raise ServerError(
                    f"keys of slot {slot} can't be brought from {holder.address} to {owner.address}",
                    code="migrate-failed",
                    where=str(holder.address),
                    seen=f"{len(keys)} keys are still there after {attempt} tries",
                    left="the slot is open at both ends: nothing is lost, and clients are led to its keys",
                    hint="slotwright repair tries again",
                )

    async def _open(self, slot: int, owner: NodeView, holder: NodeView) -> None:
        """So that the owner takes the keys, and the holder gives and shows them; again is no harm.

        A node that has a slot migrating takes no key of it that it lacks (it answers ASK), so a move that is taken back
        is closed at the owner first. Until a key is back, the owner knows nothing of it; a write to it meanwhile shows
        as a difference.
        """
        ours, theirs = await self.roster.connection(owner.address), await self.roster.connection(holder.address)
        if not _claims(owner, slot):
            await ours.call("CLUSTER", "SETSLOT", slot, "IMPORTING", holder.id)
        elif owner.myself is not None and any(each.slot == slot for each in owner.myself.migrating):
            await ours.call("CLUSTER", "SETSLOT", slot, "STABLE")
        if _claims(holder, slot):
            await theirs.call("CLUSTER", "SETSLOT", slot, "MIGRATING", owner.id)
        else:
            await theirs.call("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.id)

    async def _sort_out(
        self, step: SettleSlots, ends: _Ends, keys: list[bytes], skipped: set[bytes], done: Settled
    ) -> None:
        """Keys that both have: an equal copy goes, a different one is written down first, or stays."""
        for key in keys:
            one = await read_value(ends.owner, key, asks=ends.asks_owner)
            other = await read_value(ends.holder, key, asks=ends.asks_holder)
            if one is None or other is None:
                continue
            sides = (ends.owner, ends.asks_owner, one), (ends.holder, ends.asks_holder, other)
            if await are_equal(key, *sides):
                await self._drop(ends, key)
                done.dropped += 1
                continue
            await self.quarantine(
                [
                    QuarantinedKey(key, ends.slot, ends.owner.address, True, one),
                    QuarantinedKey(key, ends.slot, ends.holder.address, False, other),
                ]
            )
            done.different.append(key)
            if step.keeps_owners:
                await self._drop(ends, key)
            else:
                skipped.add(key)

    async def _drop(self, ends: _Ends, key: bytes) -> None:
        (reply,) = await ask(ends.holder, [("DEL", key)], ends.asks_holder)
        if isinstance(reply, ReplyError):
            raise reply

    async def _migrate(self, target: Address, ends: _Ends, keys: list[bytes], done: Settled) -> None:
        """In calls of bounded size. A call that failed is not repeated: the caller looks at both ends again."""
        sizes = await _sizes(ends.holder, keys)
        for batch, size in _batches(keys, sizes):
            patience_s = 5.0 + size / _BYTES_PER_S
            command: tuple[Argument, ...] = ("MIGRATE", target.host, target.port, "", 0, int(patience_s * 1000))
            try:
                await ends.holder.call(*command, *self._login(), "KEYS", *batch, timeout_s=patience_s + 5)
            except ReplyError as error:
                if error.code not in ("IOERR", "BUSYKEY", "TRYAGAIN") and "BUSYKEY" not in str(error):
                    raise _migrate_error(target, ends, error) from error
                return
            except NodeUnreachableError:
                await self.roster.drop(ends.holder.address)
                raise
            done.moved += len(batch)

    def _login(self) -> tuple[Argument, ...]:
        if self.password is None:
            return ()
        if self.username:
            return ("AUTH2", self.username, self.password.reveal())
        return ("AUTH", self.password.reveal())

    async def _finalise(
        self, slots: Sequence[int], owner: NodeView, told: Sequence[NodeView], seen: Observation
    ) -> None:
        """The owner first, so that somebody takes the slot at every moment; then those who thought otherwise.

        NODE alone leaves an end open that is not the one that takes the slot: STABLE closes it.
        """
        if not slots:
            return
        for view in (owner, *told):
            connection = await self.roster.connection(view.address)
            for word in (("NODE", owner.id), ("STABLE",)):
                replies = await connection.pipeline([("CLUSTER", "SETSLOT", slot, *word) for slot in slots])
                error = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
                if error is not None:
                    raise error
        rest = [view for view in _primaries(seen) if view.id not in {owner.id, *(each.id for each in told)}]
        await asyncio.gather(*(self._tell(view, slots, owner) for view in rest))

    async def _tell(self, view: NodeView, slots: Sequence[int], owner: NodeView) -> None:
        """Gossip tells the others anyway; one that can't be told now is no failure."""
        try:
            connection = await self.roster.connection(view.address)
            await connection.pipeline([("CLUSTER", "SETSLOT", slot, "NODE", owner.id) for slot in slots])
        except ServerError:
            await self.roster.drop(view.address)

    async def _await_views(self, step: SettleSlots) -> None:
        deadline = self.clock.now() + _SETTLE_S
        while True:
            seen = await observe(self.roster, self.addresses)
            wrong = _who_disagrees(seen, step)
            if not wrong:
                return
            if self.clock.now() > deadline:
                raise ServerError(
                    f"{wrong} does not see {step.owner} as the owner of its slots",
                    code="slot-not-settled",
                    where=wrong,
                    left="the keys are at the owner",
                    hint="slotwright check says what is left",
                )
            await self.clock.sleep(_POLL_S)


def _view(seen: Observation, address: Address) -> NodeView:
    view = seen.view_of(address)
    if view is None:
        raise NodeUnreachableError(f"{address} does not answer any more", where=str(address))
    return view


def _primaries(seen: Observation) -> list[NodeView]:
    return [view for view in seen.views if view.myself is not None and view.myself.role is Role.PRIMARY]


def _claims(view: NodeView, slot: int) -> bool:
    return view.myself is not None and slot in view.myself.slots


def _are_rivals(owner: NodeView, holders: Iterable[NodeView], slots: Sequence[int]) -> bool:
    return any(_claims(holder, slot) for holder in holders for slot in slots if holder.id != owner.id)


def _parts(slots: SlotSet, most: int) -> Iterator[list[int]]:
    everything = list(slots)
    for start in range(0, len(everything), most):
        yield everything[start : start + most]


async def _sizes(connection: Connection, keys: Sequence[bytes]) -> list[int]:
    """Bytes in memory, as the server estimates them; 64 for what it doesn't tell."""
    if not keys:
        return []
    replies = await connection.pipeline([("MEMORY", "USAGE", key, "SAMPLES", 5) for key in keys])
    return [reply if isinstance(reply, int) else 64 for reply in replies]


def _batches(keys: Sequence[bytes], sizes: Sequence[int]) -> list[tuple[list[bytes], int]]:
    found: list[tuple[list[bytes], int]] = []
    batch: list[bytes] = []
    held = 0
    for key, size in zip(keys, sizes, strict=True):
        if batch and held + size > BATCH_BYTES:
            found.append((batch, held))
            batch, held = [], 0
        batch.append(key)
        held += size
    return [*found, (batch, held)] if batch else found


def _migrate_error(target: Address, ends: _Ends, error: ReplyError) -> ServerError:
    is_full = "OOM" in str(error)
    return ServerError(
        f"{target} takes no more keys"
        if is_full
        else f"{ends.holder.address} can't hand over keys of slot {ends.slot}",
        code="target-full" if is_full else "migrate-failed",
        where=str(target if is_full else ends.holder.address),
        seen=str(error),
        left="the slot is open at both ends: nothing is lost, and clients are led to its keys",
        hint="raise maxmemory of that node, or slotwright abort takes the move back" if is_full else "slotwright check",
    )


def _differing(step: SettleSlots, done: Settled) -> PartialError:
    return PartialError(
        f"{len(done.different)} keys have different values in two nodes",
        code="key-differs",
        where=str(step.owner),
        seen=", ".join(ascii(key.decode(errors="backslashreplace"))[:40] for key in done.different[:3]),
        left="both values are written to files, and both are still where they were",
        hint="slotwright repair asks whether the owner's shall stay",
    )


def _who_disagrees(seen: Observation, step: SettleSlots) -> str:
    for view in seen.views:
        line = view.peer(step.owner_id)
        if line is not None and not line.is_connected and view.id != step.owner_id:
            continue  # It hears of it when it finds the owner again.
        if line is None or len(line.slots & step.slots) != len(step.slots):
            return str(view.address)
        mine = view.myself
        opened = {each.slot for each in (*mine.migrating, *mine.importing)} if mine else set()
        if opened & set(step.slots):
            return str(view.address)
    return ""
