"""Texts that come with the package: shell scripts and templates, each a file of its own language."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

_folder = cache(files)


def read_text(package: str, name: str) -> str:
    """The file ``name``, a path with slashes, in the folder of ``package``. Raises FileNotFoundError."""
    return _folder(package).joinpath(name).read_text(encoding="utf-8")
