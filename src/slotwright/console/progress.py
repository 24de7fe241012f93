"""Progress on stderr: steps with times on a terminal, plain lines otherwise, JSON lines with --json."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from slotwright.cluster.events import Began, Ended, Event, Moved, Warned
from slotwright.console.streams import as_json, printable

if TYPE_CHECKING:
    from rich.status import Status

_WIDTH = 96


class ProgressReporter:
    """A context manager whose :meth:`report` is given to the verb; what is unfinished is closed at the end."""

    def __init__(self, *, as_json: bool, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._fields_of = _fields_of() if as_json else None
        self._quiet = quiet
        self._is_terminal = self._stream.isatty() and not as_json
        self._began: dict[str, tuple[float, str]] = {}
        self._status: Status | None = None

    def __enter__(self) -> ProgressReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def report(self, event: Event) -> None:
        """Show an event; to people with what a terminal would obey escaped."""
        if self._fields_of is not None:
            print(as_json(self._fields_of(event), self._stream), file=self._stream, flush=True)
            return
        event = replace(event, text=printable(event.text.replace("\n", " ")))
        match event:
            case Began(task, text):
                self._began[task] = (time.monotonic(), text)
                self._spin(text)
            case Moved(_, text, done, total):
                self._spin(f"{text}  {done} of {total}" if total else self._current(text))
            case Ended(task, text, is_ok):
                started, _ = self._began.pop(task, (time.monotonic(), text))
                self._line("✓" if is_ok else "✗", f"{time.monotonic() - started:.1f} s", text)
            case Warned(text, where):
                self.pause()
                where = printable(where)
                print(f"warning: {where}: {text}" if where else f"warning: {text}", file=self._stream, flush=True)

    def pause(self) -> None:
        """Clear the line that moves, so that something else can be shown or asked."""
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _current(self, detail: str) -> str:
        texts = [text for _, text in self._began.values()]
        return f"{texts[-1]}\n    {detail}" if texts else detail

    def _line(self, mark: str, took: str, text: str) -> None:
        self.pause()
        if not self._quiet:
            print(f"  {mark} {took:>6}  {text}"[:_WIDTH], file=self._stream, flush=True)

    def _spin(self, text: str) -> None:
        if not self._is_terminal:
            return
        if self._status is None:
            from rich.console import Console
            from rich.status import Status

            self._status = Status("", console=Console(file=self._stream, width=_WIDTH, highlight=False))
            self._status.start()
        self._status.update(text.replace("[", "\\["))


def _fields_of() -> Callable[[Event], dict[str, Any]]:
    """How an event becomes the fields of a line. Loaded before the work begins: in the middle of it, there may be no
    descriptor left to load it with."""
    import msgspec

    from slotwright.console.error_output import progress_output

    def fields(event: Event) -> dict[str, Any]:
        plain: dict[str, Any] = msgspec.to_builtins(progress_output(event, round(time.time(), 3)))
        return plain

    return fields
