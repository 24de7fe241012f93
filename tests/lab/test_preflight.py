"""What preflight finds on real hosts: each fault on one host, and nothing of it on the others; and what --fix mends.

Clocks, swap, memory pages and SELinux belong to the machine that all hosts of the lab share: they can't be set here,
and stand in tests/tables.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.looks import fingerprint, traces
from tests.lab.machine import PATIENCE_S, Host
from tests.lab.machines import Lab
from tests.lab.operator import Operator

Found = set[tuple[str, str]]
"""Codes, and the letters of the hosts that they were found on."""

AT_FIRST = {"overcommit-memory-off", "transparent-huge-pages", "firewall-closed"}
"""What a host of the lab has when it is new: the kernel's own settings, and a firewall that lets nobody in yet."""

TAKE_PORT = """
systemd-run -q --unit=foreign --property=Type=exec systemd-socket-activate -a --inetd -l "$1:6379" /bin/cat
until ss -ltnH | grep -q "$1:6379"; do sleep 0.02; done
"""
DROP_ALL = """
systemctl stop firewalld
nft -f - <<'END'
table inet own {
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    tcp dport 22 accept
    iif lo accept
  }
}
END
"""


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """New hosts for the first test; each test leaves them as it found them."""
    lab.renew()
    return Operator(lab, tmp_path_factory.mktemp("preflight"))


@pytest.fixture(autouse=True)
def usual_file(operator: Operator) -> None:
    operator.topology()


def found_by(operator: Operator) -> tuple[Found, list[dict[str, Any]]]:
    outcome = operator.run("preflight", "--json")
    assert outcome.code in (0, 3), outcome.text
    findings = outcome.json["findings"]
    letters = {host.address: name for name, host in operator.lab.hosts.items()}
    needs_somebody = any(found["severity"] != "note" for found in findings)
    assert outcome.code == (3 if needs_somebody else 0)
    for found in findings:
        assert found["what"]
        assert found["remedy"], found
    places = [(found["code"], found["where"].partition(":")[0]) for found in findings]  # a host, or a node of it
    return {(code, letters.get(place, place)) for code, place in places}, findings


def usual(lab: Lab) -> Found:
    return {(code, name) for code in AT_FIRST for name in lab.hosts}


def one(findings: list[dict[str, Any]], code: str) -> dict[str, Any]:
    (found,) = [each for each in findings if each["code"] == code]
    return found


@contextmanager
def unchanged(*hosts: Host) -> Iterator[None]:
    """Fails with the very lines of the hosts' fingerprints that are other ones afterwards."""
    before = [set(fingerprint(host)) for host in hosts]
    yield
    for host, old in zip(hosts, before, strict=True):
        new = set(fingerprint(host))
        assert (host.name, sorted(old - new), sorted(new - old)) == (host.name, [], [])


@contextmanager
def done_to(host: Host, do: str, undo: str) -> Iterator[None]:
    host.run(do, host.address)
    try:
        yield
    finally:
        host.run(undo, host.address, check=False)


def mounted(host: Host, place: str, options: str) -> object:
    """An own file system there; the folders that this makes go with it."""
    do = f"mkdir -p {place} && mount -t tmpfs -o {options} tmpfs {place}"
    return done_to(host, do, f"umount {place}; rmdir -p {place}")


def test_new_hosts_have_what_is_known_of_them_and_nothing_is_changed(operator: Operator) -> None:
    lab = operator.lab
    with unchanged(*lab.hosts.values()):
        found, findings = found_by(operator)
    assert found == usual(lab)
    assert not any(each["severity"] == "serious" for each in findings)
    assert not operator.state.exists()


