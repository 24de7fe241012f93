"""A migration: how far it is, what it came to, and what an abort would do."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.compare import comparison_body, comparison_json, headline, page_style, show_kinds
from slotwright.cli.views.screen import out, paint, table, wrapped
from slotwright.model.comparison import Verdict
from slotwright.model.migration import Phase

if TYPE_CHECKING:
    from slotwright.api.migrating import Seen
    from slotwright.api.migration_giving_up import Aborted, Giving
    from slotwright.api.migration_run import Migrated

_PHASES = {
    Phase.COPY: "copying",
    Phase.FOLLOW: "following",
    Phase.CLOSING: "being cut over",
    Phase.MOVED: "moved",
    Phase.ABORTED: "given up",
}


def show_migrated(done: Migrated, page: Path | None) -> None:
    """The verdict, the proof, the pause, and what the clients have to do."""
    outcome, migration = done.outcome, done.migration
    if done.is_moved:
        out(f"{paint('moved', 'good')}: {migration.name}", "")
    elif outcome is not None:
        out(f"{paint('not cut over', 'bad')}: {len(outcome.wrong):,} keys stay different; the source goes on", "")
    else:
        out(f"{paint('stopped', 'warn')}: {migration.name}; the source goes on", "")
    show_kinds(done.comparison)
    copied = sum(each.keys for each in done.progress)
    changes = sum(each.changes for each in done.progress)
    by_value = sum(each.by_value for each in done.progress)
    mended = sum(each.mended for each in done.progress)
    out(f"  proof     {headline(done.comparison)}")
    if outcome is not None:
        out(f"            {outcome.rechecked:,} keys that changed last were proved again while writes waited")
    out(f"  copied    {copied:,} keys, then {changes:,} changes followed{_extra(by_value, mended)}")
    if outcome is not None:
        pause = outcome.pause
        out(
            f"  pause     writes were held for {pause.total_s * 1000:,.0f} ms by {pause.how}: "
            f"drained after {pause.drained_s * 1000:,.0f}, proved after {pause.proved_s * 1000:,.0f}"
        )
        out(f"  keys      {outcome.source_keys:,} on the source, {outcome.target_keys:,} on the target{_gap(done)}")
    out(f"  source    waits while it was copied: p50 {done.source_p50_ms:.1f} ms, p99 {done.source_p99_ms:.1f} ms")
    out(f"  took      {done.took_s:.1f} s")
    if page is not None:
        out(f"  page      {page}")
    for each in outcome.wrong[:20] if outcome is not None else ():
        out(f"            {each.named[1]!r} in database {each.named[0]}: {each.words or each.verdict.value}")
    out("")
    for title, text in _next(done):
        out(*wrapped(title, text, 2))


def _extra(by_value: int, mended: int) -> str:
    parts = [f"{by_value:,} by value"] if by_value else []
    parts += [f"{mended:,} carried anew"] if mended else []
    return f" ({', '.join(parts)})" if parts else ""


def _gap(done: Migrated) -> str:
    outcome = done.outcome
    assert outcome is not None
    gap = outcome.source_keys - outcome.target_keys
    return f" ({gap:,} had expired, and the source removes none while writes are held)" if gap > 0 else ""


def _next(done: Migrated) -> list[tuple[str, str]]:
    name = done.migration.target_name
    if done.is_moved:
        return [
            (
                "source",
                f"{done.migration.source} refuses writes now (NOREPLICAS) and still answers reads; a restart undoes it",
            ),
            ("clients", f"point them at the cluster now: slotwright client KIND {name}"),
            ("undo", "until the first write to the target, slotwright migrate --abort loses nothing"),
        ]
    if done.outcome is not None:
        return [
            (
                "next",
                f"slotwright compare {done.migration.source} {name} says more; slotwright migrate --resume tries again",
            )
        ]
    return [("next", "slotwright migrate --resume goes on; --cutover ends it; --abort gives it up")]


def migrated_json(done: Migrated) -> dict[str, Any]:
    """`migrate`, `migrate --resume` and `migrate --cutover`."""
    outcome = done.outcome
    return {
        "name": done.name,
        "phase": done.migration.phase.value,
        "ok": done.is_ok,
        "source": done.migration.source,
        "target": done.migration.target_name,
        "comparison": comparison_json(done.comparison),
        "copied_keys": sum(each.keys for each in done.progress),
        "copied_bytes": sum(each.bytes for each in done.progress),
        "copied_s": round(max((each.copied_s for each in done.progress), default=0.0), 3),
        "changes": sum(each.changes for each in done.progress),
        "by_value": sum(each.by_value for each in done.progress),
        "mended": sum(each.mended for each in done.progress),
        "source_wait_ms": {"p50": round(done.source_p50_ms, 3), "p99": round(done.source_p99_ms, 3)},
        "took_s": round(done.took_s, 3),
        "cutover": None
        if outcome is None
        else {
            "held_by": outcome.pause.how,
            "drained_s": round(outcome.pause.drained_s, 4),
            "proved_s": round(outcome.pause.proved_s, 4),
            "held_s": round(outcome.pause.total_s, 4),
            "proved_again": outcome.rechecked,
            "source_keys": outcome.source_keys,
            "target_keys": outcome.target_keys,
            "wrong": [each.named[1].decode(errors="backslashreplace") for each in outcome.wrong],
        },
    }


def write_migration_page(done: Migrated, page: Path) -> None:
    """One file, nothing fetched from anywhere: the verdict, the cutover, and the whole comparison."""
    outcome = done.outcome
    verdict = "moved" if done.is_moved else "not cut over" if outcome is not None else "stopped"
    rows = [
        ("keys copied", f"{sum(each.keys for each in done.progress):,}"),
        ("changes followed", f"{sum(each.changes for each in done.progress):,}"),
        ("carried by value", f"{sum(each.by_value + each.mended for each in done.progress):,}"),
        ("waits of the source's clients", f"p50 {done.source_p50_ms:.1f} ms, p99 {done.source_p99_ms:.1f} ms"),
        ("took", f"{done.took_s:.1f} s"),
    ]
    if outcome is not None:
        pause = outcome.pause
        rows += [
            ("writes held", f"{pause.total_s * 1000:,.0f} ms, by {pause.how}"),
            ("of that, until drained and proved", f"{pause.drained_s * 1000:,.0f} and {pause.proved_s * 1000:,.0f} ms"),
            ("proved again while they were held", f"{outcome.rechecked:,} keys"),
            ("keys then, source and target", f"{outcome.source_keys:,} and {outcome.target_keys:,}"),
        ]
    told = "".join(f"<tr><td>{html.escape(name)}<td>{html.escape(text)}</tr>" for name, text in rows)
    title = html.escape(done.migration.name)
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{title}: {verdict}</title>{page_style(is_equal=done.is_ok)}"
        f"<h1>{title}: <b>{verdict}</b></h1><table>{told}</table>{comparison_body(done.comparison)}",
        encoding="utf-8",
    )


def show_seen(seen: Sequence[Seen]) -> None:
    """`migrate --status`."""
    if not seen:
        out("there is no migration; slotwright migrate SOURCE TARGET --plan is the first step")
        return
    for each in seen:
        migration, status = each.migration, each.status
        began = datetime.fromtimestamp(migration.began).strftime("%Y-%m-%d %H:%M")
        state = _PHASES[migration.phase]
        is_stopped = not each.is_running and migration.phase in (Phase.COPY, Phase.FOLLOW, Phase.CLOSING)
        style = "warn" if is_stopped else "good"
        words = paint(f"stopped while {state}" if is_stopped else state, style)
        out(f"{paint(migration.name, 'bold')} · {words} · begun {began}")
        if status is not None:
            rows = [
                ("now", status.words),
                ("copied", f"{status.keys:,} of about {status.expected_keys:,} keys"),
                ("followed", f"{status.changes:,} changes, {status.lag_bytes:,} bytes behind"),
                ("by value", f"{status.by_value:,}, {status.held:,} waiting; {status.mended:,} carried anew"),
                ("unproved", f"{status.unproved:,} keys changed since they were proved"),
                ("source", f"its clients waited p50 {status.source_p50_ms:.1f} ms, p99 {status.source_p99_ms:.1f} ms"),
                ("told", datetime.fromtimestamp(status.at).strftime("%H:%M:%S")),
            ]
            for name, text in rows:
                out(f"  {name:<9} {text}")
        if is_stopped:
            out(f"  {'next':<9} slotwright migrate --resume {each.name}   (or --abort)")
        elif each.is_running and status is not None and status.is_ready:
            out(f"  {'next':<9} slotwright migrate --cutover {each.name}")
        elif migration.phase is Phase.MOVED:
            out(f"  {'next':<9} point the clients at the cluster: slotwright client KIND {migration.target_name}")
            out(f"  {'undo':<9} slotwright migrate --abort {each.name}")
        out("")


def seen_json(seen: Seen) -> dict[str, Any]:
    """One of `migrate --status`."""
    status = seen.status
    return {
        "name": seen.name,
        "source": seen.migration.source,
        "target": seen.migration.target_name,
        "phase": seen.migration.phase.value,
        "running": seen.is_running,
        "ready": bool(status and status.is_ready and seen.is_running),
        "began": seen.migration.began,
        "moved_at": seen.migration.moved_at or None,
        "status": None
        if status is None
        else {
            "at": status.at,
            "words": status.words,
            "keys": status.keys,
            "expected_keys": status.expected_keys,
            "changes": status.changes,
            "by_value": status.by_value,
            "mended": status.mended,
            "lag_bytes": status.lag_bytes,
            "held": status.held,
            "unproved": status.unproved,
            "source_wait_ms": {"p50": round(status.source_p50_ms, 3), "p99": round(status.source_p99_ms, 3)},
        },
    }


def show_giving(giving: Giving) -> None:
    """Before the question of an abort."""
    migration = giving.migration
    out(f"{paint(migration.name, 'bold')} is {_PHASES[migration.phase]}; giving it up:")
    out(
        f"  1. {migration.source} takes writes again, as before"
        if migration.read_only
        else "  1. the source stays as it is"
    )
    if giving.target_trouble:
        out(f"  2. {migration.target_name} can't be asked, and stays as it is: {giving.target_trouble}")
    elif giving.removes_copy:
        out(f"  2. {migration.target_name} is emptied: {giving.target_keys:,} keys")
    else:
        out(f"  2. the copy stays in {migration.target_name} ({giving.target_keys:,} keys), and gets old")
    if giving.written is None:
        if giving.may_lose:
            out(*wrapped(paint("risk", "warn"), "what was written to it since the cutover is not in the source", 2))
        return
    if not giving.loses:
        out("  nothing was written to the target since the cutover: nothing is lost")
        return
    risk = (
        f"{giving.loses:,} keys differ: they were written to the target since the cutover, and the source does not "
        "have them like that"
    )
    out(*wrapped(paint("risk", "warn"), risk, 2))
    rows = [(repr(each.named[1])[2:-1][:50], each.words or each.verdict.value) for each in giving.written.examples[:10]]
    table(("key", "what"), rows)


def show_aborted(done: Aborted) -> None:
    """What was done."""
    migration = done.migration
    out(f"{paint('given up', 'warn')}: {migration.name}")
    fenced = "takes writes again, as before" if done.was_fenced else "was never changed"
    out(f"  source    {migration.source} {fenced}; nothing of it is lost")
    kept = (
        "was emptied"
        if done.removed_copy
        else f"keeps the copy ({done.target_keys:,} keys); a new migrate wants it empty"
    )
    if done.target_trouble:
        kept = f"was not asked: {done.target_trouble}"
    out(f"  target    {migration.target_name} {kept}")
    if done.written is not None and done.written.count(Verdict.DIFFERENT):
        out(f"  written   {done.written.count(Verdict.DIFFERENT):,} keys were written to the target after the cutover")


def aborted_json(done: Aborted) -> dict[str, Any]:
    """`migrate --abort`."""
    return {
        "source": done.migration.source,
        "target": done.migration.target_name,
        "was": done.migration.phase.value,
        "source_was_fenced": done.was_fenced,
        "target_keys": done.target_keys,
        "removed_copy": done.removed_copy,
        "target_trouble": done.target_trouble or None,
        "written_since": None if done.written is None else done.written.count(Verdict.DIFFERENT),
    }
