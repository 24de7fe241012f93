"""What goes into a bundle, without any download."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from slotwright.adapters.bundle.texts import install_script, readme
from slotwright.adapters.bundle.topology import bundled_topology
from slotwright.adapters.engines.bundled import BUNDLE_VARIABLE, bundle_folder, bundled_wheels
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.adapters.topology.file import load_topology
from slotwright.app.context import Context
from slotwright.errors import InputError, RefusedError
from slotwright.features.bundle.api import make_bundle

HOSTS = """\
name: cache            # the shop's
hosts:
  - {address: 10.0.0.1, ssh: {user: root}}
  - {address: 10.0.0.2, ssh: {user: root}}
  - {address: 10.0.0.3, ssh: {user: root}}
ports: [7001, 7002]
"""


def topology(folder: Path, text: str) -> Path:
    path = folder / "cluster.yaml"
    path.write_text(HOSTS + text)
    return path


def test_a_file_without_secrets_is_taken_as_it_is(tmp_path: Path) -> None:
    path = topology(tmp_path, "engine: {kind: valkey, from: embedded}\npassword: {env: CACHE_PASSWORD}\n")
    assert bundled_topology(load_topology(path), "") == (path.read_text(), ())


def test_an_inline_password_is_taken_out_and_nothing_else(tmp_path: Path) -> None:
    path = topology(tmp_path, "engine: {kind: valkey, from: embedded}\npassword: canary-7d1f\n")
    try:
        loaded = load_topology(path)
    except InputError:
        path = topology(tmp_path, "engine: {kind: valkey, from: embedded}\npassword: {inline: canary-7d1f}\n")
        loaded = load_topology(path)
    text, (note,) = bundled_topology(loaded, "")
    assert "canary" not in text + note and "CACHE_PASSWORD" in text and "CACHE_PASSWORD" in note
    assert "# the shop's" in text
    (tmp_path / "again.yaml").write_text(text)
    assert load_topology(tmp_path / "again.yaml").topology.hosts == loaded.topology.hosts


def test_the_tarball_is_found_beside_the_bundled_file(tmp_path: Path) -> None:
    path = topology(
        tmp_path, "engine: {kind: redis, from: /somewhere/redis-7.4.1.tar.gz}\npassword: {env: CACHE_PASSWORD}\n"
    )
    text, notes = bundled_topology(load_topology(path), "engines/redis-7.4.1.tar.gz")
    assert "from: ./engines/redis-7.4.1.tar.gz" in text and notes == ()
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "cluster.yaml").write_text(text)
    engine = load_topology(tmp_path / "bundle" / "cluster.yaml").topology.engine
    assert Path(engine.directory) == tmp_path / "bundle" / "engines" / "redis-7.4.1.tar.gz"


def test_a_folder_that_exists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(RefusedError) as caught:
        asyncio.run(make_bundle(Context(StateDirectory(tmp_path)), None, tmp_path / "there"))
    assert caught.value.code == "folder-exists"


def test_the_bundle_is_what_the_variable_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BUNDLE_VARIABLE, str(tmp_path))
    assert bundle_folder() == tmp_path
    assert bundled_wheels() is None
    (tmp_path / "wheels").mkdir()
    assert bundled_wheels() == tmp_path / "wheels"


@pytest.mark.parametrize("shell", ["dash -n", "bash --posix -n", "busybox sh -n"])
def test_the_installer_is_posix(shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"no {words[0]} on this machine")
    script = install_script(("x86_64", "aarch64"), ("3.11", "3.12"))
    assert "\nPYTHONS='python3.11 python3.12' MACHINES='x86_64 aarch64'\n" in script
    done = subprocess.run(words, input=script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def installer(folder: Path) -> Path:
    bundle = folder / "bundle"
    bundle.mkdir()
    (bundle / "install.sh").write_text(install_script(("x86_64",), ("3.11",)))
    (bundle / "README.txt").write_text(readme("1", ("x86_64",), ("3.11",), "", "valkey", ("a note",)))
    done = subprocess.run("sha256sum *", shell=True, cwd=bundle, capture_output=True, text=True, check=True)
    (bundle / "SHA256SUMS").write_text(done.stdout)
    return bundle


def install(bundle: Path, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words = ["sh", str(bundle / "install.sh"), str(target)]
    return subprocess.run(words, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_a_damaged_bundle_is_not_installed(tmp_path: Path) -> None:
    bundle = installer(tmp_path)
    (bundle / "README.txt").write_text("changed")
    done = install(bundle, tmp_path / "target")
    assert done.returncode == 1 and "README.txt: FAILED" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    bundle = installer(tmp_path)
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "precious").write_text("")
    done = install(bundle, tmp_path / "target")
    assert done.returncode == 1 and "not empty" in done.stderr
    assert (tmp_path / "target" / "precious").exists()


def test_secrets_of_modules_stay_out_of_the_bundled_file(tmp_path: Path) -> None:
    settings = "settings: {maxmemory: 64mb, search-oss-global-password: hunter2}\n"
    path = topology(tmp_path, f"engine: {{kind: redis, from: path}}\npassword: {{env: CACHE_PASSWORD}}\n{settings}")
    text, notes = bundled_topology(load_topology(path), "")
    assert "hunter2" not in text and "maxmemory: 64mb" in text
    assert notes == ("the setting search-oss-global-password was taken out of the file: it is a secret",)
