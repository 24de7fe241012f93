"""The journal: a line an entry, on disk before the next thing happens."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from slotwright.adapters.journal import FileJournal
from slotwright.errors import HostError


def entries(path: Path) -> list[dict[str, object]]:
    """As a reader takes them: lines that are no JSON are left out."""
    found = []
    for line in path.read_text().splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


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
