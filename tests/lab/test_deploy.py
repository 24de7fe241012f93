"""From three bare hosts to a proved cluster, and every verb that looks at it; what the hosts are like afterwards."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.lab.looks import ZONE_AT_FIRST, Rule, differences, fingerprints, folder, listeners, pids, rules, unit, zone
from tests.lab.machine import Host
from tests.lab.machines import Lab
from tests.lab.operator import PASSWORD, Operator, Outcome, eventually

PORTS = (6379, 6380)


@dataclass(repr=False)
class Story:
    """A deployment as it happened; tests look at its parts and at what it came to."""

    operator: Operator
    before: dict[str, list[str]]
    preflight: Outcome
    after_preflight: dict[str, list[str]]
    planned: dict
    plan_text: Outcome
    after_plan: dict[str, list[str]]
    up: Outcome

    @property
    def lab(self) -> Lab:
        return self.operator.lab


@pytest.fixture(scope="module")
def story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Bare hosts, looked at, planned for, and made a cluster: Redis from the hosts' own package, not there before."""
    lab.renew()
    operator = Operator(lab, tmp_path_factory.mktemp("deploy"))
    operator.topology()
    before = fingerprints(lab)
    preflight = operator.run("preflight", "--json")
    after_preflight = fingerprints(lab)
    planned, plan_text = operator.plan(), operator.run("plan")
    after_plan = fingerprints(lab)
    assert operator.state.exists() is False, "a plan left something at home"
    return Story(
        operator, before, preflight, after_preflight, planned, plan_text, after_plan, operator.up().succeeded()
    )


def all_pids(lab: Lab) -> dict[str, dict[int, int]]:
    return {name: pids(host) for name, host in lab.hosts.items()}


@contextmanager
def changed(operator: Operator, **changes: object) -> Iterator[None]:
    """Within it the file says something else."""
    operator.topology(**changes)
    try:
        yield
    finally:
        operator.topology()


def expected_rules(lab: Lab, host: Host, *clients: str) -> set[Rule]:
    peers = [other.address for other in lab.hosts.values() if other is not host]
    return {Rule(peer, ports) for peer in peers for ports in ("6379-6380", "16379-16380")} | {
        Rule(client, "6379-6380") for client in clients
    }


# --- before anything is there ---


def test_preflight_tells_and_changes_nothing(story: Story) -> None:
    assert story.preflight.code in (0, 3), story.preflight.text
    assert differences(story.before, story.after_preflight) == []
    told = story.preflight.json
    assert not [found for found in told["findings"] if found["severity"] == "serious"], story.preflight.text
    assert {host.address for host in story.lab.hosts.values()} <= set(re.findall(r"[\d.]+", story.preflight.out))


def test_plan_tells_and_changes_nothing(story: Story) -> None:
    assert differences(story.before, story.after_plan) == []
    kinds = [step["step"] for step in story.planned["steps"]]
    assert kinds == [
        *["prepare"] * 3,
        *["firewall"] * 3,
        "reach",
        *["create"] * 6,
        *["start"] * 6,
        *["wait", "seal"],
    ]
    for host in story.lab.hosts.values():
        assert host.address in story.plan_text.out
    assert "Redis 7.0.15" in story.plan_text.out


def test_a_json_plan_says_what_is_done_on_which_host(story: Story) -> None:
    steps = [step for step in story.planned["steps"] if step["step"] in ("prepare", "firewall")]
    assert {step.get("host") for step in steps} == {host.address for host in story.lab.hosts.values()}
    assert all(step.get("what") for step in steps)


# --- what it came to ---


def test_up_ends_in_a_proved_cluster_and_plan_says_nothing(story: Story) -> None:
    told = story.up.json
    assert told["changed"]
    assert told["check"]["ok"]
    assert told["check"]["slots_covered"] == 16384
    nodes = told["status"]["nodes"]
    assert len(nodes) == 6
    assert all(node["reachable"] for node in nodes)
    assert sorted(node["role"] for node in nodes) == ["primary"] * 3 + ["replica"] * 3
    # No primary shares its host with its own replica.
    hosts = {node["id"]: node["host"] for node in nodes}
    assert all(hosts[node["replica_of"]] != node["host"] for node in nodes if node["replica_of"])
    plan = story.operator.plan()
    assert not plan["pending"], plan


