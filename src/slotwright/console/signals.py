"""SIGINT, SIGTERM and SIGHUP: one orderly interruption, whoever asks for it.

A verb at work is cancelled, so that it puts back what it took away, notes what it cut, and frees its locks; everywhere
else a KeyboardInterrupt is raised. A signal that was ignored when we were started (nohup, a shell's background) stays
ignored.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

_SAME_REQUEST_S = {signal.SIGINT: 0.0, signal.SIGTERM: 1.0, signal.SIGHUP: math.inf}
"""How long the same signal again is the same request; later it ends the work at once. timeout(1) sends SIGTERM twice,
to its child and to its group; a terminal that goes away brings a SIGHUP of the shell and one or two of the system."""


class Interruption:
    """The interruption of this process: asked for by any of the signals, taken once."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._asked: dict[int, float] = {}
        self._task: Task[object] | None = None
        self._loop: AbstractEventLoop | None = None
        self._is_asking = False

    @property
    def is_asked(self) -> bool:
        """Whether a signal has come."""
        return bool(self._asked)

    def install(self) -> None:
        """Take the signals that are not ignored. Calling it again changes nothing."""
        for number in _heeded():
            signal.signal(number, self.take)

    @contextmanager
    def cancels(self, task: Task[object] | None) -> Iterator[None]:
        """Within, a signal cancels ``task`` of the running loop."""
        assert task is not None
        self._task, self._loop = task, task.get_loop()
        try:
            yield
        finally:
            self._task = self._loop = None

    @contextmanager
    def at_question(self) -> Iterator[None]:
        """Within, somebody is asked, and the loop stands still: a signal ends the question itself."""
        self._is_asking = True
        try:
            yield
        finally:
            self._is_asking = False

    def take(self, number: int, frame: FrameType | None = None) -> None:
        """Handle a signal. Raises KeyboardInterrupt where there is nothing to cancel, or it was asked for before."""
        now = self._now()
        is_first = not self._asked
        since_s = now - self._asked.setdefault(number, now)
        if is_first and self._task is not None and self._loop is not None and not self._is_asking:
            self._task.cancel()
            # The loop may be waiting for something else to come.
            self._loop.call_soon_threadsafe(lambda: None)
        elif is_first or since_s > _SAME_REQUEST_S[signal.Signals(number)]:
            raise KeyboardInterrupt


INTERRUPTION = Interruption()
"""Of this process: signals have no other owner."""


def end_at_once(code: int) -> None:
    """From now on a signal ends the process with ``code``, and says nothing."""
    for number in _heeded():
        signal.signal(number, lambda *_: os._exit(code))


def give_back_ctrl_c() -> None:
    """From now on Ctrl-C ends the process by the system's own hand."""
    if signal.SIGINT in _heeded():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _heeded() -> list[signal.Signals]:
    """Those that are not ignored, and whose handling is Python's to change."""
    return [number for number in _SAME_REQUEST_S if signal.getsignal(number) not in (signal.SIG_IGN, None)]
