"""The shapes of an error and of a line of progress, which all verbs share.

Errors are put together without these types (``console/errors.py``), so that an installation that lacks msgspec can say
so; the tests hold what is written against them.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import UNSET, UnsetType

from slotwright.cluster.events import Began, Ended, Event, Moved, Warned
from slotwright.console.output import FindingOutput, Output, RefusalOutput


class ProblemOutput(Output, frozen=True, kw_only=True):
    """One thing that is wrong with a file; ``where`` is ``file:line``."""

    what: str
    where: str
    hint: str


class ErrorOutput(Output, frozen=True, kw_only=True):
    """What went wrong, and what to do; the later fields are there where they have something to say."""

    code: str
    what: str
    where: str
    hint: str
    seen: str | UnsetType = UNSET
    left: str | UnsetType = UNSET
    report: str | UnsetType = UNSET
    problems: tuple[ProblemOutput, ...] | UnsetType = UNSET
    findings: tuple[FindingOutput, ...] | UnsetType = UNSET
    refusals: tuple[RefusalOutput, ...] | UnsetType = UNSET


class ErrorAnswerOutput(Output, frozen=True, kw_only=True):
    """What stands on stdout in place of an answer."""

    error: ErrorOutput


class ProgressOutput(Output, frozen=True, kw_only=True):
    """A line of progress on stderr. Which of the later fields are there depends on ``event``."""

    event: str
    at: float
    task: str | UnsetType = UNSET
    text: str
    done: int | UnsetType = UNSET
    total: int | UnsetType = UNSET
    is_ok: bool | UnsetType = UNSET
    where: str | UnsetType = UNSET


def progress_output(event: Event, at: float) -> ProgressOutput:
    """A line of progress; ``at`` in seconds since 1970."""
    match event:
        case Began(task, text):
            return ProgressOutput(event="began", at=at, task=task, text=text)
        case Moved(task, text, done, total):
            return ProgressOutput(event="moved", at=at, task=task, text=text, done=done, total=total)
        case Ended(task, text, is_ok):
            return ProgressOutput(event="ended", at=at, task=task, text=text, is_ok=is_ok)
        case Warned(text, where):
            return ProgressOutput(event="warned", at=at, text=text, where=where)
    assert_never(event)
