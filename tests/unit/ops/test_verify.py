"""The verdict, and the waiting for it, on a fake world; and the observing that they stand on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from slotwright.cluster.events import Moved
from slotwright.cluster.observation import Link, LoginFault, Role
from slotwright.cluster.secret import Secret
from slotwright.cluster.survey import ClusterState
from slotwright.cluster.topology import Mode
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.hosts.facts.exam import HostExam
from slotwright.nodes.connections import ConnectionPool
from slotwright.nodes.observe import discover, find_login_faults, observe
from slotwright.ops.verify import Verdict, Verifier
from tests.fakes import build
from tests.fakes.build import at
from tests.fakes.doubles import Listener
from tests.fakes.operator import Operator
from tests.fakes.world import FakeDialer, Server, World, forget_map

T = TypeVar("T")
PLACES = ["h1:7001", "h1:7002", "h2:7001", "h2:7002", "h3:7001", "h3:7002"]


@pytest.fixture
def who() -> Operator:
    found = Operator(World(), build.topology(settings={"maxmemory": "0"}))
    asyncio.run(found.up())
    found.world.effects.clear()
    return found


def server(who: Operator, place: str) -> Server:
    return who.world.servers[at(place)]


def with_verifier(who: Operator, use: Callable[[Verifier], Awaitable[T]]) -> T:
    async def do() -> T:
        async with who.verifier() as verifier:
            return await use(verifier)

    return asyncio.run(do())


def look(who: Operator, *, canaries: bool = True) -> Verdict:
    return with_verifier(who, lambda verifier: verifier.look(with_canaries=canaries))


def told(verdict: Verdict) -> list[str]:
    return [f"{found.severity} {found.code} {found.where}" for found in verdict.findings]


def wait(who: Operator) -> list[str]:
    heard = Listener()
    with_verifier(who, lambda verifier: verifier.await_usable(heard))
    return [event.text for event in heard.events if isinstance(event, Moved)]


# Looking.


def test_a_sound_cluster_is_proved_and_nothing_stays_behind(who: Operator) -> None:
    verdict = look(who)
    assert (told(verdict), verdict.is_proved, verdict.is_ok, verdict.survey.state) == ([], True, True, ClusterState.OK)
    writes = [effect for effect in who.world.effects if effect.startswith("write")]
    deletes = [effect for effect in who.world.effects if effect.startswith("delete")]
    assert (len(writes), len(deletes)) == (3, 3)
    assert [found.keys for found in who.world.servers.values() if found.keys] == []


def test_one_canary_a_shard_by_way_of_another_node(who: Operator) -> None:
    with_verifier(who, lambda verifier: replace(verifier, token="token0").look(with_canaries=True))
    keys = [effect.split()[1] for effect in who.world.effects if effect.startswith("write")]
    assert {key.partition("}")[2] for key in keys} == {":canary:token0"}
    assert len(set(keys)) == 3


def test_without_canaries_nothing_is_written_and_nothing_claimed(who: Operator) -> None:
    verdict = look(who, canaries=False)
    assert (verdict.is_proved, verdict.is_ok, who.world.effects) == (False, True, [])


def test_a_cluster_that_is_down_is_not_written_to(who: Operator) -> None:
    who.world.kill(at("h1:7001"))
    verdict = look(who)
    assert (told(verdict), verdict.is_proved, verdict.is_ok) == (["serious node-down h1:7001"], False, False)
    assert who.world.effects == []


def test_a_canary_that_some_else_left_is_told(who: Operator) -> None:
    owner = server(who, "h1:7001")

    def look_again() -> Verdict:
        return with_verifier(who, lambda verifier: replace(verifier, token="same").look(with_canaries=True))

    look_again()
    key = next(effect.split()[1] for effect in who.world.effects if effect.startswith("write"))
    who.world.effects.clear()
    for found in (owner, server(who, "h2:7001"), server(who, "h3:7001")):
        found.keys[key] = ("x", who.world.clock.now() + 60)
    verdict = look_again()
    assert [found.code for found in verdict.findings] == ["canary-failed"]
    assert not verdict.is_proved


def test_a_replica_locked_out_has_its_cause_named(who: Operator) -> None:
    server(who, "h2:7002").settings["masterauth"] = "sesame"
    assert told(look(who)) == ["serious replica-auth-rejected h2:7002"]
    server(who, "h2:7002").settings["masterauth"] = ""
    assert told(look(who)) == ["serious replica-auth-missing h2:7002"]


def test_a_setting_that_differs_is_no_proof_against_but_not_ok(who: Operator) -> None:
    server(who, "h1:7001").settings["maxmemory"] = "9"
    verdict = look(who)
    assert (told(verdict), verdict.is_proved, verdict.is_ok) == (["warning settings-differ h1:7001"], True, False)


def test_nobody_lets_us_in_so_nothing_is_claimed(who: Operator) -> None:
    who.password = Secret("sesame")
    with pytest.raises(AuthenticationError, match="every node of demo"):
        look(who)


@pytest.mark.parametrize("word", ["NOPERM this user has no permissions to run INFO", "ERR unknown command 'INFO'"])
def test_no_node_tells_of_itself_so_nothing_is_claimed(who: Operator, word: str) -> None:
    for one in who.world.servers.values():
        one.refuses_info = word

    async def do() -> Verdict:
        async with who.verifier() as verifier:
            return await replace(verifier, expected=None).look(with_canaries=False)

    with pytest.raises(ServerError, match="nothing can be said of demo") as caught:
        asyncio.run(do())
    assert word in caught.value.seen
    assert caught.value.hint


def test_one_node_that_does_not_let_us_in_is_a_finding(who: Operator) -> None:
    server(who, "h2:7002").settings["requirepass"] = "other"
    assert "serious wrong-password h2:7002" in told(look(who))


def test_a_single_instance_is_proved_too() -> None:
    alone = Operator(World(), build.topology(1, 1, 0, mode=Mode.SINGLE))
    asyncio.run(alone.up())
    assert look(alone).is_proved


def test_clocks_are_measured_against_ours(who: Operator) -> None:
    server(who, "h2:7001").skew_s = server(who, "h2:7002").skew_s = 9.0
    verdict = look(who)
    assert told(verdict) == ["warning clocks-differ h2"]
    assert {round(view.clock_skew_s or 0, 3) for view in verdict.observation.views} == {0.0, 9.0}


def test_hosts_that_were_asked_are_part_of_the_verdict(who: Operator) -> None:
    exams = tuple(HostExam(f"h{number}", trouble="" if number > 1 else "no route") for number in (1, 2, 3))

    async def examine() -> tuple[HostExam, ...]:
        return exams

    async def do() -> Verdict:
        async with who.verifier() as verifier:
            return await replace(verifier, examine=examine).look(with_canaries=False)

    verdict = asyncio.run(do())
    assert verdict.exams == exams
    assert "processes, maps, logs, disks of h1: no route" in verdict.unjudged
    assert verdict.is_ok


# Waiting.


def test_waiting_ends_when_the_servers_say_so(who: Operator) -> None:
    who.world.clock.time = server(who, "h1:7001").started
    words = wait(who)
    assert words and all("the cluster is not ok yet" in word for word in words)


def test_waiting_for_nothing_asks_once(who: Operator) -> None:
    before = who.world.clock.now()
    assert wait(who) == []
    assert who.world.clock.now() == before


def test_waiting_proves_with_a_canary(who: Operator) -> None:
    wait(who)
    assert len([effect for effect in who.world.effects if effect.startswith("write")]) == 3


def test_a_setting_that_differs_does_not_hold_the_waiting_up(who: Operator) -> None:
    server(who, "h1:7001").settings["maxmemory"] = "9"
    assert wait(who) == []


def test_it_is_waited_until_clients_are_told_of_every_replica(who: Operator) -> None:
    server(who, "h2:7001").untold_until = who.world.clock.now() + 2
    before = who.world.clock.now()
    words = wait(who)
    assert 2 <= who.world.clock.now() - before <= 3
    assert words and set(words) == {"h2:7001: clients are not told of h2:7002 yet"}


def test_a_server_that_never_tells_clients_is_no_reason_to_fail(who: Operator) -> None:
    server(who, "h2:7001").untold_until = 1e12
    who.world.clock.least_s = 1.0
    assert wait(who)


def test_a_setting_that_was_not_waited_for_is_not_the_reason(who: Operator) -> None:
    server(who, "h1:7001").settings["maxmemory"] = "9"
    server(who, "h2:7002").lag_bytes = 1
    who.world.clock.least_s = 1.0
    with pytest.raises(ServerError) as caught:
        wait(who)
    assert caught.value.seen == "a replica has not caught up"


def test_patience_ends_with_what_was_found(who: Operator) -> None:
    server(who, "h2:7002").settings["masterauth"] = "sesame"
    who.world.clock.least_s = 1.0
    before = who.world.clock.now()
    with pytest.raises(ServerError) as caught:
        wait(who)
    assert (caught.value.code, caught.value.where) == ("not-usable", "demo")
    assert "h2:7002" in caught.value.seen
    assert 33 < who.world.clock.now() - before <= 34


def test_a_replica_that_has_not_caught_up_is_waited_for(who: Operator) -> None:
    server(who, "h2:7002").lag_bytes = 1
    who.world.clock.least_s = 1.0
    with pytest.raises(ServerError) as caught:
        wait(who)
    assert caught.value.seen == "a replica has not caught up"


def test_a_node_that_loads_is_given_more_time(who: Operator) -> None:
    server(who, "h1:7001").is_loading = True
    who.world.clock.least_s = 10.0
    before = who.world.clock.now()
    with pytest.raises(ServerError):
        wait(who)
    assert 600 < who.world.clock.now() - before <= 610


def test_a_dead_node_is_waited_for_in_vain(who: Operator) -> None:
    who.world.kill(at("h3:7002"))
    who.world.clock.least_s = 1.0
    with pytest.raises(ServerError) as caught:
        wait(who)
    assert "h3:7002" in caught.value.seen


def test_a_warning_that_has_nothing_to_do_with_it_does_not_hold_the_waiting_up(who: Operator) -> None:
    server(who, "h1:7001").more_info = "maxmemory:1000\r\nused_memory:950\r\n"
    who.world.clock.least_s = 1.0
    wait(who)


def is_asked_for(who: Operator, seconds: float, place: str = "h2:7001") -> None:
    """All servers have been up for a while, and await h1:7001's answer to a ping of so many seconds ago."""
    for found in who.world.servers.values():
        found.more_info = "uptime_in_seconds:60\r\n"
    sent_ms = int((who.world.clock.wall() - seconds) * 1000) if seconds else 0
    for line in server(who, place).lines:
        if line.address == at("h1:7001"):
            words = line.text.split()
            line.text = " ".join([*words[:4], str(sent_ms), *words[5:]])


