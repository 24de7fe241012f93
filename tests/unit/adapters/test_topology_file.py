"""The topology file: every problem in plain words with its line, all at once, and nothing lost on the way."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.adapters.topology.file import LoadedTopology, load_topology, parse_topology, render_topology, unreadable
from slotwright.adapters.topology.settings import DECIDED, decided_by_slotwright
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import (
    Address,
    Engine,
    EngineKind,
    EngineOrigin,
    HostSpec,
    Mode,
    PasswordRef,
    PasswordSource,
    ShardSpec,
    SshSpec,
    SudoMode,
    Topology,
    Via,
)
from slotwright.errors import InputError, Problem

BASE = Path("/srv/clusters")

ISSUE_EXAMPLE = """\
name: cache
engine: {kind: valkey, from: embedded}     # from: embedded | path | /a/directory/of/binaries
hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]
ports: [7001, 7002]                        # on every host; the first ones become primaries
replicas: 1
password: {env: CACHE_PASSWORD}            # or {file: PATH}, or generate
settings: {maxmemory: 64mb, cluster-node-timeout: 15000}
"""

SOUND = {
    "name": "name: cache",
    "engine": "engine: valkey",
    "hosts": "hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]",
    "ports": "ports: [7001, 7002]",
}


def text_with(**lines: str) -> str:
    """A sound file of four lines, with some of its keys written otherwise and others added below."""
    return "\n".join((SOUND | lines).values()) + "\n"


def parse(text: str) -> LoadedTopology:
    return parse_topology(text, where="cluster.yaml", base=BASE)


def refusal(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(text)
    return caught.value


def problems(text: str) -> list[tuple[str, str]]:
    """(where, what) of each problem."""
    error = refusal(text)
    assert error.code == "bad-topology"
    return [(problem.where, problem.what) for problem in error.problems]


def only_problem(text: str) -> Problem:
    error = refusal(text)
    assert error.code == "bad-topology", error.what
    assert len(error.problems) == 1, error.problems
    return error.problems[0]


DOCUMENT = (Path(__file__).parents[3] / "docs" / "topology.md").read_text(encoding="utf-8")
DOCUMENTED = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)


# What a file says


def test_the_example_of_the_readme_works_as_it_stands() -> None:
    loaded = parse(ISSUE_EXAMPLE)
    hosts = tuple(HostSpec(f"127.0.1.{n}", (7001, 7002)) for n in (1, 2, 3))
    assert loaded == LoadedTopology(
        Topology(
            name="cache",
            engine=Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED),
            hosts=hosts,
            replicas=1,
            password=PasswordRef(PasswordSource.ENVIRONMENT, "CACHE_PASSWORD"),
            settings=(("maxmemory", "64mb"), ("cluster-node-timeout", "15000")),
        ),
        path=BASE / "cluster.yaml",
        warnings=(),
        inline_password=None,
    )


@pytest.mark.parametrize("example", DOCUMENTED)
def test_every_example_of_the_reference_works(example: str) -> None:
    keys = {line.split(":")[0] for line in example.splitlines() if line[:1].isalpha()}
    assert keys
    around = SOUND | {"ports": "ports: [7001, 7002, 7003]"}
    rest = "\n".join(line for key, line in around.items() if key not in keys)
    assert parse(f"{rest}\n{example}").topology


def test_the_reference_names_every_directive_that_is_refused() -> None:
    assert [name for name in DECIDED if f"`{name}`" not in DOCUMENT] == []


def test_what_is_left_out_has_a_default() -> None:
    topology = parse(text_with()).topology
    assert topology.replicas == 1
    assert topology.mode is Mode.CLUSTER
    assert topology.password == PasswordRef(PasswordSource.NONE)
    assert topology.engine == Engine(EngineKind.VALKEY, EngineOrigin.PATH)
    assert (topology.settings, topology.shards, topology.data_directory) == ((), (), "")
    assert topology.allow_colocated_replicas is False


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("redis", Engine(EngineKind.REDIS, EngineOrigin.PATH)),
        ("{kind: redis}", Engine(EngineKind.REDIS, EngineOrigin.PATH)),
        ("{kind: redis, from: path}", Engine(EngineKind.REDIS, EngineOrigin.PATH)),
        ("{kind: valkey, from: /opt/v/bin}", Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, "/opt/v/bin")),
        ("{kind: valkey, from: bin/v9}", Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, f"{BASE}/bin/v9")),
        ("{kind: valkey, from: ./v9}", Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, f"{BASE}/v9")),
        (
            "{kind: valkey, from: ~/v9}",
            Engine(EngineKind.VALKEY, EngineOrigin.DIRECTORY, f"{Path.home()}/v9"),
        ),
    ],
)
def test_engine(engine: str, expected: Engine) -> None:
    assert parse(text_with(engine=f"engine: {engine}")).topology.engine == expected


def test_hosts_take_labels_and_ports_of_their_own() -> None:
    text = text_with(
        hosts="""\
