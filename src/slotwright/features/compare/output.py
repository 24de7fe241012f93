"""The JSON of `compare`; a migration's has it, too."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING

from slotwright.console.output import Output
from slotwright.keys.model.comparison import KeyVerdict

if TYPE_CHECKING:
    from slotwright.keys.model.comparison import Compared, Comparison, Load, SideFacts


class SideOutput(Output, frozen=True, kw_only=True):
    """The source or the target; ``keys`` by database."""

    name: str
    version: str
    cluster: bool
    addresses: tuple[str, ...]
    keys: dict[str, int]


class ComparedKeyOutput(Output, frozen=True, kw_only=True):
    """A key that differs or can't be compared; ``key_base64`` has all of its bytes."""

    database: int
    key: str
    key_base64: str
    slot: int
    type: str
    verdict: str
    aspects: tuple[str, ...]
    what: str


class SourceLoadOutput(Output, frozen=True, kw_only=True):
    """How long commands waited for their turn on the source meanwhile."""

    samples: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    longest_batch_ms: float
    limit_ms: float
    slowed_s: float


class ComparisonOutput(Output, frozen=True, kw_only=True):
    """`compare`; ``keys`` by verdict, ``types`` and ``slots`` the same for each type and slot, ``aspects`` how many
    keys differ in what."""

    equal: bool
    source: SideOutput
    target: SideOutput
    keys: dict[str, int]
    types: dict[str, dict[str, int]]
    slots: dict[str, dict[str, int]]
    aspects: dict[str, int]
    examples: tuple[ComparedKeyOutput, ...]
    seconds: float
    keys_per_s: int
    source_load: SourceLoadOutput


def comparison_output(comparison: Comparison) -> ComparisonOutput:
    """`compare`."""
    return ComparisonOutput(
        equal=comparison.is_equal,
        source=_side_output(comparison.source),
        target=_side_output(comparison.target),
        keys={verdict.value: comparison.count(verdict) for verdict in KeyVerdict},
        types={kind: _by_verdict(counts) for kind, counts in comparison.by_type().items()},
        slots={str(slot): _by_verdict(counts) for slot, counts in comparison.by_slot().items()},
        aspects={aspect.value: number for aspect, number in sorted(comparison.aspects.items()) if number},
        examples=tuple(map(_key_output, comparison.examples)),
        seconds=round(comparison.seconds, 3),
        keys_per_s=round(comparison.keys_per_s),
        source_load=_load_output(comparison.load),
    )


def _side_output(side: SideFacts) -> SideOutput:
    return SideOutput(
        name=side.name,
        version=side.version.title,
        cluster=side.is_cluster,
        addresses=tuple(map(str, side.addresses)),
        keys={str(database): keys for database, keys in side.keys.items()},
    )


def _by_verdict(counts: Mapping[KeyVerdict, int]) -> dict[str, int]:
    return {verdict.value: number for verdict, number in counts.items()}


def _key_output(compared: Compared) -> ComparedKeyOutput:
    database, key = compared.named
    return ComparedKeyOutput(
        database=database,
        key=key.decode(errors="backslashreplace"),
        key_base64=base64.b64encode(key).decode(),
        slot=compared.slot,
        type=compared.type,
        verdict=compared.verdict.value,
        aspects=tuple(aspect.value for aspect in compared.aspects),
        what=compared.words,
    )


def _load_output(load: Load) -> SourceLoadOutput:
    return SourceLoadOutput(
        samples=load.samples,
        p50_ms=round(load.p50, 3),
        p99_ms=round(load.p99, 3),
        worst_ms=round(load.worst, 3),
        longest_batch_ms=round(load.longest_batch, 3),
        limit_ms=load.limit,
        slowed_s=round(load.slowed_s, 3),
    )
