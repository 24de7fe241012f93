"""Remote hosts in the topology file: ``ssh``, ``clients``, ``via``, and what changes for ``engine`` and ``data``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from slotwright.adapters.topology.file import LoadedTopology, parse_topology, render_topology
from slotwright.cluster.topology import (
    Engine,
    EngineKind,
    EngineOrigin,
    HostSpec,
    PasswordRef,
    PasswordSource,
    SshSpec,
    SudoMode,
    Topology,
    Via,
)
from slotwright.errors import InputError, Problem

BASE = Path("/srv/clusters")
HOME = Path.home()

ISSUE_EXAMPLE = """\
name: cache
engine: {kind: redis, from: package}
hosts:
  - {address: 172.27.204.198, ssh: {user: root, key: ~/.ssh/id_ed25519}, rack: a}
  - {address: 172.27.204.143, ssh: {user: root, key: ~/.ssh/id_ed25519}, rack: b}
  - {address: 172.27.204.162, ssh: {user: root, key: ~/.ssh/id_ed25519}, rack: c}
ports: [6379, 6380]
replicas: 1
clients: [172.27.204.0/24]                 # who may reach the client ports; peers always may
password: {env: CACHE_PASSWORD}
"""

SOUND = {
    "name": "name: cache",
    "engine": "engine: valkey",
    "hosts": "hosts: [10.0.0.1, 10.0.0.2, 10.0.0.3]",
    "ports": "ports: [6379, 6380]",
    "password": "password: generate",
    "ssh": "ssh: true",
}


def text_with(**lines: str) -> str:
    """A sound file of six lines, with some of its keys written otherwise and others added below."""
    return "\n".join((SOUND | lines).values()) + "\n"


def parse(text: str) -> LoadedTopology:
    return parse_topology(text, where="cluster.yaml", base=BASE)


def problems(text: str) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.code == "bad-topology", caught.value.what
    return list(caught.value.problems)


def only_problem(text: str) -> Problem:
    found = problems(text)
    assert len(found) == 1, found
    return found[0]


def ssh_of(text: str) -> list[SshSpec | None]:
    return [host.ssh for host in parse(text).topology.hosts]


def test_the_file_of_three_real_hosts() -> None:
    loaded = parse(ISSUE_EXAMPLE)
    ssh = SshSpec(user="root", key=f"{HOME}/.ssh/id_ed25519")
    hosts = (("172.27.204.198", "a"), ("172.27.204.143", "b"), ("172.27.204.162", "c"))
    assert loaded.warnings == ()
    assert loaded.topology == Topology(
        name="cache",
        engine=Engine(EngineKind.REDIS, EngineOrigin.PACKAGE),
        hosts=tuple(HostSpec(address, (6379, 6380), rack, ssh=ssh) for address, rack in hosts),
        replicas=1,
        password=PasswordRef(PasswordSource.ENVIRONMENT, "CACHE_PASSWORD"),
        clients=("172.27.204.0/24",),
        via=Via.SSH,
    )
    assert loaded.topology.is_remote


# How a host is reached


@pytest.mark.parametrize("nothing", ["true", "{}", "{sudo: auto}", "{sudo: true}"])
def test_ssh_without_more_is_as_the_configuration_of_ssh_says(nothing: str) -> None:
    assert ssh_of(text_with(ssh=f"ssh: {nothing}")) == [SshSpec()] * 3


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{user: root}", SshSpec(user="root")),
        ("{user: 1000}", SshSpec(user="1000")),
        ("{user: CORP\\ann@x}", SshSpec(user="CORP\\ann@x")),
        ("{port: 2222}", SshSpec(port=2222)),
        ("{key: ~/k}", SshSpec(key=f"{HOME}/k")),
        ("{key: keys/id}", SshSpec(key=f"{BASE}/keys/id")),
        ("{key: /k}", SshSpec(key="/k")),
        ("{jump: gate}", SshSpec(jump="gate")),
        ("{jump: 'ann@gate.example.org:2222'}", SshSpec(jump="ann@gate.example.org:2222")),
        ("{jump: 'ann@[fd00::1]:22'}", SshSpec(jump="ann@[fd00::1]:22")),
        ("{address: Alias_of-1}", SshSpec(address="Alias_of-1")),
        ("{address: '0:0::1'}", SshSpec(address="::1")),
        ("{address: 'FD00::1'}", SshSpec(address="fd00::1")),
        ("{password: {env: SSH_PASSWORD}}", SshSpec(password_variable="SSH_PASSWORD")),
        ("{password: ask}", SshSpec(ask_password=True)),
        ("{sudo: never}", SshSpec(sudo=SudoMode.NEVER)),
        ("{sudo: false}", SshSpec(sudo=SudoMode.NEVER)),
    ],
)
def test_each_key_of_ssh(written: str, expected: SshSpec) -> None:
    one = text_with(hosts="hosts: [10.0.0.1]", mode="mode: single", ports="ports: [6379]", ssh=f"ssh: {written}")
    assert ssh_of(one) == [expected]


def test_a_host_says_otherwise_key_by_key() -> None:
    hosts = """\
