"""The journal: a line an entry, on disk before the next thing happens."""

from __future__ import annotations

import json
import resource
import signal
from datetime import datetime
from pathlib import Path

import pytest

from slotwright import __version__
from slotwright.adapters.files import make_own_directory
from slotwright.adapters.state.journal import FileJournal, read_journal
from slotwright.errors import HostError, RefusedError
from slotwright.ops.journal_read import parse_journal


def entries(path: Path) -> list[dict[str, object]]:
    """As a reader takes them: lines that are no JSON are left out, and so is the one that tells the format."""
    return list(parse_journal(path.read_text()))


def test_entries_stand_in_order_each_with_its_time(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "intent", "step": "create"})
    journal.write({"phase": "done", "step": "create"})
    journal.close()
    found = entries(tmp_path / "j")
    assert [entry["phase"] for entry in found] == ["intent", "done"]
    assert datetime.fromisoformat(str(found[0]["at"])).tzinfo is not None


def test_an_entry_is_there_before_the_journal_is_closed(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "intent"})
    assert len(entries(tmp_path / "j")) == 1
    journal.close()


def test_nothing_is_made_before_the_first_entry(tmp_path: Path) -> None:
    FileJournal(tmp_path / "a" / "j").close()
    assert list(tmp_path.iterdir()) == []


def test_it_is_private_and_so_is_its_folder(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "a" / "j")
    journal.write({})
    journal.close()
    modes = [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "a", tmp_path / "a" / "j")]
    assert modes == ["0o700", "0o600"]


def test_a_second_run_goes_on_below_the_first(tmp_path: Path) -> None:
    for phase in ("first", "second"):
        journal = FileJournal(tmp_path / "j")
        journal.write({"phase": phase})
        journal.close()
    assert [entry["phase"] for entry in entries(tmp_path / "j")] == ["first", "second"]


def test_an_entry_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "j")
    journal.write({"what": "two\nlines ☃"})
    journal.close()
    assert [entry["what"] for entry in entries(tmp_path / "j")] == ["two\nlines ☃"]


def test_a_line_that_a_crash_cut_short_costs_itself_alone(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"phase": "begin"}\n{"phase": "int')
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "after"})
    journal.close()
    assert [entry["phase"] for entry in entries(tmp_path / "j")] == ["begin", "after"]


def test_closing_twice_and_writing_again(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "a"})
    journal.close()
    journal.close()
    journal.write({"phase": "b"})
    journal.close()
    assert [entry["phase"] for entry in entries(tmp_path / "j")] == ["a", "b"]


def test_a_journal_that_can_t_be_written_is_the_host_s_fault(tmp_path: Path) -> None:
    (tmp_path / "j").mkdir()
    with pytest.raises(HostError, match="can't write"):
        FileJournal(tmp_path / "j").write({})


def test_a_new_journal_begins_with_its_format(tmp_path: Path) -> None:
    for phase in ("first", "second"):
        journal = FileJournal(tmp_path / "j")
        journal.write({"phase": phase})
        journal.close()
    lines = (tmp_path / "j").read_text().splitlines()
    assert json.loads(lines[0]) == {"phase": "format", "format": 1, "slotwright": __version__}
    assert len(lines) == 3


def test_a_journal_of_a_release_that_wrote_no_format_just_goes_on(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"at": "2026-11-30T00:00:00.000+00:00", "phase": "begin", "verb": "up"}\n')
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "end", "verb": "up"})
    journal.close()
    assert [entry["phase"] for entry in map(json.loads, (tmp_path / "j").read_text().splitlines())] == ["begin", "end"]


LATER = '{"phase": "format", "format": 2, "slotwright": "0.9"}\n'


@pytest.mark.parametrize("text", [LATER, '{"phase": "begin"}\n' + LATER, '{"phase": "format", "format": "x"}\n'])
def test_a_journal_of_a_later_format_is_refused_before_anything_is_done(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cache" / "journal.jsonl"
    make_own_directory(path.parent)
    path.write_text(text)
    path.chmod(0o600)
    for use in (FileJournal, read_journal):
        with pytest.raises(RefusedError, match="the journal of cache was written by") as caught:
            use(path)
        assert (caught.value.code, caught.value.where) == ("format-newer", str(path))
    assert path.read_text() == text


def test_a_step_that_is_called_format_is_no_format(tmp_path: Path) -> None:
    (tmp_path / "j").write_text('{"phase": "intent", "step": "x", "format": 7}\n{"phase": "format"\n["format"]\n')
    (tmp_path / "j").chmod(0o600)
    assert [entry["phase"] for entry in parse_journal(read_journal(tmp_path / "j"))] == ["intent"]


def test_a_line_that_a_full_disk_cut_short_takes_no_later_entry_with_it(tmp_path: Path) -> None:
    journal = FileJournal(tmp_path / "j")
    journal.write({"phase": "intent", "step": "a"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    usual = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "j").stat().st_size + 20, hard))
        with pytest.raises(HostError):
            journal.write({"phase": "done", "step": "a"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, usual)
    journal.write({"phase": "intent", "step": "b"})
    journal.close()
    steps = [(entry["phase"], entry["step"]) for entry in parse_journal(read_journal(tmp_path / "j"))]
    assert steps == [("intent", "a"), ("intent", "b")]
