"""A canary that failed is no cause: beside one that is told it is the evidence, else it is told itself."""

from __future__ import annotations

import pytest

from slotwright.cluster.findings import Finding, Severity
from slotwright.ops.canary import with_canaries

OOM = "OOM command not allowed when used memory > 'maxmemory'."


def canary(where: str, seen: str) -> Finding:
    return Finding("canary-failed", Severity.SERIOUS, where, "a key could not be written", "look", seen)


def told(findings: tuple[Finding, ...]) -> list[str]:
    return [f"{found.severity} {found.code} {found.where}" for found in findings]


@pytest.mark.parametrize(
    ("code", "severity", "where", "seen", "is_cause"),
    [
        ("memory-near-limit", "warning", "h1:7001", OOM, True),
        ("memory-near-limit", "warning", "h2:7001", OOM, False),
        ("persistence-failing", "serious", "h1:7001", OOM, False),
        ("replicas-required", "serious", "h1:7001", "NOREPLICAS Not enough good replicas to write.", True),
        ("persistence-failing", "serious", "h1:7001", "MISCONF Errors writing to the AOF file", True),
        ("open-slot", "warning", "slot 7", "TRYAGAIN Multiple keys request during rehashing of slot", True),
        ("announced-wrong", "serious", "h1:7001", "127.0.99.99:7001 can't be reached", True),
        ("bus-link-down", "serious", "demo", "CLUSTERDOWN The cluster is down", True),
        ("id-shared", "serious", "h1:7001 and h1:7003", "the write was led to h1:7003", True),
        ("node-down", "serious", "h3:7002", "ERR something", False),
        ("disk-filling", "warning", "h1:7001", "ERR something", False),
        ("unknown-node", "note", "demo", "ERR something", False),
    ],
)
def test_a_canary_beside_a_cause(code: str, severity: str, where: str, seen: str, is_cause: bool) -> None:
    cause = Finding(code, Severity(severity), where, "what", "remedy", "before")
    found = with_canaries("demo", (cause,), (canary("h1:7001", seen),))
    if is_cause:
        assert told(found) == [f"serious {code} {where}"], "clients are refused now"
        assert found[0].seen == f"before; a key could not be written: {seen}"
    else:
        assert told(found)[0] == "serious canary-failed h1:7001"
        assert len(found) == 2 and cause in found


def test_one_canary_is_no_cause_of_another() -> None:
    failed = (canary("h1:7001", "ERR x"), canary("h1:7001", "ERR x"))
    assert told(with_canaries("demo", (), failed)) == ["serious canary-failed h1:7001"] * 2
