"""Jobs for people; one in full is shown by its kind."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime

from slotwright.console.screen import out, paint, size, table, wrapped
from slotwright.console.words import gettext, pgettext, pgettext_noop, translated
from slotwright.features.jobs.model import JobState, JobView

_STYLES = {
    JobState.RUNNING: "good",
    JobState.PAUSED: "warn",
    JobState.CUT: "warn",
    JobState.OVER: "dim",
    JobState.NEWER: "bad",
    JobState.UNREADABLE: "bad",
}
_STATES = {
    JobState.RUNNING: pgettext_noop("state of a job", "running"),
    JobState.PAUSED: pgettext_noop("state of a job", "paused"),
    JobState.CUT: pgettext_noop("state of a job", "cut"),
    JobState.OVER: pgettext_noop("state of a job", "over"),
    JobState.NEWER: pgettext_noop("state of a job", "newer"),
    JobState.UNREADABLE: pgettext_noop("state of a job", "unreadable"),
}
_RESUMABLE = (JobState.PAUSED, JobState.CUT)


def show_jobs(jobs: Sequence[JobView], over: int) -> None:
    """`jobs list`. ``over``: how many are over and not shown."""
    every = "slotwright jobs list --all"
    hidden = gettext("{count} over: {command}", count=format(over, ","), command=every) if over else ""
    if not jobs:
        out(gettext("no job is open") if over else gettext("there is no job"), *([f"  {hidden}"] if over else []))
        return
    table(
        (
            pgettext("jobs", "name"),
            pgettext("jobs", "kind"),
            pgettext("jobs", "clusters"),
            pgettext("jobs", "state"),
            pgettext("jobs", "since"),
            pgettext("jobs", "what it does"),
        ),
        [
            (
                job.name,
                job.kind,
                "\n".join(job.clusters),
                _state(job),
                _since(job),
                _what(job),
            )
            for job in jobs
        ],
    )
    troubled = [job for job in jobs if job.trouble]
    if troubled or hidden or any(job.is_open for job in jobs):
        out("")
    for job in troubled:
        out(*wrapped(translated(_STATES[job.state]), f"{job.name} {job.trouble}: {job.remedy}", 2))
    for title, text in _next(jobs):
        out(*wrapped(title, text, 2))
    if hidden:
        out(f"  {hidden}")


def _state(job: JobView) -> str:
    return paint(translated(_STATES[job.state]), _STYLES[job.state])


def _since(job: JobView) -> str:
    """What a later release wrote may be no time of ours."""
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(job.began).strftime("%m-%d %H:%M") if job.began is not None else "-"
    return "-"


def _what(job: JobView) -> str:
    """What it does, and below that how far it is; of one that doesn't run, how far it was."""
    if job.state is JobState.OVER or not job.progress:
        return job.doing or "-"
    told = job.progress if job.state is JobState.RUNNING else gettext("last: {progress}", progress=job.progress)
    return f"{job.doing}\n{told}" if job.doing else told


def _next(jobs: Sequence[JobView]) -> list[tuple[str, str]]:
    """For what stands still first."""
    still = next((job for job in jobs if job.state in _RESUMABLE and not job.trouble), None)
    if still is not None:
        return _ways_on(still)
    running = next((job for job in jobs if job.state is JobState.RUNNING and not job.trouble), None)
    return [(pgettext("jobs", "next"), f"slotwright jobs status {running.name}")] if running is not None else []


def _ways_on(job: JobView) -> list[tuple[str, str]]:
    """Of one that stands still."""
    return [
        (pgettext("jobs", "next"), f"slotwright jobs resume {job.name}"),
        (pgettext("jobs", "undo"), f"slotwright jobs abort {job.name}"),
    ]


def show_unknown(job: JobView) -> None:
    """`jobs status` of one that a later release made: what can be told without its kind."""
    since = gettext("since {time}", time=_since(job))
    out(f"{paint(job.name, 'bold')} · {job.kind} · {_state(job)} · {since}")
    if job.clusters:
        out("  " + pgettext("jobs", "clusters") + f"  {', '.join(job.clusters)}")
    if job.doing or job.progress:
        out(*wrapped(pgettext("jobs", "now"), _what(job).replace("\n", "; "), 2))
    out(*wrapped(pgettext("jobs", "trouble"), gettext("it {trouble}", trouble=job.trouble), 2))
    out(*wrapped(pgettext("jobs", "next"), job.remedy, 2))


def show_paused(job: JobView, *, was_running: bool) -> None:
    """`jobs pause`. ``job`` is as it is afterwards."""
    state = _state(job)
    if not was_running:
        out(gettext("{job} is not running: {state}", job=job.title, state=state))
    elif job.is_open:
        out(f"{state}: {job.title}")
    else:
        out(gettext("{state}: {job} came to its end just then ({doing})", state=state, job=job.title, doing=job.doing))
    if job.state in _RESUMABLE:
        for title, text in _ways_on(job):
            out(*wrapped(title, text, 2))


def show_pace(job: JobView, bytes_s: int, note: str) -> None:
    """`jobs pace`."""
    limit = gettext("at most {size} a second", size=size(bytes_s)) if bytes_s else gettext("as fast as it goes")
    is_running = job.state is JobState.RUNNING
    when = gettext("from now on, and when it is resumed") if is_running else gettext("when it is resumed")
    out(f"{job.title}: {paint(limit, 'good')}", "  " + pgettext("jobs", "holds") + f"   {when}")
    if note:
        out(*wrapped(pgettext("jobs", "note"), note, 2))
