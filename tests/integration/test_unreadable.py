"""One node whose answers can't be read is that node's finding: all others are judged as ever, and nothing is done over
its head. A real cluster, of which one node is reached through a relay that changes what it says."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

from tests.engines import EMBEDDED, LABELS, TestEngine, engine_params
from tests.extent import share
from tests.fakes.impostor import Change, Relay, Words, bulk, listening, pairs
from tests.integration.conftest import Lab, open_lab
from tests.integration.edge import Run, faults

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]


@dataclass
class Masked:
    """A cluster of three shards with a replica each, and the relay before the primary of the first."""

    lab: Lab
    address: str
    other: str
    relay: Relay

    def check(self) -> dict:
        return self.lab.run("check", "cache", "--json").json


@pytest.fixture(scope="module", params=engine_params(LABELS[0], EMBEDDED))
def masked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Masked]:
    engine: TestEngine = request.param
    with open_lab(tmp_path_factory.mktemp("masked"), worker_id) as lab:
        lab.topology(engine, password="none", settings="{maxmemory: 64mb}")
        up = lab.run("up", "--yes", "--json")
        assert up.code == 0, up
        nodes = up.json["status"]["nodes"]
        first, other = nodes[0]["address"], next(node["address"] for node in nodes if node["shard"] == 2)
        host, port = first.rsplit(":", 1)
        hidden = lab.free_port()
        move(lab, engine, first, hidden)
        relay = Relay(host, hidden)
        with listening(host, int(port), relay):
            lab.wait(lambda: lab.run("check", "cache", "--json").json["ok"], "the cluster to be sound again")
            yield Masked(lab, first, other, relay)


def move(lab: Lab, engine: TestEngine, address: str, port: int) -> None:
    """Restart a node at another port, while it goes on telling the others of its own."""
    folder = lab.state / "clusters/cache/nodes" / address.replace(":", "-")
    pid = lab.processes()[folder.name]
    os.kill(pid, signal.SIGKILL)
    lab.wait(lambda: pid not in lab.servers(), f"{address} to be gone")
    words = [str(engine.binary), str(folder / "server.conf"), "--port", str(port)]
    words += ["--cluster-announce-port", address.rsplit(":", 1)[1], "--cluster-announce-bus-port", str(port + 10000)]
    subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def without(word: str) -> Change:
    return lambda reply: bulk(reply.split(b"\r\n", 1)[1][:-2].replace(word.encode(), b"x"))


def with_line(line: bytes) -> Change:
    return lambda reply: bulk(reply.split(b"\r\n", 1)[1][:-2] + line)


@cache
def huge(line: bytes) -> bytes:
    """Made once, and before it is asked for: a node that takes its time to answer is another thing."""
    return bulk(line * (100_000_000 // len(line)))


NODES, INFO, CONFIG = ("CLUSTER", "NODES"), ("INFO",), ("CONFIG", "GET")

CHANGES: dict[str, tuple[Words, Change]] = {
    "nodes: null": (NODES, lambda _: b"$-1\r\n"),
    "nodes: a number": (NODES, lambda _: b":7\r\n"),
    "nodes: nothing": (NODES, lambda _: bulk("")),
    "nodes: prose": (NODES, lambda _: bulk("the quick brown fox jumps over the lazy dog\n" * 3)),
    "nodes: half": (NODES, lambda reply: bulk(reply.split(b"\r\n", 1)[1][:-40])),
    "nodes: bytes": (NODES, lambda _: bulk(bytes(range(256)) * 20)),
    "nodes: another protocol": (NODES, lambda _: b"HTTP/1.1 200 OK\r\n\r\n"),
    "nodes: nobody is itself": (NODES, without("myself,")),
    "nodes: absurd epoch": (NODES, with_line(b"a 1.2.3.4:1@2 master - 0 0 " + b"9" * 5000 + b" connected 7\n")),
    "nodes: absurd slot": (NODES, with_line(b"a 1.2.3.4:1@2 master - 0 0 7 connected 0-99999\n")),
    "nodes: a move of nothing": (NODES, with_line(b"a 1.2.3.4:1@2 master - 0 0 7 connected [77777->-b]\n")),
    "nodes: 100 MB": (NODES, lambda _: huge(b"x")),
    "nodes: too long a list": (NODES, lambda _: b"*999999999\r\n"),
    "nodes: a push": (NODES, lambda _: b">2\r\n+invalidate\r\n*0\r\n"),
    "info: null": (INFO, lambda _: b"$-1\r\n"),
    "info: nothing": (INFO, lambda _: bulk("")),
    "info: a list": (INFO, lambda _: pairs("role", "master")),
    "info: no role": (INFO, without("role:")),
    "info: absurd number": (INFO, with_line(b"used_memory:" + b"9" * 5000 + b"\r\n")),
    "info: no number": (INFO, with_line(b"master_repl_offset:1e99\r\n")),
    "info: no keys": (INFO, with_line(b"db0:keys=many\r\n")),
    "info: 100 MB": (INFO, lambda _: huge(b"a:1\r\n")),
    "config: a number": (CONFIG, lambda _: b":1\r\n"),
    "config: a name alone": (CONFIG, lambda _: pairs("maxmemory")),
    "config: a list in it": (CONFIG, lambda _: b"*2\r\n*0\r\n*0\r\n"),
    "epoch: absurd": (("CLUSTER", "INFO"), with_line(b"cluster_current_epoch:-\r\n")),
    "id: a list": (("CLUSTER", "MYID"), lambda _: b"*0\r\n"),
    "time: null": (("TIME",), lambda _: b"*-1\r\n"),
}


@pytest.mark.parametrize("kind", share([*CHANGES], 0))
def test_the_others_are_judged(masked: Masked, kind: str) -> None:
    words, change = CHANGES[kind]
    if kind.endswith("100 MB"):
        change(b"")
    with masked.lab.client(masked.other) as client:
        client.config_set("maxmemory", "65mb")
    masked.relay.changes = {words: change}
    try:
        found = masked.check()
        assert not found["ok"]
        assert {finding["code"]: finding["where"] for finding in found["findings"]} == {
            "answers-unreadable": masked.address,
            "settings-differ": masked.other,
        }, found
        # Its peers see it serve.
        assert (found["state"], found["slots_covered"]) == ("degraded", 16384)
        finding = next(each for each in found["findings"] if each["code"] == "answers-unreadable")
        assert finding["severity"] == "serious"
        assert finding["seen"] and finding["seen"].isprintable() and len(finding["seen"]) < 600
    finally:
        masked.relay.changes = {}
        with masked.lab.client(masked.other) as client:
            client.config_set("maxmemory", "64mb")


LOOKS = (
    ("status", "cache"),
    ("check", "cache"),
    ("check", "{address}"),
    ("plan",),
    ("up", "--yes"),
    ("start", "cache"),
    ("repair", "cache", "--plan"),
    ("failover", "{replica}", "--yes"),
    ("failover", "--restore-plan", "cache", "--yes"),
    ("drill", "cache", "--yes"),
    ("client", "redis-py", "cache"),
    ("client", "test", "cache"),
    ("slot", "key", "--target", "cache"),
    ("archive", "cache", "-o", "archived"),
    ("compare", "{address}", "cache"),
    ("migrate", "{address}", "cache", "--plan"),
    ("migrate", "{replica}", "cache", "--plan"),
)


@pytest.mark.parametrize("kind", share(["nodes: prose", "info: a list", "config: a number"], 0))
def test_no_verb_fails_by_it_or_goes_over_its_head(masked: Masked, kind: str) -> None:
    words, change = CHANGES[kind]
    lab = masked.lab
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    replica = next(node["address"] for node in nodes if node["shard"] == 1 and node["role"] == "replica")
    roles = {node["address"]: node["role"] for node in nodes}
    before = lab.processes()
    masked.relay.changes = {words: change}
    try:
        runs = []
        for line in LOOKS:
            filled = tuple(word.format(address=masked.address, replica=replica) for word in line)
            runs += [Run(each, lab.run(*each), lab) for each in (filled, (*filled, "--json"))]
            shutil.rmtree(lab.folder / "archived", ignore_errors=True)
        assert not (found := faults(runs)), "\n".join(found)
        outcomes = {run.words: run.outcome for run in runs}
        assert outcomes["up", "--yes"].code == 4
        plan = outcomes["repair", "cache", "--plan", "--json"].json
        assert not plan["steps"], plan
        assert "answers-unreadable" in outcomes["check", masked.address, "--json"].out
    finally:
        masked.relay.changes = {}
    assert lab.processes() == before
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    # Asked for by hand, and agreed on between the replica and its primary, which answers that one: nothing is lost.
    if roles[masked.address] == "primary":
        assert outcomes["failover", replica, "--yes"].code == 3
        roles |= {masked.address: "replica", replica: "primary"}
    assert {node["address"]: node["role"] for node in nodes} == roles
