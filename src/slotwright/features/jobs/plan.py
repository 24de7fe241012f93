"""Deciding about jobs: in which state one is, in which order they are shown, and which one is meant."""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.errors import InputError
from slotwright.features.jobs.model import JobState, JobView

_ORDER = tuple(JobState)
_FIRST_STEP = "slotwright migrate SOURCE TARGET --plan begins a migration"


def state_of(*, is_running: bool, is_known: bool, is_open: bool | None, is_paused: bool) -> JobState:
    """``is_known``: this release has its kind and reads its format. ``is_open``: it is not over; None: nothing can be
    read of it."""
    if is_running:
        return JobState.RUNNING
    if not is_known:
        return JobState.NEWER
    if is_open is None:
        return JobState.UNREADABLE
    if not is_open:
        return JobState.OVER
    return JobState.PAUSED if is_paused else JobState.CUT


def in_order(jobs: Sequence[JobView]) -> tuple[JobView, ...]:
    """Those that run first, those that are over last; of each state the newest first."""
    return tuple(
        sorted(jobs, key=lambda job: (job.state is JobState.OVER, job.state is not JobState.RUNNING, _age(job)))
    )


def _age(job: JobView) -> tuple[float, str]:
    return (-(job.began or 0.0), job.name)


def choose(jobs: Sequence[JobView], name: str | None) -> JobView:
    """The job of that name, an open one before one that is over; None: the only open one. Raises InputError (no-job,
    several-jobs)."""
    candidates = [job for job in jobs if (name is None or job.name == name) and job.is_open]
    candidates = candidates or [job for job in jobs if job.name == name]
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        raise _several(candidates, name)
    what = "there is no open job" if name is None else f"there is no job {name}"
    others = [job.name for job in jobs if job.is_open] or [job.name for job in jobs]
    raise InputError(what, code="no-job", hint=f"name one of: {', '.join(others)}" if others else _FIRST_STEP)


def _several(candidates: Sequence[JobView], name: str | None) -> InputError:
    if name is not None:
        kinds = ", ".join(job.kind for job in candidates)
        return InputError(
            f"several jobs are called {name}: {kinds}",
            code="several-jobs",
            hint="steer it with its own verb; slotwright VERB --help names the options",
        )
    names = ", ".join(job.name for job in candidates)
    return InputError(f"there are {len(candidates)} open jobs", code="several-jobs", hint=f"name one of: {names}")
