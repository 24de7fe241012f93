"""What tests are told of servers that are not here, `make test` on a machine that has none, and what it leaves out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines import chosen
from tests.extent import ALL, REDUCED, VARIABLE, example_count, is_reduced
from tests.passed import OPTION

ROOT = Path(__file__).parents[2]
SERVER = "#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=libc bits=64 build=1'\n"
ASKED = "from tests import engines; print(engines.engine('redis-7.0').binary)"
MODULE = """
import pytest
from pathlib import Path

@pytest.fixture(scope="module")
def tool():
    if not Path("tool").exists():
        pytest.skip("no tool")

def test_first(tool): pass
def test_second(tool): pass
def test_without(): pass
@pytest.mark.skip(reason="not on a Sunday")
def test_never(): pass
"""
CONFTEST = """
from tests.passed import OPTION, PassedTests

def pytest_addoption(parser):
    parser.addoption(OPTION, action="store_true")

def pytest_configure(config):
    config.pluginmanager.register(PassedTests(config))
"""


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(*words: str, cwd: Path = ROOT, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    # Of pytest's plugins those that a test names: to find and import all of them takes longer than the rest.
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment[VARIABLE] = ALL
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_a_server_is_found_wherever_on_the_path_that_version_is(tmp_path: Path) -> None:
    for name, version in (("first", "6.2.14"), ("second", "7.0.15"), ("third", "7.0.99")):
        write_program(tmp_path / name / "redis-server", SERVER.format(version=version))
    folders = [str(tmp_path / name) for name in ("first", "missing", "second", "third")]
    found = run(sys.executable, "-c", ASKED, path=":".join([*folders, "/usr/bin", "/bin"]))
    assert found.stdout.strip() == str(tmp_path / "second" / "redis-server"), found.stderr


@pytest.mark.parametrize("broken", ["", "#!/bin/sh\nexit 1\n", "no program"])
def test_one_that_is_missing_or_does_not_run_is_a_skip(tmp_path: Path, broken: str) -> None:
    if broken:
        write_program(tmp_path / "redis-server", broken)
    asked = run(sys.executable, "-c", ASKED, path=str(tmp_path))
    assert asked.stderr.strip().endswith("Skipped: no redis-7.0 on this machine")


def test_what_has_not_passed_yet_can_be_run_alone(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(MODULE)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    words = (sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", f"--rootdir={tmp_path}")
    side_by_side = (*words, "-p", "xdist.plugin", "-n", "1")
    assert "1 passed, 3 skipped" in run(*side_by_side, cwd=tmp_path).stdout
    assert "1 passed, 3 skipped" in run(*words, "-p", "no:cacheprovider", cwd=tmp_path).stdout
    (tmp_path / "tool").touch()
    rest = run(*side_by_side, OPTION, cwd=tmp_path)
    assert rest.stdout.splitlines()[-1].startswith("2 passed, 1 skipped"), rest.stdout + rest.stderr
    assert "1 skipped, 3 deselected" in run(*words, OPTION, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("extent", "labels"),
    [
        ({}, ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-8.1", "valkey-9.1"]),
        ({VARIABLE: REDUCED}, ["redis-6.2", "valkey-9.1"]),
    ],
)
def test_a_reduced_run_has_the_oldest_and_the_newest_version(
    monkeypatch: pytest.MonkeyPatch, extent: dict[str, str], labels: list[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    for name, value in extent.items():
        monkeypatch.setenv(name, value)
    assert chosen() == labels
    assert chosen("redis-7.0", "valkey-9.1") == [label for label in ("redis-7.0", "valkey-9.1") if label in labels]
    assert [example_count(full) for full in (300, 10, 3)] == ([60, 5, 3] if extent else [300, 10, 3])


def test_an_extent_that_means_nothing_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "redcued")
    with pytest.raises(ValueError, match="SLOTWRIGHT_TESTS is 'redcued'"):
        is_reduced()


def test_a_path_without_servers_has_everything_else(tmp_path: Path) -> None:
    for name in ("redis-server", "redis-cli", "valkey-server", "other"):
        write_program(tmp_path / "programs" / name, f"#!/bin/sh\necho {name}\n")
    (tmp_path / "programs" / "python3").symlink_to(sys.executable)
    (tmp_path / "programs" / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    script = (
        'command -v redis-server; command -v redis-cli; other && python3 -c "import sys; print(sys.executable)"; exit 7'
    )
    done = run(".ci/without-servers", "sh", "-c", script, path=f"{tmp_path}/programs:{os.environ['PATH']}")
    assert (done.returncode, done.stderr) == (7, "")
    assert done.stdout.split() == ["other", f"{tmp_path}/programs/python3"]
