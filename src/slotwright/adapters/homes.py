"""``~`` and ``~name`` in paths that people write. A process may have no home: no HOME, and a uid that nobody knows."""

from __future__ import annotations

from pathlib import Path

from slotwright.errors import InputError


def expand_home(text: str | Path) -> Path:
    """The path with ``~`` expanded. Raises InputError (home-unknown)."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        name = str(text).partition("/")[0]
        raise InputError(
            f"the home folder that {name} stands for is not known",
            code="home-unknown",
            where=str(text),
            left="nothing was changed",
            hint="write the path out, or set HOME",
        ) from error
