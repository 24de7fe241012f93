"""Keys whose time comes while a target lags: the source says when they go, and in the end both sides have the same."""

from __future__ import annotations

import time

import pytest
from redis import Redis

from slotwright.cluster.slots import key_slot
from slotwright.features.migrate.model.migration import PausedExpiry
from slotwright.features.migrate.replay.deferred_expiry import LATER_MS
from slotwright.features.migrate.replay.replayer import ServerCommands
from slotwright.keys.model.databases import DatabaseMap
from slotwright.server.capabilities import Capability
from tests.engines import engine_params
from tests.integration.conftest import Lab
from tests.integration.stream_rig import Cluster, Following, Source

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

FAR_MS = 4_102_444_800_000
MILLENNIA_MS = FAR_MS * 5
TOO_FAR_MS = 2 * LATER_MS + 5


@pytest.fixture(scope="module", params=engine_params("redis-6.2", "redis-8.2", "valkey-8.1", "valkey-9.1"))
def cluster(request: pytest.FixtureRequest, shared: Lab) -> Cluster:
    """The oldest and the newest target of each family: with and without PEXPIRETIME and import-mode."""
    return Cluster(shared, request.param)


@pytest.fixture(params=engine_params("redis-6.2", "valkey-9.1"))
def source(request: pytest.FixtureRequest, lab: Lab, cluster: Cluster) -> Source:
    """One that sends times from now, and one that sends points in time."""
    for node in cluster.nodes:
        node.execute_command("FLUSHALL")
    return Source(lab, request.param)


def imports(cluster: Cluster) -> bool:
    return cluster.side.capabilities.has(Capability.IMPORT_MODE)


def import_modes(cluster: Cluster) -> list[bytes]:
    return [node.execute_command("CONFIG", "GET", "import-mode")[1] for node in cluster.nodes if imports(cluster)]


