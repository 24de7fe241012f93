"""The order of tests: what waits for servers beside what computes, so that neither cores nor workers are idle.

Each worker begins with its part of all tests in their order, and takes from others when it is done. In plain order one
would begin with the tests with servers and all others compute, more of them than there are cores.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

_WAITING = ("tests/integration/", "tests/faults/")


class WaitingBesideComputing:
    """Gives each worker a part of both: every other one computes first. Tests of one module stay side by side."""

    def __init__(self, config: pytest.Config) -> None:
        self._workers: int = getattr(config, "workerinput", {}).get("workercount", 1)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        waiting = [item for item in items if item.nodeid.startswith(_WAITING)]
        computing = [item for item in items if not item.nodeid.startswith(_WAITING)]
        if waiting and computing:
            items[:] = [item for worker in range(self._workers) for item in self._part(worker, waiting, computing)]

    def _part(self, worker: int, *kinds: Sequence[pytest.Item]) -> list[pytest.Item]:
        parts = [_slice(items, worker, self._workers) for items in kinds]
        return [item for part in (parts if worker % 2 == 0 else reversed(parts)) for item in part]


def _slice(items: Sequence[pytest.Item], number: int, of: int) -> Sequence[pytest.Item]:
    return items[len(items) * number // of : len(items) * (number + 1) // of]
