"""The JSON Schema of all answers, made from the output types, and what it promises to programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from slotwright.console.error_output import ErrorAnswerOutput, ProgressOutput
from slotwright.console.json import FORMAT
from slotwright.console.output import Output
from tests.unit.output.cases import LINES, VERBS

Schema = Mapping[str, Any]

_SUFFIX = "Output"
_REF = re.compile(r"#/\$defs/(\w+)")
_WORDS = {"integer": "whole number", "string": "string", "number": "number", "boolean": "boolean", "null": "null"}
_FREE = re.compile(r"preflight\.hosts\[\]\.(?!host:|system|memory|clock_ahead_s)")
"""docs/json.md promises no more of a host."""


def schema() -> dict[str, Any]:
    """``verbs`` has a schema for what each verb writes to stdout, ``progress`` one for a line of stderr."""
    types = [*{answer: None for answers in VERBS.values() for answer in answers}, ErrorAnswerOutput, ProgressOutput]
    refs, found = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    ref_of = dict(zip(types, refs, strict=True))
    error = _versioned(ref_of[ErrorAnswerOutput])
    made = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"slotwright --json, format {FORMAT}",
        "verbs": {
            verb: {"anyOf": [*(_written(answer, ref_of) for answer in VERBS[verb]), error]} for verb in sorted(VERBS)
        },
        "progress": ref_of[ProgressOutput],
        "$defs": {name: found[name] for name in sorted(found)},
    }
    return _without_suffix(made)


def _written(answer: type[Output], ref_of: Mapping[type[Output], Any]) -> dict[str, Any]:
    ref = ref_of[answer]
    return dict(ref) if answer in LINES else _versioned(ref)


def _versioned(ref: Schema) -> dict[str, Any]:
    return {**ref, "properties": {"format": {"const": FORMAT}}, "required": ["format"]}


def _without_suffix(made: dict[str, Any]) -> dict[str, Any]:
    """The names of the types as readers know them: nobody needs to learn that they are outputs."""
    text = re.sub(rf'(#/\$defs/\w+?|"title": "\w+?){_SUFFIX}"', r'\1"', json.dumps(made))
    plain: dict[str, Any] = json.loads(text, object_hook=_null_last)
    plain["$defs"] = {name.removesuffix(_SUFFIX): kind for name, kind in plain["$defs"].items()}
    for kind in plain["$defs"].values():
        kind["description"] = " ".join(kind["description"].split())
    return plain


def _null_last(kind: dict[str, Any]) -> dict[str, Any]:
    """Releases of msgspec differ in the order."""
    if "anyOf" in kind:
        kind["anyOf"].sort(key=lambda each: each.get("type") == "null")
    return kind


def type_of(kind: Schema, link: Callable[[str], str] = str) -> str:
    """A field's type in words; ``link`` shows the name of a type."""
    if "$ref" in kind:
        return link(name_of(kind))
    if "anyOf" in kind:
        return " or ".join(type_of(each, link) for each in kind["anyOf"])
    if kind["type"] == "array":
        return f"list of {type_of(kind['items'], link)}"
    if kind["type"] == "object":
        return f"object of {type_of(kind['additionalProperties'], link)}"
    return _WORDS[kind["type"]]


def name_of(ref: Schema) -> str:
    """The name of the type that is referred to."""
    found = _REF.fullmatch(ref["$ref"])
    assert found is not None
    return found[1]


def promises(made: Schema) -> set[str]:
    """Every field that a program may rely on, by its path: ``status.nodes[].id: string, always``."""
    starts = [(verb, answer) for verb, answers in made["verbs"].items() for answer in answers["anyOf"]]
    lines = {line for verb, answer in starts for line in _fields(made, answer, verb)}
    lines |= set(_fields(made, made["progress"], "progress"))
    return {line for line in lines if not _FREE.match(line)}


def _fields(made: Schema, kind: Schema, path: str) -> Iterator[str]:
    if "$ref" not in kind:
        for step, below in _below(kind):
            yield from _fields(made, below, path + step)
        return
    target = made["$defs"][name_of(kind)]
    for name, field in target.get("properties", {}).items():
        there = "always" if name in target["required"] else "sometimes"
        yield f"{path}.{name}: {_shape(field)}, {there}"
        yield from _fields(made, field, f"{path}.{name}")


def _below(kind: Schema) -> Iterator[tuple[str, Schema]]:
    """What is inside, with what is added to the path."""
    yield from (("", each) for each in kind.get("anyOf", ()))
    if "items" in kind:
        yield "[]", kind["items"]
    if isinstance(kind.get("additionalProperties"), dict):
        yield "{}", kind["additionalProperties"]


def _shape(kind: Schema) -> str:
    """A type without the name that it has with us: that may change."""
    return type_of(kind, lambda _: "object")
