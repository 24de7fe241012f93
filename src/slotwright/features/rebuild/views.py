"""A rebuild: what it is about to do, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.cluster_view import show_finding_list, show_survey
from slotwright.console.screen import out, paint, table, wrapped
from slotwright.keys.model.counts import by_type, slots_in

if TYPE_CHECKING:
    from slotwright.features.rebuild.api import RebuildPreview
    from slotwright.features.rebuild.phases import Rebuilt


def show_last_resort(shown: RebuildPreview) -> None:
    """Before the question."""
    impact = shown.impact
    out(f"{paint(impact.name, 'bold')}: {len(impact.nodes)} nodes end ({impact.running} run) with {impact.keys:,} keys")
    out(f"  1. everything is archived in {shown.archive}")
    out(f"  2. the nodes end; their folders are set aside in {shown.kept_root}")
    out(
        f"  3. a new cluster from the file: {shown.new_shards} shards (now {shown.old_shards}), {shown.new_nodes} nodes"
    )
    if shown.is_empty:
        out("  4. no key comes back: it stays empty (--empty)")
    else:
        out("  4. the keys come back, and are counted by type and slot")
    for risk in (*impact.risks, "no client may write until it is done: what comes back replaces what is there"):
        out(*wrapped(paint("risk", "warn"), risk, 2))


def show_rebuilt(rebuilt: Rebuilt) -> None:
    """What was done, the proof, then the cluster."""
    _show_keys(rebuilt)
    out("")
    show_survey(rebuilt.verdict.survey)
    findings = [*rebuilt.findings, *rebuilt.verdict.findings]
    if findings:
        out("")
        show_finding_list(findings)
    out("", f"  archive    {rebuilt.archive}   (cd there && sha256sum -c SHA256SUMS)")
    for place in rebuilt.kept:
        out(f"  old nodes  {place}   (when you are sure: rm -r)")


def _show_keys(rebuilt: Rebuilt) -> None:
    if rebuilt.brought is None or rebuilt.proof is None:
        out(f"{paint(rebuilt.name, 'bold')} is new and empty; its old keys are in the archive")
        return
    brought, proof = rebuilt.brought, rebuilt.proof
    expected, values = by_type(brought.expected), by_type(proof.found)
    rows = [(kind, f"{expected.get(kind, 0):,}", f"{values.get(kind, 0):,}") for kind in {**expected, **values}]
    rows.append(("all", f"{sum(expected.values()):,}", f"{sum(values.values()):,}"))
    table(("type", "old keys", "new keys"), rows, right=("old keys", "new keys"))
    rate = f", {brought.sent / brought.took_s:,.0f} a second" if brought.took_s > 0 and brought.sent else ""
    same = "equal" if proof.difference.is_none else "not equal"
    out("", f"  {same} in all {slots_in(proof.found):,} slots that hold keys{rate}")
    if proof.expired:
        out(f"  {proof.expired:,} keys expired since they were archived")
    if brought.libraries:
        out(f"  {brought.libraries} libraries of functions are on every primary")
