"""A changed file: what can be done now is done on the running nodes, what can't is refused before anything changes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from redis.cluster import RedisCluster

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab, Outcome
from tests.server_settings import byte_count, settings_of

pytestmark = pytest.mark.servers

CANARY = "canary-4Rq9 %\"'#$\\ü€\t!"
NEEDLES = ("canary-4Rq9", "another-canary")


def addresses(lab: Lab) -> list[str]:
    """Of the nodes that run."""
    return [name.replace("-", ":") for name in lab.processes()]


def configured(lab: Lab, name: str) -> set[str]:
    """The values of a directive that all nodes run with."""
    found = set()
    for address in addresses(lab):
        with lab.client(address, lab.password()) as client:
            found.add(client.config_get(name)[name])
    return found


def written(lab: Lab, name: str) -> list[str]:
    """The values of a directive in all nodes' configurations."""
    found = [settings_of(path) for path in lab.state.rglob("server.conf")]
    return [" ".join(settings[name]) for settings in found if name in settings]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize("engine", engine_params())
def test_settings_and_a_password_of_awkward_characters_on_every_engine(lab: Lab, engine: TestEngine) -> None:
    """One cluster: settings changed live, one refused and done after a stop, keys kept, the password nowhere."""
    secret = lab.folder / "secret"
    secret.write_text(CANARY + "\n")
    secret.chmod(0o600)
    path = lab.topology(engine, settings="{maxmemory: 64mb, cluster-node-timeout: 2000}", password="{file: secret}")
    runs = [lab.run("up", "--yes", "--json")]
    assert runs[-1].code == 0, runs[-1].out + runs[-1].err
    assert lab.password() == CANARY
    use(lab, write=True)
    runs += change_live(lab, path)
    runs += change_what_needs_a_restart(lab, path)
    use(lab)
    secret.write_text("another-canary")
    runs.append(lab.run("up", "--yes", "--json"))
    assert (runs[-1].code, runs[-1].error["code"]) == (4, "wrong-password")
    assert len(lab.servers()) == 6
    runs += [lab.run("logs", addresses(lab)[0], "-n", "1000"), lab.run("check", "cache"), lab.run("status", "cache")]
    for run in runs:
        assert not any(needle in run.out + run.err for needle in NEEDLES)
    assert_the_password_is_nowhere_else(lab)


def use(lab: Lab, *, write: bool = False) -> None:
    """As a client that is not ours: 300 keys over all shards."""
    host, port = addresses(lab)[0].split(":")
    client = RedisCluster(host=host, port=int(port), password=CANARY)
    for number in range(300 if write else 0):
        client.set(f"key:{number}", number)
    assert sum(client.get(f"key:{number}") == str(number).encode() for number in range(300)) == 300
    client.close()


def change_live(lab: Lab, path: Path) -> list[Outcome]:
    pids = lab.processes()
    change(path, "maxmemory: 64mb", "maxmemory: 96mb")
    plan = lab.run("plan", "--json")
    assert plan.code == 3
    sets = [step for step in plan.json["steps"] if step["step"] == "set"]
    assert len(sets) == 6
    assert {change["name"] for step in sets for change in step["changes"]} == {"maxmemory"}
    assert {step["step"] for step in plan.json["steps"]} <= {"set", "wait", "remember"}
    assert configured(lab, "maxmemory") == {str(64 * 1024 * 1024)}, "plan changes nothing"
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"]) == (0, True), up.out + up.err
    assert configured(lab, "maxmemory") == {str(96 * 1024 * 1024)}
    assert [byte_count(size) for size in written(lab, "maxmemory")] == [96 * 1024 * 1024] * 6
    assert lab.processes() == pids, "nothing was restarted"
    return [plan, up]


