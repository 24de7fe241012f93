"""The JSON of `failover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import FindingOutput, Output, StatusOutput, finding_outputs, status_output

if TYPE_CHECKING:
    from slotwright.features.failover.api import Failover
    from slotwright.features.failover.run import FailoverResult


class ShardFailoverOutput(Output, frozen=True, kw_only=True):
    """A replica that took over: until it was primary, and until all nodes agreed and were in sync."""

    shard: int
    primary: str
    was: str
    forced: bool
    promoted_s: float
    whole_s: float
    tries: int


class FailoverOutput(Output, frozen=True, kw_only=True):
    """`failover`; ``obstacles`` are what `--restore-plan` could not bring back."""

    name: str
    failovers: tuple[ShardFailoverOutput, ...]
    obstacles: tuple[FindingOutput, ...]
    findings: tuple[FindingOutput, ...]
    status: StatusOutput


def failover_output(result: Failover) -> FailoverOutput:
    """`failover`."""
    return FailoverOutput(
        name=result.name,
        failovers=tuple(map(_shard_output, result.done)),
        obstacles=finding_outputs(result.obstacles),
        findings=finding_outputs(result.verdict.findings),
        status=status_output(result.verdict.survey),
    )


def _shard_output(outcome: FailoverResult) -> ShardFailoverOutput:
    return ShardFailoverOutput(
        shard=outcome.step.shard,
        primary=str(outcome.step.replica),
        was=outcome.step.primary,
        forced=outcome.step.is_forced,
        promoted_s=round(outcome.promoted_s, 3),
        whole_s=round(outcome.whole_s, 3),
        tries=outcome.tries,
    )
