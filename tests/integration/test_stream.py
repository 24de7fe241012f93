"""Every write command of every supported source, said to a real one, followed as a replica, done to real clusters."""

from __future__ import annotations

import os

import pytest

from slotwright.model.migration import DatabaseMap, DatabaseRule
from slotwright.model.slots import key_slot
from tests.engines import ENGINES, TestEngine, engine_params
from tests.integration.conftest import Lab
from tests.integration.stream_rig import Cluster, Content, Pump, Source, content, raw_client
from tests.integration.write_samples import BETWEEN_DATABASES, ELSEWHERE, EMPTYING, SAMPLES, TOGETHER

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def clusters(shared: Lab) -> list[Cluster]:
    """The oldest and the newest target."""
    found = [engine for engine in ENGINES if engine.label in ("redis-7.0", "valkey-9.1") and engine.directory]
    if not found:
        pytest.skip("neither Redis 7.0 nor Valkey 9.1 on this machine")
    return [Cluster(shared, engine) for engine in found]


def differences(source: Source, pump: Pump, database: int, names: set[bytes]) -> list[str]:
    """Of the source's keys and of ``names``, those that are not the same in the pump's cluster."""
    origin = raw_client(source.address, database)
    has_times = all(side.commands.get(b"HPEXPIRETIME") for side in (source.side, pump.cluster.side))
    found = []
    for key in sorted(names | set(origin.execute_command("KEYS", "*"))):
        to = pump.databases.target((database, key))
        there = pump.cluster.at(key_slot(to[1]), to[0])
        wanted = content(origin, key, has_field_times=has_times)
        seen = content(there, to[1], has_field_times=has_times)
        if not alike(wanted, seen):
            found.append(f"{key!r} in {pump.cluster.engine.label}: {wanted} -> {seen}")
    return found


def alike(wanted: Content, seen: Content) -> bool:
    if wanted.kind == b"vectorset":
        return True
    near = abs(wanted.deadline_ms - seen.deadline_ms) < 2000
    return wanted.kind == seen.kind and near and _plain(wanted.value, seen.value) == _plain(seen.value, wanted.value)


def _plain(value: object, other: object) -> object:
    """``value`` without what is None in either: what only one of the versions counts."""
    if isinstance(value, tuple) and isinstance(other, tuple):
        both = zip(value, other, strict=True)
        return tuple(_plain(one, two) for one, two in both if one is not None and two is not None)
    if isinstance(value, dict) and isinstance(other, dict):
        return {key: _plain(one, other.get(key)) for key, one in value.items()}
    return value


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize(
    ("rule", "database"),
    [(DatabaseRule.REFUSE, 0), (DatabaseRule.PREFIX, 3), (DatabaseRule.KEEP, 3)],
)
def test_every_write_command(
    lab: Lab, clusters: list[Cluster], engine: TestEngine, rule: DatabaseRule, database: int
) -> None:
    source = Source(lab, engine, database)
    unsaid = source.write_commands() - set(SAMPLES) - set(ELSEWHERE)
    assert not unsaid, "write commands without a sample"
    fit = [c for c in clusters if rule is not DatabaseRule.KEEP or c.engine.label == "valkey-9.1"]
    pumps = [Pump(source, cluster, DatabaseMap(rule)) for cluster in fit]
    for cluster in fit:
        for node in cluster.nodes:
            node.execute_command("FLUSHALL")
            node.execute_command("FUNCTION", "FLUSH")
    wrong: list[str] = []
    known = source.write_commands()
    samples = {name: SAMPLES[name] for name in (*EMPTYING, *sorted(set(SAMPLES) - set(EMPTYING)))}
    for name, sample in {**samples, **TOGETHER}.items():
        if (name in SAMPLES and name not in known) or name in BETWEEN_DATABASES:
            continue
        changes = source.say(sample)
        if os.environ.get("SLOTWRIGHT_SHOW_STREAM"):
            for _, arguments in changes:
                print(engine.label, name, "<-", b" ".join(arguments)[:150])
        for pump in pumps:
            try:
                pump.take(changes)
            except AssertionError as error:
                wrong.append(f"{name}: {error}")
    rest = source.follower.until(lambda: source.offset)
    for pump in pumps:
        pump.take(rest)
        wrong += differences(source, pump, database, set()) + pump.ends
    wrong += source.refused
    for pump in pumps:
        print(engine.label, "->", pump.cluster.engine.label, "doubtful:", sorted(pump.doubtful))
    assert not wrong, "\n".join(wrong)
    source.follower.until(lambda: source.offset)
    assert source.follower.stream.offset == source.offset
