"""The last handler: whatever comes, one error with what, where, left and next, the right exit code, a report in a file
without secrets, and no traceback."""

from __future__ import annotations

import json
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines import TestEngine
from tests.extent import share
from tests.integration.conftest import Lab, Outcome
from tests.integration.crash_runner import PASSWORD
from tests.integration.edge import NEVER_SAID

RUNNER = Path(__file__).with_name("crash_runner.py")


def crash(lab: Lab, *arguments: str, preexec: Callable[[], None] | None = None, **env: str) -> Outcome:
    done = subprocess.run(
        [sys.executable, str(RUNNER), *arguments],
        capture_output=True,
        cwd=lab.folder,
        env=lab.environment | env,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        preexec_fn=preexec,
    )
    outcome = Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())
    for words in NEVER_SAID:
        assert words not in outcome.out + outcome.err, outcome
    assert PASSWORD not in outcome.out + outcome.err
    return outcome


def reports(lab: Lab) -> list[Path]:
    return sorted((lab.state / "crashes").glob("*"))


INTERNAL = "internal-error"

KINDS: dict[str, tuple[int, str, str]] = {
    "value": (1, INTERNAL, "`slotwright boom` failed in a way that it does not know: ValueError"),
    "assertion": (1, INTERNAL, "AssertionError"),
    "memory": (1, "out-of-memory", "there is not enough memory"),
    "recursion": (1, INTERNAL, "RecursionError"),
    "cancelled": (1, INTERNAL, "CancelledError"),
    "generator-exit": (1, INTERNAL, "GeneratorExit"),
    "group": (1, INTERNAL, "ExceptionGroup"),
    "no-space": (1, "disk-full", "No space left on device"),
    "no-file": (1, "host-files", "No such file or directory (/nowhere/at/all)"),
    "a-folder": (1, "host-files", "Is a directory (/)"),
    "read-only": (1, "not-writable", "Read-only file system (/proc/version)"),
    "descriptors": (1, "too-many-open-files", "Too many open files"),
    "unicode": (1, "encoding", "a name can't be written in ascii"),
    "bytes": (1, INTERNAL, "UnicodeDecodeError"),
    "half-done": (5, INTERNAL, "ValueError"),
    "half-done-unjournaled": (5, INTERNAL, "ValueError"),
    "all-done": (1, INTERNAL, "ValueError"),
}


@pytest.mark.parametrize("kind", share([*KINDS], 0))
def test_what_nothing_was_prepared_for(lab: Lab, kind: str) -> None:
    code, name, what = KINDS[kind]
    told = crash(lab, "boom", kind, "--json", "--secret", "a-secret-on-the-command-line")
    assert told.code == code, told
    error = told.error
    assert (error["code"], what in error["what"]) == (name, True), error
    assert error["hint"] and error["left"]
    (report,) = reports(lab)
    assert error["report"] == str(report)
    assert str(report) in error["hint"]
    text = report.read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o600
    for forbidden in (PASSWORD, "a-secret-on-the-command-line", "the value of a variable", os.environ["PATH"], "\x1b"):
        assert forbidden not in text + told.out, forbidden
    assert "verb       boom" in text
    assert f"exit code  {code}" in text

    text = crash(lab, "boom", kind)
    assert (text.code, text.out) == (code, "")
    lines = [line for line in text.err.splitlines() if line[:2] != "  " or line[2:8] in ("seen  ", "left  ", "next  ")]
    assert lines[0].startswith("error: ")
    assert [line.split()[0] for line in lines[-3:]] == ["seen", "left", "next"]


def test_what_was_left_is_told_from_the_journal(lab: Lab) -> None:
    assert crash(lab, "boom", "value", "--json").error["left"] == "nothing was changed"
    left = crash(lab, "boom", "half-done", "--json").error["left"]
    assert left == "1 step done and noted in the journal; begun, and nobody knows how it ended: start h2:7001"
    assert crash(lab, "boom", "all-done", "--json").error["left"] == "the work itself was done (0 steps)"
    left = crash(lab, "boom", "half-done-unjournaled", "--json").error["left"]
    assert left == "it was cut in: remove 6 nodes"


def test_a_question_between_two_steps_that_is_interrupted_tells_what_was_done(lab: Lab) -> None:
    told = crash(lab, "boom", "declined-half-way", "--json")
    assert (told.code, told.error["code"]) == (130, "interrupted")
    assert told.error["left"] == "1 step done and noted in the journal"


@pytest.mark.parametrize(
    ("kind", "code", "name"),
    [
        ("interrupt", 130, "interrupted"),
        ("group-with-interrupt", 130, "interrupted"),
        ("group-of-ours", 5, "half"),
        ("refused", 1, "server-refused"),
        ("nobody-refused", 1, "server-refused"),
    ],
)
def test_what_is_known_by_another_name_needs_no_report(lab: Lab, kind: str, code: int, name: str) -> None:
    told = crash(lab, "boom", kind, "--json")
    assert (told.code, told.error["code"]) == (code, name), told
    assert told.error["hint"]
    assert reports(lab) == []


