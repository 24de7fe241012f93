"""Words for users: which language, what is put in, and that the catalogues are those of the code."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Message as Entry

from slotwright.console import words
from slotwright.console.words import Message, user_language, words_in
from slotwright.features.deploy.sheet_texts import LANGUAGES, TEXTS
from tests.words.catalogues import KEYWORDS, PACKAGE, TEMPLATE, extracted, mo_bytes, po_path, po_text, read, updated

RISK = Message("Risk", "sheet")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN.UTF-8"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "C"),
        ({"LANG": "C", "LC_MESSAGES": "zh_CN"}, "zh_CN"),
        ({"LC_ALL": "zh_CN", "SLOTWRIGHT_LANG": "en"}, "en"),
        ({"LC_ALL": "zh_CN", "SLOTWRIGHT_LANG": ""}, "zh_CN"),
    ],
)
def test_the_language_of_the_user(environment: dict[str, str], language: str) -> None:
    assert user_language(environment) == language


@pytest.mark.parametrize("language", ["zh", "zh_CN", "zh-CN", "zh_CN.UTF-8", "zh_CN@pinyin"])
def test_one_catalogue_however_it_is_called(language: str) -> None:
    assert words_in(language).message(RISK) == "风险"


@pytest.mark.parametrize("language", ["en", "C", "POSIX", "", "zh_TW", "tlh", "../zh_CN", "_", "."])
def test_all_else_is_english(language: str) -> None:
    assert words_in(language).message(RISK) == "Risk"


def test_what_a_catalogue_lacks_is_english() -> None:
    chinese = words_in("zh_CN")
    assert chinese.gettext("no {what} has this text", what="catalogue") == "no catalogue has this text"
    assert chinese.pgettext("elsewhere", "Risk") == "Risk"


@pytest.mark.parametrize(
    ("language", "count", "text"),
    [("en", 1, "1 node"), ("en", 6, "6 nodes"), ("zh", 1, "1 个节点"), ("zh", 6, "6 个节点")],
)
def test_of_many_things(language: str, count: int, text: str) -> None:
    assert words_in(language).ngettext("{count} node", "{count} nodes", count=count) == text


def test_the_users_language_counts_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(words.VARIABLE, "zh_CN")
    assert words.pgettext("sheet", "Risk") == words.translated(RISK) == "风险"
    assert words.gettext("Nothing to take back.") == "无需回退。"
    monkeypatch.setenv(words.VARIABLE, "en")
    assert words.translated(RISK) == "Risk"


def test_the_template_is_up_to_date() -> None:
    """Else: make words."""
    assert po_text(extracted()) == TEMPLATE.read_bytes()


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_catalogues_are_up_to_date(language: str) -> None:
    """Else: make words."""
    assert po_text(updated(language)) == po_path(language).read_bytes()
    assert mo_bytes(updated(language)) == po_path(language).with_suffix(".mo").read_bytes()


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if name in KEYWORDS:
                yield node


def strange(tree: ast.AST) -> list[int]:
    """Lines where a text is no literal, or stands where the tool does not find it in every version of Python."""
    found = [call.lineno for call in calls(tree) if not all(map(is_text, call.args))]
    inside = [call.lineno for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for call in calls(node)]
    return found + inside


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_every_text_of_the_code_is_found() -> None:
    places = [path for path in PACKAGE.rglob("*.py") if path != Path(words.__file__)]
    found = {path.name: lines for path in places if (lines := strange(ast.parse(path.read_text())))}
    assert found == {}


@pytest.mark.parametrize(
    "code", ['gettext(f"{a}")', "gettext(text)", "w.ngettext('a', b, count=1)", "f\"{gettext('a')}\""]
)
def test_a_text_that_would_not_be_found(code: str) -> None:
    assert strange(ast.parse(code)) == [1]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def translations(entry: Entry) -> list[str]:
    strings = [entry.string] if isinstance(entry.string, str) else list(entry.string)
    return [text for text in strings if text]


@pytest.mark.parametrize("language", words.TRANSLATED)
def test_a_translation_has_the_fields_and_the_code_of_its_text(language: str) -> None:
    for entry in read(language):
        english = entry.id if isinstance(entry.id, str) else entry.id[-1]
        for text in translations(entry) if english else []:
            assert fields(text) == fields(english), english
            assert text.count("`") == english.count("`"), english


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_the_sheet_is_whole_in_each_of_its_languages(language: str) -> None:
    in_english = [key for key, text in TEXTS.items() if words_in(language).message(text, **_any(text)) == text.text]
    assert in_english == []


def _any(text: Message) -> dict[str, str]:
    return {name: f"{{{name}}}" for name in fields(text.text)}
