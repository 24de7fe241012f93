"""Replicas that their primary does not let in: the cause, how fast their logs grow for it, and until when."""

from __future__ import annotations

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import LoginFault
from slotwright.cluster.sizes import shown_bytes
from slotwright.cluster.survey import SurveyNode
from slotwright.health.check_context import CheckContext
from slotwright.hosts.facts.exam import exam_of
from slotwright.server.server_log import reconnect_rate

FLOOD_BYTES_PER_S = 1024
"""Below it a log is no flood: 84 MB a day."""

FAR_S = 30 * 86400
"""A disk that lasts longer than this is not foretold."""


def login_finding(case: CheckContext, node: SurveyNode, fault: LoginFault) -> Finding:
    """A replica without the right password for its primary."""
    missing = fault is LoginFault.MISSING
    cause = "masterauth is empty" if missing else "its masterauth was tried on the primary and refused"
    flood, until = _flood(case, node)
    fills = f"its log fills the disk{until}" if until or not case.exams else "its log grows"
    return Finding(
        "replica-auth-missing" if missing else "replica-auth-rejected",
        Severity.SERIOUS,
        node.place,
        "the replica has no password for its primary" if missing else "the replica's password for its primary is wrong",
        case.repair("CONFIG SET masterauth on it, then CONFIG REWRITE") + " (sets masterauth; nothing restarts)",
        seen=cause + (f"; {flood}" if flood else ""),
        risk=f"{node.shard_title} has one copy less; the replica reconnects for ever and {fills}",
    )


def _flood(case: CheckContext, node: SurveyNode) -> tuple[str, str]:
    """The growth of its log, and until when the disk bears it; "" where it is not known or is no flood."""
    exam = exam_of(case.exams, node.address)
    rate = reconnect_rate(exam.log_tail) if exam else None
    if exam is None or rate is None or rate.bytes_per_s < FLOOD_BYTES_PER_S:
        return "", ""
    flood = f"its log grows by {_per_second(rate.bytes_per_s)}, {rate.lines_per_s:,.0f} lines a second"
    lasts_s = exam.free_bytes / rate.bytes_per_s if exam.free_bytes is not None else FAR_S
    return flood, f" in about {_span(lasts_s)}" if lasts_s < FAR_S else ""


def _per_second(count: float) -> str:
    return f"{shown_bytes(int(count))}/s" if count >= 2**20 else f"{count / 1024:.0f} KB/s"


def _span(seconds: float) -> str:
    for name, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