def deadline_ms(client: Redis, side: ServerCommands, key: bytes) -> int:
    """Exactly, also of a server that tells only how much is left: -1 without one, -2 without the key."""
    if side.capabilities.has(Capability.EXPIRE_TIME):
        return int(client.execute_command("PEXPIRETIME", key))
    while True:
        pipe = client.pipeline(transaction=True)
        for words in (("TIME",), ("PTTL", key), ("TIME",)):
            pipe.execute_command(*words)
        before, left, after = pipe.execute()
        first, last = (int(at[0]) * 1000 + int(at[1]) // 1000 for at in (before, after))
        if first == last:
            return left if left < 0 else first + int(left)


def contents(source: Source, cluster: Cluster, keys: list[bytes]) -> tuple[dict[bytes, object], dict[bytes, object]]:
    """Value and deadline of strings, on both sides."""
    found: tuple[dict[bytes, object], dict[bytes, object]] = ({}, {})
    for key in keys:
        sides = ((source.client, source.side), (cluster.at(key_slot(key)), cluster.side))
        for where, (client, side) in zip(found, sides, strict=True):
            where[key] = (client.execute_command("GET", key), deadline_ms(client, side, key))
    return found


def alike(source: Source, cluster: Cluster, *names: str) -> None:
    """Where the source's deadlines are known exactly, they are the same; else within what its clock tells."""
    ours, theirs = contents(source, cluster, [name.encode() for name in names])
    slack_ms = 0 if source.side.capabilities.has(Capability.EXPIRE_TIME) else 5
    for key, (value, at_ms) in ours.items():
        other, there_ms = theirs[key]
        assert (value, at_ms < 0) == (other, there_ms < 0), (key, ours, theirs)
        assert abs(at_ms - there_ms) <= slack_ms, (key, ours, theirs)


PROLONGED = """
    SET persisted 41 PX 300
    INCR persisted
    PERSIST persisted
    SET moved 1 PX 300
    EXPIRE moved 900
    SET counted 41 PX 300
    INCR counted
    EXPIRE counted 900
    RPUSH list a b
    PEXPIRE list 300
    LPOP list
    PERSIST list
    SET set-again 1 PX 300
    SET set-again 2 EX 900
    SET gone 1 PX 400
    EXPIRE copied 900
    """
STRINGS = ("persisted", "moved", "counted", "set-again", "gone", "copied")


def test_nothing_expires_in_a_target_that_lags(source: Source, cluster: Cluster) -> None:
    """Keys that the source prolongs, whose first deadline has passed when the target hears of it: nothing has to be
    carried anew, and the target has them with the source's deadlines."""
    source.only_say("SET copied 1 PX 2500")
    with Following(source, cluster, DatabaseMap(), is_behind=True) as following:
        with following.stopped():
            source.say_at_once(PROLONGED)
            source.only_say("@gone gone")
        following.take()
        assert following.replicator.progress.mended == 0
        following.catch_up()
        following.take()
        assert following.replicator.progress.mended == 0
        alike(source, cluster, *STRINGS)
        assert cluster.at(key_slot(b"list")).execute_command("LRANGE", "list", 0, -1) == [b"b"]
        assert following.prove().is_equal
        assert following.replicator.progress.mended == 0
    assert following.kept == PausedExpiry()


def test_what_expires_too_early_all_the_same_is_right_in_the_end(source: Source, cluster: Cluster) -> None:
    """A target that had caught up, and lags again. Where it expires keys by itself, replies tell of some, and the
    proof of what changed tells of the others."""
    with Following(source, cluster, DatabaseMap()) as following:
        following.prove()
        with following.stopped():
            source.say_at_once(PROLONGED)
            source.only_say("@gone gone")
        following.take()
        mended = following.replicator.progress.mended
        # The replies of PERSIST, EXPIRE and LPOP. Times from now count from when they came in, so they pass later.
        has_expired = not imports(cluster) and source.side.capabilities.has(Capability.ABSOLUTE_DEADLINES)
        assert mended >= 3 if has_expired else mended == 0
        assert following.prove_rest() == ()
        alike(source, cluster, *STRINGS)
        assert cluster.at(key_slot(b"list")).execute_command("LRANGE", "list", 0, -1) == [b"b"]


def test_deadlines_that_were_later_are_the_source_s_again(source: Source, cluster: Cluster) -> None:
    """Also of very many keys, and of those that nobody lives to see."""
    pipe = source.client.pipeline(transaction=False)
    for number in range(3000):
        pipe.execute_command("SET", f"many:{number}", number, "PXAT", FAR_MS + number)
    pipe.execute()
    source.only_say(f"SET never 1\nSET millennia 1 PXAT {MILLENNIA_MS}\nSET too-far 1 PXAT {TOO_FAR_MS}")
    names = ["never", "millennia", "too-far", "streamed", "many:0", "many:1", "many:2999"]
    with Following(source, cluster, DatabaseMap(), is_behind=True) as following:
        source.only_say(f"SET streamed 1 PXAT {FAR_MS}")
        following.take()
        assert following.kept.has_later_deadlines is not imports(cluster)
        there = deadline_ms(cluster.at(key_slot(b"many:7")), cluster.side, b"many:7")
        assert there == FAR_MS + 7 + (0 if imports(cluster) else LATER_MS)
        began = time.monotonic()
        following.catch_up()
        print(cluster.engine.label, f"{(time.monotonic() - began) * 1000:.0f} ms")
        assert not following.kept.has_later_deadlines
        alike(source, cluster, *names)
        before = following.replicator.progress.by_value
        assert following.prove().is_equal
        assert (following.replicator.progress.by_value, following.replicator.progress.mended) == (before, 0)


def test_import_mode_is_on_while_it_follows_and_off_after_it(source: Source, cluster: Cluster) -> None:
    if not imports(cluster):
        pytest.skip("this target has none")
    assert import_modes(cluster) == [b"no"] * 3
    with Following(source, cluster, DatabaseMap()) as following:
        assert import_modes(cluster) == [b"yes"] * 3
        assert len(following.kept.import_mode) == 3
        clients = [node.execute_command("CLIENT", "LIST").decode() for node in cluster.nodes]
        assert all(text.count("flags=I ") == 1 for text in clients), clients
    assert import_modes(cluster) == [b"no"] * 3
    assert following.kept == PausedExpiry()
    cluster.nodes[0].execute_command("CONFIG", "SET", "import-mode", "yes")
    try:
        with Following(source, cluster, DatabaseMap()) as following:
            assert len(following.kept.import_mode) == 2
        assert import_modes(cluster) == [b"yes", b"no", b"no"], "what was on before stays"
    finally:
        cluster.nodes[0].execute_command("CONFIG", "SET", "import-mode", "no")
