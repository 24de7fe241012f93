"""What `--json` writes, as types: those that several verbs share. The verbs' own are in ``features/*/output.py``.

They stand apart from the results, and each is filled field by field: what is renamed inside breaks the filling here,
which mypy sees, and no program that reads JSON. Names, order and types of the fields are promised (docs/json.md):
they change only together with ``FORMAT`` of ``console/json.py``. The schema, docs/json-types.md and the golden files
of tests/unit/output are made from these types.

Fields hold plain values (text, numbers, tuples, other output types), so that nothing from inside is encoded as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from slotwright.cluster.findings import Finding
from slotwright.cluster.steps import Refusal
from slotwright.cluster.survey import Survey, SurveyNode

if TYPE_CHECKING:
    from slotwright.ops.verify import Verdict


class Output(Struct, frozen=True):
    """Something that is written as a JSON object."""


class FindingOutput(Output, frozen=True, kw_only=True):
    """One thing that a check saw."""

    code: str
    severity: str
    where: str
    what: str
    remedy: str
    seen: str
    risk: str


class RefusalOutput(Output, frozen=True, kw_only=True):
    """One thing that can't be done now, why, and the way there."""

    what: str
    why: str
    hint: str


class NodeOutput(Output, frozen=True, kw_only=True):
    """One node of `status`; what an unreachable node would have to tell itself is null."""

    id: str
    address: str
    port: int | None
    host: str | None
    role: str
    shard: int | None
    slots: tuple[str, ...]
    replica_of: str | None
    link: str | None
    lag_bytes: int | None
    keys: int | None
    used_bytes: int | None
    version: str | None
    reachable: bool
    trouble: str


class StatusOutput(Output, frozen=True, kw_only=True):
    """`status`: the nodes, shard by shard."""

    name: str
    mode: str
    state: str
    slots_covered: int
    nodes: tuple[NodeOutput, ...]


class CheckOutput(Output, frozen=True, kw_only=True):
    """`check`: the proof, or the findings."""

    name: str
    ok: bool
    state: str
    slots_covered: int
    proved: bool
    findings: tuple[FindingOutput, ...]
    unjudged: tuple[str, ...]


def finding_outputs(findings: Iterable[Finding]) -> tuple[FindingOutput, ...]:
    """Findings, in their order."""
    return tuple(
        FindingOutput(
            code=finding.code,
            severity=finding.severity.value,
            where=finding.where,
            what=finding.what,
            remedy=finding.remedy,
            seen=finding.seen,
            risk=finding.risk,
        )
        for finding in findings
    )


def refusal_outputs(refusals: Iterable[Refusal]) -> tuple[RefusalOutput, ...]:
    """Refusals, in their order."""
    return tuple(RefusalOutput(what=refusal.what, why=refusal.why, hint=refusal.hint) for refusal in refusals)


def status_output(survey: Survey, *, name: str | None = None) -> StatusOutput:
    """`status`. ``name``: what the cluster is called instead."""
    return StatusOutput(
        name=survey.name if name is None else name,
        mode=survey.mode.value,
        state=survey.state.value,
        slots_covered=len(survey.served),
        nodes=tuple(map(_node_output, survey.nodes)),
    )


def _node_output(node: SurveyNode) -> NodeOutput:
    return NodeOutput(
        id=node.id,
        address=node.place,
        port=node.address.port if node.address else None,
        host=node.address.host if node.address else None,
        role=node.role.value,
        shard=node.shard,
        slots=node.slots.texts(),
        replica_of=node.replica_of,
        link=node.link.value if node.link else None,
        lag_bytes=node.lag_bytes,
        keys=node.keys,
        used_bytes=node.used_bytes,
        version=str(node.version) if node.version else None,
        reachable=node.is_reachable,
        trouble=node.trouble,
    )


def check_output(verdict: Verdict) -> CheckOutput:
    """`check`."""
    return CheckOutput(
        name=verdict.survey.name,
        ok=verdict.is_ok,
        state=verdict.survey.state.value,
        slots_covered=len(verdict.survey.served),
        proved=verdict.is_proved and verdict.is_ok,
        findings=finding_outputs(verdict.findings),
        unjudged=verdict.unjudged,
    )
