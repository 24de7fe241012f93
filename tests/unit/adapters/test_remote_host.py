"""A host that is only a shell: its folders and a real server by scripts, and whether hosts reach each other."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slotwright.adapters.hosts.reach import Listening, ReachProbe
from slotwright.adapters.hosts.shell_host import RemoteHost
from slotwright.adapters.local import processes
from slotwright.adapters.local.shell import LocalShell
from slotwright.adapters.supervisors.supervisors import DetachedSupervisor
from slotwright.cluster.findings import Severity
from slotwright.cluster.node_files import Launch, NodeFiles
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.steps import ChangeFirewall, PrepareHost, ProveReach
from slotwright.cluster.topology import Address, Engine, EngineKind, EngineOrigin, HostSpec, Topology, Via
from slotwright.errors import HostError
from slotwright.hosts.facts.engine import EngineForm, EngineOnHost, WantedEngine
from slotwright.hosts.facts.firewall import (
    FirewalldState,
    FirewallFacts,
    FirewallPlan,
    FirewallRule,
    OtherFirewall,
    Scope,
)
from slotwright.hosts.facts.installation import Site
from slotwright.hosts.facts.nodes import DirectoryState, NodeQuery
from slotwright.hosts.facts.reach import ReachOutcome, Trial
from slotwright.hosts.host_waves import HostRequirements, plan_host_waves
from slotwright.hosts.reach_findings import check_reach, check_speakers
from tests.engines import TestEngine, any_engine

MARKER = '{"cluster_id": "c1", "name": "cache", "node_id": "n1"}\n'


@dataclass
class Desk:
    """A host, and a node's folder on it."""

    host: RemoteHost
    folder: str
    port: int

    def files(self, *more: str) -> NodeFiles:
        lines = ["bind 127.0.0.1", f"port {self.port}", f'dir "{self.folder}"', 'save ""', *more]
        lines += [f'pidfile "{self.folder}/server.pid"', f'logfile "{self.folder}/server.log"']
        return NodeFiles(self.folder, MARKER, "\n".join(lines) + "\n")

    async def state(self, cluster_id: str = "c1") -> DirectoryState:
        query = NodeQuery(Address("127.0.0.1", self.port), self.folder, with_bus=False)
        return (await self.host.inspect("h", cluster_id, [query])).nodes[0].directory.state


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    shell = LocalShell("h")
    detached = DetachedSupervisor(shell, "cache", os.popen("id -un").read().strip())
    folder = tmp_path / "nodes of $x" / "n 1"
    return Desk(RemoteHost(shell, "", detached, detached), str(folder), processes.free_port("127.0.0.1"))


@pytest.fixture
def server() -> TestEngine:
    return any_engine()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.02)


def test_a_node_s_whole_life_by_scripts(desk: Desk, server: TestEngine) -> None:
    async def life() -> None:
        host, folder = desk.host, desk.folder
        assert await desk.state() is DirectoryState.ABSENT
        await host.create(desk.files())
        assert await desk.state() is DirectoryState.OURS
        assert {stat.S_IMODE(path.stat().st_mode) for path in Path(folder).iterdir()} == {0o600}
        assert stat.S_IMODE(Path(folder).stat().st_mode) == 0o700
        assert await host.find(folder, "c1") is None
        process = await host.start(Launch(Address("127.0.0.1", desk.port), folder, str(server.binary)))
        try:
            await until(lambda: found(process))
            assert await host.find(folder, "another") is None, "a server of another cluster is not ours"
            assert await asyncio.gather(*(host.is_running(process) for _ in range(5))) == [True] * 5
            assert await listens(desk.port)
            assert "eady to accept" in await host.log_tail(folder)
            text, offset = await host.log_from(folder, 0)
            assert text
            assert await host.log_from(folder, offset) == ("", offset)
        finally:
            await host.kill(process, folder)
        await until(lambda: gone(process))
        await host.kill(process, folder)
        await host.remove(folder, "c1")
        assert not Path(folder).parent.exists()

    async def found(process: object) -> bool:
        return await desk.host.find(desk.folder, "c1") == process

    async def listens(port: int) -> bool:
        async def once() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
            return True

        await until(once)
        return True

    async def gone(process: object) -> bool:
        return not await desk.host.is_running(process)  # type: ignore[arg-type]

    asyncio.run(life())