def test_a_link_that_says_nothing_is_waited_for_before_a_look_finds_it_broken(who: Operator) -> None:
    """Else the look after it might: the servers give it up later."""
    is_asked_for(who, 3.0)
    assert told(look(who, canaries=False)) == []
    heard: list[str] = []

    def report(event: object) -> None:
        assert isinstance(event, Moved)
        heard.append(event.text)
        is_asked_for(who, 0)

    with_verifier(who, lambda verifier: verifier.await_usable(report))
    assert heard == ["h2:7001 -> h1:17001: h2:7001 does not reach the cluster bus of h1:7001, though both answer"]


def test_a_ping_that_was_just_sent_is_not_waited_for(who: Operator) -> None:
    is_asked_for(who, 0.5)
    assert wait(who) == []


def test_a_link_that_says_nothing_for_long_but_is_not_given_up_is_no_reason_to_fail(who: Operator) -> None:
    for found in who.world.servers.values():
        found.settings["cluster-node-timeout"] = "120000"
    is_asked_for(who, 3.0)
    who.world.clock.least_s = 1.0
    before = who.world.clock.now()
    assert wait(who)
    assert 33 < who.world.clock.now() - before <= 34


def test_a_link_that_the_server_gave_up_is_a_reason_to_fail(who: Operator) -> None:
    is_asked_for(who, 10.0)
    who.world.clock.least_s = 1.0
    with pytest.raises(ServerError) as caught:
        wait(who)
    assert "h2:7001 does not reach the cluster bus of h1:7001" in caught.value.seen


