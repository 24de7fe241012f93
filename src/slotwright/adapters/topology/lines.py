"""YAML text to plain values, with the line of every key and item kept for the messages.

The text is composed to ruamel's node tree (its round-trip loader, YAML 1.2) and turned into values here, for
three reasons: every duplicate key is found and not only the first, numbers keep the text that was written
(``0.10`` in ``settings`` must reach the server as ``0.10``), and an alias costs nothing, however often used.

No message quotes a value: the file may hold a password.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from slotwright.errors import InputError, Problem

KeyPath = tuple[str | int, ...]
"""The way to a value: keys and positions, as ``("hosts", 0, "ports")``."""

_CORE_TAG = "tag:yaml.org,2002:"
_KNOWN_TAGS = {"str", "timestamp", "value", "merge", "int", "float", "bool", "null", "map", "seq"}
_BASES = {"0x", "0o", "0b"}
_INIT_HINT = "`slotwright init` writes a commented one"


class WrittenInt(int):
    """A whole number that knows its ``text`` in the file."""

    text: str

    def __new__(cls, text: str) -> WrittenInt:
        """From a YAML integer; :class:`ValueError` when it is none."""
        bare = text.replace("_", "")
        self = super().__new__(cls, int(bare, 0) if bare.lstrip("+-")[:2].lower() in _BASES else int(bare))
        self.text = text
        return self


class WrittenFloat(float):
    """A number with a fraction that knows its ``text`` in the file."""

    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        """From a YAML float; :class:`ValueError` when it is none."""
        self = super().__new__(cls, text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan").lower())
        self.text = text
        return self


@dataclass(frozen=True, slots=True)
class Document:
    """One topology file: its ``data`` as plain values, and what is wrong with its keys and tags already.

    A key that stands twice keeps its first value; each further one is a problem in ``problems``.
    """

    where: str
    data: dict[str, object]
    problems: tuple[tuple[int, Problem], ...]
    root: Node

    def line(self, path: KeyPath) -> int:
        """The line of the key or item at ``path``, or of the nearest thing around it; counted from 1."""
        node, line = self.root, self.root.start_mark.line
        for part in path:
            step = _step(node, part)
            if step is None:
                break
            line, node = step
        return int(line) + 1

    def place(self, path: KeyPath) -> str:
        """``cluster.yaml:7``; without a line for the empty path, which means the whole file."""
        return f"{self.where}:{self.line(path)}" if path else self.where


def read_document(text: str, where: str) -> Document:
    """The values of a YAML text whose top level is a mapping.

    Raises :class:`InputError`: ``topology-not-yaml`` (with line and column), ``topology-empty`` or
    ``topology-not-mapping``.
    """
    root = _compose(text, where)
    if root is None or _is_null(root):
        raise InputError(f"{where} is empty", code="topology-empty", where=where, hint=_INIT_HINT)
    if not isinstance(root, MappingNode):
        raise InputError(
            f"{where} does not hold keys and values",
            code="topology-not-mapping",
            where=f"{where}:{root.start_mark.line + 1}",
            hint="start with `name: cache`; `slotwright init` writes a whole file",
        )
    reading = _Reading(where)
    try:
        data = reading.mapping(root)
    except RecursionError:
        raise _not_yaml(where, _TOO_DEEP) from None
    return Document(where, data, tuple(reading.problems), root)


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and str(node.tag) == _CORE_TAG + "null"


def _step(node: Node, part: str | int) -> tuple[int, Node] | None:
    """Line and value of the child ``part`` of ``node``, if there is one."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == part:
                return key.start_mark.line, value
    elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        child = node.value[part]
        return child.start_mark.line, child
    return None


class _Reading:
    """Turns nodes into values; remembers what it has read, so an alias (even to itself) is read once."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.problems: list[tuple[int, Problem]] = []
        self._read: dict[int, object] = {}

    def value(self, node: Node) -> object:
        if id(node) in self._read:
            return self._read[id(node)]
        self._refuse_strange_tag(node)
        if isinstance(node, MappingNode):
            return self.mapping(node)
        if isinstance(node, SequenceNode):
            items: list[object] = []
            self._read[id(node)] = items
            items.extend(self.value(child) for child in node.value)
            return items
        value = self._read[id(node)] = _scalar(node)
        return value

    def mapping(self, node: MappingNode) -> dict[str, object]:
        values: dict[str, object] = {}
        self._read[id(node)] = values
        for key, child in self._entries(node):
            values[key] = self.value(child)
        return values

    def _entries(self, node: MappingNode) -> Iterator[tuple[str, Node]]:
        """The keys as texts with their values; whatever is no such entry becomes a problem."""
        first: dict[str, int] = {}
        for key, child in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._problem(line, "a key must be a text", "write `key: value`")
            elif key.value in first:
                self._problem(line, f"duplicate key '{key.value}'", f"it is on line {first[key.value]} already")
            else:
                first[key.value] = line
                yield str(key.value), child

    def _refuse_strange_tag(self, node: Node) -> None:
        name = str(node.tag).removeprefix(_CORE_TAG)
        if name not in _KNOWN_TAGS:
            self._problem(node.start_mark.line + 1, f"the tag '{name}' is not used here", "remove it")

    def _problem(self, line: int, what: str, hint: str) -> None:
        self.problems.append((line, Problem(what, f"{self.where}:{line}", hint)))


def _scalar(node: Node) -> object:
    text = str(node.value)
    name = str(node.tag).removeprefix(_CORE_TAG)
    if name == "null":
        return None
    if name == "bool":
        return text.lower() == "true"
    try:
        if name == "int":
            return WrittenInt(text)
        return WrittenFloat(text) if name == "float" else text
    except ValueError:
        return text


def _compose(text: str, where: str) -> Node | None:
    """The node tree, None for a text without any; :class:`InputError` when it is not YAML.

    The parser's own errors and warnings quote lines of the file, so they are neither chained nor let through.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree: Any = YAML(typ="rt", pure=True).compose(text)
            return tree if isinstance(tree, Node) else None
    except MarkedYAMLError as error:
        fault = _marked(error)
    except ReaderError as error:
        fault = _unreadable_character(text, error)
    except RecursionError:
        fault = _TOO_DEEP
    except YAMLError:
        fault = _Fault("the text can't be understood")
    raise _not_yaml(where, _with_wide_punctuation(fault, text)) from None


