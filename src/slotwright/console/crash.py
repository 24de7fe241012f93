"""The last handler: what nothing was prepared for becomes what, where, left and next, with a report of it in a file.

What was left behind is told from the journal: the steps that this process noted, and which of them it saw the end of.
So the exit code is 5 where work was cut in the middle, and 1 where nothing had begun or all of it was done.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slotwright.cluster.secret import redacted
from slotwright.errors import ExitCode, SlotwrightError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from slotwright.cluster.events import Event

_CHANGING_TASKS = frozenset({"bundle", "copy", "remove", "save"})
"""What verbs do besides the steps of the journal, by the names that progress has for it."""

_WITHOUT_JOURNAL = {
    "adopt": "what it writes may be there already",
    "client": "what it writes may be there already",
    "exec": "the command may have run on some hosts",
    "init": "what it writes may be there already",
}
"""What these verbs may have changed, by what they are."""

_MOST_NAMED = 3
_SHORTEST_ARGUMENT = 4

_SYSTEM: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("disk-full", "free some room there, then type the command again"),
    errno.EDQUOT: ("disk-full", "free some room there, then type the command again"),
    errno.EROFS: ("not-writable", "have it mounted for writing, or choose another place with SLOTWRIGHT_STATE"),
    errno.EACCES: ("no-access", "see who owns it and its mode (ls -ld), or run the command as another user"),
    errno.EPERM: ("no-access", "see who owns it and its mode (ls -ld), or run the command as another user"),
    errno.EMFILE: ("too-many-open-files", "raise the limit (ulimit -n 4096), then type the command again"),
    errno.ENFILE: ("too-many-open-files", "the whole machine has too many open files: see what holds them (lsof)"),
}


@dataclass
class Course:
    """What this run has done so far: its verb, the journal's entries, and the tasks that progress told of."""

    verb: str = ""
    entries: list[Mapping[str, object]] = field(default_factory=list)
    changing: dict[str, str] = field(default_factory=dict)
    besides: list[BaseException] = field(default_factory=list)
    unraised: list[BaseException] = field(default_factory=list)

    def note(self, event: Event) -> None:
        """A task that changes something, begun or ended."""
        task, text = getattr(event, "task", ""), getattr(event, "text", "")
        if task not in _CHANGING_TASKS:
            return
        if type(event).__name__ == "Began":
            self.changing[task] = text
        elif type(event).__name__ == "Ended":
            self.changing.pop(task, None)

    def left(self) -> tuple[str, ExitCode]:
        """What was left behind, and what that makes of the exit code."""
        from slotwright.ops.journal_read import tally

        result = tally(self.entries)
        if result is None and self.changing:
            return f"it was cut in: {', '.join(self.changing.values())}", ExitCode.PARTIAL
        if result is None:
            return _WITHOUT_JOURNAL.get(self.verb, "nothing was changed"), ExitCode.FAILED
        if result.has_ended and not self.changing:
            return f"the work itself was done ({_counted(result.done)})", ExitCode.FAILED
        cut = (*result.cut, *self.changing.values())
        named = ", ".join(cut[:_MOST_NAMED]) + (f" and {len(cut) - _MOST_NAMED} more" if cut[_MOST_NAMED:] else "")
        half = f"; begun, and nobody knows how it ended: {named}" if cut else ""
        failed = f"; {_counted(result.failed)} failed" if result.failed else ""
        return f"{_counted(result.done)} done and noted in the journal{failed}{half}", ExitCode.PARTIAL


COURSE = Course()
"""Of this process: one command is run in each."""


def _counted(steps: Sequence[str]) -> str:
    return f"{len(steps)} step{'' if len(steps) == 1 else 's'}"


def be_quiet() -> None:
    """What the interpreter would print beside the answer goes nowhere, or into the report of a crash."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: _quietly_remember(unraisable.exc_value, COURSE.unraised)
    threading.excepthook = lambda outcome: _quietly_remember(outcome.exc_value, COURSE.besides)


def heed_tasks() -> None:
    """In a running loop: a task that failed and that nobody waited for is remembered, not printed; what libraries log
    goes nowhere."""
    import asyncio
    import logging

    logging.getLogger().addHandler(logging.NullHandler())

    def remember(loop: AbstractEventLoop, context: dict[str, Any]) -> None:
        _remember(context.get("exception"), COURSE.besides)

    asyncio.get_running_loop().set_exception_handler(remember)


def _quietly_remember(error: BaseException | None, among: list[BaseException]) -> None:
    """Also at the interpreter's end, when half of this module may be gone."""
    with contextlib.suppress(Exception):
        _remember(error, among)