hosts:
  - 127.0.1.1
  - {address: 127.0.1.2, rack: 7, zone: a}
  - {address: "::1", ports: [9001, 9002, 9003]}"""
    )
    assert parse(text).topology.hosts == (
        HostSpec("127.0.1.1", (7001, 7002)),
        HostSpec("127.0.1.2", (7001, 7002), rack="7", zone="a"),
        HostSpec("::1", (9001, 9002, 9003)),
    )


def test_every_host_with_its_own_ports_needs_no_others() -> None:
    hosts = "hosts:\n" + "".join(f"  - {{address: 127.0.1.{n}, ports: [7001, 7002]}}\n" for n in (1, 2, 3))
    assert len(parse(text_with(hosts=hosts, ports="")).topology.addresses) == 6


def test_addresses_have_one_spelling() -> None:
    hosts = 'hosts: ["0:0:0:0:0:0:0:1", DB1.example.org, 127.0.0.1]'
    loaded = parse(text_with(hosts=hosts, password="password: generate"))
    assert [host.address for host in loaded.topology.hosts] == ["::1", "db1.example.org", "127.0.0.1"]


def test_explicit_shards() -> None:
    text = text_with(
        shards="""\
shards:
  - {primary: 127.0.1.1:7001, replicas: [127.0.1.2:7002, 127.0.1.3:7002]}
  - primary: 127.0.1.2:7001
  - primary: 127.0.1.3:7001"""
    )
    replicas = (Address("127.0.1.2", 7002), Address("127.0.1.3", 7002))
    assert parse(text).topology.shards == (
        ShardSpec(Address("127.0.1.1", 7001), replicas),
        ShardSpec(Address("127.0.1.2", 7001)),
        ShardSpec(Address("127.0.1.3", 7001)),
    )


def test_explicit_shards_and_the_nodes_left_over_count_together() -> None:
    text = text_with(shards="shards: [{primary: 127.0.1.1:7001, replicas: [127.0.1.2:7002]}]")
    assert len(parse(text).topology.shards) == 1


def test_single_mode() -> None:
    text = text_with(hosts="hosts: [127.0.0.1]", ports="ports: [63790]", mode="mode: single")
    topology = parse(text).topology
    assert (topology.mode, topology.replicas, topology.addresses) == (
        Mode.SINGLE,
        0,
        (Address("127.0.0.1", 63790),),
    )


def test_seven_nodes_need_not_divide_evenly() -> None:
    text = text_with(hosts="hosts: [127.0.0.1]", ports="ports: [1, 2, 3, 4, 5, 6, 7]")
    assert len(parse(text).topology.addresses) == 7


@pytest.mark.parametrize(
    ("data", "expected"),
    [("/var/lib/c", "/var/lib/c"), ("nodes", f"{BASE}/nodes"), ("~/c", f"{Path.home()}/c")],
)
def test_data_directory_is_absolute(data: str, expected: str) -> None:
    assert parse(text_with(data=f"data: {data}")).topology.data_directory == expected


def test_settings_keep_the_text_that_was_written() -> None:
    text = text_with(
        settings="""\
