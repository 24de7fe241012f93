"""`kill -9` and Ctrl-C at any moment: `up` again converges, nothing runs twice, and nothing is told that isn't so."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from tests.engines import TestEngine
from tests.extent import share
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers

Case = TypeVar("Case")
Result = TypeVar("Result")

RUNNER = Path(__file__).with_name("cut_runner.py")


def journal(lab: Lab, name: str = "cache") -> list[dict]:
    """All entries; the first line of the file, which tells its format, is none."""
    path = lab.state / "clusters" / name / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()[1:]] if path.exists() else []


def record(lab: Lab, name: str = "cache") -> dict:
    return json.loads((lab.state / "clusters" / name / "record.json").read_text())


def ids_on_record(lab: Lab) -> dict[str, str]:
    """host:port -> id, as decided before the first node was made."""
    found = {}
    for shard in record(lab)["blueprint"]["shards"]:
        for node in (shard["primary"], *shard["replicas"]):
            found[f"{node['address']['host']}:{node['address']['port']}"] = node["id"]
    return found


def cut(lab: Lab, entries: int, *verb: str) -> bool:
    """Run `up`, or the `abort` of one, until it has written ``entries`` to the journal; False when it came to its end
    before."""
    done = subprocess.run(
        [sys.executable, str(RUNNER), str(lab.folder / "cluster.yaml"), str(entries), *verb],
        cwd=lab.folder,
        env=lab.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def assert_converges(lab: Lab, nodes: int, what: str) -> None:
    """`up` finishes what was cut: the whole cluster, each node once and under the id that it was given; and it goes."""
    ids = ids_on_record(lab) if (lab.state / "clusters/cache/record.json").exists() else None
    before = lab.servers()
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, f"{what}: {up.out}{up.err}"
    result = up.json
    assert (result["check"]["ok"], result["check"]["findings"], result["check"]["proved"]) == (True, [], True), what
    assert (result["status"]["state"], result["status"]["slots_covered"]) == ("ok", 16384), what
    running = lab.servers()
    assert len(running) == nodes, f"{what}: {running}"
    assert sorted(lab.processes().values()) == sorted(running), what
    kept = [pid for pid, words in before.items() if "/rehearsal" not in words]
    assert set(kept) <= set(running) or not ids, f"{what}: a node was started anew though it ran"
    found = {node["address"]: node["id"] for node in result["status"]["nodes"]}
    assert found == ids_on_record(lab), what
    assert found == (ids or found), what
    assert record(lab)["stage"] == "formed", what
    assert not (lab.state / "clusters/cache/rehearsal").exists(), what
    gone = lab.run("destroy", "--yes")
    assert gone.code == 0, f"{what}: {gone.err}"
    lab.assert_nothing_is_left()


def side_by_side(lab: Lab, cases: Sequence[Case], work: Callable[[Lab, Case], Result]) -> list[Result]:
    """``work`` for each case in a lab of its own, four at a time: most of a formation is waiting for the servers."""

    def one(entry: tuple[int, Case]) -> Result:
        folder = lab.folder / f"case-{entry[0]}"
        folder.mkdir()
        sub = Lab(folder, lab.hosts, lab.environment | {"SLOTWRIGHT_STATE": str(folder / "state")}, lab.taken)
        return work(sub, entry[1])

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(one, enumerate(cases)))


def sweep(lab: Lab, engine: TestEngine, boundaries: Sequence[int], *, ports: int, replicas: int) -> list[bool]:
    """Cut at each boundary, and converge; True where it was cut."""
    # Ports are chosen here, before there are threads.
    chosen = {number: tuple(lab.free_port() for _ in range(ports)) for number in boundaries}

    def one(sub: Lab, number: int) -> bool:
        sub.topology(engine, replicas=replicas, ports=chosen[number])
        was_cut = cut(sub, number)
        what = f"cut after entry {number}: {journal(sub)[-1] if journal(sub) else '-'}"
        assert_converges(sub, 3 * ports, what)
        return was_cut

    return side_by_side(lab, boundaries, one)


# begin, then intent and done of each step (3 folders, 3 starts, the wait, 3 times settings put back, the seal), end.
ENTRIES_OF_THREE = 1 + 2 * (3 + 3 + 1 + 3 + 1) + 1


@pytest.mark.parametrize("part", share([0, 1, 2], 0))
def test_killed_after_every_journal_entry_of_a_formation(lab: Lab, embedded: TestEngine, part: int) -> None:
    assert all(sweep(lab, embedded, list(range(1 + part, ENTRIES_OF_THREE + 1, 3)), ports=1, replicas=0))


def test_the_sweep_ends_where_the_formation_ends_and_then_there_is_nothing_to_do(
    lab: Lab, embedded: TestEngine
) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert not cut(lab, ENTRIES_OF_THREE + 1)
    assert len(journal(lab)) == ENTRIES_OF_THREE
    pids = lab.processes()
    again = lab.run("up", "--yes", "--json")
    assert (again.code, again.json["changed"], again.json["steps"]) == (0, False, [])
    assert lab.processes() == pids
    assert len(journal(lab)) == ENTRIES_OF_THREE
    assert lab.run("plan").code == 0


# begin; within the folders; within the starts; the wait; within the settings; before the seal.
@pytest.mark.parametrize("entries", share([(1, 22), (6, 26), (16, 31)], 0))
def test_killed_in_a_formation_with_replicas(lab: Lab, embedded: TestEngine, entries: tuple[int, int]) -> None:
    assert all(sweep(lab, embedded, entries, ports=2, replicas=1))


def test_killed_at_any_moment(lab: Lab, embedded: TestEngine) -> None:
    delays = [0.1, 0.45, 0.8, 1.3, 2.0]
    ports = {delay: (lab.free_port(), lab.free_port()) for delay in delays}

    def one(sub: Lab, delay: float) -> None:
        sub.topology(embedded, ports=ports[delay])
        process = sub.popen("up", "--yes")
        with_patience(process, delay)
        process.kill()
        process.communicate()
        assert_converges(sub, 6, f"killed after {delay} s: {journal(sub)[-1:]}")

    side_by_side(lab, delays, one)


def with_patience(process: subprocess.Popen[str], delay: float) -> None:
    """Let it work for ``delay`` seconds, or to its end."""
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        return


def test_killed_in_a_rehearsal_beside_a_running_cluster_and_then_destroyed(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    path.write_text(path.read_text().replace("settings: {}", "settings: {maxmemory: 32mb}"))
    kill_in_rehearsal(lab, others=3)
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()


def test_killed_in_a_first_rehearsal_leaves_no_server_once_up_ran_again(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    kill_in_rehearsal(lab, others=0)
    assert_converges(lab, 3, "killed in the rehearsal")


def kill_in_rehearsal(lab: Lab, others: int) -> None:
    """Stop the command dead while its rehearsal server runs, then kill it. Tried until the moment is met."""
    for _ in range(10):
        process = lab.popen("up", "--yes")
        note = lab.state / "clusters/cache/rehearsal/server.pid"
        while process.poll() is None and not note.exists():
            time.sleep(0.001)
        process.kill()
        process.communicate()
        if len(lab.servers()) > others and note.exists():
            return
    pytest.skip("the rehearsal was too quick to be met")


def test_ctrl_c_says_what_is_left_and_up_goes_on(lab: Lab, embedded: TestEngine) -> None:
    moments = [("rehearse", ""), ("intent", "create"), ("intent", "start"), ("intent", "wait")]
    ports = {moment: (lab.free_port(), lab.free_port()) for moment in moments}

    def one(sub: Lab, moment: tuple[str, str]) -> None:
        sub.topology(embedded, ports=ports[moment])
        process = sub.popen("up", "--yes")
        await_moment(sub, *moment)
        process.send_signal(signal.SIGINT)
        assert_honest(sub, process, f"Ctrl-C at {moment}")
        assert_converges(sub, 6, f"Ctrl-C at {moment}")

    side_by_side(lab, moments, one)


def await_moment(lab: Lab, phase: str, step: str) -> None:
    if phase == "rehearse":
        lab.wait((lab.state / "clusters/cache/rehearsal").exists, "the rehearsal")
    else:
        lab.wait(lambda: any((e["phase"], e.get("step")) == (phase, step) for e in journal(lab)), f"{phase} {step}")


def assert_honest(lab: Lab, process: subprocess.Popen[str], what: str) -> None:
    """Exit code 130, and what it says is left is what is there."""
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (what, out, err)
    assert "Traceback" not in err, what
    assert "error: interrupted" in err, what
    running = lab.servers()
    said = re.search(r"(\d+) of 6 nodes are running; the cluster is (formed|not formed yet)", err)
    if said is None:
        assert running == {}, (what, err)
        lab.assert_nothing_is_left()
        return
    assert int(said[1]) == len(running), (what, err, running)
    assert said[2] == ("formed" if record(lab)["stage"] == "formed" else "not formed yet"), what
    assert "slotwright up" in err and "slotwright destroy cache" in err, what
    assert not (lab.state / "clusters/cache/rehearsal").exists(), what


def full_pipe() -> tuple[int, int]:
    """A pipe that takes no more: who writes to it waits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    for size in (4096, 1):
        with suppress(BlockingIOError):
            while True:
                os.write(writer, bytes(size))
    os.set_blocking(writer, True)
    return reader, writer


