"""An archive is read back to its end, and an append-only file must be whole in it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from slotwright.errors import HostError
from slotwright.features.archive.api import _read_back

MANIFEST = "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.2.incr.aof seq 2 type i\n"


def packed(folder: Path, *names: str) -> Path:
    (folder / "aof").mkdir()
    for name in names:
        (folder / "aof" / name).write_text(MANIFEST if name.endswith("manifest") else "data")
    file = folder / "node.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        tar.add(folder / "aof", arcname="./aof")
    return file


def test_all_parts_are_there(tmp_path: Path) -> None:
    file = packed(tmp_path, "a.aof.manifest", "a.aof.1.base.rdb", "a.aof.2.incr.aof")
    assert _read_back(file) == (3, "")


def test_a_part_that_was_rewritten_away(tmp_path: Path) -> None:
    file = packed(tmp_path, "a.aof.manifest", "a.aof.1.base.rdb", "a.aof.3.incr.aof")
    assert _read_back(file) == (3, "aof/a.aof.2.incr.aof")


def test_a_cut_archive(tmp_path: Path) -> None:
    file = packed(tmp_path, "a.aof.manifest")
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(HostError) as caught:
        _read_back(file)
    assert caught.value.code == "archive-damaged"
