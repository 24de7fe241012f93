"""A node's folder that others could have made or can change: neither this machine nor a host acts on it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from slotwright.adapters.local.processes import identify
from slotwright.cluster.node_files import MARKER, NODES_CONF, PROCESS, SERVER_CONF
from slotwright.errors import RefusedError
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.ports import Host
from tests.fakes import stand_in
from tests.fakes.folder_acts import ACTS, exam, facts, host_of
from tests.fakes.shells import make_ours

SOMEBODY = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give something to somebody else")


@pytest.fixture(params=["local", "remote"])
def host(request: pytest.FixtureRequest) -> Host:
    return host_of(request.param)


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "nodes" / "n1"
    make_ours(folder, SERVER_CONF, NODES_CONF, "dump.rdb")
    return folder


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_done_below_a_folder_that_everybody_may_write_to(host: Host, node: Path, act: str) -> None:
    node.parent.chmod(0o777)
    before = {path: path.read_bytes() for path in node.iterdir()}
    with pytest.raises(RefusedError) as caught:
        asyncio.run(ACTS[act](host, str(node)))
    error = caught.value
    assert (error.code, error.exit_code) == ("folder-unsafe", 4)
    assert str(node.parent) in error.where + error.seen
    assert f"chmod go-w {node.parent}" in error.hint
    assert {path: path.read_bytes() for path in node.iterdir()} == before


def test_it_is_told_when_it_is_looked_at(host: Host, node: Path) -> None:
    assert facts(host, node).directory.state is DirectoryState.OURS
    assert exam(host, node).directory is DirectoryState.OURS
    node.chmod(0o707)
    found = facts(host, node).directory
    assert (found.state, found.is_misfit) == (DirectoryState.UNSAFE, False)
    assert f"everybody may write to {node}" in found.reason
    assert f"chmod go-w {node}" in found.remedy
    seen = exam(host, node)
    assert (seen.directory, seen.reason, seen.map_text) == (DirectoryState.UNSAFE, found.reason, None)
    node.chmod(0o700)
    node.parent.chmod(0o1777)
    assert facts(host, node).directory.state is DirectoryState.OURS
    assert facts(host, node.parent / "gone").directory.state is DirectoryState.ABSENT
    node.parent.chmod(0o777)
    assert facts(host, node.parent / "gone").directory.state is DirectoryState.UNSAFE


@as_root
@pytest.mark.parametrize("name", ["", MARKER, SERVER_CONF, PROCESS])
def test_what_somebody_else_wrote_is_not_acted_upon(host: Host, node: Path, name: str) -> None:
    (node / PROCESS).touch()
    os.chown(node / name, SOMEBODY, SOMEBODY)
    found = facts(host, node).directory
    assert found.state is DirectoryState.UNSAFE
    assert f"{node / name} belongs to {SOMEBODY}" in found.reason
    for act in ("find", "start", "remove"):
        with pytest.raises(RefusedError):
            asyncio.run(ACTS[act](host, str(node)))


def test_what_a_link_leads_to_is_not_taken_away(host: Host, node: Path) -> None:
    link = node.parent / "n2"
    link.symlink_to(node)
    assert facts(host, link).directory.state is DirectoryState.OURS
    for act in ("remove", "move"):
        with pytest.raises(RefusedError) as caught:
            asyncio.run(ACTS[act](host, str(link)))
        assert f"{link} is a link" in caught.value.what
    assert len(list(node.iterdir())) == 4
    assert link.is_symlink()


def test_a_note_that_is_plainly_untrue_is_told_and_nothing_is_concluded(host: Host, node: Path) -> None:
    with stand_in.running(node.parent) as child:
        process = identify(child.pid)
        assert process is not None
        (node / PROCESS).write_text(json.dumps({"pid": process.pid, "started": process.started}))
        found = facts(host, node)
        assert found.process is None
        assert (found.directory.state, found.directory.is_misfit) == (DirectoryState.UNSAFE, True)
        assert f"its process.json names pid {child.pid}, and it works in {node.parent}" in found.directory.reason
        seen = exam(host, node)
        assert (seen.directory, seen.process) == (DirectoryState.UNSAFE, None)
        assert seen.reason == found.directory.reason
        for act in ("find", "map", "aside", "remove", "move"):
            with pytest.raises(RefusedError) as caught:
                asyncio.run(ACTS[act](host, str(node)))
            assert caught.value.code == "process-foreign"
        assert child.poll() is None
