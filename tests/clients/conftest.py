"""Each client leaves a line; all are printed as a table at the end, and written to a file where that is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import table

LINES = pytest.StashKey[list[table.Line]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-clients", metavar="FILE", help="write the tables of clients into this file, between their marks"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LINES] = []


class _Collector:
    """Lines come with the reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            found = [table.Line(**value) for name, value in report.user_properties if name == table.PROPERTY]
            self._config.stash[LINES].extend(found)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.pluginmanager.register(_Collector(session.config), "clients-collector")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash[LINES]
    for failover_run in dict.fromkeys(line.failover_run for line in lines):
        terminalreporter.section(f"clients, {failover_run}")
        for text in table.for_a_terminal(line for line in lines if line.failover_run == failover_run):
            terminalreporter.write_line(text)
    place = config.getoption("--write-clients")
    if place and lines:
        path = Path(place)
        path.write_text(table.rewritten(path.read_text(), lines))
        terminalreporter.write_line(f"written: {place}")
