"""Each row leaves a line; all are printed as a table at the end, and written to a file where that is asked for."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.faults import table
from tests.integration.conftest import Lab, open_lab

LINES = pytest.StashKey[list[table.Line]]()
ENGINE_LABELS = ("redis-7.0", "valkey-9.1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-faults", metavar="FILE", help="write the table of faults into this file, between its marks"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


def engine_params() -> list[object]:
    """The oldest server in wide use and the newest."""
    return engines.engine_params(*ENGINE_LABELS)


@pytest.fixture
def lab(tmp_path: Path, worker_id: str) -> Iterator[Lab]:
    """As everywhere; file systems that an injection mounted go with it."""
    try:
        with open_lab(tmp_path, worker_id) as lab:
            yield lab
    finally:
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in mounts:
            if place.startswith(f"{tmp_path}/"):
                subprocess.run(["umount", "--lazy", place], check=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A row that failed says so in its line."""
    report = yield
    if report.when == "call" and not report.passed:
        report.user_properties = [
            (name, {**value, "outcome": "not yet" if hasattr(report, "wasxfail") else report.outcome})
            if name == table.PROPERTY
            else (name, value)
            for name, value in report.user_properties
        ]
    return report


class _Collector:
    """Where reports arrive: in the one process that also prints, whoever ran the test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            found = [table.Line(**value) for name, value in report.user_properties if name == table.PROPERTY]
            self._config.stash[LINES].extend(found)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Collector(session.config), "faults-collector")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = sorted(config.stash[LINES], key=lambda line: (line.fault, line.title, line.engine))
    if not lines:
        return
    terminalreporter.section("faults")
    for text in table.for_a_terminal(lines):
        terminalreporter.write_line(text)
    place = config.getoption("--write-faults")
    if place:
        path = Path(place)
        path.write_text(table.rewritten(path.read_text(), lines))
        terminalreporter.write_line(f"written: {place}")
