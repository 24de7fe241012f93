"""A node's folder that a later release wrote in a format that this one doesn't know: it is named, and left alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from slotwright import __version__
from slotwright.adapters.local.processes import identify
from slotwright.cluster.formats import FileKind, head_of
from slotwright.cluster.node_files import MARKER, NODES_CONF, PROCESS, SERVER_CONF, NodeFiles, marker_text
from slotwright.errors import RefusedError
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.ports import Host
from tests.fakes import stand_in
from tests.fakes.folder_acts import ACTS, exam, facts, host_of
from tests.fakes.shells import make_ours

LATER = {"format": 2, "slotwright": "0.9.1", "cluster_id": "c1", "name": "cache"}


@pytest.fixture(params=["local", "remote"])
def host(request: pytest.FixtureRequest) -> Host:
    return host_of(request.param)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "nodes" / "n1"
    make_ours(folder, SERVER_CONF, NODES_CONF, "dump.rdb")
    return folder


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", [MARKER, PROCESS])
@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_done_in_it(host: Host, node: Path, act: str, name: str) -> None:
    (node / name).write_text(json.dumps(LATER, indent=1))
    before = contents(node)
    with pytest.raises(RefusedError) as caught:
        asyncio.run(ACTS[act](host, str(node)))
    error = caught.value
    assert (error.code, error.exit_code, error.left) == ("directory-newer", 4, "nothing was changed")
    assert error.where.endswith(str(node))
    told = f"its {name} was written by slotwright 0.9.1 in format 2; this slotwright {__version__} knows up to 1"
    assert told in error.what
    assert error.hint == "use slotwright 0.9.1 or newer"
    assert contents(node) == before


@pytest.mark.parametrize("name", [MARKER, PROCESS])
def test_it_is_told_when_it_is_looked_at(host: Host, node: Path, name: str) -> None:
    (node / name).write_text(json.dumps(LATER))
    found, seen = facts(host, node), exam(host, node)
    assert (found.directory.state, found.process, found.port_error) == (DirectoryState.NEWER, None, "")
    assert found.directory.reason.startswith(f"its {name} was written by slotwright 0.9.1 in format 2; ")
    assert found.directory.remedy == "use slotwright 0.9.1 or newer"
    assert (seen.directory, seen.process, seen.map_text) == (DirectoryState.NEWER, None, None)
    assert (seen.reason, seen.remedy) == (found.directory.reason, found.directory.remedy)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"format": 1, "cluster_id": "c1"}', DirectoryState.OURS),
        ('{"format":1,"cluster_id": "c1"}', DirectoryState.OURS),
        ('{\n "cluster_id": "c1",\n "format": 1\n}\n', DirectoryState.OURS),
        ('{"cluster_id": "c1", "name": "format"}', DirectoryState.OURS),
        ('{"cluster_id": "c1", "name": "say \\"format\\": 2 to it"}', DirectoryState.OURS),
        ('{"format": 1, "cluster_id": "c2"}', DirectoryState.OTHER_CLUSTER),
        ('{"format": 2, "cluster_id": "c2"}', DirectoryState.NEWER),
        ('{"format": 2, "clusters": ["c1"]}', DirectoryState.NEWER),
        ('{"format":2}', DirectoryState.NEWER),
        ('{\n "cluster_id": "c1",\n "format": 3\n}\n', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": 100000000000000000000000}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": 12345}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": "1"}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": 0}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": -1}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": 1.5}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": null}', DirectoryState.NEWER),
        ('{"cluster_id": "c1", "format": {"of": 1}}', DirectoryState.NEWER),
    ],
)
def test_both_ways_read_the_same_number(host: Host, node: Path, text: str, state: DirectoryState) -> None:
    (node / MARKER).write_text(text)
    assert facts(host, node).directory.state is state
    assert exam(host, node).directory is state


@pytest.mark.parametrize(
    ("writer", "told"), [('"1.0rc1"', "slotwright 1.0rc1"), ('"$(id) x"', ""), ("7", ""), ("", "")]
)
def test_who_wrote_it_is_named_where_it_is_a_version(host: Host, node: Path, writer: str, told: str) -> None:
    head = f'"slotwright": {writer}, ' if writer else ""
    (node / MARKER).write_text(f'{{"format": 2, {head}"cluster_id": "c1"}}')
    reason = facts(host, node).directory.reason
    assert "in format 2; this slotwright" in reason
    assert told in reason


def test_a_server_there_is_not_taken_for_gone(host: Host, node: Path) -> None:
    with stand_in.running(node) as child:
        process = identify(child.pid)
        assert process is not None
        (node / PROCESS).write_text(json.dumps({"pid": process.pid, "started": process.started}))
        assert facts(host, node).process == process, "the note of a release that wrote no format"
        (node / MARKER).write_text(json.dumps(LATER))
        found = facts(host, node)
        assert (found.process, found.directory.state.hides_process) == (None, True)
        assert child.poll() is None


def test_a_marker_that_is_written_again_keeps_what_it_had(host: Host, node: Path) -> None:
    (node / MARKER).write_text(json.dumps({"cluster_id": "c1", "name": "old", "later": {"a": [1]}}))
    (node / SERVER_CONF).unlink()
    asyncio.run(host.create(NodeFiles(str(node), marker_text("c1", "cache", "n1"), "port 1\n")))
    written = json.loads((node / MARKER).read_text())
    head = head_of(FileKind.MARKER)
    assert written == {**head, "cluster_id": "c1", "name": "cache", "node_id": "n1", "later": {"a": [1]}}
    assert (node / MARKER).stat().st_mode & 0o777 == 0o600
    asyncio.run(host.create(NodeFiles(str(node), marker_text("c2", "other"), "port 1\n")))
    assert "later" not in json.loads((node / MARKER).read_text()), "another cluster's marker has nothing of it"


def test_a_first_marker_is_as_it_was_given(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "nodes" / "n1"
    asyncio.run(host.create(NodeFiles(str(folder), marker_text("c1", "cache", "n1"), "port 1\n")))
    assert (folder / MARKER).read_text() == marker_text("c1", "cache", "n1")