def test_folders_where_nothing_can_be_put(operator: Operator) -> None:
    a, b, c = operator.lab.hosts.values()
    with (
        mounted(a, "/var/lib/slotwright", "size=20m"),
        mounted(b, "/var/lib/slotwright", "size=4g,ro"),
        mounted(c, "/opt/slotwright", "size=4g,noexec"),
    ):
        found, findings = found_by(operator)
    extra = found - usual(operator.lab)
    assert extra == {("disk-short", "a"), ("directory-read-only", "b"), ("directory-noexec", "c")}
    assert {each["severity"] for each in findings if each["code"] in dict(extra)} == {"serious"}
    assert "/var/lib/slotwright" in one(findings, "directory-read-only")["remedy"]


def test_few_inodes_a_short_queue_and_a_server_of_the_distribution(operator: Operator) -> None:
    a, b, c = operator.lab.hosts.values()
    with (
        mounted(a, "/var/lib/slotwright", "size=4g,nr_inodes=60"),
        done_to(b, "sysctl -qw net.core.somaxconn=128", "sysctl -qw net.core.somaxconn=4096"),
        done_to(
            c,
            "apt-get install -qy redis-server && systemctl start redis-server",
            "apt-get purge -qy --autoremove redis-server redis-tools",
        ),
    ):
        found, findings = found_by(operator)
        refused = operator.run("up", "--yes", "--json")
        assert c.run("systemctl is-active redis-server", check=False).stdout == "active\n", "it is left alone"
    extra = found - usual(operator.lab)
    assert {("inodes-short", "a"), ("somaxconn-low", "b"), ("package-service-runs", "c")} <= extra
    assert extra - {("inodes-short", "a"), ("somaxconn-low", "b"), ("package-service-runs", "c")} <= {
        ("port-taken", "c"),
        ("port-in-use", "c"),
    }
    assert "128" in one(findings, "somaxconn-low")["seen"]
    assert refused.code in (1, 4), refused.text
    assert not any(traces(host) for host in (a, b))


def test_a_port_that_is_taken_and_a_folder_with_somebody_elses_data(operator: Operator) -> None:
    a, b, _ = operator.lab.hosts.values()
    strange = f"/var/lib/slotwright/clusters/cache/nodes/{b.address}-6379"
    with (
        done_to(a, TAKE_PORT, "systemctl stop foreign"),
        done_to(b, f"mkdir -p {strange} && echo precious > {strange}/dump.rdb", "rm -r /var/lib/slotwright"),
    ):
        with unchanged(a, b):
            found, _ = found_by(operator)
        with unchanged(a, b):
            refused = operator.run("up", "--yes", "--json").ended_with(4)
        assert a.address in refused.out
        assert "6379" in refused.out
        assert strange in refused.out
    named = {name for code, name in found - usual(operator.lab)}
    assert named == {"a", "b"}, "preflight tells what up would refuse"


def test_firewalls_that_are_not_firewalld_or_let_everybody_in(operator: Operator) -> None:
    a, b, c = operator.lab.hosts.values()
    start = "nft flush ruleset; systemctl start firewalld"
    with (
        done_to(a, "systemctl stop firewalld", start),
        done_to(b, DROP_ALL, start),
        done_to(
            c,
            "firewall-cmd -q --zone=trusted --change-interface=eth0",
            "firewall-cmd -q --zone=public --change-interface=eth0",
        ),
    ):
        firewalls = [host.run("nft list ruleset").stdout for host in (a, b, c)]
        found, findings = found_by(operator)
        assert [host.run("nft list ruleset").stdout for host in (a, b, c)] == firewalls
    of_a = {code for code, name in found if name == "a"}
    of_b = {code for code, name in found if name == "b"}
    of_c = {code for code, name in found if name == "c"}
    rest = AT_FIRST - {"firewall-closed"}
    assert of_a == rest | {"firewall-none"}
    assert {"port-blocked", "bus-blocked"} <= of_b, "a real listener there can't be reached"
    assert len(of_b - rest - {"port-blocked", "bus-blocked"}) == 1, "one finding says what refuses, and what to type"
    assert of_c - rest == {"firewall-wider-than-needed"}
    told = " ".join(each["remedy"] for each in findings if each["where"] == b.address)
    assert "nft " in told
    assert "6379" in told


