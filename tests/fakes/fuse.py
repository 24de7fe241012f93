"""An operator's process that can be killed before any single effect that it has on the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

_OF_REHEARSALS = ("rehearsal", "127.0.0.1:20000")


class KilledError(BaseException):
    """The operator's process ended here: nothing that handles errors sees it."""


@dataclass
class Fuse:
    """Counts effects down; when it has burnt, whatever the process still tries raises :class:`KilledError`.

    ``effects`` lists those that concern the cluster; a rehearsal and the journal can be cut as well. ``ends_before``:
    the process ends before the first effect that begins so. ``interrupt``: instead of that, the process gets a signal
    in that moment, and does what it does then.
    """

    fuse: int | None = None
    ends_before: str = ""
    burnt: int = 0
    effects: list[str] = field(default_factory=list)
    interrupt: Callable[[], object] | None = None

    def effect(self, what: str) -> None:
        self.burn(what)
        if not any(word in what for word in _OF_REHEARSALS):
            self.effects.append(what)

    def burn(self, what: str) -> None:
        """One more thing that can't be taken back."""
        if self.ends_before and what.startswith(self.ends_before):
            self.fuse = 0
        if self.fuse is not None:
            if self.fuse <= 0 and self.interrupt is None:
                raise KilledError(what)
            if self.fuse == 0 and self.interrupt is not None:
                self.interrupt()
            self.fuse -= 1
        self.burnt += 1

    def renew(self) -> None:
        """The next command is another process."""
        self.fuse, self.ends_before, self.interrupt = None, "", None
