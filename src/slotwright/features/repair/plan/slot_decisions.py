"""Whose a slot shall be, for every slot with which something is off. One rule after another, the surest first:

1. what the journal says was intended, when slotwright itself was moving the slot;
2. a move that is open at both ends goes on where it was going once some keys have arrived, and is taken back before;
3. of two owners, the one that the other was handing the slot to; then the only one with keys; then the higher epoch;
4. of no owner, the node that was taking it over; then the one with its keys; then whom the other nodes hold its owner;
   then who had it by the file; then who has the fewest slots.

No rule takes a slot from the only node that holds its keys without bringing them along, and where a node that does not
answer may hold keys of a slot, nobody is given it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slotwright.health.slot_claims import SlotClaims


@dataclass(frozen=True, slots=True)
class SlotDecisionInput:
    """What deciding needs besides the slot itself; nodes are ids.

    ``primaries`` are those that answer, with their config epochs; ``sizes`` their numbers of slots. ``intents`` give
    the target by slot. ``planned`` gives the node that serves a slot by the file, if it answers. ``full`` are nodes
    that have no room for more keys. ``guarded``: a silent node may hold keys of them. ``takes_back``: moves are
    undone where that is possible.
    """

    primaries: Mapping[str, int]
    sizes: Mapping[str, int] = field(default_factory=dict)
    intents: Mapping[int, str] = field(default_factory=dict)
    planned: Mapping[int, str] = field(default_factory=dict)
    full: frozenset[str] = frozenset()
    guarded: frozenset[int] = frozenset()
    takes_back: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """``owner`` None: it must not be decided now, and ``reason`` says why."""

    owner: str | None
    reason: str


def decide(case: SlotClaims, know: SlotDecisionInput) -> Decision:
    """The owner that ``case`` shall have."""
    intended = know.intents.get(case.slot)
    if intended in know.primaries and intended is not None and not know.takes_back:
        return Decision(intended, "it was on its way there, as the journal says")
    claimants = [node for node in case.claimants if node in know.primaries]
    if len(claimants) == 1:
        return _of_one(case, claimants[0], know)
    if claimants:
        return _of_several(case, claimants, know)
    if case.owner is not None and case.owner not in know.primaries:
        return Decision(None, "its owner does not answer")
    return _of_none(case, know)


def _of_one(case: SlotClaims, owner: str, know: SlotDecisionInput) -> Decision:
    target = _arriving(case, owner, know)
    if target is None or know.takes_back:
        return Decision(owner, "the move had not begun, or is taken back: its owner keeps it")
    if target in know.full and case.keys_of(owner):
        return Decision(owner, "the node that it was moved to has no room left: the move is taken back")
    return Decision(target, "some of its keys have arrived there: the move is finished")


def _arriving(case: SlotClaims, owner: str, know: SlotDecisionInput) -> str | None:
    """Where the slot was going, when keys have arrived there; where only the target has it open, when all have."""
    targets = [to for node, to in case.migrating if node == owner and to in know.primaries]
    one_sided = [node for node, _ in case.importing if node in know.primaries and node not in targets]
    for target in targets:
        if case.keys_of(target):
            return target
    for target in one_sided:
        if case.keys_of(target) and not case.keys_of(owner):
            return target
    return None


def _of_several(case: SlotClaims, claimants: list[str], know: SlotDecisionInput) -> Decision:
    for node, to in case.migrating:
        if node in claimants and to in claimants and not know.takes_back:
            return Decision(to, "the other one was handing it over, and has not been told that it has")
    holding = [node for node in claimants if case.keys_of(node)]
    if len(holding) == 1:
        return Decision(holding[0], "of its owners, this one holds its keys")
    best = max(claimants, key=lambda node: (know.primaries[node], node))
    return Decision(best, "of its owners, this one has the higher epoch")


def _of_none(case: SlotClaims, know: SlotDecisionInput) -> Decision:
    taking = [node for node, _ in case.importing if node in know.primaries]
    if taking:
        return Decision(max(taking, key=lambda node: (case.keys_of(node), node)), "it was just taking the slot over")
    holding = [node for node, _ in case.keys if node in know.primaries]
    if holding:
        return Decision(max(holding, key=lambda node: (case.keys_of(node), node)), "it holds the slot's keys")
    if case.believed in know.primaries and case.believed is not None:
        return Decision(case.believed, "the other nodes hold it its owner")
    if case.slot in know.guarded:
        return Decision(None, "a node that does not answer may hold its keys")
    planned = know.planned.get(case.slot)
    if planned in know.primaries and planned is not None:
        return Decision(planned, "it is its owner by the file")
    best = min(know.primaries, key=lambda node: (know.sizes.get(node, 0), node), default=None)
    return Decision(best, "it has the fewest slots" if best else "no primary answers")
