"""Bad input: told by whole command, with exit code, the JSON error object and the text; and nothing is left behind."""

from __future__ import annotations

import platform
import stat
from pathlib import Path

import pytest

from tests.engines import TestEngine, any_engine, engine_params
from tests.integration.conftest import Lab, without_root_rights

pytestmark = pytest.mark.servers

HEAD = "name: cache\nengine: {kind: valkey, from: embedded}\n"
THREE = "hosts: [127.0.1.1, 127.0.1.2, 127.0.1.3]\n"


def refuse(lab: Lab, code: str, *needles: str, env: dict[str, str] | None = None, verb: str = "up") -> dict:
    """Both ways of telling it: exit code 2 and nothing left; returns the error object."""
    told = lab.run(verb, "--yes", "--json", env=env) if verb == "up" else lab.run(verb, "--json", env=env)
    assert told.code == 2, told
    assert told.error["code"] == code
    text = lab.run(verb, *(["--yes"] if verb == "up" else []), env=env)
    assert text.code == 2
    assert text.out == ""
    assert text.err.startswith("error: ")
    assert "Traceback" not in text.err + told.err
    for needle in needles:
        assert needle in text.err, text.err
        assert needle in told.out, told.out
    assert lab.servers() == {}
    assert not lab.state.exists()
    return told.error