# Observing.


def observed(who: Operator, places: list[str], names: tuple[str, ...] = ()) -> object:
    async def do() -> object:
        async with who.pool() as pool:
            return await observe(pool, [at(place) for place in places], names)

    return asyncio.run(do())


def test_views_and_silences_stand_side_by_side_in_the_order_asked(who: Operator) -> None:
    who.world.kill(at("h1:7002"))
    server(who, "h2:7001").is_mute = True
    server(who, "h2:7002").is_loading = True
    server(who, "h3:7001").settings["requirepass"] = "other"
    found = observed(who, PLACES)
    assert [str(view.address) for view in found.views] == ["h1:7001", "h3:7002"]
    assert [(str(silent.address), silent.code) for silent in found.silent] == [
        ("h1:7002", "refused"),
        ("h2:7001", "timeout"),
        ("h2:7002", "loading"),
        ("h3:7001", "wrong-password"),
    ]


def test_without_a_password_a_server_that_wants_one_is_said_so(who: Operator) -> None:
    who.password = None
    found = observed(who, PLACES[:1])
    assert [silent.code for silent in found.silent] == ["wrong-password"]


def test_a_view_is_what_the_node_says(who: Operator) -> None:
    (view,) = observed(who, ["h2:7002"], ("maxmemory", "no-such-directive")).views
    assert (view.mode, view.replication.role, view.replication.link) == (Mode.CLUSTER, Role.REPLICA, Link.UP)
    assert view.version == build.VERSION
    assert view.id == who.blueprint.node_at(at("h2:7002")).id
    assert view.settings == (("maxmemory", "0"),)
    assert len(view.peers) == 6 and view.myself is not None and view.state_is_ok


def test_a_stand_alone_instance_is_known_by_its_run_id() -> None:
    alone = Operator(World(), build.topology(1, 1, 0, mode=Mode.SINGLE))
    asyncio.run(alone.up())
    (view,) = observed(alone, ["h1:7001"]).views
    assert (view.mode, view.peers, view.state_is_ok) == (Mode.SINGLE, (), True)
    assert int(view.id, 16) == alone.world.servers[at("h1:7001")].process.pid


