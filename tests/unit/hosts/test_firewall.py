"""firewalld's answers as values, rules as text, and what a host says that we can't read."""

from __future__ import annotations

import asyncio
import json

import pytest

from slotwright.adapters.hosts.firewalld import apply_firewall, read_firewall
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin, HostSpec, Mode, Topology
from slotwright.errors import HostError
from slotwright.hosts.facts.firewall import FirewalldState, FirewallPlan, FirewallRule, OtherFirewall, Scope, Zone
from slotwright.hosts.firewall_plan import firewall_need
from slotwright.hosts.scripts.firewalld import (
    covered_ports,
    parse_facts,
    parse_zone,
    parse_zone_list,
    port_ranges,
    rule_action,
    rule_ports,
    rule_source,
    source_rule,
)
from slotwright.ports import ShellResult

RULE = 'rule family="ipv4" source address="10.0.0.2" port port="6379-6380" protocol="tcp" accept'

DICTIONARY = {
    "short": {"type": "s", "data": "Public"},
    "target": {"type": "s", "data": "default"},
    "services": {"type": "as", "data": ["ssh", "dhcpv6-client"]},
    "ports": {"type": "a(ss)", "data": [["7000-7005", "tcp"]]},
    "interfaces": {"type": "as", "data": ["eth0"]},
    "rules_str": {"type": "as", "data": [RULE]},
}
TUPLE = ["", "Public", "", False, "{chain}_{zone}", ["ssh", "dhcpv6-client"], [["7000-7005", "tcp"]], [], False, []]
TUPLE += [["eth0"], [], [RULE], [], [], False]
TEXT = f"""public (active)
  target: default
  icmp-block-inversion: no
  interfaces: eth0
  sources:
  services: ssh dhcpv6-client
  ports: 7000-7005/tcp
  forward-ports:
\tport=80:proto=tcp:toport=8080:toaddr=
  rich rules:
\t{RULE}

trusted
  target: ACCEPT
  sources: 10.9.0.0/16 ipset:friends
  rich rules:
"""
PUBLIC = Zone(
    "public",
    interfaces=("eth0",),
    services=("dhcpv6-client", "ssh"),
    ports=("7000-7005/tcp",),
    rules=(RULE,),
)


def test_a_zone_reads_the_same_in_all_its_forms() -> None:
    new = json.dumps({"type": "a{sv}", "data": [DICTIONARY]})
    old = json.dumps({"type": "(sssbsasa(ss)asba(ssss)asasasasa(ss)b)", "data": [TUPLE]})
    assert parse_zone("public", new) == PUBLIC
    assert parse_zone("public", old) == PUBLIC
    trusted = Zone("trusted", target="ACCEPT", sources=("10.9.0.0/16", "ipset:friends"))
    assert list(parse_zone_list(TEXT.splitlines())) == [PUBLIC, trusted]


def test_the_facts_of_a_host() -> None:
    zone = json.dumps({"type": "a{sv}", "data": [DICTIONARY]})
    text = f"state running\ninterface eth0\ndefault public\nzone runtime public {zone}\n"
    text += 'service redis <port protocol="tcp" port="6379"/\nservice redis <port protocol="udp" port="1"/\nend\n'
    facts = parse_facts(text)
    assert (facts.state, facts.interface, facts.default_zone) == (FirewalldState.RUNNING, "eth0", "public")
    assert (facts.runtime, facts.permanent) == ((PUBLIC,), ())
    assert facts.service_ports == (("redis", ("6379/tcp",)),)
    assert facts.has(FirewallRule("public", Scope.RUNTIME, RULE))
    assert not facts.has(FirewallRule("public", Scope.PERMANENT, RULE))


def test_the_facts_of_a_host_without_busctl() -> None:
    text = f"state running\ndefault public\nzones runtime\n{TEXT}\n.\nzones permanent\n{TEXT}\n.\nend\n"
    facts = parse_facts(text)
    assert facts.runtime == facts.permanent
    assert [zone.name for zone in facts.runtime] == ["public", "trusted"]


def test_a_host_without_firewalld() -> None:
    facts = parse_facts("state absent\ninterface \nother ufw\nend\n")
    assert (facts.state, facts.other, facts.runtime) == (FirewalldState.ABSENT, OtherFirewall.UFW, ())


@pytest.mark.parametrize(
    "text", ["", "state running\n", "state odd\nend\n", "state running\nzone runtime public {\nend\n"]
)
def test_an_answer_that_makes_no_sense(text: str) -> None:
    with pytest.raises(HostError) as caught:
        asyncio.run(read_firewall(Listener(ShellResult(1, text, "no bus")), "10.0.0.1"))
    assert (caught.value.code, caught.value.seen) == ("firewall-unreadable", "no bus")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("10.0.0.2", 'family="ipv4" source address="10.0.0.2"'),
        ("10.0.0.2/32", 'family="ipv4" source address="10.0.0.2"'),
        ("10.0.0.77/24", 'family="ipv4" source address="10.0.0.0/24"'),
        ("FD00:0::2", 'family="ipv6" source address="fd00::2"'),
        ("fd00::/64", 'family="ipv6" source address="fd00::/64"'),
    ],
)
def test_a_rule_is_spelled_as_firewalld_spells_it(source: str, said: str) -> None:
    assert source_rule(source, "6379") == f'rule {said} port port="6379" protocol="tcp" accept'


