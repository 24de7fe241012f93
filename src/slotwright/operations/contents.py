"""Count keys by slot on every primary, and compare what two of them both hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from slotwright.errors import ServerError
from slotwright.model.cluster import NodeView, Observation, Role
from slotwright.model.contents import Contents, Twin
from slotwright.model.slots import SlotRange, SlotSet
from slotwright.model.survey import Survey
from slotwright.operations.key_values import are_equal, ask, read_value
from slotwright.operations.roster import Roster
from slotwright.planning.claims import SlotCase, slot_cases
from slotwright.ports import Connection, ReplyError

ALL_SLOTS = SlotSet((SlotRange(0, 16383),))
MOST_COMPARED = 1000
"""Keys of one slot that are compared at a look; a repair compares all of them."""

_AT_ONCE = 4096


async def look_into_slots(roster: Roster, survey: Survey, observation: Observation, slots: SlotSet) -> Contents:
    """The keys of ``slots`` on every primary that answers, and those that two of them hold."""
    views = [view for view in observation.views if view.myself and view.myself.role is Role.PRIMARY]
    counts = dict(
        zip(
            (view.id for view in views),
            await asyncio.gather(*(count_keys(roster, view, slots) for view in views)),
            strict=True,
        )
    )
    counted = Contents(counts, slots)
    cases = slot_cases(survey, observation, counted)
    twins = [twin for case in cases for twin in await _twins(roster, case, observation)]
    return Contents(counts, slots, tuple(twins))


async def count_keys(roster: Roster, view: NodeView, slots: SlotSet) -> dict[int, int]:
    """Keys by slot on one node, empty slots left out; nothing for one that stopped answering."""
    found: dict[int, int] = {}
    wanted = list(slots)
    try:
        connection = await roster.connection(view.address)
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            replies = await connection.pipeline([("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in part])
            found |= {
                slot: count for slot, count in zip(part, replies, strict=True) if isinstance(count, int) and count
            }
    except ServerError:
        await roster.drop(view.address)
    return found


async def keys_in(connection: Connection, slot: int, most: int) -> list[bytes]:
    """At the most ``most`` keys of ``slot`` in that node, whoever owns the slot."""
    reply = await connection.call("CLUSTER", "GETKEYSINSLOT", slot, most)
    return [key for key in reply if isinstance(key, bytes)] if isinstance(reply, list) else []


async def _twins(roster: Roster, case: SlotCase, observation: Observation) -> list[Twin]:
    """Only nodes that own the slot or import it can be read; of others the keys are only counted."""
    views = {view.id: view for view in observation.views}
    readable = [node for node, _ in case.keys if node in case.claimants or node in _importers(case)]
    if len(readable) < 2:
        return []
    owner = next((node for node in readable if node in case.claimants), readable[0])
    found: list[Twin] = []
    try:
        for holder in readable:
            if holder != owner:
                found += await _compare(roster, case, views[owner], views[holder])
    except (ServerError, ReplyError):
        # What can't be compared now is compared by the repair, which stops at what differs.
        return found
    return found


async def _compare(roster: Roster, case: SlotCase, owner: NodeView, holder: NodeView) -> list[Twin]:
    ours, theirs = await roster.connection(owner.address), await roster.connection(holder.address)
    asks_ours, asks_theirs = owner.id not in case.claimants, holder.id not in case.claimants
    found = []
    for key in await keys_in(theirs, case.slot, MOST_COMPARED):
        one, other = await read_value(ours, key, asks=asks_ours), await read_value(theirs, key, asks=asks_theirs)
        if one is not None and other is not None:
            is_equal = await are_equal(key, (ours, asks_ours, one), (theirs, asks_theirs, other))
            found.append(Twin(case.slot, key, owner.id, holder.id, is_equal))
    return found


def _importers(case: SlotCase) -> Iterator[str]:
    return (node for node, _ in case.importing)


async def present(connection: Connection, keys: Iterable[bytes], asks: bool) -> set[bytes]:
    """Which of ``keys`` that node has."""
    wanted = list(keys)
    replies = await ask(connection, [("EXISTS", key) for key in wanted], asks)
    return {key for key, reply in zip(wanted, replies, strict=True) if reply == 1}
