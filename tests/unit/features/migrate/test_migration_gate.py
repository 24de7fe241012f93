"""Who may be cut over: a primary, and a replica whose primary was seen to stand still."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, RefusedError
from slotwright.features.migrate.model.migration import ReplicationStanding
from slotwright.features.migrate.run.gate import STILL_S, CutoverGate
from slotwright.features.migrate.survey.source_info import standing
from tests.fakes.doubles import FakeClock

SOURCE = Address("10.0.0.9", 6379)
PRIMARY = "role:master\r\nmaster_replid:aa\r\nmaster_repl_offset:100\r\ncluster_enabled:0\r\n"
REPLICA = (
    "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\nslave_read_only:1\r\n"
    "master_replid:aa\r\nslave_repl_offset:100\r\ncluster_enabled:0\r\n"
)
PING_BYTES = 14


def ping(scene: Scene) -> None:
    scene.replicator.offset += PING_BYTES


def write(scene: Scene) -> None:
    scene.replicator.offset += 30
    scene.replicator.changed = scene.replicator.offset


@dataclass
class Scene:
    """``at`` are things that happen when so many seconds have passed, ``every`` again and again."""

    info: str = REPLICA
    at: dict[float, Callable[[Scene], None]] = field(default_factory=dict)
    every_s: float = 0.0
    every: Callable[[Scene], None] = ping
    clock: FakeClock = field(default_factory=FakeClock)
    is_away: bool = False
    said: list[str] = field(default_factory=list)
    replicator: Any = field(default_factory=lambda: SimpleNamespace(offset=100, changed=90))

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self._next = self.every_s
        line: Any = SimpleNamespace(address=SOURCE, replicator=self.replicator)
        pool: Any = self
        self.gate = CutoverGate([line], pool, self.clock, self.breathe, self.said.append)

    @property
    def passed(self) -> float:
        return self.clock.now() - self.began

    async def breathe(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        for moment in [moment for moment in self.at if moment <= self.passed]:
            self.at.pop(moment)(self)
        if self.every_s and self.passed >= self._next:
            self._next += self.every_s
            self.every(self)

    async def connection(self, address: Address) -> Any:
        if self.is_away:
            raise NodeUnreachableError("away")

        async def call(*_: str) -> bytes:
            return self.info.encode()

        return SimpleNamespace(call=call)

    async def drop(self, address: Address) -> None: ...

    def open(self) -> None:
        asyncio.run(self.gate.open())

    def refused(self) -> RefusedError:
        with pytest.raises(RefusedError) as caught:
            self.open()
        assert (caught.value.code, caught.value.where) == ("source-is-replica", str(SOURCE))
        assert caught.value.hint and caught.value.left
        return caught.value


def test_a_primary_is_not_watched() -> None:
    scene = Scene(PRIMARY)
    scene.open()
    asyncio.run(scene.gate.confirm())
    assert (scene.passed, scene.gate.followers, scene.gate.still) == (0, frozenset(), ("", 0.0))


@pytest.mark.parametrize("every_s", [1.0, 4.0, 9.9, 10.0, 30.0])
def test_a_primary_that_only_says_that_it_lives_stands_still(every_s: float) -> None:
    """The last sign tells, not our waiting."""
    scene = Scene(every_s=every_s)
    scene.open()
    name, still_s = scene.gate.still
    assert (name, scene.gate.followers) == ("10.0.0.1:6379", {SOURCE})
    assert still_s >= STILL_S and scene.passed < max(STILL_S, every_s) + every_s + 1
    asyncio.run(scene.gate.confirm())


def test_silence_is_no_standing_still() -> None:
    """A link that is cut and that nobody has noticed yet, a primary that hangs."""
    assert "can't be told" in Scene().refused().what
    late = Scene(at={STILL_S - 1: ping})
    assert "can't be told" in late.refused().what, "the last sign is of before"


@pytest.mark.parametrize("moment", [0.05, 5.0, 9.95, 10.5])
def test_one_change_is_enough(moment: float) -> None:
    scene = Scene(at={moment: write}, every_s=12.0)
    refused = scene.refused()
    assert "goes on changing" in refused.what and "slotwright migrate 10.0.0.1:6379" in refused.hint
    assert scene.passed < moment + 0.3, "said at once"


def test_what_comes_after_the_gate_was_opened_closes_it_again() -> None:
    for change, what in (
        (write, "goes on changing"),
        (lambda scene: setattr(scene, "info", PRIMARY), "changed its place"),
        (lambda scene: setattr(scene, "info", REPLICA.replace("10.0.0.1", "10.0.0.2")), "changed its place"),
        (lambda scene: setattr(scene, "info", REPLICA.replace("replid:aa", "replid:bb")), "changed its place"),
        (lambda scene: setattr(scene, "info", REPLICA.replace("status:up", "status:down")), "is down"),
    ):
        scene = Scene(every_s=5.0)
        scene.open()
        change(scene)
        with pytest.raises(RefusedError, match=what):
            asyncio.run(scene.gate.confirm())
    scene = Scene(PRIMARY)
    scene.open()
    write(scene)
    asyncio.run(scene.gate.confirm())
    scene.info = REPLICA
    with pytest.raises(RefusedError, match="changed its place"):
        asyncio.run(scene.gate.confirm())


def test_what_changes_its_place_while_it_is_watched() -> None:
    scene = Scene(at={3.0: lambda scene: setattr(scene, "info", REPLICA.replace("status:up", "status:down"))})
    assert "is down" in scene.refused().what
    assert scene.passed < 5


@pytest.mark.parametrize(
    ("info", "what", "hint"),
    [
        (REPLICA.replace("status:up", "status:down"), "is down", "REPLICAOF NO ONE"),
        (REPLICA.replace("only:1", "only:0"), "takes writes itself", "replica-read-only yes"),
        (REPLICA.replace("enabled:0", "enabled:1"), "another node's", "--resume"),
        (REPLICA.replace("10.0.0.1", "10.0.0.1\r\nrole:master"), "can't be told", "INFO"),
        (REPLICA.replace("10.0.0.1", "10.0.0.1\x85role:master"), "can't be told", "INFO"),
        ("", "can't be told", "INFO"),
        ("role:sentinel\r\n", "can't be told", "INFO"),
    ],
)
def test_what_no_waiting_mends_is_said_at_once(info: str, what: str, hint: str) -> None:
    scene = Scene(info)
    refused = scene.refused()
    assert what in refused.what and hint in refused.hint and scene.passed == 0
    with pytest.raises(RefusedError):
        asyncio.run(scene.gate.refuse_hopeless())


def test_a_source_that_is_away_for_a_moment_is_waited_for() -> None:
    scene = Scene(PRIMARY, at={2.0: lambda scene: setattr(scene, "is_away", False)}, is_away=True)
    scene.open()
    gone = Scene(PRIMARY, is_away=True)
    with pytest.raises(NodeUnreachableError):
        gone.open()


def test_a_primary_s_name_is_shown_escaped() -> None:
    found = standing(REPLICA.replace("10.0.0.1", "\x1b[31m"))
    assert (found.role, found.primary) == (Role.REPLICA, r"'\x1b[31m:6379'")
    assert standing(PRIMARY) == ReplicationStanding(Role.PRIMARY, history="aa")
