"""The machine and the programs that a measurement ran on, in one line and as JSON."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """What a figure can't be compared without."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str
    python: str
    slotwright: str
    server: str
    redis_cli: str

    def line(self) -> str:
        """For the head of a table, at most 100 columns wide."""
        text = (
            f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB; {self.kernel}; Python {self.python}; "
            f"slotwright {self.slotwright}; {self.server}; {self.redis_cli}"
        )
        return textwrap.fill(text, 100)

    def fields(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def describe(server: str, redis_cli: str) -> Environment:
    """``server`` is a title ("Valkey 9.1.2"), ``redis_cli`` a path, or "" where there is none."""
    from slotwright import __version__

    return Environment(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_gib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1024**3,
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        slotwright=__version__,
        server=server,
        redis_cli=_version(redis_cli) if redis_cli else "no redis-cli",
    )


def find_redis_cli(chosen: str) -> str:
    """The absolute path of redis-cli, "" where there is none."""
    found = shutil.which(chosen or "redis-cli")
    return str(Path(found).absolute()) if found else ""


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or "unknown CPU"
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def _version(redis_cli: str) -> str:
    result = subprocess.run([redis_cli, "--version"], capture_output=True, text=True, timeout=10, check=False)
    return result.stdout.split("(")[0].strip() or "redis-cli of an unknown version"
