"""Ending, starting and taking away; what a unit does by itself; where servers come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.lab import root
from tests.lab.looks import differences, fingerprints, folder, listeners, pids, rules, traces, unit
from tests.lab.machine import Host
from tests.lab.machines import Lab
from tests.lab.operator import PASSWORD, Operator, Outcome, eventually

ADMINS_RULE = 'rule family="ipv4" source address="192.0.2.9" port port="8080" protocol="tcp" accept'
PORTS = (6379, 6380)


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Hosts that have the engine and the service user, and nothing of a cluster; each with a rule of its admin's."""
    lab.renew()
    for host in lab.hosts.values():
        host.run(
            'firewall-cmd -q --add-rich-rule="$1" && firewall-cmd -q --permanent --add-rich-rule="$1"', ADMINS_RULE
        )
    operator = Operator(lab, tmp_path_factory.mktemp("life"))
    operator.topology(ports=[6379], replicas=0)
    operator.up().succeeded()
    operator.destroy().succeeded()
    return operator


@pytest.fixture
def formed(operator: Operator) -> Iterator[Operator]:
    """The cluster of the origin story, for tests that leave it whole or destroyed."""
    operator.topology()
    operator.up().succeeded()
    yield operator
    if (operator.state / "clusters" / "cache").exists() and not operator.check().json.get("ok"):
        operator.destroy()


@pytest.fixture
def away(operator: Operator) -> Operator:
    """No cluster is there."""
    take_away(operator)
    return operator


def take_away(operator: Operator, *names: str) -> None:
    for name in names or ("cache",):
        if (operator.state / "clusters" / name).exists():
            operator.run("destroy", name, "--yes").succeeded()


def is_admins(line: str) -> bool:
    return line.endswith(ADMINS_RULE)


def assert_gone(operator: Operator) -> None:
    """Nothing of the cluster; what the admin had is there."""
    for host in operator.lab.hosts.values():
        left = traces(host)
        assert [line for line in left if not is_admins(line)] == []
        assert len([line for line in left if is_admins(line)]) == 2, "the admin's rule, running and permanent"
        assert listeners(host) == set()
        # What other clusters may use stays.
        host.run("id slotwright && ls /opt/slotwright/engines/*/bin/redis-server")


# --- ending and starting ---


def test_a_node_and_all_nodes_are_stopped_and_started(formed: Operator) -> None:
    lab, client = formed.lab, formed.client()
    for number in range(100):
        client.set(f"key:{number}", number)
    replica = next(
        (name, port)
        for name in "abc"
        for port in PORTS
        if formed.node(name, port).info("replication")["role"] == "slave"
    )
    one = f"{lab.hosts[replica[0]].address}:{replica[1]}"
    stopped = formed.run("stop", "cluster.yaml", one, "--yes", "--json").succeeded().json
    assert [each["address"] for each in stopped["stopped"]] == [one]
    assert pids(lab.hosts[replica[0]])[replica[1]] == 0
    assert one in formed.check().ended_with(3).out
    plan = formed.plan()
    assert [step["address"] for step in plan["steps"] if step["step"] == "start"] == [one]
    formed.run("start", "cluster.yaml", one).succeeded()
    formed.check().succeeded()

    stopped = formed.run("stop", "--yes", "--json").succeeded().json
    assert len(stopped["stopped"]) == 6
    assert all(each["saved"] for each in stopped["stopped"])
    for host in lab.hosts.values():
        assert listeners(host) == set()
        assert pids(host) == dict.fromkeys(PORTS, 0) or pids(host) == {}
    formed.run("start").succeeded()
    formed.check().succeeded()
    assert not formed.plan()["pending"]
    assert [formed.client().get(f"key:{number}") for number in range(100)] == [b"%d" % number for number in range(100)]


def test_a_killed_server_is_restarted_by_its_unit(formed: Operator) -> None:
    """With an append-only file nothing is lost by that; it is back before anybody is voted for."""
    host, node = formed.lab.hosts["a"], formed.node("a")
    node.config_set("appendfsync", "always")
    key = next(f"key:{n}" for n in range(999) if formed.client().get_node_from_key(f"key:{n}").host == host.address)
    formed.client().set(key, "kept")
    before = pids(host)[6379]
    host.run(f"kill -9 {before}")
    eventually(lambda: pids(host)[6379] not in (0, before), "the unit to start it again")
    eventually(lambda: formed.check().json["ok"], "the cluster to be sound")
    assert formed.client().get(key) == b"kept"
    assert int(unit(host, 6379, "NRestarts")) == 1
    assert not formed.plan()["pending"]


