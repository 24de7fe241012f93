"""`client`: the text of a configuration is the whole answer, so that it can be put into its file as it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.screen import out, table
from slotwright.model.client import ClientConfig

if TYPE_CHECKING:
    from slotwright.planning.clients.kind import Kind


def show_config(config: ClientConfig) -> None:
    """Where it goes and what it needs stands in its first lines, as comments."""
    for file in config.files:
        out(file.text.rstrip("\n"))


def show_written(config: ClientConfig, paths: Sequence[Path]) -> None:
    """For ``-o``."""
    for path in paths:
        out(f"wrote {path}")
    out("", f"  needs  {config.dependency}")
    if config.environment:
        out(f"         the variable {', '.join(config.environment)}, with the password")


def show_kinds(kinds: Sequence[Kind]) -> None:
    """`client list`."""
    rows = [
        (kind.name, kind.title, kind.tried if kind.is_run else f"{kind.tried}, by its documentation") for kind in kinds
    ]
    table(("kind", "client", "tried with"), rows)


def config_json(config: ClientConfig, written: Sequence[Path] | None) -> dict[str, Any]:
    """`client KIND`."""
    return {
        "kind": config.kind,
        "title": config.title,
        "dependency": config.dependency,
        "env": list(config.environment),
        "files": [{"name": file.name, "language": file.language, "text": file.text} for file in config.files],
        "written": None if written is None else [str(path) for path in written],
    }


def kinds_json(kinds: Sequence[Kind]) -> dict[str, Any]:
    """`client list`."""
    return {
        "kinds": [
            {"kind": kind.name, "title": kind.title, "tried": kind.tried, "run_in_tests": kind.is_run} for kind in kinds
        ]
    }
