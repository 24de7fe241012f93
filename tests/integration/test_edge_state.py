"""No traceback, whatever became of what is kept: every verb on records, journals, locks and topology files that are not
as they were, or that this user may not read or write."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.conftest import Lab, Start
from tests.integration.edge import LINES, Prepare, World, faults, run_all

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


def _cluster(lab: Lab) -> Path:
    return lab.state / "clusters/cache"


def _replace(path: Path, content: bytes | None) -> None:
    """By ``content``; None: by a folder."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.mkdir() if content is None else path.write_bytes(content)


def _in_cluster(name: str, content: bytes | None) -> Prepare:
    return lambda lab: _replace(_cluster(lab) / name, content)


def _cut(name: str) -> Prepare:
    def cut(lab: Lab) -> None:
        path = _cluster(lab) / name
        path.write_bytes(path.read_bytes()[:1000])

    return cut


def _in_record(old: bytes, new: bytes) -> Prepare:
    def change(lab: Lab) -> None:
        path = _cluster(lab) / "record.json"
        assert old in path.read_bytes()
        path.write_bytes(path.read_bytes().replace(old, new))

    return change


def _migration(name: str, content: bytes | None) -> Prepare:
    def make(lab: Lab) -> None:
        folder = lab.state / "migrations/a--b"
        folder.mkdir(parents=True)
        _replace(folder / name, content)

    return make


_MOVES = b"""{"phase": "begin", "verb": "repair"}
{"phase": "intent", "step": "settle", "slots": ["x", 7]}
"""

STATES: dict[str, Prepare] = {
    "state is a file": lambda lab: _replace(lab.state, b"x"),
    "clusters is a file": lambda lab: _replace(lab.state / "clusters", b"x"),
    "a cluster is a file": lambda lab: _replace(_cluster(lab), b"x"),
    "a cluster is a loop of links": lambda lab: (shutil.rmtree(_cluster(lab)), _cluster(lab).symlink_to("cache"))[1],
    "record is cut": _cut("record.json"),
    "record is empty": _in_cluster("record.json", b""),
    "record is binary": _in_cluster("record.json", bytes(range(256)) * 9),
    "record is another thing": _in_cluster("record.json", b'["x", 1, null]'),
    "record is deep": _in_cluster("record.json", b"[" * 1_000_000),
    "record is huge": _in_cluster("record.json", b'{"blueprint": "' + b"x" * 50_000_000),
    "record is a folder": _in_cluster("record.json", None),
    "record is of the future": _in_record(b'"formed"', b'"dissolved"'),
    "record has another port": _in_record(b'"port": ', b'"port": 999999999999'),
    "record has no shards": _in_record(b'"shards": [', b'"shards": [], "more": ['),
    "record has other slots": _in_record(b'"last": 5460', b'"last": 99999'),
    "record is of a later format": _in_record(b'"format": 1', b'"format": 2'),
    "record has no number": _in_record(b'"format": 1', b'"format": []'),
    "journal is of a later format": _in_cluster("journal.jsonl", b'{"phase": "format", "format": 2}\n'),
    "journal is junk": _in_cluster("journal.jsonl", b'{"phase": [1]}\n\xff\n[]\n{"phase": "begin", "verb": {}}\n'),
    "journal is a folder": _in_cluster("journal.jsonl", None),
    "journal has junk in moves": _in_cluster("journal.jsonl", _MOVES),
    "lock is junk": _in_cluster("lock", b"\xff[1, 2]"),
    "lock is a folder": _in_cluster("lock", None),
    "password is binary": _in_cluster("password", b"\xff\x00\n"),
    "password is a folder": _in_cluster("password", None),
    "nodes is a file": _in_cluster("nodes", b"x"),
    "maps is a file": _in_cluster("maps", b"x"),
    "rebuild is junk": _in_cluster("rebuild.json", b"{"),
    "rebuild is of a later format": _in_cluster("rebuild.json", b'{"format": 2}'),
    "baseline is junk": _in_cluster("baseline.json", b"{"),
    "baseline is of a later format": _in_cluster("baseline.json", b'{"format": 2}'),
    "baseline is a folder": _in_cluster("baseline.json", None),
    "a node is of a later format": lambda lab: _replace(
        next(_cluster(lab).glob("nodes/*/slotwright.json")), b'{"format": 2}'
    ),
    "migration is junk": _migration("migration.json", b"\xff"),
    "migration is of a later format": _migration("migration.json", b'{"format": 2}'),
    "migration is a folder": _migration("migration.json", None),
}