def _remember(error: BaseException | None, among: list[BaseException]) -> None:
    """A connection that was lost tells who waits for it; that its own task failed for it, too, is no news."""
    is_lost = isinstance(error, (OSError, EOFError, SlotwrightError)) or type(error).__module__.startswith("asyncssh")
    if error is not None and not is_lost and len(among) < _MOST_NAMED:
        among.append(error)


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The error, or those that a group of errors is made of."""
    if isinstance(error, BaseExceptionGroup):
        for exception in error.exceptions:
            yield from leaves(exception)
    else:
        yield error


def known_error(error: BaseException) -> SlotwrightError | None:
    """The error in our own terms where it has some: of a group its first, and what a server refused."""
    from slotwright.errors import ServerError
    from slotwright.ports import ReplyError

    members = list(leaves(error))
    first = members[0] if members else error
    if all(isinstance(member, SlotwrightError) for member in members):
        assert isinstance(first, SlotwrightError)
        return first
    if not isinstance(first, ReplyError):
        return None
    left, exit_code = COURSE.left()
    known = ServerError(
        f"{first.where or 'a server'} refused {first.command or 'a command'}",
        code="server-refused",
        where=first.where,
        seen=redacted(str(first)),
        left=left,
        hint="see which rights its user has (ACL WHOAMI, ACL LIST), and whether the command is renamed there",
    )
    known.exit_code = exit_code
    return known


def crash_fields(error: BaseException, arguments: Sequence[str]) -> tuple[dict[str, Any], int]:
    """What is shown of an error that nothing was prepared for, and the exit code. The report is written."""
    left, exit_code = COURSE.left()
    verb = COURSE.verb
    fields = {"where": "", "seen": "", "left": left, **_classified(error, verb, exit_code), "report": ""}
    # What failed for want of memory, or of descriptors, may have them again now.
    traced = error.__traceback__
    traceback.clear_frames(traced)
    gc.collect()
    try:
        from slotwright.adapters.state.clusters import state_directory
        from slotwright.adapters.state.crash_reports import Crash, keep_report, message_of, place_of

        hidden = _hidden(arguments)
        fields["where"] = fields["where"] or place_of(error)
        fields["seen"] = message_of(error, hidden)
        crash = Crash(error, verb, int(exit_code), left, hidden, (*COURSE.besides, *COURSE.unraised))
        fields["report"] = str(keep_report(state_directory(), crash))
        fields["hint"] += f"; to report it: {fields['report']} says what happened, without secrets"
    except Exception as failed:
        why = getattr(failed, "strerror", None) or getattr(failed, "what", None) or type(failed).__name__
        fields["hint"] += f"; no report of it could be written ({why}): report it with these lines"
    return fields, int(exit_code)


def _classified(error: BaseException, verb: str, exit_code: ExitCode) -> dict[str, Any]:
    again = _next(verb, exit_code)
    if isinstance(error, MemoryError):
        hint = f"free some memory, or raise its limit (ulimit -v); then {again}"
        return {"code": "out-of-memory", "what": "there is not enough memory", "hint": hint}
    if isinstance(error, UnicodeEncodeError) and error.encoding.lower() not in ("utf-8", "utf8"):
        hint = "set LC_ALL=C.UTF-8, then type the command again"
        return {"code": "encoding", "what": f"a name can't be written in {error.encoding}", "hint": hint}
    if isinstance(error, FileNotFoundError) and not error.filename and not _is_somewhere():
        what = "the folder that the command was started in is gone"
        return {"code": "folder-gone", "what": what, "hint": "cd to a folder that is there, and type it again"}
    if isinstance(error, OSError) and (error.errno in _SYSTEM or error.filename):
        code, hint = _SYSTEM.get(error.errno or 0, ("host-files", "see what is there (ls -ld), and take it away"))
        place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
        what = f"the system refused: {error.strerror}" + (f" ({place})" if place else "")
        return {"code": code, "what": what, "where": place, "hint": hint}
    what = f"`slotwright {verb}`".replace(" `", "`") + f" failed in a way that it does not know: {type(error).__name__}"
    return {"code": "internal-error", "what": what, "hint": again}


def _is_somewhere() -> bool:
    """Whether the working folder is still there."""
    from pathlib import Path

    try:
        Path.cwd()
    except OSError:
        return False
    return True


def _next(verb: str, exit_code: ExitCode) -> str:
    if exit_code is ExitCode.PARTIAL:
        if verb == "jobs":
            return "slotwright jobs tells how far it is, and slotwright jobs resume goes on"
        if verb == "migrate":
            return "slotwright migrate --status tells how far it is, and --resume goes on"
        return "slotwright status tells what is there; the same command looks again and goes on from there"
    return "try it once more"


def _hidden(arguments: Sequence[str]) -> tuple[str, ...]:
    """Values of the command line: nobody can tell which of them is secret."""
    from slotwright.console.verbs import VERBS

    values = (word.partition("=")[2] if word.startswith("-") else word for word in arguments)
    return tuple({value for value in values if len(value) >= _SHORTEST_ARGUMENT and value not in VERBS})


def warn_of_besides() -> str:
    """A line about tasks and threads that failed unseen, with the report of it; "" where none did."""
    if not COURSE.besides:
        return ""
    from slotwright.adapters.state.clusters import state_directory
    from slotwright.adapters.state.crash_reports import Crash, keep_report, message_of

    first, *others = COURSE.besides
    text = f"something failed in the background: {message_of(first)}"
    with contextlib.suppress(Exception):
        return f"{text}; {keep_report(state_directory(), Crash(first, '', 0, besides=tuple(others)))} says more"
    return text
