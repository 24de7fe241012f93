"""Nothing of the simulated cluster is without a scenario: no command that it answers, no way that versions differ."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache

import pytest

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.server.capabilities import capabilities_of
from tests.conformance.play import Play
from tests.conformance.rules import Rule
from tests.conformance.scenarios import RULES
from tests.conformance.simulated import sim_stage
from tests.engines import LABELS
from tests.fakes import sim_server
from tests.fakes.sick_cluster import Dialect, dialect_of

REDIS, VALKEY = ServerVersion(EngineKind.REDIS, (8, 2, 0)), ServerVersion(EngineKind.VALKEY, (9, 1, 0))


def played(rule: Rule, version: ServerVersion, change: Callable[[Dialect], Dialect] = lambda dialect: dialect) -> Play:
    stage = sim_stage(rule.layout, capabilities_of(version))
    stage.cluster.dialect = change(dialect_of(version))
    play = Play(stage)
    asyncio.run(rule.act(play))
    return play


@cache
def _lines(rule: Rule, version: ServerVersion) -> list[str]:
    return played(rule, version).lines


def test_every_command_that_the_simulated_server_answers_is_in_a_scenario() -> None:
    tree = ast.parse(inspect.getsource(sim_server))
    patterns = [node.value for node in ast.walk(tree) if isinstance(node, ast.MatchValue)]
    answered = {each.value for each in patterns if isinstance(each, ast.Constant)} | set(sim_server._READ_BY_KEY)
    sent = {word for rule in RULES for words in played(rule, VALKEY).sent for word in words}
    assert sorted(str(word) for word in answered - sent) == []


@pytest.mark.parametrize("name", [field.name for field in fields(Dialect)])
def test_every_way_in_which_versions_differ_makes_a_difference_to_a_scenario(name: str) -> None:
    def other(dialect: Dialect) -> Dialect:
        return replace(dialect, **{name: not getattr(dialect, name)})

    def differs(rule: Rule, version: ServerVersion) -> bool:
        try:
            return played(rule, version, other).lines != _lines(rule, version)
        except AssertionError:
            return True

    assert any(differs(rule, version) for version in (REDIS, VALKEY) for rule in RULES)


def test_names_of_rules_and_of_engines_are_what_they_say() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {label for rule in RULES for label in rule.but} <= set(LABELS)