def test_up_again_changes_nothing(story: Story) -> None:
    before, processes = fingerprints(story.lab), all_pids(story.lab)
    again = story.operator.up().succeeded()
    assert not again.json["changed"]
    assert differences(before, fingerprints(story.lab)) == []
    assert all_pids(story.lab) == processes


def test_the_packages_own_service_does_not_run(story: Story) -> None:
    for host in story.lab.hosts.values():
        assert host.run("systemctl is-active redis-server", check=False).stdout.strip() != "active"
        assert host.run("systemctl is-enabled redis-server", check=False).stdout.strip() != "enabled"
        assert "127.0.0.1:6379" not in listeners(host)


def test_only_the_needed_ports_are_open(story: Story) -> None:
    for host in story.lab.hosts.values():
        assert listeners(host) == {f"{host.address}:{port}" for port in (*PORTS, 16379, 16380)}
        for permanent in (False, True):
            assert rules(host, permanent=permanent) == expected_rules(story.lab, host, story.lab.control.address)
            assert zone(host, permanent=permanent) == ZONE_AT_FIRST
        assert host.run("firewall-cmd --state").stdout.strip() == "running"


def test_a_stranger_reaches_nothing_a_client_the_nodes_a_peer_all(story: Story) -> None:
    lab = story.lab
    for host in lab.hosts.values():
        for port in (*PORTS, 16379, 16380):
            assert not lab.stranger.can_connect(host.address, port, 0.5), (host.name, port)
            assert lab.control.can_connect(host.address, port, 0.5) == (port in PORTS), (host.name, port)
            for peer in lab.hosts.values():
                assert peer is host or peer.can_connect(host.address, port), (peer.name, host.name, port)


def test_an_application_writes_and_reads(story: Story) -> None:
    client = story.operator.client()
    for number in range(50):
        client.set(f"key:{number}", str(number))
    assert [client.get(f"key:{number}") for number in range(50)] == [str(number).encode() for number in range(50)]


def test_files_are_the_service_users_and_nobody_elses(story: Story) -> None:
    for host in story.lab.hosts.values():
        told = host.run("find /var/lib/slotwright -printf '%y %m %u:%g %p\\n'").stdout.splitlines()
        for line in told:
            kind, mode, owner, path = line.split(" ", 3)
            if kind == "l" or path == "/var/lib/slotwright" or path == "/var/lib/slotwright/clusters":
                continue
            assert int(mode, 8) & 0o007 == 0, line
            if "/nodes/" in path:
                assert int(mode, 8) & 0o077 == 0 or kind == "d", line
                assert owner.startswith("slotwright:") or path.endswith("server.conf"), line
        # Somebody with an account there can read neither data nor password.
        for name in ("server.conf", "appendonlydir", "server.log"):
            path = f"{folder(host, 6379)}/{name}"
            assert host.run("[ -e $1 ]", path, check=False).returncode == 0, path
            assert host.run("ls $1 || cat $1", path, check=False, user="plain").returncode != 0, path
        assert PASSWORD not in host.run("ps -eo args; cat /etc/systemd/system/slotwright-*").stdout


def test_the_unit_is_walled_in(story: Story) -> None:
    for host in story.lab.hosts.values():
        pid = pids(host)[6379]
        status = dict(
            line.split(":\t", 1) for line in host.run(f"cat /proc/{pid}/status").stdout.splitlines() if ":\t" in line
        )
        number = host.run("id -u slotwright").stdout.strip()
        assert set(status["Uid"].split()) == {number}
        assert status["NoNewPrivs"].strip() == "1"
        assert int(status["CapEff"], 16) == 0
        assert status["Seccomp"].strip() == "2"
        # It sees its own folder as writable and nothing else: not its neighbour's, not its binary.
        inside = f"p=/proc/{pid}/root$1/x; touch $p && rm $p"
        assert host.run(inside, folder(host, 6379), check=False).returncode == 0
        for place in (folder(host, 6380), "/var/lib/slotwright", "/etc", "/opt/slotwright/engines", "/usr/bin"):
            assert "Read-only" in host.run(inside, place, check=False).stderr, place
        assert not host.run(f"ls -A /proc/{pid}/root/home").stdout.strip()
        assert unit(host, 6379, "UMask") == "0077"
        assert unit(host, 6379, "Restart") == "on-failure"  # an append-only file is there
        assert int(unit(host, 6379, "LimitNOFILE")) >= 10032


