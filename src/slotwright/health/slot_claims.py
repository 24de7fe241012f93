"""Who claims which slot, who moves it, who holds its keys: the slots with which something is off, one value each.

A node's own word on its slots is its claim. In a sound cluster every slot has one claim, no node has it open, and only
its owner holds keys of it; such slots do not appear here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slotwright.cluster.key_holders import Contents
from slotwright.cluster.observation import NodeView, Observation, OpenSlot, Role
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.survey import Survey
from slotwright.cluster.topology import EngineKind

_ALL = SlotSet((SlotRange(0, 16383),))


@dataclass(frozen=True, slots=True)
class SlotClaims:
    """One slot that is not as it should be. Nodes are ids.

    ``claimants`` are the nodes that answer and call it their own; ``owner`` is who is believed to own it, answering or
    not (None: nobody); ``believed`` whom most others hold the owner of a slot that nobody claims. ``migrating`` has
    (node, to) pairs, ``importing`` (node, from); ``keys`` (node, count) pairs of primaries that hold keys of it.
    """

    slot: int
    claimants: tuple[str, ...]
    owner: str | None
    migrating: tuple[tuple[str, str], ...] = ()
    importing: tuple[tuple[str, str], ...] = ()
    keys: tuple[tuple[str, int], ...] = ()
    believed: str | None = None

    @property
    def is_open(self) -> bool:
        """Some node has it open for a move."""
        return bool(self.migrating or self.importing)

    def keys_of(self, node_id: str) -> int:
        """Keys of it in that node."""
        return dict(self.keys).get(node_id, 0)


def doubtful_slots(observation: Observation) -> SlotSet:
    """Slots that are open somewhere, or that two nodes claim: those whose keys are worth counting at each look."""
    opened = [slot.slot for view in observation.views for slot in _opened(view)]
    claimed, twice = SlotSet(), SlotSet()
    for slots in claims(observation.views).values():
        twice = twice | (claimed & slots)
        claimed = claimed | slots
    return twice | SlotSet.from_slots(opened)


def rival_owners(observation: Observation) -> frozenset[str]:
    """Ids of the nodes that call a slot their own which another one calls its own, too."""
    values = claims(observation.views)
    claimed, twice = SlotSet(), SlotSet()
    for slots in values.values():
        twice = twice | (claimed & slots)
        claimed = claimed | slots
    return frozenset(node_id for node_id, slots in values.items() if twice and slots & twice)


def unclaimed_slots(survey: Survey, observation: Observation) -> SlotSet:
    """Slots that nobody is believed to own, and that no node calls its own."""
    owned = [node.slots for node in survey.nodes if node.slots]
    dict_values = claims(observation.views).values()
    return _ALL - SlotSet.of(piece for slots in (*owned, *dict_values) for piece in slots.ranges)


def claims(views: Iterable[NodeView]) -> dict[str, SlotSet]:
    """Id -> the slots that the node itself says it owns; primaries only."""
    return {
        view.id: view.myself.slots
        for view in views
        if view.myself is not None and view.myself.role is Role.PRIMARY and view.myself.slots
    }


def dropped_at_start(view: NodeView) -> SlotSet:
    """Slots whose keys the node deletes when it starts: others', as it sees it, that it does not import. Only primaries
    of Valkey do so; slots of nobody they take."""
    mine = view.myself
    if mine is None or mine.role is not Role.PRIMARY or view.version.kind is not EngineKind.VALKEY:
        return SlotSet()
    others = SlotSet.of(piece for peer in view.peers if peer.id != view.id for piece in peer.slots.ranges)
    return others - mine.slots - SlotSet.from_slots(open_slot.slot for open_slot in mine.importing)


def slot_claims(survey: Survey, observation: Observation, contents: Contents) -> tuple[SlotClaims, ...]:
    """Every slot that is open, claimed twice, owned by nobody, or whose keys lie in a primary that does not own it."""
    claimed = claims(observation.views)
    owned = {node.id: node.slots for node in survey.nodes if node.slots}
    primaries = {view.id for view in observation.views if view.myself and view.myself.role is Role.PRIMARY}
    open_by = _open_by_slot(observation)
    uncovered = _ALL - SlotSet.of(piece for slots in owned.values() for piece in slots.ranges)
    interesting = doubtful_slots(observation) | uncovered | _strays(contents, primaries, claimed)
    owner_of = _by_slot(owned, interesting)
    believed = _believed(observation, uncovered)
    claimants_of = _by_slot(claimed, interesting)
    held_in = _holders_by_slot(contents, primaries)
    return tuple(
        SlotClaims(
            slot,
            tuple(claimants_of.get(slot, ())),
            next(iter(owner_of.get(slot, ())), None),
            tuple(open_by.get(slot, ((), ()))[0]),
            tuple(open_by.get(slot, ((), ()))[1]),
            tuple(held_in.get(slot, ())),
            believed.get(slot),
        )
        for slot in interesting
    )


def _holders_by_slot(contents: Contents, primaries: set[str]) -> dict[int, list[tuple[str, int]]]:
    """(node, count) pairs of the primaries that have keys of a slot."""
    values: dict[int, list[tuple[str, int]]] = {}
    for node_id, counts in contents.counts.items():
        for slot, count in counts.items() if node_id in primaries else ():
            if count:
                values.setdefault(slot, []).append((node_id, count))
    return values


def _opened(view: NodeView) -> tuple[OpenSlot, ...]:
    mine = view.myself
    if mine is None or mine.role is not Role.PRIMARY:
        return ()
    return (*mine.migrating, *mine.importing)


def _open_by_slot(
    observation: Observation,
) -> dict[int, tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    values: dict[int, tuple[list[tuple[str, str]], list[tuple[str, str]]]] = {}
    for view in observation.views:
        mine = view.myself
        # A replica of some versions repeats its primary's open slots: they are the primary's matter.
        if mine is None or mine.role is not Role.PRIMARY:
            continue
        for open_slot in mine.migrating:
            values.setdefault(open_slot.slot, ([], []))[0].append((view.id, open_slot.peer))
        for open_slot in mine.importing:
            values.setdefault(open_slot.slot, ([], []))[1].append((view.id, open_slot.peer))
    return values


def _believed(observation: Observation, uncovered: SlotSet) -> dict[int, str]:
    """Of slots that nobody claims, whom most of the other nodes hold the owner."""
    votes: dict[int, Counter[str]] = {}
    for view in observation.views if uncovered else ():
        for peer in view.peers:
            for slot in peer.slots & uncovered:
                votes.setdefault(slot, Counter())[peer.id] += 1
    return {slot: max(counted, key=lambda node: (counted[node], node)) for slot, counted in votes.items()}


def _strays(contents: Contents, primaries: set[str], claimed: Mapping[str, SlotSet]) -> SlotSet:
    results: list[int] = []
    for node_id, counts in contents.counts.items():
        if node_id in primaries:
            mine = claimed.get(node_id, SlotSet())
            results += [slot for slot, count in counts.items() if count and slot not in mine]
    return SlotSet.from_slots(results)


def _by_slot(owned: Mapping[str, SlotSet], interesting: SlotSet) -> dict[int, list[str]]:
    values: dict[int, list[str]] = {}
    for node_id, slots in owned.items():
        for slot in slots & interesting:
            values.setdefault(slot, []).append(node_id)
    return values
