"""What long work on a cluster keeps other verbs from doing, and what they say of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest

from slotwright.adapters.state import lock
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.adapters.state.jobs import JobKind, JobStore, JobSummary, open_jobs
from slotwright.app.context import Context
from slotwright.app.jobs import refuse_while_open, refuse_while_running
from slotwright.cluster.formats import FileKind
from slotwright.errors import ExitCode, RefusedError


@dataclass(frozen=True)
class Haul:
    """A job of a kind that nobody knows."""

    clusters: tuple[str, ...]
    is_open: bool = True


@dataclass(frozen=True)
class HaulStatus:
    words: str
    tons: int = 0


class HaulRequest(StrEnum):
    STOP = "stop"


def summarize(haul: Haul) -> JobSummary:
    return JobSummary("haul", haul.clusters, "hauls", 86400.0, haul.is_open, "finish it", "go on", "give it up")


KIND = JobKind(
    "hauls",
    "haul.json",
    "haul",
    Haul,
    HaulStatus,
    HaulRequest,
    FileKind.MIGRATION,
    FileKind.MIGRATION_STATUS,
    summarize,
)


def store_of(root: Path, name: str, haul: Haul) -> JobStore[Haul, HaulStatus, HaulRequest]:
    store = JobStore(root, name, KIND)
    store.write(haul)
    return store


def test_jobs_are_found_by_their_clusters_whatever_their_kind(tmp_path: Path) -> None:
    first = store_of(tmp_path, "a", Haul(("cache", "other")))
    store_of(tmp_path, "b", Haul(("other",)))
    store_of(tmp_path, "c", Haul(("cache",), is_open=False))
    assert first.read() == Haul(("cache", "other")), "the summary beside it is in nobody's way"
    assert [(job.name, job.is_running) for job in open_jobs(tmp_path, "cache")] == [("a", False)]
    assert [job.name for job in open_jobs(tmp_path, "other")] == ["a", "b"]
    assert open_jobs(tmp_path / "nowhere", "cache") == ()


def test_files_that_are_no_jobs_are_left_out(tmp_path: Path) -> None:
    for place in ("clusters/cache/record.json", "hauls/x/haul.json", "hauls/y/other.json"):
        path = tmp_path / place
        path.parent.mkdir(parents=True, mode=0o700)
        path.write_text("{" if place.startswith("hauls/x") else json.dumps({"name": "cache"}))
    (tmp_path / "hauls/z/haul.json").mkdir(parents=True)
    assert open_jobs(tmp_path, "cache") == ()


def refusal(context: Context, *, must_run: bool) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        (refuse_while_running if must_run else refuse_while_open)(context, "cache")
    error = caught.value
    assert (error.code, error.where, error.left) == ("job-running", "cache", "nothing was changed")
    assert error.exit_code is ExitCode.REFUSED
    return error


@pytest.mark.parametrize("must_run", [True, False])
def test_a_job_that_runs_refuses_both(tmp_path: Path, must_run: bool) -> None:
    store = store_of(tmp_path, "a", Haul(("cache",)))
    store.write_status(HaulStatus("hauling 3 of 7"))
    with lock.hold(store.lock_path, "haul", "a"):
        error = refusal(Context(StateDirectory(tmp_path)), must_run=must_run)
    assert error.what == "the haul a works on cache"
    assert error.seen.startswith("hauling 3 of 7; begun 1970-01-0")
    assert error.seen.endswith("; its process is running")
    assert error.hint == "finish it ends it and waits for that; give it up gives it up"


def test_one_that_was_cut_refuses_what_would_take_its_keys(tmp_path: Path) -> None:
    store = store_of(tmp_path, "a", Haul(("cache",)))
    store.write_status(HaulStatus("hauling 3 of 7"))
    context = Context(StateDirectory(tmp_path))
    refuse_while_running(context, "cache")
    error = refusal(context, must_run=False)
    assert error.what == "the haul a is not over, and needs cache"
    assert error.seen.startswith("hauls; begun")
    assert error.seen.endswith("; its process isn't running")
    assert error.hint == "go on goes on with it; give it up gives it up"


def test_one_that_runs_is_named_first_and_one_that_is_ending_is_waited_for(tmp_path: Path) -> None:
    store_of(tmp_path, "a", Haul(("cache",)))
    ending = store_of(tmp_path, "b", Haul(("cache",), is_open=False))
    with lock.hold(ending.lock_path, "haul", "b"):
        error = refusal(Context(StateDirectory(tmp_path)), must_run=False)
    assert error.what == "the haul b works on cache"
    assert error.hint == "wait until it is done, then try again"


def test_other_clusters_are_free(tmp_path: Path) -> None:
    store_of(tmp_path, "a", Haul(("other",)))
    refuse_while_open(Context(StateDirectory(tmp_path)), "cache")


@pytest.mark.parametrize(("phase", "is_open"), [("follow", True), ("moved", False), ("aborted", False)])
def test_a_migration_from_before_there_were_summaries_stands_in_the_way(
    tmp_path: Path, phase: str, is_open: bool
) -> None:
    folder = tmp_path / "migrations" / "m"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "migration.json").write_text(f'{{"target_name": "cache", "phase": "{phase}", "began": 1.5}}')
    assert [job.name for job in open_jobs(tmp_path, "cache")] == ["m"] * is_open
    assert open_jobs(tmp_path, "other") == ()
