"""Which format a file has, whether this release reads it, and what is said where it doesn't."""

from __future__ import annotations

import json

import pytest

from slotwright import __version__
from slotwright.cluster import formats
from slotwright.cluster.formats import KNOWN, FileKind, FormatTag, KnownFormats, demand_known, head_of, tag_of
from slotwright.cluster.journal_format import format_line, format_tags, is_format_line
from slotwright.cluster.node_files import marker_text, renewed_marker
from slotwright.errors import ExitCode, RefusedError


@pytest.mark.parametrize("kind", FileKind)
def test_every_kind_has_a_number_and_what_is_written_can_be_read(kind: FileKind) -> None:
    assert KNOWN[kind].oldest <= KNOWN[kind].current
    assert tag_of(head_of(kind)) == FormatTag(KNOWN[kind].current, __version__)
    demand_known(kind, tag_of(head_of(kind)), "it", "there")


@pytest.mark.parametrize(
    ("content", "tag"),
    [
        ({}, FormatTag(1)),
        ({"stage": "formed"}, FormatTag(1)),
        ([], FormatTag(1)),
        (None, FormatTag(1)),
        ({"format": 3, "slotwright": "0.9"}, FormatTag(3, "0.9")),
        ({"format": 3, "slotwright": 9}, FormatTag(3)),
        ({"format": "3"}, FormatTag(None)),
        ({"format": True}, FormatTag(None)),
        ({"format": 1.0}, FormatTag(None)),
        ({"format": 0}, FormatTag(None)),
        ({"format": None}, FormatTag(None)),
        ({"format": 2, "slotwright": "1.0rc1+x-2"}, FormatTag(2, "1.0rc1+x-2")),
        ({"format": 2, "slotwright": "9" * 41}, FormatTag(2)),
        ({"format": 2, "slotwright": "\x1b[31m1.0"}, FormatTag(2)),
        ({"format": 2, "slotwright": "1.0\n"}, FormatTag(2)),
    ],
)
def test_what_a_file_says_of_itself(content: object, tag: FormatTag) -> None:
    assert tag_of(content) == tag


def refusal(tag: FormatTag) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        demand_known(FileKind.RECORD, tag, "the record of cache", "/s/record.json")
    return caught.value


def test_a_newer_format_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "__version__", "0.5")
    monkeypatch.setattr(formats, "KNOWN", {FileKind.RECORD: KnownFormats(2)})
    error = refusal(FormatTag(3, "0.9"))
    assert error.what == (
        "the record of cache was written by slotwright 0.9 in format 3; this slotwright 0.5 knows up to 2"
    )
    assert (error.code, error.exit_code, error.where) == ("format-newer", ExitCode.REFUSED, "/s/record.json")
    assert (error.left, error.hint) == ("nothing was changed", "use slotwright 0.9 or newer")
    demand_known(FileKind.RECORD, FormatTag(1), "it", "there")
    demand_known(FileKind.RECORD, FormatTag(2, "0.9"), "it", "there")


def test_a_format_that_is_read_no_more_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "KNOWN", {FileKind.RECORD: KnownFormats(3, 2)})
    error = refusal(FormatTag(1))
    assert error.code == "format-older"
    assert f"this slotwright {__version__} reads from 2 on" in error.what
    assert error.hint == "use the slotwright that wrote it, or a release after it that still reads this format"


def test_what_is_no_number_is_not_guessed_at() -> None:
    error = refusal(FormatTag(None))
    assert error.code == "format-newer"
    assert "was written by another slotwright in a format that is no number" in error.what
    assert error.hint == "use the slotwright that wrote it or newer"


def test_a_journal_says_its_format_in_lines_of_its_own() -> None:
    assert is_format_line(json.loads(format_line()))
    later = '{"phase": "format", "format": 2, "slotwright": "0.9"}'
    step = '{"phase": "intent", "step": "x", "format": 9}'
    assert list(format_tags("\n".join((format_line(), step, "", "[]", '{"phase": "format', later)))) == [
        FormatTag(1, __version__),
        FormatTag(2, "0.9"),
    ]
    assert list(format_tags("")) == []


@pytest.mark.parametrize("old", ["", "no json", "[]", '{"cluster_id": "c2", "later": 1}', '{"later": 1}'])
def test_a_marker_takes_nothing_from_what_is_not_of_its_cluster(old: str) -> None:
    new = marker_text("c1", "cache", "n1")
    assert renewed_marker(old, new) == new


def test_a_marker_keeps_fields_that_this_release_does_not_know() -> None:
    old = json.dumps({"later": 1, "cluster_id": "c1", "name": "old", "format": 1, "slotwright": "0.0.1"})
    made = json.loads(renewed_marker(old, marker_text("c1", "cache")))
    assert made == {**head_of(FileKind.MARKER), "cluster_id": "c1", "name": "cache", "later": 1}