def test_nobody_logs_in_as_the_service_user(story: Story) -> None:
    for host in story.lab.hosts.values():
        fields = host.run("getent passwd slotwright").stdout.strip().split(":")
        assert fields[6].endswith(("nologin", "false"))
        assert int(fields[2]) < 1000
        assert host.run("getent shadow slotwright").stdout.split(":")[1].startswith(("!", "*"))
        assert host.run("su - slotwright -c id", check=False).returncode != 0


def test_a_grown_log_is_put_aside(story: Story) -> None:
    host, node = story.lab.hosts["b"], story.operator.node("b")
    log = f"{folder(host, 6379)}/server.log"
    host.run("systemctl is-enabled slotwright-cache-logs.timer && systemctl is-active slotwright-cache-logs.timer")
    host.run("systemctl start slotwright-cache-logs.service")
    assert host.run("[ -e $1.1 ]", log, check=False).returncode != 0, "a small log was moved"
    host.run("head -c 17000000 /dev/zero | tr '\\0' x >> $1", log)
    host.run("systemctl start slotwright-cache-logs.service")
    assert int(host.run("stat -c %s $1.1", log).stdout) > 16 * 1024 * 1024
    node.bgsave()
    eventually(lambda: "saving" in host.run("cat $1", log, check=False).stdout, "the server to log anew")
    assert host.run("stat -c '%a %U' $1", log).stdout.strip() == "600 slotwright"
    host.run("rm $1.1", log)
    assert story.operator.check().succeeded().json["ok"]


# --- verbs that look ---


def test_status_and_check_and_list(story: Story) -> None:
    operator = story.operator
    for target in ([], ["cluster.yaml"], ["cache"], [f"{story.lab.hosts['b'].address}:6380"]):
        told = operator.run("status", *target, "--json").succeeded().json
        assert (told["state"], len(told["nodes"])) == ("ok", 6), told
        checked = operator.run("check", *target, "--json").succeeded().json
        assert checked["ok"], checked
    text = operator.run("status").succeeded().out
    assert all(host.address in text for host in story.lab.hosts.values())
    listed = operator.run("list", "--json").succeeded().json
    assert [each["name"] for each in listed["clusters"]] == ["cache"]


def test_slot_names_the_node_that_serves_a_key(story: Story) -> None:
    told = story.operator.run("slot", "{user:1}:cart", "--json").succeeded().json
    key = told["keys"][0]
    client = story.operator.client()
    assert key["slot"] == client.keyslot("{user:1}:cart")
    assert key["primary"] == client.get_node_from_key("{user:1}:cart").name
    assert len(key["replicas"]) == 1


def test_logs_shows_and_follows(story: Story) -> None:
    operator, address = story.operator, f"{story.lab.hosts['a'].address}:6379"
    told = operator.run("logs", address, "-n", "5", "--json").succeeded().json
    assert told["node"] == address
    assert len(told["lines"]) == 5
    following = operator.begin("logs", address, "--follow", "-n", "1")
    try:
        assert following.stdout is not None
        assert following.stdout.readline()
        operator.node("a").bgsave()
        while "saving" not in (line := following.stdout.readline()):
            assert line, following.stderr
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0
    finally:
        following.kill()
        following.communicate()


