"""Clusters made by hand, in the way of the origin story, adopted: read only, described truly, and then operated."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.by_hand import ENV, PASSWORD, SIX, ByHand, links_are_up, make, with_masterauth
from tests.integration.conftest import Lab
from tests.server_settings import byte_count

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("engine", engine_params())
def test_a_sound_cluster_is_adopted_and_then_operated(lab: Lab, engine: TestEngine) -> None:
    hand = make(lab, engine, with_masterauth(), "maxmemory 64mb", "maxmemory-policy allkeys-lru", "save 900 1")
    lab.wait(lambda: links_are_up(hand), "the replicas to be in sync")
    before = hand.snapshot()

    done = lab.run("adopt", hand.seed, "--name", "hand", "--json", env=ENV)
    assert done.code == 0, done
    assert done.json["findings"] == []
    text = (lab.folder / "cluster.yaml").read_text()
    assert text == done.json["topology"]
    assert f"engine: {{kind: {engine.kind}, from: {engine.directory}}}" in text
    assert "  maxmemory: 64mb\n  maxmemory-policy: allkeys-lru\n" in text
    for kept in (lab.state / "clusters" / "hand").iterdir():
        assert kept.name == "password" or PASSWORD not in kept.read_text()
    assert PASSWORD not in text + done.out + done.err
    plan = lab.run("plan", "--json", env=ENV)
    assert (plan.code, plan.json["pending"], plan.json["findings"]) == (0, False, [])
    assert "nothing to do" in lab.run("plan").out, "the password is kept; the variable is not needed"
    assert hand.snapshot() == before, "adopting and planning only read"

    check = lab.run("check", "hand", "--json")
    assert (check.code, check.json["proved"], check.json["findings"]) == (0, False, []), "nothing is written unasked"
    check = lab.run("check", "hand", "--canary", "--json")
    assert (check.code, check.json["proved"], check.json["findings"]) == (0, True, [])
    status = lab.run("status", "--json", env=ENV).json
    assert (status["name"], status["state"]) == ("hand", "ok")
    assert lab.run("slot", "user:1000", "hand", "--json").json["keys"][0]["slot"] == 1649

    lab.write(text.replace("maxmemory: 64mb", "maxmemory: 128mb"))
    pending = lab.run("plan", "--json", env=ENV)
    assert pending.code == 3
    sets = [step for step in pending.json["steps"] if step["step"] == "set"]
    assert len(sets) == SIX
    assert {(c["name"], c["old"], c["new"]) for step in sets for c in step["changes"]} == {
        ("maxmemory", "64mb", "128mb")
    }
    up = lab.run("up", "--yes", "--json", env=ENV)
    assert (up.code, up.json["changed"], up.json["check"]["proved"]) == (0, True, True), up
    for address in hand.addresses:
        assert hand.config(address, "maxmemory") == str(128 * 2**20)
        (size,) = hand.settings(address)["maxmemory"]
        assert byte_count(size) == 128 * 2**20
        assert (hand.folder(address) / "redis.conf").read_text().startswith("# edited by hand")
    assert lab.run("plan", env=ENV).code == 0
    assert lab.run("check", "hand").code == 0
    again = lab.run("up", "--yes", "--json", env=ENV)
    assert (again.code, again.json["changed"]) == (0, False)
    assert len(lab.servers()) == SIX


@pytest.fixture(params=engine_params("redis-6.2", "redis-7.0", "valkey-9.1"))
def trapped(request: pytest.FixtureRequest, lab: Lab) -> ByHand:
    """The trap: requirepass everywhere and no masterauth."""
    return make(lab, request.param)


def test_the_trap_of_the_origin_story_is_adopted_and_mended(trapped: ByHand) -> None:
    lab, hand = trapped.lab, trapped
    before = hand.snapshot()
    done = lab.run("adopt", hand.addresses[-1], "--name", "hand", env=ENV)
    assert done.code == 0, done
    assert "the replica has no password for its primary" in done.out
    assert "wrote" in done.out and "slotwright check hand" in done.out
    assert hand.snapshot() == before
    plan = lab.run("plan", "--json", env=ENV)
    changes = [change for step in plan.json["steps"] for change in step.get("changes", ())]
    assert changes == [{"name": "masterauth", "old": "***", "new": "***"}] * SIX, "the cure, and nothing else"
    assert lab.run("check", "hand", "--no-canary").code == 3
    up = lab.run("up", "--yes", env=ENV, timeout=60)
    assert up.code == 0, up
    assert PASSWORD not in up.out + up.err
    assert links_are_up(hand)
    for address in hand.addresses:
        assert hand.settings(address)["masterauth"] == [PASSWORD]
    assert lab.run("plan", env=ENV).code == 0
    assert lab.run("check", "hand").code == 0

    what_is_refused(hand)
    who_is_known(hand)
    what_can_not_be_told(hand)
    a_file_that_can_not_be_written(hand)


def what_is_refused(hand: ByHand) -> None:
    """Nothing of it is slotwright's to start, stop or remove; and a file can't make it so."""
    lab = hand.lab
    before = hand.snapshot()
    for words in (("stop", "hand", "--yes"), ("start", "hand"), ("destroy", "hand", "--yes"), ("logs", hand.seed)):
        told = lab.run(*words, "--json")
        assert (told.code, told.error["code"]) == (4, "adopted"), told
        assert "slotwright adopt --forget hand" in told.error["hint"]
    text = (lab.folder / "cluster.yaml").read_text()
    other = "valkey" if hand.engine.kind == "redis" else "redis"
    for old, new in (
        ("replicas: 1", "replicas: 2"),
        (f"kind: {hand.engine.kind}", f"kind: {other}"),
        ("appendonly: yes", "hz: 20"),
        ("appendonly: yes", "appendonly: yes\n  databases: 3"),
        ("appendonly: yes", "appendonly: yes\n  no-such-thing: 3"),
    ):
        lab.write(text.replace(old, new), "other.yaml")
        plan = lab.run("plan", "other.yaml", "--json", env=ENV)
        assert (plan.code, len(plan.json["refusals"]), plan.json["steps"]) == (3, 1, []), (new, plan)
        up = lab.run("up", "other.yaml", "--yes", "--json", env=ENV)
        assert (up.code, up.error["left"]) == (4, "nothing was changed"), (new, up)
    assert hand.snapshot() == before
    assert len(lab.servers()) == SIX


def who_is_known(hand: ByHand) -> None:
    """Twice, under another name, over a file that is there, and forgotten."""
    lab = hand.lab
    for words in ((hand.seed,), (hand.addresses[-1], "--name", "again", "-o", "again.yaml")):
        told = lab.run("adopt", *words, "--json", env=ENV)
        assert (told.code, told.error["code"]) == (4, "already-known"), told
        assert "hand" in told.error["what"] and "--forget hand" in told.error["hint"]
    forgotten = lab.run("adopt", "--forget", "hand", "--json")
    assert (forgotten.code, forgotten.json["forgotten"]) == (0, True)
    assert not lab.state.exists()
    there = lab.run("adopt", hand.seed, "--json", env=ENV)
    assert (there.code, there.error["code"]) == (4, "file-exists")
    assert not lab.state.exists()
    printed = lab.run("adopt", hand.seed, "-o", "-", env=ENV)
    assert printed.code == 0
    assert printed.out.startswith("# Adopted from ") and "known here" in printed.err
    lab.write(printed.out, "printed.yaml")
    assert lab.run("plan", "printed.yaml", env=ENV).code == 0
    assert lab.run("adopt", "--forget", "adopted").code == 0
    unknown = lab.run("adopt", "--forget", "adopted", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown-target")


def what_can_not_be_told(hand: ByHand) -> None:
    """Open slots, wrong and missing passwords, and a node that is away: exit 4 or 1, nothing written."""
    lab = hand.lab
    with lab.client(hand.addresses[1], PASSWORD) as client:
        other = client.execute_command("CLUSTER", "MYID").decode()
    with lab.client(hand.seed, PASSWORD) as client:
        client.execute_command("CLUSTER", "SETSLOT", 7, "MIGRATING", other)
        refused(hand, 4, "open-slot")
        client.execute_command("CLUSTER", "SETSLOT", 7, "STABLE")
    refused(hand, 1, "wrong-password", {"SLOTWRIGHT_PASSWORD": "wrong"})
    refused(hand, 1, "wrong-password", {"SLOTWRIGHT_PASSWORD": ""})
    with lab.client(hand.addresses[-1], PASSWORD) as client:
        client.config_set("requirepass", "another")
    refused(hand, 4, "wrong-password")
    with lab.client(hand.addresses[-1], "another") as client:
        client.config_set("requirepass", PASSWORD)


@pytest.mark.parametrize("engine", engine_params("redis-7.0", "redis-8.2", "valkey-8.1", "valkey-9.1"))
def test_what_is_announced_and_out_of_our_reach_is_said_so(lab: Lab, engine: TestEngine) -> None:
    """As containers with mapped ports: the cluster is well, and nobody answers here where its nodes announce. (6.2
    tells the port that it listens on of itself until it is started anew.)"""
    hand = make(lab, engine, with_masterauth())
    unused = [str(lab.free_port()) for _ in hand.addresses]
    for address, port in zip(hand.addresses, unused, strict=True):
        with lab.client(address, PASSWORD) as client:
            client.config_set("cluster-announce-port", port)

    def is_told() -> bool:
        return all(all(f":{port}@" in hand.nodes(address) for port in unused) for address in hand.addresses)

    lab.wait(is_told, "all nodes to tell of the announced ports")
    lab.wait(lambda: all("disconnected" not in hand.nodes(address) for address in hand.addresses), "links")
    announced = {f"{address.split(':')[0]}:{port}" for address, port in zip(hand.addresses, unused, strict=True)}

    told = lab.run("adopt", hand.seed, "-o", "no.yaml", env=ENV)
    assert told.code == 4, told
    text = " ".join((told.out + told.err).split())
    assert "belong to nobody" not in text and "is down" not in text and "--cluster fix" not in text, text
    assert f"the node answers at {hand.seed}, and announces {hand.seed.split(':')[0]}:{unused[0]}" in text
    assert "cluster-announce-bus-port" in text and f"slotwright client test {hand.seed}" in text
    assert text.count("can't be reached from here, and lives") == SIX - 1
    assert lab.run("adopt", hand.seed, "-o", "no.yaml", "--json", env=ENV).error["code"] == "two-addresses"
    assert not (lab.folder / "no.yaml").exists() and not lab.state.exists()

    check = lab.run("check", hand.seed, "--json", env=ENV).json["findings"]
    assert {(found["code"], found["where"]) for found in check} == {
        ("node-out-of-reach", place) for place in announced - {f"{hand.seed.split(':')[0]}:{unused[0]}"}
    }
    assert all(f"client test {hand.seed}" in found["remedy"] for found in check)

    # One that is reached where it announces: the others still are not.
    with lab.client(hand.addresses[1], PASSWORD) as client:
        client.config_set("cluster-announce-port", hand.addresses[1].split(":")[1])
    lab.wait(lambda: f" {hand.addresses[1]}@" in hand.nodes(hand.seed), "the seed to hear of it")
    told = lab.run("adopt", hand.seed, "-o", "no.yaml", "--json", env=ENV)
    assert (told.code, told.error["code"]) == (4, "node-out-of-reach"), told


def refused(hand: ByHand, exit_code: int, code: str, env: dict[str, str] | None = None) -> None:
    told = hand.lab.run("adopt", hand.seed, "-o", "no.yaml", "--json", env=env or ENV)
    assert (told.code, told.error["code"]) == (exit_code, code), told
    assert told.error["hint"]
    assert not (hand.lab.folder / "no.yaml").exists()
    assert not hand.lab.state.exists()


def a_file_that_can_not_be_written(hand: ByHand) -> None:
    """What a node can't write for good is not left in force, and is shown by the next plan again."""
    lab = hand.lab
    assert lab.run("adopt", hand.seed, "--name", "hand", "--force", env=ENV).code == 0
    text = (lab.folder / "cluster.yaml").read_text()
    lab.write(text + "  maxmemory: 96mb\n")
    # Root may write every file, so it is the file's place that goes; the node sees neither it nor a folder for it.
    place = hand.folder(hand.seed) / "redis.conf"
    place.rename(place.with_name("moved.conf"))
    place.mkdir()
    up = lab.run("up", "--yes", "--json", env=ENV)
    assert (up.code, up.error["code"]) == (1, "config-not-written"), up
    assert {hand.config(address, "maxmemory") for address in hand.addresses} == {"0"}
    place.rmdir()
    place.with_name("moved.conf").rename(place)
    assert lab.run("plan", env=ENV).code == 3
    assert lab.run("up", "--yes", env=ENV).code == 0
    assert {hand.config(address, "maxmemory") for address in hand.addresses} == {str(96 * 2**20)}


