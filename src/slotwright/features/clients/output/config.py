"""The JSON of `client KIND` and `client list`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.console.output import Output
from slotwright.features.clients.model import ClientConfig

if TYPE_CHECKING:
    from slotwright.features.clients.configs.kind import ClientKind


class ClientFileOutput(Output, frozen=True, kw_only=True):
    """A file, by its place in a project of that kind."""

    name: str
    language: str
    text: str


class ClientConfigOutput(Output, frozen=True, kw_only=True):
    """`client KIND`; ``env`` are the variables that the application needs, ``written`` the paths with `-o`."""

    kind: str
    title: str
    dependency: str
    env: tuple[str, ...]
    left_out: tuple[str, ...]
    files: tuple[ClientFileOutput, ...]
    written: tuple[str, ...] | None


class ClientKindOutput(Output, frozen=True, kw_only=True):
    """One kind; ``tried`` is the version that the tests run, or that the documentation was read of."""

    kind: str
    title: str
    tried: str
    run_in_tests: bool


class ClientKindsOutput(Output, frozen=True, kw_only=True):
    """`client list`."""

    kinds: tuple[ClientKindOutput, ...]


def config_output(config: ClientConfig, written: Sequence[Path] | None) -> ClientConfigOutput:
    """`client KIND`."""
    return ClientConfigOutput(
        kind=config.kind,
        title=config.title,
        dependency=config.dependency,
        env=config.environment,
        left_out=config.left_out,
        files=tuple(ClientFileOutput(name=file.name, language=file.language, text=file.text) for file in config.files),
        written=None if written is None else tuple(map(str, written)),
    )


def kinds_output(kinds: Iterable[ClientKind]) -> ClientKindsOutput:
    """`client list`."""
    return ClientKindsOutput(
        kinds=tuple(
            ClientKindOutput(kind=kind.name, title=kind.title, tried=kind.tried, run_in_tests=kind.is_run)
            for kind in kinds
        )
    )