def test_exec_runs_on_every_host(story: Story) -> None:
    operator = story.operator
    told = operator.run("exec", "--json", "--", "uname -n; id -un").succeeded().json
    assert {host.address for host in story.lab.hosts.values()} <= set(re.findall(r"[\d.]+", json.dumps(told)))
    assert all(f"host-{name}\\nroot" in json.dumps(told) for name in "abc")
    one = operator.run("exec", "--host", story.lab.hosts["b"].address, "--", "echo", "$HOME", "two  words").succeeded()
    assert "$HOME two  words" in one.out
    failed = operator.run("exec", "--", '[ "$(uname -n)" != host-c ]').ended_with(1)
    assert story.lab.hosts["c"].address in failed.text


# --- the file changes ---


def test_a_setting_is_changed_without_a_restart(story: Story) -> None:
    operator, processes = story.operator, all_pids(story.lab)
    with changed(operator, settings={"maxmemory": "80mb"}):
        plan = operator.plan()
        assert {step["step"] for step in plan["steps"]} == {"set", "wait", "remember"}, plan
        found = [step["changes"] for step in plan["steps"] if step["step"] == "set"]
        assert found == [[{"name": "maxmemory", "old": "64mb", "new": "80mb"}]] * 6
        assert operator.node("a").config_get("maxmemory")["maxmemory"] == str(64 * 1024**2)
        operator.up().succeeded()
        assert not operator.plan()["pending"]
        for name in story.lab.hosts:
            for port in PORTS:
                assert operator.node(name, port).config_get("maxmemory")["maxmemory"] == str(80 * 1024**2)
    operator.up().succeeded()
    assert not operator.plan()["pending"]
    assert all_pids(story.lab) == processes


def test_a_setting_that_needs_a_restart_is_refused(story: Story) -> None:
    operator, before, processes = story.operator, fingerprints(story.lab), all_pids(story.lab)
    with changed(operator, settings={"maxmemory": "64mb", "io-threads": "2"}):
        told = operator.run("plan", "--json").ended_with(3).json
        assert "io-threads" in told["refusals"][0]["what"]
        assert "start" in told["refusals"][0]["why"]
        refused = operator.up().ended_with(4)
        assert refused.error["left"] == "nothing was changed"
    assert differences(before, fingerprints(story.lab)) == []
    assert all_pids(story.lab) == processes
    assert not operator.plan()["pending"]


def test_other_clients_change_the_firewall_and_nothing_else(story: Story) -> None:
    operator, lab, processes = story.operator, story.lab, all_pids(story.lab)
    clients = [lab.stranger.address, f"{lab.control.address}/32"]
    with changed(operator, clients=clients):
        plan = operator.plan()
        assert {step["step"] for step in plan["steps"]} == {"firewall", "reach", "remember"}, plan
        operator.up().succeeded()
        assert not operator.plan()["pending"]
        for host in lab.hosts.values():
            expected = expected_rules(lab, host, lab.control.address, lab.stranger.address)
            assert rules(host) == rules(host, permanent=True) == expected
            assert lab.stranger.can_connect(host.address, 6379)
            assert not lab.stranger.can_connect(host.address, 16379, 0.5)
    operator.up().succeeded()
    for host in lab.hosts.values():
        assert rules(host) == rules(host, permanent=True) == expected_rules(lab, host, lab.control.address)
        assert not lab.stranger.can_connect(host.address, 6379, 0.5)
    assert all_pids(lab) == processes
    assert not operator.plan()["pending"]


def test_what_somebody_took_away_is_put_back(story: Story) -> None:
    """A rule and a unit are ours as well: `plan` sees that they are gone, `up` brings them back, and nothing stops."""
    operator, host, processes = story.operator, story.lab.hosts["b"], all_pids(story.lab)
    gone = host.run("firewall-cmd --list-rich-rules").stdout.splitlines()[0]
    host.run('firewall-cmd -q --remove-rich-rule="$1"', gone)
    host.run("echo '# edited' >> /etc/systemd/system/slotwright-cache@.service")
    plan = operator.plan()
    assert {step["step"] for step in plan["steps"]} == {"prepare", "firewall", "reach"}, plan
    operator.up().succeeded()
    assert rules(host) == expected_rules(story.lab, host, story.lab.control.address)
    assert "# edited" not in host.run("cat /etc/systemd/system/slotwright-cache@.service").stdout
    assert all_pids(story.lab) == processes
    assert not operator.plan()["pending"]
