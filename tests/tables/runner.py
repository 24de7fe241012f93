"""Cases as data: a JSON file below ``tests/tables`` is a case, and its name is the case's name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def cases(kind: str) -> list[Any]:
    """Every file of a kind as a parameter: {"about": a sentence, "given": ..., "expect": ..., "xfail": a reason}."""
    found = []
    for path in sorted((Path(__file__).parent / kind).glob("*.json")):
        case = json.loads(path.read_text())
        unknown = case.keys() - {"about", "given", "expect", "xfail"}
        assert not unknown, f"{path}: {unknown}"
        marks = [pytest.mark.xfail(strict=True, reason=case["xfail"])] if "xfail" in case else []
        found.append(pytest.param(case["given"], case["expect"], id=path.stem, marks=marks))
    return found
