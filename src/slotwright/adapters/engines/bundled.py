"""Where the bundle is that this slotwright was installed from, if it was."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from slotwright.adapters.homes import expand_home

BUNDLE_VARIABLE = "SLOTWRIGHT_BUNDLE"


def bundle_folder() -> Path | None:
    """``SLOTWRIGHT_BUNDLE``, else what the bundle's ``install.sh`` left beside the program; None without either."""
    chosen = os.environ.get(BUNDLE_VARIABLE)
    if chosen:
        return expand_home(chosen).absolute()
    left = Path(sys.prefix) / "share" / "slotwright" / "bundle"
    return left if left.is_dir() else None


def bundled_wheels() -> Path | None:
    """The bundle's folder of wheels."""
    folder = bundle_folder()
    return folder / "wheels" if folder is not None and (folder / "wheels").is_dir() else None
