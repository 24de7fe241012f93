"""Jobs, which take long and work on a cluster from another process: what they stand in the way of, and asking that
process for something."""

from __future__ import annotations

import asyncio
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from slotwright.adapters.state.jobs import JobStore
from slotwright.app.context import Context
from slotwright.cluster.events import Began, Ended
from slotwright.cluster.jobs import OpenJob
from slotwright.errors import PartialError, RefusedError

RequestT = TypeVar("RequestT", bound=StrEnum)

_ASK_S = 0.2
_PATIENCE_S = 30.0


async def end_process(context: Context, store: JobStore[Any, Any, RequestT], request: RequestT) -> bool:
    """Ask the process that works on a job to end, and wait until it has; False where none works on it.

    Raises PartialError (still-running) where it takes too long; the request stays then.
    """
    if not store.is_running():
        return False
    text = f"wait until {store.name} has ended"
    context.report(Began("ask", text))
    deadline = context.clock.now() + _PATIENCE_S
    try:
        while store.is_running():
            if context.clock.now() > deadline:
                raise _still_running(store.name)
            # A process that begins just now drops what was asked of the one before.
            if store.requested() is not request:
                store.ask(request)
            await context.clock.sleep(_ASK_S)
    except PartialError:
        context.report(Ended("ask", text, is_ok=False))
        raise
    except asyncio.CancelledError:
        store.withdraw(request)
        raise
    # It is for nobody any more.
    store.withdraw(request)
    context.report(Ended("ask", text))
    return True


def _still_running(name: str) -> PartialError:
    return PartialError(
        f"{name} still runs {_PATIENCE_S:.0f} s after it was asked to end",
        code="still-running",
        where=name,
        left="the request stands: it ends as soon as it can",
        hint=f"slotwright jobs status {name}",
    )


def refuse_while_running(context: Context, cluster: str) -> None:
    """Raise RefusedError (job-running) while a job works on the cluster."""
    for job in context.state.open_jobs(cluster):
        if job.is_running:
            raise job_refusal(cluster, job)


def refuse_while_open(context: Context, cluster: str) -> None:
    """The same, also for a job that was cut or stopped and can be gone on with: it needs what the cluster holds."""
    jobs = context.state.open_jobs(cluster)
    for job in sorted(jobs, key=lambda job: not job.is_running):
        raise job_refusal(cluster, job)


def job_refusal(cluster: str, job: OpenJob) -> RefusedError:
    """Name the job, what it does since when, and the commands that end it."""
    summary = job.summary
    since = datetime.fromtimestamp(summary.since).strftime("%Y-%m-%d %H:%M:%S")
    what = f"the {summary.title} {job.name} is not over, and needs {cluster}"
    state = "its process isn't running"
    hint = f"{summary.go_on} goes on with it; {summary.give_up} gives it up"
    if job.is_running:
        what = f"the {summary.title} {job.name} works on {cluster}"
        state = "its process is running"
        hint = f"{summary.finish} ends it and waits for that; {summary.give_up} gives it up"
    if not summary.is_open:
        hint = "wait until it is done, then try again"
    return RefusedError(
        what,
        code="job-running",
        where=cluster,
        seen=f"{job.words or summary.doing}; begun {since}; {state}",
        left="nothing was changed",
        hint=hint,
    )
