"""The JSON of `jobs`."""

from __future__ import annotations

from collections.abc import Iterable

from slotwright.console.output import Output
from slotwright.features.jobs.model import JobView
from slotwright.features.migrate.output.migration import MigrationOutput


class JobOutput(Output, frozen=True, kw_only=True):
    """One job of any kind; ``trouble``: why this slotwright doesn't touch it."""

    name: str
    kind: str
    clusters: tuple[str, ...]
    state: str
    doing: str
    began: float | None
    progress: str
    trouble: str | None


class JobsOutput(Output, frozen=True, kw_only=True):
    """`jobs` and `jobs list`."""

    jobs: tuple[JobOutput, ...]


class JobDetailsOutput(Output, frozen=True, kw_only=True):
    """`jobs status`; ``details`` are those of its kind, null where ``trouble`` of the job is not."""

    job: JobOutput
    details: MigrationOutput | None


class JobPauseOutput(Output, frozen=True, kw_only=True):
    """`jobs pause`: the job as it is afterwards."""

    job: JobOutput
    was_running: bool


class JobPaceOutput(Output, frozen=True, kw_only=True):
    """`jobs pace`: bytes a second at the most, null for no limit."""

    job: JobOutput
    pace_bytes: int | None


def job_output(job: JobView) -> JobOutput:
    """One of `jobs list`."""
    return JobOutput(
        name=job.name,
        kind=job.kind,
        clusters=job.clusters,
        state=job.state.value,
        doing=job.doing,
        began=job.began,
        progress=job.progress,
        trouble=job.trouble or None,
    )


def jobs_output(jobs: Iterable[JobView]) -> JobsOutput:
    """`jobs` and `jobs list`."""
    return JobsOutput(jobs=tuple(map(job_output, jobs)))
