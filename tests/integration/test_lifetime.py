"""The life of a cluster: it outlives its maker, stops with a save, is found again, fails over, and goes for good."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from redis.cluster import RedisCluster

from tests.engines import TestEngine
from tests.integration.conftest import Lab, read_terminal

pytestmark = pytest.mark.servers

# A node that comes back waits for its node-timeout, up to 5 s, before it serves.
QUICK = "{cluster-node-timeout: 2000}"


def nodes(lab: Lab, target: str = "cluster.yaml") -> list[dict]:
    return lab.run("status", target, "--json").json["nodes"]


def client(lab: Lab) -> RedisCluster:
    first = next(node for node in nodes(lab) if node["reachable"])
    return RedisCluster(host=first["host"], port=first["port"], password=lab.password())


def write_keys(lab: Lab, count: int = 300) -> None:
    """Over all shards."""
    cluster = client(lab)
    for number in range(count):
        cluster.set(f"key:{number}", number)
    cluster.close()


def read_keys(lab: Lab, count: int = 300) -> int:
    cluster = client(lab)
    found = sum(cluster.get(f"key:{number}") == str(number).encode() for number in range(count))
    cluster.close()
    return found


def folder_of(lab: Lab, address: str) -> Path:
    return lab.state / "clusters/cache/nodes" / address.replace(":", "-")


def test_stop_saves_and_start_brings_the_keys_back(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    write_keys(lab)
    stopped = lab.run("stop", "--yes", "--json")
    assert stopped.code == 0, stopped.out
    told = stopped.json["stopped"]
    assert len(told) == 6
    assert sum(node["keys"] for node in told) == 600  # primaries and replicas
    assert all(node["saved"] and not node["killed"] for node in told)
    for node in told:
        for saved in node["saved"]:
            path = folder_of(lab, node["address"]) / saved["file"]
            assert path.stat().st_size == saved["bytes"], path
    assert lab.servers() == {}
    down = lab.run("status", "--json").json
    assert (down["state"], down["slots_covered"]) == ("down", 0)
    assert [node["trouble"] for node in down["nodes"]] == ["down"] * 6
    check = lab.run("check", "--json")
    assert (check.code, check.json["ok"], check.json["proved"]) == (3, False, False)
    assert {found["code"] for found in check.json["findings"]} == {"node-down"}
    assert lab.run("stop", "--yes").out == "nothing was running\n"

    started = lab.run("start", "--json")
    assert (started.code, started.json["check"]["ok"]) == (0, True), started.err
    assert {"start", "wait"} <= {step["step"] for step in started.json["steps"]} <= {"start", "wait", "set"}
    assert read_keys(lab) == 300


def test_nodes_outlive_the_terminal_that_made_them(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(lab.folder)
        os.execve(sys.executable, [sys.executable, "-m", "slotwright", "up", "--yes"], lab.environment)
    screen = b""
    while chunk := read_terminal(terminal):
        screen += chunk
    _, status = os.waitpid(pid, 0)
    os.close(terminal)  # the terminal hangs up: SIGHUP for all of its session
    assert os.waitstatus_to_exitcode(status) == 0, screen.decode()
    servers = lab.servers()
    assert len(servers) == 3
    for server in servers:
        fields = (Path("/proc") / str(server) / "stat").read_text().rpartition(")")[2].split()
        assert (int(fields[3]), int(fields[4])) == (server, 0), "a session of its own, and no terminal"
    assert lab.run("check", "--json").json["ok"]


def test_one_replica_is_stopped_killed_and_started_and_the_others_stay(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    pids = lab.processes()
    replica = next(node for node in nodes(lab) if node["role"] == "replica")
    name = replica["address"].replace(":", "-")

    stopped = lab.run("stop", replica["address"], "--yes", "--json")
    assert [node["address"] for node in stopped.json["stopped"]] == [replica["address"]]
    assert lab.processes() == {other: pid for other, pid in pids.items() if other != name}
    status = lab.run("status", "--json").json
    assert (status["state"], status["slots_covered"]) == ("degraded", 16384)
    check = lab.run("check", "--json")
    assert check.code == 3
    assert [(f["code"], f["severity"], f["where"]) for f in check.json["findings"]] == [
        ("node-down", "warning", replica["address"])
    ]
    assert check.json["findings"][0]["remedy"] == "slotwright repair cache"

    started = lab.run("start", "cache", replica["address"], "--json")
    assert (started.code, started.json["check"]["ok"]) == (0, True)
    now = lab.processes()
    assert {other: pid for other, pid in now.items() if other != name} == {o: p for o, p in pids.items() if o != name}
    assert now[name] != pids[name]

    killed = lab.run("stop", "cache", replica["id"][:8], "--kill", "--yes", "--json")
    assert [(node["address"], node["killed"]) for node in killed.json["stopped"]] == [(replica["address"], True)]
    assert len(lab.servers()) == 5
    plan = lab.run("plan", "--json")
    assert plan.code == 3
    steps = [(step["step"], step["address"]) for step in plan.json["steps"]]
    assert steps == [("start", replica["address"]), ("wait", None)]
    assert plan.json["steps"][0]["why"] == "its process is gone"
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"]) == (0, True)
    last = lab.processes()
    assert {other: pid for other, pid in last.items() if other != name} == {o: p for o, p in pids.items() if o != name}
    unknown = lab.run("stop", "cache", "127.0.0.1:1", "--yes", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown-node")


def settled(lab: Lab) -> dict | None:
    """The status, once it isn't down any more."""
    found = lab.run("status", "--json").json
    return found if found["state"] == "degraded" else None


