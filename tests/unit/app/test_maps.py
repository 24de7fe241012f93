"""Good copies of the nodes' maps: which are kept, which are given back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from slotwright.adapters.state.clusters import StateDirectory
from slotwright.app.context import Context
from slotwright.app.nodes_conf_copies import good_map, keep_maps
from slotwright.cluster.blueprint import BlueprintNode
from slotwright.cluster.events import Warned
from slotwright.cluster.node_files import MARKER, NODES_CONF
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.topology import Mode
from slotwright.errors import HostError
from slotwright.server.nodes_conf import render_nodes_conf
from tests.fakes import build
from tests.fakes.doubles import FakeClock, Listener
from tests.fakes.world import FakeFleet, FakeHost, World

RECORD = build.record(build.topology())
FIRST, *OTHERS = RECORD.blueprint.nodes


def map_of(node: BlueprintNode) -> str:
    return render_nodes_conf(RECORD.blueprint, node, build.VERSION)


@dataclass
class AwayHost(FakeHost):
    """One that one node's folder can't be asked for; ``torn`` counts how often a map is read half."""

    away: set[str] = field(default_factory=set)
    torn: int = 0

    async def read_map(self, directory: str, cluster_id: str) -> str:
        if directory in self.away:
            raise HostError("it is away", code="host-unreachable", where=directory)
        text = await super().read_map(directory, cluster_id)
        self.torn, is_torn = max(0, self.torn - 1), self.torn > 0
        return text[:100] if is_torn else text


@dataclass
class Desk:
    host: AwayHost
    context: Context
    listener: Listener

    def keep(self, record: ClusterRecord = RECORD) -> list[Warned]:
        self.listener.events.clear()
        store = self.context.store(RECORD.name)
        asyncio.run(keep_maps(self.context, FakeFleet(self.host), record, store))
        return [event for event in self.listener.events if isinstance(event, Warned)]

    def folder(self, node: BlueprintNode) -> dict[str, str]:
        return self.host.world.folders[RECORD.node_directory(node.address)]

    def good(self, node: BlueprintNode) -> str | None:
        return good_map(self.context.store(RECORD.name), node.address, node.id)

    @property
    def maps(self) -> Path:
        return self.context.store(RECORD.name).maps_path


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    world, listener = World(), Listener()
    marker = f'{{"cluster_id": "{RECORD.blueprint.cluster_id}"}}'
    for node in RECORD.blueprint.nodes:
        world.folders[RECORD.node_directory(node.address)] = {MARKER: marker, NODES_CONF: map_of(node)}
    return Desk(AwayHost(world), Context(StateDirectory(tmp_path), report=listener, clock=FakeClock()), listener)


def test_every_map_is_kept_privately(desk: Desk) -> None:
    assert desk.keep() == []
    assert {node.id: desk.good(node) for node in RECORD.blueprint.nodes} == {
        node.id: map_of(node) for node in RECORD.blueprint.nodes
    }
    assert {oct(path.stat().st_mode & 0o777) for path in desk.maps.iterdir()} == {"0o600"}
    assert desk.maps.stat().st_mode & 0o777 == 0o700


def test_the_one_before_stays_when_something_changed(desk: Desk) -> None:
    desk.keep()
    path = desk.maps / "h1-7001.conf"
    before = path.stat().st_mtime_ns
    desk.folder(FIRST)[NODES_CONF] = map_of(FIRST).replace(" 0 0 ", " 0 1700000000000 ")
    desk.keep()
    assert path.stat().st_mtime_ns == before, "only times are other"
    for epoch in ("4", "5"):
        desk.folder(FIRST)[NODES_CONF] = map_of(FIRST).replace("currentEpoch 3", f"currentEpoch {epoch}")
        desk.keep()
    assert "currentEpoch 5" in path.read_text()
    assert "currentEpoch 4" in path.with_name("h1-7001.conf.1").read_text()
    assert len(list(desk.maps.iterdir())) == 7


@pytest.mark.parametrize(
    ("broken", "word"),
    [
        ("", "empty"),
        (map_of(FIRST)[:200], "cut off"),
        (map_of(OTHERS[0]), "another node's"),
        (map_of(FIRST).replace(OTHERS[0].id, "f" * 40), "does not know"),
    ],
)
def test_a_map_that_is_not_good_replaces_none(desk: Desk, broken: str, word: str) -> None:
    desk.keep()
    desk.folder(FIRST)[NODES_CONF] = broken
    (warning,) = desk.keep()
    assert (warning.where, word in warning.text) == ("h1:7001", True)
    assert desk.good(FIRST) == map_of(FIRST)


def test_a_map_that_was_read_while_it_was_written_is_read_again(desk: Desk) -> None:
    desk.host.torn = 2
    assert desk.keep() == []
    assert desk.good(FIRST) == map_of(FIRST)


def test_a_host_that_is_away_keeps_its_older_copies(desk: Desk) -> None:
    desk.keep()
    for node in RECORD.blueprint.nodes:
        desk.folder(node)[NODES_CONF] = map_of(node).replace("currentEpoch 3", "currentEpoch 4")
        if node.address.host == "h1":
            desk.host.away.add(RECORD.node_directory(node.address))
    (warning,) = desk.keep()
    assert (warning.where, "it is away" in warning.text) == ("h1", True)
    kept = {node.address.host: "currentEpoch 4" in (desk.good(node) or "") for node in RECORD.blueprint.nodes}
    assert kept == {"h1": False, "h2": True, "h3": True}


def test_a_copy_that_was_damaged_gives_way_to_the_one_before(desk: Desk) -> None:
    desk.keep()
    desk.folder(FIRST)[NODES_CONF] = map_of(FIRST).replace("currentEpoch 3", "currentEpoch 4")
    desk.keep()
    path = desk.maps / "h1-7001.conf"
    path.write_text("")
    assert desk.good(FIRST) == map_of(FIRST)
    desk.keep()
    assert "currentEpoch 4" in (desk.good(FIRST) or "")
    assert path.with_name("h1-7001.conf.1").read_text() == map_of(FIRST), "what is broken pushes nothing out"
    for each in desk.maps.iterdir():
        each.unlink()
    assert desk.good(FIRST) is None


def test_a_state_that_can_not_be_written_is_a_warning(desk: Desk) -> None:
    desk.maps.parent.mkdir(parents=True)
    desk.maps.write_text("a file in the way")
    assert {warning.where for warning in desk.keep()} == {"h1", "h2", "h3"}


def test_what_has_no_maps_of_ours_is_left_alone(desk: Desk) -> None:
    desk.keep(replace(RECORD, stage=Stage.ADOPTED))
    desk.keep(build.record(build.topology(1, 1, 0, mode=Mode.SINGLE)))
    assert not desk.maps.exists()