settings:
  MaxMemory: 64mb
  active-defrag-threshold: 0.10
  hz: 010
  appendonly: true
  lazyfree-lazy-eviction: false
  activerehashing: no
  notify-keyspace-events: ""
  save: [900 1, "300 10"]
  oom-score-adj-values: 0 200 800"""
    )
    assert parse(text).topology.settings == (
        ("maxmemory", "64mb"),
        ("active-defrag-threshold", "0.10"),
        ("hz", "010"),
        ("appendonly", "yes"),
        ("lazyfree-lazy-eviction", "no"),
        ("activerehashing", "no"),
        ("notify-keyspace-events", ""),
        ("save", "900 1"),
        ("save", "300 10"),
        ("oom-score-adj-values", "0 200 800"),
    )


def test_settings_and_shards_may_be_left_empty() -> None:
    topology = parse(text_with(settings="settings:", shards="shards:")).topology
    assert (topology.settings, topology.shards) == ((), ())


def test_an_alias_repeats_a_value() -> None:
    text = text_with(ports="ports: &ports [7001, 7002]", hosts="hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]")
    text += "settings: {hz: &hz 10, lfu-log-factor: *hz}\n"
    assert parse(text).topology.settings == (("hz", "10"), ("lfu-log-factor", "10"))


def test_colocated_replicas() -> None:
    assert parse(text_with(a="allow_colocated_replicas: true")).topology.allow_colocated_replicas


# The password


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ("generate", PasswordRef(PasswordSource.GENERATED)),
        ("none", PasswordRef(PasswordSource.NONE)),
        ("{env: CACHE_PASSWORD}", PasswordRef(PasswordSource.ENVIRONMENT, "CACHE_PASSWORD")),
        ("{file: secret.txt}", PasswordRef(PasswordSource.FILE, f"{BASE}/secret.txt")),
        ("{file: ~/secret}", PasswordRef(PasswordSource.FILE, f"{Path.home()}/secret")),
    ],
)
def test_password_references(password: str, expected: PasswordRef) -> None:
    loaded = parse(text_with(password=f"password: {password}"))
    assert (loaded.topology.password, loaded.inline_password, loaded.warnings) == (expected, None, ())


@pytest.mark.parametrize("password", ["hunter2 %", '{inline: "hunter2 %"}', '"hunter2 %"'])
def test_an_inline_password_is_taken_with_a_warning(password: str) -> None:
    loaded = parse(text_with(password=f"password: {password}"))
    assert loaded.topology.password == PasswordRef(PasswordSource.INLINE)
    assert loaded.inline_password == Secret("hunter2 %")
    assert "hunter2" not in repr(loaded)
    assert [(one.where, "written in the file" in one.what) for one in loaded.warnings] == [("cluster.yaml:5", True)]
    assert "generate" in loaded.warnings[0].hint


def test_hosts_that_others_reach_need_a_password() -> None:
    problem = only_problem(text_with(hosts="hosts:\n  - 127.0.0.1\n  - 10.0.0.2\n  - 10.0.0.3"))
    assert problem.where == "cluster.yaml:5"
    assert problem.what == "password is missing: others can reach 10.0.0.2 and could read and change the data"
    assert "generate" in problem.hint and "none" in problem.hint


def test_no_password_where_others_reach_it_is_allowed_with_a_warning() -> None:
    hosts = "hosts: [10.0.0.1, 10.0.0.2, 10.0.0.3]"
    loaded = parse(text_with(hosts=hosts, password="password: none"))
    assert [warning.where for warning in loaded.warnings] == ["cluster.yaml:5"]
    assert "10.0.0.1" in loaded.warnings[0].what


def test_a_name_may_be_reached_by_others_unless_it_is_localhost() -> None:
    ports = "ports: [7001, 7002, 7003, 7004, 7005, 7006]"
    assert parse(text_with(hosts="hosts: [localhost]", ports=ports)).warnings == ()
    assert only_problem(text_with(hosts="hosts: [db1]", ports=ports)).where == "cluster.yaml:3"


@pytest.mark.parametrize(
    ("password", "what"),
    [
        ("123456", "password is a number; a password is a text"),
        ("12.5", "password is a number; a password is a text"),
        ("Generate", "password is a word that is easily mistaken for something else"),
        ("true", "password can't be used as it is"),
        ("[hunter2]", "password can't be used as it is"),
        ("", "password has no value"),
        ('""', "password is empty"),
        ('"hunter\\n2"', "password holds a line break or another control character"),
        ("{}", "password needs exactly one of env, file and inline"),
        ("{env: A, file: b}", "password needs exactly one of env, file and inline, not env and file"),
        ("{envy: A}", "unknown key 'envy'"),
        ("{hunter2}", "unknown key in password"),
        ("{inline: 123456}", "inline must be a text"),
        ("{file: ''}", "file is empty"),
        ("{file: ~nobody-of-this-name/x}", "file: there is no such user or no home directory"),
        ("{env: hunter2!}", "env must be letters, digits and '_'"),
    ],
)
def test_passwords_that_are_refused(password: str, what: str) -> None:
    problem = only_problem(text_with(password=f"password: {password}"))
    assert (problem.where, problem.what) == ("cluster.yaml:5", what)
    assert "hunter" not in repr(problem) and "123456" not in repr(problem)


# What is refused, one by one


@pytest.mark.parametrize(
    ("lines", "where", "what", "hint"),
    [
        # keys
        ({"a": "replica: 1"}, "5", "unknown key 'replica'", "did you mean 'replicas'?"),
        ({"a": "Replicas: 1"}, "5", "unknown key 'Replicas'", "did you mean 'replicas'?"),
        (
            {"a": "maxmemory: 1gb"},
            "5",
            "unknown key 'maxmemory'",
            "directives of the server go under settings",
        ),
        ({"a": "1: x"}, "5", "unknown key '1'", "the keys here are: name, engine"),
        ({"a": "? [x]\n: y"}, "5", "a key must be a text", "`key: value`"),
        ({"a": "replicas: 1\nreplicas: 2"}, "6", "duplicate key 'replicas'", "line 5"),
        ({"a": "data: !where x"}, "5", "the tag '!where' is not used here", "remove it"),
        ({"name": ""}, "", "name is missing", "name: cache"),
        ({"engine": ""}, "", "engine is missing", "engine: {kind: valkey, from: embedded}"),
        ({"hosts": ""}, "", "hosts is missing", "hosts: ["),
        ({"ports": ""}, "", "ports is missing", "ports: [7001, 7002]"),
        ({"ports": "port: [7001, 7002]"}, "4", "unknown key 'port'", "did you mean 'ports'?"),
        # name
        ({"name": "name: -x"}, "1", "'-x' can't be a name", "at most 63"),
        ({"name": "name: a/b"}, "1", "'a/b' can't be a name", "letters, digits"),
        ({"name": "name: " + "a" * 64}, "1", f"'{'a' * 37}...' can't be a name", "at most 63"),
        ({"name": "name: a.yaml"}, "1", "the name a.yaml would be taken for a file", "ending"),
        ({"name": "name:"}, "1", "name has no value", "remove the line"),
        ({"name": "name: [a]"}, "1", "name must be a text, not a list", ""),
        ({"name": "name: true"}, "1", "name must be a text, not true", "quotes"),
        # engine
        ({"engine": "engine: redys"}, "2", "kind must be redis or valkey, not 'redys'", "'redis'"),
        (
            {"engine": "engine: [redis]"},
            "2",
            "engine must be redis, valkey or a mapping, not a list",
            "{kind",
        ),
        ({"engine": "engine: {from: path}"}, "2", "engine has no kind", "kind: redis"),
        ({"engine": "engine: {kind: redis, form: path}"}, "2", "unknown key 'form'", "'from'"),
        (
            {"engine": "engine:\n  kind: redis\n  from: embeded"},
            "4",
            "from must be embedded, path, package, an archive or a directory, not 'embeded'",
            "did you mean 'embedded'?",
        ),
        ({"engine": "engine: {kind: redis, from: bin}"}, "2", "from must be embedded, path", "./bin"),
        (
            {"engine": "engine: {kind: redis, from: package}"},
            "2",
            "from: package is for hosts with ssh, and these hosts are this machine",
            "from: path",
        ),
        (
            {"engine": "engine: {kind: redis, from: redis-8.tgz}"},
            "2",
            "an archive is for hosts with ssh, and these hosts are this machine",
            "the directory of its programs",
        ),
        ({"engine": "engine: {kind: redis, from: archive}"}, "2", "from: archive does not say which", ".tar.gz"),
        ({"engine": "engine: {kind: redis, path: /a/b.tgz}"}, "2", "unknown key 'path'", "after from"),
        # hosts
        ({"hosts": "hosts: 127.0.1.1"}, "3", "hosts must be a list, not '127.0.1.1'", "hosts: [127.0.1.1]"),
        ({"hosts": "hosts: []"}, "3", "hosts is empty", "hosts: ["),
        ({"hosts": "hosts:\n- 127.0.1.1\n- 5"}, "5", "a host must be an address or a mapping, not 5", "rack"),
        ({"hosts": "hosts:\n- 127.0.1.1\n- {}"}, "5", "this host has no address", "{address"),
        ({"hosts": "hosts: [{address: 1.5}]"}, "3", "address must be a text, not 1.5", "quotes"),
        ({"hosts": "hosts: [{adress: db1}]"}, "3", "unknown key 'adress'", "'address'"),
        ({"hosts": "hosts: [{address: 127.0.0.1, user: root}]"}, "3", "unknown key 'user'", "ssh: {user: ...}"),
        (
            {"hosts": "hosts: [127.0.1.1, '127.0.1.2:7001']"},
            "3",
            "a host is an address without a port",
            "ports",
        ),
        (
            {"hosts": "hosts: [127.0.1.256]"},
            "3",
            "'127.0.1.256' is neither an IP address nor a host name",
            "",
        ),
        ({"hosts": "hosts: ['a b']"}, "3", "'a b' is neither an IP address nor a host name", "for example"),
        ({"hosts": "hosts: ['[::1]']"}, "3", "'[::1]' is neither an IP", "without brackets"),
        ({"hosts": "hosts: [0.0.0.0]"}, "3", "0.0.0.0 is not the address of one host", "others reach it"),
        ({"hosts": "hosts: ['fe80::1%eth0']"}, "3", "fe80::1%eth0 is not the address of one host", ""),
        ({"hosts": "hosts:\n- 127.0.1.1\n- 127.0.1.1"}, "5", "the host 127.0.1.1 stands twice", "once"),
        (
            {"hosts": "hosts:\n- localhost\n- 127.0.0.1"},
            "5",
            "localhost and 127.0.0.1 are the same host",
            "once",
        ),
        ({"hosts": "hosts: ['::1', '0::1']"}, "3", "the host ::1 stands twice", ""),
        ({"hosts": "hosts: [{address: 127.0.0.1, rack: ''}]"}, "3", "rack is empty", ""),
        (
            {"hosts": "hosts: [127.0.1.1, {address: 127.0.1.2, ports: [1, 2]}]", "ports": ""},
            "3",
            "the host 127.0.1.1 has no ports",
            "give it `ports`",
        ),
        # ports
        ({"ports": "ports: 7001"}, "4", "ports must be a list, not 7001", "ports: [7001]"),
        ({"ports": "ports: []"}, "4", "ports is empty", "ports: [7001, 7002]"),
        ({"ports": "ports: [7001, x]"}, "4", "a port must be a whole number, not 'x'", ""),
        ({"ports": "ports: [7001, true]"}, "4", "a port must be a whole number, not true", ""),
        ({"ports": "ports: [7001, 7002.5]"}, "4", "a port must be a whole number, not 7002.5", ""),
        ({"ports": "ports:\n- 7001\n- 0"}, "6", "0 is not a port", "from 1 to 65535"),
        ({"ports": "ports: [7001, 65536]"}, "4", "65536 is not a port", "from 1 to 65535"),
        (
            {"ports": "ports: [7001, 56379]"},
            "4",
            "port 56379 is too high for a cluster: the bus port would be 66379",
            "use ports up to 55535",
        ),
        ({"ports": "ports: [7001, 7001]"}, "4", "port 7001 is listed twice", ""),
        (
            {"ports": "ports: [17001, 7001]"},
            "4",
            "port 17001 is also the bus port of 7001 on the same host",
            "another than 17001",
        ),
        # roles
        ({"a": "replicas: two"}, "5", "replicas must be a whole number, not 'two'", ""),
        ({"a": "replicas: 1.0"}, "5", "replicas must be a whole number, not 1.0", ""),
        ({"a": "replicas: true"}, "5", "replicas must be a whole number, not true", ""),
        ({"a": "replicas: -1"}, "5", "replicas must be 0 or more, not -1", ""),
        ({"a": "mode: standalone"}, "5", "mode must be cluster or single, not 'standalone'", ""),
        ({"a": "mode: clustr"}, "5", "mode must be cluster or single, not 'clustr'", "'cluster'"),
        ({"a": "allow_colocated_replicas: yes"}, "5", "allow_colocated_replicas must be true or false", ""),
        (
            {"a": "replicas: 2"},
            "5",
            "6 nodes with 2 replicas for each primary make 2 primaries; a cluster needs at least 3",
            "add 3 nodes (hosts or ports), or set replicas to 1",
        ),
        (
            {"ports": "ports: [7001]"},
            "3",
            "3 nodes with 1 replica for each primary make 1 primary; a cluster needs at least 3",
            "add 3 nodes (hosts or ports), or set replicas to 0",
        ),
        (
            {"hosts": "hosts: [127.0.0.1]", "ports": "ports: [7001]", "a": "replicas: 0"},
            "5",
            "1 node with no replicas makes 1 primary; a cluster needs at least 3",
            "add 2 nodes (hosts or ports), or use mode: single",
        ),
        ({"a": "mode: single"}, "3", "mode: single needs exactly one host, not 3", ""),
        (
            {"hosts": "hosts: [127.0.0.1]", "a": "mode: single"},
            "4",
            "mode: single needs exactly one port, not 2",
            "",
        ),
        (
            {"hosts": "hosts:\n- address: a\n  ports: [1, 2]", "p": "password: none", "a": "mode: single"},
            "5",
            "mode: single needs exactly one port, not 2",
            "",
        ),
        (
            {"hosts": "hosts: [::1]", "ports": "ports: [1]", "m": "mode: single", "a": "replicas: 1"},
            "6",
            "mode: single has no replicas",
            "mode: cluster",
        ),
        (
            {
                "hosts": "hosts: [::1]",
                "ports": "ports: [1]",
                "m": "mode: single",
                "a": "shards: [primary: '[::1]:1']",
            },
            "6",
            "mode: single has no shards",
            "mode: cluster",
        ),
        # shards
        ({"a": "shards: {a: b}"}, "5", "shards must be a list, not a mapping", ""),
        ({"a": "shards:\n- 5"}, "6", "a shard must be a mapping, not 5", "{primary"),
        ({"a": "shards:\n- replicas: []"}, "6", "this shard has no primary", "primary:"),
        ({"a": "shards:\n- {primary: x}"}, "6", "an address in a shard is host:port, not 'x'", ""),
        ({"a": "shards:\n- {primary: 7001}"}, "6", "an address in a shard is host:port, not 7001", ""),
        (
            {"a": "shards:\n- primary: 127.0.1.1:7001\n  replicas: 1"},
            "7",
            "replicas must be a list, not 1",
            "",
        ),
        (
            {"a": "shards:\n- primary: 127.0.1.1:7003"},
            "6",
            "127.0.1.1:7003 is not one of the nodes of this file",
            "127.0.1.1 has the ports 7001, 7002",
        ),
        (
            {"a": "shards:\n- primary: 127.0.9.9:7001"},
            "6",
            "127.0.9.9:7001 is not one of the nodes of this file",
            "add 127.0.9.9 to hosts",
        ),
        (
            {"a": "shards:\n- {primary: 127.0.1.1:7001, replicas: [127.0.1.1:7001]}"},
            "6",
            "127.0.1.1:7001 stands in this shard already",
            "",
        ),
        (
            {"a": "shards:\n- primary: 127.0.1.1:7001\n- primary: 127.0.1.1:7001"},
            "7",
            "127.0.1.1:7001 stands in shard 1 already",
            "",
        ),
        (
            {"a": "shards:\n- {primary: 127.0.1.1:7001, replicas: [127.0.1.2:7001, 127.0.1.3:7001]}"},
            "5",
            "1 explicit shard and the other nodes make 2 primaries; a cluster needs at least 3",
            "add 1 node (hosts or ports)",
        ),
        # data and settings
        ({"a": "data: ''"}, "5", "data is empty", ""),
        ({"a": "data: 5"}, "5", "data must be a text, not 5", "quotes"),
        ({"a": 'data: "a\\0b"'}, "5", "data holds a control character", ""),
        ({"a": "settings: [a]"}, "5", "settings must be a mapping of names to values, not a list", ""),
        ({"a": "settings:\n  hz:"}, "6", "hz has no value", '""'),
        ({"a": "settings:\n  save: []"}, "6", "save has an empty list", '""'),
        ({"a": "settings:\n  hz: {a: b}"}, "6", "hz must be one value or a list of values", ""),
        ({"a": "settings:\n  hz: [[a]]"}, "6", "hz must be one value or a list of values", ""),
        ({"a": "settings:\n  'a b': 1"}, "6", "'a b' is not the name of a directive", "maxmemory"),
        ({"a": "settings:\n  hz: 1\n  HZ: 2"}, "7", "hz stands twice in settings", "list"),
        ({"a": 'settings:\n  hz: "a\\nb"'}, "6", "hz holds a line break or a NUL", ""),
        ({"a": 'settings:\n  hz: ["a", "b\\0"]'}, "6", "hz holds a line break or a NUL", ""),
    ],
)
def test_one_problem(lines: dict[str, str], where: str, what: str, hint: str) -> None:
    problem = only_problem(text_with(**lines))
    assert problem.where == ("cluster.yaml:" + where).removesuffix(":")
    assert problem.what.startswith(what)
    assert hint in problem.hint


ANNOUNCED = [
    *(
        "cluster-announce-ip",
        "cluster-announce-port",
        "cluster-announce-bus-port",
        "cluster-announce-tls-port",
        "cluster-announce-hostname",
        "cluster-announce-client-ipv4",
        "cluster-announce-client-ipv6",
    ),
    *("replica-announce-ip", "replica-announce-port", "slave-announce-ip", "slave-announce-port"),
    *("primary-announce-ip", "primary-announce-anything"),
]


@pytest.mark.parametrize("directive", [*DECIDED, *ANNOUNCED, "Port"])
def test_what_slotwright_decides_is_refused_with_what_to_use_instead(directive: str) -> None:
    problem = only_problem(text_with(settings=f"settings:\n  {directive}: x"))
    assert problem.where == "cluster.yaml:6"
    assert problem.what.startswith(f"{directive.lower()} can't be set here: ")
    assert problem.hint


@pytest.mark.parametrize(("value", "is_refused"), [("1", True), ("199", True), ("200", False), ("15000", False)])
def test_a_node_timeout_that_nobody_can_answer_within_is_refused(value: str, is_refused: bool) -> None:
    text = text_with(settings=f"settings:\n  cluster-node-timeout: {value}")
    if is_refused:
        problem = only_problem(text)
        assert f"cluster-node-timeout is {value} ms" in problem.what and "milliseconds" in problem.hint
    else:
        parse_topology(text, where="cluster.yaml", base=Path("/"))


def test_a_name_for_people_may_be_announced() -> None:
    assert decided_by_slotwright("cluster-announce-human-nodename") is None


@pytest.mark.parametrize("directive", ["masterauth", "masteruser", "primaryauth"])
def test_secrets_in_settings_are_taken_with_a_warning(directive: str) -> None:
    loaded = parse(text_with(settings=f"settings:\n  {directive}: hunter2"))
    assert loaded.topology.settings == ((directive, "hunter2"),)
    assert [warning.where for warning in loaded.warnings] == ["cluster.yaml:6"]
    assert "hunter2" not in repr(loaded.warnings)


# All at once


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
nam: cache
engine: {kind: valky, from: embeded}
hosts:
  - 127.0.1.1
  - 5
  - 127.0.1.1
  - {address: 127.0.1.3, rak: r1}
ports: [7001, seven, 0]
replicas: two
replicas: 1
password: 123456
settings:
  port: 7001
  save: []
shards:
  - {primary: nowhere}
"""
    assert refusal(text).what == "cluster.yaml has 14 problems"
    assert problems(text) == [
        ("cluster.yaml:1", "unknown key 'nam'"),
        ("cluster.yaml:2", "kind must be redis or valkey, not 'valky'"),
        ("cluster.yaml:2", "from must be embedded, path, package, an archive or a directory, not 'embeded'"),
        ("cluster.yaml:5", "a host must be an address or a mapping, not 5"),
        ("cluster.yaml:6", "the host 127.0.1.1 stands twice"),
        ("cluster.yaml:7", "unknown key 'rak'"),
        ("cluster.yaml:8", "a port must be a whole number, not 'seven'"),
        ("cluster.yaml:8", "0 is not a port"),
        ("cluster.yaml:9", "replicas must be a whole number, not 'two'"),
        ("cluster.yaml:10", "duplicate key 'replicas'"),
        ("cluster.yaml:11", "password is a number; a password is a text"),
        ("cluster.yaml:13", "port can't be set here: slotwright sets the port of each node"),
        ("cluster.yaml:14", "save has an empty list"),
        ("cluster.yaml:16", "an address in a shard is host:port, not 'nowhere'"),
    ]