def test_a_stand_alone_instance_without_a_file_of_its_own(lab: Lab, embedded: TestEngine) -> None:
    address = f"{lab.hosts[0]}:{lab.free_port()}"
    lab.serve(embedded, address)
    done = lab.run("adopt", address, "--json")
    assert done.code == 0, done
    assert "mode: single" in done.json["topology"] and "password: none" in done.json["topology"]
    assert {found["code"] for found in done.json["findings"]} == {"no-config-file", "no-persistence"}
    assert lab.run("plan").code == 0
    assert lab.run("check", "adopted").code == 0
    text = (lab.folder / "cluster.yaml").read_text()
    lab.write(text.replace("appendonly: no", "appendonly: yes"))
    plan = lab.run("plan", "--json")
    assert plan.code == 3
    assert "without a configuration file" in plan.json["refusals"][0]["why"]
    assert lab.run("up", "--yes").code == 4


def test_a_cluster_that_slotwright_made_is_not_adopted(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0
    seed = up.json["status"]["nodes"][1]["address"]
    told = lab.run("adopt", seed, "-o", "x.yaml", "--json", env={"SLOTWRIGHT_PASSWORD": lab.password() or ""})
    assert (told.code, told.error["code"]) == (4, "already-known")
    assert "cache, which slotwright made here" in told.error["what"]
    name = lab.run("adopt", f"{lab.hosts[0]}:{lab.free_port()}", "-o", "x.yaml", "--name", "cache", "--json")
    assert (name.code, name.error["code"]) == (4, "name-taken")
    forget = lab.run("adopt", "--forget", "cache", "--json")
    assert (forget.code, forget.error["code"]) == (4, "not-adopted")
    assert lab.run("check").code == 0
