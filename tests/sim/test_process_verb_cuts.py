"""Verbs on processes, folders and settings, cut at every effect: what is run then ends where the uncut verb ends.

Each is the real function of its feature, on the world of ``tests/fakes/world.py``, where another cluster of the same
operator lives beside. Held after every effect: every key is in a memory or in a folder, no folder goes while its server
runs, no two primaries have a slot, and the other cluster is as it was.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path

import pytest

from slotwright.adapters.topology.file import load_topology
from slotwright.app.passwords import FOREIGN_VARIABLE
from slotwright.cluster.node_files import SERVER_CONF
from slotwright.cluster.record import Stage
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import HostSpec, Topology
from slotwright.features.adopt.api import AdoptOptions, adopt
from slotwright.features.archive.api import archive, verify_sums
from slotwright.features.lifecycle.api import start, stop
from slotwright.features.lifecycle.destroy import destroy
from slotwright.features.rebuild.api import rebuild
from tests.fakes import build
from tests.fakes.fuse import KilledError
from tests.fakes.operator import FILE, PASSWORD, Operator
from tests.fakes.state import MemoryClusterStore, MemorySecrets
from tests.fakes.world import DATA, Server, World
from tests.sim.cuts import Law, refused
from tests.sim.test_formation_cuts import assert_whole

SMALL = build.topology(3, 2, settings={"appendonly": "yes"}, name="any")
BESIDE = Topology("beside", build.ENGINE, tuple(HostSpec(f"h{number}", (8001,)) for number in (1, 2, 3)), 0)
THREE = build.topology(3, 1, 0, settings={"appendonly": "yes"}, name="any")
OURS, THEIRS = frozenset(SMALL.addresses), frozenset(BESIDE.addresses)
FOR_EVER = 1e15


@dataclass
class Made:
    """A cluster with keys, beside another one; ``loses``: the verb takes its data away."""

    who: Operator
    other: Operator
    loses: bool = False
    before: set[str] = field(default_factory=set)
    others: object = None
    archives: list[Path] = field(default_factory=list)

    @property
    def world(self) -> World:
        return self.who.world

    @property
    def store(self) -> MemoryClusterStore:
        return self.who.store

    def begin(self) -> Made:
        for node in self.world.servers.values():
            node.keys[f"key-{node.id}"] = ("v", FOR_EVER)
        self.before, self.others = self.keys(), self._others()
        self.world.watch = self.watch
        return self

    def keys(self) -> set[str]:
        """Wherever they are."""
        texts = [*self.world.folders.values()]
        found = {key for files in texts for name, text in files.items() if name == DATA for key in _keys(text)}
        return found | {key for server in self.world.servers.values() for key in server.keys if key.startswith("key-")}

    def _others(self) -> object:
        theirs = [self.world.servers[address] for address in THEIRS if address in self.world.servers]
        folders = [dict(self.world.folders.get(self.other.directory(address), {})) for address in THEIRS]
        running = [(server.process, dict(server.settings)) for server in theirs]
        return folders, running, self.other.store.record, len(self.other.store.entries)

    def watch(self) -> None:
        """After every effect."""
        assert self.loses or not self.before - self.keys(), f"lost: {self.before - self.keys()}"
        assert self._others() == self.others, "the other cluster was touched"
        owned = SlotSet()
        for server in self.world.servers.values():
            assert server.directory in self.world.folders, f"the folder of {server.address} went while it runs"
            if server.address in OURS and server.me.slots:
                assert not owned & server.me.slots, "two primaries have a slot"
                owned = owned | server.me.slots

    @property
    def ours(self) -> list[Server]:
        return [server for server in self.world.servers.values() if server.address in OURS]


def _keys(text: str) -> set[str]:
    return {part.split('"')[0] for part in text.split('"') if part.startswith("key-")}


@cache
def formed(wanted: Topology = SMALL) -> Made:
    """Made once, and copied for each cut."""
    world = World()
    who, other = Operator(world, wanted), Operator(world, BESIDE)
    asyncio.run(who.up())
    asyncio.run(other.up())
    return Made(who, other)


def made(prepare: Callable[[Made], object] = lambda scene: None, wanted: Topology = SMALL) -> Made:
    """A copy of it; all that is shared is what never changes."""
    first = formed(wanted)
    same = (PASSWORD, wanted, BESIDE, first.who.record, first.other.record)
    scene = copy.deepcopy(first, {id(each): each for each in same})
    scene.begin()
    prepare(scene)
    scene.world.burnt = 0
    return scene


def whole_with_keys(scene: Made) -> None:
    """It runs, and each node has what it had."""
    for server in scene.ours:
        assert f"key-{server.id}" in server.live_keys()
    whole(scene)


def whole(scene: Made) -> None:
    scene.world.watch = lambda: None
    for address in THEIRS:
        del scene.world.servers[address]
    for server in scene.ours:
        server.keys = {key: kept for key, kept in server.keys.items() if not key.startswith("key-")}
    assert_whole(scene.who)


def at_rest(scene: Made) -> None:
    for server in scene.ours:
        server.save()
        scene.world.kill(server.address)


def stopped(scene: Made) -> None:
    """All of it, and a start brings it back."""
    assert scene.ours == []
    asyncio.run(start(scene.who.context, scene.who.target))
    whole_with_keys(scene)


async def destroyed(scene: Made, *, keep_data: bool = False) -> None:
    """Where the last effect was through, nothing is known of it any more."""
    if scene.store.record is not None:
        await destroy(scene.who.context, scene.who.target, keep_data=keep_data)


def gone(scene: Made) -> None:
    assert scene.ours == []
    assert {scene.who.directory(address) for address in OURS}.isdisjoint(scene.world.folders)
    assert not any("rehearsal" in name for name in scene.world.folders)
    assert not scene.store.exists()
    scene.watch()


def kept(scene: Made) -> None:
    gone(scene)
    folders = [files for name, files in scene.world.folders.items() if "/kept/" in name]
    assert len(folders) == 6
    assert not any(SERVER_CONF in files for files in folders), "the password was kept"


def unmade(scene: Made) -> None:
    """Nothing of it is there yet."""
    scene.before = set()
    at_rest(scene)
    for address in OURS:
        del scene.world.folders[scene.who.directory(address)]
    scene.store.remove()


def test_up_of_a_new_cluster() -> None:
    make = partial(made, unmade)
    _hold(100, "up", Law(make, lambda scene: scene.who.up(), whole), 1)


def test_stop() -> None:
    _hold(20, "stop", Law(made, lambda scene: stop(scene.who.context, scene.who.target), stopped), 0)


def test_stop_at_once_of_nodes_that_keep_an_append_only_file() -> None:
    law = Law(made, lambda scene: stop(scene.who.context, scene.who.target, kill=True), stopped)
    _hold(20, "stop --kill", law, 1)


def test_start() -> None:
    make = partial(made, at_rest)
    _hold(30, "start", Law(make, lambda scene: start(scene.who.context, scene.who.target), whole_with_keys), 2)


def test_destroy() -> None:
    make = partial(made, lambda scene: setattr(scene, "loses", True))
    _hold(40, "destroy", Law(make, destroyed, gone), 3)


def test_destroy_that_keeps_the_data() -> None:
    law = Law(made, partial(destroyed, keep_data=True), kept)
    _hold(44, "destroy --keep-data", law, 4)


WANTED = {"maxmemory": "1048576", "maxmemory-policy": "allkeys-lru"}


def other_settings(scene: Made) -> None:
    scene.who.topology = replace(SMALL, settings=(*SMALL.settings, *WANTED.items()))


def has_settings(scene: Made) -> None:
    for server in scene.ours:
        assert WANTED.items() <= server.settings.items()
        conf = scene.world.folders[server.directory][SERVER_CONF]
        assert all(f"{name} {value}" in conf for name, value in WANTED.items())
    whole_with_keys(scene)


def test_up_with_other_settings() -> None:
    law = Law(partial(made, other_settings), lambda scene: scene.who.up(), has_settings)
    _hold(40, "up with other settings", law, 0)


def with_one_that_refuses(scene: Made) -> None:
    """The first node takes the first of them, and not the second."""
    other_settings(scene)
    for server in scene.ours:
        server.refuses = frozenset({"maxmemory-policy"})
    scene.world.watch = partial(only_one_tries, scene)


def only_one_tries(scene: Made) -> None:
    scene.watch()
    assert sum(server.settings["maxmemory"] != "0" for server in scene.ours) <= 1
    assert not any("allkeys-lru" in scene.world.folders[server.directory][SERVER_CONF] for server in scene.ours)


def as_the_file_says(scene: Made) -> None:
    """What a cut left on the one node goes when the file is as it was; and is set everywhere when all nodes take it."""
    scene.world.watch = scene.watch
    scene.who.topology = SMALL
    asyncio.run(scene.who.up())
    assert all(server.settings["maxmemory"] == "0" for server in scene.ours)
    other_settings(scene)
    for server in scene.ours:
        server.refuses = frozenset()
    asyncio.run(scene.who.up())
    has_settings(scene)


def test_up_with_a_setting_that_is_refused() -> None:
    make = partial(made, with_one_that_refuses)
    law = Law(make, lambda scene: refused(scene.who.up(), "setting-refused"), as_the_file_says)
    _hold(15, "up with a setting that is refused", law, 1)


def adopted(scene: Made) -> None:
    """Servers with files of their own, which slotwright did not make; the settings that it does not know are left."""
    scene.store.record = replace(scene.who.record, stage=Stage.ADOPTED)
    for server in scene.ours:
        server.more_info = f"config_file:/etc/{server.address.port}.conf\r\n"
    other_settings(scene)


def rewrote(scene: Made) -> None:
    for server in scene.ours:
        assert WANTED.items() <= server.settings.items()
        assert WANTED.items() <= server.in_file.items(), f"{server.address} forgets it with its next start"
    assert scene.store.record is not None
    assert WANTED.items() <= dict(scene.store.record.topology.settings).items()


def test_up_of_an_adopted_cluster() -> None:
    _hold(30, "up of an adopted cluster", Law(partial(made, adopted), lambda scene: scene.who.up(), rewrote), 2)


def test_a_setting_that_was_cut_on_an_adopted_node_has_to_stay_in_the_file() -> None:
    scene = made(adopted)
    scene.world.ends_before = "rewrite"
    with pytest.raises(KilledError):
        asyncio.run(scene.who.up())
    scene.world.renew()
    scene.who.topology = SMALL
    refusals = asyncio.run(scene.who.plan()).refusals
    assert {refusal.what for refusal in refusals} == {"no more maxmemory", "no more maxmemory-policy"}


def test_adopt(tmp_path: Path) -> None:
    """A file that was written before the cut is written over, as its refusal says."""

    def by_hand(scene: Made) -> None:
        adopted(scene)
        scene.who.topology = SMALL
        scene.store.remove()
        scene.archives.append(tmp_path / f"{next(numbers)}.yaml")

    async def take_on(scene: Made, *, force: bool = False) -> None:
        if scene.store.record is not None:
            return
        options = AdoptOptions(min(OURS), "any", scene.archives[0], force=force, ssh=False)
        secrets = MemorySecrets({FOREIGN_VARIABLE: PASSWORD})
        await adopt(replace(scene.who.context, secrets=secrets), options)

    def known(scene: Made) -> None:
        assert scene.who.record.stage is Stage.ADOPTED
        assert load_topology(scene.archives[0]).topology.addresses == scene.who.record.topology.addresses

    numbers = count()
    _hold(2, "adopt", Law(partial(made, by_hand), take_on, known, partial(take_on, force=True)), 4)


def test_archive(tmp_path: Path) -> None:
    async def into_another_folder(scene: Made) -> None:
        scene.archives.append(tmp_path / f"{next(numbers)}")
        await archive(scene.who.context, scene.who.target, scene.archives[-1])

    def whole_archive(scene: Made) -> None:
        verify_sums(scene.archives[-1])
        assert len(list(scene.archives[-1].glob("*.tar.gz"))) == 6
        whole_with_keys(scene)

    numbers = count()
    _hold(12, "archive", Law(made, into_another_folder, whole_archive), 3)


def test_rebuild_that_brings_nothing_back(tmp_path: Path) -> None:
    def archived_elsewhere(scene: Made) -> None:
        scene.store.archives_path = tmp_path / f"{next(numbers)}"

    def rebuilt(scene: Made) -> None:
        assert not scene.store.has_rebuild()
        assert scene.store.record is not None
        assert scene.store.record.blueprint.cluster_id != formed(THREE).who.blueprint.cluster_id
        for folder in scene.store.archives_path.iterdir():
            verify_sums(folder)
        whole(scene)

    numbers = count()
    make = partial(made, archived_elsewhere, THREE)
    law = Law(make, lambda scene: rebuild(scene.who.context, FILE, empty=True), rebuilt)
    _hold(100, "rebuild --empty", law, 4)


def _hold(least: int, verb: str, law: Law[Made], turn: int) -> None:
    cuts = law.hold(turn)
    print(f"{verb}: {cuts} cuts")
    assert cuts >= least