def test_a_server_that_refuses_its_configuration_says_why(desk: Desk, server: TestEngine) -> None:
    async def refuse() -> None:
        await desk.host.create(desk.files("no-such-directive x"))
        process = await desk.host.start(Launch(Address("127.0.0.1", desk.port), desk.folder, str(server.binary)))

        async def ended() -> bool:
            return not await desk.host.is_running(process)

        await until(ended)
        assert "no-such-directive" in await desk.host.log_tail(desk.folder)

    asyncio.run(refuse())


def test_a_configuration_is_written_anew_and_nothing_else(desk: Desk) -> None:
    async def rewrite() -> None:
        await desk.host.create(desk.files())
        Path(desk.folder, "dump.rdb").write_text("data")
        await desk.host.rewrite_conf(desk.files('requirepass "ü % \'"'))
        assert 'requirepass "ü % \'"' in Path(desk.folder, "server.conf").read_text()
        assert await desk.host.data_files(desk.folder) == (("dump.rdb", 4),)

    asyncio.run(rewrite())


def test_what_belongs_to_others_is_left_alone_and_said(desk: Desk, tmp_path: Path) -> None:
    async def others() -> None:
        await desk.host.create(desk.files())
        for doing in (
            desk.host.remove(desk.folder, "c2"),
            desk.host.set_aside(desk.folder, "c2", f"{tmp_path}/kept/n1"),
        ):
            with pytest.raises(HostError) as caught:
                await doing
            assert caught.value.code == "directory-foreign"
            assert caught.value.where == desk.folder
        await desk.host.set_aside(desk.folder, "c1", f"{tmp_path}/kept/n1")
        assert [path.name for path in (tmp_path / "kept" / "n1").iterdir()] == ["slotwright.json"]

    asyncio.run(others())


def test_a_folder_that_can_not_be_made_is_said_with_the_systems_words(desk: Desk) -> None:
    Path(desk.folder).parent.parent.joinpath("nodes of $x").write_text("a file in the way")
    with pytest.raises(HostError) as caught:
        asyncio.run(desk.host.create(desk.files()))
    assert (caught.value.code, caught.value.where) == ("host-files", desk.folder)
    assert caught.value.seen


def test_a_free_port_is_free(desk: Desk) -> None:
    port = asyncio.run(desk.host.free_port("h"))
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", port + 10000)):
        pass


# --- reach: two "hosts" of this machine's loopback ---


def free_pair(*hosts: str) -> int:
    """A port that is free with its bus port on all of them."""
    while True:
        port = processes.free_port("127.0.0.1")
        if port > 55000:
            continue
        try:
            for host in hosts:
                for one in (port, port + 10000):
                    socket.create_server((host, one)).close()
        except OSError:
            continue
        return port


async def plainly(source: str, goal: Address, port: int, timeout_s: float) -> None:
    async with asyncio.timeout(timeout_s):
        _, writer = await asyncio.open_connection(goal.host, port)
    writer.close()


def two_hosts(taken: frozenset[int] = frozenset()) -> tuple[int, tuple[Listening, Listening]]:
    names = ("127.0.7.1", "127.0.7.2")
    port = free_pair(*names)
    first, second = (Listening(LocalShell(name), (Address(name, port),), taken, with_bus=True) for name in names)
    return port, (first, second)


@asynccontextmanager
async def someone_listening(host: str, port: int) -> AsyncIterator[None]:
    async with await asyncio.start_server(lambda reader, writer: writer.close(), host, port):
        yield


def is_quiet(port: int) -> bool:
    return all(
        socket.socket().connect_ex((host, one)) != 0
        for host in ("127.0.7.1", "127.0.7.2")
        for one in (port, port + 10000)
    )


def test_every_ordered_pair_is_tried_on_both_ports_and_nothing_is_left() -> None:
    port, hosts = two_hosts()
    tried = asyncio.run(ReachProbe(plainly).try_all(hosts))
    assert {(one.source, one.goal, one.port, one.is_bus, one.outcome) for one in tried} == {
        (source, goal, number, number != port, ReachOutcome.OPEN)
        for source, goal in (("127.0.7.1", "127.0.7.2"), ("127.0.7.2", "127.0.7.1"))
        for number in (port, port + 10000)
    }
    deadline = 100
    while not is_quiet(port) and deadline:
        deadline -= 1
        asyncio.run(asyncio.sleep(0.02))
    assert is_quiet(port)


