"""What the journal says of work that was cut: the verb that never ended, and the slots that were on their way."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slotwright.cluster.journal_format import is_format_line
from slotwright.cluster.slots import SlotSet
from slotwright.keys.model.slot_moves import MoveIntent


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A verb that was begun and never ended; ``at`` is when, ``done`` and ``cut`` are the steps that were finished and
    that were begun."""

    verb: str
    at: str
    done: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """How far the work of one process came, by what it wrote. ``cut`` are the steps that were begun and of which nobody
    knows how they ended; ``has_ended``: all of it was done, or given up on purpose."""

    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    has_ended: bool = False


def parse_journal(text: str) -> tuple[dict[str, object], ...]:
    """One entry a line; a line that a crash cut short is left out, and so is one that tells the journal's format."""
    result = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and not is_format_line(entry):
            result.append(entry)
    return tuple(result)


def unfinished(entries: Iterable[dict[str, object]]) -> Unfinished | None:
    """The last verb, if it was begun and neither ended nor aborted."""
    open_one: Unfinished | None = None
    for entry in entries:
        phase, step = entry.get("phase"), f"{entry.get('step', '')} {entry.get('where', '')}".strip()
        if phase == "begin":
            open_one = Unfinished(str(entry.get("verb", "")), str(entry.get("at", "")))
        elif phase in ("end", "abort"):
            open_one = None
        elif open_one is not None and phase == "intent":
            open_one = Unfinished(open_one.verb, open_one.at, open_one.done, (*open_one.cut, step))
        elif open_one is not None and phase == "done":
            cut = tuple(text for text in open_one.cut if text != step)
            open_one = Unfinished(open_one.verb, open_one.at, (*open_one.done, step), cut)
    return open_one


def _slots_of(entry: Mapping[str, object]) -> SlotSet:
    """The slots that an entry is about; none for other steps, and for what was no text of slots when it was written."""
    texts = entry.get("slots")
    if entry.get("step") != "settle" or not isinstance(texts, list):
        return SlotSet()
    try:
        return SlotSet.parse(str(text) for text in texts)
    except ValueError:
        return SlotSet()


def tally(entries: Iterable[Mapping[str, object]]) -> Tally | None:
    """None where nothing was begun. Verbs of a single step write no beginning and no end: their step is both, once it
    is done."""
    steps: dict[str, str] = {}
    has_begun = is_framed = has_ended = False
    for entry in entries:
        phase, step = str(entry.get("phase", "")), f"{entry.get('step', '')} {entry.get('where', '')}".strip()
        has_begun = has_begun or phase in ("begin", "intent")
        is_framed = is_framed or phase == "begin"
        has_ended = phase in ("end", "abort") if phase in ("begin", "end", "abort") else has_ended
        if phase in ("intent", "done", "failed"):
            steps[step] = phase
    if not has_begun:
        return None
    cut, failed = _in_phase(steps, "intent"), _in_phase(steps, "failed")
    return Tally(_in_phase(steps, "done"), failed, cut, has_ended if is_framed else not cut and not failed)


def cut_settings(entries: Iterable[Mapping[str, object]]) -> dict[str, frozenset[str]]:
    """Node -> the directives whose setting was begun there and cut, and that no later step has set.

    It may run with a value that neither its file nor the topology file has. What failed was put back.
    """
    cut: dict[str, frozenset[str]] = {}
    begun: dict[str, frozenset[str]] = {}
    for entry in entries:
        where, phase, names = str(entry.get("where", "")), entry.get("phase"), entry.get("settings")
        if entry.get("step") != "set":
            continue
        if phase in ("intent", "cut") and where in begun:
            cut[where] = cut.get(where, frozenset()) | begun.pop(where)
        if phase == "intent" and isinstance(names, list):
            begun[where] = frozenset(map(str, names))
        elif phase in ("done", "failed"):
            begun.pop(where, None)
            cut.pop(where, None) if phase == "done" else None
    return {where: cut.get(where, frozenset()) | begun.get(where, frozenset()) for where in cut | begun}


def _in_phase(steps: Mapping[str, str], phase: str) -> tuple[str, ...]:
    return tuple(step for step, reached in steps.items() if reached == phase)


def move_intents(entries: Iterable[dict[str, object]]) -> tuple[MoveIntent, ...]:
    """Slots that were on their way when the writer was cut, with where they were going; none after its end."""
    going: dict[int, str] = {}
    for entry in entries:
        phase = entry.get("phase")
        if phase in ("abort", "end"):
            going.clear()
        slots = _slots_of(entry)
        if phase == "intent":
            going |= dict.fromkeys(slots, str(entry.get("owner", "")))
        elif phase == "done":
            for slot in slots:
                going.pop(slot, None)
    return tuple(MoveIntent(slot, target) for slot, target in sorted(going.items()))