def read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_ctrl_c_while_the_answer_is_printed_does_not_claim_that_nothing_was_changed(
    lab: Lab, embedded: TestEngine
) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    reader, writer = full_pipe()
    process = lab.popen("up", "--yes", stdout=writer)
    os.close(writer)
    call = Path(f"/proc/{process.pid}/syscall")
    if not os.access(call, os.R_OK) or not read_text(call):
        pytest.skip("this system doesn't tell what a process waits for")
    lab.wait(lambda: read_text(call).split()[1:2] == ["0x1"] and journal(lab)[-1]["phase"] == "end", "its printing")
    process.send_signal(signal.SIGINT)
    with os.fdopen(reader, "rb") as rest, ThreadPoolExecutor(1) as pool:
        pool.submit(rest.read)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err and "nothing was changed" not in err, err
    assert len(lab.servers()) == 3


def test_ctrl_c_under_json_and_then_destroy(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded)
    process = lab.popen("up", "--yes", "--json")
    lab.wait(lambda: any(entry.get("step") == "wait" for entry in journal(lab)), "the wait")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    error = json.loads(out)["error"]
    assert (error["code"], error["where"], error["left"]) == (
        "interrupted",
        "cache",
        "6 of 6 nodes are running; the cluster is not formed yet",
    )
    status = lab.run("status", "cache", "--json")
    assert status.code == 0
    assert len(status.json["nodes"]) == 6
    assert lab.run("destroy", "cache", "--yes").code == 0
    lab.assert_nothing_is_left()


