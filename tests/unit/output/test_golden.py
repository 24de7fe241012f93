"""What programs read stays as it is: every answer in JSON is held against a file that was written once.

A file that has to change is a change of the interface: docs/json.md says what is promised, and `FORMAT` goes up where
that is broken. A new field is none: add it to the file by hand.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
import pytest

from slotwright import __main__ as entry
from slotwright.cli import main as command
from slotwright.console import progress
from slotwright.console.error_output import ErrorAnswerOutput, ErrorOutput
from slotwright.console.errors import show_fields
from slotwright.console.json import FORMAT, print_json, print_json_line
from slotwright.console.output import Output
from tests.unit.output.cases import CASES, GOLDEN, LINES, OF_ALL_VERBS, VERBS, Case
from tests.unit.output.errors import ERRORS
from tests.unit.output.operations import EVENTS


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_what_it_was(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = CASES[name].make()
    for line in made if isinstance(made, Sequence) else ():
        print_json_line(line)
    if not isinstance(made, Sequence):
        print_json(made)
    assert capsys.readouterr().out == golden(name)


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_is_of_its_type_and_has_no_more(name: str) -> None:
    """Values are checked against the types of the fields: what fills them may be anything when it runs."""
    for fields in _objects(CASES[name], golden(name)):
        assert _as_written(fields, CASES[name].type) == fields


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_what_it_was_and_of_its_type(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    show_fields(ERRORS[name](), as_json=True)
    text = capsys.readouterr().out
    assert text == golden(name)
    fields = json.loads(text)
    assert fields.pop("format") == FORMAT
    assert _as_written(fields, ErrorAnswerOutput) == fields


def test_an_error_of_each_kind_has_its_golden_file() -> None:
    written = {field for name in ERRORS for field in json.loads(golden(name))["error"]}
    assert written == {field.encode_name for field in msgspec.structs.fields(ErrorOutput)}


def test_what_can_hardly_be_said_has_the_shape_of_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["slotwright", "status", "--json"])
        patch.setattr("slotwright.console.streams.silence", lambda _: None)
        entry._not_whole(ImportError("no msgspec"))
        command._barely(ValueError(), True)
    for line in capfd.readouterr().out.splitlines():
        fields = json.loads(line)
        assert fields.pop("format") == FORMAT
        assert _as_written(fields, ErrorAnswerOutput) == fields


def test_a_line_of_progress_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.time, "time", lambda: 1767225600.0374)
    stream = io.StringIO()
    with progress.ProgressReporter(as_json=True, stream=stream) as reporter:
        for event in EVENTS:
            reporter.report(event)
    assert stream.getvalue() == golden("progress")


def test_every_golden_file_has_its_case() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted([*CASES, *ERRORS])


def test_every_verb_has_its_answers_and_every_answer_its_golden_file() -> None:
    assert sorted(set(verbs_with_json(command.main, ""))) == sorted(VERBS)
    types = {answer for answers in VERBS.values() for answer in answers}
    assert types | {*OF_ALL_VERBS} == {case.type for case in CASES.values()} | {ErrorAnswerOutput}
    assert {case.type for case in CASES.values() if case.is_line} == {*LINES}


def verbs_with_json(verb: click.Command, path: str) -> Iterator[str]:
    """As they are typed; the kinds of clients, which have the same answer, as one."""
    if any(option.name == "as_json" for option in verb.params):
        is_kind = path.startswith("client ") and path not in ("client list", "client test")
        yield "client KIND" if is_kind else path
    if isinstance(verb, click.Group):
        context = click.Context(verb)
        for name in verb.list_commands(context):
            below = verb.get_command(context, name)
            assert below is not None
            yield from verbs_with_json(below, f"{path} {name}".strip())


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


def _objects(case: Case, text: str) -> list[dict[str, Any]]:
    if case.is_line:
        return [json.loads(line) for line in text.splitlines()]
    fields = json.loads(text)
    assert fields.pop("format") == FORMAT
    return [fields]


def _as_written(fields: dict[str, Any], kind: type[Output]) -> dict[str, Any]:
    """Read strictly and written again: what the type does not know is gone."""
    again = json.loads(json.dumps(msgspec.to_builtins(msgspec.convert(fields, kind, strict=True))))
    assert isinstance(again, dict)
    return again