FILES = {
    "not YAML": (b"name: [cache\nhosts: 3\n", "topology-not-yaml", ("cluster.yaml:1:7",)),
    "a tab": (b"name: cache\nengine:\n\tkind: valkey\n", "topology-not-yaml", ("cluster.yaml:3:1", "tab", "spaces")),
    "not text": (b"name: cache\n# \xff\xfe\n", "topology-not-text", ("cluster.yaml:2", "UTF-8")),
    "empty": (b"# nothing yet\n", "topology-empty", ("slotwright init",)),
    "a list": (b"- cache\n", "topology-not-mapping", ("cluster.yaml:1", "name: cache")),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_can_not_be_taken_in(lab: Lab, case: str) -> None:
    content, code, needles = FILES[case]
    (lab.folder / "cluster.yaml").write_bytes(content)
    refuse(lab, code, *needles)


def test_a_file_that_is_not_there_or_a_folder(lab: Lab) -> None:
    error = refuse(lab, "topology-not-found", "cluster.yaml", "slotwright init")
    assert error["where"] == "cluster.yaml"
    (lab.folder / "cluster.yaml").mkdir()
    refuse(lab, "topology-is-directory", "cluster.yaml is a directory")


def test_a_file_that_may_not_be_read(lab: Lab) -> None:
    lab.write(HEAD).chmod(0)
    told = lab.run("plan", "--json", wrapper=without_root_rights())
    assert (told.code, told.error["code"]) == (2, "topology-unreadable")
    assert "may not be read by this user" in told.error["what"]
    assert "ls -l" in told.error["hint"]


def test_all_problems_of_a_file_are_told_at_once_with_their_lines(lab: Lab) -> None:
    lab.write(
        "name: cache\n"
        "engine: {kind: vlakey, from: embeded}\n"
        "hosts: [127.0.1.1, 127.0.1.2, 127.0.1.1]\n"
        "ports: [7001, 7001, 60000]\n"
        "replica: 1\n"
        "passwort: generate\n"
        "settings:\n"
        "  maxmemory: 64mb\n"
        "  port: 7000\n"
        "  maxmemory: 65mb\n"
    )
    error = refuse(
        lab, "bad-topology", "did you mean 'valkey'?", "did you mean 'embedded'?", "did you mean 'replicas'?"
    )
    told = [(problem["where"].rpartition(":")[2], problem["what"]) for problem in error["problems"]]
    assert [line for line, _ in told] == ["2", "2", "3", "4", "4", "5", "6", "9", "10"], told
    words = dict(told)
    assert "stands twice" in words["3"]
    assert "60000" in words["4"] and "70000" in words["4"]
    assert words["5"] == "unknown key 'replica'"
    assert words["6"] == "unknown key 'passwort'"
    assert "maxmemory" in words["10"]
    hints = {problem["where"].rpartition(":")[2]: problem["hint"] for problem in error["problems"]}
    assert hints["6"] == "did you mean 'password'?"
    assert error["where"] == "cluster.yaml"
    assert "9 problems" in error["what"]


PORTS_AND_HOSTS = {
    "duplicate host:port": (THREE + "ports: [7001, 7002, 7001]\n", "cluster.yaml:4", "port 7001 is listed twice"),
    "duplicate host": ("hosts: [localhost, 127.0.0.1]\nports: [1, 2, 3]\n", "cluster.yaml:3", "are the same host"),
    "bus port over 65535": (THREE + "ports: [55536, 7001]\n", "cluster.yaml:4", "the bus port would be 65536"),
    "a port that is another's bus port": (THREE + "ports: [7001, 17001]\n", "cluster.yaml:4", "the bus port of 7001"),
    "no port at all": (THREE + "ports: [70000]\n", "cluster.yaml:4", "70000 is not a port"),
    "too few hosts": ("hosts: [127.0.1.1]\nports: [7001, 7002]\n", "cluster.yaml:3", "at least 3"),
    "fewer than 3 primaries": (
        THREE + "ports: [7001, 7002]\nreplicas: 2\n",
        "cluster.yaml:5",
        "6 nodes with 2 replicas for each primary make 2 primaries; a cluster needs at least 3",
    ),
    "two of mode single": ("mode: single\nhosts: [127.0.1.1]\nports: [1, 2]\n", "cluster.yaml:5", "exactly one port"),
    "two hosts of mode single": (f"mode: single\n{THREE}ports: [7001]\n", "cluster.yaml:4", "exactly one host"),
}


@pytest.mark.parametrize("case", PORTS_AND_HOSTS)
def test_ports_and_hosts_that_make_no_cluster(lab: Lab, case: str) -> None:
    text, where, needle = PORTS_AND_HOSTS[case]
    lab.write(HEAD + text)
    told = lab.run("up", "--yes", "--json")
    assert (told.code, told.error["code"]) == (2, "bad-topology"), told
    (problem,) = told.error["problems"]
    assert problem["where"] == where
    assert needle in problem["what"] + problem["hint"]
    lab.assert_nothing_is_left()


def test_replicas_beside_their_primaries_are_refused_before_anything_starts(lab: Lab, embedded: TestEngine) -> None:
    ports = [lab.free_port() for _ in range(6)]
    lab.write(
        f"name: cache\nengine: {{kind: valkey, from: {embedded.directory}}}\nhosts: [{lab.hosts[0]}]\n"
        f"ports: {ports}\nreplicas: 1\npassword: generate\n"
    )
    refused = lab.run("up", "--yes", "--json")
    assert refused.code == 4
    assert {found["code"] for found in refused.error["findings"]} == {"replica-beside-primary"}
    assert all("allow_colocated_replicas: true" in found["remedy"] for found in refused.error["findings"])
    plan = lab.run("plan", "--json")
    assert (plan.code, plan.json["pending"]) == (3, True)
    lab.assert_nothing_is_left()


def test_a_verb_an_option_and_a_target_that_do_not_exist(lab: Lab) -> None:
    verb = lab.run("stauts", "--json")
    assert (verb.code, verb.error["code"]) == (2, "usage")
    assert "There is no verb 'stauts'. Did you mean 'status'?" in verb.error["what"]
    text = lab.run("stauts")
    assert (text.code, text.out) == (2, "")
    assert "Did you mean 'status'?" in text.err

    option = lab.run("status", "--jsn", "--json")
    assert (option.code, option.error["code"]) == (2, "usage")
    assert "--jsn" in option.error["what"]
    assert option.error["hint"] == "slotwright status --help"
    assert lab.run("slot", "--json").error["code"] == "usage"
    assert lab.run("demo", "--nodes", "six", "--json").code == 2

    target = lab.run("status", "nowhere", "--json")
    assert (target.code, target.error["code"]) == (2, "unknown-target")
    assert target.error["hint"] == "slotwright demo makes a first cluster"
    nothing = lab.run("check", "--json")
    assert (nothing.code, nothing.error["code"]) == (2, "no-target")
    for verb_name in ("status", "check", "stop", "start", "destroy"):
        yes = ["--yes"] if verb_name in ("stop", "destroy") else []
        assert lab.run(verb_name, "nowhere", *yes, "--json").error["code"] == "unknown-target"
    assert not lab.state.exists()


def test_a_file_whose_cluster_was_never_made_is_no_target_yet(lab: Lab) -> None:
    lab.write(HEAD + THREE + "ports: [7001]\nreplicas: 0\npassword: generate\n")
    for verb in (("status",), ("check",), ("stop", "--yes"), ("start",), ("destroy", "--yes")):
        told = lab.run(verb[0], "cluster.yaml", *verb[1:], "--json")
        assert (told.code, told.error["code"]) == (2, "not-created"), told
        assert told.error["hint"] == "slotwright up cluster.yaml"
    lab.assert_nothing_is_left()


@pytest.mark.parametrize("verb", ["stop", "destroy"])
def test_without_a_terminal_a_destructive_verb_needs_yes(lab: Lab, verb: str) -> None:
    told = lab.run(verb, "demo", "--json")
    assert (told.code, told.error["code"]) == (2, "usage")
    assert "--yes" in told.error["what"]
    assert "--yes" in lab.run(verb, "demo").err


def test_numbers_that_make_no_demo(lab: Lab) -> None:
    told = lab.run("demo", "--nodes", "4", "--json")
    assert (told.code, told.error["code"]) == (2, "too-few-nodes")
    assert told.error["hint"] == "slotwright demo --nodes 6 --replicas 1"
    assert lab.run("demo", "--replicas", "-1", "--json").error["code"] == "bad-number"
    assert not lab.state.exists()


def test_a_password_that_is_not_given(lab: Lab) -> None:
    lab.write(HEAD + THREE + "ports: [7001, 7002]\npassword: {env: CACHE_PASSWORD}\n")
    error = refuse(lab, "password-missing", "CACHE_PASSWORD is not set", "export CACHE_PASSWORD=")
    assert error["where"] == "CACHE_PASSWORD"
    refuse(lab, "password-missing", "CACHE_PASSWORD", verb="plan")
    refuse(lab, "password-missing", "CACHE_PASSWORD", env={"CACHE_PASSWORD": ""})
    refuse(lab, "password-unusable", "line break", env={"CACHE_PASSWORD": "one\ntwo"})
    lab.write(HEAD + THREE + "ports: [7001, 7002]\npassword: {file: secret}\n")
    refuse(lab, "password-missing", str(lab.folder / "secret"), "chmod 600")


def test_a_misspelt_password_is_never_quoted(lab: Lab) -> None:
    lab.write(HEAD + THREE + "ports: [7001, 7002]\npassword: {inlin: hunter2-canary}\n")
    told, text = lab.run("up", "--yes", "--json"), lab.run("up", "--yes")
    assert told.code == text.code == 2
    assert "hunter2-canary" not in told.out + told.err + text.out + text.err
    assert "inline" in told.out


def _elf(machine: int) -> bytes:
    """A 64-bit little-endian ELF executable's header, for another architecture than any that this test runs on."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    head = ident + (2).to_bytes(2, "little") + machine.to_bytes(2, "little") + (1).to_bytes(4, "little")
    return head + bytes(64 - len(head)) + bytes(4096)


def _topology(lab: Lab, folder: Path | str, kind: str = "valkey") -> None:
    lab.write(
        f"name: cache\nengine: {{kind: {kind}, from: {folder}}}\nhosts: [{', '.join(lab.hosts)}]\n"
        f"ports: [{lab.free_port()}]\nreplicas: 0\npassword: generate\n"
    )


def _refuse_binary(lab: Lab, code: str, *needles: str, env: dict[str, str] | None = None) -> None:
    told, text = lab.run("plan", "--json", env=env), lab.run("up", "--yes", env=env)
    assert told.code == text.code == 1, told
    assert told.error["code"] == code
    for needle in needles:
        assert needle in told.out and needle in text.err, (needle, told.out, text.err)
    assert "Traceback" not in text.err
    assert lab.servers() == {}
    assert not lab.state.exists()


def test_binaries_that_are_missing_or_can_not_run(lab: Lab, embedded: TestEngine) -> None:
    folder = lab.folder / "bin"
    folder.mkdir()
    binary = folder / "valkey-server"
    _topology(lab, folder)
    _refuse_binary(lab, "binary-missing", "there is no valkey-server in", str(folder))

    binary.write_bytes(embedded.binary.read_bytes()[:0])
    binary.chmod(0o644)
    _refuse_binary(lab, "binary-not-executable", str(binary))

    name, machine = ("s390x", 0x16) if platform.machine() == "aarch64" else ("aarch64", 0xB7)
    binary.write_bytes(_elf(machine))
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    named = name if machine == 0xB7 else "another architecture"
    _refuse_binary(lab, "binary-wrong-architecture", f"made for {named}", platform.machine())

    binary.write_bytes(b"not a program\n")
    _refuse_binary(lab, "binary-unusable", str(binary))
    binary.write_text("#!/bin/sh\necho 'error: libmissing.so.9 not found' >&2\nexit 127\n")
    _refuse_binary(lab, "binary-unusable", "libmissing.so.9")

    _topology(lab, "path")
    _refuse_binary(lab, "binary-missing", "on the PATH", "embedded", env={"PATH": str(folder / "none")})


def test_a_binary_of_the_other_kind(lab: Lab) -> None:
    redis = any_engine("redis")
    folder = lab.folder / "bin"
    folder.mkdir()
    (folder / "valkey-server").symlink_to(redis.binary)
    _topology(lab, folder)
    _refuse_binary(lab, "binary-wrong-engine", "asks for valkey", "kind: redis")


@pytest.mark.parametrize("engine", engine_params())
def test_settings_that_the_server_refuses_are_named_by_rehearsal(lab: Lab, engine: TestEngine) -> None:
    cases = {
        "{maxmemory: 64mb, maxmemry-policy: allkeys-lru}": ("bad-setting", "maxmemry-policy"),
        "{maxmemory-policy: sometimes}": ("bad-setting", "maxmemory-policy"),
        "{masterauth: not-the-password}": ("replica-auth-rejected", "masterauth"),
        '{masterauth: ""}': ("replica-auth-missing", "masterauth"),
    }
    for settings, (code, directive) in cases.items():
        lab.topology(engine, settings=settings)
        told = lab.run("up", "--yes", "--json")
        assert told.code == 2, (settings, told)
        assert told.error["code"] == code, (settings, told.out)
        assert directive in told.error["what"]
        assert directive in told.error["where"]
        assert told.error["hint"]
        assert told.error["left"] == "nothing was changed"
        lab.assert_nothing_is_left()
    text = lab.run("up", "--yes")
    assert text.code == 2
    assert "masterauth" in text.err and "nothing was changed" in text.err


def test_a_refused_setting_leaves_a_running_cluster_alone(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    before, pids = lab.files(), lab.processes()
    good = path.read_text()
    path.write_text(good.replace("settings: {}", "settings: {maxmemory-policy: sometimes}"))
    assert lab.run("up", "--yes", "--json").error["code"] == "bad-setting"
    assert lab.processes() == pids
    assert len(lab.servers()) == 3
    assert lab.files() == before
    path.write_text(good)
    assert lab.run("plan").code == 0


def test_a_path_that_is_no_text_is_refused_before_anything_is_done(lab: Lab, embedded: TestEngine) -> None:
    """The record keeps the file's path, as text."""
    path = lab.topology(embedded, ports=(lab.free_port(),), replicas=0)
    odd = path.rename(path.with_name("cl\udcff.yaml"))
    told = lab.run("up", str(odd), "--yes", "--json")
    assert (told.code, told.error["code"], told.error["left"]) == (2, "path-not-text", "nothing was changed")
    assert not lab.state.exists() and lab.servers() == {}
    assert lab.run("plan", str(odd)).code == 3