def test_ports() -> None:
    assert port_ranges([6380, 6379, 7000, 6379]) == ("6379-6380", "7000")
    assert port_ranges([]) == ()
    assert covered_ports(["6379/tcp", "7000-7005/tcp", "1-65535/udp", "odd"], (6379, 6380, 7003)) == (6379, 7003)


@pytest.mark.parametrize(
    ("rule", "action", "source", "ports"),
    [
        (RULE, "accept", "10.0.0.2", "6379-6380/tcp"),
        ('rule family="ipv4" source NOT address="10.0.0.2" drop', "drop", "", ""),
        ('rule source ipset="drop" service name="accept" reject type="tcp-reset"', "reject", "ipset:drop", ""),
        ('rule source mac="00:11:22:33:44:55" accept', "accept", "00:11:22:33:44:55", ""),
        ('rule source-port port="53" protocol="tcp" accept', "accept", "", ""),
        ('rule protocol value="icmp" log prefix="accept" level="info"', "", "", ""),
    ],
)
def test_what_a_rich_rule_says(rule: str, action: str, source: str, ports: str) -> None:
    assert (rule_action(rule), rule_source(rule), rule_ports(rule)) == (action, source, ports)


def test_a_rule_in_a_record_reads_back() -> None:
    rule = FirewallRule("public", Scope.PERMANENT, RULE)
    assert str(rule) == f"public permanent {RULE}"
    assert FirewallRule.parse(str(rule)) == rule
    for text in ("", "public", f"public sometimes {RULE}", "public runtime drop"):
        with pytest.raises(ValueError, match=r".+"):
            FirewallRule.parse(text)


def test_the_need_of_a_host() -> None:
    hosts = tuple(HostSpec(f"10.0.0.{number}", (6379, 6380)) for number in (1, 2, 3))
    engine = Engine(EngineKind.REDIS, EngineOrigin.PACKAGE)
    topology = Topology("cache", engine, hosts, clients=("10.1.0.0/16",))
    need = firewall_need(topology, "10.0.0.2")
    assert (need.peers, need.clients) == (("10.0.0.1", "10.0.0.3"), ("10.1.0.0/16",))
    assert (need.ports, need.bus_ports) == ((6379, 6380), (16379, 16380))
    single = Topology("cache", engine, hosts[:1], mode=Mode.SINGLE)
    assert (firewall_need(single, "10.0.0.1").peers, firewall_need(single, "10.0.0.1").bus_ports) == ((), ())


class Listener:
    """A host that answers what it was told to, and keeps what it was asked."""

    host = "10.0.0.1"

    def __init__(self, *answers: ShellResult) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[tuple[str, ...], bytes]] = []

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        self.asked.append((arguments, stdin))
        return self.answers.pop(0)


def answer(*rules: str) -> ShellResult:
    zone = json.dumps({"type": "a{sv}", "data": [{"rules_str": {"type": "as", "data": rules}}]})
    return ShellResult(0, f"state running\nzone runtime public {zone}\nend\n", "INVALID_ZONE")


def test_changes_are_read_back() -> None:
    new, old = FirewallRule("public", Scope.RUNTIME, RULE), FirewallRule("public", Scope.RUNTIME, "rule old")
    plan = FirewallPlan("10.0.0.1", add=(new,), remove=(old,))
    host = Listener(answer(RULE))
    asyncio.run(apply_firewall(host, plan))
    assert host.asked == [(("public",), f"add {new}\nremove {old}\n".encode())]
    with pytest.raises(HostError) as caught:
        asyncio.run(apply_firewall(Listener(answer("rule old")), plan))
    assert (caught.value.code, caught.value.seen) == ("firewall-refused", "INVALID_ZONE")
    assert caught.value.left == f"missing: {new}\nstill there: {old}"


def test_an_empty_plan_asks_for_nothing() -> None:
    host = Listener()
    asyncio.run(apply_firewall(host, FirewallPlan("10.0.0.1")))
    assert not host.asked


def test_a_plan_claims_what_it_has_yet_to_remove() -> None:
    new, old = FirewallRule("public", Scope.RUNTIME, RULE), FirewallRule("public", Scope.RUNTIME, "rule old")
    assert FirewallPlan("10.0.0.1", add=(new,), remove=(old,), ours=(new,)).claims == (new, old)
