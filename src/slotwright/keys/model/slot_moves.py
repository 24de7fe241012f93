"""Slots that are given one owner, with their keys; and moves that a cut run left behind."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class SettleSlots:
    """Make ``owner`` the one owner of ``slots`` and bring it their keys from the ``holders``.

    Keys that both have are compared: equal ones are kept once, at the owner. Different ones stop the step, unless
    ``keeps_owners``: then both are written to files and the owner's stays. ``open_at`` are nodes where the slots are
    being moved.
    """

    owner: Address
    owner_id: str
    slots: SlotSet
    holders: tuple[Address, ...] = ()
    open_at: tuple[Address, ...] = ()
    keeps_owners: bool = False

    kind = "settle"


@dataclass(frozen=True, slots=True)
class MoveIntent:
    """A slot that the journal says was on its way, and had not arrived when the writer was cut."""

    slot: int
    target: str
