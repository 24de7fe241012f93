"""The JSON of `drill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import FindingOutput, Output, finding_outputs

if TYPE_CHECKING:
    from slotwright.features.drill.api import Drill, ShardOutage

_MOST_LOST_KEYS = 100


class ShardOutageOutput(Output, frozen=True, kw_only=True):
    """What clients of one shard saw; ``now`` and ``promoted_s`` are null where nobody took over."""

    shard: int
    was: str
    now: str | None
    promoted_s: float | None
    write_outage_s: float | None
    read_outage_s: float | None


class WritesOutput(Output, frozen=True, kw_only=True):
    """What became of the writes."""

    acknowledged: int
    refused: int
    indeterminate: int
    lost: int


class DrillOutput(Output, frozen=True, kw_only=True):
    """`drill`; ``whole_s`` is null where the cluster was not sound again."""

    name: str
    passed: bool
    nodes: tuple[str, ...]
    frozen: bool
    planned: bool
    rate: float
    shards: tuple[ShardOutageOutput, ...]
    whole_s: float | None
    writes: WritesOutput
    lost_keys: tuple[str, ...]
    findings: tuple[FindingOutput, ...]


def drill_output(drill: Drill) -> DrillOutput:
    """`drill`."""
    return DrillOutput(
        name=drill.name,
        passed=drill.is_passed,
        nodes=tuple(map(str, drill.victims.nodes)),
        frozen=drill.options.is_freeze,
        planned=drill.options.is_planned,
        rate=drill.options.rate,
        shards=tuple(map(_shard_output, drill.shards)),
        whole_s=_rounded(drill.whole_s),
        writes=WritesOutput(
            acknowledged=drill.acknowledged,
            refused=drill.refused,
            indeterminate=drill.indeterminate,
            lost=len(drill.lost),
        ),
        lost_keys=drill.lost[:_MOST_LOST_KEYS],
        findings=finding_outputs(drill.verdict.findings),
    )


def _shard_output(shard: ShardOutage) -> ShardOutageOutput:
    return ShardOutageOutput(
        shard=shard.shard,
        was=str(shard.was),
        now=str(shard.now) if shard.now else None,
        promoted_s=_rounded(shard.promoted_s),
        write_outage_s=_rounded(shard.write_outage_s),
        read_outage_s=_rounded(shard.read_outage_s),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
