"""Another user of the machine, and a server that was broken into: what they make and write is not acted upon.

Root becomes somebody else in subprocesses; without root these tests skip. A refusal has exit code 4, names the folder
or the process, and changes nothing.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotwright.adapters.local import processes
from slotwright.cluster.node_files import PROCESS
from tests import engines
from tests.engines import TestEngine, engine_params
from tests.fakes import stand_in
from tests.integration.conftest import Lab, Outcome

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")

NEIGHBOUR = 54321
"""A user without a name."""

ends = pytest.mark.parametrize("engine", engine_params("redis-6.2", "valkey-9.1"))


@pytest.fixture
def engine(embedded: TestEngine) -> TestEngine:
    return embedded


def one_node(lab: Lab, engine: TestEngine, *, data: str = "", settings: str = "{}", directory: str = "") -> str:
    """A file of a stand-alone server: the smallest thing that there is; its address."""
    port = lab.free_port()
    lab.write(
        f"name: cache\nengine: {{kind: {engine.kind}, from: {directory or engine.directory}}}\n"
        f"hosts: [127.0.0.1]\nports: [{port}]\nmode: single\npassword: none\nsettings: {settings}\n"
        + (f"data: {data}\n" if data else "")
    )
    return f"127.0.0.1:{port}"


def up(lab: Lab) -> None:
    done = lab.run("up", "--yes", "--json")
    assert done.code == 0, done.out + done.err


def refused(done: Outcome, code: str) -> dict[str, str]:
    assert done.code == 4, done.out + done.err
    error = done.error
    assert error["code"] == code, error
    assert error["hint"]
    return error


def give(path: Path, uid: int) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, uid, uid, follow_symlinks=False)


def trap(path: Path, flag: Path) -> None:
    """A server program that tells that it was run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\ntouch {flag}\n")
    path.chmod(0o755)


# Folders


def test_nothing_is_done_with_the_state_of_somebody_else(lab: Lab, engine: TestEngine) -> None:
    one_node(lab, engine)
    up(lab)
    assert lab.run("stop", "cache", "--yes").code == 0
    flag = lab.folder / "was-run"
    record = json.loads((path := lab.state / "clusters" / "cache" / "record.json").read_text())
    trap(lab.folder / "hers" / "valkey-server", flag)
    path.write_text(json.dumps(record | {"binary": str(lab.folder / "hers" / "valkey-server")}))
    give(lab.state, NEIGHBOUR)
    before = lab.files()
    for words in (
        ("status", "cache"),
        ("check", "cache"),
        ("plan",),
        ("up", "--yes"),
        ("start", "cache"),
        ("stop", "cache", "--yes"),
        ("repair", "cache", "--yes"),
        ("destroy", "cache", "--yes"),
    ):
        error = refused(lab.run(*words, "--json"), "folder-unsafe")
        assert error["where"] == str(lab.state)
        assert f"chown root {lab.state}" in error["hint"]
    assert not flag.exists()
    assert lab.files() == before
    assert lab.servers() == {}


def test_a_state_that_everybody_may_write_to_is_refused_until_it_is_mended(lab: Lab, engine: TestEngine) -> None:
    one_node(lab, engine)
    lab.state.mkdir()
    lab.state.chmod(0o777)
    error = refused(lab.run("up", "--yes", "--json"), "folder-unsafe")
    assert f"chmod go-w {lab.state}" in error["hint"]
    assert list(lab.state.iterdir()) == []
    lab.state.chmod(0o700)
    up(lab)


@pytest.mark.parametrize(("mode", "is_taken"), [(0o777, False), (0o1777, True), (0o755, True)])
def test_nodes_are_made_only_where_others_can_not_put_something_in_their_place(
    lab: Lab, engine: TestEngine, mode: int, is_taken: bool
) -> None:
    data = lab.folder / "data"
    data.mkdir()
    data.chmod(mode)
    one_node(lab, engine, data=str(data))
    if is_taken:
        up(lab)
        assert lab.run("destroy", "cache", "--yes").code == 0
        return
    planned = lab.run("plan", "--json")
    assert planned.code == 3
    assert [found["code"] for found in planned.json["findings"]] == ["folder-unsafe"]
    refused(lab.run("up", "--yes", "--json"), "folder-unsafe")
    assert list(data.iterdir()) == []
    assert lab.servers() == {}


