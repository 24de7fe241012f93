"""No traceback, whatever a command is started in: streams that are closed, full or cut, terminals and encodings of all
kinds, no home, no folder, odd names."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios

import pytest

from tests.engines import TestEngine
from tests.extent import share
from tests.integration.conftest import Lab, Start
from tests.integration.edge import CODES, LINES, Prepare, World, faults, run_all

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]


STARTS = {
    "stdout-closed": Start(closed=(1,)),
    "stderr-closed": Start(closed=(2,)),
    "all-closed": Start(closed=(0, 1, 2)),
    "stdout-full": Start(stdout="/dev/full"),
    "stderr-full": Start(stderr="/dev/full"),
    "latin-1": Start(encoding="latin-1"),
    "ascii": Start(encoding="ascii"),
}


@pytest.mark.parametrize("kind", STARTS)
def test_streams_that_are_not_as_usual(refusing: World, kind: str) -> None:
    start = STARTS[kind]
    runs = run_all(refusing, kind, start=start)
    is_read = not start.closed and not start.stdout and not start.stderr
    assert not (found := faults(runs, is_stdout_read=is_read)), "\n".join(found)


def _without_home(lab: Lab) -> None:
    del lab.environment["SLOTWRIGHT_STATE"], lab.environment["HOME"]


def _with(**variables: str) -> Prepare:
    return lambda lab: lab.environment.update(variables)


SURROUNDINGS: dict[str, Prepare] = {
    "no home": _without_home,
    "home is no folder": _with(HOME="/dev/null", SLOTWRIGHT_STATE=""),
    "home is a relative path": _with(HOME="here", SLOTWRIGHT_STATE=""),
    "state is of somebody unknown": _with(SLOTWRIGHT_STATE="~nobody-of-that-name/state"),
    "state has a NUL's neighbour": _with(SLOTWRIGHT_STATE="\udcff\x01/state"),
    "state has a long name": _with(SLOTWRIGHT_STATE="x" * 5000),
    "no terminal type": lambda lab: lab.environment.pop("TERM", None) and None,
    "a dumb terminal": _with(TERM="dumb"),
    "another terminal": _with(TERM="\udcff", COLUMNS="1", LINES="-1"),
    "absurd columns": _with(COLUMNS="99999999999999999999"),
    "no path": _with(PATH=""),
    "no folder for drafts": _with(TMPDIR="/nowhere"),
}


@pytest.mark.parametrize("kind", SURROUNDINGS)
def test_the_surroundings(refusing: World, kind: str) -> None:
    runs = run_all(refusing, kind.replace(" ", "-"), SURROUNDINGS[kind])
    assert not (found := faults(runs)), "\n".join(found)


def read_a_line(lab: Lab, *words: str, with_stderr: bool = False) -> tuple[int, str, str]:
    """The command in a pipe whose reader goes away after the first line: exit code, that line, what stderr said."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "slotwright", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if with_stderr else subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        cwd=lab.folder,
        env=lab.environment,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    said = "" if process.stderr is None else process.stderr.read()
    return process.wait(60), line, said


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("completion", "bash"), 0),
        (("list",), 0),
        (("check", "cache"), 3),
        (("check", "cache", "--json"), 3),
        (("status", "cache"), 0),
        (("--help",), 0),
    ],
)
def test_a_reader_that_goes_away(refusing: World, words: tuple[str, ...], code: int) -> None:
    lab = refusing.copy(f"pipe-{'-'.join(words)}")
    found, line, said = read_a_line(lab, *words)
    assert line
    assert (found, said) == (code, ""), words


def test_progress_that_nobody_reads_does_not_end_the_work(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, ports=(lab.free_port(),), replicas=0)
    code, line, _ = read_a_line(lab, "up", "--yes", with_stderr=True)
    assert line.startswith("  ✓")
    assert code == 0
    assert len(lab.processes()) == 3
    assert lab.run("check", "cache", "--json").json["ok"]


TERMINALS = {
    "one column": {"COLUMNS": "1", "LINES": "1", "TERM": "xterm"},
    "no columns": {"COLUMNS": "0", "TERM": "xterm"},
    "absurd columns": {"COLUMNS": "99999999999999999999", "LINES": "x", "TERM": "xterm"},
    "dumb": {"TERM": "dumb"},
    "unknown": {"TERM": "nothing-that-is-known"},
    "none": {"TERM": ""},
    "ascii": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "xterm"},
}


