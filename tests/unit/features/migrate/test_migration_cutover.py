"""The cutover's order, and what becomes of the source when something comes between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Address, EngineKind
from slotwright.errors import PartialError, RefusedError, ServerError
from slotwright.features.migrate.model.migration import ReadOnly
from slotwright.features.migrate.run.attach import SourceStream
from slotwright.features.migrate.run.migrator import CutoverResult, Migrator
from slotwright.keys.model.comparison import Aspect, Compared, Comparison, KeyVerdict, SideFacts
from slotwright.keys.model.databases import Named
from tests.fakes.doubles import FakeClock, Listener

ADDRESS = Address("10.0.0.9", 6379)
KEY: Named = (0, b"k")
FACTS = SideFacts("s", ServerVersion(EngineKind.REDIS, (7, 0, 15)), (ADDRESS,), False, {0: 1})


@dataclass
class Story:
    """A source, a pump that has taken everything, a prover, and a list of what was done, in its order."""

    done: list[str] = field(default_factory=list)
    differing: set[Named] = field(default_factory=set)
    on_refuse: Callable[[Story], None] = lambda _: None
    on_hold: Callable[[Story], None] = lambda _: None
    on_proof: Callable[[Story], None] = lambda _: None
    can_hold: bool = True
    offset: int = 100
    info: str = "role:master\r\n"

    def __post_init__(self) -> None:
        self.replicator: Any = SimpleNamespace(
            offset=100,
            changed=100,
            is_copied=True,
            needs_full_compare=False,
            is_drained=True,
            dirty_keys=set(),
            writers=SimpleNamespace(trouble=""),
            resync_queue=SimpleNamespace(count=0, failed={}, hold=lambda *_: None, forgive=lambda _: None),
            problems=[],
            progress=SimpleNamespace(changes=0),
            look_again=self._nothing,
            caught_up=self._nothing,
            carry_late_keys=lambda: None,
        )
        fence: Any = SimpleNamespace(
            address=ADDRESS, can_hold=self.can_hold, how="test", hold=self._hold, refuse=self._refuse,
            release=self._note("release"), allow=self._allow, before=self._before, of=self._fence_of,
        )  # fmt: skip
        self.line = SourceStream(self.replicator, fence)
        self.migrator = Migrator(
            [self.line],
            lambda _: self.line,
            lambda tell: self,
            self._count,
            self._functions,
            SimpleNamespace(settle=self._note("settle deadlines"), release=self._nothing),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            FakeClock(),
            Listener(),
        )

    def cut_over(self) -> CutoverResult:
        return asyncio.run(self.migrator.cut_over(self.intend))

    def intend(self, before: tuple[ReadOnly, ...]) -> None:
        self.done.append(f"intend {len(before)}")

    # The fence.

    async def _nothing(self) -> None: ...

    def _note(self, word: str) -> Callable[[], Any]:
        async def do() -> None:
            self.done.append(word)

        return do

    async def _hold(self) -> None:
        self.done.append("hold")
        self.on_hold(self)

    async def _refuse(self) -> None:
        self.done.append("refuse")
        self.on_refuse(self)

    async def _allow(self, before: ReadOnly) -> None:
        self.done.append(f"allow {before.min_replicas}")

    def _fence_of(self, address: Address) -> Any:
        async def allow(before: ReadOnly) -> None:
            self.done.append(f"allow {before.min_replicas} at {address}")

        return SimpleNamespace(allow=allow)

    async def _before(self) -> ReadOnly:
        return ReadOnly(str(ADDRESS), 3, 10)

    async def _count(self) -> int:
        return 1

    async def _functions(self) -> int:
        return 0

    # The prover.

    async def every_key(self) -> Comparison:
        self.done.append("prove everything")
        self.on_proof(self)
        return Comparison(FACTS, FACTS, {}, {}, (), 1.0)

    async def these_keys(self, named: Sequence[Named]) -> list[Compared]:
        self.done.append("prove some")
        verdicts = [KeyVerdict.DIFFERENT if each in self.differing else KeyVerdict.EQUAL for each in named]
        return [Compared(each, 0, "string", v, (Aspect.VALUE,)) for each, v in zip(named, verdicts, strict=True)]

    # The roster.

    async def connection(self, address: Address, **_: Any) -> Any:
        async def call(*_: Any) -> bytes:
            return f"{self.info}master_repl_offset:{self.offset}\r\ndb0:keys=1,expires=0\r\n".encode()

        return SimpleNamespace(call=call)

    async def drop(self, address: Address) -> None: ...


def write(story: Story) -> None:
    """A client's write comes in, and is followed."""
    story.offset += 10
    story.replicator.offset += 10
    story.replicator.dirty_keys.add(KEY)


