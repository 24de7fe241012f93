"""SIGTERM and SIGHUP interrupt a verb as Ctrl-C does: in order, with 130; what was ignored at the start stays so."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines import TestEngine
from tests.integration.conftest import Lab, open_lab, read_terminal

QUICK = "{cluster-node-timeout: 2000}"
ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeding(*arguments: str, lab: Lab, ignores: tuple[signal.Signals, ...] = ()) -> subprocess.Popen[str]:
    """The command with all signals as a login shell leaves them, but those that it ``ignores``."""

    def begin() -> None:
        for number in ALL:
            signal.signal(number, signal.SIG_IGN if number in ignores else signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, "-m", "slotwright", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=lab.folder,
        env=lab.environment,
        preexec_fn=begin,
    )


def on_terminal(lab: Lab, *arguments: str) -> tuple[int, int]:
    """The command as the leader of a terminal's session; its pid, and our end of the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        for number in ALL:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(lab.folder)
        os.execve(sys.executable, [sys.executable, "-m", "slotwright", *arguments], lab.environment)
    return pid, terminal


def code_of(lab: Lab, pid: int) -> int:
    """Its exit code, once it has ended."""
    ended: list[int] = []

    def is_over() -> bool:
        reaped, status = os.waitpid(pid, os.WNOHANG)
        ended.append(status)
        return reaped == pid

    try:
        lab.wait(is_over, "the command to end", 60)
    except AssertionError:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    return os.waitstatus_to_exitcode(ended[-1])


def read_until(terminal: int, text: str) -> str:
    """What is shown until ``text`` is there."""
    screen = b""
    while text.encode() not in screen:
        assert select.select([terminal], [], [], 60)[0], screen.decode()
        chunk = read_terminal(terminal)
        assert chunk, screen.decode()
        screen += chunk
    return screen.decode()


def await_event(process: subprocess.Popen[str], event: str, task: str) -> None:
    """Until a run with --json has told of it."""
    assert process.stderr is not None
    for line in process.stderr:
        told = json.loads(line)
        if (told["event"], told.get("task")) == (event, task):
            return
    raise AssertionError(f"it ended without {event} {task}")


def journal(lab: Lab) -> list[dict[str, Any]]:
    path = lab.state / "clusters/cache/journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def drill_entries(lab: Lab) -> list[dict[str, Any]]:
    return [entry for entry in journal(lab) if entry.get("step") == "drill"]


def is_frozen(pid: int) -> bool:
    return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def assert_back(lab: Lab, victim: str) -> None:
    """The drill's journal says that it was cut and that nobody is away, and the cluster becomes sound again."""
    last = drill_entries(lab)[-1]
    assert (last["phase"], last["away"]) == ("cut", [])
    assert victim in {name.replace("-", ":") for name in lab.processes()}
    lab.wait(lambda: lab.run("check", "--json").code == 0, "the cluster to be sound")
    assert all(node["reachable"] for node in lab.run("status", "--json").json["nodes"])


def first_primary(lab: Lab) -> str:
    nodes = lab.run("status", "--json").json["nodes"]
    return str(next(node["address"] for node in nodes if node["role"] == "primary"))


def test_a_drill_that_is_terminated_brings_the_killed_primary_back(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    victim = first_primary(lab)
    pid = lab.processes()[victim.replace(":", "-")]
    process = heeding("drill", "cache", "--yes", "--json", lab=lab)
    lab.wait(lambda: process.poll() is not None or pid not in lab.servers(), "the primary to be killed")
    # As timeout(1) sends it: to its child, and to its group.
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    error = json.loads(out)["error"]
    assert (error["code"], error["where"], error["hint"]) == ("interrupted", "cache", "slotwright check cache")
    assert "are back" in error["left"]
    assert_back(lab, victim)


def test_a_signal_while_the_primary_is_brought_back_is_heeded_afterwards(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    victim = first_primary(lab)
    nodes = lab.run("status", "--json").json["nodes"]
    shard = next(node["shard"] for node in nodes if node["address"] == victim)
    slow = next(node["address"] for node in nodes if node["role"] == "replica" and node["shard"] != shard)
    process = heeding("drill", "cache", "--yes", "--json", lab=lab)
    try:
        await_event(process, "ended", "promotion")
        # All nodes are looked at before one is started: this one lets that wait.
        lab.kill(slow, signal.SIGSTOP)
        await_event(process, "began", "back")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        lab.kill(slow, signal.SIGCONT)
    assert process.returncode == 130, out + err
    assert "are back" in json.loads(out)["error"]["left"]
    assert_back(lab, victim)


def test_a_drill_whose_terminal_goes_away_thaws_the_frozen_primary(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    victim = first_primary(lab)
    server = lab.processes()[victim.replace(":", "-")]
    pid, terminal = on_terminal(lab, "drill", "cache", "--yes", "--freeze")
    read_until(terminal, "a replica takes over")
    assert is_frozen(server)
    os.close(terminal)  # SIGHUP; and whatever is printed from now on is an error
    assert code_of(lab, pid) == 130
    assert not is_frozen(server)
    assert_back(lab, victim)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, worker_id: str, embedded: TestEngine) -> Iterator[Lab]:
    """Three primaries, for tests that only look or are declined."""
    with open_lab(tmp_path_factory.mktemp("small"), worker_id) as lab:
        lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
        assert lab.run("up", "--yes").code == 0
        yield lab


@pytest.mark.parametrize("way", ["Ctrl-C", "SIGTERM", "the terminal goes away"])
def test_a_question_ends_with_the_first_signal(small: Lab, way: str) -> None:
    pid, terminal = on_terminal(small, "destroy", "cache")
    read_until(terminal, "to go on")
    if way == "Ctrl-C":
        os.write(terminal, b"\x03")
        said = read_until(terminal, "nothing was changed")
        assert "interrupted" in said
    elif way == "SIGTERM":
        os.kill(pid, signal.SIGTERM)
        read_until(terminal, "nothing was changed")
    else:
        os.close(terminal)
    assert code_of(small, pid) == 130
    if way != "the terminal goes away":
        os.close(terminal)
    assert len(small.servers()) == 3
    assert small.run("check", "--json").code == 0, "its lock is free, and all is as it was"


@pytest.mark.parametrize("verb", ["watch", "logs"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_goes_on_for_ever_ends_with_each_signal(small: Lab, verb: str, number: signal.Signals) -> None:
    node = next(iter(small.processes())).replace("-", ":")
    words = ("watch", "cache", "--json") if verb == "watch" else ("logs", node, "-f")
    process = heeding(*words, lab=small)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


def test_a_signal_that_is_ignored_stays_ignored(small: Lab) -> None:
    """As under nohup, and in the background of a shell without job control."""
    process = heeding("watch", "cache", "--json", "-n", "0.1", lab=small, ignores=(signal.SIGHUP, signal.SIGINT))
    assert process.stdout is not None
    assert process.stdout.readline()
    status = (Path("/proc") / str(process.pid) / "status").read_text()
    ignored = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:")), 16)
    assert all(ignored >> (number - 1) & 1 for number in (signal.SIGHUP, signal.SIGINT))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
