"""The JSON of `adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import FindingOutput, Output, StatusOutput, finding_outputs, status_output

if TYPE_CHECKING:
    from slotwright.cluster.record import ClusterRecord
    from slotwright.features.adopt.api import Adopted


class AdoptOutput(Output, frozen=True, kw_only=True):
    """`adopt`; ``topology`` is the file's text, which never holds the password."""

    name: str
    file: str | None
    topology: str
    settings: dict[str, str]
    findings: tuple[FindingOutput, ...]
    status: StatusOutput


class ForgetOutput(Output, frozen=True, kw_only=True):
    """`adopt --forget`."""

    name: str
    forgotten: bool
    file: str | None


def adopt_output(adopted: Adopted) -> AdoptOutput:
    """`adopt`. The status has the name that the cluster has from now on."""
    name = adopted.record.name
    return AdoptOutput(
        name=name,
        file=str(adopted.path) if adopted.path else None,
        topology=adopted.text,
        settings=dict(adopted.record.settings),
        findings=finding_outputs(adopted.findings),
        status=status_output(adopted.verdict.survey, name=name),
    )


def forget_output(record: ClusterRecord) -> ForgetOutput:
    """`adopt --forget`."""
    return ForgetOutput(name=record.name, forgotten=True, file=record.topology_path or None)
