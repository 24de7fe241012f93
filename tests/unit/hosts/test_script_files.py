"""The scripts for hosts as files: each is good grammar for every shell, has all that it names, and is used."""

from __future__ import annotations

import re
import subprocess
from importlib.resources import files
from pathlib import Path

import pytest

from slotwright.hosts.scripts.files import assigned, given, read_script
from tests.fakes.shells import Sh

FOLDER = Path(str(files("slotwright.hosts.scripts")))
SOURCE = FOLDER.parents[1]
NAMES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.sh"))
OF_THE_HOST = {"GZIP", "HOME", "LC_ALL", "PATH", "PWD", "SUDO_UID", "SUDO_USER"}
INCLUDE = re.compile(r"(?m)^\. \./(\S+)$")


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_good_grammar(sh: Sh, name: str) -> None:
    done = subprocess.run([*sh.words, "-n", "-c", read_script(name)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_what_python_decides_is_assigned(name: str) -> None:
    text = read_script(name)
    assert not INCLUDE.search(text)
    # Not in single quotes, where other languages have their own.
    named = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", re.sub(r"'[^']*'", "''", text)))
    assert named - set(re.findall(r"(?:^|\s)([A-Z_]+)=", text)) <= OF_THE_HOST


def test_every_script_is_used() -> None:
    included = {name for each in NAMES for name in INCLUDE.findall((FOLDER / each).read_text())}
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    read = {name for text in texts for name in re.findall(r'read_script\("([^"]+)"\)', text)}
    assert included | read == set(NAMES)


def test_a_part_that_is_needed_twice_comes_once() -> None:
    assert read_script("nodes/signal.sh").count("\njudge() {") == 1


def test_values_are_quoted(sh: Sh) -> None:
    script = assigned(one="it's $HOME; `id`", two=3) + given("a b", "$(id)") + 'printf "%s|" "$one" "$two" "$@"'
    assert sh.run(script, "not", "these").stdout == "it's $HOME; `id`|3|a b|$(id)|"