hosts:
  - 10.0.0.1
  - {address: 10.0.0.2, ssh: {user: ann, password: ask, sudo: auto}}
  - {address: 10.0.0.3, ssh: {address: gate3, port: 23}}"""
    shared = SshSpec(user="root", port=22, password_variable="PW", sudo=SudoMode.NEVER)
    assert ssh_of(text_with(hosts=hosts, ssh="ssh: {user: root, port: 22, password: {env: PW}, sudo: never}")) == [
        shared,
        replace(shared, user="ann", password_variable="", ask_password=True, sudo=SudoMode.AUTO),
        replace(shared, address="gate3", port=23),
    ]


def test_loopback_addresses_may_be_reached_by_ssh_and_need_no_password() -> None:
    loaded = parse(text_with(hosts="hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]", password=""))
    assert loaded.topology.is_remote and loaded.warnings == ()


def test_remote_hosts_need_a_password_as_all_that_others_reach() -> None:
    assert only_problem(text_with(password="")).what.startswith("password is missing: others can reach 10.0.0.1")


@pytest.mark.parametrize(
    ("ssh", "what", "hint"),
    [
        ("5", "ssh must be true or a mapping, not 5", "ssh: {user: root"),
        ("[a]", "ssh must be true or a mapping, not a list", "ssh: true"),
        ("", "ssh has no value", "give it one"),
        ("false", "ssh can't be false", "for all hosts or for none"),
        ("root", "ssh must be true or a mapping, not a text", "ssh: {user: root, key"),
        ("root@", "ssh must be true or a mapping, not a text", "ssh: {user: root}"),
        ("root@h1:23", "ssh must be true or a mapping, not a text", "ssh: {user: root, address: h1, port: 23}"),
        ("root:hunter2@h1", "ssh must be true or a mapping, not a text", "ssh: true"),
        ("{usr: root}", "unknown key 'usr'", "did you mean 'user'?"),
        ("{passphrase: hunter2}", "unknown key 'passphrase'", "ssh-agent"),
        ("{known_hosts: x}", "unknown key 'known_hosts'", "user, port, key, jump, address, password, sudo"),
        ("{user: ''}", "user is empty", ""),
        ("{user: 'a b'}", "user holds a space or a control character", "root"),
        ("{user: [a]}", "user must be a text, not a list", ""),
        ("{port: x}", "port must be a whole number, not 'x'", ""),
        ("{port: 0}", "0 is not a port", "1 to 65535"),
        ("{port: 65536}", "65536 is not a port", "1 to 65535"),
        ("{key: ''}", "key is empty", ""),
        ("{key: 5}", "key must be a text, not 5", "quotes"),
        ("{key: ~/.ssh/id.pub}", "key names a public key", "name the private one: ~/.ssh/id"),
        ("{key: ~nobody-of-this-name/id}", "key: there is no such user or no home directory", "whole path"),
        ('{key: "a\\nb"}', "key holds a control character", ""),
        ("{jump: 'a@b@c'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: 'ann:hunter2@b'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: 'b:0'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: 'b:99999'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: '[gate]'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: 'a b'}", "jump must be [user@]host[:port]", "for example"),
        ("{jump: 'a,b'}", "jump must be [user@]host[:port]", "ProxyJump"),
        ("{address: 'h1:22'}", "a host is an address without a port, not 'h1:22'", "port: beside it"),
        ("{address: 'a b'}", "'a b' is neither an IP address nor a host name", ""),
        ("{password: hunter2}", "an SSH password can't be written in the file", "{env: NAME}, password: ask"),
        ("{password: 123456}", "an SSH password can't be written in the file", "{env: NAME}, password: ask"),
        ("{password: }", "password has no value", ""),
        ("{password: true}", "password can't be used as it is", "{env: NAME}"),
        ("{password: [hunter2]}", "password can't be used as it is", "{env: NAME}"),
        ("{password: {}}", "password needs env", "{env: NAME}"),
        ("{password: {inline: hunter2}}", "unknown key in password", "env"),
        ("{password: {file: hunter2}}", "unknown key in password", "env"),
        ("{password: {env: hunter2!}}", "env must be letters, digits and '_'", "SSH_PASSWORD"),
        ("{sudo: hunter2}", "sudo must be auto or never", "of the login"),
        ("{sudo: nevr}", "sudo must be auto or never", "did you mean 'never'?"),
    ],
)
def test_what_ssh_can_not_be(ssh: str, what: str, hint: str) -> None:
    at_the_top = only_problem(text_with(engine="engine: {kind: redis, from: package}", ssh=f"ssh: {ssh}"))
    assert at_the_top.where == "cluster.yaml:6"
    hosts = f"hosts:\n- 10.0.0.1\n- {{address: 10.0.0.2, ssh: {ssh} }}\n- 10.0.0.3"
    of_a_host = only_problem(text_with(hosts=hosts, ports="ports: [1, 2]"))
    assert of_a_host.where == "cluster.yaml:5"
    for problem in (at_the_top, of_a_host):
        assert problem.what.startswith(what)
        assert hint in problem.hint
        assert "hunter" not in repr(problem) and "123456" not in repr(problem)


def test_either_all_hosts_are_reached_by_ssh_or_none() -> None:
    hosts = "hosts:\n- {address: 10.0.0.1, ssh: {user: root}}\n- 10.0.0.2\n- 10.0.0.3"
    problem = only_problem(text_with(hosts=hosts, ssh=""))
    assert (problem.where, problem.what) == (
        "cluster.yaml:5",
        "10.0.0.2 and 10.0.0.3 have no ssh, while other hosts have",
    )
    assert "this machine can be reached by ssh, too" in problem.hint
    one = hosts.replace("- 10.0.0.3", "- {address: 10.0.0.3, ssh: true}")
    assert only_problem(text_with(hosts=one, ssh="")).what == "10.0.0.2 has no ssh, while other hosts have"


def test_many_hosts_without_ssh_are_counted() -> None:
    some = "".join(f"- 10.0.0.{n}\n" for n in range(2, 9))
    problem = only_problem(text_with(hosts=f"hosts:\n- {{address: 10.0.0.1, ssh: true}}\n{some}", ssh=""))
    assert problem.what.startswith("10.0.0.2, 10.0.0.3, 10.0.0.4 and 4 more hosts have no ssh")


def test_two_hosts_at_the_same_place_are_worth_a_warning() -> None:
    hosts = "hosts:\n- 10.0.0.1\n- 10.0.0.2\n- {address: 10.0.0.3, ssh: {port: 2203}}"
    loaded = parse(text_with(hosts=hosts, ssh="ssh: {address: 127.0.0.1, port: 2201}"))
    assert [(one.where, one.what) for one in loaded.warnings] == [
        ("cluster.yaml:5", "10.0.0.1 and 10.0.0.2 are reached at the same place: 127.0.0.1")
    ]


# Clients and the way to the servers


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("172.27.204.0/24", "172.27.204.0/24"),
        ("172.27.204.7", "172.27.204.7/32"),
        ("172.27.204.0/255.255.255.0", "172.27.204.0/24"),
        ("'FD00:0::/64'", "fd00::/64"),
        ("'::1'", "::1/128"),
    ],
)
def test_clients_are_networks_in_one_spelling(written: str, canonical: str) -> None:
    loaded = parse(text_with(clients=f"clients: [{written}]"))
    assert (loaded.topology.clients, loaded.warnings) == ((canonical,), ())


def test_nobody_but_the_peers_is_what_no_clients_means() -> None:
    assert parse(text_with(clients="clients: []")).topology == parse(text_with()).topology


@pytest.mark.parametrize(
    ("clients", "what", "hint"),
    [
        ("10.0.0.0/8", "clients must be a list, not '10.0.0.0/8'", "clients: [10.0.0.0/8]"),
        ("[app1]", "'app1' is neither a network nor an address", "knows no names"),
        ("[10.0]", "10.0 is neither a network nor an address", "172.27.204.0/24"),
        ("[10.0.0.0/33]", "'10.0.0.0/33' is neither a network nor an address", "172.27.204.0/24"),
        ("['']", "'' is neither a network nor an address", ""),
        ("[{a: b}]", "a mapping is neither a network nor an address", ""),
        ("[10.1.2.3/8]", "10.1.2.3/8 names an address inside a network", "10.0.0.0/8 for the whole network, 10.1.2.3"),
        ("['fe80::1%eth0']", "fe80::1%eth0 is an address of one link only", "'%'"),
        ("[10.0.0.1, 10.0.0.1/32]", "10.0.0.1/32 stands twice in clients", "remove one"),
        ("", "clients has no value", ""),
    ],
)
def test_what_clients_can_not_be(clients: str, what: str, hint: str) -> None:
    problem = only_problem(text_with(clients=f"clients: {clients}"))
    assert problem.where == "cluster.yaml:7"
    assert problem.what.startswith(what)
    assert hint in problem.hint


@pytest.mark.parametrize("everybody", ["0.0.0.0/0", "::/0"])
def test_everybody_is_allowed_with_a_warning(everybody: str) -> None:
    loaded = parse(text_with(clients=f"clients: ['{everybody}']"))
    assert loaded.topology.clients == (everybody,)
    assert [one.where for one in loaded.warnings] == ["cluster.yaml:7"]
    assert "every address" in loaded.warnings[0].what


def test_via() -> None:
    assert parse(text_with()).topology.via is Via.SSH
    assert parse(text_with(via="via: ssh")).topology.via is Via.SSH
    assert parse(text_with(via="via: direct")).topology.via is Via.DIRECT
    problem = only_problem(text_with(via="via: dirct"))
    assert (problem.what, problem.hint) == ("via must be ssh or direct, not 'dirct'", "did you mean 'direct'?")


def test_what_does_nothing_on_this_machine_is_said() -> None:
    text = text_with(
        hosts="hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]", ssh="", via="via: ssh", clients="clients: [10.0.0.0/8]"
    )
    loaded = parse(text)
    assert not loaded.topology.is_remote
    assert [(one.where, one.what.split(":")[0]) for one in loaded.warnings] == [
        ("cluster.yaml:7", "via does nothing here"),
        ("cluster.yaml:8", "clients does nothing here"),
    ]


# The engine and the data


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("package", Engine(EngineKind.VALKEY, EngineOrigin.PACKAGE)),
        ("path", Engine(EngineKind.VALKEY, EngineOrigin.PATH)),
        ("embedded", Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)),
        ("/opt/valkey/bin/", Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, "/opt/valkey/bin")),
        ("/p/v-9.1.tar.gz", Engine(EngineKind.VALKEY, EngineOrigin.ARCHIVE, "/p/v-9.1.tar.gz")),
        ("v-9.1.tgz", Engine(EngineKind.VALKEY, EngineOrigin.ARCHIVE, f"{BASE}/v-9.1.tgz")),
        ("./v-9.1.tar.xz", Engine(EngineKind.VALKEY, EngineOrigin.ARCHIVE, f"{BASE}/v-9.1.tar.xz")),
        ("~/v-9.1.TAR.BZ2", Engine(EngineKind.VALKEY, EngineOrigin.ARCHIVE, f"{HOME}/v-9.1.TAR.BZ2")),
    ],
)
def test_where_the_programs_of_remote_hosts_come_from(origin: str, expected: Engine) -> None:
    assert parse(text_with(engine=f"engine: {{kind: valkey, from: {origin}}}")).topology.engine == expected


@pytest.mark.parametrize(
    ("lines", "what", "hint"),
    [
        ({"engine": "engine: {kind: redis, from: ./bin}"}, "from is a directory on the hosts", "whole path, from '/'"),
        ({"engine": "engine: {kind: redis, from: ~/bin}"}, "from is a directory on the hosts", "this machine's"),
        ({"engine": "engine: {kind: redis, from: packag}"}, "from must be embedded, path, package", "'package'"),
        ({"data": "data: nodes"}, "data is a directory on the hosts", "whole path, from '/'"),
        ({"data": "data: ~/nodes"}, "data is a directory on the hosts", "this machine's"),
    ],
)
def test_directories_on_remote_hosts_are_whole_paths(lines: dict[str, str], what: str, hint: str) -> None:
    problem = only_problem(text_with(**lines))
    assert problem.what.startswith(what)
    assert hint in problem.hint


def test_data_on_remote_hosts() -> None:
    assert parse(text_with(data="data: /srv//data/")).topology.data_directory == "/srv/data"


def test_a_slip_in_the_word_ssh_is_one_problem_only() -> None:
    engine = "engine: {kind: redis, from: package}"
    problem = only_problem(text_with(engine=engine, ssh="shh: true"))
    assert (problem.what, problem.hint) == ("unknown key 'shh'", "did you mean 'ssh'?")
    hosts = "hosts: [{address: 10.0.0.1, shs: {}}, {address: 10.0.0.2, ssh: {}}, {address: 10.0.0.3, ssh: {}}]"
    assert only_problem(text_with(engine=engine, hosts=hosts, ssh="")).what == "unknown key 'shs'"


def test_every_problem_of_a_remote_file_is_reported_at_once() -> None:
    text = """\
