"""What may have to be done about one command of a source's stream: the closed union :data:`Action`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from slotwright.keys.model.databases import Named


class Send(NamedTuple):
    """Send ``arguments`` to the owner of ``slot``, in its database ``database``. ``keys`` are those of the arguments,
    all in that slot, as they are called in the target. (A plain tuple, as there is one for nearly every change.)

    ``is_deadline_late``: the source said a time to live that counts from now, so the deadline in ``arguments`` is later
    than the source's, by as long as the command was under way. While the source prepares or sends its snapshot, that
    can be minutes. The source's own DEL still comes in time; as soon as the target has caught up, such keys are given
    the source's value, and with it its deadline.
    """

    slot: int
    database: int
    arguments: Sequence[bytes]
    keys: tuple[bytes, ...]
    is_deadline_late: bool = False


@dataclass(frozen=True, slots=True)
class SendToAll:
    """Send ``arguments`` to every primary, in its database ``database``."""

    database: int
    arguments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FlushDatabase:
    """Remove from the target all that came from ``database`` of the source: it shares a database with others there."""

    database: int


@dataclass(frozen=True, slots=True)
class CopyFunctions:
    """Make the functions of every primary those that the source has now (FUNCTION LIST WITHCODE, FLUSH, LOAD)."""


@dataclass(frozen=True, slots=True)
class ByValue:
    """The command changed or removed ``keys`` (named as in the source), and can't be done in the target: give each the
    value that it has in the source at this command's offset or at a later one, or remove it where it has none. ``why``
    is for people."""

    keys: tuple[Named, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Unknowable:
    """Nobody can tell which keys ``arguments`` changed: from here on the target may differ from the source."""

    arguments: tuple[bytes, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """REPLCONF GETACK: the source wants to be told at once how far the stream was taken. Nothing to send to the
    target."""


@dataclass(frozen=True, slots=True)
class Skip:
    """No data changed. ``why`` is for people."""

    why: str


@dataclass(frozen=True, slots=True)
class Stop:
    """What the source did can't be followed, and the migration has to end here. ``reason`` is for people."""

    reason: str


Action = Send | SendToAll | FlushDatabase | CopyFunctions | ByValue | Unknowable | Acknowledge | Skip | Stop
