"""The longest tests begin first: a worker that is left with the last of them would keep all others waiting."""

from __future__ import annotations

import pytest

LONGEST = "tests/sim/test_repair_properties.py::"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))
