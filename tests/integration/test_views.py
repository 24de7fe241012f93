"""What is shown: help with examples, tables of at most 100 columns, slots as the server counts them, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from slotwright.cli.main import VERBS
from tests.engines import TestEngine
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers


class Up(NamedTuple):
    lab: Lab
    text: str


@pytest.fixture(scope="module")
def cluster(shared: Lab, embedded: TestEngine) -> Iterator[Up]:
    """Six nodes for all who only look."""
    shared.topology(embedded, settings="{maxmemory: 64mb}")
    up = shared.run("up", "--yes")
    assert up.code == 0, up.err
    yield Up(shared, up.out)
    gone = shared.run("destroy", "--yes")
    assert gone.code == 0, gone.err
    assert gone.out == "cache is gone: 6 nodes ended, no process and no file is left\n"
    shared.assert_nothing_is_left()


def assert_fits(text: str) -> None:
    too_long = [line for line in text.splitlines() if len(line) > 100]
    assert not too_long, "\n".join(too_long)
    assert "\x1b" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_has_an_example(lab: Lab, verb: str) -> None:
    told = lab.run(verb, "--help")
    assert told.code == 0
    assert "Example:" in told.out and f"slotwright {verb}" in told.out
    if verb != "completion":
        assert "--json" in told.out
    assert_fits(told.out)
    assert not lab.state.exists()


def test_help_of_all(lab: Lab) -> None:
    told = lab.run("--help")
    assert told.code == 0
    assert all(f"  {verb} " in told.out for verb in VERBS)
    assert "Exit codes:" in told.out
    assert_fits(told.out)
    assert lab.run("--version").out.startswith("slotwright ")


def test_outputs_fit_100_columns(cluster: Up) -> None:
    lab, text = cluster
    assert_fits("\n".join(line for line in text.splitlines() if "-c " not in line))  # but for lines to be pasted
    for words in (("status",), ("check",), ("list",), ("plan",), ("slot", "user:1000", "x" * 40)):
        told = lab.run(*words)
        assert told.code == 0, (words, told)
        if words != ("list",):  # holds a path, which is as long as it is
            assert_fits(told.out)
    assert_fits("\n".join(line for line in lab.run("up", "--yes").err.splitlines()))


def test_status_draws_the_slots_and_the_nodes(cluster: Up) -> None:
    told = cluster.lab.run("status", "cache")
    assert told.code == 0
    assert "16384 of 16384" in told.out
    assert told.out.count("in sync") == 3
    for slots in ("0-5460", "5461-10922", "10923-16383"):
        assert slots in told.out, told.out
    assert all(f"{host}:" in told.out for host in cluster.lab.hosts)
    from_elsewhere = cluster.lab.run("status", "cache", "--json").json
    assert from_elsewhere["format"] == 1
    assert [node["role"] for node in from_elsewhere["nodes"]].count("primary") == 3


def test_slots_are_those_of_the_server(cluster: Up) -> None:
    lab = cluster.lab
    keys = ["user:1000", "{user:1000}:cart", "{}x", "a{b", "a{}{b}", "ü €", "", "a}{b}c", "{{x}}"]
    told = lab.run("slot", *keys, "--target", "cache", "--json")
    assert told.code == 0, told
    nodes = lab.run("status", "--json").json["nodes"]
    with lab.client(nodes[0]["address"], lab.password()) as client:
        wanted = [client.execute_command("CLUSTER", "KEYSLOT", key) for key in keys]
    assert [each["slot"] for each in told.json["keys"]] == wanted
    for each in told.json["keys"]:
        owner = next(node for node in nodes if node["address"] == each["primary"])
        first, last = map(int, owner["slots"][0].split("-"))
        assert first <= each["slot"] <= last
        assert each["replicas"] == [node["address"] for node in nodes if node["replica_of"] == owner["id"]]


def test_a_slip_in_a_name_gets_the_near_one(cluster: Up) -> None:
    told = cluster.lab.run("status", "cahce", "--json")
    assert (told.code, told.error["code"]) == (2, "unknown-target")
    assert "did you mean cache?" in told.error["hint"]
    none_near = cluster.lab.run("status", "zebra", "--json")
    assert none_near.error["hint"] == "known here: cache"


def test_list(cluster: Up) -> None:
    told = cluster.lab.run("list", "--json").json["clusters"]
    assert [(each["name"], each["stage"], each["nodes"]) for each in told] == [("cache", "formed", 6)]
    assert told[0]["file"] == str(cluster.lab.folder / "cluster.yaml")
    text = cluster.lab.run("list").out
    assert "cache" in text and "Valkey 9.1" in text


def test_progress_is_json_lines_under_json_and_plain_lines_otherwise(cluster: Up) -> None:
    import json

    told = cluster.lab.run("up", "--yes", "--json")
    events = [json.loads(line) for line in told.err.splitlines()]
    assert {"began", "ended"} <= {event["event"] for event in events}
    text = cluster.lab.run("up", "--yes")
    assert text.err.splitlines()
    assert all(line.startswith("  ✓") for line in text.err.splitlines()), text.err
    assert "nothing was to be changed" in text.out


def test_a_reader_that_goes_away_is_no_failure(cluster: Up) -> None:
    lab = cluster.lab
    reader, writer = os.pipe()
    os.close(reader)
    process = lab.popen("status", "cache", stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err and "Exception" not in err, err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(lab: Lab, shell: str) -> None:
    told = lab.run("completion", shell)
    assert told.code == 0, told.err
    assert "_SLOTWRIGHT_COMPLETE" in told.out and "slotwright" in told.out
    words = {"COMP_WORDS": "slotwright st", "COMP_CWORD": "1" if shell != "fish" else "st"}
    offered = lab.run(env=words | {"_SLOTWRIGHT_COMPLETE": f"{shell}_complete"})
    assert {"status", "start", "stop"} <= set(offered.out.replace(",", "\n").split()), offered
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=told.out, text=True, check=False).returncode == 0


def test_completion_of_an_unknown_shell(lab: Lab) -> None:
    told = lab.run("completion", "tcsh", "--json")
    assert told.code == 2
    assert lab.run("completion", env={"SHELL": "/bin/zsh"}).out.startswith("#compdef slotwright")


def test_init_writes_a_file_that_can_be_used_and_overwrites_none(lab: Lab, embedded: TestEngine) -> None:
    hosts = ",".join(lab.hosts)
    words = ("init", "--hosts", hosts, "--ports", f"{lab.free_port()},{lab.free_port()}", "--name", "mine")
    made = lab.run(*words, "--engine", embedded.kind, "--from", str(embedded.directory))
    assert made.code == 0, made.err
    text = (lab.folder / "cluster.yaml").read_text()
    plan = lab.run("plan", "--json")
    assert (plan.code, plan.json["name"]) == (3, "mine")
    again = lab.run(*words, "--json")
    assert (again.code, again.error["code"]) == (4, "file-exists")
    assert (lab.folder / "cluster.yaml").read_text() == text
    assert lab.run("init", "--ports", "seven", "other.yaml").code == 2
    lab.assert_nothing_is_left()


def test_demo_is_made_found_again_and_taken_away(lab: Lab) -> None:
    first = str(lab.free_port())
    made = lab.run("demo", "--first-port", first, "--json")
    assert made.code == 0, made.err
    assert (made.json["name"], made.json["changed"], made.json["check"]["proved"]) == ("demo", True, True)
    nodes = made.json["status"]["nodes"]
    assert len(nodes) == 6
    assert len({node["host"] for node in nodes if node["role"] == "primary"}) == 3
    pids = lab.servers()
    again = lab.run("demo", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    assert lab.servers().keys() == pids.keys()
    for other in (("--nodes", "9"), ("--replicas", "2"), ("--engine", "redis")):
        refused = lab.run("demo", *other, "--json")
        assert (refused.code, refused.error["code"]) == (4, "other-demo"), refused
        assert "slotwright destroy demo" in refused.error["hint"]
    victim = next(iter(pids))
    os.kill(victim, 9)
    lab.wait(lambda: len(lab.servers()) == 5, "its end")
    text = lab.run("demo")
    assert text.code == 0, text.err
    assert len(lab.servers()) == 6
    line = next(line for line in text.out.splitlines() if " -c " in line and "import" in line)
    pasted = line.replace("try", "", 1).strip()
    told = subprocess.run(["bash", "-c", pasted], capture_output=True, text=True, cwd=lab.folder, check=False)
    assert (told.returncode, told.stdout.strip()) == (0, "True"), (line, told.stderr, sys.executable)
    assert lab.run("destroy", "demo", "--yes").code == 0
    assert lab.servers() == {}
    assert not lab.state.exists()
