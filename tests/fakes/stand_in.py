"""A process that passes for a server: called like one, working in a node's folder, and doing nothing."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path


@cache
def program(name: str = "redis-server") -> str:
    """A copy of ``sleep`` under the name of a server, for as long as this process of pytest lives."""
    folder = Path(_FOLDER.name)
    copy = folder / name
    shutil.copy2(shutil.which("sleep") or "/bin/sleep", copy)
    return str(copy)


_FOLDER = tempfile.TemporaryDirectory(prefix="slotwright-stand-in-")
Path(_FOLDER.name).chmod(0o755)


def start(folder: Path, *, name: str = "redis-server", user: int | None = None) -> subprocess.Popen[bytes]:
    """One that works in ``folder``; returns when it has become the program. ``user``: as somebody else, as root may."""
    return subprocess.Popen([program(name), "60"], cwd=folder, user=user, start_new_session=True)


@contextmanager
def running(folder: Path, *, name: str = "redis-server", user: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The same, ended by its pid when this is left."""
    process = start(folder, name=name, user=user)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
