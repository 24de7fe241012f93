"""`migrate --plan`: the source, the target, what can't work, what will be done, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Mode
from slotwright.console.cluster_view import counted, show_finding_list
from slotwright.console.screen import folded, out, paint, size, table, wrapped
from slotwright.features.migrate.model.command_sample import CommandSample
from slotwright.features.migrate.model.plan import MigrationPlan, PlannedStep
from slotwright.features.migrate.model.surveys import SourceSurvey, TargetSurvey
from slotwright.features.migrate.plan.hash_tags import shown_key

_BAR = 30
_MOST_BIG_KEYS = 5
_VERBS = {"attach": "attach", "functions": "load", "copy": "copy", "follow": "follow", "compare": "compare"}


def show_migration_plan(plan: MigrationPlan, *, is_all: bool = True) -> None:
    """All of it, at most 100 columns."""
    out(_headline(plan), "")
    out(*_source_lines(plan.source), *_target_lines(plan.target))
    _show_kinds(plan.source)
    _show_shares(plan)
    _show_big_keys(plan)
    if plan.sample is not None:
        out("", *_sample_lines(plan.sample))
    if plan.findings:
        out("")
        show_finding_list([_placed(finding, plan) for finding in plan.findings])
    out("", "  what will be done")
    for number, step in enumerate(plan.steps, 1):
        _show_step(number, step)
    out("", *folded(f"times are estimates, from {plan.rates.basis}; nothing was changed by this plan"))
    if not is_all:
        return
    command = f"slotwright migrate {plan.source.address} {plan.target.name}"
    if plan.is_refused:
        out(*folded(f"{command} will refuse this, and change nothing"))
    else:
        out(f"  begin with: {command}")


def _placed(finding: Finding, plan: MigrationPlan) -> Finding:
    """The two addresses stand in the head already."""
    names = {str(plan.source.address): "source", plan.target.name: "target"}
    return replace(finding, where=names.get(finding.where, finding.where))


def _headline(plan: MigrationPlan) -> str:
    title = paint(f"{plan.source.address} -> {plan.target.name}", "bold")
    serious = sum(finding.severity is Severity.SERIOUS for finding in plan.findings)
    warnings = sum(finding.severity is Severity.WARNING for finding in plan.findings)
    if serious:
        stand = "thing stands" if serious == 1 else "things stand"
        return f"{title}: {paint(f'{serious} {stand} in the way', 'bad')}"
    if warnings:
        possible = f"possible, with {counted(warnings, 'warning')}"
        return f"{title}: {paint(possible, 'warn')}"
    return f"{title}: {paint('nothing stands in the way', 'good')}"


def _source_lines(source: SourceSurvey) -> Iterator[str]:
    role = "primary" if source.role is Role.PRIMARY else f"replica of {source.primary or 'an unknown primary'}"
    mode = "in a cluster" if source.mode is Mode.CLUSTER else "stand-alone"
    facts = [source.version.title, f"{mode}, {role}", f"up {spoken_s(source.uptime_s)}"]
    facts.append(counted(source.feeding.clients, "client"))
    yield from wrapped("source", " · ".join(facts), 2)
    yield from wrapped("", " · ".join(_amounts(source)), 2)
    traffic = source.traffic
    yield from wrapped(
        "",
        f"{traffic.commands_per_s:,.0f} commands and {traffic.writes_per_s:,.0f} writes a second · "
        f"answers in {traffic.ping_ms:.1f} ms",
        2,
    )
    loaded = [("functions", source.functions), ("modules", source.modules)]
    text = " · ".join(f"{name}: {', '.join(result)}" for name, result in loaded if result)
    if text:
        yield from wrapped("", text, 2)


def _amounts(source: SourceSurvey) -> Iterator[str]:
    ttls = f" ({source.with_ttl:,} with a time to live)" if source.with_ttl else ""
    yield f"{source.total_keys:,} keys{ttls}"
    limit = f" of {size(source.memory.maxmemory_bytes)}" if source.memory.maxmemory_bytes else ""
    yield f"{size(source.memory.used_bytes)} used{limit}"
    if any(database.number for database in source.databases):
        yield ", ".join(f"db{database.number} {database.keys:,}" for database in source.databases)


def _target_lines(target: TargetSurvey) -> Iterator[str]:
    if not target.is_cluster:
        yield from wrapped("target", "a stand-alone server", 2)
        return
    titles = ", ".join(version.title for version in target.versions) or "nobody answers"
    replicas = sum(primary.replicas for primary in target.primaries)
    amount = f"{target.keys:,} keys" if target.keys else "empty"
    facts = [titles, counted(len(target.primaries), "primary").replace("primarys", "primaries")]
    facts += [counted(replicas, "replica"), amount]
    if target.databases > 1:
        facts.append(f"{target.databases} databases")
    yield from wrapped("target", " · ".join(facts), 2)


def _show_kinds(source: SourceSurvey) -> None:
    kinds = source.keys.kinds
    if not kinds:
        return
    most = max(max(kind.bytes for kind in kinds), 1)
    scale = source.keys.scale
    rows = [
        (
            kind.type,
            f"{kind.keys * scale:,.0f}",
            size(round(kind.bytes * scale)) if source.keys.bytes else "-",
            bar(kind.bytes / most) if source.keys.bytes else "",
        )
        for kind in kinds
    ]
    out("")
    table(("type", "keys", "memory", ""), rows, right=("keys", "memory"))
    if not source.keys.is_complete:
        share = source.keys.looked_at / max(1, source.keys.total)
        out(f"  estimated from {source.keys.looked_at:,} keys, {share:.1%} of all")


def _show_shares(plan: MigrationPlan) -> None:
    if not plan.shares:
        return
    rows = []
    for share in plan.shares:
        limit = f"of {size(share.limit_bytes)}" if share.limit_bytes else "no limit"
        full = share.expected_bytes / share.limit_bytes if share.limit_bytes else share.share
        rows.append((str(share.address), f"{share.share:.0%}", size(share.expected_bytes), limit, bar(full)))
    out("")
    table(("primary", "share", "memory then", "maxmemory", ""), rows, right=("share", "memory then"))


def _show_big_keys(plan: MigrationPlan) -> None:
    biggest = list(zip(plan.source.keys.biggest, plan.blocking, strict=True))[:_MOST_BIG_KEYS]
    rows = [
        (
            shown_key(key.named[1]) + (f" (db{key.named[0]})" if key.named[0] else ""),
            key.type,
            "-" if key.elements is None else f"{key.elements:,}",
            size(key.bytes),
            "-" if blocking is None else _spoken_ms(blocking.restore_s),
            "-" if blocking is None else _spoken_ms(blocking.dump_s),
        )
        for key, blocking in biggest
        if key.bytes >= 2**20
    ]
    if rows:
        out("")
        table(("big key", "type", "elements", "memory", "holds up target", "source"), rows, right=_NUMBERS)


_NUMBERS = ("elements", "memory", "holds up target", "source")


def _spoken_ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f} ms" if seconds >= 0.001 else "< 1 ms"


def _sample_lines(sample: CommandSample) -> Iterator[str]:
    what = [
        f"{sample.commands:,} commands in {spoken_s(sample.span_s)}",
        f"{sample.several_keys:,} with several keys",
        f"{sample.transactions:,} transactions",
        f"{sample.scripts:,} scripts",
    ]
    yield from wrapped("heard", " · ".join(what), 2)
    if not sample.crossings:
        yield from wrapped("", "none across slots; it says nothing of what was not heard", 2)
    if sample.cut:
        yield from wrapped("", f"ended early: {sample.cut}", 2)


def _show_step(number: int, step: PlannedStep) -> None:
    time = "" if step.took_s is None else f"about {spoken_s(step.took_s)}"
    verb = _VERBS.get(step.kind, step.kind)
    first, *rest = folded(step.what, 32)
    out(f"  {number:>2}  {verb:<9} {time:<15} {first.strip()}", *rest)


def bar(share: float, columns: int = _BAR) -> str:
    """``share`` of 1 in blocks; something is never nothing, and more than all is told by its end."""
    if share > 1:
        return "█" * columns + "▶"
    return "█" * max(1 if share > 0 else 0, round(share * columns))


def spoken_s(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3 min``, ``2 h``, ``5 d``."""
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "0.1 s"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
