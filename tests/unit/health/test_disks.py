"""What a disk would bring back, read by local and remote hosts alike, and what that decides."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from slotwright.adapters.local.host import LocalHost
from slotwright.errors import HostError
from slotwright.health.disk_copies import disks_to_read, followers, why_behind
from slotwright.health.permission import Answer, Copies, Start, may
from slotwright.hosts.facts.disk import AppendLog, NodeDisk
from slotwright.hosts.scripts.disk import parse_disk
from slotwright.ports import Host
from slotwright.server.append_log import AppendPart, parse_manifest
from tests.engines import TestEngine, engine_params
from tests.fakes import stand_in
from tests.fakes.build import at, blueprint, topology
from tests.fakes.pictures import observation
from tests.fakes.shells import make_ours
from tests.unit.adapters.test_node_folders import WHOLE, remote

MADE = blueprint(topology())
P, R = at("h1:7001"), at("h2:7002")


@pytest.fixture(params=["local", "remote"])
def host(request: pytest.FixtureRequest) -> Host:
    return LocalHost() if request.param == "local" else remote()


def write_log(folder: Path, *, has_parts: bool, text: bytes = WHOLE) -> Path:
    """As the server writes it; what writes are appended to."""
    if not has_parts:
        (folder / "appendonly.aof").write_bytes(text)
        return folder / "appendonly.aof"
    place = folder / "appendonlydir"
    place.mkdir(exist_ok=True)
    lines = [
        f"file a.aof.{number}.{kind} seq {number} type {kind[0]}" for number, kind in ((2, "base.rdb"), (9, "incr.aof"))
    ]
    (place / "a.aof.manifest").write_text("\n".join([*lines, "file a.aof.10.incr.aof seq 10 type i startoffset 7", ""]))
    (place / "a.aof.2.base.rdb").write_bytes(b"REDIS0011")
    (place / "a.aof.9.incr.aof").write_bytes(WHOLE)
    (place / "a.aof.10.incr.aof").write_bytes(text)
    return place / "a.aof.10.incr.aof"


def read(host: Host, folder: Path, binary: str = "/bin/false") -> NodeDisk:
    return asyncio.run(host.read_disk(str(folder), "c1", binary))


@pytest.mark.parametrize("engine", engine_params())
def test_whole_cut_and_gone(host: Host, folder: Path, engine: TestEngine) -> None:
    make_ours(folder)
    binary, has_parts = str(engine.binary), engine.version_prefix != "6.2."
    assert read(host, folder, binary) == NodeDisk(AppendLog.ABSENT)
    log = write_log(folder, has_parts=has_parts)
    began = time.time()
    os.utime(log, (began - 100, began - 100))
    for other in folder.rglob("a.aof.[29]*"):
        os.utime(other, (time.time() - 900, time.time() - 900))
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    found = read(host, folder, binary)
    assert found.append_log is AppendLog.WHOLE, found
    late_s, doubt_s = time.time() - began, found.doubt_s + 1
    assert found.written_at is not None
    assert -100 - late_s - doubt_s <= found.written_at <= -100 + doubt_s
    log.write_bytes(WHOLE + b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$9\r\nhal")
    cut = read(host, folder, binary)
    assert cut.append_log is AppendLog.CUT
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before, "nothing is changed"
    assert log.read_bytes().endswith(b"hal")
    if has_parts:
        (folder / "appendonlydir" / "a.aof.9.incr.aof").unlink()
        assert read(host, folder, binary).append_log is AppendLog.INCOMPLETE


def test_an_empty_end_needs_no_tool(host: Host, folder: Path) -> None:
    make_ours(folder)
    write_log(folder, has_parts=True, text=b"")
    assert read(host, folder).append_log is AppendLog.WHOLE


def test_a_manifest_names_no_file_elsewhere(host: Host, folder: Path) -> None:
    make_ours(folder)
    log = write_log(folder, has_parts=True)
    (log.parent / "a.aof.manifest").write_text("file ../../secret seq 1 type i\n")
    found = read(host, folder)
    assert found.append_log is AppendLog.UNREAD


def test_only_our_own_folders_are_read(host: Host, folder: Path) -> None:
    folder.mkdir(parents=True)
    with pytest.raises(HostError, match="not of this cluster"):
        read(host, folder)


def test_a_manifest_in_its_order() -> None:
    text = 'file "a \\"b" seq 2 type i\nfile c seq 1 type h\nfile d seq 3 type b\n# comment\nfile e seq 1 type i\n'
    assert parse_manifest(text) == (
        AppendPart("d", 3, False),
        AppendPart("e", 1, True),
        AppendPart('a "b', 2, True),
    )
    for bad in ("", ".", "..", "a/b"):
        with pytest.raises(ValueError, match="manifest"):
            parse_manifest(f"file {bad} seq 1 type i\n")


def test_an_output_that_was_cut_is_no_answer() -> None:
    with pytest.raises(ValueError, match="too early"):
        parse_disk("@file\n@now 5\n")


WHOLE_NOW = NodeDisk(AppendLog.WHOLE, 100.0)


@pytest.mark.parametrize(
    ("disk", "copy", "is_at_rest", "reason"),
    [
        (None, WHOLE_NOW, False, ""),
        (WHOLE_NOW, None, False, ""),
        (WHOLE_NOW, WHOLE_NOW, False, ""),
        (WHOLE_NOW, NodeDisk(AppendLog.WHOLE, 100.2), False, ""),
        (WHOLE_NOW, NodeDisk(AppendLog.WHOLE, 101.0), False, "1.0 s before"),
        (WHOLE_NOW, NodeDisk(AppendLog.WHOLE, 101.0, 1.0), False, ""),
        (WHOLE_NOW, NodeDisk(AppendLog.ABSENT), False, ""),
        (NodeDisk(AppendLog.ABSENT), None, False, "gone"),
        (NodeDisk(AppendLog.ABSENT), NodeDisk(AppendLog.ABSENT), False, "gone"),
        (NodeDisk(AppendLog.CUT), WHOLE_NOW, False, "cut off"),
        (NodeDisk(AppendLog.UNREAD), WHOLE_NOW, False, "nobody can tell"),
        (NodeDisk(AppendLog.ABSENT), NodeDisk(AppendLog.ABSENT), True, ""),
        (NodeDisk(AppendLog.CUT), NodeDisk(AppendLog.CUT), True, ""),
        (NodeDisk(AppendLog.ABSENT), NodeDisk(AppendLog.CUT), True, "gone"),
        (NodeDisk(AppendLog.CUT), WHOLE_NOW, True, "cut off"),
    ],
)
def test_who_has_less(disk: NodeDisk | None, copy: NodeDisk | None, is_at_rest: bool, reason: str) -> None:
    found = why_behind(disk, copy, is_at_rest=is_at_rest)
    assert reason in found if reason else found == ""


def test_who_would_follow_a_start() -> None:
    seen = observation({"silent": {"h1:7001": "refused"}, "says": {"*": {"keys": 5}}}, MADE)
    assert [(each.primary, each.address) for each in followers(seen, MADE, {P})] == [(P, R)]
    assert disks_to_read(seen, MADE, {P}) == {P, R}
    judgement = may(Start(P), Copies(seen, MADE, disks={P: NodeDisk(AppendLog.ABSENT)}, at_rest={P}))
    assert (judgement.answer, judgement.other) == (Answer.NO, R) and "gone" in judgement.why


def test_nobody_follows_a_start_of_who_was_voted_out() -> None:
    given = {"silent": {"h1:7001": "refused"}, "failed_over": {"h1:7001": "h2:7002"}, "says": {"*": {"keys": 5}}}
    assert not disks_to_read(observation(given, MADE), MADE, {P})


def test_an_empty_replica_loses_nothing_and_a_silent_one_may() -> None:
    seen = observation({"silent": {"h1:7001": "refused"}}, MADE)
    assert not disks_to_read(seen, MADE, {P})
    seen = observation({"silent": {"h1:7001": "refused", "h2:7002": "refused"}}, MADE)
    assert [(each.primary, each.address, each.view) for each in followers(seen, MADE, {P})] == [(P, R, None)]


def test_a_running_server_is_not_read(host: Host, folder: Path) -> None:
    """Its tool would read what is being written; size and time are enough of a live replica."""
    make_ours(folder)
    write_log(folder, has_parts=False, text=WHOLE + b"half")
    with stand_in.running(folder):
        assert read(host, folder).append_log is AppendLog.WHOLE
    assert read(host, folder).append_log is AppendLog.CUT
