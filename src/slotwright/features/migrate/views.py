"""A migration: how far it is, what it came to, and what an abort would do."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.console.screen import out, paint, size, table, wrapped
from slotwright.features.compare.views import comparison_body, headline, page_style, show_kinds
from slotwright.features.migrate.model.migration import MigrationPhase
from slotwright.keys.model.comparison import KeyVerdict

if TYPE_CHECKING:
    from slotwright.features.migrate.abort import Aborted, AbortPreview
    from slotwright.features.migrate.api import MigrationView
    from slotwright.features.migrate.process import Migrated

_PHASES = {
    MigrationPhase.COPY: "copying",
    MigrationPhase.FOLLOW: "following",
    MigrationPhase.CLOSING: "being cut over",
    MigrationPhase.MOVED: "moved",
    MigrationPhase.ABORTED: "given up",
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
    copied = sum(progress.keys for progress in done.progress)
    changes = sum(progress.changes for progress in done.progress)
    by_value = sum(progress.by_value for progress in done.progress)
    mended = sum(progress.mended for progress in done.progress)
    out(f"  proof     {headline(done.comparison)}")
    if outcome is not None:
        waited = "" if outcome.pause.primary else " while writes waited"
        out(f"            {outcome.rechecked:,} keys that changed last were proved again{waited}")
    out(f"  copied    {copied:,} keys, then {changes:,} changes followed{_extra(by_value, mended)}")
    if outcome is not None:
        pause = outcome.pause
        held = f"writes were held for {pause.total_s * 1000:,.0f} ms by {pause.how}"
        if pause.primary:
            held = f"nothing was held: {pause.primary} stood still for {pause.still_s:.0f} s, and until the end"
        out(
            f"  pause     {held}: "
            f"drained after {pause.drained_s * 1000:,.0f}, proved after {pause.proved_s * 1000:,.0f}"
        )
        out(f"  keys      {outcome.source_keys:,} on the source, {outcome.target_keys:,} on the target{_gap(done)}")
    out(f"  source    waits while it was copied: p50 {done.source_p50_ms:.1f} ms, p99 {done.source_p99_ms:.1f} ms")
    out(f"  took      {done.took_s:.1f} s")
    if page is not None:
        out(f"  page      {page}")
    for comparison in outcome.wrong[:20] if outcome is not None else ():
        out(
            f"            {comparison.named[1]!r} in database {comparison.named[0]}: "
            f"{comparison.words or comparison.verdict.value}"
        )
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
    primary = done.outcome.pause.primary if done.outcome is not None else ""
    if done.is_moved:
        return [
            *([("primary", _unfenced(primary))] if primary else []),
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


def _unfenced(primary: str) -> str:
    return f"{primary} was NOT made to refuse writes: what is written there from now on is missing in the target"


def write_migration_page(done: Migrated, page: Path) -> None:
    """One file, nothing fetched from anywhere: the verdict, the cutover, and the whole comparison."""
    outcome = done.outcome
    verdict = "moved" if done.is_moved else "not cut over" if outcome is not None else "stopped"
    rows = [
        ("keys copied", f"{sum(progress.keys for progress in done.progress):,}"),
        ("changes followed", f"{sum(progress.changes for progress in done.progress):,}"),
        ("carried by value", f"{sum(progress.by_value + progress.mended for progress in done.progress):,}"),
        ("waits of the source's clients", f"p50 {done.source_p50_ms:.1f} ms, p99 {done.source_p99_ms:.1f} ms"),
        ("took", f"{done.took_s:.1f} s"),
    ]
    if outcome is not None:
        pause = outcome.pause
        rows += [
            ("primary, not made read-only", pause.primary)
            if pause.primary
            else ("writes held", f"{pause.total_s * 1000:,.0f} ms, by {pause.how}"),
            ("of that, until drained and proved", f"{pause.drained_s * 1000:,.0f} and {pause.proved_s * 1000:,.0f} ms"),
            ("proved again while they were held", f"{outcome.rechecked:,} keys"),
            ("keys then, source and target", f"{outcome.source_keys:,} and {outcome.target_keys:,}"),
        ]
    line = "".join(f"<tr><td>{html.escape(name)}<td>{html.escape(text)}</tr>" for name, text in rows)
    title = html.escape(done.migration.name)
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{title}: {verdict}</title>{page_style(is_equal=done.is_ok)}"
        f"<h1>{title}: <b>{verdict}</b></h1><table>{line}</table>{comparison_body(done.comparison)}",
        encoding="utf-8",
    )


def show_migrations(seen: Sequence[MigrationView]) -> None:
    """`migrate --status`."""
    if not seen:
        out("there is no migration; slotwright migrate SOURCE TARGET --plan is the first step")
        return
    for view in seen:
        migration, status = view.migration, view.status
        began = datetime.fromtimestamp(migration.began).strftime("%Y-%m-%d %H:%M")
        state = _PHASES[migration.phase]
        is_stopped = not view.is_running and migration.phase in (
            MigrationPhase.COPY,
            MigrationPhase.FOLLOW,
            MigrationPhase.CLOSING,
        )
        style = "warn" if is_stopped else "good"
        ended = "paused" if migration.is_paused else "stopped"
        message = paint(f"{ended} while {state}" if is_stopped else state, style)
        out(f"{paint(migration.name, 'bold')} · {message} · begun {began}")
        if migration.limits.pace_bytes and migration.needs_both_sides:
            out(f"  {'pace':<9} {size(migration.limits.pace_bytes)} a second at the most while it copies")
        if status is not None:
            rows = [
                ("now" if view.is_running else "last", status.words),
                ("copied", f"{status.keys:,} of about {status.expected_keys:,} keys"),
                ("followed", f"{status.changes:,} changes, {status.lag_bytes:,} bytes behind"),
                ("by value", f"{status.by_value:,}, {status.held:,} waiting; {status.mended:,} carried anew"),
                ("unproved", f"{status.dirty_keys:,} keys changed since they were proved"),
                ("source", f"its clients waited p50 {status.source_p50_ms:.1f} ms, p99 {status.source_p99_ms:.1f} ms"),
                *([("refused", status.refusal.what), ("", status.refusal.hint)] if status.refusal else []),
                ("told", datetime.fromtimestamp(status.at).strftime("%H:%M:%S")),
            ]
            for name, text in rows:
                out(f"  {name:<9} {text}")
        if is_stopped:
            out(f"  {'next':<9} slotwright migrate --resume {view.name}   (or --abort)")
        elif view.is_running and status is not None and status.is_ready:
            out(f"  {'next':<9} slotwright migrate --cutover {view.name}")
        elif view.is_running and migration.needs_both_sides:
            out(
                f"  {'slower':<9} slotwright jobs pace {view.name} 10mb",
                f"  {'stop':<9} slotwright jobs pause {view.name}",
            )
        elif migration.phase is MigrationPhase.MOVED:
            out(f"  {'next':<9} point the clients at the cluster: slotwright client KIND {migration.target_name}")
            out(f"  {'undo':<9} slotwright migrate --abort {view.name}")
        out("")


def show_abort(preview: AbortPreview) -> None:
    """Before the question of an abort."""
    migration = preview.migration
    out(f"{paint(migration.name, 'bold')} is {_PHASES[migration.phase]}; giving it up:")
    out(
        f"  1. {migration.source} takes writes again, as before"
        if migration.read_only
        else "  1. the source stays as it is"
    )
    if preview.target_trouble:
        out(f"  2. {migration.target_name} can't be asked, and stays as it is: {preview.target_trouble}")
    elif preview.removes_copy:
        out(f"  2. {migration.target_name} is emptied: {preview.target_keys:,} keys")
    else:
        out(f"  2. the copy stays in {migration.target_name} ({preview.target_keys:,} keys), and gets old")
    if preview.written is None:
        if preview.may_lose:
            out(*wrapped(paint("risk", "warn"), "what was written to it since the cutover is not in the source", 2))
        return
    if not preview.loses:
        out("  nothing was written to the target since the cutover: nothing is lost")
        return
    risk = (
        f"{preview.loses:,} keys differ: they were written to the target since the cutover, and the source does not "
        "have them like that"
    )
    out(*wrapped(paint("risk", "warn"), risk, 2))
    rows = [
        (repr(example.named[1])[2:-1][:50], example.words or example.verdict.value)
        for example in preview.written.examples[:10]
    ]
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
    written = done.written.count(KeyVerdict.DIFFERENT) if done.written is not None else 0
    if written:
        out(f"  written   {written:,} keys were written to the target after the cutover")
