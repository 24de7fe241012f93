"""A drill for people, and as one page with a picture of the time."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.console.cluster_view import show_finding_list
from slotwright.console.screen import out, paint, table

if TYPE_CHECKING:
    from slotwright.features.drill.api import Drill
    from slotwright.ops.load_generator import Entry

_WIDTH, _ROW, _LEFT, _STEP_S = 1000, 34, 90, 0.05
_COLOURS = {"acknowledged": "#2e7d32", "indeterminate": "#f9a825", "refused": "#c62828"}


def show_drill(drill: Drill, page: Path | None) -> None:
    """`drill`: what clients saw, shard by shard, and what became of their writes."""
    done = drill.options.how
    state = paint("passed", "good") if drill.is_passed else paint("not passed", "bad")
    nodes = ", ".join(map(str, drill.victims.nodes))
    out(f"{paint(drill.name, 'bold')}: {state} · {nodes} {done} at {drill.options.rate:g} writes/s", "")
    rows = [
        (
            str(shard.shard),
            str(shard.was),
            str(shard.now) if shard.now else paint("nobody", "bad"),
            _seconds(shard.promoted_s),
            _seconds(shard.write_outage_s),
            _seconds(shard.read_outage_s),
        )
        for shard in drill.shards
    ]
    if rows:
        table(
            ("shard", "was", "taken over by", "promoted", "no writes", "no reads"),
            rows,
            right=("promoted", "no writes", "no reads"),
        )
    lost = paint(f"{len(drill.lost)} lost", "bad") if drill.lost else "none lost"
    unsure = f"{drill.refused} refused, {drill.indeterminate} indeterminate"
    whole = f"all nodes back and in sync after {_seconds(drill.whole_s)}" if drill.whole_s else "not again yet"
    out("", f"  writes  {drill.acknowledged} acknowledged, {lost}; {unsure}", f"  whole   {whole}")
    if page is not None:
        out(f"  page    {page}")
    if drill.verdict.findings:
        out("")
        show_finding_list(drill.verdict.findings)


def write_page(drill: Drill, page: Path) -> None:
    """One file, nothing fetched from anywhere."""
    title = f"drill of {drill.name}"
    rows = "".join(
        f"<tr><td>{shard.shard}<td>{shard.was}<td>{shard.now or 'nobody'}<td>{_seconds(shard.promoted_s)}"
        f"<td>{_seconds(shard.write_outage_s)}<td>{_seconds(shard.read_outage_s)}</tr>"
        for shard in drill.shards
    )
    text = (
        f"<!doctype html><meta charset='utf-8'><title>{html.escape(title)}</title>"
        "<style>body{font:15px system-ui,sans-serif;margin:2em;max-width:1100px}"
        "td,th{padding:.2em 1em .2em 0;text-align:left}"
        "svg{width:100%;height:auto}</style>"
        f"<h1>{html.escape(title)}: {'passed' if drill.is_passed else 'not passed'}</h1>"
        f"<p>{', '.join(map(str, drill.victims.nodes))} {drill.options.how} at "
        f"{drill.options.rate:g} writes a second; whole again after {_seconds(drill.whole_s)}.</p>"
        f"<p>{drill.acknowledged} writes acknowledged, <b>{len(drill.lost)} lost</b>; {drill.refused} refused, "
        f"{drill.indeterminate} indeterminate.</p>"
        "<table><tr><th>shard<th>was<th>taken over by<th>promoted<th>no writes<th>no reads</tr>"
        f"{rows}</table>{_picture(drill)}"
        "<p>Each tick is 50 ms: green acknowledged, yellow indeterminate, red refused, nothing: no request ended. "
        "The line is the blow.</p>"
    )
    page.write_text(text, encoding="utf-8")


def _picture(drill: Drill) -> str:
    shown = [entry for entry in drill.timeline if entry.ended > -2.0]
    if not shown:
        return ""
    end = max(entry.ended for entry in shown)
    scale = (_WIDTH - _LEFT) / (end + 2.0)
    writers = sorted({(entry.shard, entry.is_write) for entry in shown}, key=lambda lane: (lane[0], not lane[1]))
    parts = []
    for row, (shard, is_write) in enumerate(writers):
        top = 20 + row * _ROW
        parts.append(f"<text x='0' y='{top + 14}' font-size='13'>{shard} {'writes' if is_write else 'reads'}</text>")
        mine = [entry for entry in shown if (entry.shard, entry.is_write) == (shard, is_write)]
        width = max(0.6, _STEP_S * scale)
        for step, name in sorted(_worst(mine).items()):
            left = _LEFT + step * _STEP_S * scale
            colour = _COLOURS[name]
            parts.append(f"<rect x='{left:.1f}' y='{top}' width='{width:.1f}' height='20' fill='{colour}'/>")
    height = 40 + len(writers) * _ROW
    parts += _axis(scale, end, height)
    return f"<svg viewBox='0 0 {_WIDTH} {height + 20}'>{''.join(parts)}</svg>"


def _worst(entries: Sequence[Entry]) -> dict[int, str]:
    """The worst that happened in each step of the picture."""
    order = list(_COLOURS)
    values: dict[int, str] = {}
    for entry in entries:
        step = int((entry.ended + 2.0) / _STEP_S)
        values[step] = max(values.get(step, order[0]), entry.outcome.value, key=order.index)
    return values


def _axis(scale: float, end: float, height: int) -> Iterator[str]:
    blow = _LEFT + 2.0 * scale
    yield f"<line x1='{blow:.1f}' x2='{blow:.1f}' y1='8' y2='{height - 16}' stroke='#000' stroke-width='1.5'/>"
    step = max(1, int((end + 2.0) / 12))
    for second in range(0, int(end) + 1, step):
        yield f"<text x='{blow + second * scale:.1f}' y='{height}' font-size='12'>{second} s</text>"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"
