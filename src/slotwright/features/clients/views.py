"""`client`: the text of a configuration is the whole answer, so that it can be put into its file as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.console.screen import out, table
from slotwright.features.clients.model import ClientConfig

if TYPE_CHECKING:
    from slotwright.features.clients.configs.kind import ClientKind


def show_config(config: ClientConfig) -> None:
    """Where it goes and what it needs stands in its first lines, as comments."""
    for file in config.files:
        out(file.text.rstrip("\n"))
    _show_left_out(config)


def _show_left_out(config: ClientConfig) -> None:
    """On stderr: the answer is a file."""
    for line in config.left_out:
        print(f"address-not-valid: {line}; it is not in the configuration (slotwright check)", file=sys.stderr)


def show_written(config: ClientConfig, paths: Sequence[Path]) -> None:
    """For ``-o``."""
    for path in paths:
        out(f"wrote {path}")
    out("", f"  needs  {config.dependency}")
    if config.environment:
        out(f"         the variable {', '.join(config.environment)}, with the password")
    _show_left_out(config)


def show_kinds(kinds: Sequence[ClientKind]) -> None:
    """`client list`."""
    rows = [
        (kind.name, kind.title, kind.tried if kind.is_run else f"{kind.tried}, by its documentation") for kind in kinds
    ]
    table(("kind", "client", "tried with"), rows)
