"""What the simulated cluster does is what real servers do: every rule of it, as a scenario that both play."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from slotwright.errors import SlotwrightError
from slotwright.ports import ReplyError
from tests.conformance.play import Play, Stage
from tests.conformance.real import RealStage, real_stage
from tests.conformance.rules import Layout, Rule
from tests.conformance.scenarios import RULES
from tests.conformance.simulated import sim_stage
from tests.engines import TestEngine, engine_params
from tests.extent import is_reduced, share
from tests.integration.conftest import Lab, open_lab


@dataclass
class Stages:
    """Real clusters of one engine, one at a time; a cluster that a scenario left as it was made is used again."""

    lab: Lab
    engine: TestEngine
    made: int = 0
    current: RealStage | None = None

    async def stage(self, layout: Layout) -> RealStage:
        if self.current is not None and (self.current.cast.layout != layout or not await self._is_as_it_was()):
            self.end()
        if self.current is None:
            self.made += 1
            self.current = real_stage(self.lab, self.made, self.engine, layout)
            await self.current.ready()
        return self.current

    async def _is_as_it_was(self) -> bool:
        assert self.current is not None
        play = Play(self.current)
        try:
            await play.tidy_up()
            return not await play.faults()
        except (AssertionError, SlotwrightError, ReplyError):
            return False
        finally:
            await play.close()

    def end(self) -> None:
        if self.current is not None:
            self.current.end()
            self.current = None


@pytest.fixture(scope="module", params=engine_params())
def stages(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Stages]:
    engine: TestEngine = request.param
    with open_lab(tmp_path_factory.mktemp("conformance"), worker_id) as lab:
        stages = Stages(lab, engine)
        yield stages
        stages.end()


async def lines_of(rule: Rule, stage: Stage) -> list[str]:
    play = Play(stage)
    try:
        await rule.act(play)
    finally:
        await play.close()
    return play.lines


def tried() -> list[Rule]:
    """A reduced run has some of those that need no node timeout."""
    return list(share([rule for rule in RULES if not rule.is_slow], 0)) if is_reduced() else RULES


@pytest.mark.parametrize("rule", tried(), ids=lambda rule: rule.name)
def test_the_simulated_cluster_does_what_a_real_one_does(stages: Stages, rule: Rule) -> None:
    if stages.engine.label in rule.but:
        pytest.skip(f"{stages.engine.label}: {rule.but[stages.engine.label]}")
    simulated = asyncio.run(lines_of(rule, sim_stage(rule.layout, stages.engine.capabilities)))
    real = asyncio.run(_played(stages, rule))
    if real != simulated:
        # On a machine that is busy, a node that lives may be held for dead.
        stages.end()
        real = asyncio.run(_played(stages, rule))
    assert simulated == real


async def _played(stages: Stages, rule: Rule) -> list[str]:
    """What came of it, or what never did."""
    try:
        return await lines_of(rule, await stages.stage(rule.layout))
    except (AssertionError, SlotwrightError, ReplyError) as error:
        stages.end()
        return [f"{type(error).__name__}: {error}"]
