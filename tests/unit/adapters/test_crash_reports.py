"""What a report of a crash says, and what it never does."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from slotwright import __version__
from slotwright.adapters.state.crash_reports import (
    MOST_FRAMES,
    MOST_REPORTS,
    Crash,
    keep_report,
    message_of,
    place_of,
    report_text,
)
from slotwright.cluster.secret import Secret
from slotwright.errors import HostError
from slotwright.server.integers import parse_integer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def raised(work: Callable[[], object]) -> BaseException:
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def unreadable() -> None:
    value = "a value that stands in a variable"
    try:
        parse_integer("no-integer")
    except ValueError as error:
        raise KeyError("no such node") from error
    raise AssertionError(value)


def text_of(error: BaseException, **more: object) -> str:
    return report_text(Crash(error, "check", 1, **more), NOW)  # type: ignore[arg-type]


def test_it_says_what_ran_where_and_how_it_failed() -> None:
    text = text_of(raised(unreadable), left="nothing was changed")
    lines = text.splitlines()
    assert lines[0] == f"slotwright {__version__} failed in a way that it does not know"
    assert "verb       check" in lines
    assert "left       nothing was changed" in lines
    assert any(line.startswith("python     3.") for line in lines)
    assert any("redis " in line and "hiredis " in line for line in lines if line.startswith("libraries"))
    # The first cause first, each with its frames: file, line, function.
    at = lines.index("ValueError: not a number of 64 bits: 'no-integer'")
    assert lines[at + 2].startswith("  slotwright/server/integers.py:") and lines[at + 2].endswith(" in parse_integer")
    assert lines.index("KeyError: 'no such node'") > at
    assert "a value that stands in a variable" not in text


def test_no_secret_argument_or_path_of_the_machine_is_in_it() -> None:
    Secret("hunter2-hunter2")
    error = ValueError("hunter2-hunter2 at redis://bob:pw@h1 of my-cluster \x1b[2J\nnext")
    text = text_of(error, arguments=("my-cluster",), left="started my-cluster")
    for forbidden in (
        "hunter2",
        "bob:pw",
        "my-cluster",
        "\x1b",
        os.environ.get("PATH", "\0"),
        str(Path(__file__).parent),
    ):
        assert forbidden not in text
    assert "ValueError: *** at redis://***@h1 of <argument> \\x1b[2J\\nnext" in text


def test_groups_show_their_members_and_deep_traces_their_ends() -> None:
    def dive(depth: int) -> None:
        if depth:
            dive(depth - 1)
        raise RecursionError("too deep")

    group = ExceptionGroup("two", [ValueError("first"), raised(lambda: dive(300))])
    lines = text_of(group).splitlines()
    assert "ValueError: first" in lines
    assert "RecursionError: too deep" in lines
    assert sum("dive" in line for line in lines) <= MOST_FRAMES
    assert any(line.startswith("  ... ") and line.endswith(" more") for line in lines)


def test_causes_that_go_in_a_circle_and_messages_that_fail() -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    one, other = MuteError(), ValueError("x" * 5000)
    one.__cause__, other.__cause__ = other, one
    text = text_of(one)
    assert "MuteError: (its message can't be made)" in text
    assert len(text) < 5000
    assert message_of(MuteError()) == "MuteError: (its message can't be made)"


def test_where_it_happened_is_the_innermost_line_of_ours() -> None:
    assert place_of(raised(lambda: parse_integer("x"))).startswith("slotwright/server/integers.py:")
    assert place_of(ValueError()) == ""


def test_tasks_and_threads_that_failed_besides() -> None:
    text = text_of(ValueError("one"), besides=(KeyError("other"),))
    assert (
        text.index("ValueError: one") < text.index("besides, in a task or a thread:") < text.index("KeyError: 'other'")
    )


def test_it_is_kept_for_its_owner_alone_and_the_oldest_go(tmp_path: Path) -> None:
    state = tmp_path / "state"
    kept = [keep_report(state, Crash(ValueError("x"), "up", 5)) for _ in range(MOST_REPORTS + 3)]
    assert stat.S_IMODE(kept[-1].stat().st_mode) == 0o600
    assert stat.S_IMODE(kept[-1].parent.stat().st_mode) == 0o700
    assert sorted(kept[-1].parent.iterdir()) == kept[3:]


def test_it_is_not_written_through_links_or_into_somebody_elses_folder(tmp_path: Path) -> None:
    state, elsewhere = tmp_path / "state", tmp_path / "elsewhere"
    state.mkdir()
    elsewhere.mkdir()
    (state / "crashes").symlink_to(elsewhere)
    with pytest.raises(HostError):
        keep_report(state, Crash(ValueError(), "up", 1))
    assert list(elsewhere.iterdir()) == []
    (state / "crashes").unlink()
    (state / "crashes").write_text("")
    with pytest.raises((HostError, OSError)):
        keep_report(state, Crash(ValueError(), "up", 1))
