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
from itertools import product

from slotwright.cluster.events import Moved, Report
from slotwright.cluster.key_holders import QuarantinedKey
from slotwright.cluster.observation import NodeView, Observation, Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.keys.compare.two_nodes import equal_on_both
from slotwright.keys.migrate_keys import MOST_KEYS, MigrateSender
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.keys.node_keys import NodeKeys, NodeSide
from slotwright.keys.side_by_side import beside
from slotwright.keys.throttle.probes import NodeProbes
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import observe
from slotwright.ports import Clock, Dialer, ReplyError
from slotwright.server.error_words import NO_SLOTS_OF_REPLICAS, NOT_HEARD_BY_REPLICAS

_SAMPLED_KEYS = 100
_TRIES = 4
_SETTLE_S = 15.0
_SLOTS_AT_ONCE = 1024
_POLL_S = 0.05
_CLOSED = ("STABLE",)


Quarantine = Callable[[Sequence[QuarantinedKey]], Awaitable[None]]
"""Writes values to files, durably, before it returns."""


@dataclass(slots=True)
class MovedSlots:
    """What came of it: keys brought to the owner, equal copies dropped, keys with different values."""

    moved: int = 0
    dropped: int = 0
    different: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Ends:
    """The two ends for one slot of one database, and whether reading needs ASKING there."""

    slot: int
    database: int
    owner: NodeSide
    holder: NodeSide