@pytest.mark.parametrize("kind", STATES)
def test_what_is_kept_is_not_as_it_was(refusing: World, kind: str) -> None:
    runs = run_all(refusing, kind.replace(" ", "-"), STATES[kind])
    assert not (found := faults(runs)), "\n".join(found)


def _mode(mode: int, *names: str, owner: int | None = None) -> Prepare:
    """What is named below the state gets ``mode``, and another ``owner``."""

    def prepare(lab: Lab) -> None:
        for path in [path for name in names for path in ([lab.state] if name == "." else lab.state.glob(name))]:
            path.chmod(mode)
            if owner is not None and os.geteuid() == 0:
                os.chown(path, owner, owner)

    return prepare


RIGHTS: dict[str, Prepare] = {
    "state can't be entered": _mode(0o000, "."),
    "state can't be written": _mode(0o500, "**/", "."),
    "clusters can't be entered": _mode(0o000, "clusters"),
    "a cluster can't be entered": _mode(0o000, "clusters/cache"),
    "a cluster can't be written": _mode(0o500, "clusters/cache"),
    "files can't be written": _mode(0o400, "clusters/cache/*.json*", "clusters/cache/lock"),
    "record can't be read": _mode(0o000, "clusters/cache/record.json"),
    "journal can't be read": _mode(0o000, "clusters/cache/journal.jsonl"),
    "lock can't be read": _mode(0o000, "clusters/cache/lock"),
    "password can't be read": _mode(0o000, "clusters/cache/password"),
    "nodes can't be entered": _mode(0o000, "clusters/cache/nodes"),
    "a node can't be entered": _mode(0o000, "clusters/cache/nodes/*"),
    "a node's files can't be read": _mode(0o000, "clusters/cache/nodes/*/*.*"),
    "state is another's": _mode(0o700, ".", owner=65534),
}


@pytest.mark.parametrize("kind", RIGHTS)
def test_what_a_user_without_rights_may_not(refusing: World, kind: str) -> None:
    runs = run_all(refusing, kind.replace(" ", "-").replace("'", ""), RIGHTS[kind], Start(powerless=os.geteuid() == 0))
    assert not (found := faults(runs)), "\n".join(found)


FILES: dict[str, Prepare] = {
    "is a folder": lambda lab: _replace(lab.folder / "cluster.yaml", None),
    "is binary": lambda lab: _replace(lab.folder / "cluster.yaml", bytes(range(256)) * 9),
    "is latin-1": lambda lab: _replace(lab.folder / "cluster.yaml", "name: café\n".encode("latin-1")),
    "is empty": lambda lab: _replace(lab.folder / "cluster.yaml", b""),
    "is deep": lambda lab: _replace(lab.folder / "cluster.yaml", b"hosts: " + b"[" * 600),
    "is a bomb": lambda lab: _replace(lab.folder / "cluster.yaml", _BOMB),
    "is huge": lambda lab: _huge(lab.folder / "cluster.yaml", 1 << 30),
    "never ends": lambda lab: _link(lab.folder / "cluster.yaml", "/dev/zero"),
    "is a loop": lambda lab: _link(lab.folder / "cluster.yaml", "cluster.yaml"),
    "is gone": lambda lab: (lab.folder / "cluster.yaml").unlink(),
    "has absurd numbers": lambda lab: _replace(lab.folder / "cluster.yaml", _ABSURD),
}

_BOMB = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n" % (c, c, *[c - 1] * 8) for c in b"bcdefghijklm"
)
_ABSURD = b"name: cache\nengine: valkey\nhosts: [127.0.0.1]\nports: [%s]\nreplicas: 99999999999999999999\n" % (
    b"9" * 5000
)


def _huge(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.truncate(size)


def _link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize("kind", FILES)
def test_the_topology_file(refusing: World, kind: str) -> None:
    verbs = [verb for verb, lines in LINES.items() if any("{file}" in line for line in lines)]
    runs = run_all(refusing, f"file-{kind.replace(' ', '-')}", FILES[kind], verbs=verbs)
    assert not (found := faults(runs)), "\n".join(found)


@pytest.mark.parametrize("words", ["slotwright status ", "slotwright stop ", "slotwright logs ", "slotwright x"])
@pytest.mark.parametrize("kind", ["record is cut", "state is a file", "record is deep"])
def test_completion_says_nothing_in_the_middle_of_a_line(refusing: World, words: str, kind: str) -> None:
    lab = refusing.copy(f"completion-{words.split()[1]}-{kind.replace(' ', '-')}")
    STATES[kind](lab)
    env = {"_SLOTWRIGHT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "2"}
    told = lab.run(env=env)
    assert told.err == ""
    assert told.code in (0, 1)
