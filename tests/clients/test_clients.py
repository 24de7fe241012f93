"""Every configuration that `slotwright client` makes, as it is, in a running application, through a primary's death and
a planned failover; and the same applications with their clients' own defaults, for comparison."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slotwright.cluster.topology import Address
from slotwright.features.clients.api import write_config
from slotwright.features.clients.configs.generate import generate
from slotwright.features.clients.configs.kind import ClientKind
from slotwright.features.clients.model import ClientFacts
from tests.clients import table
from tests.clients.builds import Missing, build
from tests.clients.failover_run import CONTENDERS, Contender, FailoverRun, run_failovers
from tests.engines import EMBEDDED, engine
from tests.integration.conftest import open_lab

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

PATIENCE_S = 12.0
"""Beyond the servers' own takeover, on a machine that a dozen applications share."""


def _failover_run(label: str, tmp_path_factory: pytest.TempPathFactory, *, is_plain: bool) -> Iterator[FailoverRun]:
    server = engine(label)
    with open_lab(tmp_path_factory.mktemp("run"), "gw70") as lab:
        yield run_failovers(lab, server, is_plain=is_plain)


@pytest.fixture(scope="module", params=[EMBEDDED, "redis-7.0"])
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailoverRun]:
    """What `slotwright client` makes."""
    yield from _failover_run(request.param, tmp_path_factory, is_plain=False)


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailoverRun]:
    """Seeds and password alone."""
    yield from _failover_run(EMBEDDED, tmp_path_factory, is_plain=True)


def _line(name: str, contender: Contender, failover_run: FailoverRun) -> table.Line:
    fate = failover_run.fates[contender.label]
    return table.Line(
        name,
        contender.label,
        contender.kind.tried,
        failover_run.engine,
        failover_run.takeover_s,
        fate.death.outage_s,
        fate.death.is_over,
        fate.death.errors,
        fate.death.elsewhere_s,
        fate.failover.outage_s,
        fate.failover.is_over,
        fate.failover.errors,
        fate.acknowledged,
        fate.lost,
    )


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.label)
def test_the_generated_configuration_goes_on(contender: Contender, generated: FailoverRun, record_property) -> None:
    if contender.label in generated.missing:
        pytest.skip(generated.missing[contender.label])
    fate = generated.fates[contender.label]
    record_property(table.PROPERTY, vars(_line("generated", contender, generated)))
    assert fate.is_alive, fate.complaint
    assert fate.acknowledged > 300, fate.complaint
    for suffered in (fate.death, fate.failover):
        assert suffered.is_over, suffered
    assert fate.death.outage_s < generated.takeover_s + PATIENCE_S, fate.death
    assert fate.failover.outage_s < PATIENCE_S, fate.failover
    # Replication is asynchronous: what the primary confirmed in its last moment may be gone, and nothing else.
    assert fate.lost == fate.lost_before_death, fate


VARIANTS = (
    ClientFacts("cache", (Address("10.0.0.1", 6379), Address("2001:db8::1", 6380)), 1, 2, "", 5000, ""),
    ClientFacts("cache", (Address("10.0.0.1", 6379),), 1, 2, "", 5000, "CACHE_PASSWORD", "app", is_tls=True),
)


@pytest.mark.parametrize("facts", VARIANTS, ids=("bare", "tls-and-user"))
@pytest.mark.parametrize(
    "kind",
    [each.kind for each in CONTENDERS if each.kind.language in ("java", "go", "rust")],
    ids=lambda kind: kind.name,
)
def test_what_is_not_run_compiles(kind: ClientKind, facts: ClientFacts, tmp_path: Path) -> None:
    """Without a password nothing reads the environment, with TLS something more is imported: compilers are strict."""
    write_config(generate(kind, facts), tmp_path / "generated")
    try:
        build(kind, tmp_path / "generated", tmp_path / "build")
    except Missing as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda each: each.label)
def test_the_defaults_are_measured(contender: Contender, defaults: FailoverRun, record_property) -> None:
    if contender.label in defaults.missing:
        pytest.skip(defaults.missing[contender.label])
    record_property(table.PROPERTY, vars(_line("defaults", contender, defaults)))
    if contender.label in ("spring-boot-2", "spring-boot-3"):
        # The reason for which the generated configuration has a refresh.
        assert not defaults.fates[contender.label].death.is_over