ON_TERMINALS = (
    ("status", "cache"),
    ("check", "cache"),
    ("plan",),
    ("up",),
    ("destroy", "cache"),
    ("init", "new.yaml"),
    ("watch", "cache", "-n", "0.1"),
    ("list",),
    ("client", "list"),
)


@pytest.mark.parametrize("kind", TERMINALS)
def test_terminals(refusing: World, kind: str) -> None:
    """On a terminal there are colours, moving lines, questions, and a width: all of that in the smallest one, too."""
    for words in share(ON_TERMINALS, [*TERMINALS].index(kind)):
        lab = refusing.copy(f"tty-{kind.replace(' ', '-')}-{'-'.join(words)}")
        code, said = on_a_terminal(lab, *words, **TERMINALS[kind])
        assert "Traceback" not in said, (words, said)
        # Ctrl-C in the interpreter's last moment ends it as it ends any program: 130 to the shell.
        assert code in {*CODES, -signal.SIGINT}, (words, code, said)


def on_a_terminal(lab: Lab, *words: str, **env: str) -> tuple[int, str]:
    """The command on a terminal of 1 x 1, whose user types Enter ten times, and then Ctrl-D and Ctrl-C for ever."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 1, 1, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "slotwright", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=lab.folder,
        env=lab.environment | env,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    typed = iter([b"\n"] * 10 + [b"\x04", b"\x03"] * 500)
    for turn in itertools.count():
        if process.poll() is not None:
            break
        # What is drawn again and again never pauses.
        if not select.select([ours], [], [], 0.2)[0] or turn % 10 == 9:
            os.write(ours, next(typed))
            continue
        try:
            said += os.read(ours, 65536)
        except OSError:
            break
    os.close(ours)
    return process.wait(60), said.decode(errors="backslashreplace")


NAMES = ["clüster.yaml", "cluster \udcff.yaml", "new\nline.yaml", "-dash.yaml", "\x1b[31m.yaml"]
LATIN = {"PYTHONIOENCODING": "latin-1"}
LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("kind", "env"),
    [
        ("ascii-locale", LOCALE),
        ("ascii-stdout", {"PYTHONIOENCODING": "ascii"}),
        ("latin-1", {"PYTHONIOENCODING": "latin-1"}),
    ],
)
def test_an_interpreter_in_another_language(refusing: World, kind: str, env: dict[str, str]) -> None:
    """Started as a user does it: the locale is also that of files and their names."""
    verbs = ("check", "list", "init", "plan", "destroy", "client", "completion")
    runs = run_all(refusing, f"cold-{kind}", env=env, verbs=verbs, is_cold=True)
    assert not (found := faults(runs)), "\n".join(found)


@pytest.mark.parametrize(
    "name", ["clüster.yaml", "cluster \udcff.yaml", "new\nline.yaml", "-dash.yaml", "\x1b[31m.yaml"]
)
def test_names_of_files(refusing: World, name: str) -> None:
    def rename(lab: Lab) -> None:
        (lab.folder / "cluster.yaml").rename(lab.folder / name)

    verbs = ("plan", "up", "status", "stop", "destroy", "preflight")
    runs = run_all(refusing, f"name-{len(name)}-{name[0]}".replace("\x1b", "e"), rename, verbs=verbs, file=f"./{name}")
    assert not (found := faults(runs)), "\n".join(found)


def test_a_folder_that_is_gone(refusing: World) -> None:
    """The working folder was removed under the shell."""
    lab = refusing.copy("gone")
    gone = lab.folder / "gone"
    lines = [line for lines in LINES.values() for line in lines if line[0] not in ("demo", "bundle")]
    for line in share(lines, 0):
        gone.mkdir()
        words = [word.format(file="cluster.yaml", address="127.0.0.1:1") for word in line]
        script = f'rmdir "$0" && exec {shlex.join([sys.executable, "-m", "slotwright", *words])}'
        done = subprocess.run(
            ["sh", "-c", script, str(gone)],
            cwd=gone,
            env=lab.environment | {"SLOTWRIGHT_STATE": "state"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stderr + done.stdout, (words, done)
        assert done.returncode in CODES, (words, done)
        assert "does not know" not in done.stderr, (words, done)
