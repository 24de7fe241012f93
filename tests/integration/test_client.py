"""`client` on real clusters: configurations from what is there, and the walk of a client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncssh
import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab, Outcome
from tests.unit.adapters.test_ssh_connections import LoopbackServer, listening

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def made(shared: Lab, embedded: TestEngine) -> Lab:
    shared.topology(embedded, settings='{cluster-node-timeout: "3000"}')
    up = shared.run("up", "--yes")
    assert up.code == 0, up.out
    return shared


def addresses(lab: Lab) -> list[str]:
    return [node["address"] for node in lab.run("status", "--json").json["nodes"]]


def test_a_configuration_is_its_own_answer(made: Lab) -> None:
    text = made.run("client", "redis-py")
    assert (text.code, text.err) == (0, "")
    compile(text.out, "redis_cluster.py", "exec")
    for address in addresses(made):
        host, port = address.rsplit(":", 1)
        assert f'ClusterNode("{host}", {port})' in text.out
    assert "REDIS_PASSWORD" in text.out and str(made.password()) not in text.out
    assert "Valkey 9.1" in text.out and "cluster-node-timeout 3 s" in text.out
    told = made.run("client", "redis-py", "--json").json
    assert told["files"] == [{"name": "redis_cluster.py", "language": "python", "text": text.out}]
    assert (told["kind"], told["env"], told["written"]) == ("redis-py", ["REDIS_PASSWORD"], None)
    assert told["dependency"].startswith("redis==")


def test_written_once_and_never_over_something(made: Lab) -> None:
    words = ("client", "spring-boot", "-o", "service", "--boot", "2", "--password-env", "CACHE_PASSWORD")
    done = made.run(*words)
    place = made.folder / "service/src/main/resources/application.yml"
    assert done.code == 0 and str(place.relative_to(made.folder)) in done.out
    text = place.read_text()
    assert "spring:\n  redis:" in text and "password: ${CACHE_PASSWORD}" in text
    again = made.run(*words, "--json")
    assert (again.code, again.error["code"]) == (2, "file-exists")
    assert place.read_text() == text


def test_kinds_are_named(made: Lab) -> None:
    kinds = [kind["kind"] for kind in made.run("client", "list", "--json").json["kinds"]]
    assert {"spring-boot", "lettuce", "jedis", "redis-py", "ioredis", "go-redis"} <= set(kinds)
    assert "spring-boot" in made.run("client", "list").out
    wrong = made.run("client", "rediss-py")
    assert wrong.code == 2 and "redis-py" in wrong.err


def test_what_is_no_cluster_has_no_such_configuration(lab: Lab, embedded: TestEngine) -> None:
    address = f"{lab.hosts[0]}:{lab.free_port()}"
    lab.serve(embedded, address)
    for words in (("client", "jedis", address), ("client", "test", address)):
        told = lab.run(*words, "--json")
        assert told.error["code"] == "not-a-cluster", told.out
    nobody = lab.run("client", "test", f"{lab.hosts[0]}:{lab.free_port()}", "--json")
    assert (nobody.code, nobody.error["code"]) == (1, "refused")


@pytest.mark.parametrize("engine", engine_params())
def test_the_way_of_a_client(engine: TestEngine, lab: Lab) -> None:
    lab.topology(engine)
    assert lab.run("up", "--yes").code == 0

    def of_all() -> Outcome | None:
        walked = lab.run("client", "test", "--json")
        assert (walked.code, walked.json["ok"], walked.json["findings"], walked.json["from"]) == (0, True, [], None)
        return walked if len(walked.json["nodes"]) == 6 else None

    # Clients are not told of a replica before its offset was gossiped (cluster.c, isReplicaAvailable).
    told = lab.wait(of_all, "all nodes to be announced")
    assert isinstance(told, Outcome)
    assert {node["announced"] for node in told.json["nodes"]} == set(addresses(lab))
    assert all(node["reached"] and node["took_ms"] is not None for node in told.json["nodes"])
    assert sum(each["goal"] is not None for each in told.json["redirects"]) == 15, "5 nodes ask for each of 3 shards"
    text = lab.run("client", "test", "--from", lab.hosts[1])
    assert text.code == 0 and "every node is found" in text.out and "5 of 5" in text.out

    seed = addresses(lab)[0]
    with lab.client(seed, lab.password()) as client:
        client.config_set("cluster-announce-ip", "127.0.99.99")
    found = lab.wait(lambda: _findings(lab, seed), "clients to be sent astray")
    assert found == [("announced-wrong", "serious", f"127.0.99.99:{seed.rpartition(':')[2]}")]
    text = lab.run("client", "test")
    assert text.code == 3 and f"cluster-announce-ip {seed.rpartition(':')[0]}" in text.out.replace("\n          ", " ")


def test_from_another_host_loopback_is_no_address(made: Lab, tmp_path: Path) -> None:
    """Through a real SSH connection, to a server of the same library."""
    ssh = tmp_path / ".ssh"
    ssh.mkdir()
    (tmp_path / "bin").mkdir()

    async def body() -> Outcome:
        server = LoopbackServer(tmp_path / "bin")
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(ssh / "key")
        async with listening(server):
            (ssh / "config").write_text(
                f"Host far.example\n  HostName 127.0.0.1\n  Port {server.port}\n  User ops\n  IdentityFile {ssh}/key\n"
            )
            words = ("client", "test", "--from", "far.example", "--accept-new-host-keys", "--json")
            return await asyncio.to_thread(made.run, *words, env={"HOME": str(tmp_path), "SSH_AUTH_SOCK": ""})

    told = asyncio.run(asyncio.wait_for(body(), 60))
    assert (told.code, told.json["from"]) == (3, "far.example"), told
    assert {found["code"] for found in told.json["findings"]} == {"announced-loopback"}
    assert [found["severity"] for found in told.json["findings"]].count("serious") == 3
    assert all(node["reached"] for node in told.json["nodes"]), "that host is this one, in truth"


def _findings(lab: Lab, seed: str) -> list[tuple[str, str, str]]:
    told = lab.run("client", "test", "--json")
    if told.code == 0:
        return []
    assert told.code == 3, told.out
    return [(found["code"], found["severity"], found["where"]) for found in json.loads(told.out)["findings"]]


def test_a_client_with_another_password_is_not_let_in(made: Lab) -> None:
    seed = addresses(made)[0]
    password = made.state / "clusters/cache/password"
    kept = password.read_text()
    password.write_text("wrong")
    try:
        found = [made.run("client", kind, seed, "--json") for kind in ("test", "jedis")]
    finally:
        password.write_text(kept)
    assert [(told.code, told.error["code"]) for told in found] == [(1, "wrong-password")] * 2