def discovered(who: Operator, place: str) -> list[str]:
    async def do() -> list[str]:
        async with who.pool() as pool:
            return [str(address) for address in await discover(pool, at(place))]

    return asyncio.run(do())


def test_all_members_are_discovered_from_one(who: Operator) -> None:
    assert discovered(who, "h2:7001") == ["h2:7001", "h1:7001", "h1:7002", "h2:7002", "h3:7001", "h3:7002"]


def test_a_node_that_was_reset_knows_itself(who: Operator) -> None:
    forget_map(server(who, "h2:7001"))
    assert discovered(who, "h2:7001") == ["h2:7001"]


def test_discovering_from_a_dead_seed(who: Operator) -> None:
    who.world.kill(at("h2:7001"))
    with pytest.raises(NodeUnreachableError):
        discovered(who, "h2:7001")


def test_login_faults_are_looked_for_where_links_are_down_alone(who: Operator) -> None:
    server(who, "h2:7002").settings["masterauth"] = ""
    server(who, "h3:7002").settings["masterauth"] = "sesame"
    tried: list[tuple[Secret | None, str]] = []

    def login(password: Secret | None, user: str) -> FakeDialer:
        tried.append((password, user))
        return FakeDialer(who.world, password)

    async def do() -> object:
        async with who.pool() as pool:
            found = await observe(pool, [at(place) for place in PLACES])
            return await find_login_faults(pool, found, login)

    found = asyncio.run(do())
    assert found.login_faults == ((at("h2:7002"), LoginFault.MISSING), (at("h3:7002"), LoginFault.REJECTED))
    assert tried == [(None, ""), (Secret("sesame"), "")]


def test_a_dead_primary_is_no_login_fault(who: Operator) -> None:
    who.world.kill(at("h1:7001"))

    async def do() -> object:
        async with who.pool() as pool:
            found = await observe(pool, [at(place) for place in PLACES])
            return await find_login_faults(pool, found, lambda password, user: FakeDialer(who.world, password))

    assert asyncio.run(do()).login_faults == ()


# The roster.


def test_each_node_is_dialled_once_and_again_when_it_was_lost(who: Operator) -> None:
    dialer = FakeDialer(who.world, who.password)

    async def do() -> None:
        async with ConnectionPool(dialer) as pool:
            await observe(pool, [at("h1:7001"), at("h2:7001")])
            await observe(pool, [at("h1:7001")])
            restarted = replace(server(who, "h1:7001"))
            who.world.servers[at("h1:7001")] = restarted
            lost = await observe(pool, [at("h1:7001")])
            assert [silent.code for silent in lost.silent] == ["closed"]
            again = await observe(pool, [at("h1:7001")])
            assert len(again.views) == 1

    asyncio.run(do())
    assert [str(address) for address in dialer.dialled] == ["h1:7001", "h2:7001", "h1:7001"]


@pytest.mark.parametrize("text", ['"+evil+":1', "a b:1", "?:7001", "h1:0"])
def test_a_canary_is_not_led_to_what_is_no_address(who: Operator, text: str) -> None:
    for one in who.world.servers.values():
        for line in one.lines:
            line.announced = text if line.address == at("h1:7001") else ""
    (found,) = look(who).findings
    assert (found.code, found.where) == ("canary-failed", "h1:7001")
    assert "no address" in found.seen


def test_a_redirection_without_a_host_leads_to_where_one_asked(who: Operator) -> None:
    for one in who.world.servers.values():
        for line in one.lines:
            line.announced = f":{line.address.port}"
    # h2 and h3 have a primary at the same port, and send on in their turn: nobody is dialled at a host of nothing.
    assert {found.code for found in look(who).findings} <= {"canary-failed"}


@pytest.mark.parametrize("text", ['"+evil+"', "a b", "a\nb", f"\n{'c' * 40} x", "\ufffd", "${x}"])
@pytest.mark.parametrize("place", ["h1:7001", "h2:7002"])
def test_who_announces_what_is_no_address_is_never_dialled_there(who: Operator, text: str, place: str) -> None:
    for one in who.world.servers.values():
        for line in one.lines:
            line.text = line.text.replace(f" {place}@", f" {text}:{place.partition(':')[2]}@")
    assert told(look(who)) == [f"serious address-not-valid {place}"]
    assert "\n" not in look(who).findings[0].seen

    async def find() -> tuple[object, ...]:
        async with who.pool() as pool:
            return await discover(pool, at("h3:7001"))

    assert asyncio.run(find()) == (at("h3:7001"), *(at(each) for each in PLACES if each not in ("h3:7001", place)))