def test_an_empty_mapping_lacks_everything_that_is_needed() -> None:
    assert problems("{}") == [
        ("cluster.yaml", "hosts is missing"),
        ("cluster.yaml", "ports is missing"),
        ("cluster.yaml", "name is missing"),
        ("cluster.yaml", "engine is missing"),
    ]


def test_one_problem_is_counted_in_the_singular() -> None:
    error = refusal(text_with(a="replica: 1"))
    assert (error.what, error.where) == ("cluster.yaml has 1 problem", "cluster.yaml")


@pytest.mark.parametrize("text", ["name: &x [*x]\nhosts: *x\nports: *x\n", "settings: &x {a: *x}\n"])
def test_a_value_that_holds_itself_is_only_another_problem(text: str) -> None:
    assert refusal(text).code == "bad-topology"


# Not a topology file at all


@pytest.mark.parametrize(
    ("text", "code", "where", "what"),
    [
        ("", "topology-empty", "cluster.yaml", "cluster.yaml is empty"),
        ("# only a comment\n", "topology-empty", "cluster.yaml", "cluster.yaml is empty"),
        ("---\n", "topology-empty", "cluster.yaml", "cluster.yaml is empty"),
        ("\n- a\n", "topology-not-mapping", "cluster.yaml:2", "does not hold keys and values"),
        ("text", "topology-not-mapping", "cluster.yaml:1", "does not hold keys and values"),
        ("a: 1\n b: 2", "topology-not-yaml", "cluster.yaml:2:3", "a ':' is not expected here"),
        ("a: [1,\nb: 2", "topology-not-yaml", "cluster.yaml:1:4", "a list '[' is not closed"),
        ("a: {b: 2", "topology-not-yaml", "cluster.yaml:1:4", "a mapping '{' is not closed"),
        ("a: 'b\n", "topology-not-yaml", "cluster.yaml:1:4", "a quoted text is not closed"),
        ("a: 1\n\tb: 2", "topology-not-yaml", "cluster.yaml:2:1", "a tab is used to indent"),
        ("a: %b", "topology-not-yaml", "cluster.yaml:1:4", "can't start with this character"),
        ("a: 1\nb\nc: 2", "topology-not-yaml", "cluster.yaml:2:1", "a ':' is missing"),
        ("a: 1\n---\nb: 2", "topology-not-yaml", "cluster.yaml:2:1", "more than one document"),
        ("a: *hunter2", "topology-not-yaml", "cluster.yaml:1:4", "starts with '*'"),
        ("a:\n  - b\n c", "topology-not-yaml", "cluster.yaml:3", ""),
        ("a: 1\nb: x\0", "topology-not-yaml", "cluster.yaml:2:5", "a character that is not allowed"),
        ("a: " + "[" * 600 + "]" * 600, "topology-not-yaml", "cluster.yaml", "nested too deep"),
    ],
)
def test_texts_that_are_no_topology(text: str, code: str, where: str, what: str) -> None:
    error = refusal(text)
    assert error.code == code
    assert error.where.startswith(where)
    assert what in error.what
    assert "hunter2" not in error.what
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)


