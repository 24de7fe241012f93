"""Whether others could have made, or can change, what is at a path: the same answers here and by a host's shells."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slotwright.adapters import path_ownership as trust
from slotwright.adapters.files import KeptFile, make_own_directory, read_kept, write_atomically
from slotwright.adapters.state.clusters import FileClusterStore
from slotwright.adapters.state.journal import FileJournal, read_journal
from slotwright.adapters.state.lock import hold
from slotwright.cluster.formats import FileKind
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.errors import RefusedError
from slotwright.features.migrate.model.migration import MigrationRequest
from slotwright.features.migrate.store import MigrationStore
from slotwright.features.rebuild.store import read_rebuild
from slotwright.hosts.facts.path_ownership import Distrust, Doubt
from slotwright.hosts.scripts.files import read_script
from slotwright.hosts.scripts.trust import parse_distrust
from tests.fakes.shells import SHELLS, Sh

SOMEBODY = 54321
"""A user, and a group, without a name: nobody knows who is in it."""

Check = Callable[[Path], Distrust | None]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give something to somebody else")


def by_shell(words: tuple[str, ...]) -> Check:
    def judge(path: Path) -> Distrust | None:
        done = Sh(words).run(f'{read_script("trust/trust.sh")}\ndistrust "$1" "$believed" last', str(path))
        assert (done.returncode, done.stderr) == (0, "")
        return parse_distrust(done.stdout.removesuffix("\n")) if done.stdout else None

    return judge


@pytest.fixture(params=["here", *SHELLS], ids=lambda each: each if isinstance(each, str) else each[0])
def judge(request: pytest.FixtureRequest) -> Check:
    if request.param == "here":
        return trust.distrust
    try:
        subprocess.run([*request.param, "-c", ":"], check=True)
    except OSError:
        pytest.skip(f"no {request.param[0]} here")
    return by_shell(request.param)


def doubt(found: Distrust | None) -> tuple[Doubt, str] | None:
    return None if found is None else (found.doubt, found.path)


def test_what_is_ours_is_believed_there_or_not(judge: Check, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "file").touch(0o600)
    for path in (tmp_path, tmp_path / "a b" / "file", tmp_path / "gone" / "deeper", Path("/")):
        assert judge(path) is None


def test_a_folder_that_everybody_may_write_to_is_not(judge: Check, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    (shared / "mine" / "deeper").mkdir(parents=True)
    shared.chmod(0o777)
    for path in (shared, shared / "mine", shared / "mine" / "deeper" / "gone", shared / "gone"):
        found = judge(path)
        assert doubt(found) == (Doubt.OTHERS, str(shared))
    assert found is not None
    assert found.mode.startswith("drwxrwxrwx")
    assert f"chmod go-w {shared}" in found.remedy("me")
    # Nobody can rename what is ours in a sticky one; itself it is nobody's own.
    shared.chmod(0o1777)
    assert judge(shared / "mine" / "deeper") is None
    assert judge(shared / "gone") is None
    assert doubt(judge(shared)) == (Doubt.OTHERS, str(shared))
    (shared / "mine").chmod(0o1777)
    assert doubt(judge(shared / "mine")) == (Doubt.OTHERS, str(shared / "mine"))


def test_a_file_that_others_may_write_to_is_not(judge: Check, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.touch()
    for mode, expected in ((0o644, None), (0o646, (Doubt.OTHERS, str(file)))):
        file.chmod(mode)
        assert doubt(judge(file)) == expected


@as_root
def test_what_somebody_else_made_is_not(judge: Check, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(0o700)
    (theirs / "file").touch()
    os.chown(theirs, SOMEBODY, 0)
    for path in (theirs, theirs / "file", theirs / "gone"):
        found = judge(path)
        assert doubt(found) == (Doubt.OWNER, str(theirs))
    assert found is not None
    assert found.owner == str(SOMEBODY)
    assert "chown me " in found.remedy("me")
    tmp_path.chmod(0o1777)
    assert doubt(judge(theirs)) == (Doubt.OWNER, str(theirs)), "also in a sticky folder"


@as_root
def test_a_group_counts_unless_nobody_else_is_in_it(judge: Check, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o775)
    os.chown(folder, 0, SOMEBODY)
    found = judge(folder / "gone")
    assert doubt(found) == (Doubt.GROUP, str(folder))
    assert found is not None
    assert f"chmod g-w {folder}" in found.remedy("me")
    folder.chmod(0o1775)
    assert judge(folder / "gone") is None
    folder.chmod(0o775)
    os.chown(folder, 0, 0)
    if not trust._is_private(0, 0):
        pytest.skip("there is more than root in root's group on this machine")
    assert judge(folder / "gone") is None
    give_acl(folder)
    assert doubt(judge(folder)) == (Doubt.GROUP, str(folder))


def give_acl(folder: Path) -> None:
    """``setfacl -m u:54321:rwx``: the mode shows no more than the group's bits."""
    entries = [(1, 7, 0xFFFFFFFF), (2, 7, SOMEBODY), (4, 5, 0xFFFFFFFF), (16, 7, 0xFFFFFFFF), (32, 5, 0xFFFFFFFF)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(folder, "system.posix_acl_access", packed)
    except OSError as error:
        pytest.skip(f"no access lists on this file system: {error}")


@as_root
def test_links_are_followed_hop_by_hop(judge: Check, tmp_path: Path) -> None:
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    theirs.mkdir()
    (mine / "deep").mkdir(parents=True)
    (tmp_path / "way").symlink_to("mine")
    assert judge(tmp_path / "way" / "deep") is None
    (theirs / "hop").symlink_to(mine)
    (tmp_path / "hops").symlink_to(theirs / "hop")
    assert judge(tmp_path / "hops" / "deep") is None
    os.chown(theirs, SOMEBODY, 0)
    assert doubt(judge(tmp_path / "hops" / "deep")) == (Doubt.OWNER, str(theirs))
    (mine / "up").symlink_to("../theirs/../mine")
    assert doubt(judge(mine / "up")) == (Doubt.OWNER, str(theirs))
    os.chown(tmp_path / "way", SOMEBODY, 0, follow_symlinks=False)
    assert doubt(judge(tmp_path / "way" / "deep")) == (Doubt.OWNER, str(tmp_path / "way"))
    (tmp_path / "round").symlink_to("round")
    assert judge(tmp_path / "round" / "x") is None, "it leads nowhere, and whoever uses it hears so"


def test_what_a_shell_prints_is_read_as_it_is() -> None:
    found = Distrust("/srv/a b", Doubt.GROUP, "me", "us", "drwxrwxr-x")
    assert parse_distrust("group drwxrwxr-x me us /srv/a b") == found
    for text in ("", "group", "what drwxrwxr-x me us /srv", "group a b c"):
        assert parse_distrust(text) is None


# What slotwright keeps for itself


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A state folder that everybody may write to, with everything in it."""
    root = tmp_path / "state"
    store, move = FileClusterStore(root, "cache"), MigrationStore(root, "a--b")
    store.write_password(Secret("hunter2"))
    write_atomically(store.folder / "record.json", "{}")
    FileJournal(store.journal_path).write({"phase": "begin"})
    move.folder.mkdir(parents=True)
    (move.folder / "request").write_text("cut-over")
    root.chmod(0o777)
    return root


@pytest.mark.parametrize(
    "use",
    [
        lambda store, move: store.read_record(),
        lambda store, move: read_rebuild(store),
        lambda store, move: store.read_password(),
        lambda store, move: store.write_password(Secret("x")),
        lambda store, move: store.prepare(),
        lambda store, move: FileJournal(store.journal_path).write({}),
        lambda store, move: read_journal(store.journal_path),
        lambda store, move: hold(store.lock_path, "up", "cache").__enter__(),
        lambda store, move: move.read(),
        lambda store, move: move.read_status(),
        lambda store, move: move.requested(),
        lambda store, move: move.take_request(),
        lambda store, move: move.ask(MigrationRequest("stop")),
    ],
)
def test_nothing_of_a_state_that_others_may_write_to_is_used(
    shared: Path, use: Callable[[FileClusterStore, MigrationStore], object]
) -> None:
    before = sorted(path.name for path in shared.rglob("*"))
    with pytest.raises(RefusedError) as caught:
        use(FileClusterStore(shared, "cache"), MigrationStore(shared, "a--b"))
    error = caught.value
    assert (error.code, error.exit_code, error.where) == ("folder-unsafe", 4, str(shared))
    assert error.seen.startswith("drwxrwxrwx ")
    assert f"chmod go-w {shared}" in error.hint
    assert "SLOTWRIGHT_STATE" in error.hint
    assert sorted(path.name for path in shared.rglob("*")) == before


@as_root
def test_a_record_that_somebody_else_wrote_is_not_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "record.json", "{}")
    os.chown(tmp_path / "record.json", SOMEBODY, 0)
    with pytest.raises(RefusedError) as caught:
        read_kept(KeptFile(tmp_path / "record.json", ClusterRecord, FileKind.RECORD, "the record of cache"))
    assert caught.value.where == str(tmp_path / "record.json")


def test_what_is_made_is_ours_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_own_directory(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]


@as_root
def test_a_program_of_a_neighbour_is_not_run(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "redis-server"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    trust.demand_program(program)
    os.chown(program.parent, SOMEBODY, 0)
    with pytest.raises(RefusedError) as caught:
        trust.demand_program(program)
    assert (caught.value.code, caught.value.where) == ("program-unsafe", str(program.parent))


def test_what_python_itself_is_loaded_from_is_believed_as_far() -> None:
    trust.demand_program(Path(sys.prefix) / "bin" / "redis-server")
    trust.demand_program(Path(pytest.__file__))
