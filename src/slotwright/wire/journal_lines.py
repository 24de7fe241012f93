"""What the journal says of work that was cut: the verb that never ended, and the slots that were on their way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from slotwright.model.repair import MoveIntent
from slotwright.model.slots import SlotSet


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A verb that was begun and never ended; ``at`` is when, ``done`` and ``cut`` are the steps that were finished and
    that were begun."""

    verb: str
    at: str
    done: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()


def parse_journal(text: str) -> tuple[dict[str, object], ...]:
    """One entry a line; a line that a crash cut short is left out."""
    found = []
    for line in text.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            found.append(entry)
    return tuple(found)


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
            cut = tuple(each for each in open_one.cut if each != step)
            open_one = Unfinished(open_one.verb, open_one.at, (*open_one.done, step), cut)
    return open_one


def move_intents(entries: Iterable[dict[str, object]]) -> tuple[MoveIntent, ...]:
    """Slots that were on their way when the writer was cut, with where they were going; none after its end."""
    going: dict[int, str] = {}
    for entry in entries:
        phase = entry.get("phase")
        if phase in ("abort", "end"):
            going.clear()
        if entry.get("step") != "settle" or not isinstance(entry.get("slots"), list):
            continue
        slots = SlotSet.parse(str(text) for text in entry["slots"])  # type: ignore[attr-defined]
        if phase == "intent":
            going |= dict.fromkeys(slots, str(entry.get("owner", "")))
        elif phase == "done":
            for slot in slots:
                going.pop(slot, None)
    return tuple(MoveIntent(slot, target) for slot, target in sorted(going.items()))
