"""What ``slotwright init`` writes is taken as it stands, and so are the examples in its comments."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from click import UsageError
from hypothesis import given
from hypothesis import strategies as st

from slotwright.adapters.topology.file import LoadedTopology, load_topology, parse_topology
from slotwright.adapters.topology.template import InitAnswers, commented_topology
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
    Via,
)
from slotwright.errors import InputError
from slotwright.features.deploy.cli.init import command

BASE = Path("/srv/clusters")
SINGLE = InitAnswers(mode=Mode.SINGLE, hosts=("127.0.0.1",), ports=(6379,))
REMOTE = InitAnswers(
    hosts=("10.0.0.1", "10.0.0.2", "10.0.0.3"),
    ports=(6379, 6380),
    ssh=SshSpec(user="admin", key="~/.ssh/id_ed25519"),
    clients=("10.0.0.0/24", "fd00::/8"),
)


def parse(text: str) -> LoadedTopology:
    return parse_topology(text, where="cluster.yaml", base=BASE)


def with_example(text: str, key: str) -> str:
    """``text`` with the commented example of ``key`` made real, in place of what the file said of it."""
    text = re.sub(rf"^{key}:.*\n", "", text, flags=re.MULTILINE)
    example = re.compile(rf"^# {key}:.*\n(?:#   .*\n)*", re.MULTILINE)
    assert example.search(text), f"no example of {key}"
    return example.sub(lambda found: found.group().replace("# ", "", 1).replace("\n#   ", "\n  "), text)


def test_the_defaults_make_six_nodes_on_three_addresses() -> None:
    loaded = parse(commented_topology(InitAnswers()))
    topology = loaded.topology
    assert loaded.warnings == ()
    assert topology.name == "cache"
    assert topology.engine == Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)
    assert topology.hosts == tuple(HostSpec(f"127.0.1.{n}", (7001, 7002)) for n in (1, 2, 3))
    assert topology.replicas == 1
    assert topology.password == PasswordRef(PasswordSource.GENERATED)


def test_a_single_server_has_nothing_of_a_cluster() -> None:
    text = commented_topology(SINGLE)
    topology = parse(text).topology
    assert (topology.mode, topology.replicas) == (Mode.SINGLE, 0)
    assert topology.addresses == (Address("127.0.0.1", 6379),)
    assert not re.search("replicas:|shards|rack|cluster-node-timeout", text)


@pytest.mark.parametrize("answers", [InitAnswers(), SINGLE, REMOTE])
def test_every_line_fits_a_terminal_and_every_key_is_explained(answers: InitAnswers) -> None:
    text = commented_topology(answers)
    assert max(map(len, text.splitlines())) <= 110
    assert text.endswith("\n") and "\n\n\n" not in text
    keys = re.findall(r"^(?:# )?([a-z_]+):", text, re.MULTILINE)
    common = {"name", "engine", "hosts", "ports", "password", "data", "settings", "mode"}
    assert set(keys) >= (common if answers is SINGLE else common - {"mode"} | {"replicas", "shards"})
    assert (set(keys) >= {"ssh", "via", "clients"}) is (answers is REMOTE)


def test_hosts_of_their_own_are_reached_by_ssh_and_open_to_the_clients() -> None:
    loaded = parse(commented_topology(REMOTE))
    topology = loaded.topology
    assert loaded.warnings == ()
    assert {host.ssh for host in topology.hosts} == {SshSpec(user="admin", key=f"{Path.home()}/.ssh/id_ed25519")}
    assert topology.engine == Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)
    assert (topology.clients, topology.password) == (REMOTE.clients, PasswordRef(PasswordSource.GENERATED))


def test_without_a_user_or_clients_the_file_says_so() -> None:
    text = commented_topology(replace(REMOTE, ssh=SshSpec(), clients=()))
    assert "\nssh: true\n" in text and "\nclients: []\n" in text
    assert parse(text).topology.is_remote


def test_the_examples_for_remote_hosts_work() -> None:
    text = commented_topology(REMOTE)
    for key in ("data", "ssh", "via"):
        text = with_example(text, key)
    topology = parse(text).topology
    jump = "admin@gate.example.org"
    expected = SshSpec("admin", key=f"{Path.home()}/.ssh/id_ed25519", jump=jump, ask_password=True)
    assert {host.ssh for host in topology.hosts} == {expected}
    assert (topology.data_directory, topology.via) == ("/srv/data", Via.DIRECT)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("package", Engine(EngineKind.VALKEY, EngineOrigin.PACKAGE)),
        ("valkey 9.tar.gz", Engine(EngineKind.VALKEY, EngineOrigin.ARCHIVE, f"{BASE}/valkey 9.tar.gz")),
    ],
)
def test_engine_answers_for_remote_hosts(origin: str, expected: Engine) -> None:
    assert parse(commented_topology(replace(REMOTE, origin=origin))).topology.engine == expected


def test_the_example_of_labels_works() -> None:
    topology = parse(with_example(commented_topology(InitAnswers()), "hosts")).topology
    assert [(host.address, host.rack, host.zone) for host in topology.hosts] == [
        ("127.0.1.1", "r1", "a"),
        ("127.0.1.2", "r2", "a"),
        ("127.0.1.3", "r3", "a"),
    ]


def test_the_example_of_shards_keeps_replicas_off_their_primary_s_host() -> None:
    topology = parse(with_example(commented_topology(InitAnswers()), "shards")).topology
    first, second, third = (f"127.0.1.{n}" for n in (1, 2, 3))
    assert topology.shards == (
        ShardSpec(Address(first, 7001), (Address(second, 7002),)),
        ShardSpec(Address(second, 7001), (Address(third, 7002),)),
        ShardSpec(Address(third, 7001), (Address(first, 7002),)),
    )


def test_the_other_examples_work() -> None:
    text = commented_topology(InitAnswers())
    for key in ("allow_colocated_replicas", "data", "settings"):
        text = with_example(text, key)
    topology = parse(text).topology
    assert topology.allow_colocated_replicas
    assert topology.data_directory == f"{BASE}/data"
    assert topology.settings == (
        ("maxmemory", "64mb"),
        ("maxmemory-policy", "allkeys-lru"),
        ("cluster-node-timeout", "15000"),
        ("save", "900 1"),
        ("save", "300 10"),
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("generate", PasswordRef(PasswordSource.GENERATED)),
        ("none", PasswordRef(PasswordSource.NONE)),
        ("env:CACHE_PASSWORD", PasswordRef(PasswordSource.ENVIRONMENT, "CACHE_PASSWORD")),
        ("file:secrets/a: b", PasswordRef(PasswordSource.FILE, f"{BASE}/secrets/a: b")),
    ],
)
def test_password_answers(answer: str, expected: PasswordRef) -> None:
    assert parse(commented_topology(InitAnswers(password=answer))).topology.password == expected


@pytest.mark.parametrize("answer", ["", "hunter2", "env", "env:", "file:", "inline:hunter2", "generate:x"])
def test_other_password_answers_are_refused_without_repeating_them(answer: str) -> None:
    with pytest.raises(ValueError, match="generate, none, env:NAME or file:PATH") as caught:
        commented_topology(InitAnswers(password=answer))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("path", Engine(EngineKind.REDIS, EngineOrigin.PATH)),
        ("/opt/redis 8/bin", Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, "/opt/redis 8/bin")),
        (".", Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(BASE))),
        ("~", Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(Path.home()))),
        ("bin/redis", Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, f"{BASE}/bin/redis")),
    ],
)
def test_engine_answers(origin: str, expected: Engine) -> None:
    text = commented_topology(InitAnswers(kind=EngineKind.REDIS, origin=origin))
    assert parse(text).topology.engine == expected


def test_many_hosts_stand_one_a_line_and_only_some_are_examples() -> None:
    hosts = tuple(f"10.0.{n // 100}.{n % 100 + 1}" for n in range(200))
    text = commented_topology(InitAnswers(hosts=hosts))
    assert [host.address for host in parse(text).topology.hosts] == list(hosts)
    assert len(text.splitlines()) < 300


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True).filter(
        lambda text: not text.lower().endswith((".yaml", ".yml"))
    ),
    hosts=st.lists(st.ip_addresses(v=4, network="10.0.0.0/8").map(str), min_size=3, max_size=9, unique=True),
    ports=st.lists(st.integers(1, 9999), min_size=1, max_size=6, unique=True),
    data=st.data(),
)
def test_the_file_says_what_was_answered(name: str, hosts: list[str], ports: list[int], data: st.DataObject) -> None:
    replicas = data.draw(st.integers(0, len(hosts) * len(ports) // 3 - 1))
    answers = InitAnswers(name=name, hosts=tuple(hosts), ports=tuple(ports), replicas=replicas)
    text = commented_topology(answers)
    topology = parse(text).topology
    assert (topology.name, topology.replicas) == (name, replicas)
    assert topology.hosts == tuple(HostSpec(host, tuple(ports)) for host in hosts)
    shards = parse(with_example(text, "shards")).topology.shards
    assert all(len(shard.replicas) == replicas for shard in shards)


# The command


def init(file: Path, *words: str) -> LoadedTopology:
    command.main([str(file), *words], prog_name="slotwright init", standalone_mode=False)
    return load_topology(file)


def test_init_without_a_word_stays_on_this_machine(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    assert init(file).topology == parse(commented_topology(InitAnswers())).topology
    assert file.read_text() == commented_topology(InitAnswers())


def test_init_takes_hosts_of_their_own_for_remote_ones(tmp_path: Path) -> None:
    words = ("--hosts", "10.0.0.1,10.0.0.2,db3", "--user", "admin", "--key", "~/.ssh/k", "--clients", "10.0.0.0/24,::1")
    topology = init(tmp_path / "c.yaml", *words).topology
    ssh = SshSpec(user="admin", key=f"{Path.home()}/.ssh/k")
    assert topology.hosts == tuple(HostSpec(host, (6379, 6380), ssh=ssh) for host in ("10.0.0.1", "10.0.0.2", "db3"))
    assert topology.clients == ("10.0.0.0/24", "::1/128")
    assert topology.password == PasswordRef(PasswordSource.GENERATED)


@pytest.mark.parametrize(
    ("words", "is_remote"),
    [
        (("--hosts", "10.0.0.1,10.0.0.2,10.0.0.3"), True),
        (("--hosts", "127.0.0.1,10.0.0.2,10.0.0.3"), True),
        (("--hosts", "10.0.0.1,10.0.0.2,10.0.0.3", "--no-ssh"), False),
        (("--ssh",), True),
        (("--user", "root"), True),
        (("--clients", "10.0.0.0/8"), True),
        (("--hosts", "10.0.0.1", "--single"), True),
        (("--single",), False),
    ],
)
def test_when_init_writes_ssh(words: tuple[str, ...], is_remote: bool, tmp_path: Path) -> None:
    loaded = init(tmp_path / "c.yaml", *words)
    assert loaded.topology.is_remote is is_remote
    assert loaded.topology.hosts[0].ports[0] == (6379 if is_remote else 7001)


def test_init_refuses_what_the_file_would(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(UsageError, match="--user is for hosts that are reached by SSH"):
        init(file, "--no-ssh", "--user", "root")
    with pytest.raises(InputError) as caught:
        init(file, "--ssh", "--clients", "app1")
    assert caught.value.problems[0].what == "'app1' is neither a network nor an address"
    assert not file.exists()
