"""A finding: one thing that a check saw, with what it risks and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """SERIOUS: service or data at risk now. WARNING: redundancy or a limit at risk. NOTE: worth knowing."""

    SERIOUS = "serious"
    WARNING = "warning"
    NOTE = "note"

    @property
    def rank(self) -> int:
        """0 for the gravest."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` is a stable kebab-case name; ``where`` a ``host:port``, a host, a shard or a range of slots.

    ``what`` says it in one sentence, ``seen`` is the evidence, ``risk`` what it can lead to, ``remedy`` what to do.
    """

    code: str
    severity: Severity
    where: str
    what: str
    remedy: str = ""
    seen: str = ""
    risk: str = ""


def by_gravity(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The same findings, gravest first, otherwise in a stable order of code and place."""
    return tuple(sorted(findings, key=lambda found: (found.severity.rank, found.code, found.where)))