def test_a_primary_dies_and_its_replica_takes_over(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    write_keys(lab)
    before = nodes(lab)
    victim = next(node for node in before if node["role"] == "primary")
    heir = next(node for node in before if node["replica_of"] == victim["id"])
    lab.kill(victim["address"])
    down = lab.run("status", "--json").json
    gone = next(node for node in down["nodes"] if node["id"] == victim["id"])
    assert (gone["reachable"], gone["trouble"], gone["keys"]) == (False, "down", None)
    if down["slots_covered"] < 16384:  # the heir may have been quick
        assert down["state"] == "down"
        owned = sum(int(last) - int(first) + 1 for first, last in (text.split("-") for text in victim["slots"]))
        assert down["slots_covered"] == 16384 - owned
        check = lab.run("check", "--json").json
        if check["state"] == "down":
            first = check["findings"][0]
            assert (first["code"], first["severity"], first["where"]) == ("node-down", "serious", victim["address"])
            assert "not served" in first["risk"]

    def taken_over() -> bool:
        with lab.client(heir["address"], lab.password()) as client:
            return client.info("replication")["role"] == "master"

    lab.wait(taken_over, "the failover")
    status = lab.wait(lambda: settled(lab), "all others to know of it")
    assert isinstance(status, dict)
    by_id = {node["id"]: node for node in status["nodes"]}
    assert status["slots_covered"] == 16384
    assert (by_id[heir["id"]]["role"], by_id[heir["id"]]["slots"]) == ("primary", victim["slots"])
    check = lab.run("check", "--json")
    assert (check.code, check.json["ok"]) == (3, False)
    codes = {(found["code"], found["where"]) for found in check.json["findings"]}
    assert ("node-down", victim["address"]) in codes
    assert ("role-moved", heir["address"]) in codes
    dead = next(found for found in check.json["findings"] if found["code"] == "node-down")
    assert dead["severity"] == "warning", dead
    assert read_keys(lab) == 300

    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.out + up.err
    assert next((step["step"], step["address"]) for step in up.json["steps"]) == ("start", victim["address"])
    by_id = {node["id"]: node for node in up.json["status"]["nodes"]}
    assert up.json["status"]["state"] == "ok"
    assert (by_id[victim["id"]]["role"], by_id[victim["id"]]["replica_of"]) == ("replica", heir["id"])
    assert by_id[victim["id"]]["link"] == "up"
    check = lab.run("check", "--json")
    assert (check.code, check.json["ok"]) == (0, True)
    assert [(found["code"], found["severity"]) for found in check.json["findings"]] == [("role-moved", "note")]
    assert lab.run("plan").code == 0
    assert "a failover made it the primary" in lab.run("check").out


def test_a_pid_that_now_belongs_to_somebody_else_is_not_believed(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    address = nodes(lab)[0]["address"]
    folder = folder_of(lab, address)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"]) as bystander:
        try:
            noted = json.loads((folder / "process.json").read_text())
            lab.kill(address)
            lab.wait(lambda: len(lab.servers()) == 2, "its end")
            (folder / "process.json").write_text(json.dumps(noted | {"pid": bystander.pid}))
            (folder / "server.pid").write_text(f"{bystander.pid}\n")
            plan = lab.run("plan", "--json").json
            assert [step["address"] for step in plan["steps"] if step["step"] == "start"] == [address]
            assert lab.run("stop", "--kill", "--yes", "--json").code == 0
            assert bystander.poll() is None
            up = lab.run("up", "--yes", "--json")
            assert (up.code, up.json["check"]["ok"]) == (0, True)
            # And with the node alive: the note lies, the server's own pid file leads to it.
            (folder / "process.json").write_text(json.dumps(noted | {"pid": bystander.pid}))
            assert lab.run("plan").code == 0
            assert lab.run("destroy", "--yes").code == 0
            assert bystander.poll() is None, "a process that is none of ours was killed"
            lab.assert_nothing_is_left()
        finally:
            bystander.kill()


def test_two_operators_at_once(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    lock = lab.state / "clusters/cache/lock"
    with lock.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        holder = {"pid": 4711, "verb": "up", "user": "ada", "host": "here", "since": "2026-01-02 03:04:05"}
        held.truncate(0)
        held.write(json.dumps(holder))
        held.flush()
        for verb in (("up", "--yes"), ("plan",), ("stop", "--yes"), ("start",), ("destroy", "--yes")):
            told = lab.run(*verb, "--json")
            assert (told.code, told.error["code"]) == (4, "locked"), verb
            assert told.error["seen"] == "`slotwright up`, pid 4711 of ada on here, since 2026-01-02 03:04:05"
            assert told.error["left"] == "nothing was changed"
        assert "pid 4711 of ada" in lab.run("up", "--yes").err
        assert lab.run("check", "--json").json["ok"], "looking needs no lock"
    assert len(lab.servers()) == 3
    assert lab.run("plan").code == 0


def test_a_second_up_meanwhile_is_refused_and_the_first_one_finishes(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    first = lab.popen("up", "--yes", "--json")
    lab.wait((lab.state / "clusters/cache/journal.jsonl").exists, "the first one's work")
    first.send_signal(signal.SIGSTOP)
    try:
        second = lab.run("up", "--yes", "--json")
    finally:
        first.send_signal(signal.SIGCONT)
    assert (second.code, second.error["code"]) == (4, "locked"), second
    assert f"`slotwright up`, pid {first.pid} of " in second.error["seen"]
    out, err = first.communicate(timeout=60)
    assert first.returncode == 0, err
    assert json.loads(out)["check"]["ok"]


def test_logs(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    node = nodes(lab)[0]
    shown = lab.run("logs", node["address"])
    assert shown.code == 0
    assert "Cluster state changed: ok" in shown.out or "Ready to accept connections" in shown.out
    told = lab.run("logs", node["address"], "-n", "3", "--json")
    assert (told.json["node"], len(told.json["lines"])) == (node["address"], 3)
    assert lab.run("logs", node["id"][:8], "--target", "cache").code == 0
    unknown = lab.run("logs", "127.0.0.1:1", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown-node")

    log = folder_of(lab, node["address"]) / "server.log"
    follower = lab.popen("logs", node["address"], "-f", "-n", "1")
    assert follower.stdout is not None
    shown = b""
    os.set_blocking(follower.stdout.fileno(), False)

    def followed() -> bool:
        nonlocal shown
        with log.open("a") as file:
            file.write("a line of the test\n")
        with suppress(BlockingIOError):
            shown += os.read(follower.stdout.fileno(), 65536)  # type: ignore[union-attr]
        return b"\na line of the test\n" in shown

    lab.wait(followed, "the line to be shown")
    follower.send_signal(signal.SIGINT)
    _, err = follower.communicate(timeout=60)
    assert (follower.returncode, err) == (0, "")


def test_no_line_is_lost_between_the_last_lines_and_the_following(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    address = next(iter(lab.processes())).replace("-", ":")
    log = folder_of(lab, address) / "server.log"
    with log.open("a") as file:
        file.writelines(f"line {number} {'x' * 100}\n" for number in range(500))
    # It waits in the middle of the last lines, because nobody reads on: then more is logged.
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    follower = lab.popen("logs", address, "-f", "-n", "500", stdout=writer)
    os.close(writer)
    shown = os.read(reader, 1)
    with log.open("a") as file:
        file.write("the lost line\n")
    os.set_blocking(reader, False)
    try:

        def drained() -> bool:
            nonlocal shown
            with suppress(BlockingIOError):
                shown += os.read(reader, 65536)
            return b"the lost line" in shown

        lab.wait(drained, "the line")
    finally:
        follower.send_signal(signal.SIGINT)
        os.close(reader)
        follower.communicate(timeout=60)


def test_a_log_over_the_limit_is_rotated_at_the_next_start(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    address = nodes(lab)[0]["address"]
    log = folder_of(lab, address) / "server.log"
    for round_ in range(2):
        assert lab.run("stop", address, "--yes").code == 0
        with log.open("a") as file:
            file.truncate(17 * 1024 * 1024)
            file.write(f"\nthe end of round {round_}\n")
        assert lab.run("start", "cache", address).code == 0
        assert log.stat().st_size < 1024 * 1024
        assert (log.stat().st_mode & 0o777) == 0o600
    assert "the end of round 1" in log.with_name("server.log.1").read_bytes()[-100:].decode()
    assert "the end of round 0" in log.with_name("server.log.2").read_bytes()[-100:].decode()
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()


def test_destroy_leaves_nothing_or_just_the_data(lab: Lab, embedded: TestEngine) -> None:
    data = lab.folder / "data"
    lab.topology(embedded, extra=f"data: {data}\n")
    assert lab.run("up", "--yes").code == 0
    write_keys(lab)
    assert len(list(data.iterdir())) == 6
    gone = lab.run("destroy", "--yes", "--keep-data", "--json")
    assert gone.code == 0, gone.err
    assert (gone.json["nodes"], gone.json["keys"], len(gone.json["kept"])) == (6, 300, 6)
    assert lab.servers() == {}
    assert not lab.state.exists()
    for folder in map(Path, gone.json["kept"]):
        left = {path.name for path in folder.rglob("*") if path.is_file()}
        assert any(name.endswith(".aof") for name in left), left
        assert not left & {"server.conf", "server.log", "server.pid", "process.json"}, left
    # The same file makes a new cluster beside what was kept, and its end leaves that alone.
    kept = {path: path.read_bytes() for folder in gone.json["kept"] for path in Path(folder).rglob("*.aof")}
    assert lab.run("up", "--yes").code == 0
    assert lab.run("destroy", "--yes").code == 0
    assert {path: path.read_bytes() for path in kept} == kept
    assert lab.servers() == {}


def test_destroy_of_a_cluster_whose_nodes_hang_or_are_gone(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    first, second, _ = [node["address"] for node in nodes(lab)]
    lab.kill(first, signal.SIGSTOP)
    lab.kill(second)
    status = lab.run("status", "--json").json
    told = {node["address"]: node["trouble"] for node in status["nodes"]}
    assert (told[first], told[second], status["state"]) == ("hangs", "down", "down")
    assert lab.run("destroy", "--yes").code == 0
    lab.assert_nothing_is_left()