@pytest.mark.parametrize(
    ("text", "line", "sign", "hint"),
    [
        ("name\uff1a cache\nengine: redis", 1, "\uff1a", "write : there"),
        ("name: cache\nhosts: [10.0.0.1\uff0c10.0.0.2\uff3d\nb: 1", 2, "\uff0c", "write , there"),
    ],
)
def test_full_width_punctuation_is_named(text: str, line: int, sign: str, hint: str) -> None:
    error = refusal(text)
    assert (error.code, error.hint) == ("topology-not-yaml", hint)
    assert f"line {line} has" in error.what and sign in error.what


def test_full_width_punctuation_below_the_fault_or_in_a_comment_is_not_blamed() -> None:
    for text in ("a: 1 # \uff1a\n b: 2", "a: 1\n b: 2\nc: \uff1a"):
        assert "full-width" not in refusal(text).what


def test_any_depth_of_nesting_is_answered_in_plain_words() -> None:
    for depth in (50, 100, 150, 200, 250, 300):
        assert refusal("a: " + "[" * depth + "]" * depth).code in ("bad-topology", "topology-not-yaml")


def test_a_file_is_read_and_its_folder_is_the_base(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (ISSUE_EXAMPLE + "data: nodes\n").replace("\n", "\r\n").encode())
    loaded = load_topology(file)
    assert loaded.path == file
    assert loaded.topology.data_directory == str(tmp_path / "nodes")