def test_what_listens_already_is_what_is_connected_to() -> None:
    async def body() -> tuple[Trial, ...]:
        port, (first, second) = two_hosts()
        there = Listening(second.shell, second.addresses, frozenset({port}), with_bus=True)
        async with someone_listening("127.0.7.2", port):
            return await ReachProbe(plainly).try_all((first, there))

    assert {one.outcome for one in asyncio.run(body())} == {ReachOutcome.OPEN}


def test_a_way_that_is_shut_is_told_with_the_systems_words() -> None:
    async def only_clients(source: str, goal: Address, port: int, timeout_s: float) -> None:
        if port != goal.port:
            raise OSError("No route to host")
        await plainly(source, goal, port, timeout_s)

    _, hosts = two_hosts()
    tried = asyncio.run(ReachProbe(only_clients).try_all(hosts))
    assert {(one.is_bus, one.outcome) for one in tried} == {(True, ReachOutcome.SHUT), (False, ReachOutcome.OPEN)}
    found = check_reach(tried, {})
    assert [(each.code, each.where, each.severity) for each in found] == [
        ("bus-blocked", "127.0.7.1", Severity.SERIOUS),
        ("bus-blocked", "127.0.7.2", Severity.SERIOUS),
    ]
    assert "No route to host" in found[0].seen
    assert "127.0.7.2" in found[0].what


def test_where_ssh_forwards_nothing_the_hosts_own_tools_try() -> None:
    async def forbidden(source: str, goal: Address, port: int, timeout_s: float) -> None:
        raise HostError("no", code="ssh-forwarding-forbidden")

    _, hosts = two_hosts()
    outcomes = {one.outcome for one in asyncio.run(ReachProbe(forbidden).try_all(hosts))}
    assert outcomes <= {ReachOutcome.OPEN, ReachOutcome.UNTRIED}
    assert len(outcomes) == 1


# --- judging reach ---


def shut(source: str, goal: str, port: int) -> Trial:
    return Trial(source, goal, port, port > 10000, ReachOutcome.SHUT, "no answer within 3 s")


def test_a_host_that_shuts_all_others_out_is_told_once_for_each_kind_of_port() -> None:
    trials = [shut(source, "b", port) for source in ("a", "c") for port in (6379, 6380, 16379, 16380)]
    found = check_reach([*trials, Trial("b", "a", 6379, False, ReachOutcome.OPEN)], {})
    assert sorted(each.code for each in found) == ["bus-blocked", "port-blocked"]
    bus = next(each for each in found if each.code == "bus-blocked")
    assert (bus.where, "(16379, 16380)" in bus.what, "from a and 1 more" in bus.what) == ("b", True, True)
    assert "a, c" in bus.remedy


def test_a_firewall_of_ours_that_is_not_open_yet_is_only_a_note() -> None:
    found = check_reach([shut("a", "b", 6379), shut("b", "a", 6379)], {}, {"b"})
    assert sorted((each.code, each.where) for each in found) == [("firewall-closed", "b"), ("port-blocked", "a")]
    assert next(each for each in found if each.code == "firewall-closed").severity is Severity.NOTE


def test_what_could_not_be_tried_is_no_promise() -> None:
    found = check_reach([Trial("a", "b", 6379, False, ReachOutcome.UNTRIED, "no listener could be started there")], {})
    assert [(each.code, each.where, each.severity) for each in found] == [("reach-untested", "b", Severity.WARNING)]


@pytest.mark.parametrize(
    ("state", "other", "words"),
    [
        (FirewalldState.RUNNING, OtherFirewall.NONE, "firewalld"),
        (FirewalldState.ABSENT, OtherFirewall.UFW, "ufw"),
        (FirewalldState.ABSENT, OtherFirewall.NONE, "packet filter on the way"),
    ],
)
def test_who_shuts_it_as_far_as_can_be_told(state: FirewalldState, other: OtherFirewall, words: str) -> None:
    facts = {"b": FirewallFacts(state, other=other)}
    assert words in check_reach([shut("a", "b", 6379)], facts)[0].remedy


# --- what hosts lack ---

