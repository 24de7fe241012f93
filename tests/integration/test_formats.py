"""Files of other releases: earlier ones are gone on with, later ones are refused by name, and nothing is changed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from slotwright import __version__
from tests.engines import TestEngine
from tests.integration.conftest import Lab
from tests.integration.earlier_files import remove_formats
from tests.integration.test_rebuild import RUNNER, assert_all_back, contents, made, rebuilt

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

LATER = {"format": 2, "slotwright": "0.9.0"}
CHANGES = (
    ("up", "--yes"),
    ("stop", "cache", "--yes"),
    ("repair", "cache", "--yes"),
    ("rebuild", "--yes"),
    ("destroy", "cache", "--yes"),
)


@pytest.fixture
def cluster(lab: Lab, embedded: TestEngine) -> Path:
    """Three nodes that run; the folder of what is kept of them."""
    lab.topology(embedded, replicas=0, ports=(lab.free_port(),))
    done = lab.run("up", "--yes", "--json")
    assert done.code == 0, done.out + done.err
    return lab.state / "clusters/cache"


def edit(path: Path, **fields: object) -> bytes:
    """The file with other fields; what it was before."""
    before = path.read_bytes()
    path.write_text(json.dumps({**json.loads(before), **fields}, indent=1))
    return before


def kept(cluster: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in cluster.iterdir() if path.is_file() and path.name != "lock"}


def assert_refused(lab: Lab, words: tuple[str, ...], code: str, told: str, where: str) -> None:
    done = lab.run(*words, "--json")
    assert (done.code, done.error["code"]) == (4, code), (words, done.out, done.err)
    assert told in done.error["what"]
    assert (done.error["where"], done.error["left"]) == (where, "nothing was changed")
    assert done.error["hint"] == "use slotwright 0.9.0 or newer"


def test_what_a_later_release_keeps_is_refused_by_name(lab: Lab, cluster: Path) -> None:
    pids = lab.processes()
    for name, title, verbs in (
        ("record.json", "the record of cache", (("status", "cache"), ("check", "cache"), ("list",), *CHANGES)),
        ("rebuild.json", "the note of the rebuild of cache", (("up", "--yes"), ("rebuild", "--yes"), CHANGES[-1])),
        ("baseline.json", "the baseline of cache", (("up", "--yes"), ("abort", "--yes"), CHANGES[-1])),
        ("journal.jsonl", "the journal of cache", CHANGES),
    ):
        path = cluster / name
        before = path.read_bytes() if path.exists() else None
        if name == "record.json":
            edit(path, **LATER)
        else:
            path.write_text(json.dumps({"phase": "format", **LATER}) + "\n")
            path.chmod(0o600)
        files = kept(cluster)
        told = f"{title} was written by slotwright 0.9.0 in format 2; this slotwright {__version__} knows up to 1"
        for words in verbs:
            assert_refused(lab, words, "format-newer", told, str(path))
        assert kept(cluster) == files
        path.unlink() if before is None else path.write_bytes(before)
    assert lab.processes() == pids
    assert lab.run("check", "cache").code == 0


def test_a_node_s_folder_of_a_later_release_is_a_finding_and_left_alone(lab: Lab, cluster: Path) -> None:
    node = next(iter(sorted((cluster / "nodes").iterdir())))
    before = edit(node / "slotwright.json", **LATER, clusters=["c1"])
    later, pids = (node / "slotwright.json").read_bytes(), lab.processes()
    told = f"its slotwright.json was written by slotwright 0.9.0 in format 2; this slotwright {__version__} knows up to"
    checked = lab.run("check", "cache", "--json")
    (found,) = checked.json["findings"]
    assert (checked.code, found["code"], found["severity"]) == (3, "directory-newer", "warning")
    assert told in found["what"]
    planned = lab.run("plan", "--json")
    assert [finding["code"] for finding in planned.json["findings"]] == ["directory-newer"]
    up = lab.run("up", "--yes", "--json")
    assert (up.code, up.error["code"], up.error["left"]) == (4, "directory-newer", "nothing was changed")
    for words in (("stop", "cache", "--yes"), ("destroy", "cache", "--yes")):
        assert_refused(lab, words, "directory-newer", told, str(node))
    assert lab.run("repair", "cache", "--yes").code == 3
    lost = lab.run("rebuild", "--yes", "--json")
    assert (lost.code, lost.error["code"]) == (4, "shard-not-covered"), "there is no other copy"
    assert lab.processes() == pids
    assert (node / "slotwright.json").read_bytes() == later
    (node / "slotwright.json").write_bytes(before)
    assert lab.run("check", "cache").code == 0
    assert lab.run("destroy", "cache", "--yes").code == 0


def test_a_cluster_of_the_release_before_goes_through_its_life(lab: Lab, cluster: Path) -> None:
    assert remove_formats(lab.state) == 1 + 1 + 3 + 3
    edit(cluster / "record.json", later={"a": 1})
    assert lab.run("plan").code == 0
    for words in (("check", "cache"), ("stop", "cache", "--yes"), ("start", "cache"), ("check", "cache")):
        done = lab.run(*words)
        assert done.code == 0, done.out + done.err
    file = lab.folder / "cluster.yaml"
    file.write_text(file.read_text().replace("settings: {}", "settings: {maxmemory: 300mb}"))
    assert lab.run("up", "--yes").code == 0
    record = json.loads((cluster / "record.json").read_text())
    assert (record["format"], record["slotwright"], record["later"]) == (1, __version__, {"a": 1})
    assert lab.run("destroy", "cache", "--yes").code == 0


def test_a_rebuild_that_the_release_before_was_cut_in_goes_on(lab: Lab, embedded: TestEngine) -> None:
    ports = made(lab, embedded)
    before = contents(lab)
    file = lab.topology(embedded, ports=(*ports, lab.free_port()), replicas=1)
    words = [sys.executable, str(RUNNER), str(file), "copy-keys", "2"]
    cut = subprocess.run(words, cwd=lab.folder, env=lab.environment, capture_output=True, timeout=120, check=False)
    assert cut.returncode == -signal.SIGKILL, cut.stderr.decode()
    assert remove_formats(lab.state)
    assert_all_back(lab, before, rebuilt(lab))
