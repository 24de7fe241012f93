"""A cluster while it is watched: a screen that is drawn anew on a terminal, lines of what happens elsewhere."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Protocol

from slotwright.console.screen import has_colour, paint

if TYPE_CHECKING:
    from slotwright.features.watch.api import WatchUpdate
    from slotwright.features.watch.plan import ClusterChange

_EVENTS_SHOWN = 12
_FINDINGS_SHOWN = 4


class View(Protocol):
    """Shows moments as they come."""

    def show(self, moment: WatchUpdate) -> None:
        """One more."""
        ...


@contextmanager
def open_view() -> Iterator[View]:
    """A screen of its own on a terminal, which is as it was afterwards."""
    if not sys.stdout.isatty():
        yield Lines()
    else:
        # A screen of its own, no cursor, and no line that runs over into the next.
        sys.stdout.write("\x1b[?1049h\x1b[?25l\x1b[?7l")
        try:
            yield Screen()
        finally:
            sys.stdout.write("\x1b[?7h\x1b[?25h\x1b[?1049l")
            sys.stdout.flush()


class Lines:
    """The same for people."""

    def __init__(self) -> None:
        self._has_begun = False

    def show(self, moment: WatchUpdate) -> None:
        """One line for each thing that happens."""
        for line in _lines(moment, is_first=not self._has_begun):
            print(line, flush=True)
        self._has_begun = True


class Screen:
    """State, findings and the last things that happened."""

    def __init__(self) -> None:
        has_colour()  # asked now: later, our own drawing stands in for the terminal
        self._events: deque[str] = deque(maxlen=_EVENTS_SHOWN)
        self._has_begun = False

    def show(self, moment: WatchUpdate) -> None:
        """Drawn line by line over the last one, so that nothing flickers."""
        self._events.extend(_lines(moment, is_first=not self._has_begun))
        self._has_begun = True
        lines = [*_state(moment), "", f"  {paint('what happened', 'dim')}"]
        lines += [f"  {line}" for line in self._events] or ["  -"]
        lines += ["", f"  {paint('Ctrl-C ends it', 'dim')}"]
        sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        sys.stdout.flush()


def _state(moment: WatchUpdate) -> list[str]:
    from slotwright.console.cluster_view import show_finding_list, show_survey

    at = moment.at.astimezone().strftime("%H:%M:%S")
    if moment.verdict is None:
        return [f"{paint('nothing can be seen', 'bad')} · {at}", f"  {moment.trouble}"]
    with redirect_stdout(io.StringIO()) as drawn:
        show_survey(moment.verdict.survey)
        findings = moment.verdict.findings
        if findings:
            print()
            show_finding_list(findings[:_FINDINGS_SHOWN])
            if len(findings) > _FINDINGS_SHOWN:
                print(f"\n  and {len(findings) - _FINDINGS_SHOWN} more: slotwright check")
    head, _, rest = drawn.getvalue().partition("\n")
    return [f"{head} · {at}", *rest.splitlines()]


def _lines(moment: WatchUpdate, *, is_first: bool) -> list[str]:
    at = moment.at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    if moment.verdict is None:
        return [f"{at}  {paint(moment.trouble, 'bad')}"]
    survey = moment.verdict.survey
    first = [f"{at}  {survey.name} is {survey.state.value}: {len(survey.nodes)} nodes"] if is_first else []
    return first + [f"{at}  {_painted(change)}" for change in moment.changes]


def _painted(change: ClusterChange) -> str:
    return paint(change.what, "bad") if change.happening.is_bad else change.what
