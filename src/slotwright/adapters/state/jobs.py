"""Where long work is kept: one folder a job, which other terminals read, and in which they leave what they ask for.

::

    STATE/FOLDER/NAME/FILE.json      what was decided, and how far it is
                      status.json    how it is just now, for other terminals
                      request        what another terminal asks the running one to do
                      pace           the rate that another terminal wants it to have from now on
                      journal.jsonl  what was intended and done
                      lock           who works on it now

What a job is stands in its :class:`JobKind`, so that this module knows no capability. ``FILE.json`` has a
:class:`JobSummary` beside what its kind keeps: by that, verbs that know no kind find the jobs of a cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

from slotwright.adapters.files import (
    OTHER_STATE,
    KeptFile,
    kept_text,
    read_kept,
    read_loosely,
    write_atomically,
    write_kept,
)
from slotwright.adapters.path_ownership import demand_own
from slotwright.adapters.state import lock
from slotwright.adapters.state.journal import read_journal
from slotwright.cluster.formats import FileKind, FormatTag, tag_of
from slotwright.cluster.jobs import JobSummary, OpenJob
from slotwright.errors import HostError, SlotwrightError

JobT = TypeVar("JobT")
StatusT = TypeVar("StatusT")
RequestT = TypeVar("RequestT", bound=StrEnum)
KeptT = TypeVar("KeptT")


_SUMMARY = "job"


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as it lies in the state directory, of whatever kind and format. ``summary`` is None where its file can't be
    read, ``kind`` where this release has none for its folder; ``tag`` is the format of its file."""

    path: Path
    summary: JobSummary | None
    is_running: bool
    words: str
    tag: FormatTag
    kind: JobKind[Any, Any, Any] | None

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.path.parent.name

    @property
    def is_known(self) -> bool:
        """Whether this release has its kind, and reads its format."""
        return self.kind is not None and self.tag.is_known(self.kind.format)


@dataclass(frozen=True, slots=True)
class JobKind(Generic[JobT, StatusT, RequestT]):
    """``folder`` and ``file`` are names below the state directory; ``title`` is what the job is called in errors.
    ``format`` and ``status_format`` say which formats its file and its status have."""

    folder: str
    file: str
    title: str
    job: type[JobT]
    status: type[StatusT]
    request: type[RequestT]
    format: FileKind
    status_format: FileKind
    summarize: Callable[[JobT], JobSummary]