def scripted_server(lab: Lab, engine: TestEngine, script: str) -> TestEngine:
    """The engine behind a script of ours, which ends in becoming the real server."""
    folder = lab.folder / "bin"
    folder.mkdir()
    wrapper = folder / engine.binary.name
    wrapper.write_text(f'#!/bin/sh\n{script}\nexec {shlex.quote(str(engine.binary))} "$@"\n')
    wrapper.chmod(0o755)
    return replace(engine, directory=folder)


@pytest.mark.parametrize(
    "verb", share([("stop", "--yes"), ("destroy", "--yes", "--keep-data")], 0), ids=lambda verb: verb[0]
)
def test_ctrl_c_in_the_middle_of_a_stop_does_not_claim_that_nothing_was_changed(
    lab: Lab, embedded: TestEngine, verb: tuple[str, ...]
) -> None:
    lab.topology(embedded, settings="{cluster-node-timeout: 2000}")
    assert lab.run("up", "--yes").code == 0
    primary = next(n["address"] for n in lab.run("status", "--json").json["nodes"] if n["role"] == "primary")
    held = lab.processes()[primary.replace(":", "-")]
    # A primary that is held still can't obey: the others end, and the stop waits for this one.
    os.kill(held, signal.SIGSTOP)
    try:
        process = lab.popen(*verb, "--json")
        lab.wait(lambda: len(lab.processes()) == 1, "the others to be gone")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        os.kill(held, signal.SIGCONT)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    error = json.loads(out)["error"]
    assert error["code"] == "interrupted"
    assert "nothing was changed" not in error.get("left", ""), error
    told = lab.run("resume", "cache", "--yes", "--json").error
    assert (told["code"], "done: 0 steps" in told["seen"]) == ("other-verb-cut", False)
    assert told["hint"] == " ".join(["slotwright", verb[0], "cache", *verb[2:], "goes on from there"])
    assert lab.run("up", "--yes").code == 0
    assert len(lab.servers()) == 6


