"""In which state a job is, and which one is meant."""

from __future__ import annotations

import pytest

from slotwright.errors import ExitCode, InputError
from slotwright.features.jobs.model import JobState, JobView
from slotwright.features.jobs.plan import choose, in_order, state_of


def view(name: str, state: JobState = JobState.PAUSED, began: float = 1.0, kind: str = "haul") -> JobView:
    return JobView(name, kind, ("cache",), state, "hauls", began, "")


@pytest.mark.parametrize(
    ("running", "known", "is_open", "paused", "state"),
    [
        (True, True, True, False, JobState.RUNNING),
        (True, True, True, True, JobState.RUNNING),
        (True, False, None, False, JobState.RUNNING),
        (False, True, True, True, JobState.PAUSED),
        (False, True, True, False, JobState.CUT),
        (False, True, False, True, JobState.OVER),
        (False, True, None, False, JobState.UNREADABLE),
        (False, False, False, False, JobState.NEWER),
        (False, False, None, False, JobState.NEWER),
    ],
)
def test_states(running: bool, known: bool, is_open: bool | None, paused: bool, state: JobState) -> None:
    assert state_of(is_running=running, is_known=known, is_open=is_open, is_paused=paused) is state


def test_those_that_run_come_first_and_those_that_are_over_last() -> None:
    jobs = [
        view("over", JobState.OVER, 9.0),
        view("old", JobState.CUT, 1.0),
        view("new", JobState.PAUSED, 2.0),
        view("running", JobState.RUNNING, 0.5),
    ]
    assert [job.name for job in in_order(jobs)] == ["running", "new", "old", "over"]


def refusal(jobs: list[JobView], name: str | None) -> InputError:
    with pytest.raises(InputError) as caught:
        choose(jobs, name)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_the_only_open_one_needs_no_name() -> None:
    jobs = [view("a"), view("b", JobState.OVER)]
    assert choose(jobs, None).name == "a"
    assert choose(jobs, "b").name == "b"


def test_without_a_job_the_error_says_what_would_begin_one() -> None:
    error = refusal([], None)
    assert (error.code, error.what) == ("no-job", "there is no open job")
    assert "slotwright migrate" in error.hint
    assert refusal([view("b", JobState.OVER)], None).hint == "name one of: b"


def test_another_name_and_no_name_among_several_are_answered_with_the_names() -> None:
    jobs = [view("a"), view("b", JobState.RUNNING), view("c", JobState.OVER)]
    assert (refusal(jobs, "x").code, refusal(jobs, "x").hint) == ("no-job", "name one of: a, b")
    assert (refusal(jobs, None).code, refusal(jobs, None).hint) == ("several-jobs", "name one of: a, b")


def test_of_two_kinds_with_one_name_the_open_one_is_meant() -> None:
    jobs = [view("a", kind="haul"), view("a", JobState.OVER, kind="lift")]
    assert choose(jobs, "a").kind == "haul"
    error = refusal([view("a", kind="haul"), view("a", kind="lift")], "a")
    assert (error.code, error.what) == ("several-jobs", "several jobs are called a: haul, lift")