@dataclass(frozen=True, slots=True)
class SlotMover:
    """Settles slots of the cluster that has nodes at ``addresses``; nodes log in to each other with ``password``.

    ``probes`` dials both ends once more, to measure how long their clients wait while keys are moved.
    """

    pool: ConnectionPool
    clock: Clock
    report: Report
    addresses: tuple[Address, ...]
    quarantine: Quarantine
    rate_limiter: RateLimiter
    probes: Dialer
    password: Secret | None = field(default=None, repr=False)
    username: str = ""
    _nodes: dict[Address, NodeKeys] = field(default_factory=dict, init=False, repr=False)
    """Each is asked once what it can do, not for each slot."""

    @property
    def _sender(self) -> MigrateSender:
        return MigrateSender(self.rate_limiter, self.password, self.username)

    async def settle(self, step: SettleSlots, task: str = "settle") -> MovedSlots:
        """``task`` is what its progress belongs to.

        Raises ServerError (migrate-failed, target-full, slot-not-settled, settling-refused) and PartialError
        (key-differs): what was brought stays brought, and the next plan goes on from there.
        """
        done = MovedSlots()
        try:
            ends = (step.owner, *step.holders)
            async with NodeProbes(self.probes, ends) as probes, beside(self.rate_limiter.watch(probes)):
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

    async def _settle(self, step: SettleSlots, task: str, done: MovedSlots) -> None:
        observation = await observe(self.pool, self.addresses)
        owner = _view(observation, step.owner)
        holders = [_view(observation, address) for address in step.holders]
        # Whoever claims or has it open must be told, also when it holds no key of it.
        others = [_view(observation, address) for address in step.open_at if address not in (step.owner, *step.holders)]
        await self._make_room_in_time(owner, step)
        for view in (owner, *holders):
            await self._tell_who_took_over(view, observation)
        total, done_with = len(step.slots), 0
        for part in _parts(step.slots, 1 if holders else _SLOTS_AT_ONCE):
            settled = [slot for slot in part if await self._bring_all(step, slot, owner, holders, done)]
            if any(not _claims(owner, slot) for slot in settled) or _are_rivals(owner, holders, settled):
                await self._bump(step.owner)
            await self._finalise(settled, owner, [*holders, *others], observation)
            done_with += len(part)
            self.report(Moved(task, f"{step.owner}: {done.moved} keys brought", done_with, total))
        if done.different and not step.keeps_owners:
            raise _differing(step, done)
        await self._await_views(step)

    async def _tell_who_took_over(self, importer: NodeView, seen: Observation) -> None:
        """Who imports a slot of Redis does not hear who took it over from its source (clusterUpdateSlotsConfigWith):
        it has the slot at a node that is gone, calls the cluster down, and moves no key. Its import stays open."""
        news = list(_not_heard(importer, seen))
        if not news:
            return
        connection = await self.pool.connection(importer.address)
        await connection.pipeline([("CLUSTER", "SETSLOT", slot, "NODE", owner) for slot, owner in news])
        deadline = self.clock.now() + _SETTLE_S
        while self.clock.now() < deadline:
            view = (await observe(self.pool, [importer.address])).view_of(importer.address)
            if view is None or view.state_is_ok:
                return
            await self.clock.sleep(_POLL_S)

    async def _make_room_in_time(self, owner: NodeView, step: SettleSlots) -> None:
        """What would be brought must fit, by an estimate on a few keys of each holder."""
        limit = owner.health.maxmemory_bytes
        if not limit or not step.holders:
            return
        room = limit - owner.health.used_bytes
        needed = 0
        for address in step.holders:
            holder = self._keys_of(address)
            for database, slot in product(await holder.databases(), step.slots):
                keys = await holder.in_slot(slot, _SAMPLED_KEYS, database=database)
                needed += sum(size for _, size in await holder.sized(keys, database=database))
                if needed > room:
                    raise ServerError(
                        f"{step.owner} has no room for the keys of its slots",
                        code="target-full",
                        where=str(step.owner),
                        seen=f"{needed} bytes and more would come, {max(0, room)} are left of maxmemory {limit}",
                        left="no key was moved",
                        hint="raise maxmemory of that node (the file's settings, then slotwright up), then try again",
                    )

    def _keys_of(self, address: Address) -> NodeKeys:
        return self._nodes.setdefault(address, NodeKeys(address, self.pool))

    async def _bump(self, address: Address) -> None:
        """A higher epoch than anybody's: what it will claim is believed (BUMPED, or STILL where it has it already)."""
        connection = await self.pool.connection(address)
        await connection.call("CLUSTER", "BUMPEPOCH")

    async def _bring_all(
        self, step: SettleSlots, slot: int, owner: NodeView, holders: Sequence[NodeView], done: MovedSlots
    ) -> bool:
        """Whether nobody else holds a key of the slot now. A slot with different values stays as it is, open."""
        before = len(done.different)
        for holder in holders:
            await self._bring(step, slot, owner, holder, done)
        return step.keeps_owners or len(done.different) == before

    async def _bring(self, step: SettleSlots, slot: int, owner: NodeView, holder: NodeView, done: MovedSlots) -> None:
        ours, theirs = self._keys_of(owner.address), self._keys_of(holder.address)
        for database in await theirs.databases():
            if not await theirs.in_slot(slot, 1, database=database):
                continue
            await self._open(slot, owner, holder)
            reads_ours = await ours.side(asks=not _claims(owner, slot))
            reads_theirs = await theirs.side(asks=not _claims(holder, slot))
            await self._bring_database(step, _Ends(slot, database, reads_ours, reads_theirs), done)

    async def _bring_database(self, step: SettleSlots, ends: _Ends, done: MovedSlots) -> None:
        ours, theirs = ends.owner.keys, ends.holder.keys
        skipped: set[bytes] = set()
        failures = 0
        while True:
            found = await theirs.in_slot(ends.slot, MOST_KEYS + len(skipped), database=ends.database)
            keys = [key for key in found if key not in skipped]
            if not keys:
                return
            there = await ours.present(keys, asks=ends.owner.asks, database=ends.database)
            before = done.moved + done.dropped + len(done.different)
            await self._sort_out(step, ends, [key for key in keys if key in there], skipped, done)
            await self._migrate(step.owner, ends, [key for key in keys if key not in there], done)
            is_progress = done.moved + done.dropped + len(done.different) > before
            failures = 0 if is_progress else failures + 1
            if failures > _TRIES:
                raise ServerError(
                    f"keys of slot {ends.slot} can't be brought from {theirs.address} to {ours.address}",
                    code="migrate-failed",
                    where=str(theirs.address),
                    seen=f"{len(keys)} keys are still there after {failures} tries",
                    left="the slot is open at both ends: nothing is lost, and clients are led to its keys",
                    hint="slotwright repair tries again",
                )

    async def _open(self, slot: int, owner: NodeView, holder: NodeView) -> None:
        """So that the owner takes the keys, and the holder gives and shows them; again is no harm.

        A node that has a slot migrating takes no key of it that it lacks (it answers ASK), so a move that is taken back
        is closed at the owner first. Until a key is back, the owner knows nothing of it; a write to it meanwhile shows
        as a difference.
        """
        ours, theirs = await self.pool.connection(owner.address), await self.pool.connection(holder.address)
        if not _claims(owner, slot):
            await ours.call("CLUSTER", "SETSLOT", slot, "IMPORTING", holder.id)
        elif owner.myself is not None and any(open_slot.slot == slot for open_slot in owner.myself.migrating):
            await ours.call("CLUSTER", "SETSLOT", slot, "STABLE")
        if _claims(holder, slot):
            await theirs.call("CLUSTER", "SETSLOT", slot, "MIGRATING", owner.id)
        else:
            await theirs.call("CLUSTER", "SETSLOT", slot, "IMPORTING", owner.id)

    async def _sort_out(
        self, step: SettleSlots, ends: _Ends, keys: list[bytes], skipped: set[bytes], done: MovedSlots
    ) -> None:
        """Keys that both have: an equal copy goes, a different one is written down first, or stays."""
        equal = await equal_on_both(ends.owner, ends.holder, keys, self.rate_limiter, database=ends.database)
        for key, is_equal in equal.items():
            if is_equal:
                await self._drop(ends, key)
                done.dropped += 1
                continue
            ours = await ends.owner.keys.value(key, asks=ends.owner.asks, database=ends.database)
            theirs = await ends.holder.keys.value(key, asks=ends.holder.asks, database=ends.database)
            if ours is None or theirs is None:
                continue
            await self.quarantine(
                [
                    QuarantinedKey(key, ends.slot, ends.owner.keys.address, True, ours, ends.database),
                    QuarantinedKey(key, ends.slot, ends.holder.keys.address, False, theirs, ends.database),
                ]
            )
            done.different.append(key)
            if step.keeps_owners:
                await self._drop(ends, key)
            else:
                skipped.add(key)

    async def _drop(self, ends: _Ends, key: bytes) -> None:
        (reply,) = await ends.holder.keys.pipeline(ends.database, [("DEL", key)], asks=ends.holder.asks)
        if isinstance(reply, ReplyError):
            raise reply

    async def _migrate(self, target: Address, ends: _Ends, keys: list[bytes], done: MovedSlots) -> None:
        """Until a call's outcome is not known: the caller looks at both ends again. A node that has started serves
        nothing for some seconds (cluster.c, CLUSTER_WRITABLE_DELAY): that is waited for."""
        holder = ends.holder.keys
        left = await holder.sized(keys, database=ends.database)
        deadline = self.clock.now() + _SETTLE_S
        while left:
            try:
                moved = await self._sender.move(holder, target, left, database=ends.database)
            except ReplyError as error:
                if error.code != "CLUSTERDOWN" or self.clock.now() > deadline:
                    raise _migrate_error(target, ends, error) from error
                await self.clock.sleep(_POLL_S)
                continue
            if not moved:
                return
            done.moved += moved
            left = left[moved:]

    async def _finalise(
        self, slots: Sequence[int], owner: NodeView, views: Sequence[NodeView], seen: Observation
    ) -> None:
        """The owner first, so that somebody takes the slot at every moment; then those who thought otherwise.

        NODE alone leaves an end open that is not the one that takes the slot: STABLE closes it.
        """
        if not slots:
            return
        await self._set(owner, slots, "NODE", owner.id, is_primary=True)
        await self._set(owner, slots, *_CLOSED)
        for view in views:
            await self._give(view, slots, owner)
            await self._set(view, slots, *_CLOSED)
        rest = [view for view in _primaries(seen) if view.id not in {owner.id, *(candidate.id for candidate in views)}]
        await asyncio.gather(*(self._tell(view, slots, owner) for view in rest))

    async def _give(self, view: NodeView, slots: Sequence[int], owner: NodeView) -> None:
        """Whose last slot it is follows the owner, often before we say it: the owner's own word is quicker.

        While Valkey waits for its replicas, it hangs up if it becomes one; and they follow, and never say that they
        have heard. Told again then, it gives the slot. What came of it the views tell.
        """
        try:
            await self._set(view, slots, "NODE", owner.id)
        except NodeUnreachableError as error:
            if error.code != "closed":
                raise
            await self.pool.drop(view.address)
        except ReplyError as error:
            if error.code != NOT_HEARD_BY_REPLICAS:
                raise
            await self._set(view, slots, "NODE", owner.id)

    async def _set(self, view: NodeView, slots: Sequence[int], *words: str, is_primary: bool = False) -> None:
        """A replica has closed all of its slots, and hears from its primary who has them; one that ``is_primary`` must
        still be one."""
        connection = await self.pool.connection(view.address)
        replies = await connection.pipeline([("CLUSTER", "SETSLOT", slot, *words) for slot in slots])
        errors = [reply for reply in replies if isinstance(reply, ReplyError)]
        for error in errors:
            if is_primary or NO_SLOTS_OF_REPLICAS not in str(error):
                raise error

    async def _tell(self, view: NodeView, slots: Sequence[int], owner: NodeView) -> None:
        """Gossip tells the others anyway; one that can't be told now is no failure."""
        try:
            connection = await self.pool.connection(view.address)
            await connection.pipeline([("CLUSTER", "SETSLOT", slot, "NODE", owner.id) for slot in slots])
        except ServerError:
            await self.pool.drop(view.address)

    async def _await_views(self, step: SettleSlots) -> None:
        deadline = self.clock.now() + _SETTLE_S
        while True:
            observation = await observe(self.pool, self.addresses)
            wrong = _who_disagrees(observation, step)
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