def test_problems_of_a_file_name_it_as_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.yaml").write_text(text_with(a="replica: 1"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        load_topology(Path("c.yaml"))
    assert caught.value.problems[0].where == "c.yaml:5"


def refused_file(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load_topology(path)
    return caught.value


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    error = refused_file(tmp_path / "cluster.yaml")
    assert (error.code, error.where) == ("topology-not-found", str(tmp_path / "cluster.yaml"))
    assert "slotwright init" in error.hint


def test_a_file_below_a_file_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    assert refused_file(tmp_path / "a" / "cluster.yaml").code == "topology-not-found"


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    error = refused_file(tmp_path)
    assert (error.code, error.what) == ("topology-is-directory", f"{tmp_path} is a directory")


def test_text_must_be_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_bytes(b"name: cache\ndata: caf\xe9\n")
    error = refused_file(file)
    assert (error.code, error.where) == ("topology-not-text", f"{file}:2")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(ISSUE_EXAMPLE)
    file.chmod(0)
    assert refused_file(file).code == "topology-unreadable"


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (PermissionError(13, "Permission denied"), "c.yaml may not be read by this user"),
        (OSError(5, "Input/output error"), "c.yaml can't be read: Input/output error"),
    ],
)
def test_what_the_system_refuses_is_said_in_plain_words(error: OSError, what: str) -> None:
    refused = unreadable(Path("c.yaml"), error)
    assert (refused.code, refused.what, refused.where) == ("topology-unreadable", what, "c.yaml")


