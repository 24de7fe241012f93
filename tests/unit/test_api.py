"""The Python API: what is public is what the documents show, and every name leads somewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from slotwright import api

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/reference.md", ROOT / "docs/zh-CN/reference.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_public_is_what_the_example_uses(page: Path) -> None:
    (example,) = (code for code in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE))
    assert sorted(set(re.findall(r"\bapi\.(\w+)", example))) == api.__all__


@pytest.mark.parametrize("name", api._HOMES)
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(api, name) is not None


def test_the_names_for_type_checkers_are_the_same() -> None:
    imports = [node for node in ast.walk(ast.parse(Path(api.__file__).read_text())) if isinstance(node, ast.ImportFrom)]
    typed = [node for node in imports if str(node.module).startswith("slotwright.")]
    names = {alias.name: str(node.module).removeprefix("slotwright.") for node in typed for alias in node.names}
    assert names == api._HOMES


def test_an_unknown_name_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        api.nothing  # noqa: B018


def test_types_are_shipped() -> None:
    assert (Path(api.__file__).parent / "py.typed").exists()
