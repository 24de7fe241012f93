"""What is kept between two commands comes back as it was, and is private."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slotwright.adapters.state.clusters import STATE_VARIABLE, FileClusterStore, known_clusters, state_directory
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import (
    Address,
    Engine,
    EngineKind,
    EngineOrigin,
    HostSpec,
    Mode,
    PasswordRef,
    PasswordSource,
    ShardSpec,
)
from slotwright.errors import HostError
from tests.fakes import build

PLAIN = build.record(build.topology())
FULL = replace(
    PLAIN,
    stage=Stage.FORMING,
    topology_path="",
    settings=(("maxmemory", "67108864"), ("save", "")),
    topology=replace(
        PLAIN.topology,
        engine=Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, "/opt/redis"),
        hosts=(HostSpec("::1", (7001, 7003), "r1", "z1"), HostSpec("h2.example", (7001,))),
        shards=(ShardSpec(Address("::1", 7001), (Address("h2.example", 7001),)), ShardSpec(Address("::1", 7003))),
        password=PasswordRef(PasswordSource.FILE, "/etc/ä pass"),
        settings=(("save", "900 1"), ("save", "300 10")),
        data_directory="/data",
        allow_colocated_replicas=True,
    ),
)
SINGLE = build.record(build.topology(1, 1, 0, mode=Mode.SINGLE))


@pytest.mark.parametrize("record", [PLAIN, FULL, SINGLE], ids=["plain", "full", "single"])
def test_a_record_comes_back_as_it_was(tmp_path: Path, record: ClusterRecord) -> None:
    FileClusterStore(tmp_path, "demo").write_record(record)
    assert FileClusterStore(tmp_path, "demo").read_record() == record


def test_a_record_is_text_that_people_can_read(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path, "demo")
    store.write_record(PLAIN)
    text = (store.folder / "record.json").read_text()
    assert json.loads(text)["stage"] == "formed"
    assert text.count("\n") > 20


def test_everything_is_private(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path / "state", "demo")
    store.write_record(PLAIN)
    store.write_password(Secret("x"))
    modes = {path.relative_to(tmp_path): oct(path.stat().st_mode & 0o777) for path in tmp_path.rglob("*")}
    assert {str(path): mode for path, mode in modes.items()} == {
        "state": "0o700",
        "state/clusters": "0o700",
        "state/clusters/demo": "0o700",
        "state/clusters/demo/record.json": "0o600",
        "state/clusters/demo/password": "0o600",
    }


@pytest.mark.parametrize("text", ["", "a", " a b ", "pässwörd ☃", '"\\', "a\tb"])
def test_a_password_comes_back_as_it_was(tmp_path: Path, text: str) -> None:
    store = FileClusterStore(tmp_path, "demo")
    store.write_password(Secret(text))
    assert store.read_password() == Secret(text)


def test_nothing_is_known_of_a_new_cluster(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path, "demo")
    assert (store.read_record(), store.read_password()) == (None, None)
    assert known_clusters(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"stage": "formed"}', "null"],
)
def test_a_record_that_can_t_be_read_is_said_so(tmp_path: Path, text: str) -> None:
    store = FileClusterStore(tmp_path, "demo")
    store.prepare()
    (store.folder / "record.json").write_text(text)
    with pytest.raises(HostError) as caught:
        store.read_record()
    assert (caught.value.code, caught.value.where) == ("record-unreadable", str(store.folder / "record.json"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("stage",), "half-formed"),
        (("blueprint", "shards", 0, "slots", "ranges", 0, "last"), 16384),
        (("topology", "hosts", 0, "ports"), "7001"),
    ],
)
def test_a_record_with_impossible_values_is_not_believed(
    tmp_path: Path, path: tuple[str | int, ...], value: object
) -> None:
    store = FileClusterStore(tmp_path, "demo")
    store.write_record(PLAIN)
    content = json.loads((store.folder / "record.json").read_text())
    part = content
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    (store.folder / "record.json").write_text(json.dumps(content))
    with pytest.raises(HostError):
        store.read_record()


def test_clusters_with_a_record_are_known(tmp_path: Path) -> None:
    for name in ("b", "a"):
        FileClusterStore(tmp_path, name).write_record(PLAIN)
    FileClusterStore(tmp_path, "c").prepare()
    assert known_clusters(tmp_path) == ("a", "b")


def test_removing_takes_the_empty_folders_above_with_it(tmp_path: Path) -> None:
    root = tmp_path / "state"
    for name in ("a", "b"):
        FileClusterStore(root, name).write_record(PLAIN)
    FileClusterStore(root, "a").remove()
    assert known_clusters(root) == ("b",)
    FileClusterStore(root, "b").remove()
    assert list(tmp_path.iterdir()) == []


def test_a_node_s_folder_that_is_still_there_stays(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path, "demo")
    store.write_record(PLAIN)
    (store.nodes_path / "h1-7001").mkdir(parents=True)
    (store.rehearsal_path / "left").mkdir(parents=True)
    store.maps_path.mkdir()
    (store.maps_path / "h1-7001.conf").write_text("x")
    store.remove()
    left = sorted(str(path.relative_to(store.folder)) for path in store.folder.rglob("*"))
    assert left == ["nodes", "nodes/h1-7001"]


def test_removing_what_is_not_there(tmp_path: Path) -> None:
    FileClusterStore(tmp_path / "state", "demo").remove()
    assert list(tmp_path.iterdir()) == []


def test_the_variable_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "here"))
    assert state_directory() == tmp_path / "here"
    monkeypatch.setenv(STATE_VARIABLE, "relative")
    assert state_directory() == Path.cwd() / "relative"
    monkeypatch.setenv(STATE_VARIABLE, "")
    assert state_directory().name == "slotwright"


def test_node_folders_have_readable_names() -> None:
    assert PLAIN.node_directory(Address("127.0.1.1", 7001)) == "/data/127.0.1.1-7001"
    assert PLAIN.node_directory(Address("2001:db8::1", 7001)) == "/data/2001_db8__1-7001"