# Writing it again


def test_a_rendered_file_is_nice_to_read() -> None:
    topology = parse(ISSUE_EXAMPLE + "data: /var/lib/cache\n").topology
    assert (
        render_topology(topology)
        == """\
name: cache
engine: {kind: valkey, from: embedded}
hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]
ports: [7001, 7002]
replicas: 1
password: {env: CACHE_PASSWORD}
data: /var/lib/cache
settings:
  maxmemory: 64mb
  cluster-node-timeout: 15000
"""
    )


def test_an_inline_password_is_not_rendered() -> None:
    topology = parse(text_with(password="password: hunter2")).topology
    with pytest.raises(ValueError, match="does not hold"):
        render_topology(topology)


SAFE_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), max_size=20)
LABELS = st.one_of(st.just(""), SAFE_TEXT.filter(bool))
SEGMENTS = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"], exclude_characters="/"), min_size=1)
PATHS = st.lists(SEGMENTS.filter(lambda text: text != "."), max_size=3).map(lambda parts: str(Path("/", *parts)))
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True).filter(
    lambda text: not text.lower().endswith((".yaml", ".yml"))
)
HOSTS = st.one_of(
    st.ip_addresses(v=4).filter(lambda ip: not (ip.is_unspecified or ip.is_multicast)).map(str),
    st.ip_addresses(v=6).filter(lambda ip: not (ip.is_unspecified or ip.is_multicast)).map(str),
    st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z]{1,3})?", fullmatch=True),
)
DIRECTIVES = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,12}", fullmatch=True).filter(
    lambda name: decided_by_slotwright(name) is None
)
ENGINES = st.one_of(
    st.builds(Engine, st.sampled_from(EngineKind), st.sampled_from([EngineOrigin.EMBEDDED, EngineOrigin.PATH])),
    st.builds(Engine, st.sampled_from(EngineKind), st.just(EngineOrigin.DIRECTORY), PATHS),
)
ARCHIVES = st.builds(str.__add__, PATHS, st.sampled_from(["/valkey 9.tar.gz", "/r.tgz", "/v.tar.xz", "/V.TAR.BZ2"]))
REMOTE_ENGINES = st.one_of(
    ENGINES,
    st.builds(Engine, st.sampled_from(EngineKind), st.just(EngineOrigin.PACKAGE)),
    st.builds(Engine, st.sampled_from(EngineKind), st.just(EngineOrigin.ARCHIVE), ARCHIVES),
)
PASSWORDS = st.one_of(
    st.sampled_from([PasswordRef(PasswordSource.NONE), PasswordRef(PasswordSource.GENERATED)]),
    st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True).map(
        lambda name: PasswordRef(PasswordSource.ENVIRONMENT, name)
    ),
    PATHS.map(lambda path: PasswordRef(PasswordSource.FILE, path)),
)
# Below 10000, no port is another's bus port.
PORTS = st.lists(st.integers(1, 9999), min_size=1, max_size=4, unique=True).map(tuple)
TARGETS = st.one_of(HOSTS.filter(lambda host: "%" not in host), st.sampled_from(["Gate_1", "db1.Example.org"]))
JUMPS = st.one_of(
    st.just(""),
    st.builds("{}{}{}".format, st.sampled_from(["", "admin@"]), st.just("gate"), st.sampled_from(["", ":2222"])),
    st.sampled_from(["10.0.0.1", "a\\b@[fd00::1]:22"]),
)
LOGINS = st.sampled_from([("", False), ("SSH_PASSWORD", False), ("", True)])


