"""What has passed already, so that another run need not do it again (``--not-yet-passed``).

CI runs ``make test`` on a machine that has nothing but Python and make, then all the rest: tests that the first run
left out (``extent.py``), or skipped for want of a program that is there by now. Tests without servers always run: they
are quick, look at programs of the machine, and a full run tries more examples; and so do tests of which a reduced run
tries a share of the lines only.
"""

from __future__ import annotations

import pytest

OPTION = "--not-yet-passed"
_KEY = "slotwright/passed"
_ALWAYS = ("tests/unit/", "tests/tables/", "tests/sim/", "tests/integration/test_edge_")


class PassedTests:
    """Keeps in pytest's cache which tests passed the last time that they ran; it knows nothing of changes since."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cache: pytest.Cache | None = getattr(config, "cache", None)  # none with -p no:cacheprovider
        self._known: frozenset[str] = frozenset(self._cache.get(_KEY, []) if self._cache else ())
        self._now = set(self._known)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if not self._config.getoption(OPTION):
            return
        done = [item for item in items if item.nodeid in self._known]
        items[:] = [item for item in items if item.nodeid not in self._known]
        self._config.hook.pytest_deselected(items=done)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.nodeid.startswith(_ALWAYS):
            return
        if not report.passed:
            self._now.discard(report.nodeid)
        elif report.when == "call":
            self._now.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        is_worker = hasattr(self._config, "workerinput")
        if self._cache and not is_worker and self._now != self._known:
            self._cache.set(_KEY, sorted(self._now))