def shake(story: Story) -> None:
    """A primary of the target dies, once."""
    if story.done.count("shaken") == 0:
        story.replicator.needs_full_compare = True
        story.done.append("shaken")


def test_hold_then_prove_then_refuse() -> None:
    story = Story(on_hold=write)
    outcome = story.cut_over()
    assert story.done == ["hold", "prove some", "intend 1", "refuse", "release"]
    assert (outcome.wrong, outcome.rechecked, outcome.source_keys) == ((), 1, 1)


def test_a_write_that_slips_in_before_the_refusal_is_proved_as_well() -> None:
    story = Story(on_refuse=write)
    outcome = story.cut_over()
    assert story.done == ["hold", "intend 1", "refuse", "prove some", "release"]
    assert outcome.wrong == ()


def test_one_that_slips_in_and_differs_gives_the_source_back() -> None:
    story = Story(on_refuse=write, differing={KEY})
    outcome = story.cut_over()
    assert [each.named for each in outcome.wrong] == [KEY]
    assert story.done[-3:] == ["allow 3", "intend 0", "release"]


def test_a_key_that_differs_keeps_the_source_as_it_is() -> None:
    story = Story(differing={KEY})
    story.replicator.dirty_keys.add(KEY)
    outcome = story.cut_over()
    assert [each.named for each in outcome.wrong] == [KEY]
    assert "refuse" not in story.done and "intend 1" not in story.done


@pytest.mark.parametrize("moment", ["on_hold", "on_refuse"])
def test_what_upsets_the_target_meanwhile_is_followed_by_a_new_proof(moment: str) -> None:
    story = Story(**{moment: shake})
    outcome = story.cut_over()
    assert outcome.wrong == ()
    first, second = story.done.index("hold"), len(story.done) - 1 - story.done[::-1].index("hold")
    assert first < story.done.index("release") < story.done.index("prove everything") < second
    assert ("allow 3" in story.done) is (moment == "on_refuse")
    assert story.done[-2:] == ["refuse", "release"]


def test_lost_lanes_or_a_copy_under_way_are_no_time_to_cut_over() -> None:
    def cut(story: Story) -> None:
        story.replicator.is_copied = False

    story = Story(on_hold=cut)
    story.replicator.is_drained = False

    async def run() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(story.migrator.cut_over(story.intend), 0.3)

    asyncio.run(run())
    # It waits for the copy's end with the source at liberty.
    assert story.done == ["hold", "release"]


def test_one_that_never_settles_is_given_up() -> None:
    def always(story: Story) -> None:
        story.replicator.needs_full_compare = True

    story = Story(on_hold=always)
    with pytest.raises(PartialError) as caught:
        story.cut_over()
    assert caught.value.code == "not-proved"
    assert story.done.count("hold") == story.done.count("release") == 5
    assert "refuse" not in story.done


def test_a_source_that_does_not_let_us_is_given_back() -> None:
    def fail(story: Story) -> None:
        raise ServerError("no CONFIG", code="fence-refused")

    story = Story(on_refuse=fail)
    with pytest.raises(ServerError):
        story.cut_over()
    assert story.done == ["hold", "intend 1", "refuse", "allow 3", "intend 0", "release"]


def test_what_does_not_drain_is_not_waited_for_for_ever() -> None:
    story = Story()
    story.replicator.is_drained = False
    with pytest.raises(PartialError) as caught:
        story.cut_over()
    assert caught.value.code == "not-drained"
    assert story.done == ["hold", "release"]


def test_a_source_that_can_only_refuse_says_so_before() -> None:
    story = Story(can_hold=False)
    assert story.cut_over().wrong == ()
    assert story.done == ["intend 1", "refuse", "intend 1", "refuse", "release"]


def test_a_source_that_was_made_read_only_by_an_earlier_run_is_given_back_as_it_was_then() -> None:
    story = Story(on_refuse=write, differing={KEY})
    story.migrator.before = (ReadOnly(str(ADDRESS), 7, 10),)
    story.cut_over()
    assert "allow 7" in story.done
    assert story.migrator.before == ()


