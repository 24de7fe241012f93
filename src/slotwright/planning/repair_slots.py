"""The last stage of a repair: every slot gets one owner, and its keys are brought there. Data first, then the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from slotwright.model.blueprint import BlueprintShard
from slotwright.model.cluster import NodeView, Role
from slotwright.model.repair import BumpEpoch, RepairStep, Risk, SettleSlots
from slotwright.model.slots import SlotSet
from slotwright.model.survey import SurveyNode
from slotwright.planning.claims import SlotCase, claims, slot_cases
from slotwright.planning.members import changed_ids, shard_owner
from slotwright.planning.situation import Situation
from slotwright.planning.slot_decisions import Decision, Knowledge, decide

FULL_AT = 0.95
LOSE_SLOTS = "lose-slots"
KEEP_OWNERS = "keep-owners"


@dataclass(frozen=True, slots=True)
class _Group:
    """Slots that are settled alike."""

    owner: str
    holders: tuple[str, ...]
    open_at: tuple[str, ...]
    differs: bool
    is_abandoned: bool
    is_return: bool
    why: str
    reason: str


def epoch_steps(situation: Situation) -> Iterator[RepairStep]:
    """Primaries that share a config epoch: one of each pair is given its own."""
    seen: dict[int, NodeView] = {}
    for view in sorted(_primaries(situation), key=lambda view: view.id):
        mine = view.myself
        if mine is None or not mine.slots:
            continue
        if mine.epoch in seen:
            yield RepairStep(
                BumpEpoch(view.address),
                "epoch-collision",
                str(view.address),
                f"give it a config epoch of its own ({mine.epoch} is also that of {seen[mine.epoch].address})",
            )
        seen.setdefault(mine.epoch, view)
    yield from _unheard(situation)


def _unheard(situation: Situation) -> Iterator[RepairStep]:
    """Owners that are not believed: others have a slot at who gave it away, and has the higher epoch."""
    said = claims(situation.observation.views)
    epochs = {view.id: view.myself.epoch for view in _primaries(situation) if view.myself is not None}
    for view in _primaries(situation):
        if view.id in said and any(_is_disbelieved(view, said, epochs, by) for by in situation.observation.views):
            yield RepairStep(
                BumpEpoch(view.address),
                "views-disagree",
                str(view.address),
                "give it the highest config epoch, so that all believe which slots it has",
            )


def _is_disbelieved(view: NodeView, said: dict[str, SlotSet], epochs: dict[str, int], by: NodeView) -> bool:
    line = by.peer(view.id)
    if line is None or not line.is_connected:
        return False
    missed = said[view.id] - line.slots
    return bool(missed) and any(
        epochs.get(other.id, -1) >= epochs[view.id] and other.slots & (missed - said.get(other.id, SlotSet()))
        for other in by.peers
        if other.id != view.id
    )


def slot_steps(situation: Situation) -> Iterator[RepairStep]:
    """One step for all slots that are settled alike."""
    groups: dict[_Group, list[SlotCase]] = {}
    know = knowledge(situation)
    for case in _cases(situation):
        decision, is_abandoned = _decide(case, know)
        if decision.owner is not None and _is_off(case, decision.owner):
            groups.setdefault(_group(case, decision, situation, is_abandoned), []).append(case)
    emptied = _emptied(groups, situation)
    busy = emptied & {node for group, cases in groups.items() for node in group.holders if _are_strays(node, cases)}
    for group, cases in groups.items():
        if busy.isdisjoint(node for node in group.holders if not _are_strays(node, cases)):
            yield _step(group, cases, situation)


def _cases(situation: Situation) -> tuple[SlotCase, ...]:
    """Without what nodes say that have lost their id: they get their place back first, and their slots with it."""
    lost = {found.now for found in changed_ids(situation.observation, situation.blueprint)}
    cases = slot_cases(situation.survey, situation.observation, situation.contents)
    return tuple(
        replace(
            case,
            claimants=tuple(node for node in case.claimants if node not in lost),
            migrating=tuple(pair for pair in case.migrating if pair[0] not in lost),
            importing=tuple(pair for pair in case.importing if pair[0] not in lost),
            keys=tuple(pair for pair in case.keys if pair[0] not in lost),
        )
        for case in cases
    )


def _are_strays(node: str, cases: list[SlotCase]) -> bool:
    """Whether the node holds keys of slots that it does not call its own."""
    return any(node not in case.claimants and case.keys_of(node) for case in cases)


def _emptied(groups: dict[_Group, list[SlotCase]], situation: Situation) -> set[str]:
    """Nodes that all their slots are taken from: they become replicas at once, and lose what else they hold. So their
    other keys are brought away before."""
    taken: dict[str, SlotSet] = {}
    for group, cases in groups.items():
        slots = SlotSet.from_slots(case.slot for case in cases)
        for node in group.holders:
            taken[node] = taken.get(node, SlotSet()) | slots
    said = claims(situation.observation.views)
    return {node for node, slots in taken.items() if not said.get(node, SlotSet()) - slots}


def fragment_steps(situation: Situation) -> Iterator[RepairStep]:
    """Slots of members that lead no shard by the file: brought to those that do, these can be replicas again.

    Only where a shard is short of replicas: extra primaries that nobody misses are somebody's wish.
    """
    if not any(found.code in ("shard-without-replica", "replica-misplaced") for found in situation.findings):
        return
    cases = _cases(situation)
    doubtful = {case.slot for case in cases}
    holding = {node for case in cases for node, _ in case.keys}
    leaders = [(shard, owner) for shard, owner in _leaders(situation) if owner is not None]
    for _, planned in situation.planned():
        node = situation.node(planned.id)
        if node is None or node.role is not Role.PRIMARY or node.trouble or not node.is_reachable:
            continue
        if node.id in holding or any(node.id == owner.id for _, owner in leaders):
            continue
        for shard, owner in leaders:
            slots = node.slots & shard.slots
            if slots and doubtful.isdisjoint(slots) and owner.is_reachable and not owner.trouble:
                yield _joined(node, owner, slots)


def _leaders(situation: Situation) -> Iterator[tuple[BlueprintShard, SurveyNode | None]]:
    if situation.blueprint is not None:
        for shard in situation.blueprint.shards:
            yield shard, shard_owner(situation.survey, situation.blueprint, shard.number)


def _joined(node: SurveyNode, owner: SurveyNode, slots: SlotSet) -> RepairStep:
    assert node.address is not None
    assert owner.address is not None
    return RepairStep(
        SettleSlots(owner.address, owner.id, slots, (node.address,)),
        "shard-without-replica",
        owner.place,
        f"{_named(slots)}: brought there from {node.place}, which leads no shard of the file",
    )


def _decide(case: SlotCase, know: Knowledge) -> tuple[Decision, bool]:
    """Where only a silent node stands in the way, the decision that giving it up would allow."""
    decision = decide(case, know)
    if decision.owner is None and case.owner is None:
        return decide(case, replace(know, guarded=frozenset())), True
    return decision, False


def knowledge(situation: Situation) -> Knowledge:
    """What deciding on slots needs, of the whole cluster."""
    primaries = {view.id: view.myself.epoch for view in _primaries(situation) if view.myself is not None}
    sizes = {view.id: len(view.myself.slots) for view in _primaries(situation) if view.myself is not None}
    planned: dict[int, str] = {}
    guarded: set[int] = set()
    if situation.blueprint is not None:
        silent = {silent.address for silent in situation.observation.silent}
        for shard in situation.blueprint.shards:
            owner = shard_owner(situation.survey, situation.blueprint, shard.number)
            planned |= dict.fromkeys(shard.slots, owner.id if owner else "")
            if any(node.address in silent for node in shard.nodes) and not _is_led(situation, shard):
                guarded |= set(shard.slots)
    elif any(not node.is_reachable and node.role is Role.PRIMARY for node in situation.survey.nodes):
        guarded = set(range(16384))
    # A node that never had slots is no candidate for those that nobody has, where others are.
    owners = {node_id for node_id, size in sizes.items() if size}
    return Knowledge(
        primaries,
        {node_id: size if node_id in owners or not owners else 1 << 20 for node_id, size in sizes.items()},
        {intent.slot: intent.target for intent in situation.intents},
        planned,
        frozenset(view.id for view in _primaries(situation) if _is_full(view)),
        frozenset(guarded),
        situation.takes_back,
    )


def _is_led(situation: Situation, shard: BlueprintShard) -> bool:
    """Whether a member of the shard serves as primary now: it has what a silent one had, and later writes."""
    seen = [situation.node(node.id) for node in shard.nodes]
    return any(node is not None and not node.trouble and node.role is Role.PRIMARY and node.slots for node in seen)


def _primaries(situation: Situation) -> Iterator[NodeView]:
    for view in situation.observation.views:
        if view.myself is not None and view.myself.role is Role.PRIMARY and situation.is_member(view.id):
            yield view


def _is_full(view: NodeView) -> bool:
    return 0 < view.health.maxmemory_bytes * FULL_AT < view.health.used_bytes


def _is_off(case: SlotCase, owner: str) -> bool:
    return case.is_open or case.claimants != (owner,) or any(node != owner for node, _ in case.keys)


def _group(case: SlotCase, decision: Decision, situation: Situation, is_abandoned: bool) -> _Group:
    assert decision.owner is not None
    opened = sorted({node for node, _ in (*case.migrating, *case.importing)})
    return _Group(
        decision.owner,
        tuple(
            sorted({node for node, _ in case.keys if node != decision.owner} | set(case.claimants) - {decision.owner})
        ),
        tuple(opened),
        situation.contents.has_different_twins(case.slot),
        is_abandoned,
        any(node == decision.owner for node, _ in case.migrating)
        and any(node != decision.owner for node, _ in case.keys),
        _why(case),
        decision.reason,
    )


def _why(case: SlotCase) -> str:
    if len(case.claimants) > 1:
        return "slot-owned-twice"
    if case.is_open:
        return "open-slot"
    return "keys-misplaced" if case.claimants else "slots-uncovered"


def _step(group: _Group, cases: list[SlotCase], situation: Situation) -> RepairStep:
    slots = SlotSet.from_slots(case.slot for case in cases)
    action = SettleSlots(
        situation.address_of(group.owner),
        group.owner,
        slots,
        tuple(situation.address_of(node) for node in group.holders),
        tuple(situation.address_of(node) for node in group.open_at),
        keeps_owners=group.differs,
    )
    keys = sum(case.keys_of(node) for case in cases for node in group.holders)
    brought = f" and bring it {keys} key{'s' if keys > 1 else ''}" if keys else ""
    what = f"make it the one owner of {_named(slots)}{brought}: {group.reason}"
    # Until a key is back, its owner answers as if it did not exist: no server can be asked to look elsewhere meanwhile.
    risk = Risk.SERVICE if group.is_return and keys else Risk.NONE
    step = RepairStep(action, group.why, str(action.owner), what, risk)
    if group.differs:
        different = sum(not twin.is_equal and twin.slot in slots for twin in situation.contents.twins)
        many = f"{different} key{'s' if different > 1 else ''}"
        return replace(
            step,
            why="key-differs",
            what=f"make it the one owner of {_named(slots)}, with its own value of {many} that another node has, too",
            risk=Risk.LOSS,
            word=KEEP_OWNERS,
            loss=f"the other value of {many}; both are written to a file before anybody is asked",
        )
    if group.is_abandoned:
        return replace(
            step,
            risk=Risk.LOSS,
            word=LOSE_SLOTS,
            loss="a node that does not answer may hold keys of these slots; when it comes back, they are deleted there",
        )
    return step


def _named(slots: SlotSet) -> str:
    texts = slots.texts()
    shown = ", ".join(texts[:3]) + (" ..." if len(texts) > 3 else "")
    return f"slot {shown}" if len(slots) == 1 else f"{len(slots)} slots ({shown})"
