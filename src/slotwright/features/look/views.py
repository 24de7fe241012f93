"""Which node serves a key, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.console.cluster_view import _place
from slotwright.console.screen import paint, table

if TYPE_CHECKING:
    from slotwright.features.look.api import SlotOfKey


def show_slots(slot_of_keys: Sequence[SlotOfKey]) -> None:
    """`slot`."""
    rows = [
        (
            slot_of_key.key.decode(errors="backslashreplace"),
            str(slot_of_key.slot),
            _place(slot_of_key.primary) if slot_of_key.primary else paint("nobody", "bad"),
            ", ".join(_place(node) for node in slot_of_key.replicas) or "-",
        )
        for slot_of_key in slot_of_keys
    ]
    table(("key", "slot", "primary", "replicas"), rows, right=("slot",))