@st.composite
def ssh_specs(draw: st.DrawFn) -> SshSpec:
    variable, asks = draw(LOGINS)
    return SshSpec(
        user=draw(st.one_of(st.just(""), st.sampled_from(["root", "1000", "true", "CORP\\ann", "ann@corp", "a:b#c"]))),
        port=draw(st.one_of(st.just(0), st.integers(1, 65535))),
        key=draw(st.one_of(st.just(""), PATHS.filter(lambda path: not path.endswith(".pub")))),
        jump=draw(JUMPS),
        address=draw(st.one_of(st.just(""), TARGETS)),
        password_variable=variable,
        ask_password=asks,
        sudo=draw(st.sampled_from(SudoMode)),
    )


NETWORKS = st.lists(
    st.one_of(
        st.ip_addresses(v=4).map(lambda ip: f"{ip}/32"),
        st.ip_addresses(v=6).map(lambda ip: f"{ip}/128"),
        st.sampled_from(["0.0.0.0/0", "::/0", "172.27.204.0/24", "fd00::/8"]),
    ),
    max_size=4,
    unique=True,
).map(tuple)
SETTINGS = st.dictionaries(DIRECTIVES, st.lists(SAFE_TEXT, min_size=1, max_size=3), max_size=4).map(
    lambda found: tuple((name, value) for name, values in found.items() for value in values)
)


@st.composite
def host_specs(draw: st.DrawFn, count: int) -> tuple[HostSpec, ...]:
    addresses = draw(st.lists(HOSTS, min_size=count, max_size=count, unique=True))
    shared = draw(PORTS)
    ports = st.just(shared) if draw(st.booleans()) else PORTS
    hosts = tuple(HostSpec(address, draw(ports), draw(LABELS), draw(LABELS)) for address in addresses)
    if not draw(st.booleans()):
        return hosts
    some = draw(st.lists(ssh_specs(), min_size=1, max_size=3))
    return tuple(replace(host, ssh=draw(st.sampled_from(some))) for host in hosts)


@st.composite
def topologies(draw: st.DrawFn) -> Topology:
    is_single = draw(st.booleans())
    hosts = draw(host_specs(1 if is_single else draw(st.integers(3, 6))))
    if is_single:
        hosts = (replace(hosts[0], ports=hosts[0].ports[:1]),)
    nodes = [address for host in hosts for address in host.node_addresses]
    primaries = [] if is_single else draw(st.permutations(nodes))[:3]
    shards = tuple(ShardSpec(node) for node in primaries) if draw(st.booleans()) else ()
    if shards:
        rest = tuple(node for node in nodes if node not in primaries)
        shards = (ShardSpec(shards[0].primary, rest), *shards[1:])
    return Topology(
        name=draw(NAMES),
        engine=draw(REMOTE_ENGINES if hosts[0].ssh else ENGINES),
        hosts=hosts,
        replicas=0 if is_single else draw(st.integers(0, len(nodes) // 3 - 1)),
        shards=shards,
        password=draw(PASSWORDS),
        settings=draw(SETTINGS),
        data_directory=draw(st.one_of(st.just(""), PATHS)),
        mode=Mode.SINGLE if is_single else Mode.CLUSTER,
        allow_colocated_replicas=draw(st.booleans()),
        clients=draw(NETWORKS),
        via=draw(st.sampled_from(Via)),
    )


@given(topologies())
def test_what_is_rendered_is_read_back_as_it_was(topology: Topology) -> None:
    assert parse(render_topology(topology)).topology == topology


@given(st.text())
def test_any_text_is_a_topology_or_a_refusal(text: str) -> None:
    try:
        parse(text)
    except InputError as error:
        assert error.what and error.code
