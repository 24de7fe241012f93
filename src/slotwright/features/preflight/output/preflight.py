"""The JSON of `preflight`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.cluster.findings import Severity
from slotwright.console.output import FindingOutput, Output, finding_outputs
from slotwright.features.preflight.output.host import HostOutput, host_output

if TYPE_CHECKING:
    from slotwright.features.preflight.api import Preflight
    from slotwright.features.preflight.run import TuningResult


class TuningOutput(Output, frozen=True, kw_only=True):
    """What `--fix` did on a host."""

    host: str
    did: tuple[str, ...]
    troubles: tuple[str, ...]


class PreflightOutput(Output, frozen=True, kw_only=True):
    """`preflight`; ``ready``: no serious finding."""

    name: str
    ready: bool
    pairs_tried: int
    hosts: tuple[HostOutput, ...]
    changed: tuple[TuningOutput, ...]
    findings: tuple[FindingOutput, ...]


def preflight_output(result: Preflight) -> PreflightOutput:
    """`preflight`."""
    clocks = dict(result.clocks)
    return PreflightOutput(
        name=result.name,
        ready=not any(finding.severity is Severity.SERIOUS for finding in result.findings),
        pairs_tried=result.pairs,
        hosts=tuple(host_output(profile, clocks.get(profile.host)) for profile in result.profiles),
        changed=tuple(map(_tuning_output, result.mended)),
        findings=finding_outputs(result.findings),
    )


def _tuning_output(outcome: TuningResult) -> TuningOutput:
    return TuningOutput(host=outcome.tuning.host, did=outcome.changes_made, troubles=outcome.troubles)
