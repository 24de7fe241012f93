"""Source, target, sample and options -> a plan: what can't work, what will be done, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from slotwright.cluster.findings import Finding, Severity, by_gravity
from slotwright.cluster.observation import Role
from slotwright.cluster.sizes import COPY_SHARE, shown_bytes
from slotwright.cluster.topology import Mode
from slotwright.features.migrate.model.command_sample import CommandSample
from slotwright.features.migrate.model.plan import MigrationOptions, MigrationPlan, MigrationRates, PlannedStep
from slotwright.features.migrate.model.surveys import SourceSurvey, TargetSurvey
from slotwright.features.migrate.plan.big_keys import blocking_of
from slotwright.features.migrate.plan.commands import check_commands
from slotwright.features.migrate.plan.load import stream_rate
from slotwright.features.migrate.plan.source import check_source
from slotwright.features.migrate.plan.target import check_target, shares_of
from slotwright.keys.model.databases import DatabaseRule

MEASURED_RATES = MigrationRates(
    keys_per_s=120_000,
    bytes_per_s=60e6,
    compared_per_s=40_000,
    pause_s=0.1,
    basis="bench/migrate.py on two cores, under writes",
)
"""Below what was measured: an estimate that is too short is worse than one that is too long."""

_FORK_US_PER_GB = 20_000
"""Where a server has not forked yet: some 10 to 20 ms a gigabyte without huge pages."""


def plan_migration(
    source: SourceSurvey,
    target: TargetSurvey,
    options: MigrationOptions,
    sample: CommandSample | None = None,
    rates: MigrationRates = MEASURED_RATES,
) -> MigrationPlan:
    """Serious findings whose codes the operator accepted become warnings."""
    copy_s = max(source.total_keys / rates.keys_per_s, source.data_bytes / rates.bytes_per_s)
    shares = shares_of(source, target)
    result = chain(
        check_source(source, options.databases, copy_s, cuts_over=options.cuts_over),
        check_target(source, target, options, shares),
        check_commands(source, sample, keeps_databases=options.databases.rule is DatabaseRule.KEEP),
        _clients(source, target),
    )
    return MigrationPlan(
        source,
        target,
        options,
        sample,
        by_gravity(tuple(_taken_on(finding, options) for finding in result)),
        tuple(_steps(source, target, rates, copy_s)),
        shares,
        tuple(blocking_of(key) for key in source.keys.biggest),
        rates,
    )


def _taken_on(finding: Finding, options: MigrationOptions) -> Finding:
    is_taken = finding.severity is Severity.SERIOUS and finding.code in options.accepted
    return replace(finding, severity=Severity.WARNING) if is_taken else finding


def _clients(source: SourceSurvey, target: TargetSurvey) -> Iterator[Finding]:
    yield Finding(
        "clients-change",
        Severity.NOTE,
        str(source.address),
        "every client needs another configuration from the cutover on: a cluster answers MOVED, which a client of a "
        "single server does not follow",
        f"slotwright client KIND {target.name} writes it; slotwright client test {target.name} tries it",
        seen=f"{source.feeding.clients:,} connections now",
    )


def _steps(source: SourceSurvey, target: TargetSurvey, rates: MigrationRates, copy_s: float) -> Iterator[PlannedStep]:
    memory, feeding = source.memory, source.feeding
    fork_us = source.saving.last_fork_us or memory.used_bytes / 2**30 * _FORK_US_PER_GB
    extra = f"up to {shown_bytes(round(COPY_SHARE * memory.used_bytes))} more memory there while clients write"
    fork = f"about {fork_us / 1e3:.0f} ms without answering"
    size, primaries = shown_bytes(source.data_bytes), len(target.primaries)
    delay = f", after {feeding.diskless_delay_s} s of waiting for others" if feeding.is_diskless else ""
    yield PlannedStep(
        "attach",
        f"become a replica of {source.address}: it forks ({fork}){delay}; {extra}",
        fork_us / 1e6 + (feeding.diskless_delay_s if feeding.is_diskless else 0),
    )
    if source.functions:
        count = len(source.functions)
        libraries = "1 library" if count == 1 else f"{count} libraries"
        yield PlannedStep("functions", f"load {libraries} of functions on {primaries} primaries")
    yield PlannedStep(
        "copy",
        f"copy {source.total_keys:,} keys, about {size}, to {primaries} primaries",
        copy_s,
    )
    rate = stream_rate(source)
    caught = f"; {shown_bytes(round(rate * copy_s))} will have come by then" if rate * copy_s >= 2**20 else ""
    yield PlannedStep(
        "follow",
        f"follow every change, now {source.traffic.writes_per_s:,.0f} writes a second{caught}",
    )
    yield PlannedStep(
        "compare",
        f"compare {source.total_keys:,} keys both ways, while both go on",
        source.total_keys / rates.compared_per_s,
    )
    if source.role is Role.REPLICA and source.mode is Mode.SINGLE:
        yield PlannedStep("cutover", "watch its primary until that stands still (ten seconds at least), drain, judge")
    else:
        yield PlannedStep("cutover", "hold writes on the source, drain, judge; it stays read-only", rates.pause_s)
    yield PlannedStep("clients", "the clients get the configuration of the cluster (slotwright client)")
