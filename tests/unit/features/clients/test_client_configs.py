"""Every kind, with and without TLS, password, user and IPv6: complete, in its language, and without a secret."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from slotwright.cluster.observation import Observation
from slotwright.cluster.topology import Address
from slotwright.errors import InputError, RefusedError
from slotwright.features.clients.configs.facts import client_facts
from slotwright.features.clients.configs.generate import generate
from slotwright.features.clients.configs.kinds import KINDS, SPRING_BOOT_2, kind_of
from slotwright.features.clients.configs.timing import timing
from slotwright.features.clients.model import ClientConfig, ClientFacts
from tests.fakes.build import at
from tests.fakes.pictures import picture
from tests.unit.server.test_addresses import GOOD, HOSTILE

ALL = [*KINDS, SPRING_BOOT_2]
FACTS = ClientFacts(
    name="cache",
    seeds=tuple(map(at, ("10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379", "10.0.0.1:6380"))),
    shards=3,
    nodes=6,
    server="Valkey 9.1.2",
    node_timeout_ms=5000,
    password_variable="REDIS_PASSWORD",
)


def text_of(config: ClientConfig) -> str:
    assert len(config.files) == 1
    return config.files[0].text


def variants() -> list[ClientFacts]:
    return [
        replace(FACTS, is_tls=tls, password_variable=password, username=user)
        for tls in (False, True)
        for password, user in (("", ""), ("REDIS_PASSWORD", ""), ("CACHE_SECRET", "app"))
    ]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.name}-{kind.tried}")
@pytest.mark.parametrize("facts", variants(), ids=lambda f: f"{f.is_tls}-{f.password_variable}-{f.username}")
def test_every_kind_is_complete(kind: Any, facts: ClientFacts) -> None:
    config = generate(kind, facts)
    text = text_of(config)
    assert "<<" not in text.replace("<<~", "") and "\n?" not in text and "\n*|" not in text
    for seed in facts.seeds:
        assert seed.host in text and str(seed.port) in text
    assert config.environment == ((facts.password_variable,) if facts.password_variable else ())
    assert (facts.password_variable or "REDIS_PASSWORD") in text or not facts.password_variable
    assert facts.password_variable or "REDIS_PASSWORD" not in text
    assert not facts.username or f"{facts.username}" in text
    assert kind.tried in config.dependency
    assert config.dependency.split()[0] in text
    assert max(map(len, text.splitlines())) <= 120
    assert all(line == line.rstrip() for line in text.splitlines())
    assert kind.file in text.splitlines()[1 if kind.first else 0]
    words = ("tls", "ssl", "rediss:")
    body = "\n".join(line for line in text.lower().splitlines() if not line.strip().startswith(kind.comment))
    assert any(word in body for word in words) is facts.is_tls


def test_every_template_is_used() -> None:
    folder = Path(str(files("slotwright.features.clients.configs"))) / "templates"
    assert {path.name for path in folder.iterdir()} == {kind.template for kind in ALL}


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.name}-{kind.tried}")
def test_what_was_not_run_says_so(kind: Any) -> None:
    assert ("do not run" in text_of(generate(kind, FACTS))) is not kind.is_run


@pytest.mark.parametrize("facts", variants())
@pytest.mark.parametrize("kind", [kind for kind in ALL if kind.language == "python"], ids=lambda kind: kind.name)
def test_python_is_python(kind: Any, facts: ClientFacts) -> None:
    ast.parse(text_of(generate(kind, facts)))


@pytest.mark.parametrize(("boot", "path"), [(2, ("spring", "redis")), (3, ("spring", "data", "redis"))])
@pytest.mark.parametrize("facts", variants())
def test_spring_reads_what_is_meant(boot: int, path: tuple[str, ...], facts: ClientFacts) -> None:
    said: Any = YAML(typ="safe").load(text_of(generate(kind_of("spring-boot", boot), facts)))
    for name in path:
        said = said[name]
    assert said["cluster"]["nodes"] == [str(seed) for seed in facts.seeds]
    assert said["cluster"]["max-redirects"] == 5
    assert said["lettuce"]["cluster"]["refresh"] == {"adaptive": True, "period": "5000ms"}
    assert (said["connect-timeout"], said["timeout"]) == ("1000ms", "2000ms")
    assert said.get("password") == (f"${{{facts.password_variable}}}" if facts.password_variable else None)
    assert said.get("username") == (facts.username or None)
    assert said.get("ssl.enabled" if boot == 3 else "ssl") == (True if facts.is_tls else None)


def test_redisson_reads_what_is_meant() -> None:
    # With tags of its own, which only round-tripping bears.
    said: Any = YAML(typ="rt").load(text_of(generate(kind_of("redisson"), replace(FACTS, is_tls=True))))
    assert said["clusterServersConfig"]["nodeAddresses"] == [f"rediss://{seed}" for seed in FACTS.seeds]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.name}-{kind.tried}")
def test_an_ipv6_address_is_bracketed_where_a_port_follows_it(kind: Any) -> None:
    text = text_of(generate(kind, replace(FACTS, seeds=(at("[2001:db8::1]:6379"), at("[2001:db8::2]:6379")))))
    apart = ('"2001:db8::1", 6379', '"2001:db8::1", port: 6379')
    assert "[2001:db8::1]:6379" in text or any(words in text for words in apart)
    assert "2001:db8::1:6379" not in text


def test_names_that_would_need_quotes_are_refused() -> None:
    for bad, code in (
        (replace(FACTS, username='a"b'), "bad-user"),
        (replace(FACTS, password_variable="A B"), "bad-variable"),
    ):
        with pytest.raises(InputError) as caught:
            generate(KINDS[0], bad)
        assert caught.value.code == code
    with pytest.raises(InputError) as caught:
        kind_of("telnet")
    assert caught.value.code == "unknown-kind" and "redis-py" in caught.value.hint


@pytest.mark.parametrize(
    ("limit", "connect", "command", "refresh"), [(2000, 500, 1000, 2000), (15000, 1000, 2000, 10000)]
)
def test_times_follow_the_node_time_out(limit: int, connect: int, command: int, refresh: int) -> None:
    times = timing(replace(FACTS, node_timeout_ms=limit))
    assert (times.connect_ms, times.command_ms, times.refresh_ms) == (connect, command, refresh)
    assert times.command_ms < times.takeover_ms and times.patience_ms <= times.takeover_ms


def facts_of(given: dict[str, Any], **settings: str) -> ClientFacts:
    case = picture(given)
    views = tuple(replace(view, settings=tuple(settings.items())) for view in case.observation.views)
    return client_facts(case.survey, Observation(views, case.observation.silent), "REDIS_PASSWORD", "")


SEEDS = ["h1:7001", "h2:7001", "h3:7001", "h1:7002", "h2:7002", "h3:7002"]


def test_the_seeds_are_of_every_shard_and_no_failover_changes_them() -> None:
    facts = facts_of({}, **{"cluster-node-timeout": "5000"})
    assert [str(seed) for seed in facts.seeds] == SEEDS
    assert (facts.shards, facts.nodes, facts.node_timeout_ms, facts.is_tls) == (3, 6, 5000, False)
    assert facts.server == "Valkey 9.1.2"
    assert facts_of({"failed_over": {"h1:7001": "h2:7002"}}).seeds == facts.seeds


def test_of_two_replicas_one_is_named_and_rather_one_that_answers() -> None:
    shape = {"topology": {"hosts": 3, "ports": 3, "replicas": 2}}
    assert len(facts_of(shape).seeds) == 6
    first = next(str(seed) for seed in facts_of(shape).seeds if seed.port != 7001)
    assert first not in map(str, facts_of({**shape, "silent": {first: "refused"}}).seeds)


def test_tls_is_on_where_every_node_has_a_port_for_it() -> None:
    facts = facts_of({}, **{"tls-port": "7443"})
    assert facts.is_tls and {seed.port for seed in facts.seeds} == {7443}
    assert not facts_of({}, **{"tls-port": "0"}).is_tls


def test_names_are_used_where_the_cluster_prefers_them() -> None:
    named = {"cluster-announce-hostname": "node.example", "cluster-preferred-endpoint-type": "hostname"}
    assert {seed.host for seed in facts_of({}, **named).seeds} == {"node.example"}
    assert "node.example" not in {
        seed.host for seed in facts_of({}, **{**named, "cluster-preferred-endpoint-type": "ip"}).seeds
    }


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.name}-{kind.tried}")
def test_what_is_no_address_is_never_written(kind: Any) -> None:
    """Whatever let it come so far."""
    for text in filter(None, HOSTILE):
        with pytest.raises(RefusedError) as caught:
            generate(kind, replace(FACTS, seeds=(*FACTS.seeds, Address(text, 6379))))
        assert caught.value.code == "address-not-valid" and caught.value.seen.isprintable(), text


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.name}-{kind.tried}")
def test_every_host_that_is_one_can_be_written(kind: Any) -> None:
    for text in GOOD:
        assert text in text_of(generate(kind, replace(FACTS, seeds=(Address(text, 6379),))))


def test_a_node_without_a_valid_address_is_left_out_and_told() -> None:
    fault = "'${x}' is no IP address and no host name"
    stranger = {"id": "f" * 40, "address": "h9:7001", "role": "replica"}
    given = {"file": False, "strangers": [stranger], "sees": {"*": {"h9:7001": {"fault": fault}}}}
    facts = facts_of(given)
    assert facts.left_out == (f"ffffffff: {fault}",)
    assert "h9" not in {seed.host for seed in facts.seeds} and len(facts.seeds) == 6
    assert generate(KINDS[0], facts).left_out == facts.left_out
    with pytest.raises(RefusedError) as caught:
        generate(KINDS[0], replace(facts, seeds=()))
    assert caught.value.seen == facts.left_out[0]


@pytest.mark.parametrize("name", ['"+evil+"', "a b", "${x}", "-x"])
def test_a_name_that_is_none_gives_way_to_the_address(name: str) -> None:
    named = {"cluster-announce-hostname": name, "cluster-preferred-endpoint-type": "hostname"}
    facts = facts_of({}, **named)
    assert {seed.host for seed in facts.seeds} == {"h1", "h2", "h3"}
    assert len(facts.left_out) == 6 and repr(name) in facts.left_out[0]


def test_a_port_for_tls_that_is_none_is_none() -> None:
    assert not facts_of({}, **{"tls-port": "²"}).is_tls
    assert not facts_of({}, **{"tls-port": "99999"}).is_tls
