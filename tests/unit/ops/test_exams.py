"""Asking the hosts of a cluster: every one by itself, and what it says in the verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pytest

from slotwright.errors import HostError
from slotwright.hosts.facts.exam import HostExam
from slotwright.hosts.facts.nodes import NodeQuery
from slotwright.ops import exams
from slotwright.ops.exams import examine_hosts
from slotwright.ops.verify import Verdict
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.operator import Operator
from tests.fakes.world import FakeFleet, FakeHost, World


@dataclass
class MoodyHost(FakeHost):
    """Hosts that raise, and hosts that never answer."""

    gone: frozenset[str] = frozenset()
    mute: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    async def examine(self, host: str, cluster_id: str, queries: Sequence[NodeQuery]) -> HostExam:
        self.asked += [f"{query.address} {query.directory}" for query in queries]
        if host in self.gone:
            raise HostError(f"{host} does not answer", code="host-unreachable")
        if host in self.mute:
            await asyncio.sleep(60)
        return await super().examine(host, cluster_id, queries)


@pytest.fixture
def who() -> Operator:
    found = Operator(World(), build.topology())
    asyncio.run(found.up())
    return found


def asked(who: Operator, host: MoodyHost) -> tuple[HostExam, ...]:
    return asyncio.run(examine_hosts(FakeFleet(host), who.record))


def test_every_host_is_asked_for_its_nodes(who: Operator) -> None:
    host = MoodyHost(who.world)
    found = asked(who, host)
    assert [exam.host for exam in found] == ["h1", "h2", "h3"]
    assert [len(exam.nodes) for exam in found] == [2, 2, 2]
    assert sorted(host.asked)[0] == "h1:7001 /data/h1-7001"


def test_one_that_is_away_costs_the_others_nothing(who: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exams, "_TIMEOUT_S", 0.05)
    found = asked(who, MoodyHost(who.world, gone=frozenset({"h1"}), mute=frozenset({"h2"})))
    assert [exam.trouble for exam in found] == ["h1 does not answer", "it did not answer within 0 s", ""]
    assert [len(exam.nodes) for exam in found] == [0, 0, 2]


def test_a_look_with_exams_names_the_cause(who: Operator) -> None:
    examine = partial(examine_hosts, FakeFleet(MoodyHost(who.world)), who.record)

    async def do() -> Verdict:
        async with who.verifier() as verifier:
            return await replace(verifier, examine=examine).look(with_canaries=False)

    assert asyncio.run(do()).findings == ()
    who.world.servers[at("h1:7001")].is_mute = True
    del who.world.folders["/data/h3-7002"]["nodes.conf"]
    who.world.kill(at("h3:7002"))
    told = [(found.code, found.where) for found in asyncio.run(do()).findings]
    assert told == [("node-stopped", "h1:7001"), ("map-lost", "h3:7002")]
