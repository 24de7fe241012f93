"""What is made once a run, and not once a worker."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, worker: str, name: str, make: Callable[[Path], None]) -> Path:
    """The folder ``name``, which ``make`` filled for the worker that was the first to ask; the others wait for it.

    It is for looking only. Where ``make`` fails or skips, the next worker tries again."""
    base = factory.getbasetemp() if worker == "master" else factory.getbasetemp().parent
    folder, done = base / name, base / f"{name}.done"
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir(exist_ok=True)
            make(folder)
            done.touch()
    return folder
