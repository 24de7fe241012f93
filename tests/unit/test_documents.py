"""Documents stay true: links lead somewhere, both languages say the same, and what is named exists."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from slotwright.cli.main import VERBS, main
from slotwright.cluster.formats import KNOWN, FileKind

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md")])
CHINESE = ROOT / "docs/zh-CN"
PAIRS = [(ROOT / "README.md", ROOT / "README.zh-CN.md")] + [
    (ROOT / "docs" / page.name, page) for page in sorted(CHINESE.glob("*.md"))
]
RECORDS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
FORMS = [form for form in sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")) if form.name != "config.yml"]

_FENCE = re.compile(r"^```[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_NAMED = re.compile(r"(?<![\w/.~-])(?:tests|bench|docs)/[\w./*-]*[\w*/]")
_MACHINE = re.compile(r"(?<![\w.~$}-])/(?:work|root|home|Users|mnt|workspace|builds?)/")
_COMMAND = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/|~/slotwright/bin/)?slotwright (.+)$", re.MULTILINE)
_QUOTED_COMMAND = re.compile(r"`slotwright ([^`]+)`")


@dataclass(frozen=True)
class Page:
    """A document, with its code taken apart from its text."""

    prose: str
    blocks: tuple[str, ...]

    @property
    def levels(self) -> list[int]:
        return [len(sign) for sign, _ in _HEADING.findall(self.prose)]

    @property
    def tables(self) -> list[tuple[int, int]]:
        """Rows and columns of each table, in their order."""
        found = re.findall(r"(?:^\|.*\n)+", self.prose + "\n", re.MULTILINE)
        return [(table.count("\n"), len(_cells(table.splitlines()[0]))) for table in found]

    @property
    def bullets(self) -> int:
        return len(re.findall(r"^- ", self.prose, re.MULTILINE))

    @property
    def anchors(self) -> set[str]:
        seen: dict[str, int] = {}
        for _, title in _HEADING.findall(self.prose):
            plain = _LINK.sub("", title) if title.startswith("[") else title
            slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
            seen[slug] = seen.get(slug, -1) + 1
        return {
            slug if number == 0 else f"{slug}-{number}" for slug, last in seen.items() for number in range(last + 1)
        }


@cache
def read(path: Path) -> Page:
    text = path.read_text()
    return Page(_FENCE.sub("", text), tuple(_FENCE.findall(text)))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip())[1:-1]]


def _without_comments(block: str) -> str:
    return re.sub(r"(?m)(?:^|\s+)#[ ].*$", "", block)


def _leads_somewhere(path: Path, link: str) -> bool:
    target, _, anchor = link.partition("#")
    file = (path.parent / target).resolve() if target else path
    if not file.exists() or not file.is_relative_to(ROOT):
        return False
    return not anchor or (file.suffix == ".md" and anchor in read(file).anchors)


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    links = _LINK.findall(re.sub(r"`[^`\n]*`", "", read(path).prose))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in relative if not _leads_somewhere(path, link)] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_named_path_exists(path: Path) -> None:
    """Of tests, benchmarks and documents alone: documents name modules by the tree of docs/architecture.md."""
    named = {found for found in _NAMED.findall(path.read_text()) if "NAME" not in found}
    assert sorted(each for each in named if not any(ROOT.glob(each.rstrip("/")))) == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_path_of_somebodys_machine(path: Path) -> None:
    assert _MACHINE.findall(path.read_text()) == []


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "README.zh-CN.md"], ids=name)
def test_each_verb_stands_once_in_the_table_of_verbs(path: Path) -> None:
    rows = (_cells(line) for line in read(path).prose.splitlines() if line.startswith("|"))
    words = [re.match(r"`(\S+?)[ `]", row[1]) for row in rows if len(row) == 3]
    assert sorted(word[1] for word in words if word) == sorted(VERBS)


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=lambda path: name(path))
def test_both_languages_have_the_same_parts(english: Path, chinese: Path) -> None:
    one, other = read(english), read(chinese)
    assert one.levels == other.levels
    assert one.tables == other.tables
    assert one.bullets == other.bullets


@pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=lambda path: name(path))
def test_both_languages_show_the_same_code(english: Path, chinese: Path) -> None:
    one, other = read(english).blocks, read(chinese).blocks
    assert [_without_comments(block) for block in one] == [_without_comments(block) for block in other]


def test_the_first_two_commands_are_the_first_that_a_reader_sees() -> None:
    block = read(ROOT / "README.md").blocks[0]
    assert [_without_comments(line) for line in block.splitlines()] == ["make demo", "make test"]


def commands(path: Path) -> Iterator[str]:
    page = read(path)
    for block in page.blocks:
        yield from _COMMAND.findall(block)
    yield from _QUOTED_COMMAND.findall(page.prose)


def options_of(verb: str) -> set[str]:
    command = main.get_command(click.Context(main), verb)
    assert command is not None
    context = click.Context(command)
    below = command.list_commands(context) if isinstance(command, click.Group) else []
    parts = [command, *(command.get_command(context, each) for each in below)]
    own = itertools.chain.from_iterable(
        [*option.opts, *option.secondary_opts] for part in parts if part for option in part.params
    )
    return {*own, "--help", "-h"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_every_command_has_its_verb_and_its_options(path: Path) -> None:
    unknown = []
    for line in commands(path):
        verb, *words = re.split(r" -- |[|;>#(]|\s{3,}", line)[0].split()
        if verb.startswith("-") or verb in ("VERB", "命令"):
            continue
        asked = {word.rstrip(",").split("=")[0] for word in words if word.startswith("--")}
        if verb not in VERBS or asked - options_of(verb):
            unknown.append(line)
    assert unknown == []


def test_records_of_decisions_are_numbered_without_a_gap() -> None:
    assert [int(record.name[:4]) for record in RECORDS] == list(range(1, len(RECORDS) + 1))


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_all_of_its_parts_and_its_line_in_the_index(record: Path) -> None:
    text = record.read_text()
    title = re.match(r"# (\d{4})\. (.+)\n", text)
    date = re.search(r"^- Date: (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)
    status = re.search(r"^- Status: (proposed|accepted|superseded)", text, re.MULTILINE)
    assert title and date and status
    assert title[1] == record.name[:4]
    assert [part for _, part in _HEADING.findall(text)][1:] == ["Context", "Decision", "Consequences"]
    line = f"| [{title[1]}]({record.name}) | {title[2]} | {date[1]} | {status[1]} |"
    assert line in (ROOT / "docs/decisions/README.md").read_text().splitlines()


def test_records_are_in_the_order_of_their_dates() -> None:
    dates = [re.findall(r"^- Date: (.+)$", record.read_text(), re.MULTILINE)[0] for record in RECORDS]
    assert dates == sorted(dates)


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path)


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one(form: Path) -> None:
    content = load(form)
    assert content["name"] and content["description"]
    asked = [field for field in content["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in asked} <= {"input", "textarea", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in asked)
    ids = [field["id"] for field in asked]
    assert len(ids) == len(set(ids)) and len(ids) > 0


def test_hooks_take_their_programs_from_the_environment_and_fetch_nothing() -> None:
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = [hook for repository in repositories for hook in repository["hooks"]]
    assert {repository["repo"] for repository in repositories} == {"local"}
    assert all(hook["language"] == "system" and hook["entry"].startswith(".venv/bin/") for hook in hooks)
    checked = (ROOT / "Makefile").read_text()
    for program in ("ruff format", "ruff check", "mypy", "lint-imports"):
        assert any(hook["entry"].startswith(f".venv/bin/{program}") for hook in hooks)
        assert f"$(BIN)/{program}" in checked


def test_the_table_of_formats_is_that_of_the_code() -> None:
    names = {
        "record.json": FileKind.RECORD,
        "rebuild.json": FileKind.REBUILD,
        "copies.json": FileKind.COPIES,
        "baseline.json": FileKind.BASELINE,
        "journal.jsonl": FileKind.JOURNAL,
        "migration.json": FileKind.MIGRATION,
        "status.json": FileKind.MIGRATION_STATUS,
        "HOST-PORT.json": FileKind.SOURCE_CALLS,
        "manifest.json": FileKind.ARCHIVE,
        "slotwright.json": FileKind.MARKER,
        "process.json": FileKind.PROCESS,
        "CHANGE.plan": FileKind.PLAN,
    }
    assert set(names.values()) == set(FileKind)
    text = (ROOT / "docs/formats.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| (\d+) \| (\d+) \|", text, re.MULTILINE)
    known = [(name, KNOWN[kind]) for name, kind in names.items()]
    assert rows == [(name, str(formats.current), str(formats.oldest)) for name, formats in known]