class JobStore(Generic[JobT, StatusT, RequestT]):
    """The folder of one job in the state directory."""

    def __init__(self, root: Path, name: str, kind: JobKind[JobT, StatusT, RequestT]) -> None:
        self.name = name
        self.folder = root / kind.folder / name
        self._kind = kind

    @property
    def lock_path(self) -> Path:
        """Held by the process that works on it."""
        return self.folder / "lock"

    def hold(self, verb: str) -> AbstractContextManager[None]:
        """Work on it until the end of the block. Raises RefusedError (locked) that names who does."""
        return lock.hold(self.lock_path, verb, self.name)

    def is_running(self) -> bool:
        """Whether a process works on it now."""
        return lock.is_held(self.lock_path)

    @property
    def journal_path(self) -> Path:
        """One JSON object a line."""
        return self.folder / "journal.jsonl"

    @property
    def _job_file(self) -> KeptFile[JobT]:
        title = f"the note of the {self._kind.title} {self.name}"
        return KeptFile(self.folder / self._kind.file, self._kind.job, self._kind.format, title)

    @property
    def _status_file(self) -> KeptFile[StatusT]:
        title = f"the status of the {self._kind.title} {self.name}"
        return KeptFile(self.folder / "status.json", self._kind.status, self._kind.status_format, title)

    def read(self) -> JobT | None:
        """None when there is none. Raises HostError for one that can't be read, and RefusedError (format-newer) for one
        of a later release."""
        return read_kept(self._job_file)

    def demand_known_formats(self) -> None:
        """Raise RefusedError (format-newer) where anything of the job was written by a later release in a format that
        this one doesn't know: asked before anything is changed."""
        # What can't be read is told of by whoever needs it.
        with contextlib.suppress(HostError):
            self.read()
        with contextlib.suppress(HostError):
            self.read_status()
        with contextlib.suppress(HostError):
            read_journal(self.journal_path)

    def begin(self, job: JobT) -> None:
        """Keep a new job, durably; of one before it, which is over, nothing is left in the file."""
        self._write(job, is_new=True)

    def write(self, job: JobT) -> None:
        """Keep how far it is, durably."""
        self._write(job, is_new=False)

    def _write(self, job: JobT, *, is_new: bool) -> None:
        write_kept(self._job_file, job, is_new=is_new, beside={_SUMMARY: self._kind.summarize(job)})

    def read_status(self) -> StatusT | None:
        """None when nothing was told yet."""
        return read_kept(self._status_file)

    def write_status(self, status: StatusT) -> None:
        """For whoever asks. Nothing of the one before is left in it."""
        demand_own(self.folder, instead=OTHER_STATE)
        write_atomically(self._status_file.path, kept_text(self._status_file, status, is_new=True), durable=False)

    def ask(self, request: RequestT) -> None:
        """For the process that holds the lock."""
        demand_own(self.folder, instead=OTHER_STATE)
        write_atomically(self.folder / "request", request.value)

    def withdraw(self, request: RequestT) -> None:
        """What was asked is wanted no more, if nobody has taken it yet."""
        if self.requested() is request:
            (self.folder / "request").unlink(missing_ok=True)

    def requested(self) -> RequestT | None:
        """What is asked, and was not taken yet."""
        demand_own(self.folder / "request", instead=OTHER_STATE)
        try:
            return self._kind.request((self.folder / "request").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def take_request(self) -> RequestT | None:
        """What was asked since the last time."""
        request = self.requested()
        (self.folder / "request").unlink(missing_ok=True)
        return request

    def ask_pace(self, bytes_s: int) -> None:
        """Want this rate of the process that holds the lock; 0: no limit."""
        demand_own(self.folder, instead=OTHER_STATE)
        write_atomically(self.folder / "pace", str(bytes_s))

    def withdraw_pace(self) -> None:
        """It is wanted no more, if nobody has taken it yet."""
        (self.folder / "pace").unlink(missing_ok=True)

    def take_pace(self) -> int | None:
        """The rate that is wanted since the last time."""
        path = self.folder / "pace"
        demand_own(path, instead=OTHER_STATE)
        try:
            bytes_s = int(path.read_text())
        except (FileNotFoundError, ValueError):
            return None
        path.unlink(missing_ok=True)
        return max(0, bytes_s)


def known_jobs(root: Path, kind: JobKind[JobT, StatusT, RequestT]) -> tuple[str, ...]:
    """All that are kept, the newest first."""
    paths = sorted((root / kind.folder).glob(f"*/{kind.file}"), key=lambda path: -path.stat().st_mtime)
    return tuple(path.parent.name for path in paths)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What every kind of job has in its file."""

    job: JobSummary


@dataclass(frozen=True, slots=True)
class _KeptBefore:
    """What a migration's file had before jobs had summaries; there were no other kinds of jobs."""

    target_name: str
    phase: str
    began: float


@dataclass(frozen=True, slots=True)
class _Told:
    """What every kind of status has."""

    words: str = ""


def open_jobs(root: Path, cluster: str) -> tuple[OpenJob, ...]:
    """The jobs of all kinds that work on ``cluster`` or are not over, by name. What can't be read is no job: its own
    verbs say so."""
    return tuple(
        OpenJob(job.name, job.summary, job.is_running, job.words if job.is_running else "")
        for job in listed_jobs(root, ())
        if job.summary is not None and cluster in job.summary.clusters and (job.is_running or job.summary.is_open)
    )


def listed_jobs(root: Path, kinds: Sequence[JobKind[Any, Any, Any]]) -> tuple[ListedJob, ...]:
    """Everything that is kept of jobs, over or not, by path: those of ``kinds`` even where they can't be read, and
    those of other kinds by their summaries. Nothing is hidden because a later release wrote it."""
    files = {(kind.folder, kind.file): kind for kind in kinds}
    found = []
    for path in sorted(root.glob("*/*/*.json")):
        folder = path.parent.parent.name
        kind = files.get((folder, path.name))
        # The status beside a job has no summary; clusters are no jobs.
        summary = None if folder == "clusters" else _summary_in(path)
        if summary is not None or kind is not None:
            found.append(_listed(path, summary, kind))
    return tuple(found)


def _summary_in(path: Path) -> JobSummary | None:
    kept = _readable(path, _Kept)
    if kept is not None:
        return kept.job
    before = _readable(path, _KeptBefore) if path.name == "migration.json" else None
    if before is None:
        return None
    command, name = "slotwright migrate", path.parent.name
    return JobSummary(
        "migration",
        (before.target_name,),
        f"was in its phase {before.phase}",
        before.began,
        before.phase not in ("moved", "aborted"),
        f"{command} --cutover {name}",
        f"{command} --resume {name}",
        f"{command} --abort {name}",
    )


def _listed(path: Path, summary: JobSummary | None, kind: JobKind[Any, Any, Any] | None) -> ListedJob:
    is_running = lock.is_held(path.parent / "lock")
    told = _readable(path.with_name("status.json"), _Told)
    head = _readable(path, dict)
    return ListedJob(path, summary, is_running, told.words if told else "", tag_of(head), kind)


def _readable(path: Path, kind: type[KeptT]) -> KeptT | None:
    with contextlib.suppress(SlotwrightError):
        return read_loosely(path, kind)
    return None