name: cache
engine: {kind: redis, from: bin/redis}
ssh: {user: root, password: hunter2, port: none}
hosts:
  - 10.0.0.1
  - {address: 10.0.0.2, ssh: {key: /k.pub, jump: a b}}
  - {address: 10.0.0.3, ssh: root@10.0.0.3}
ports: [6379, 6380]
clients: [10.0.0.1/8, app]
data: ~/data
via: tunnel
password: generate
"""
    assert [(one.where.removeprefix("cluster.yaml:"), one.what.split(",")[0]) for one in problems(text)] == [
        ("2", "from is a directory on the hosts and must start with '/'"),
        ("3", "port must be a whole number"),
        ("3", "an SSH password can't be written in the file"),
        ("6", "key names a public key"),
        ("6", "jump must be [user@]host[:port]"),
        ("7", "ssh must be true or a mapping"),
        ("9", "10.0.0.1/8 names an address inside a network"),
        ("9", "'app' is neither a network nor an address"),
        ("10", "data is a directory on the hosts and must start with '/'"),
        ("11", "via must be ssh or direct"),
    ]


# Writing it again


def test_what_all_hosts_share_is_written_once() -> None:
    text = render_topology(parse(ISSUE_EXAMPLE).topology)
    assert (
        text
        == f"""\
