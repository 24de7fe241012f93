"""The JSON of `rebuild`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.output import (
    CheckOutput,
    FindingOutput,
    Output,
    StatusOutput,
    check_output,
    finding_outputs,
    status_output,
)
from slotwright.keys.model.counts import by_type, slots_in

if TYPE_CHECKING:
    from slotwright.features.rebuild.model import ShardCopy
    from slotwright.features.rebuild.phases import Rebuilt
    from slotwright.keys.copy_keys import CopiedKeys, CountedKeys


class ShardCopyOutput(Output, frozen=True, kw_only=True):
    """The old node whose folder the keys of an old shard came back from."""

    shard: int
    address: str
    slots: tuple[str, ...]
    has_data: bool
    why: str


class RebuiltKeysOutput(Output, frozen=True, kw_only=True):
    """The keys that came back, held against the old data."""

    equal: bool
    expected: int
    found: int
    expected_by_type: dict[str, int]
    found_by_type: dict[str, int]
    slots: int
    expired: int
    missing: int
    extra: int
    retyped: int
    strays_brought: int
    quarantined: int
    libraries: int
    copy_s: float


class RebuildOutput(Output, frozen=True, kw_only=True):
    """`rebuild`; ``keys`` is null with `--empty`."""

    name: str
    archive: str
    kept: tuple[str, ...]
    went_on_from: str
    copies: tuple[ShardCopyOutput, ...]
    keys: RebuiltKeysOutput | None
    findings: tuple[FindingOutput, ...]
    check: CheckOutput
    status: StatusOutput


def rebuild_output(rebuilt: Rebuilt) -> RebuildOutput:
    """`rebuild`."""
    brought, proof = rebuilt.brought, rebuilt.proof
    return RebuildOutput(
        name=rebuilt.name,
        archive=rebuilt.archive,
        kept=rebuilt.kept,
        went_on_from=rebuilt.went_on_from,
        copies=tuple(map(_copy_output, rebuilt.copies)),
        keys=None if brought is None or proof is None else _keys_output(brought, proof),
        findings=finding_outputs(rebuilt.findings),
        check=check_output(rebuilt.verdict),
        status=status_output(rebuilt.verdict.survey),
    )


def _copy_output(copy: ShardCopy) -> ShardCopyOutput:
    return ShardCopyOutput(
        shard=copy.shard,
        address=str(copy.address),
        slots=copy.slots.texts(),
        has_data=copy.has_data,
        why=copy.why,
    )


def _keys_output(brought: CopiedKeys, proof: CountedKeys) -> RebuiltKeysOutput:
    return RebuiltKeysOutput(
        equal=proof.difference.is_none,
        expected=sum(brought.expected.values()),
        found=sum(proof.found.values()),
        expected_by_type=by_type(brought.expected),
        found_by_type=by_type(proof.found),
        slots=slots_in(proof.found),
        expired=proof.expired,
        missing=len(proof.difference.missing),
        extra=len(proof.difference.extra),
        retyped=len(proof.difference.retyped),
        strays_brought=brought.strays_brought,
        quarantined=brought.quarantined,
        libraries=brought.libraries,
        copy_s=round(brought.took_s, 3),
    )
