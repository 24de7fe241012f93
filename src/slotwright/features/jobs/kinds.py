"""The kinds of jobs. A further kind has its line in both tables; nothing else of this folder knows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from slotwright.adapters.state.jobs import JobKind
from slotwright.app.context import Context
from slotwright.features.migrate.store import KIND as MIGRATION

if TYPE_CHECKING:
    from slotwright.features.migrate.output.migration import MigrationOutput

KINDS: tuple[JobKind[Any, Any, Any], ...] = (MIGRATION,)


class JobControl(Protocol):
    """How jobs of one kind are shown and steered. ``name`` is one that is kept, in a format that is known. What takes
    long, asks or answers in its own way (resume, abort) does it as a command, and returns the exit code."""

    @property
    def kind(self) -> JobKind[Any, Any, Any]:
        """Which kind."""
        ...

    def show(self, context: Context, name: str) -> None:
        """Print it in full."""
        ...

    def output(self, context: Context, name: str) -> MigrationOutput:
        """The same for programs."""
        ...

    async def pause(self, context: Context, name: str) -> bool:
        """Have its process end so that it can be gone on with, and wait for that; False where none is running."""
        ...

    def resume(self, name: str, *, as_json: bool) -> int:
        """Go on with it in this process, and answer. Raises RefusedError (locked) where another one does."""
        ...

    def abort(self, name: str, *, accepted: tuple[str, ...], yes: bool, as_json: bool) -> int:
        """Give it up, and answer. ``accepted`` are the words for what may be lost."""
        ...

    async def pace(self, context: Context, name: str, bytes_s: int) -> str:
        """Limit its rate from now on, and after a resume; 0: no limit. What is to be known of that, "" for nothing.

        Raises InputError (no-pace) where it has none."""
        ...


def controls() -> tuple[JobControl, ...]:
    """One for each kind."""
    from slotwright.features.migrate.cli.job import MigrationControl

    return (MigrationControl(),)
