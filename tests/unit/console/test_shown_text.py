"""What files and servers say reaches a terminal without anything that it would obey; what is ours stays as it is."""

from __future__ import annotations

import io

import pytest

from slotwright.cluster.events import Began, Ended, Event, Moved, Warned
from slotwright.console.errors import show_fields
from slotwright.console.progress import ProgressReporter
from slotwright.console.screen import folded, wrapped
from slotwright.console.streams import printable

HOSTILE = "\x1b]0;mine\x07a\r\u202eb\x9b2J"
HARMLESS = "\\x1b]0;mine\\x07a\\r\\u202eb\\x9b2J"


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


def test_what_a_terminal_would_obey_is_escaped_and_letters_stay() -> None:
    assert printable(HOSTILE) == HARMLESS
    assert printable("naïve 集群 ✓ → …") == "naïve 集群 ✓ → …"
    assert printable("/a\udcff\n") == "/a\\udcff\\n"


@pytest.mark.parametrize(
    "event", [Began("t", HOSTILE), Moved("t", HOSTILE), Ended("t", HOSTILE), Warned(HOSTILE), Warned("x", HOSTILE)]
)
@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_progress_obeys_nobody(event: Event, kind: type[io.StringIO]) -> None:
    stream = kind()
    with ProgressReporter(as_json=False, stream=stream) as progress:
        progress.report(event)
    shown = stream.getvalue()
    assert not any(sign in shown for sign in ("\x1b]", "\x07", "\u202e", "\x9b"))
    if isinstance(event, Ended | Warned):
        assert HARMLESS in shown and shown.count("\n") == 1


def test_a_warning_is_one_line() -> None:
    stream = io.StringIO()
    ProgressReporter(as_json=False, stream=stream).report(Warned("first\nsecond", "h1"))
    assert stream.getvalue() == "warning: h1: first second\n"


def test_an_error_obeys_nobody_and_its_lines_stay_apart(capsys: pytest.CaptureFixture[str]) -> None:
    fields = {"code": "stale-plan", "what": "it changed", "where": "h1", "hint": "look", "left": "rule 1\nrule 2"}
    show_fields({**fields, "seen": f"{HOSTILE}\n  next   rm -rf /"}, as_json=False)
    assert capsys.readouterr().err.splitlines() == [
        "error: it changed (h1)",
        f"  seen   {HARMLESS}",
        "           next   rm -rf /",
        "  left   rule 1",
        "         rule 2",
        "  next   look",
    ]


def test_folded_text_is_escaped_and_a_painted_title_is_not() -> None:
    assert wrapped("\x1b[33mrisk\x1b[0m", HOSTILE.replace("\r", " "), 2) == [
        f"  \x1b[33mrisk\x1b[0m{HARMLESS.replace(chr(92) + 'r', ' ')}"
    ]
    assert folded("a\n\tb\x1b[2J") == ["  a  b\\x1b[2J"]
