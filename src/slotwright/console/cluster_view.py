"""What people read: the answer first, one idea a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, Role
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.survey import ClusterState, Survey, SurveyNode
from slotwright.cluster.topology import Mode
from slotwright.console.screen import folded, out, paint, size, table, width, wrapped

if TYPE_CHECKING:
    from slotwright.ops.verify import Verdict

_MAP_WIDTH = 64
_DIGITS = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_STATE_STYLE = {ClusterState.OK: "good", ClusterState.DEGRADED: "warn", ClusterState.DOWN: "bad"}


def show_survey(survey: Survey) -> None:
    """`status`: one row a shard, then the nodes that stand outside, then the map of the slots."""
    out(_headline(survey), "")
    if survey.mode is Mode.SINGLE:
        _single_table(survey)
        return
    numbers = sorted({node.shard for node in survey.nodes if node.shard is not None})
    rows = [_shard_row(number, survey) for number in numbers]
    table(("shard", "slots", "primary", "replica", "keys", "memory", "link"), rows, right=("keys", "memory"))
    strays = [node for node in survey.nodes if node.shard is None]
    if strays:
        out("", "  without a shard: " + ", ".join(_place(node) for node in strays))
    out("", f"  slots  {slot_map(survey)}   {len(survey.served)} of {SLOT_COUNT}")


def _headline(survey: Survey) -> str:
    versions = sorted({node.version.title for node in survey.nodes if node.version})
    hosts = len({node.address.host for node in survey.nodes if node.address})
    state = paint(survey.state.value, _STATE_STYLE[survey.state])
    parts = [paint(survey.name, "bold"), state, " and ".join(versions) or "version unknown"]
    if survey.mode is Mode.SINGLE:
        return " · ".join([*parts, "one stand-alone instance"])
    per_shard = [len(survey.shard(number)) - 1 for number in {node.shard for node in survey.nodes if node.shard}]
    replicas = f"{min(per_shard)}" if per_shard and min(per_shard) == max(per_shard) else "different numbers of"
    nodes = f"{counted(hosts, 'host')}, {counted(len(survey.nodes), 'node')}"
    shards = f"{counted(survey.shard_count, 'shard')}"
    if per_shard:
        shards += f" with {replicas} replica{'' if replicas == '1' else 's'} each"
    return " · ".join([*parts, nodes, shards])


def counted(number: int, noun: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shard_row(number: int, survey: Survey) -> tuple[str, ...]:
    nodes = survey.shard(number)
    owner = next((node for node in nodes if node.slots), nodes[0])
    others = [node for node in nodes if node is not owner]
    return (
        str(number),
        "\n".join(owner.slots.texts()[:4]) or "-",
        _place(owner),
        "\n".join(_place(node) for node in others) or "-",
        "-" if owner.keys is None else f"{owner.keys:,}",
        size(owner.used_bytes),
        "\n".join(_link(node) for node in others) or "-",
    )


def _place(node: SurveyNode) -> str:
    if not node.trouble:
        return node.place
    return paint(f"{node.place} ({node.trouble})", "warn" if node.trouble == "loading" else "bad")


def _link(node: SurveyNode) -> str:
    if node.trouble:
        return paint(node.trouble, "bad")
    if node.role is Role.PRIMARY:
        return paint("not a replica", "warn")
    if node.link is not Link.UP:
        return paint("down", "bad")
    return "in sync" if not node.lag_bytes else f"{size(node.lag_bytes)} behind"


def _single_table(survey: Survey) -> None:
    rows = [
        (_place(node), node.role.value, "-" if node.keys is None else f"{node.keys:,}", size(node.used_bytes))
        for node in survey.nodes
    ]
    table(("instance", "role", "keys", "memory"), rows, right=("keys", "memory"))


def slot_map(survey: Survey, columns: int = _MAP_WIDTH) -> str:
    """All slots in ``columns`` characters: the shard's sign where it serves, ``·`` where nobody does."""
    signs = []
    for column in range(columns):
        slot = column * SLOT_COUNT // columns
        owner = next((node for node in survey.nodes if slot in node.slots), None)
        if owner is None or slot not in survey.served:
            signs.append("·")
        else:
            signs.append(_DIGITS[((owner.shard or 1) - 1) % len(_DIGITS)])
    return "".join(signs)


