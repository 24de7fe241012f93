"""Directives that name a path or a program: one table, for what a file may say and for what a rehearsal leaves out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.adapters.topology.settings import decided_by_slotwright
from slotwright.server.path_directives import (
    NOT_REHEARSED,
    OWN_NAMES,
    TOUCHES,
    Touch,
    for_rehearsal,
    programs_of,
    split_words,
    why_no_name,
)


@pytest.mark.parametrize("name", [name for name, touch in TOUCHES.items() if touch is Touch.PLACE])
def test_a_place_that_nodes_would_share_is_refused_in_the_file(name: str) -> None:
    assert decided_by_slotwright(name) is not None


@pytest.mark.parametrize("name", sorted(NOT_REHEARSED))
def test_a_rehearsal_is_not_given_what_lies_outside_of_its_folder(name: str) -> None:
    assert for_rehearsal([("maxmemory", "1"), (name, "/srv/x")]).kept == (("maxmemory", "1"),)


def test_a_module_is_rehearsed_unless_it_is_told_of_a_path() -> None:
    plain = (("loadmodule", "/opt/a.so THREADS 4"), ("a.level", "7"), ("maxmemory", "1"))
    assert for_rehearsal(plain).kept == plain
    for told in (
        ("loadmodule", "/opt/b.so DB /srv/b"),
        ("loadmodule", '/opt/b.so "\\x2fsrv"'),
        ("loadmodule", "/opt/b.so .."),
        ("a.folder", "/srv/a"),
        ("search-ext-load", "/opt/c.so"),
        ("search-friso-ini", "/srv/words"),
        ("loadmodule", '/opt/b.so "never ends'),
    ):
        found = for_rehearsal((*plain, told, ("search-timeout", "5")))
        assert found.kept == (("maxmemory", "1"),), told
        assert "/opt/a.so" in found.modules


def test_what_is_only_read_is_rehearsed() -> None:
    settings = (("tls-cert-file", "/etc/ssl/a.crt"), ("dbfilename", "dump.rdb"), ("appenddirname", '"my log"'))
    assert for_rehearsal(settings).kept == settings


@pytest.mark.parametrize("value", ["..", ".", '"\\x2e\\x2e"', '".."', "a/b", "a b", '"a', "'..'", "x\\", '"a"b'])
def test_a_name_that_leads_elsewhere_is_none(value: str) -> None:
    assert why_no_name(value)
    assert for_rehearsal([("appenddirname", value)]).kept == ()


@pytest.mark.parametrize("name", [*OWN_NAMES, "server.log.rdb", "aside-1", ".server.conf.1.tmp"])
def test_a_name_that_is_taken_in_a_nodes_folder_is_none(name: str) -> None:
    assert why_no_name(name)


@pytest.mark.parametrize("value", ["dump.rdb", '"my dump.rdb"', "'my dump.rdb'", "..rdb", ".rdb", "übung.rdb"])
def test_a_plain_name_is_one(value: str) -> None:
    assert why_no_name(value) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ()),
        ("  a\tb ", ("a", "b")),
        ('"a b" c', ("a b", "c")),
        ('a"b c"', ("ab c",)),
        ('"\\x41\\n\\"\\\\"', ('A\n"\\',)),
        ("'it\\'s' '\\n'", ("it's", "\\n")),
        ("a\u00a0b", ("a\u00a0b",)),
        ('"a"b', None),
        ("'a", None),
    ],
)
def test_words_are_split_as_the_server_splits_them(text: str, words: tuple[str, ...] | None) -> None:
    assert split_words(text) == words


@given(st.text(st.sampled_from("ab /\\\"'x2e. \t"), max_size=20))
def test_any_line_is_split_or_refused(text: str) -> None:
    words = split_words(text)
    assert words is None or "".join(words).strip() or not text.strip(" \t") or set(text) & set("\"'")


def test_programs_of_a_configuration() -> None:
    conf = (
        'port 1\nLoadModule /a/b.so x\n"loadmodule" "/a b/c.so"\n# loadmodule /no.so\nsearch-ext-load /e.so\ndir /x\n'
    )
    assert programs_of(conf) == ("/a/b.so", "/a b/c.so", "/e.so")
    assert programs_of("\0\xff\nloadmodule\nloadmodule 'x\n") == ()