def change_what_needs_a_restart(lab: Lab, path: Path) -> list[Outcome]:
    pids, before = lab.processes(), {path: path.read_bytes() for path in lab.state.rglob("server.conf")}
    change(path, "maxmemory: 96mb", "maxmemory: 128mb, tcp-backlog: 200")
    plan = lab.run("plan", "--json")
    assert (plan.code, plan.json["steps"]) == (3, [])
    assert [refusal["what"] for refusal in plan.json["refusals"]] == ["set tcp-backlog"]
    refused = lab.run("up", "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (4, "not-yet-possible")
    assert "only at its start" in refused.error["what"]
    assert refused.error["left"] == "nothing was changed"
    assert configured(lab, "maxmemory") == {str(96 * 1024 * 1024)}
    assert {path: path.read_bytes() for path in lab.state.rglob("server.conf")} == before
    assert lab.processes() == pids
    stop = lab.run("stop", "--yes", "--json")
    assert sum(node["keys"] for node in stop.json["stopped"]) == 600
    assert lab.servers() == {}
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"]) == (0, True), up.out + up.err
    assert configured(lab, "tcp-backlog") == {"200"}
    assert configured(lab, "maxmemory") == {str(128 * 1024 * 1024)}
    last = lab.run("plan", "--json")
    assert (last.code, last.json["pending"]) == (0, False)
    return [plan, refused, stop, up, last]


def assert_the_password_is_nowhere_else(lab: Lab) -> None:
    """Not in what every user may see of a process, and on disk only in two kinds of files, 0600."""
    for pid in lab.servers():
        for name in ("cmdline", "environ"):
            assert not any(n.encode() in (Path("/proc") / str(pid) / name).read_bytes() for n in NEEDLES), name
    for entry in (lab.state, *lab.state.rglob("*")):
        mode = stat.S_IMODE(entry.stat().st_mode)
        assert mode == (0o700 if entry.is_dir() else 0o600), f"{entry} is {mode:o}"
        if entry.is_file() and entry.name not in ("password", "server.conf"):
            assert not any(needle.encode() in entry.read_bytes() for needle in NEEDLES), entry


def test_a_setting_that_is_taken_out_or_changed_by_hand_goes_back(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, settings="{maxmemory: 64mb, maxmemory-policy: allkeys-lru}")
    assert lab.run("up", "--yes").code == 0
    pids = lab.processes()
    change(path, ", maxmemory-policy: allkeys-lru", "")
    assert lab.run("plan").code == 3
    assert lab.run("up", "--yes").code == 0
    assert configured(lab, "maxmemory-policy") == {"noeviction"}
    assert written(lab, "maxmemory-policy") == []
    assert lab.run("plan").code == 0

    # What somebody changed by hand on one node is seen, and put right.
    first = addresses(lab)[0]
    with lab.client(first, lab.password()) as client:
        client.config_set("maxmemory", "1gb")
    check = lab.run("check", "--json")
    assert check.code == 3
    assert [(found["code"], found["where"]) for found in check.json["findings"]] == [("settings-differ", first)]
    plan = lab.run("plan", "--json").json
    assert [step["address"] for step in plan["steps"] if step["step"] == "set"] == [first]
    assert lab.run("up", "--yes").code == 0
    assert configured(lab, "maxmemory") == {str(64 * 1024 * 1024)}
    assert lab.processes() == pids, "nothing was restarted"


def test_changes_that_come_later_are_refused_with_the_reason(lab: Lab, embedded: TestEngine) -> None:
    ports = (lab.free_port(), lab.free_port())
    path = lab.topology(embedded, ports=ports, password="{env: CACHE_PASSWORD}")
    env = {"CACHE_PASSWORD": "first"}
    assert lab.run("up", "--yes", env=env).code == 0
    good, pids, files = path.read_text(), lab.processes(), lab.files()
    host = lab.hosts[0].rpartition(".")[0] + ".4"
    cases = {
        "added host": (f"{lab.hosts[2]}]", f"{lab.hosts[2]}, {host}]", f"add {host}:{ports[0]}, {host}:{ports[1]}"),
        "added port": (f"{ports[1]}]", f"{ports[1]}, {lab.free_port()}]", "add "),
        "removed host": (f"{lab.hosts[0]}, ", f"{lab.hosts[0]}, {host}, ", "add "),
        "replicas": ("replicas: 1", "replicas: 0", "replicas 1 -> 0"),
        "shards": (
            "replicas: 1",
            f'shards: [{{primary: "{lab.hosts[0]}:{ports[1]}", replicas: ["{lab.hosts[1]}:{ports[0]}"]}}]\nreplicas: 1',
            "other explicit shards",
        ),
    }
    for case, (old, new, what) in cases.items():
        path.write_text(good)
        change(path, old, new)
        refused = lab.run("up", "--yes", "--json", env=env)
        assert (refused.code, refused.error["code"]) == (4, "not-yet-possible"), (case, refused.out)
        assert what in refused.error["refusals"][0]["what"], (case, refused.out)
        assert "later" in refused.error["refusals"][0]["why"]
        assert refused.error["left"] == "nothing was changed"
    plan = lab.run("plan", "--json", env=env)
    assert (plan.code, plan.json["pending"], plan.json["steps"]) == (3, True, [])
    path.write_text(good)
    refused = lab.run("up", "--yes", "--json", env={"CACHE_PASSWORD": "second"})
    assert (refused.code, refused.error["code"]) == (4, "wrong-password"), refused.out
    assert lab.password() == "first"
    assert (lab.processes(), lab.files()) == (pids, files)
    assert lab.run("plan", env=env).code == 0
    # The kept password serves where the variable isn't set any more.
    assert lab.run("plan").code == 0
    wrong = lab.run("check", "--json", env={"CACHE_PASSWORD": "second"})
    assert (wrong.code, wrong.error["code"]) == (1, "wrong-password"), wrong.out


def test_another_data_folder_is_refused_for_what_it_is(lab: Lab, embedded: TestEngine) -> None:
    path = lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    assert lab.run("up", "--yes").code == 0
    change(path, "replicas: 0", f"data: {lab.folder}/elsewhere\nreplicas: 0")
    refused = lab.run("up", "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (4, "not-yet-possible")
    assert refused.error["what"].startswith("data the default place -> ")
    assert len(refused.error["refusals"]) == 1


def test_explicit_shards_and_racks_are_what_the_real_cluster_becomes(lab: Lab, embedded: TestEngine) -> None:
    one, two = lab.free_port(), lab.free_port()
    a, b, c = lab.hosts
    d = a.rpartition(".")[0] + ".4"
    lab.write(
        f"name: cache\nengine: {{kind: valkey, from: {embedded.directory}}}\n"
        f"hosts:\n  - {{address: {a}, rack: r1}}\n  - {{address: {b}, rack: r1}}\n"
        f"  - {{address: {c}, rack: r2}}\n  - {{address: {d}, rack: r2}}\n"
        f"ports: [{one}, {two}]\nreplicas: 1\npassword: generate\n"
        f'shards:\n  - {{primary: "{d}:{two}", replicas: ["{b}:{two}"]}}\n'
    )
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"]) == (0, True), up.out + up.err
    found = up.json["status"]["nodes"]
    rack = {a: "r1", b: "r1", c: "r2", d: "r2"}
    by_id = {node["id"]: node for node in found}
    pairs = {by_id[node["replica_of"]]["address"]: node["address"] for node in found if node["role"] == "replica"}
    assert len(pairs) == 4
    assert pairs[f"{d}:{two}"] == f"{b}:{two}"
    for primary, replica in pairs.items():
        assert rack[primary.rpartition(":")[0]] != rack[replica.rpartition(":")[0]], pairs


def test_replicas_beside_their_primaries_where_the_file_allows_it(lab: Lab, embedded: TestEngine) -> None:
    ports = [lab.free_port() for _ in range(6)]
    lab.write(
        f"name: cache\nengine: {{kind: valkey, from: {embedded.directory}}}\nhosts: [{lab.hosts[0]}]\n"
        f"ports: {ports}\nreplicas: 1\npassword: none\nallow_colocated_replicas: true\n"
    )
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"], len(up.json["status"]["nodes"])) == (0, True, 6), up.out + up.err
    assert lab.run("plan").code == 0


@pytest.mark.parametrize("engine", engine_params())
def test_one_stand_alone_instance(lab: Lab, engine: TestEngine) -> None:
    port = lab.free_port()
    lab.write(
        f"name: one\nengine: {{kind: {engine.kind}, from: {engine.directory}}}\nmode: single\n"
        f"hosts: [{lab.hosts[0]}]\nports: [{port}]\npassword: generate\nsettings: {{maxmemory: 32mb}}\n"
    )
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.json["check"]["ok"], up.json["check"]["findings"]) == (0, True, []), up.out + up.err
    status = lab.run("status", "one", "--json").json
    assert (status["mode"], status["state"], len(status["nodes"])) == ("single", "ok", 1)
    assert status["nodes"][0]["version"].startswith(engine.version_prefix)
    assert lab.run("plan").code == 0
    address = f"{lab.hosts[0]}:{port}"
    with lab.client(address, lab.password("one")) as client:
        for number in range(300):
            client.set(f"key:{number}", number)
        assert client.info("cluster")["cluster_enabled"] == 0
    stopped = lab.run("stop", "--yes", "--json")
    assert [(node["address"], node["keys"]) for node in stopped.json["stopped"]] == [(address, 300)]
    down = lab.run("check", "--json")
    assert (down.code, down.json["state"], down.json["findings"][0]["severity"]) == (3, "down", "serious")
    assert lab.run("start").code == 0
    with lab.client(address, lab.password("one")) as client:
        assert client.dbsize() == 300
    assert lab.run("destroy", "one", "--yes").code == 0
    lab.assert_nothing_is_left()


def test_a_password_of_the_environment_is_not_handed_to_the_servers(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),), password="{env: CACHE_PASSWORD}")
    env = {"CACHE_PASSWORD": "canary-env", "REDISCLI_AUTH": "canary-env"}
    assert lab.run("up", "--yes", env=env).code == 0
    for pid in lab.servers():
        assert b"canary-env" not in (Path("/proc") / str(pid) / "environ").read_bytes()


def test_a_password_written_in_the_file_is_used_and_warned_of(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),), password="{inline: canary-inline}")
    up = lab.run("up", "--yes")
    assert up.code == 0, up.err
    assert "the password is written in the file" in up.err
    assert "canary-inline" not in up.out + up.err
    assert lab.run("plan").code == 0
    assert lab.run("check").code == 0