def _not_heard(importer: NodeView, seen: Observation) -> Iterator[tuple[int, str]]:
    """Slots that the node imports with who owns them, where it has them at somebody else."""
    for open_slot in importer.myself.importing if importer.myself is not None else ():
        owners = [view.id for view in _primaries(seen) if _claims(view, open_slot.slot)]
        line = importer.peer(owners[0]) if len(owners) == 1 and owners[0] != importer.id else None
        if line is not None and open_slot.slot not in line.slots:
            yield open_slot.slot, owners[0]


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


def _migrate_error(target: Address, ends: _Ends, error: ReplyError) -> ServerError:
    is_full = "OOM" in str(error)
    return ServerError(
        f"{target} takes no more keys"
        if is_full
        else f"{ends.holder.keys.address} can't hand over keys of slot {ends.slot}",
        code="target-full" if is_full else "migrate-failed",
        where=str(target if is_full else ends.holder.keys.address),
        seen=str(error),
        left="the slot is open at both ends: nothing is lost, and clients are led to its keys",
        hint="raise maxmemory of that node, or slotwright abort takes the move back" if is_full else "slotwright check",
    )


def _differing(step: SettleSlots, done: MovedSlots) -> PartialError:
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
        opened = {open_slot.slot for open_slot in (*mine.migrating, *mine.importing)} if mine else set()
        if opened & set(step.slots):
            return str(view.address)
    return ""
