"""``planning.survey`` and ``planning.diagnosis`` by cases; their language is that of ``tests/fakes/pictures.py``."""

from __future__ import annotations

from typing import Any

import pytest

from slotwright.health import diagnose
from tests.fakes.pictures import picture, told
from tests.tables.runner import cases


@pytest.mark.parametrize(("given", "expect"), cases("diagnosis"))
def test_diagnosis(given: dict[str, Any], expect: dict[str, Any]) -> None:
    case = picture(given)
    assert {"state": str(case.survey.state), "findings": told(diagnose(case))} == expect
