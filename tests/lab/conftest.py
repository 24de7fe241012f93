"""The lab, once for a run, and hosts as new for who wants them. Where the lab can't run, its tests skip and say why.

``SLOTWRIGHT_LAB=required`` makes that a failure instead.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.lab import root
from tests.lab.damaged_cluster import DamagedCluster, form, make_anew
from tests.lab.machines import Lab

HERE = Path(__file__).parent
TIMEOUT_S = 600
"""A test waits on conditions, each with a time-out of its own: this is for what hangs."""
HAS_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "lab: runs on the lab's hosts; by `make lab` alone")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("lab")
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def pytest_collection_finish(session: pytest.Session) -> None:
    """The root is built before the first test: it takes longer than a test may."""
    if session.config.option.collectonly or not any(item.get_closest_marker("lab") for item in session.items):
        return
    try:
        root.install_tools()
        root.root()
    except root.LabUnavailableError as error:
        if _is_required():
            pytest.exit(str(error), returncode=1)
        skip = pytest.mark.skip(reason=str(error))
        for item in session.items:
            if item.get_closest_marker("lab"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.session.stash[HAS_FAILED] = True
    return report


def _is_required() -> bool:
    return os.environ.get("SLOTWRIGHT_LAB") == "required"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Hosts that other tests have used before: for tests that mind nothing of what is on them."""
    try:
        hosts = Lab().open()
    except root.LabUnavailableError as error:
        if _is_required():
            raise
        pytest.skip(str(error))
    try:
        yield hosts
    finally:
        hosts.close()


@pytest.fixture(autouse=True, scope="module")
def _new_hosts_for_a_module(request: pytest.FixtureRequest) -> None:
    """Modules know nothing of each other: what one leaves on the hosts is not there for the next."""
    if request.node.path.name != "test_lab_itself.py":
        request.getfixturevalue("lab").renew()


@pytest.fixture(autouse=True)
def _hosts_after_a_failure(request: pytest.FixtureRequest) -> None:
    """A test that failed may have left hosts switched off, cut off or on their way down: the next one finds them up."""
    if request.session.stash.get(HAS_FAILED, False):
        request.session.stash[HAS_FAILED] = False
        request.getfixturevalue("lab").recover()


@pytest.fixture
def fresh_hosts(lab: Lab) -> Lab:
    """The lab with all hosts as new, booted, and nothing cut off (about 2 s)."""
    lab.renew()
    return lab


@pytest.fixture(scope="module")
def hospital(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> DamagedCluster:
    """One cluster for all faults of a module."""
    return form(lab, tmp_path_factory.mktemp("faults"))


@pytest.fixture
def damaged(hospital: DamagedCluster) -> DamagedCluster:
    """A sound cluster with keys, for a test that hurts, mends and proves it; made anew where one before failed."""
    if not hospital.is_proved:
        make_anew(hospital)
    hospital.is_proved = False
    return hospital
