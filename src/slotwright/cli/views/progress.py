"""Progress on stderr: steps with times on a terminal, plain lines otherwise, JSON lines with --json."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from slotwright.model.events import Began, Ended, Event, Moved, Warned

if TYPE_CHECKING:
    from rich.status import Status

_WIDTH = 96


class Progress:
    """A context manager whose :meth:`report` is given to the verb; what is unfinished is closed at the end."""

    def __init__(self, *, as_json: bool, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._as_json = as_json
        self._quiet = quiet
        self._is_terminal = self._stream.isatty() and not as_json
        self._began: dict[str, tuple[float, str]] = {}
        self._status: Status | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def report(self, event: Event) -> None:
        """Show an event."""
        if self._as_json:
            self._report_json(event)
            return
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

    def _report_json(self, event: Event) -> None:
        fields = {name: getattr(event, name) for name in event.__slots__}
        line = {"event": type(event).__name__.lower(), "at": round(time.time(), 3), **fields}
        print(json.dumps(line, ensure_ascii=False), file=self._stream, flush=True)
