"""The last stage of a repair: every slot gets one owner, and its keys are brought there. Data first, then the map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from slotwright.cluster.blueprint import BlueprintShard
from slotwright.cluster.observation import NodeView, Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.survey import SurveyNode
from slotwright.features.repair.model import BumpEpoch, RepairStep, Risk
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.plan.slot_decisions import Decision, SlotDecisionInput, decide
from slotwright.health.members import changed_ids, shard_owner, was_never_joined
from slotwright.health.slot_claims import SlotClaims, claims, slot_claims, unclaimed_slots
from slotwright.keys.model.slot_moves import SettleSlots

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


def epoch_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Primaries that share a config epoch: one of each pair is given its own."""
    views: dict[int, NodeView] = {}
    for view in sorted(_primaries(repair_input), key=lambda view: view.id):
        mine = view.myself
        if mine is None or not mine.slots:
            continue
        if mine.epoch in views:
            yield RepairStep(
                BumpEpoch(view.address),
                "epoch-collision",
                str(view.address),
                f"give it a config epoch of its own ({mine.epoch} is also that of {views[mine.epoch].address})",
            )
        views.setdefault(mine.epoch, view)
    yield from _unheard(repair_input)


def _unheard(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Owners that are not believed: others have a slot at who gave it away, and has the higher epoch."""
    slots = claims(repair_input.observation.views)
    epochs = {view.id: view.myself.epoch for view in _primaries(repair_input) if view.myself is not None}
    for view in _primaries(repair_input):
        if view.id in slots and any(_is_disbelieved(view, slots, epochs, by) for by in repair_input.observation.views):
            yield RepairStep(
                BumpEpoch(view.address),
                "views-disagree",
                str(view.address),
                "give it the highest config epoch, so that all believe which slots it has",
            )


def _is_disbelieved(view: NodeView, slots: dict[str, SlotSet], epochs: dict[str, int], by: NodeView) -> bool:
    line = by.peer(view.id)
    if line is None or not line.is_connected:
        return False
    missed = slots[view.id] - line.slots
    return bool(missed) and any(
        epochs.get(other.id, -1) >= epochs[view.id] and other.slots & (missed - slots.get(other.id, SlotSet()))
        for other in by.peers
        if other.id != view.id
    )


def kept_by_replicas(repair_input: RepairInput) -> Iterator[tuple[SurveyNode, SlotSet, int]]:
    """Each live replica with more keys of slots that belong to nobody than any primary has; these slots, and how many
    keys. Given to another node they would be empty there, and the replica loses them with its next copy."""
    nobodys = unclaimed_slots(repair_input.survey, repair_input.observation)
    for node_id, copies in repair_input.contents.copies.items():
        node = repair_input.node(node_id)
        counts = {slot: keys for slot, keys in copies.items() if slot in nobodys}
        slots = [slot for slot, keys in counts.items() if keys > _most_in_a_primary(repair_input, slot)]
        if node is not None and slots:
            yield node, SlotSet.from_slots(slots), sum(counts[slot] for slot in slots)


def _most_in_a_primary(repair_input: RepairInput, slot: int) -> int:
    return max((repair_input.contents.keys(view.id, slot) for view in _primaries(repair_input)), default=0)


def slot_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """One step for all slots that are settled alike; none for those of which a replica has the only copy, nor for the
    other slots of its shard, which belong together."""
    groups: dict[_Group, list[SlotClaims]] = {}
    know = knowledge(repair_input)
    kept = SlotSet.of(piece for slots in _kept_back(repair_input) for piece in slots.ranges)
    for case in _cases(repair_input):
        if case.slot in kept:
            continue
        decision, is_abandoned = _decide(case, know)
        if decision.owner is not None and _is_off(case, decision.owner):
            groups.setdefault(_group(case, decision, repair_input, is_abandoned), []).append(case)
    emptied = _emptied(groups, repair_input)
    busy = emptied & {node for group, cases in groups.items() for node in group.holders if _are_strays(node, cases)}
    # What is given up is asked about last: once the rest has its owner, there may be nothing to give up.
    is_sure = any(not group.is_abandoned for group in groups)
    ready = {
        group: cases
        for group, cases in groups.items()
        if busy.isdisjoint(node for node in group.holders if not _are_strays(node, cases))
        and not (is_sure and group.is_abandoned)
    }
    for group, cases in (_covering(ready) or ready).items():
        yield _step(group, cases, repair_input)


def _covering(groups: dict[_Group, list[SlotClaims]]) -> dict[_Group, list[SlotClaims]]:
    """Those that give slots of nobody an owner and bring no keys: while a slot has none, the cluster is down, and every
    server refuses to move a key (cluster.c, getNodeByQuery)."""
    return {
        group: cases
        for group, cases in groups.items()
        if not group.holders and not any(case.claimants for case in cases)
    }


def _kept_back(repair_input: RepairInput) -> Iterator[SlotSet]:
    for replica, slots, _ in kept_by_replicas(repair_input):
        yield slots
        for shard, planned in repair_input.planned():
            if planned.id == replica.id:
                yield shard.slots & unclaimed_slots(repair_input.survey, repair_input.observation)


def _cases(repair_input: RepairInput) -> tuple[SlotClaims, ...]:
    """Without what nodes say that have lost their id: they get their place back first, and their slots with it."""
    lost = {changed_node_id.now for changed_node_id in changed_ids(repair_input.observation, repair_input.blueprint)}
    cases = slot_claims(repair_input.survey, repair_input.observation, repair_input.contents)
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


def _are_strays(node: str, cases: list[SlotClaims]) -> bool:
    """Whether the node holds keys of slots that it does not call its own."""
    return any(node not in case.claimants and case.keys_of(node) for case in cases)


def _emptied(groups: dict[_Group, list[SlotClaims]], repair_input: RepairInput) -> set[str]:
    """Nodes that all their slots are taken from: they become replicas at once, and lose what else they hold. So their
    other keys are brought away before."""
    taken: dict[str, SlotSet] = {}
    for group, cases in groups.items():
        slots = SlotSet.from_slots(case.slot for case in cases)
        for node in group.holders:
            taken[node] = taken.get(node, SlotSet()) | slots
    values = claims(repair_input.observation.views)
    return {node for node, slots in taken.items() if not values.get(node, SlotSet()) - slots}


def fragment_steps(repair_input: RepairInput) -> Iterator[RepairStep]:
    """Slots of members that lead no shard by the file: brought to those that do, these can be replicas again.

    Only where a shard is short of replicas: extra primaries that nobody misses are somebody's wish.
    """
    if not any(finding.code in ("shard-without-replica", "replica-misplaced") for finding in repair_input.findings):
        return
    cases = _cases(repair_input)
    doubtful = {case.slot for case in cases}
    holding = {node for case in cases for node, _ in case.keys}
    leaders = [(shard, owner) for shard, owner in _leaders(repair_input) if owner is not None]
    for _, planned in repair_input.planned():
        node = repair_input.node(planned.id)
        if node is None or node.role is not Role.PRIMARY or node.trouble or not node.is_reachable:
            continue
        if node.id in holding or any(node.id == owner.id for _, owner in leaders):
            continue
        for shard, owner in leaders:
            slots = node.slots & shard.slots
            if slots and doubtful.isdisjoint(slots) and owner.is_reachable and not owner.trouble:
                yield _joined(node, owner, slots)


def _leaders(repair_input: RepairInput) -> Iterator[tuple[BlueprintShard, SurveyNode | None]]:
    if repair_input.blueprint is not None:
        for shard in repair_input.blueprint.shards:
            yield shard, shard_owner(repair_input.survey, repair_input.blueprint, shard.number)


def _joined(node: SurveyNode, owner: SurveyNode, slots: SlotSet) -> RepairStep:
    assert node.address is not None
    assert owner.address is not None
    return RepairStep(
        SettleSlots(owner.address, owner.id, slots, (node.address,)),
        "shard-without-replica",
        owner.place,
        f"{_named(slots)}: brought there from {node.place}, which leads no shard of the file",
    )


def _decide(case: SlotClaims, know: SlotDecisionInput) -> tuple[Decision, bool]:
    """Where only a silent node stands in the way, the decision that giving it up would allow."""
    decision = decide(case, know)
    if decision.owner is None and case.owner is None:
        return decide(case, replace(know, guarded=frozenset())), True
    return decision, False


def knowledge(repair_input: RepairInput) -> SlotDecisionInput:
    """What deciding on slots needs, of the whole cluster."""
    primaries = {view.id: view.myself.epoch for view in _primaries(repair_input) if view.myself is not None}
    sizes = {view.id: len(view.myself.slots) for view in _primaries(repair_input) if view.myself is not None}
    planned: dict[int, str] = {}
    guarded: set[int] = set()
    if repair_input.blueprint is not None:
        silent = {silent.address for silent in repair_input.observation.silent}
        for shard in repair_input.blueprint.shards:
            owner = shard_owner(repair_input.survey, repair_input.blueprint, shard.number)
            planned |= dict.fromkeys(shard.slots, owner.id if owner else repair_input.holder(shard, 0))
            if any(node.address in silent for node in shard.nodes) and not _is_led(repair_input, shard):
                guarded |= set(shard.slots)
    elif _may_be_elsewhere(repair_input):
        guarded = set(range(16384))
    # A node that never had slots is no candidate for those that nobody has, where others are.
    owners = {node_id for node_id, size in sizes.items() if size}
    return SlotDecisionInput(
        primaries,
        {node_id: size if node_id in owners or not owners else 1 << 20 for node_id, size in sizes.items()},
        {intent.slot: intent.target for intent in repair_input.intents},
        planned,
        frozenset(view.id for view in _primaries(repair_input) if _is_full(view)),
        frozenset(guarded),
        repair_input.takes_back,
    )


def _may_be_elsewhere(repair_input: RepairInput) -> bool:
    """Without a file: whether a node that is not heard may own what nobody owns."""
    is_short = any(not node.is_reachable and node.role is Role.PRIMARY for node in repair_input.survey.nodes)
    return is_short or was_never_joined(repair_input.survey, None)


def _is_led(repair_input: RepairInput, shard: BlueprintShard) -> bool:
    """Whether a member of the shard serves as primary now: it has what a silent one had, and later writes."""
    nodes = [repair_input.node(node.id) for node in shard.nodes]
    return any(node is not None and not node.trouble and node.role is Role.PRIMARY and node.slots for node in nodes)


def _primaries(repair_input: RepairInput) -> Iterator[NodeView]:
    for view in repair_input.observation.views:
        if view.myself is not None and view.myself.role is Role.PRIMARY and repair_input.is_member(view.id):
            yield view


def _is_full(view: NodeView) -> bool:
    return 0 < view.health.maxmemory_bytes * FULL_AT < view.health.used_bytes


def _is_off(case: SlotClaims, owner: str) -> bool:
    return case.is_open or case.claimants != (owner,) or any(node != owner for node, _ in case.keys)


def _group(case: SlotClaims, decision: Decision, repair_input: RepairInput, is_abandoned: bool) -> _Group:
    assert decision.owner is not None
    opened = sorted({node for node, _ in (*case.migrating, *case.importing)})
    return _Group(
        decision.owner,
        tuple(
            sorted({node for node, _ in case.keys if node != decision.owner} | set(case.claimants) - {decision.owner})
        ),
        tuple(opened),
        repair_input.contents.has_different_twins(case.slot),
        is_abandoned,
        any(node == decision.owner for node, _ in case.migrating)
        and any(node != decision.owner for node, _ in case.keys),
        _why(case),
        decision.reason,
    )


def _why(case: SlotClaims) -> str:
    if len(case.claimants) > 1:
        return "slot-owned-twice"
    if case.is_open:
        return "open-slot"
    return "keys-misplaced" if case.claimants else "slots-uncovered"


def _step(group: _Group, cases: list[SlotClaims], repair_input: RepairInput) -> RepairStep:
    slots = SlotSet.from_slots(case.slot for case in cases)
    action = SettleSlots(
        repair_input.address_of(group.owner),
        group.owner,
        slots,
        tuple(repair_input.address_of(node) for node in group.holders),
        tuple(repair_input.address_of(node) for node in group.open_at),
        keeps_owners=group.differs,
    )
    keys = sum(case.keys_of(node) for case in cases for node in group.holders)
    brought = f" and bring it {keys} key{'s' if keys > 1 else ''}" if keys else ""
    what = f"make it the one owner of {_named(slots)}{brought}: {group.reason}"
    # Until a key is back, its owner answers as if it did not exist: no server can be asked to look elsewhere meanwhile.
    risk = Risk.SERVICE if group.is_return and keys else Risk.NONE
    step = RepairStep(action, group.why, str(action.owner), what, risk)
    if group.differs:
        different = sum(
            not duplicate.is_equal and duplicate.slot in slots for duplicate in repair_input.contents.duplicates
        )
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
            loss=_loss_of_giving_up(repair_input),
        )
    return step


def _loss_of_giving_up(repair_input: RepairInput) -> str:
    if was_never_joined(repair_input.survey, repair_input.blueprint):
        return (
            "the join never happened, it seems: too few owners of slots are known here. Nodes that this one does not "
            "know may hold keys of these slots, and delete them when they meet it; CLUSTER MEET joins them and loses "
            "nothing"
        )
    return "a node that does not answer may hold keys of these slots; when it comes back, they are deleted there"


def _named(slots: SlotSet) -> str:
    texts = slots.texts()
    shown = ", ".join(texts[:3]) + (" ..." if len(texts) > 3 else "")
    return f"slot {shown}" if len(slots) == 1 else f"{len(slots)} slots ({shown})"
