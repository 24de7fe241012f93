"""jobs: everything that takes long and is kept, of all kinds and clusters."""

from __future__ import annotations

from slotwright.adapters.state.jobs import ListedJob, listed_jobs
from slotwright.app.context import Context
from slotwright.errors import InputError, RefusedError
from slotwright.features.jobs.kinds import KINDS
from slotwright.features.jobs.model import JobView
from slotwright.features.jobs.plan import choose, in_order, state_of


def jobs(context: Context) -> tuple[JobView, ...]:
    """All that are kept, also those that are over: those that run first, then the newest first."""
    return in_order([_view_of(job) for job in listed_jobs(context.state_root, KINDS)])


def find_job(context: Context, name: str | None) -> JobView:
    """By its name; None: the only one that is open. Raises InputError (no-job, several-jobs)."""
    return choose(jobs(context), name)


def find_known_job(context: Context, name: str | None) -> JobView:
    """The same. Raises RefusedError (format-newer) for one that a later release made: it is never touched."""
    job = find_job(context, name)
    if job.trouble:
        raise RefusedError(
            f"{job.title} {job.trouble}",
            code="format-newer",
            where=job.name,
            left="nothing was changed",
            hint=job.remedy,
        )
    return job


def find_open_job(context: Context, name: str | None) -> JobView:
    """The same. Raises InputError (job-over) for one that can't be gone on with."""
    job = find_known_job(context, name)
    if not job.is_open:
        raise InputError(
            f"{job.title} is over: {job.doing}",
            code="job-over",
            where=job.name,
            hint=f"slotwright jobs status {job.name}",
        )
    return job


def _view_of(job: ListedJob) -> JobView:
    summary = job.summary
    trouble, remedy = _trouble_of(job)
    return JobView(
        job.name,
        job.kind.title if job.kind else summary.title if summary else job.path.stem,
        summary.clusters if summary else (),
        state_of(
            is_running=job.is_running,
            is_known=job.is_known,
            is_open=summary.is_open if summary else None,
            is_paused=bool(summary and summary.is_paused),
        ),
        summary.doing if summary else "",
        summary.since if summary else None,
        job.words,
        trouble,
        remedy,
    )


def _trouble_of(job: ListedJob) -> tuple[str, str]:
    if job.is_known:
        return "", ""
    if job.kind is not None:
        return job.tag.describe(job.kind.format), job.tag.remedy(job.kind.format)
    writer = f"slotwright {job.tag.writer}" if job.tag.writer else "the slotwright that wrote it"
    return "is of a kind that this slotwright doesn't know", f"use {writer} or newer"