name: cache
engine: {{kind: redis, from: package}}
hosts:
  - {{address: 172.27.204.198, rack: a}}
  - {{address: 172.27.204.143, rack: b}}
  - {{address: 172.27.204.162, rack: c}}
ports: [6379, 6380]
ssh: {{user: root, key: {HOME}/.ssh/id_ed25519}}
replicas: 1
password: {{env: CACHE_PASSWORD}}
clients: [172.27.204.0/24]
"""
    )


def test_what_only_one_host_has_is_written_beside_it() -> None:
    hosts = "hosts: [10.0.0.1, {address: 10.0.0.2, ssh: {port: 23, sudo: never}}, 10.0.0.3]"
    topology = parse(text_with(hosts=hosts, ssh="ssh: {user: root, password: ask}", via="via: direct")).topology
    lines = render_topology(topology).splitlines()
    assert "hosts: [10.0.0.1, {address: 10.0.0.2, ssh: {port: 23, sudo: never}}, 10.0.0.3]" in lines
    assert "ssh: {user: root, password: ask}" in lines
    assert "via: direct" in lines


def test_hosts_that_share_nothing_are_remote_all_the_same() -> None:
    hosts = "hosts: [10.0.0.1, {address: 10.0.0.2, ssh: {port: 23}}, 10.0.0.3]"
    lines = render_topology(parse(text_with(hosts=hosts)).topology).splitlines()
    assert "ssh: true" in lines


def test_a_long_ssh_is_written_a_key_a_line() -> None:
    ssh = (
        "ssh: {user: root, key: /a/very/long/path/to/the/private/key/of/this/cluster/id_ed25519, jump: 'ann@gate:2222'}"
    )
    topology = parse(text_with(ssh=ssh)).topology
    text = render_topology(topology)
    assert "\nssh:\n  user: root\n  key: /a/very/long" in text and '\n  jump: "ann@gate:2222"\n' in text
    assert parse(text).topology == topology
