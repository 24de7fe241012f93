"""Files are whole or not there, and nobody else reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slotwright.adapters.files import is_draft, make_directory, write_atomically
from slotwright.errors import HostError


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


@pytest.fixture(params=[0o000, 0o022, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> object:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "text")
    assert mode(tmp_path / "a") == "0o600"


def test_a_file_that_was_open_to_others_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o644)
    write_atomically(tmp_path / "a", b"new")
    assert ((tmp_path / "a").read_text(), mode(tmp_path / "a")) == ("new", "0o600")


def test_another_mode_is_kept_to(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "text", mode=0o640)
    assert mode(tmp_path / "a") == "0o640"


@pytest.mark.parametrize("durable", [True, False])
def test_the_content_is_replaced_and_nothing_else_is_left(tmp_path: Path, durable: bool) -> None:
    write_atomically(tmp_path / "a", "a longer text", durable=durable)
    write_atomically(tmp_path / "a", "ä\r\n", durable=durable)
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa4\r\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_reader_of_the_old_file_keeps_it_whole(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "old text")
    with (tmp_path / "a").open() as reader:
        write_atomically(tmp_path / "a", "new")
        assert reader.read() == "old text"


def test_a_failed_write_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(HostError) as caught:
        write_atomically(tmp_path / "a", "text")
    assert (caught.value.code, caught.value.where) == ("host-files", str(tmp_path / "a"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_no_folder_to_write_in(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="can't write"):
        write_atomically(tmp_path / "gone" / "a", "text")


def test_a_draft_of_a_killed_writer_is_known_as_one() -> None:
    assert [name for name in (".a.12.tmp", "a", ".a", "a.tmp", ".tmp") if is_draft(name)] == [".a.12.tmp", ".tmp"]


FILL_THE_DISK = """
import sys
from pathlib import Path
from slotwright.adapters.files import write_atomically
from slotwright.errors import HostError
folder = Path(sys.argv[1])
write_atomically(folder / "a", "old")
try:
    write_atomically(folder / "a", "x" * 100_000)
except HostError as error:
    print(error.code, (folder / "a").read_text(), sorted(path.name for path in folder.iterdir()))
"""


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare(1) to mount a small disk with")
def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o size=16k none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FILL_THE_DISK],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    if done.returncode and ("unshare" in done.stderr or "mount" in done.stderr):
        pytest.skip(f"this system lets nobody mount a small disk: {done.stderr.strip()}")
    assert done.stdout == "disk-full old ['a']\n", done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HostError) as caught:
        write_atomically(tmp_path / "a", "text")
    tmp_path.chmod(0o700)
    assert caught.value.code == "not-writable"


@pytest.mark.parametrize("umask", [0o000, 0o022], indirect=True)
@pytest.mark.usefixtures("umask")
def test_folders_that_are_made_are_private(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b")
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == ["0o700", "0o700"]


def test_folders_that_are_there_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir(mode=0o755)
    (tmp_path / "a").chmod(0o755)
    make_directory(tmp_path / "a")
    assert mode(tmp_path / "a") == "0o755"


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(HostError, match="can't make the folder"):
        make_directory(tmp_path / "a" / "b")