def test_a_refusal_says_who_and_what_and_no_argument(lab: Lab) -> None:
    error = crash(lab, "boom", "refused", "--json").error
    assert (error["what"], error["where"]) == ("127.0.0.1:7001 refused CONFIG SET", "127.0.0.1:7001")
    assert error["seen"] == "ERR unknown command 'CONFIG', with args beginning with: 'SET' '***'"


@pytest.mark.parametrize(("kind", "code"), [("exit", 3), ("exit-text", 1)])
def test_an_exit_is_an_exit(lab: Lab, kind: str, code: int) -> None:
    assert crash(lab, "boom", kind).code == code


@pytest.mark.parametrize("kind", ["task", "thread"])
def test_what_fails_unseen_is_told_and_kept(lab: Lab, kind: str) -> None:
    told = crash(lab, "boom", kind, "--json")
    assert (told.code, told.json) == (0, {"format": 1})
    (event,) = [json.loads(line) for line in told.err.splitlines()]
    (report,) = reports(lab)
    assert event["event"] == "warned"
    assert event["text"].startswith("something failed in the background: ")
    assert str(report) in event["text"]
    assert PASSWORD not in report.read_text()
    text = crash(lab, "boom", kind)
    assert text.err.startswith("warning: something failed in the background: ")


@pytest.mark.parametrize("kind", ["lost-task", "unraisable", "never-awaited"])
def test_what_is_nobody_s_loss_is_not_told(lab: Lab, kind: str) -> None:
    assert crash(lab, "boom", kind) == Outcome(0, "done\n", "")
    assert reports(lab) == []


def test_a_report_that_can_not_be_written_is_said_so(lab: Lab) -> None:
    lab.state.write_text("no folder")
    error = crash(lab, "boom", "value", "--json").error
    assert "report" not in error
    assert "no report of it could be written (" in error["hint"]
    assert error["seen"] == "ValueError: *** is no number, nor is \\x1b[31mthis"
    assert "no report of it could be written" in crash(lab, "boom", "value").err


def cold(lab: Lab, *arguments: str, kind: int | None = None, limit: int = 0, **env: str) -> Outcome:
    """As a user starts it, under one limit of the system."""
    done = subprocess.run(
        [sys.executable, "-m", "slotwright", *arguments],
        capture_output=True,
        text=True,
        cwd=lab.folder,
        env=lab.environment | env,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
        preexec_fn=None if kind is None else lambda: resource.setrlimit(kind, (limit, limit)),
    )
    if kind is not None and (done.returncode < 0 or "Fatal Python error" in done.stderr):
        pytest.skip("Python itself does not start with so little")
    assert "Traceback" not in done.stdout + done.stderr, done
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("kind", "limit"),
    share([(resource.RLIMIT_NOFILE, number) for number in range(4, 16)], 0)
    + share([(resource.RLIMIT_AS, megabytes << 20) for megabytes in (30, 36, 42, 48, 60)], 0),
)
def test_hardly_any_descriptors_or_memory(lab: Lab, kind: int, limit: int) -> None:
    """Wherever they end: in the imports, in the work, in the handler."""
    outcome = cold(lab, "check", "127.0.0.1:1", "--json", kind=kind, limit=limit)
    assert outcome.code == 1
    assert outcome.error["what"] and outcome.error["hint"], outcome


@pytest.mark.servers
@pytest.mark.parametrize("entries", [1, 2, 5, 9])
def test_an_up_that_fails_in_the_middle_is_partial_and_goes_on(lab: Lab, embedded: TestEngine, entries: int) -> None:
    lab.topology(embedded, ports=(lab.free_port(),), replicas=0)
    told = crash(lab, str(entries), "up", "--yes", "--json")
    assert (told.code, told.error["code"]) == (5, INTERNAL), told
    phases = [
        json.loads(line)["phase"] for line in (lab.state / "clusters/cache/journal.jsonl").read_text().splitlines()
    ]
    assert f"{phases.count('done')} step" in told.error["left"], (told.error, phases)
    assert "slotwright status" in told.error["hint"]
    again = lab.run("up", "--yes", "--json")
    assert (again.code, again.json["check"]["ok"]) == (0, True), again


def test_an_installation_that_is_not_whole(lab: Lab) -> None:
    (lab.folder / "click.py").write_text("raise ImportError('no click')\n")
    there = str(lab.folder)
    told = cold(lab, "list", "--json", PYTHONPATH=there)
    assert (told.code, told.error["code"], told.error["left"]) == (1, "not-installed", "nothing was changed")
    text = cold(lab, "list", PYTHONPATH=there)
    assert text.err.startswith("error: slotwright can't be loaded: ImportError: no click\n")
    assert "\n  next   " in text.err
