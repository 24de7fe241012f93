"""A plan of a migration: what can't work, what will be done, and how long it will take. Nothing is changed by it."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import Address
from slotwright.features.migrate.model.command_sample import CommandSample
from slotwright.features.migrate.model.surveys import SourceSurvey, TargetSurvey
from slotwright.keys.model.databases import DatabaseMap


@dataclass(frozen=True, slots=True)
class MigrationRates:
    """What a migration was measured to do, and where (``basis``): keys and bytes of the source's memory a second, keys
    compared a second, and the pause of writes at the cutover."""

    keys_per_s: float
    bytes_per_s: float
    compared_per_s: float
    pause_s: float
    basis: str


@dataclass(frozen=True, slots=True)
class MigrationOptions:
    """What the operator decided: the databases, the codes of serious findings that he takes upon himself, and whether
    it is cut over as soon as it is ready."""

    databases: DatabaseMap = field(default_factory=DatabaseMap)
    accepted: frozenset[str] = frozenset()
    cuts_over: bool = False


@dataclass(frozen=True, slots=True)
class PrimaryShare:
    """What one primary gets: ``share`` of the keys' memory (0 to 1), and what it will use then. ``limit_bytes`` is its
    maxmemory, 0 for none."""

    address: Address
    share: float
    added_bytes: int
    used_bytes: int
    limit_bytes: int

    @property
    def expected_bytes(self) -> int:
        """Used when the copy is done."""
        return self.used_bytes + self.added_bytes


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """``kind`` is stable: attach, functions, copy, follow, compare, cutover, clients. ``took_s`` is an
    estimate, None where there is none."""

    kind: str
    what: str
    took_s: float | None = None


@dataclass(frozen=True, slots=True)
class Blocking:
    """How long one big key would hold a server up, estimated: ``dump_s`` the source, if its value has to be asked for;
    ``restore_s`` the primary that takes it."""

    dump_s: float
    restore_s: float


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """``shares`` stand in the order of slots, ``steps`` in that in which they are done, findings gravest first."""

    source: SourceSurvey
    target: TargetSurvey
    options: MigrationOptions
    sample: CommandSample | None
    findings: tuple[Finding, ...]
    steps: tuple[PlannedStep, ...]
    shares: tuple[PrimaryShare, ...]
    blocking: tuple[Blocking | None, ...]
    rates: MigrationRates

    @property
    def is_refused(self) -> bool:
        """Something stands in its way: nothing is begun."""
        return bool(self.blockers)

    @property
    def blockers(self) -> tuple[Finding, ...]:
        """What stands in its way."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.SERIOUS)
