"""What is read about many keys of one side of a comparison, and when; and what a side has to be able to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from slotwright.ports import Reply, ReplyError
from slotwright.server.capabilities import Capabilities
from slotwright.server.resp_out import request

TIME = request("TIME")
ASKING = request("ASKING")


@dataclass(frozen=True, slots=True)
class Stretch:
    """The answers of one server: which of the keys asked for (``indices``), and its own time in ms before and after."""

    indices: Sequence[int]
    began_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True)
class Answers:
    """``columns`` has, for each command, a reply a key. ``stretches`` say when."""

    columns: list[list[Reply | ReplyError]]
    stretches: tuple[Stretch, ...]

    @property
    def longest_ms(self) -> int:
        """The longest time that a server was held."""
        return max((stretch.ended_ms - stretch.began_ms for stretch in self.stretches), default=0)


class KeySide(Protocol):
    """One side of a comparison: a whole keyspace (``keyspace.py``), or one node (``node_keys.py``)."""

    @property
    def capabilities(self) -> Capabilities:
        """What its commands depend on."""
        ...

    async def has_database(self, database: int) -> bool:
        """Whether there is such a database."""
        ...

    async def read(self, database: int, slots: Sequence[int], columns: Sequence[Sequence[bytes]]) -> Answers:
        """Each column is a command for every key, whose slots are ``slots``. Raises ServerError."""
        ...
