"""Findings on slots and on the keys in them: owned twice, left open in the middle of a move, held by the wrong node."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.key_holders import Contents
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.survey import Survey
from slotwright.health.slot_claims import SlotClaims


def slot_findings(survey: Survey, cases: tuple[SlotClaims, ...], contents: Contents) -> Iterator[Finding]:
    """Everything that is off with slots, but those that nobody owns (``uncovered_slots`` tells these)."""
    places = {node.id: node.place for node in survey.nodes}

    def place(node_id: str) -> str:
        return places.get(node_id, node_id[:8])

    yield from _owned_twice(cases, place)
    yield from _left_open(cases, place)
    yield from _misplaced(cases, place)
    yield from _twins(contents, place)


Place = Callable[[str], str]


def _owned_twice(cases: tuple[SlotClaims, ...], place: Place) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[SlotClaims]] = {}
    for case in cases:
        if len(case.claimants) > 1:
            groups.setdefault(tuple(sorted(case.claimants)), []).append(case)
    for claimants, mine in groups.items():
        yield Finding(
            "slot-owned-twice",
            Severity.SERIOUS,
            " and ".join(map(place, claimants)),
            f"{_named(mine)} {_has(mine)} {len(claimants)} owners, each by its own word",
            "slotwright repair",
            seen=", ".join(f"{place(node)}: {sum(case.keys_of(node) for case in mine)} keys" for node in claimants),
            risk="each of them takes writes; when the servers settle it, the loser deletes its keys",
        )


def _left_open(cases: tuple[SlotClaims, ...], place: Place) -> Iterator[Finding]:
    groups: dict[tuple[str, ...], list[SlotClaims]] = {}
    for case in cases:
        if case.is_open:
            opened = sorted({node for node, _ in (*case.migrating, *case.importing)})
            groups.setdefault(tuple(opened), []).append(case)
    for nodes, mine in groups.items():
        yield Finding(
            "open-slot",
            Severity.WARNING,
            " and ".join(map(place, nodes)),
            f"{_named(mine)} {'is' if len(mine) == 1 else 'are'} being moved, or {_was(mine)} when the mover died",
            "slotwright repair finishes the move or takes it back, whichever loses nothing",
            seen="; ".join(_how_open(case, place) for case in mine[:3]) + (" ..." if len(mine) > 3 else ""),
            risk="clients pay a second round trip, multi-key commands fail",
        )


def _how_open(case: SlotClaims, place: Place) -> str:
    results = [f"migrating from {place(node)} to {place(to)}" for node, to in case.migrating]
    results += [f"importing at {place(node)} from {place(source)}" for node, source in case.importing]
    held = ", ".join(f"{count} keys at {place(node)}" for node, count in case.keys)
    return f"{case.slot} {', '.join(results)}" + (f" ({held})" if held else "")


def _misplaced(cases: tuple[SlotClaims, ...], place: Place) -> Iterator[Finding]:
    """Keys in a primary that neither owns their slot nor has it open: no client ever finds them."""
    strays: dict[str, list[SlotClaims]] = {}
    for case in cases:
        for node, _ in case.keys:
            if node not in case.claimants and case.owner is not None and not case.is_open:
                strays.setdefault(node, []).append(case)
    for holder, mine in strays.items():
        yield Finding(
            "keys-misplaced",
            Severity.SERIOUS,
            place(holder),
            f"{sum(case.keys_of(holder) for case in mine)} keys lie in a node that does not own their slots",
            "slotwright repair brings them to the owner, or tells them apart from what is there",
            seen=f"slots {_range_text(mine)}",
            risk="no client finds them, and they are deleted when the node follows another, or (Valkey) starts again",
        )


def _twins(contents: Contents, place: Place) -> Iterator[Finding]:
    equal = [duplicate for duplicate in contents.duplicates if duplicate.is_equal]
    different = [duplicate for duplicate in contents.duplicates if not duplicate.is_equal]
    if equal:
        yield Finding(
            "key-held-twice",
            Severity.WARNING,
            " and ".join(sorted({place(node) for duplicate in equal for node in (duplicate.owner, duplicate.holder)})),
            f"{len(equal)} key{'s are' if len(equal) > 1 else ' is'} in two nodes, with one value",
            "slotwright repair keeps them once, at the owner",
            seen=_some_keys([duplicate.key for duplicate in equal]),
            risk="a later write reaches only one of them",
        )
    if different:
        yield Finding(
            "key-differs",
            Severity.SERIOUS,
            " and ".join(
                sorted({place(node) for duplicate in different for node in (duplicate.owner, duplicate.holder)})
            ),
            f"{len(different)} key{'s are' if len(different) > 1 else ' is'} in two nodes, with different values",
            "slotwright repair writes both values to files, and asks before it keeps the owner's alone",
            seen=_some_keys([duplicate.key for duplicate in different]),
            risk="one of the values is lost when the slot is settled",
        )


def _some_keys(keys: list[bytes]) -> str:
    shown = ", ".join(ascii(key.decode(errors="backslashreplace"))[:40] for key in keys[:3])
    return shown + (" ..." if len(keys) > 3 else "")


def _named(cases: list[SlotClaims]) -> str:
    return f"slot {cases[0].slot}" if len(cases) == 1 else f"{len(cases)} slots ({_range_text(cases)})"


def _range_text(cases: list[SlotClaims]) -> str:
    texts = SlotSet.from_slots(case.slot for case in cases).texts()
    return ", ".join(texts[:4]) + (" ..." if len(texts) > 4 else "")


def _has(cases: list[SlotClaims]) -> str:
    return "has" if len(cases) == 1 else "have"


def _was(cases: list[SlotClaims]) -> str:
    return "was" if len(cases) == 1 else "were"
