"""The list of jobs as they lie in the state directory, and what is refused of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import msgspec
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from slotwright.adapters.state import lock
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.app.context import Context
from slotwright.errors import InputError, RefusedError
from slotwright.features.jobs.api import find_known_job, jobs
from slotwright.features.jobs.cli import command
from slotwright.features.jobs.kinds import KINDS, controls
from slotwright.features.jobs.model import JobState, JobView
from slotwright.features.jobs.output import job_output
from slotwright.features.jobs.views import show_jobs
from slotwright.features.migrate.model.migration import Migration, MigrationLimits, MigrationPhase, MigrationStatus
from slotwright.features.migrate.store import MigrationStore
from slotwright.keys.model.databases import DatabaseMap

MIGRATION = Migration(
    "10.0.0.9:6379",
    "cache",
    "cache",
    "",
    "",
    DatabaseMap(),
    MigrationLimits(),
    MigrationPhase.FOLLOW,
    86400.0,
    clusters=("cache",),
)
LONG = "2001-db8-85a3-8d3-1319-8a2e-370-7348-6379--sessions-of-the-shop"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLOTWRIGHT_STATE", str(tmp_path))
    return tmp_path


def keep(root: Path, name: str = "old--cache", **changes: Any) -> MigrationStore:
    store = MigrationStore(root, name)
    store.write(replace(MIGRATION, **changes))
    return store


def rewrite(store: MigrationStore, change: Callable[[dict[str, Any]], object]) -> None:
    path = store.folder / "migration.json"
    kept = json.loads(path.read_text())
    change(kept)
    path.write_text(json.dumps(kept))


def listed(root: Path) -> list[tuple[str, JobState]]:
    return [(job.name, job.state) for job in jobs(Context(StateDirectory(root)))]


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, list(words), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


def test_every_kind_has_its_control() -> None:
    assert [control.kind for control in controls()] == list(KINDS)


def test_no_job_is_no_error(state: Path) -> None:
    assert run() == (0, "there is no job\n")
    assert json.loads(run("--json")[1]) == {"format": 1, "jobs": []}
    keep(state, phase=MigrationPhase.ABORTED)
    assert run("list") == (0, "no job is open\n  1 over: slotwright jobs list --all\n")
    assert "given up" in run("--all")[1]


def test_a_job_runs_is_paused_cut_or_over(tmp_path: Path) -> None:
    running = keep(tmp_path, "running")
    keep(tmp_path, "paused", is_paused=True)
    keep(tmp_path, "cut")
    keep(tmp_path, "over", phase=MigrationPhase.MOVED)
    running.write_status(MigrationStatus(1.0, "ready"))
    with lock.hold(running.lock_path, "migrate", "running"):
        found = jobs(Context(StateDirectory(tmp_path)))
    assert [(job.name, job.state.value) for job in found] == [
        ("running", "running"),
        ("cut", "cut"),
        ("paused", "paused"),
        ("over", "over"),
    ]
    assert msgspec.to_builtins(job_output(found[0])) == {
        "name": "running",
        "kind": "migration",
        "clusters": ("cache",),
        "state": "running",
        "doing": "follows its source",
        "began": 86400.0,
        "progress": "ready",
        "trouble": None,
    }


def newer(kept: dict[str, Any]) -> None:
    kept.update(format=7, slotwright="9.9.0", positions="in another shape")


def test_one_of_a_newer_format_is_listed_as_such_and_never_touched(state: Path) -> None:
    store = keep(state)
    rewrite(store, newer)
    before = {path.name: path.read_bytes() for path in store.folder.iterdir()}
    (job,) = jobs(Context(StateDirectory(state)))
    assert (job.state, job.kind, job.clusters) == (JobState.NEWER, "migration", ("cache",))
    assert "was written by slotwright 9.9.0 in format 7" in job.trouble
    assert "use slotwright 9.9.0 or newer" in run()[1]
    code, text = run("status")
    assert code == 0 and "format 7" in text
    assert json.loads(run("status", "--json")[1])["details"] is None
    for words in (["pause"], ["resume"], ["abort", "--yes"], ["pace", "10mb"]):
        with pytest.raises(RefusedError) as caught:
            run(*words)
        assert (caught.value.code, caught.value.left) == ("format-newer", "nothing was changed")
    assert {path.name: path.read_bytes() for path in store.folder.iterdir()} == before


def test_one_of_another_kind_is_listed_by_its_summary(state: Path) -> None:
    store = keep(state)
    rewrite(store, lambda kept: kept["job"].update(title="haul", doing="hauls", since=1e300))
    (state / "hauls").mkdir(mode=0o700)
    store.folder.rename(state / "hauls" / "old--cache")
    (job,) = jobs(Context(StateDirectory(state)))
    assert (job.kind, job.doing, job.state) == ("haul", "hauls", JobState.NEWER)
    with pytest.raises(RefusedError) as caught:
        find_known_job(Context(StateDirectory(state)), None)
    assert "kind that this slotwright doesn't know" in caught.value.what
    assert "haul" in run()[1]


def test_one_that_can_not_be_read_hides_no_other(state: Path) -> None:
    keep(state, "good")
    (keep(state, "bad").folder / "migration.json").write_text("{")
    assert listed(state) == [("good", JobState.CUT), ("bad", JobState.UNREADABLE)]
    code, text = run("status", "good")
    assert code == 0 and "stopped while following" in text


def test_one_in_full_is_what_its_kind_shows(state: Path) -> None:
    keep(state, is_paused=True, phase=MigrationPhase.COPY, limits=MigrationLimits(pace_bytes=10 * 2**20))
    code, text = run("status")
    assert code == 0
    assert "paused while copying" in text
    assert "10.0 MB a second at the most" in text
    found = json.loads(run("status", "old--cache", "--json")[1])
    assert (found["job"]["state"], found["details"]["phase"]) == ("paused", "copy")
    assert found["details"]["pace_bytes"] == 10 * 2**20


def test_what_does_not_run_is_paused_already(state: Path) -> None:
    keep(state)
    code, text = run("pause")
    assert code == 0
    assert text.splitlines()[0] == "the migration old--cache is not running: cut"
    assert "slotwright jobs resume old--cache" in text
    assert json.loads(run("pause", "--json")[1])["was_running"] is False


@pytest.mark.parametrize("phase", [MigrationPhase.MOVED, MigrationPhase.ABORTED])
def test_what_is_over_is_not_gone_on_with(state: Path, phase: MigrationPhase) -> None:
    keep(state, phase=phase)
    with pytest.raises(InputError) as caught:
        run("resume", "old--cache")
    assert caught.value.code == "job-over"


@pytest.mark.parametrize(
    ("rate", "bytes_s"), [("10mb", 10 * 2**20), ("512kb", 2**19), ("1m", 10**6), ("none", 0), ("1kb", 1024)]
)
def test_a_pace_is_kept_for_the_next_process(state: Path, rate: str, bytes_s: int) -> None:
    store = keep(state, limits=MigrationLimits(pace_bytes=5))
    code, text = run("pace", rate)
    assert code == 0
    assert "holds   when it is resumed" in text
    kept = store.read()
    assert kept is not None and kept.limits.pace_bytes == bytes_s
    assert json.loads(run("pace", "old--cache", rate, "--json")[1])["pace_bytes"] == (bytes_s or None)


@pytest.mark.parametrize("words", [["pace"], ["pace", "10"], ["pace", "-1"], ["pace", "fast"], ["pace", "0"], ["pase"]])
def test_what_is_no_rate_or_no_word_is_said(state: Path, words: list[str]) -> None:
    keep(state)
    with pytest.raises((click.UsageError, click.exceptions.NoSuchOption)):
        run(*words)


@pytest.mark.parametrize(
    ("words", "incomplete", "found"),
    [
        ([], "pa", ["pause", "pace"]),
        (["resume"], "", ["new--cache", "old--cache"]),
        (["pace"], "old", ["old--cache"]),
    ],
)
def test_words_and_names_are_completed(state: Path, words: list[str], incomplete: str, found: list[str]) -> None:
    keep(state)
    keep(state, "new--cache")
    keep(state, "over--cache", phase=MigrationPhase.ABORTED)
    complete = ShellComplete(command, {}, "jobs", "_JOBS_COMPLETE")
    assert [item.value for item in complete.get_completions(words, incomplete)] == found


def test_no_line_is_too_long(capsys: pytest.CaptureFixture[str]) -> None:
    view = JobView(LONG, "migration", ("sessions-of-the-shop",), JobState.RUNNING, "follows its source", 1.0, "")
    told = "proving 1,234,567 keys again that changed meanwhile, and 10.0.0.9:6379 hung up; attaching again"
    shown = [
        replace(view, progress=told),
        replace(view, state=JobState.CUT, progress=told),
        replace(view, state=JobState.UNREADABLE, began=None, doing="", clusters=()),
        replace(view, state=JobState.NEWER, trouble="was written by slotwright 9.9 " * 3, remedy="use " * 20),
    ]
    show_jobs(shown, over=1234)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(line.strip().startswith("1,234 over") for line in lines)
