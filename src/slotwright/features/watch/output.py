"""The JSON lines of `watch`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from slotwright.console.json import print_json_line
from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.watch.api import WatchUpdate


class WatchLineOutput(Output, frozen=True, kw_only=True):
    """A line of `watch`: the state at first, then what happens."""

    at: str
    happening: str
    where: str
    what: str


class JsonLines:
    """A view for programs: one object for the state at first, then one for each thing that happens."""

    def __init__(self) -> None:
        self._has_begun = False

    def show(self, moment: WatchUpdate) -> None:
        """The state comes with the first look that saw something."""
        for line in watch_lines(moment, is_first=not self._has_begun):
            print_json_line(line)
        self._has_begun = self._has_begun or moment.verdict is not None


def watch_lines(moment: WatchUpdate, *, is_first: bool) -> Iterator[WatchLineOutput]:
    """What one look gave."""
    at = moment.at.isoformat(timespec="milliseconds")
    if moment.verdict is None:
        yield WatchLineOutput(at=at, happening="unseen", where="", what=moment.trouble)
        return
    survey = moment.verdict.survey
    if is_first:
        what = f"the cluster is {survey.state.value}"
        yield WatchLineOutput(at=at, happening="state", where=survey.name, what=what)
    for change in moment.changes:
        yield WatchLineOutput(at=at, happening=change.happening.value, where=change.where, what=change.what)