def test_a_formation_that_fails_half_way_leaves_nothing_and_works_once_mended(lab: Lab, embedded: TestEngine) -> None:
    """One server of six dies at its start with words of its own, after the rehearsal went well."""
    mark = lab.folder / "fault"
    mark.touch()
    ports = (lab.free_port(), lab.free_port())
    bad = f"{lab.hosts[1]}-{ports[1]}"
    words = "Fatal: the disk of this node is on fire"
    engine = scripted_server(
        lab,
        embedded,
        f'case "$1" in */{bad}/server.conf) [ -e {mark} ] && echo "{words}" && exit 1;; esac',
    )
    lab.topology(engine, ports=ports)
    failed = lab.run("up", "--yes", "--json")
    assert failed.code == 1, failed
    error = failed.error
    assert (error["code"], error["where"]) == ("start-failed", f"{lab.hosts[1]}:{ports[1]}")
    assert words in error["seen"], error
    assert error["left"].startswith("nothing")
    assert "up again" in error["hint"]
    lab.assert_nothing_is_left(f"bin/{embedded.binary.name}", "fault")
    text = lab.run("up", "--yes")
    assert text.code == 1
    assert words in text.err
    mark.unlink()
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"]) == (0, True), up.err
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left(f"bin/{embedded.binary.name}")


def test_a_directive_refused_at_a_start_after_the_rehearsal_is_named(lab: Lab, embedded: TestEngine) -> None:
    port = lab.free_port()
    bad = f"{lab.hosts[1]}-{port}"
    script = f'case "$1" in */{bad}/server.conf) set -- "$@" --maxmemory nonsense;; esac'
    lab.topology(scripted_server(lab, embedded, script), replicas=0, ports=(port,))
    failed = lab.run("up", "--yes", "--json")
    assert (failed.code, failed.error["code"]) == (1, "start-failed")
    assert "maxmemory" in failed.error["seen"] or "memory value" in failed.error["seen"], failed.error["seen"]


def test_a_start_of_what_was_never_formed_says_so_and_takes_nothing_away(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert cut(lab, 4)
    before = lab.files()
    started = lab.run("start", "cache", "--json")
    assert started.code != 0
    assert lab.files() == before, started.out
    assert "slotwright up" in started.error["hint"]


def test_a_cut_formation_that_was_used_is_not_taken_away_when_nothing_starts(lab: Lab, embedded: TestEngine) -> None:
    """Usable before the seal, and used: that no server answers later says nothing about the data in its folders."""
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),), password="none")
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.err
    record = lab.state / "clusters/cache/record.json"
    record.write_text(record.read_text().replace('"formed"', '"forming"'))
    nodes = up.json["status"]["nodes"]
    with lab.client(nodes[0]["address"]) as client:
        client.execute_command("SET", "{06S}", "precious")
    folders = [lab.state / "clusters/cache/nodes" / node["address"].replace(":", "-") for node in nodes]
    for node in nodes:
        lab.kill(node["address"])
    lab.wait(lambda: lab.processes() == {}, "all servers to end")
    maps = {folder: (folder / "nodes.conf").read_bytes() for folder in folders}
    for folder in folders:
        (folder / "nodes.conf").write_text('"unbalanced\n')
    failed = lab.run("up", "--yes", "--json")
    assert (failed.code, failed.error["code"]) == (5, "start-failed"), failed.out
    for folder, text in maps.items():
        (folder / "nodes.conf").write_bytes(text)
    assert lab.run("up", "--yes").code == 0
    with lab.client(nodes[0]["address"]) as client:
        assert client.execute_command("GET", "{06S}") == b"precious"