def test_a_source_that_failed_over_since_is_given_back_at_both_servers() -> None:
    """The one of then would refuse writes for ever, and the one of now, which was changed by this run alone."""
    story = Story(on_refuse=write, differing={KEY})
    story.migrator.before = (ReadOnly("10.0.0.8:6379", 7, 10),)
    story.cut_over()
    assert {"allow 7 at 10.0.0.8:6379", "allow 3"} <= {*story.done}


def test_a_source_that_changes_as_fast_as_is_proved_is_fenced_all_the_same() -> None:
    """Otherwise it would never be cut over."""
    story = Story()

    async def changing(named: Sequence[Named]) -> list[Compared]:
        if "hold" not in story.done:
            story.replicator.dirty_keys |= {(0, b"%d" % number) for number in range(1000)}
        return [Compared(each, 0, "string", KeyVerdict.EQUAL) for each in named]

    story.these_keys = changing  # type: ignore[method-assign]
    story.replicator.dirty_keys |= {(0, b"%d" % number) for number in range(1000)}
    outcome = story.cut_over()
    assert (outcome.wrong, outcome.rechecked) == ((), 1000)


def test_keys_that_were_different_while_they_were_hot_are_none_once_the_fence_has_proved_them() -> None:
    """Nor does one that was equal when everything was compared, and is written to since, count twice."""
    story, later = Story(), (0, b"later")
    hot: list[Named] = [(0, b"hot:%d" % number) for number in range(1500)]
    story.differing = set(hot)

    async def every_key() -> Comparison:
        for key in hot:
            story.migrator._suspect(Compared(key, 0, "stream", KeyVerdict.DIFFERENT, (Aspect.VALUE,)))
        cells = {(0, "stream", KeyVerdict.DIFFERENT): len(hot), (0, "stream", KeyVerdict.EQUAL): 1}
        return Comparison(FACTS, FACTS, cells, {Aspect.VALUE: len(hot)}, (), 1.0)

    def hold(_: Story) -> None:
        story.differing = set()

    story.every_key, story.on_hold = every_key, hold  # type: ignore[method-assign]
    asyncio.run(story.migrator.prove())
    assert story.migrator.comparison is not None
    assert not story.migrator.comparison.is_equal
    story.migrator._suspect(Compared(later, 0, "stream", KeyVerdict.DIFFERENT, (Aspect.VALUE,)))
    assert story.cut_over().wrong == ()
    comparison = story.migrator.comparison
    assert comparison.is_equal
    assert comparison.total == len(hot) + 1


def demote(story: Story) -> None:
    """A failover: it follows another one now."""
    story.info = "role:slave\r\nmaster_host:10.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:up\r\n"


def test_a_source_that_is_demoted_while_it_is_cut_over_is_given_back() -> None:
    story = Story(on_refuse=demote)
    with pytest.raises(RefusedError) as caught:
        story.cut_over()
    assert caught.value.code == "source-is-replica"
    assert story.done == ["hold", "intend 1", "refuse", "allow 3", "intend 0", "release"]


def test_nothing_is_held_on_a_replica() -> None:
    """A pause there would keep its primary's changes waiting, unseen."""
    story = Story()
    demote(story)
    sleep = story.migrator.clock.sleep

    async def ping(seconds: float) -> None:
        await sleep(seconds)
        story.offset += 14
        story.replicator.offset += 14

    story.migrator.clock.sleep = ping  # type: ignore[method-assign]
    outcome = story.cut_over()
    assert story.done == ["intend 1", "refuse", "release"]
    assert (outcome.wrong, outcome.pause.primary) == ((), "10.0.0.1:6379")
    assert outcome.pause.still_s >= 10
    assert "CLIENT PAUSE" not in outcome.pause.how


def test_one_whose_primary_goes_on_is_not_touched() -> None:
    story = Story()
    demote(story)
    sleep = story.migrator.clock.sleep

    async def change(seconds: float) -> None:
        await sleep(seconds)
        write(story)
        story.replicator.changed = story.replicator.offset

    story.migrator.clock.sleep = change  # type: ignore[method-assign]
    with pytest.raises(RefusedError, match="goes on changing"):
        story.cut_over()
    assert not {"hold", "refuse", "intend 1"} & {*story.done}
