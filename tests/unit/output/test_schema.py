"""The schema and its page are those of the types, and no promise is taken back without a new format."""

from __future__ import annotations

import copy
import json
from typing import Any

import msgspec
import pytest

from tests.unit.output import document
from tests.unit.output.cases import OF_ALL_VERBS, VERBS
from tests.unit.output.schema import promises, schema


def test_the_schema_in_docs_is_that_of_the_types() -> None:
    assert document.SCHEMA.read_text() == document.schema_text(), "make json-doc"


def test_the_page_in_docs_is_that_of_the_types() -> None:
    assert document.PAGE.read_text() == document.page_text(), "make json-doc"


def test_fields_hold_plain_values_and_other_output_types() -> None:
    """Nothing from inside is encoded as it is: an enumeration would have its values here, a dataclass its name."""
    types = [answer for answers in VERBS.values() for answer in answers]
    _, found = msgspec.json.schema_components([*types, *OF_ALL_VERBS], ref_template="#/$defs/{name}")
    assert [name for name in found if not name.endswith("Output")] == []
    assert '"enum"' not in json.dumps(found)


def changed(name: str, field: str, kind: dict[str, Any] | None) -> dict[str, Any]:
    made = copy.deepcopy(schema())
    fields = made["$defs"][name]
    if kind is None:
        del fields["properties"][field]
        fields["required"].remove(field)
    else:
        fields["properties"][field] = kind
    return made


def test_a_field_that_goes_is_a_broken_promise_wherever_it_stands() -> None:
    gone = document.lost(schema(), changed("Node", "lag_bytes", None))
    assert "status.nodes[].lag_bytes: whole number or null, always" in gone
    assert "up.status.nodes[].lag_bytes: whole number or null, always" in gone
    assert all(".lag_bytes:" in line for line in gone)


@pytest.mark.parametrize("kind", [{"type": "string"}, {"anyOf": [{"type": "integer"}, {"type": "null"}]}])
def test_a_field_that_changes_its_type_is_one(kind: dict[str, Any]) -> None:
    assert "status.slots_covered: whole number, always" in document.lost(
        schema(), changed("Status", "slots_covered", kind)
    )


def test_a_field_that_is_no_longer_always_there_is_one() -> None:
    made = copy.deepcopy(schema())
    made["$defs"]["Error"]["required"].remove("code")
    assert "status.error.code: string, always" in document.lost(schema(), made)


def test_a_new_field_is_none() -> None:
    made = changed("Status", "also", {"type": "string"})
    assert document.lost(schema(), made) == []
    assert promises(made) - promises(schema())


def test_another_name_of_a_type_is_none() -> None:
    made = json.loads(json.dumps(schema()).replace('defs/Node"', 'defs/Knot"').replace('"Node": {', '"Knot": {'))
    assert "Knot" in made["$defs"]
    assert document.lost(schema(), made) == []


def test_facts_of_a_host_are_promised_as_far_as_the_page_says() -> None:
    of_hosts = {line.split(":")[0] for line in promises(schema()) if line.startswith("preflight.hosts[].")}
    assert {line.split(".")[2] for line in of_hosts} == {"host", "system", "memory", "clock_ahead_s"}
    assert document.lost(schema(), changed("Host", "tools", None)) == []


def test_a_broken_promise_is_not_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(document, "SCHEMA", tmp_path / "schema.json")
    monkeypatch.setattr(document, "PAGE", tmp_path / "page.md")
    assert document.main() == 0
    before = document.SCHEMA.read_text()
    monkeypatch.setattr(document, "schema", lambda: changed("Node", "lag_bytes", None))
    assert document.main() == 1
    assert document.SCHEMA.read_text() == before