def test_a_nodes_folder_that_a_neighbour_made_first_is_not_taken(lab: Lab, engine: TestEngine) -> None:
    data = lab.folder / "data"
    data.mkdir()
    data.chmod(0o1777)
    address = one_node(lab, engine, data=str(data))
    node = data / address.replace(":", "-")
    node.mkdir()
    give(node, NEIGHBOUR)
    refused(lab.run("up", "--yes", "--json"), "folder-unsafe")
    assert list(node.iterdir()) == []


def test_a_configuration_that_a_neighbour_wrote_is_not_started(lab: Lab, engine: TestEngine) -> None:
    address = one_node(lab, engine)
    up(lab)
    node = lab.state / "clusters" / "cache" / "nodes" / address.replace(":", "-")
    assert lab.run("stop", "cache", "--yes").code == 0
    os.chown(node / "server.conf", NEIGHBOUR, NEIGHBOUR)
    error = refused(lab.run("start", "cache", "--json"), "folder-unsafe")
    assert str(node) in str(error)
    refused(lab.run("destroy", "cache", "--yes", "--json"), "folder-unsafe")
    assert lab.servers() == {}
    assert node.exists()


@pytest.mark.parametrize("what", ["engine", "module"])
def test_a_program_of_a_neighbour_is_not_run(lab: Lab, engine: TestEngine, what: str) -> None:
    flag = lab.folder / "was-run"
    trap(lab.folder / "hers" / "valkey-server", flag)
    (lab.folder / "hers" / "m.so").write_text("no library")
    give(lab.folder / "hers", NEIGHBOUR)
    if what == "engine":
        one_node(lab, engine, directory=str(lab.folder / "hers"))
    else:
        one_node(lab, engine, settings=f"{{loadmodule: {lab.folder}/hers/m.so}}")
    for words in (("plan",), ("up", "--yes")):
        error = refused(lab.run(*words, "--json"), "program-unsafe")
        assert error["where"] == str(lab.folder / "hers")
    assert not flag.exists()
    assert lab.servers() == {}


def test_an_ordinary_user_with_a_private_group_is_not_in_the_way(lab: Lab, engine: TestEngine) -> None:
    """umask 002, and a home that the user's own group may write to, as many systems make them."""
    user = next((each for each in ("daemon", "bin", "games") if _has_private_group(each)), "")
    setpriv = shutil.which("setpriv")
    if not user or setpriv is None:
        pytest.skip("no user of the system with a group of its own, or no setpriv to become that user")
    # pytest's own folders are root's alone.
    home = Path(tempfile.mkdtemp(prefix="slotwright-home-"))
    try:
        shutil.chown(home, user, user)
        home.chmod(0o2775)
        one_node(lab, engine, data=str(home / "data"))
        shutil.copy(lab.folder / "cluster.yaml", home)
        for words in (("up", "--yes"), ("status", "cache"), ("stop", "cache", "--yes"), ("destroy", "cache", "--yes")):
            done = _run_as(user, home, *words)
            assert done.returncode == 0, done.stdout + done.stderr
        assert sorted(path.name for path in home.rglob("*")) == ["cluster.yaml"]
    finally:
        _run_as(user, home, "stop", "cache", "--kill", "--yes")
        shutil.rmtree(home)


