"""What several modules of these tests stand on."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.shells import SHELLS, Sh


@pytest.fixture(params=SHELLS, ids=lambda words: words[0])
def sh(request: pytest.FixtureRequest) -> Sh:
    if shutil.which(request.param[0]) is None:
        pytest.skip(f"no {request.param[0]} here")
    return Sh(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A name that a careless script would split or expand."""
    return tmp_path / "a node's $HOME *" / "n 1"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that other users can go through, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)
