"""The JSON of `exec`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from slotwright.console.output import Output

if TYPE_CHECKING:
    from slotwright.features.preflight.exec import Ran


class RanOutput(Output, frozen=True, kw_only=True):
    """What the command came to on one host; ``status`` is null where it was not reached or not done in time."""

    host: str
    status: int | None
    output: str
    complaint: str


class ExecOutput(Output, frozen=True, kw_only=True):
    """`exec`."""

    hosts: tuple[RanOutput, ...]


def exec_output(done: Iterable[Ran]) -> ExecOutput:
    """`exec`."""
    return ExecOutput(
        hosts=tuple(
            RanOutput(host=ran.host, status=ran.status, output=ran.output, complaint=ran.complaint) for ran in done
        )
    )
