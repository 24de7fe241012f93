"""Write docs/json-schema.json and docs/json-types.md from the output types: `python -m tests.unit.output.document`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from slotwright.console.json import FORMAT
from tests.unit.output.schema import Schema, name_of, promises, schema, type_of

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "docs/json-schema.json"
PAGE = ROOT / "docs/json-types.md"

_HEAD = f"""# JSON, type by type

Made from the types in the code by `make json-doc`; what the fields mean is on [its own page](json.md). The same for
programs: [json-schema.json](json-schema.json), with a schema for each verb in `verbs`.

This is format {FORMAT}. Every answer begins with `"format": {FORMAT}`, which is in none of the tables; objects of
`watch`, of `logs -f` and of the progress have none. A field that is there *sometimes* is left out where it has nothing
to say.

## Verbs
"""


def schema_text() -> str:
    """The content of docs/json-schema.json."""
    return json.dumps(schema(), indent=1) + "\n"


def page_text() -> str:
    """The content of docs/json-types.md."""
    return "\n".join([_HEAD, *_verbs(schema()), *_types(schema())]) + "\n"


def _verbs(made: Schema) -> Iterator[str]:
    yield "| verb | writes |"
    yield "|---|---|"
    for verb, answers in made["verbs"].items():
        names = [name_of(answer) for answer in answers["anyOf"]]
        yield f"| `{verb}` | {', '.join(map(_link, names[:-1]))} |"
    yield ""
    yield f"Or, each of them, {_link('ErrorAnswer')}. Lines of progress: {_link(name_of(made['progress']))}."


def _types(made: Schema) -> Iterator[str]:
    yield "\n## Types"
    for name, kind in made["$defs"].items():
        yield f"\n### {name}\n\n{kind['description'].replace('``', '`')}\n\n| field | type | there |\n|---|---|---|"
        for field, below in kind["properties"].items():
            there = "always" if field in kind["required"] else "sometimes"
            yield f"| `{field}` | {type_of(below, _link)} | {there} |"


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def lost(before: Schema, after: Schema) -> list[str]:
    """What programs could rely on, and no more."""
    return sorted(promises(before) - promises(after))


def main() -> int:
    """Write both, unless that would take back a promise within one format."""
    before = json.loads(SCHEMA.read_text()) if SCHEMA.exists() else None
    if before is not None and before["title"] == schema()["title"] and (gone := lost(before, schema())):
        print("programs rely on these; FORMAT of console/json.py goes up first:", *gone, sep="\n  ", file=sys.stderr)
        return 1
    SCHEMA.write_text(schema_text())
    PAGE.write_text(page_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