def test_destroy_takes_back_what_was_added_and_nothing_else(formed: Operator) -> None:
    formed.destroy().succeeded()
    assert_gone(formed)
    assert formed.run("list", "--json").succeeded().json["clusters"] == []
    before = fingerprints(formed.lab)
    formed.up().succeeded()
    formed.destroy().succeeded()
    assert differences(before, fingerprints(formed.lab)) == []


def test_destroy_can_keep_the_data(formed: Operator) -> None:
    client = formed.client()
    for number in range(100):
        client.set(f"key:{number}", number)
    gone = formed.destroy("--keep-data").succeeded().json
    assert len(gone["kept"]) >= 1
    for host in formed.lab.hosts.values():
        assert listeners(host) == set()
        assert {rule.source for rule in rules(host)} == {rule.source for rule in rules(host, permanent=True)}
        assert {rule.source for rule in rules(host)} == {"192.0.2.9"}
        kept = [path for path in gone["kept"] if f"/{host.address}-" in path]
        assert len(kept) == 2
        for path in kept:
            told = host.run("find $1 -printf '%y %m %u %p\\n'", path).stdout.splitlines()
            assert any(line.endswith("/appendonlydir") for line in told), told
            assert all(int(line.split()[1], 8) & 0o007 == 0 for line in told if not line.startswith("l")), told
        assert [line for line in traces(host) if not is_admins(line) and "/kept/" not in line] == []
    # A cluster of the same name is another one.
    formed.up().succeeded()
    assert formed.client().get("key:1") is None
    formed.destroy().succeeded()
    for host in formed.lab.hosts.values():
        kept = [path for path in gone["kept"] if f"/{host.address}-" in path]
        assert all(host.run("[ -d $1 ]", path, check=False).returncode == 0 for path in kept)
        host.run("rm -rf /var/lib/slotwright/kept")


# --- what comes back by itself ---


def test_a_server_without_persistence_comes_back_by_no_unit(away: Operator) -> None:
    """Empty, it would make its replica empty as well: it stays down, and the replica takes over with the keys."""
    away.topology(settings={"appendonly": "no", "save": "", "cluster-node-timeout": "2000"})
    away.up().succeeded()
    lab, client = away.lab, away.client()
    for number in range(100):
        client.set(f"key:{number}", number)
    for name in "abc":
        away.node(name).wait(1, 1000)
    host = lab.hosts["a"]
    for each in lab.hosts.values():
        for port in PORTS:
            assert unit(each, port, "Restart") == "no"
            assert unit(each, port, "UnitFileState") in ("disabled", "static")
    host.run(f"kill -9 {pids(host)[6379]}")
    eventually(lambda: [client.get(f"key:{n}") for n in range(100)] == [b"%d" % n for n in range(100)], "a new primary")
    assert pids(host)[6379] == 0
    assert int(unit(host, 6379, "NRestarts")) == 0
    away.up().succeeded()
    eventually(lambda: away.check().json["ok"], "the node to be a replica")
    assert [away.client().get(f"key:{n}") for n in range(100)] == [b"%d" % n for n in range(100)]
    host.reboot()
    assert set(pids(host).values()) <= {0}
    eventually(
        lambda: [away.client().get(f"key:{n}") for n in range(100)] == [b"%d" % n for n in range(100)], "the keys"
    )
    away.up().succeeded()
    assert [away.client().get(f"key:{n}") for n in range(100)] == [b"%d" % n for n in range(100)]
    take_away(away)


# --- where servers come from ---


def engine_of(host: Host, cluster: str = "cache") -> str:
    return host.run("readlink $1", f"/var/lib/slotwright/clusters/{cluster}/engine").stdout.strip()


def server_of(host: Host, port: int, cluster: str) -> str:
    """What the node says that it is."""
    node = Redis(host.address, port, password=PASSWORD, socket_timeout=5)
    info = node.info("server")
    return f"{info.get('server_name', 'redis')} {info.get('valkey_version') or info['redis_version']}"