RULE = 'rule family="ipv4" source address="10.0.0.2" port port="6379-6380" protocol="tcp" accept'
ADD = tuple(
    FirewallRule("public", scope, RULE.replace("6379-6380", ports))
    for scope in (Scope.PERMANENT, Scope.RUNTIME)
    for ports in ("6379-6380", "16379-16380")
)
VERSION = ServerVersion(EngineKind.REDIS, (7, 0, 15))
ENGINE = EngineOnHost("/opt/slotwright/engines/redis-package", "/opt/x", VERSION)
WANTED = WantedEngine(EngineKind.REDIS, EngineOrigin.PACKAGE, EngineForm.PACKAGE, "x86_64", VERSION)
UNIT = "[Service]\n"
DIGEST = hashlib.sha256(UNIT.encode()).hexdigest()


def options(host: str = "a", **changes: object) -> HostRequirements:
    """A host that has all it should; ``changes`` are of the wish, or of the site that was found."""
    site = Site(host, True, ENGINE.folder, DIGEST, frozenset({"n1"}), rooms=True)
    ours = {name: value for name, value in changes.items() if name in Site.__dataclass_fields__}
    rest = {name: value for name, value in changes.items() if name not in ours}
    words: dict[str, object] = {
        "site": replace(site, **ours),  # type: ignore[arg-type]
        "wanted": WANTED,
        "present": ENGINE,
        "unit": UNIT,
        "instances": frozenset({"n1"}),
        "firewall": FirewallPlan(host),
        "is_root": True,
    }
    return HostRequirements(**(words | rest))  # type: ignore[arg-type]


def test_hosts_that_have_everything_need_nothing_but_a_proof_where_one_is_asked_for() -> None:
    assert plan_host_waves((), (6379,), must_prove=True) == ()
    assert plan_host_waves((options(),), (6379,), must_prove=True) == (), "a single host has nobody to reach"
    assert plan_host_waves((options("a"), options("b")), (6379,), must_prove=False) == ()
    assert plan_host_waves((options("a"), options("b")), (6379,), must_prove=True) == ((ProveReach(2, (6379,)),),)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"has_user": False}, "user"),
        ({"present": None}, "Redis"),
        ({"link": ""}, "link"),
        ({"link": "/opt/slotwright/engines/older"}, "link"),
        ({"rooms": False}, "folders"),
        ({"unit_digest": ""}, "unit"),
        ({"unit_digest": "another"}, "unit"),
        ({"enabled": frozenset()}, "start at boot"),
        ({"instances": frozenset()}, "no start at boot"),
    ],
)
def test_one_thing_that_a_host_lacks_is_all_that_is_done(changes: dict[str, object], word: str) -> None:
    (wave,) = plan_host_waves((options("a", **changes), options("b")), (6379,), must_prove=False)
    (step,) = wave
    assert isinstance(step, PrepareHost)
    assert step.host == "a"
    assert len(step.what) == 1
    assert word in step.what[0]


def test_a_login_without_root_needs_no_service_user_and_no_unit() -> None:
    plain = options(has_user=False, unit="", unit_digest="", enabled=frozenset(), instances=frozenset(), is_root=False)
    assert plan_host_waves((plain,), (6379,), must_prove=False) == ()


def test_rules_are_told_by_source_and_proved_afterwards() -> None:
    changed = options("a", firewall=FirewallPlan("a", add=ADD))
    waves = plan_host_waves((changed, options("b")), (6379, 6380), must_prove=False)
    assert waves[-1] == (ProveReach(2, (6379, 6380)),)
    (step,) = waves[0]
    assert isinstance(step, ChangeFirewall)
    assert step.what == ("let in 10.0.0.2 on 6379-6380 and 16379-16380",)
    assert step.add == tuple(map(str, ADD))


def test_a_host_is_ready_when_its_server_can_be_tried() -> None:
    assert options().is_ready
    for changes in ({"present": None}, {"link": "/elsewhere"}, {"rooms": False}):
        assert not options(**changes).is_ready  # type: ignore[arg-type]


def test_with_via_direct_this_machine_must_be_a_client() -> None:
    topology = Topology(
        "cache",
        Engine(EngineKind.REDIS, EngineOrigin.PACKAGE),
        (HostSpec("10.0.0.1", (6379,)), HostSpec("10.0.0.2", (6379,))),
        clients=("10.0.1.0/24",),
        via=Via.DIRECT,
    )
    found = check_speakers(topology, {"10.0.0.1": "10.0.1.7", "10.0.0.2": "10.9.9.9"})
    assert [(each.code, each.where) for each in found] == [("not-a-client", "10.0.0.2")]
    assert check_speakers(topology, {"10.0.0.1": "10.0.0.2", "10.0.0.2": ""}) == ()
