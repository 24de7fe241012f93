"""Whether what a real run wrote is what its verb promises: every run of the command in a test is looked at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from slotwright.console.error_output import ErrorAnswerOutput
from slotwright.console.json import FORMAT
from tests.unit.output.cases import LINES, VERBS

_GROUPS = {"jobs": "jobs list", "client": "client KIND"}


def misfits(words: Sequence[str], out: str) -> list[str]:
    """Objects of ``out`` that are none of those that the verb writes; none where it has no `--json`, or is no JSON."""
    own = words[: words.index("--")] if "--" in words else words
    if "--json" not in own:
        return []
    return [json.dumps(found) for found in _objects(out) if not _fits(found, verb_of(own))]


def verb_of(words: Sequence[str]) -> str:
    """As it stands in ``VERBS``."""
    named = [word for word in words if not word.startswith("-")]
    path = " ".join(named[:2])
    return path if path in VERBS else _GROUPS.get(path.partition(" ")[0], path.partition(" ")[0])


def _objects(out: str) -> Iterator[Any]:
    """One over many lines, or one a line."""
    try:
        yield json.loads(out)
    except ValueError:
        for line in out.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                # Cut off, or no JSON at all: other tests say whether that may be.
                return


def _fits(fields: Any, verb: str) -> bool:
    if not isinstance(fields, dict):
        return False
    for kind in (*VERBS.get(verb, ()), ErrorAnswerOutput):
        bare = {name: value for name, value in fields.items() if name != "format"}
        if kind not in LINES and fields.get("format") != FORMAT:
            continue
        try:
            value = msgspec.convert(bare, kind, strict=True)
        except msgspec.ValidationError:
            continue
        if json.loads(json.dumps(msgspec.to_builtins(value))) == bare:
            return True
    return False