_WIDE = str.maketrans("\uff1a\uff0c\uff3b\uff3d\uff5b\uff5d\u201c\u201d\u2018\u2019\uff03\u3000", ":,[]{}\"\"''# ")
"""Punctuation of Chinese and Japanese keyboards, and typographic quotes: text to YAML."""


def _with_wide_punctuation(fault: _Fault, text: str) -> _Fault:
    """The first of it up to the fault is most likely the cause. No more of the text is quoted."""
    lines = text.splitlines()[: fault.line or None]
    for number, line in enumerate(lines, 1):
        wide = next((sign for sign in line.partition("#")[0] if ord(sign) in _WIDE), None)
        if wide is not None:
            plain = wide.translate(_WIDE)
            instead = "a plain blank" if plain == " " else plain
            return replace(
                fault,
                what=f"{fault.what}; line {number} has the full-width or typographic sign {wide}"
                if wide != "\u3000"
                else f"{fault.what}; line {number} has a full-width blank",
                hint=f"write {instead} there",
            )
    return fault


@dataclass(frozen=True, slots=True)
class _Fault:
    what: str
    hint: str = ""
    line: int = 0
    column: int = 0


_TOO_DEEP = _Fault("lists or mappings are nested too deep")


def _not_yaml(where: str, fault: _Fault) -> InputError:
    return InputError(
        f"{where} is not YAML: {fault.what}",
        code="topology-not-yaml",
        where=f"{where}:{fault.line}:{fault.column}" if fault.line else where,
        hint=fault.hint,
    )


# What the parser says (a pattern), what we say, the hint, and whether the fault is where the construct began.
_WORDS: tuple[tuple[str, str, str, bool], ...] = (
    (r"character '\\t'", "a tab is used to indent", "use spaces", False),
    (
        r"character '(.)' that cannot start",
        "a value can't start with this character",
        "put the value in quotes",
        False,
    ),
    (
        r"mapping values are not allowed",
        "a ':' is not expected here",
        "check the indentation, or put a text that holds ': ' in quotes",
        False,
    ),
    (
        r"expected ',' or '\]'",
        "a list '[' is not closed properly",
        "separate items by ',' and end with ']'",
        True,
    ),
    (
        r"expected ',' or '\}'",
        "a mapping '{' is not closed properly",
        "separate items by ',' and end with '}'",
        True,
    ),
    (r"unexpected end of stream", "a quoted text is not closed", "add the closing quote", True),
    (
        r"another document",
        "the file holds more than one document",
        "remove what follows '---' or '...'",
        False,
    ),
    (r"undefined alias", "a value that starts with '*' names nothing", "put the value in quotes", False),
    (r"could not find expected ':'", "a ':' is missing after a key", "write `key: value`", True),
    (r"expected <block end>", "the line does not fit the lines above it", "check the indentation", False),
)


def _marked(error: MarkedYAMLError) -> _Fault:
    text = str(error.problem or error.context or "")
    for pattern, what, hint, at_start in _WORDS:
        if re.search(pattern, text):
            mark = (error.context_mark if at_start else None) or error.problem_mark
            return _Fault(what, hint, *_position(mark))
    unquoted = re.sub(r"'[^']{2,}'|\"[^\"]{2,}\"", "a text", text)
    return _Fault(unquoted or "the text can't be understood", "", *_position(error.problem_mark))


def _position(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark is not None else (0, 0)


def _unreadable_character(text: str, error: ReaderError) -> _Fault:
    before = text[: error.position]
    line_start = before.rfind("\n") + 1
    return _Fault(
        "a character that is not allowed in a text file",
        "remove it",
        before.count("\n") + 1,
        len(before) - line_start + 1,
    )