def show_trouble(verdict: Verdict) -> None:
    """Under `status`: that there is more to be said, and where."""
    if verdict.findings:
        first = verdict.findings[0]
        more = f" (and {len(verdict.findings) - 1} more)" if len(verdict.findings) > 1 else ""
        out("", f"  {first.where}: {first.what}{more}", f"  next   slotwright check {verdict.survey.name}")


def show_findings(verdict: Verdict, *, is_ours: bool, wrote: bool) -> None:
    """`check`: the proof, or what is not well."""
    survey, findings = verdict.survey, verdict.findings
    if verdict.is_ok:
        out(f"{paint(survey.name, 'bold')}: {paint('sound', 'good')}", "", *proof_lines(verdict, wrote=wrote))
        if findings:
            out("")
            show_finding_list(findings)
    else:
        serious = sum(finding.severity is Severity.SERIOUS for finding in findings)
        gravity = f", {serious} of them serious" if serious and len(findings) > 1 else ""
        gravity = ", serious" if serious and len(findings) == 1 else gravity
        out(f"{paint(survey.name, 'bold')}: {counted(len(findings), 'finding')}{gravity}", "")
        show_finding_list(findings)
    if verdict.unjudged:
        start = "" if is_ours else "not made by slotwright here; "
        text = start + "not judged: " + "; ".join(verdict.unjudged)
        out("", *(paint(line, "dim") for line in folded(text)))


def show_finding_list(findings: Sequence[Finding]) -> None:
    """Each with what was seen, what it risks and what to do."""
    for number, finding in enumerate(findings):
        if number:
            out("")
        style = {Severity.SERIOUS: "bad", Severity.WARNING: "warn", Severity.NOTE: "dim"}[finding.severity]
        title = finding.severity.value.upper() if finding.severity is Severity.SERIOUS else finding.severity.value
        lines = wrapped("", f"{finding.what}", 4)
        head = f"  {paint(f'{title:<8}', style)}  {lines[0].strip()}"
        is_long = len(finding.what) + len(finding.where) + 14 > width()
        out(head if is_long else f"{head}  {paint(finding.where, 'bold')}", *lines[1:])
        if is_long:
            out(*wrapped("where", finding.where, 12))
        for name, text in (("seen", finding.seen), ("risk", finding.risk), ("remedy", finding.remedy)):
            if text:
                out(*wrapped(name, text, 12))


def proof_lines(verdict: Verdict, *, wrote: bool, took_s: float | None = None) -> list[str]:
    """What was proved, in figures."""
    survey = verdict.survey
    replicas = [node for node in survey.nodes if node.role is Role.REPLICA]
    in_sync = sum(node.link is Link.UP for node in replicas)
    reachable = sum(node.is_reachable for node in survey.nodes)
    start = "proved" if took_s is None else f"proved in {took_s:.1f} s"
    if survey.mode is Mode.SINGLE:
        return [
            f"  {start}: it answers, its last save went well" + (", a key was written and read back" if wrote else "")
        ]
    parts = [f"{reachable} of {len(survey.nodes)} nodes agree"]
    if replicas:
        parts.append(f"{in_sync} of {len(replicas)} replicas in sync")
        beside = {finding.code for finding in verdict.findings} & {"replica-beside-primary"}
        hosts = {node.address.host for node in survey.nodes if node.address}
        if not beside and len(hosts) > 1:
            parts.append("no replica beside its primary")
    parts.append("a key written and read on each shard" if wrote else "no key written")
    import textwrap

    return textwrap.wrap(f"{start}: " + ", ".join(parts), 92, initial_indent="  ", subsequent_indent="  ")
