"""Count keys by slot on every primary, and compare what two of them both hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from slotwright.cluster.key_holders import Contents, DuplicateKey
from slotwright.cluster.observation import NodeView, Observation, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.survey import Survey
from slotwright.errors import ServerError
from slotwright.health.slot_claims import SlotClaims, slot_claims, unclaimed_slots
from slotwright.keys.compare.two_nodes import equal_on_both
from slotwright.keys.node_keys import NodeKeys
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, ReplyError

MOST_COMPARED = 1000
"""Keys of one slot that are compared at a look; a repair compares all of them."""


async def look_into_slots(
    pool: ConnectionPool, clock: Clock, survey: Survey, observation: Observation, slots: SlotSet
) -> Contents:
    """The keys of ``slots`` on every primary that answers, and those that two of them hold. Replicas are asked for
    slots of nobody, and for all where their primary does not answer: what it has can't be counted there."""
    views = [view for view in observation.views if view.myself]
    counts = await _counts(pool, [view for view in views if _role(view) is Role.PRIMARY], slots)
    nobodys = unclaimed_slots(survey, observation) & slots
    replicas = [view for view in views if _role(view) is Role.REPLICA]
    orphans = [view for view in replicas if _is_orphan(view, observation)]
    copies = await _counts(pool, [view for view in replicas if view not in orphans], nobodys) if nobodys else {}
    copies |= await _counts(pool, orphans, slots)
    counted = Contents(counts, copies=copies)
    cases = slot_claims(survey, observation, counted)
    nodes = {view.id: NodeKeys(view.address, pool) for view in observation.views}
    duplicates = [duplicate for case in cases for duplicate in await _duplicates(nodes, clock, case)]
    return replace(counted, duplicates=tuple(duplicates))


def _role(view: NodeView) -> Role | None:
    return view.myself.role if view.myself is not None else None


def _is_orphan(view: NodeView, observation: Observation) -> bool:
    mine = view.myself
    return mine is not None and mine.replica_of is not None and observation.view_by_id(mine.replica_of) is None


async def _counts(pool: ConnectionPool, views: Sequence[NodeView], slots: SlotSet) -> dict[str, dict[int, int]]:
    values = await asyncio.gather(*(count_keys(pool, view, slots) for view in views))
    return dict(zip((view.id for view in views), values, strict=True))


async def count_keys(pool: ConnectionPool, view: NodeView, slots: SlotSet) -> dict[int, int]:
    """Keys by slot on one node, empty slots left out; nothing for one that stopped answering."""
    try:
        return await NodeKeys(view.address, pool).count_in(slots)
    except ServerError:
        await pool.drop(view.address)
        return {}


async def _duplicates(nodes: Mapping[str, NodeKeys], clock: Clock, case: SlotClaims) -> list[DuplicateKey]:
    """Only nodes that own the slot or import it can be read; of others the keys are only counted."""
    readable = [node for node, _ in case.keys if node in case.claimants or node in _importers(case)]
    if len(readable) < 2:
        return []
    owner = next((node for node in readable if node in case.claimants), readable[0])
    duplicates: list[DuplicateKey] = []
    try:
        for holder in readable:
            if holder != owner:
                duplicates += await _compare(nodes, clock, case, owner, holder)
    except (ServerError, ReplyError):
        # What can't be compared now is compared by the repair, which stops at what differs.
        return duplicates
    return duplicates


async def _compare(
    nodes: Mapping[str, NodeKeys], clock: Clock, case: SlotClaims, owner: str, holder: str
) -> list[DuplicateKey]:
    one = await nodes[owner].side(asks=owner not in case.claimants)
    other = await nodes[holder].side(asks=holder not in case.claimants)
    duplicates: list[DuplicateKey] = []
    for database in await nodes[holder].databases():
        keys = await nodes[holder].in_slot(case.slot, MOST_COMPARED, database=database)
        equal = await equal_on_both(one, other, keys, RateLimiter(clock), database=database)
        duplicates += (
            DuplicateKey(case.slot, key, owner, holder, is_equal, database) for key, is_equal in equal.items()
        )
    return duplicates


def _importers(case: SlotClaims) -> Iterator[str]:
    return (node for node, _ in case.importing)
