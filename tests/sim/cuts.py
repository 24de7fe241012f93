"""A verb cut before each of its effects, by the end of its process or by a signal, and gone on with by another one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from slotwright.cluster.record import directory_name
from slotwright.cluster.topology import Address
from slotwright.errors import OperatorInterruptError, SlotwrightError
from tests.extent import is_reduced, share
from tests.fakes.fuse import Fuse, KilledError
from tests.fakes.state import MemoryClusterStore

ON_NODES = (
    "empty", "failover", "freeze", "kill", "remove", "rewrite", "set", "shutdown", "start", "strip", "takeover",
)  # fmt: skip
"""How effects begin that are a step of a verb on one node."""
CLOSED = ("done", "failed", "cut")


class Scene(Protocol):
    """A world in which a verb is about to be run; its ``watch`` holds after every effect."""

    @property
    def world(self) -> Fuse:
        """Where effects are counted."""
        ...

    @property
    def store(self) -> MemoryClusterStore:
        """What is kept of the cluster."""
        ...


SceneT = TypeVar("SceneT", bound=Scene)
Verb = Callable[[SceneT], Coroutine[Any, Any, object]]


@dataclass(frozen=True, slots=True)
class Law(Generic[SceneT]):
    """``verb`` is cut, ``goes_on`` is what the operator types then, ``check`` what must be true in the end."""

    make: Callable[[], SceneT]
    verb: Verb[SceneT]
    check: Callable[[SceneT], object]
    goes_on: Verb[SceneT] | None = None
    after_cut: Callable[[SceneT], object] = lambda scene: None
    after_signal: Callable[[SceneT], object] = lambda scene: None
    run: Callable[[SceneT, Coroutine[Any, Any, object]], object] = lambda scene, work: asyncio.run(work)

    def hold(self, turn: int, part: int = 0, parts: int = 1) -> int:
        """At every cut of it; how many there are. A reduced run takes this turn's, each by a kill or by a signal. One
        that takes long is held in ``parts``, by as many tests."""
        cuts = self._uncut()
        for number, cut in enumerate(share(range(cuts), turn)[part::parts]):
            if not is_reduced() or number % 2 == 0:
                self._killed(cut)
            if not is_reduced() or number % 2 == 1:
                self._interrupted(cut)
        return cuts

    def _uncut(self) -> int:
        scene = self.make()
        scene.world.burnt = 0
        self.run(scene, self.verb(scene))
        cuts = scene.world.burnt
        _closed(scene, "uncut")
        self.check(scene)
        return cuts

    def _killed(self, cut: int) -> None:
        scene = self.make()
        scene.world.effects.clear()
        scene.world.fuse = cut
        try:
            self.run(scene, self.verb(scene))
        except KilledError:
            pass
        else:
            raise AssertionError(f"it ended before effect {cut}")
        finally:
            scene.world.renew()
        _told(scene)
        self.after_cut(scene)
        self._go_on(scene)

    def _interrupted(self, cut: int) -> None:
        """A signal cancels the verb, as the command does; what was begun has its outcome then."""
        scene = self.make()
        scene.world.effects.clear()

        async def signalled() -> None:
            task = asyncio.current_task()
            assert task is not None
            scene.world.fuse, scene.world.interrupt = cut, task.cancel
            await self.verb(scene)

        is_through = False
        try:
            self.run(scene, signalled())
            is_through = True
        except (asyncio.CancelledError, OperatorInterruptError):
            pass
        finally:
            scene.world.renew()
        _closed(scene, f"signal at {cut}")
        _told(scene)
        if not is_through:
            self.after_signal(scene)
        self._go_on(scene)

    def _go_on(self, scene: SceneT) -> None:
        assert not scene.store.holder, "the lock is held"
        self.run(scene, (self.goes_on or self.verb)(scene))
        assert not scene.store.holder, "the lock is held"
        self.check(scene)


def _told(scene: Scene) -> None:
    """The journal names each node that was touched, before it was."""
    entries = scene.store.entries
    if not entries:
        return
    places = {str(entry.get("where", "")) for entry in entries if entry["phase"] == "intent"}
    names = {name for place in places for name in (place, *_folder_of(place))}
    for effect in scene.world.effects:
        if effect.startswith(tuple(f"{word} " for word in ON_NODES)):
            assert any(name and name in effect for name in names), f"{effect} is not in the journal: {sorted(places)}"


def _folder_of(place: str) -> Sequence[str]:
    try:
        return (directory_name(Address.parse(place)),)
    except ValueError:
        return ()


def _closed(scene: Scene, when: str) -> None:
    """Each intent has its outcome."""
    counted: Counter[tuple[object, object]] = Counter()
    for entry in scene.store.entries:
        of = (entry.get("step"), entry.get("where"))
        counted[of] += (entry["phase"] == "intent") - (entry["phase"] in CLOSED)
    assert not +counted, f"{when}: no outcome of {+counted}"


async def refused(verb: Coroutine[Any, Any, object], code: str) -> None:
    """It ends in that error, unless a signal ends it."""
    try:
        await verb
    except OperatorInterruptError:
        raise
    except SlotwrightError as error:
        assert error.code == code, f"{error.code}: {error}"
    else:
        raise AssertionError(f"it is not refused: {code}")
