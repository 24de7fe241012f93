"""What slotwright did not make: looked at truthfully, proved only on demand, and never changed."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.by_hand import ENV, PASSWORD, ByHand, links_are_up, make
from tests.integration.conftest import Lab, open_lab

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module", params=engine_params("redis-6.2", "redis-7.0", "valkey-9.1"))
def by_hand(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[ByHand]:
    """The origin story: redis-cli --cluster create, requirepass on every node and no masterauth."""
    with open_lab(tmp_path_factory.mktemp("by-hand"), worker_id) as lab:
        yield make(lab, request.param)


def test_the_trap_of_the_origin_story_is_named(by_hand: ByHand) -> None:
    lab, seed, addresses = by_hand.lab, by_hand.seed, by_hand.addresses
    check = lab.run("check", seed, "--json", env=ENV)
    assert (check.code, check.json["ok"], check.json["proved"]) == (3, False, False)
    found = [finding for finding in check.json["findings"] if finding["severity"] == "serious"]
    assert [finding["code"] for finding in found] == ["replica-auth-missing"] * 3, check.out
    assert len({finding["where"] for finding in found}) == 3
    assert all("masterauth" in finding["remedy"] + finding["seen"] for finding in found)
    text = lab.run("check", seed, env=ENV)
    assert text.code == 3
    assert "SERIOUS" in text.out and "the replica has no password for its primary" in text.out
    assert "not made by slotwright here" in text.out

    status = lab.run("status", seed, "--json", env=ENV).json
    assert (status["name"], status["state"], status["slots_covered"]) == (seed, "degraded", 16384)
    assert {node["address"] for node in status["nodes"]} == set(addresses)
    assert {node["link"] for node in status["nodes"] if node["role"] == "replica"} == {"down"}
    assert {node["link"] for node in status["nodes"] if node["role"] == "primary"} == {None}
    for address in addresses:
        with lab.client(address, PASSWORD) as client:
            assert client.dbsize() == 0, "check wrote a key"
            assert client.config_get("masterauth")["masterauth"] == ""
    assert not lab.state.exists()


def test_a_wrong_password_and_none_at_all(by_hand: ByHand) -> None:
    lab, seed = by_hand.lab, by_hand.seed
    for env in ({"SLOTWRIGHT_PASSWORD": "wrong"}, {"SLOTWRIGHT_PASSWORD": ""}):
        for verb in ("check", "status"):
            told = lab.run(verb, seed, "--json", env=env)
            assert (told.code, told.error["code"]) == (1, "wrong-password"), (env, told)
            assert "SLOTWRIGHT_PASSWORD" in told.error["hint"], (env, told.error)
            assert told.error["where"] == seed
    text = lab.run("check", seed)
    assert (text.code, text.out) == (1, "")
    assert "SLOTWRIGHT_PASSWORD" in text.err


def test_what_is_not_ours_is_not_changed(by_hand: ByHand) -> None:
    lab, seed = by_hand.lab, by_hand.seed
    for verb in (("stop", "--yes"), ("start",), ("destroy", "--yes")):
        told = lab.run(verb[0], seed, *verb[1:], "--json", env=ENV)
        assert (told.code, told.error["code"]) == (2, "not-ours"), told
    told = lab.run("logs", seed, "--json", env=ENV)
    assert (told.code, told.error["code"]) == (2, "unknown-node")
    assert len(lab.servers()) == 6


def test_mended_by_hand_it_is_sound_and_is_proved_on_demand(by_hand: ByHand) -> None:
    """The last of this module: it changes what the others look at."""
    lab, seed, addresses = by_hand.lab, by_hand.seed, by_hand.addresses
    for address in addresses:
        with lab.client(address, PASSWORD) as client:
            client.config_set("masterauth", PASSWORD)
    lab.wait(lambda: links_are_up(by_hand), "the links to come up")
    check = lab.run("check", seed, "--json", env=ENV)
    assert (check.code, check.json["findings"], check.json["proved"]) == (0, [], False)
    proved = lab.run("check", seed, "--canary", "--json", env=ENV)
    assert (proved.code, proved.json["proved"]) == (0, True)
    status = lab.run("status", addresses[-1], "--json", env=ENV)
    assert (status.code, status.json.get("state")) == (0, "ok"), status
    slot = lab.run("slot", "user:1000", seed, "--json", env=ENV).json["keys"][0]
    assert slot["slot"] == 1649
    for address in addresses:
        with lab.client(address, PASSWORD) as client:
            assert client.dbsize() == 0, "the canary was left behind"


def test_a_stand_alone_instance(lab: Lab, embedded: TestEngine) -> None:
    address = f"{lab.hosts[0]}:{lab.free_port()}"
    lab.serve(embedded, address)
    status = lab.run("status", address, "--json").json
    assert (status["mode"], status["state"], len(status["nodes"])) == ("single", "ok", 1)
    check = lab.run("check", address, "--json")
    assert [found["code"] for found in check.json["findings"]] == ["unpersisted"]
    with lab.client(address) as client:
        client.config_set("appendonly", "yes")
    check = lab.run("check", address, "--json")
    assert (check.code, check.json["ok"], check.json["proved"]) == (0, True, False)
    assert check.json["unjudged"] == ["settings: no file", "processes, maps, logs, disks: its hosts were not asked"]
    assert "stand-alone" in lab.run("status", address).out
    with lab.client(address) as client:
        client.config_set("requirepass", PASSWORD)
    told = lab.run("status", address, "--json")
    assert (told.code, told.error["code"]) == (1, "wrong-password")
    assert "SLOTWRIGHT_PASSWORD" in told.error["hint"]
    assert lab.run("status", address, env=ENV).code == 0
    assert not lab.state.exists()


def test_nobody_listens_or_something_else(lab: Lab) -> None:
    host, port = lab.hosts[0], lab.free_port()
    for verb in ("status", "check"):
        told = lab.run(verb, f"{host}:{port}", "--json")
        assert (told.code, told.error["code"], told.error["where"]) == (1, "refused", f"{host}:{port}"), told
    text = lab.run("status", f"{host}:{port}")
    assert f"nothing listens on {host}:{port}" in text.err

    with socket.create_server((host, port)):
        silent = lab.run("status", f"{host}:{port}", "--json", env=ENV)
    assert (silent.code, silent.error["code"]) == (1, "timeout"), silent

    with subprocess.Popen(
        [shutil.which("python3") or "python3", "-m", "http.server", "--bind", host, str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=lab.folder,
    ) as web:
        try:
            lab.wait(lambda: socket.socket().connect_ex((host, port)) == 0, "the web server")
            for env in (ENV, {}):
                other = lab.run("status", f"{host}:{port}", "--json", env=env)
                assert other.code == 1, other
                assert other.error["code"] in ("not-a-server", "closed", "unreachable"), other
                assert "Traceback" not in other.err
        finally:
            web.kill()


def test_the_port_of_a_cluster_that_is_known_here_needs_no_password(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0
    seed = up.json["status"]["nodes"][1]["address"]
    check = lab.run("check", seed, "--json")
    assert (check.code, check.json["name"], check.json["proved"]) == (0, "cache", True)
