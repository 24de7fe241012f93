"""One operator at a time; a dead one locks nobody out."""

from __future__ import annotations

import errno
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slotwright.adapters.state.lock import hold
from slotwright.errors import HostError, RefusedError

HOLDER = """
import sys
from pathlib import Path
from slotwright.adapters.state.lock import hold
with hold(Path(sys.argv[1]), "stop", "demo"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    holder = subprocess.Popen(
        [sys.executable, "-S", "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert holder.stdout is not None and holder.stdin is not None
    try:
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
        holder.stdin.close()


def take(path: Path) -> None:
    with hold(path, "up", "demo"):
        pass


def test_the_holder_is_named(tmp_path: Path) -> None:
    with other_process(tmp_path / "lock") as holder, pytest.raises(RefusedError) as caught:
        take(tmp_path / "lock")
    error = caught.value
    assert (error.code, error.where, int(error.exit_code)) == ("locked", "demo", 4)
    assert f"`slotwright stop`, pid {holder.pid} of {getpass.getuser()} on {socket.gethostname()}" in error.seen
    assert error.left == "nothing was changed"


def test_the_death_of_the_holder_frees_the_lock(tmp_path: Path) -> None:
    with other_process(tmp_path / "lock") as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with hold(tmp_path / "lock", "up", "demo"):
            assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_one_process_does_not_take_it_twice(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", "up", "demo"), pytest.raises(RefusedError, match="working on demo"):
        take(tmp_path / "lock")


def test_it_can_be_taken_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        take(tmp_path / "lock")
    assert (tmp_path / "lock").read_text() == ""


def test_an_error_inside_frees_it_too(tmp_path: Path) -> None:
    with pytest.raises(KeyError), hold(tmp_path / "lock", "up", "demo"):
        raise KeyError("x")
    take(tmp_path / "lock")


def test_two_clusters_do_not_meet(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "lock", "up", "a"), hold(tmp_path / "b" / "lock", "up", "b"):
        pass


def test_it_is_private(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "lock", "up", "demo"):
        modes = [oct(path.stat().st_mode & 0o777) for path in (tmp_path / "a", tmp_path / "a" / "lock")]
    assert modes == ["0o700", "0o600"]


def test_the_work_may_take_the_folder_away(tmp_path: Path) -> None:
    with hold(tmp_path / "a" / "lock", "destroy", "demo"):
        (tmp_path / "a" / "lock").unlink()
        (tmp_path / "a").rmdir()
    assert list(tmp_path.iterdir()) == []


def test_a_holder_whose_words_are_garbled_still_holds(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", "up", "demo"):
        (tmp_path / "lock").write_text("{")
        with pytest.raises(RefusedError) as caught:
            take(tmp_path / "lock")
    assert caught.value.seen == "another slotwright"


def test_where_no_folder_can_be_made_nobody_is_said_to_work(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "gone")
    for place in (tmp_path / "a", Path("/proc/slotwright")):
        with pytest.raises(HostError) as caught:
            take(place / "lock")
        assert str(place) in caught.value.what and "working on" not in str(caught.value)
        assert (caught.value.left, bool(caught.value.hint)) == ("nothing was changed", True)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("slotwright.adapters.state.lock.fcntl.flock", refuse)
    with pytest.raises(HostError, match=r"can't lock .*: No locks available"):
        take(tmp_path / "lock")


def test_a_place_where_no_lock_can_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(HostError):
        take(tmp_path / "a" / "lock")