def _run_as(user: str, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """As that user, who may also read what root alone may: Python itself may lie in root's home."""
    rights = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
    become = ("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *rights)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLOTWRIGHT")}
    return subprocess.run(
        [*become, sys.executable, "-m", "slotwright", *words],
        env=kept | {"HOME": str(home), "SLOTWRIGHT_STATE": str(home / "state"), "NO_COLOR": "1"},
        cwd=home,
        umask=0o002,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _has_private_group(user: str) -> bool:
    try:
        entry, group = pwd.getpwnam(user), grp.getgrnam(user)
    except KeyError:
        return False
    shared = [each.pw_name for each in pwd.getpwall() if each.pw_gid == group.gr_gid and each.pw_name != user]
    return entry.pw_gid == group.gr_gid and not group.gr_mem and not shared


# Processes


@contextmanager
def claimed(node: Path, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """The note of the node's start names that process, as whoever runs as the server can write it."""
    note = node / PROCESS
    before = note.read_text()
    found = processes.identify(process.pid)
    assert found is not None
    note.write_text(json.dumps({"pid": found.pid, "started": found.started}))
    (node / "server.pid").write_text("0\n")
    try:
        yield
        assert process.poll() is None, "it was ended"
        assert processes.is_running(found)
    finally:
        note.write_text(before)


@ends
def test_a_process_that_is_no_node_s_is_never_signalled(lab: Lab, engine: TestEngine) -> None:
    address = one_node(lab, engine)
    up(lab)
    node = lab.state / "clusters" / "cache" / "nodes" / address.replace(":", "-")
    (pid,) = lab.processes().values()
    elsewhere = lab.folder / "elsewhere"
    elsewhere.mkdir()
    lab.folder.chmod(0o711)
    bystanders = (
        (stand_in.running(Path("/"), user=NEIGHBOUR), f"it runs as {NEIGHBOUR}"),
        (stand_in.running(elsewhere), f"it works in {elsewhere}"),
        (stand_in.running(node, name="sh-of-the-operator"), "which is no server"),
    )
    for bystander, reason in bystanders:
        with bystander as process, claimed(node, process):
            for words in (
                ("destroy", "cache", "--yes"),
                ("stop", "cache", "--yes"),
                ("stop", "cache", "--kill", "--yes"),
            ):
                error = refused(lab.run(*words, "--json"), "process-foreign")
                assert reason in error["what"]
            checked = lab.run("check", "cache", "--json")
            assert checked.code == 3
            (found,) = [each for each in checked.json["findings"] if each["code"] == "folder-unsafe"]
            assert reason in found["what"]
            planned = lab.run("plan", "--json")
            assert [found["code"] for found in planned.json["findings"]] == ["process-foreign"]
            refused(lab.run("up", "--yes", "--json"), "process-foreign")
            assert Path(f"/proc/{pid}").exists()
            assert node.exists()
    # As the remedy says: what works in the folder is found without these files.
    (node / "server.pid").unlink()
    (node / PROCESS).unlink()
    assert lab.run("destroy", "cache", "--yes").code == 0
    assert lab.servers() == {}


@ends
def test_a_folder_stays_as_long_as_a_server_works_in_it(lab: Lab, engine: TestEngine) -> None:
    """The note names a process that could be the server, and the server itself lives on."""
    address = one_node(lab, engine)
    up(lab)
    node = lab.state / "clusters" / "cache" / "nodes" / address.replace(":", "-")
    (pid,) = lab.processes().values()
    with stand_in.running(node, name=f"{engine.kind}-server") as process:
        note = processes.identify(process.pid)
        assert note is not None
        (node / PROCESS).write_text(json.dumps({"pid": note.pid, "started": note.started}))
        done = lab.run("destroy", "cache", "--yes", "--json")
        assert (done.code, done.error["code"]) == (5, "node-running")
        assert f"pid {pid}" in done.error["seen"]
    assert (node / "server.conf").exists()
    assert lab.client(address).ping()
    (node / PROCESS).unlink()
    assert lab.run("destroy", "cache", "--yes").code == 0
    assert lab.servers() == {}


def test_a_server_that_works_elsewhere_by_now_is_left_alone(lab: Lab) -> None:
    """Redis 6.2 lets whoever is connected send it to another folder; it is not taken for gone, nor ended by a claim."""
    address = one_node(lab, engines.engine("redis-6.2"))
    up(lab)
    (pid,) = lab.processes().values()
    lab.client(address).config_set("dir", str(lab.folder))
    error = refused(lab.run("stop", "cache", "--kill", "--yes", "--json"), "process-foreign")
    assert f"it works in {lab.folder}" in error["seen"]
    node = lab.state / "clusters" / "cache" / "nodes" / address.replace(":", "-")
    lab.client(address).config_set("dir", str(node))
    os.kill(pid, signal.SIGCONT)
    assert lab.run("stop", "cache", "--kill", "--yes").code == 0