def builds(told: Outcome) -> set[str]:
    """What was compiled, as the command told it."""
    tasks = {json.loads(line).get("task", "") for line in told.err.splitlines()}
    return {task for task in tasks if task.startswith("build ")}


@pytest.mark.parametrize(
    ("engine", "server"),
    [
        ({"kind": "redis", "from": "/usr/bin"}, "redis 7.0.15"),
        ({"kind": "redis", "from": "path"}, "redis 7.0.15"),
    ],
    ids=["a directory", "the path"],
)
def test_servers_that_are_on_the_hosts_already(away: Operator, engine: dict, server: str) -> None:
    away.topology(engine=engine, ports=[7000], replicas=0)
    away.up().succeeded()
    assert not away.plan()["pending"]
    assert {server_of(host, 7000, "cache") for host in away.lab.hosts.values()} == {server}
    take_away(away)
    assert_gone(away)


def test_versions_live_side_by_side(away: Operator) -> None:
    """Two clusters of different servers on the same hosts; each has its own link, and one goes without the other."""
    away.topology(ports=[6379], replicas=0)
    away.up().succeeded()
    away.topology(name="second", engine={"kind": "valkey", "from": "embedded"}, ports=[7000], replicas=0)
    away.up().succeeded()
    for host in away.lab.hosts.values():
        assert server_of(host, 6379, "cache") == "redis 7.0.15"
        assert server_of(host, 7000, "second").startswith("valkey 9.")
        assert engine_of(host) != engine_of(host, "second")
        assert engine_of(host, "second").startswith("/opt/slotwright/engines/")
        assert listeners(host) == {f"{host.address}:{port}" for port in (6379, 16379, 7000, 17000)}
    assert not away.plan()["pending"]
    take_away(away, "second")
    assert_only_cache(away)
    away.topology(ports=[6379], replicas=0)
    assert not away.plan()["pending"]
    away.check().succeeded()
    take_away(away)
    assert_gone(away)


def assert_only_cache(operator: Operator) -> None:
    for host in operator.lab.hosts.values():
        assert [line for line in traces(host, "second") if "slotwright-second" in line or "/second" in line] == []
        assert listeners(host) == {f"{host.address}:6379", f"{host.address}:16379"}
        assert not [rule for rule in rules(host) | rules(host, permanent=True) if rule.ports in ("7000", "17000")]


@pytest.mark.timeout(1200)
def test_a_source_archive_is_built_once_and_shipped(away: Operator, tmp_path: Path) -> None:
    """On one host, though all three could; nothing of the build is left there."""
    source = root.redis_source()
    away.topology(engine={"kind": "redis", "from": str(source)}, ports=[7000], replicas=0)
    told = away.up(timeout_s=900).succeeded()
    assert builds(told), told.err
    assert {server_of(host, 7000, "cache") for host in away.lab.hosts.values()} == {"redis 7.0.15"}
    sums = {
        host.run("sha256sum $1/bin/redis-server | cut -d ' ' -f 1", engine_of(host)).stdout
        for host in away.lab.hosts.values()
    }
    assert len(sums) == 1, "built more than once"
    assert all(engine_of(host).startswith("/opt/slotwright/engines/") for host in away.lab.hosts.values())
    for host in away.lab.hosts.values():
        left = host.run("find /tmp /var/tmp /root /opt/slotwright -name '*.c' -o -name '*.o' -o -name '*.tar*'").stdout
        assert left == ""
    assert told.json["check"]["ok"]
    assert not away.plan()["pending"]
    take_away(away)
    assert builds(away.up().succeeded()) == set(), "it was built again"
    take_away(away)


def test_the_folder_of_a_node_is_never_taken_for_granted(away: Operator) -> None:
    """A folder that somebody else made where a node's would go is left alone, and told of."""
    away.topology(ports=[6379], replicas=0)
    host = away.lab.hosts["b"]
    path = folder(host, 6379)
    host.write(f"{path}/precious", "mine")
    refused = away.up()
    assert refused.code in (1, 4, 5), refused.text
    assert path in refused.text
    assert host.run("cat $1/precious", path).stdout == "mine"
    host.run("rm -r $1", path)
    away.up().succeeded()
    take_away(away)
