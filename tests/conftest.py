"""For all tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from slotwright.cluster import secret
from tests.engines import EMBEDDED, TestEngine, engine
from tests.extent import example_count
from tests.order import WaitingBesideComputing
from tests.passed import OPTION, PassedTests

# How long an example takes is the machine's business: tests have time-outs of their own. A change is tested with the
# same examples each time; who looks for others sets SLOTWRIGHT_TESTS_RANDOM.
settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=example_count(100),
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=not os.environ.get("SLOTWRIGHT_TESTS_RANDOM"),
)
settings.load_profile("any machine")

# A shell without job control starts what is in the background with SIGINT ignored, nohup starts it with SIGHUP ignored,
# and so would all that tests start.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "leave out the tests with servers that passed the last time that they ran, in this tree as it is"
    parser.addoption(OPTION, action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(PassedTests(config), "slotwright-passed-tests")
    config.pluginmanager.register(WaitingBesideComputing(config), "slotwright-order")


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What a test made a secret is none for the next, whose messages would lose these texts."""
    before = set(secret._texts)
    yield
    secret._texts.intersection_update(before)


@pytest.fixture(scope="session")
def embedded() -> TestEngine:
    """The embedded default, for what depends on no version of the server."""
    return engine(EMBEDDED)