def test_one_machine_under_two_addresses(operator: Operator) -> None:
    lab = operator.lab
    a, b, c = lab.hosts.values()
    second = f"172.27.{lab.number}.51"
    hosts = [
        {"address": a.address},
        {"address": second, "ssh": {"address": a.address}},
        {"address": b.address},
        {"address": c.address},
    ]
    operator.topology(hosts=hosts)
    with done_to(a, f"ip addr add {second}/24 dev eth0", f"ip addr del {second}/24 dev eth0"):
        found, _ = found_by(operator)
    assert "hosts-are-one-machine" in {code for code, _ in found}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"settings": {"maxmemory": "900gb"}}, "memory-short"),
        ({"settings": {}}, "maxmemory-unset"),
        ({"settings": {"maxmemory": "64mb", "tcp-backlog": 9000}}, "somaxconn-low"),
        ({"engine": {"kind": "redis", "from": "/nowhere"}}, "engine-not-available"),
    ],
)
def test_what_the_file_asks_and_the_hosts_lack(operator: Operator, changes: dict[str, Any], code: str) -> None:
    operator.topology(**changes)
    outcome = operator.run("preflight", "--json").ended_with(3)
    codes = {each["code"] for each in outcome.json["findings"]} - AT_FIRST
    assert code in codes, codes
    assert codes <= {code, "disk-short"}, "nothing else is invented"


def test_what_can_be_mended_is_mended_for_good(operator: Operator) -> None:
    lab = operator.lab
    b = lab.hosts["b"]
    b.run("sysctl -qw net.core.somaxconn=128")
    refused = operator.run("preflight", "--fix", "--json").ended_with(2)
    assert "--yes" in refused.text
    first = operator.run("preflight", "--fix", "--yes", "--json").json
    did = {each["host"]: " ".join(each["did"]) for each in first["changed"]}
    by_host: dict[str, str] = {}
    for each in first["changed"]:
        by_host[each["host"]] = by_host.get(each["host"], "") + " ".join(each["did"])
        assert each["troubles"] == []
    assert set(did) == {host.address for host in lab.hosts.values()}
    assert "somaxconn" in by_host[b.address]
    assert "somaxconn" not in by_host[lab.hosts["a"].address], "what is right is left alone"
    assert all("overcommit_memory" in text for text in by_host.values())
    assert {each["code"] for each in first["findings"]} == {"firewall-closed"}
    with unchanged(*lab.hosts.values()):
        again = operator.run("preflight", "--fix", "--yes", "--json").json
    assert again["changed"] == []
    b.reboot()
    found, _ = found_by(operator)
    assert {(code, name) for code, name in found if code != "firewall-closed"} == set()
    assert b.run("sysctl -n vm.overcommit_memory net.core.somaxconn").stdout.split() == ["1", "4096"]
    assert "[madvise]" in b.run("cat /sys/kernel/mm/transparent_hugepage/enabled").stdout
    text = operator.run("preflight", "--fix", "--yes").succeeded().out
    assert "ready" in text


def test_a_port_that_is_blocked_on_the_way_is_found_before_anything_is_formed(operator: Operator) -> None:
    lab = operator.lab
    a, b, c = lab.hosts.values()
    for port, code in ((16379, "bus-blocked"), (6380, "port-blocked")):
        with b.without_port(port):
            outcome = operator.up()
        assert outcome.code in (1, 4), outcome.text
        assert outcome.seconds < PATIENCE_S
        assert outcome.error["code"] == code, outcome.text
        assert b.address in outcome.text
        assert str(port) in outcome.text
        assert a.address in outcome.text or c.address in outcome.text
        for host in lab.hosts.values():
            assert host.run("pgrep -a redis-server", check=False).stdout == ""
            assert host.run("ls -A /var/lib/slotwright/clusters/cache/nodes", check=False).stdout == ""
    operator.up().succeeded()
    assert operator.check().succeeded().json["ok"]
    operator.destroy().succeeded()
    for host in lab.hosts.values():
        assert traces(host) == []
