"""A comparison for people, and as one page with a picture of the slots."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.cluster.slots import SLOT_COUNT
from slotwright.console.screen import out, paint, table
from slotwright.keys.model.comparison import KeyVerdict

if TYPE_CHECKING:
    from slotwright.keys.model.comparison import Compared, Comparison, SideFacts

SHOWN = 20
"""Differing keys in the text; the page and the JSON have all that were kept."""

_KEY_WIDTH = 44
_SHOWN_S = 0.05
_HEADS = {
    KeyVerdict.EQUAL: "equal",
    KeyVerdict.EXPIRED: "expired",
    KeyVerdict.NOT_COMPARABLE: "not comparable",
    KeyVerdict.DIFFERENT: "different",
}
_COLUMNS = 256
_EMPTY, _BAD, _OPEN = "#eeeeee", "#c62828", "#f9a825"
_SHADES = ("#c8e6c9", "#81c784", "#43a047", "#1b5e20")


def show_comparison(comparison: Comparison, page: Path | None) -> None:
    """`compare`: the verdict, keys by type, what differs and where, what it cost."""
    state = paint("equal", "good") if comparison.is_equal else paint("not equal", "bad")
    out(
        f"{state}: {headline(comparison)}",
        f"  source  {comparison.source.title}",
        f"  target  {comparison.target.title}",
        "",
    )
    show_kinds(comparison)
    if comparison.aspects:
        differ = ", ".join(
            f"{aspect.value} {number:,}" for aspect, number in sorted(comparison.aspects.items()) if number
        )
        out(f"  differ  {differ}", f"  slots   {_wrong_slots(comparison)}", "")
        _show_examples(comparison)
    out(f"  took    {comparison.seconds:.1f} s, {comparison.keys_per_s:,.0f} keys/s{_describe_load(comparison)}")
    if comparison.load.slowed_s >= _SHOWN_S:
        out(
            f"  pauses  {comparison.load.slowed_s:.1f} s, held back where waits were above {comparison.load.limit:g} ms"
        )
    if page is not None:
        out(f"  page    {page}")


def _describe_kind(kind: str) -> str:
    """TYPE says ``none`` of a key that was gone on both sides when it was read."""
    return "(gone)" if kind == "none" else kind


def show_kinds(comparison: Comparison) -> None:
    """Keys by type and verdict."""
    rows = [
        (_describe_kind(kind), *(f"{counts.get(verdict, 0):,}" if counts.get(verdict) else "-" for verdict in _HEADS))
        for kind, counts in comparison.by_type().items()
    ]
    if rows:
        table(("type", *_HEADS.values()), rows, right=tuple(_HEADS.values()))
        out("")


def headline(comparison: Comparison) -> str:
    """One sentence about the whole."""
    wrong, open_keys = comparison.count(KeyVerdict.DIFFERENT), comparison.count(KeyVerdict.NOT_COMPARABLE)
    if comparison.is_equal:
        expired = comparison.count(KeyVerdict.EXPIRED)
        more = f", {expired:,} expired on the way" if expired else ""
        return (
            f"{_keys(comparison.count(KeyVerdict.EQUAL))} on both sides, in {len(comparison.by_slot()):,} slots{more}"
        )
    parts = [f"{wrong:,} of {_keys(comparison.total)} differ{'s' if wrong == 1 else ''}"] if wrong else []
    parts += [f"{_keys(open_keys)} can't be compared"] if open_keys else []
    return ", ".join(parts)


def write_page(comparison: Comparison, page: Path) -> None:
    """One file, nothing fetched from anywhere."""
    title = html.escape(f"{comparison.source.name} and {comparison.target.name}")
    verdict = "equal" if comparison.is_equal else "not equal"
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{title}: {verdict}</title>"
        f"{page_style(is_equal=comparison.is_equal)}"
        f"<h1>{title}: <b>{verdict}</b></h1>{comparison_body(comparison)}",
        encoding="utf-8",
    )


def page_style(*, is_equal: bool) -> str:
    """How a page looks."""
    return (
        "<style>body{font:15px system-ui,sans-serif;margin:2em;max-width:1100px}"
        "td,th{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}td.key{word-break:break-all}"
        f"h1 b{{color:{_SHADES[2] if is_equal else _BAD}}}"
        "svg{width:100%;height:auto;shape-rendering:crispEdges}</style>"
    )


def comparison_body(comparison: Comparison) -> str:
    """Both sides, keys by type, a picture of the slots, what differs."""
    heads = "".join(f"<th>{head}" for head in _HEADS.values())
    kinds = "".join(
        f"<tr><td>{html.escape(_describe_kind(kind))}{''.join(f'<td>{counts.get(head, 0):,}' for head in _HEADS)}</tr>"
        for kind, counts in comparison.by_type().items()
    )
    return (
        f"<p>{html.escape(headline(comparison))}.</p>"
        f"<table><tr><th>side<th>server<th>primaries<th>keys by database</tr>"
        f"{_side_row('source', comparison.source)}{_side_row('target', comparison.target)}</table>"
        f"<h2>Types</h2><table><tr><th>type{heads}</tr>{kinds}</table>"
        f"<h2>Slots</h2>{_picture(comparison.by_slot())}"
        f"<p>Each square is a slot, {_COLUMNS} in a row, 0 at the top left. Green: all of its keys are equal, the "
        "darker the more there are; red: some differ; yellow: some can't be compared; grey: no keys.</p>"
        f"{_differences(comparison)}"
        f"<p>{comparison.seconds:.1f} s, {comparison.keys_per_s:,.0f} keys/s"
        f"{html.escape(_describe_load(comparison))}.</p>"
    )


def shown_key(key: bytes, width: int = 0) -> str:
    """Bytes that are no printable ASCII as in Python; at most ``width`` columns where that is not 0."""
    text = repr(key)[2:-1] or '""'
    return text if not width or len(text) <= width else f"{text[: width - 1]}…"


def _show_examples(comparison: Comparison) -> None:
    shown = comparison.examples[:SHOWN]
    rows = [
        (
            shown_key(candidate.named[1], _KEY_WIDTH),
            str(candidate.named[0]),
            str(candidate.slot),
            candidate.type,
            _what(candidate) + (f": {candidate.words}" if candidate.words else ""),
        )
        for candidate in shown
    ]
    table(("key", "db", "slot", "type", "what"), rows, right=("db", "slot"))
    total = comparison.count(KeyVerdict.DIFFERENT) + comparison.count(KeyVerdict.NOT_COMPARABLE)
    if total > len(shown):
        out(f"  ... and {total - len(shown):,} more; --json and --html name up to {len(comparison.examples):,}")
    out("")


def _what(comparison: Compared) -> str:
    return ", ".join(aspect.value for aspect in comparison.aspects) or comparison.verdict.value


def _wrong_slots(comparison: Comparison) -> str:
    wrong = [slot for slot, counts in comparison.by_slot().items() if counts.get(KeyVerdict.DIFFERENT)]
    named = " ".join(map(str, wrong[:10]))
    return f"{len(wrong):,} with differences: {named}{' ...' if len(wrong) > 10 else ''}"


def _describe_load(comparison: Comparison) -> str:
    load = comparison.load
    if not load.samples:
        return ""
    return f"; waits on the source: p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms"


def _keys(count: int) -> str:
    return f"{count:,} key{'' if count == 1 else 's'}"


def _side_row(title: str, side: SideFacts) -> str:
    keys = ", ".join(f"{database}: {number:,}" for database, number in side.keys.items()) or "none"
    places = ", ".join(map(str, side.addresses))
    return f"<tr><td>{title}<td>{html.escape(side.title)}<td>{html.escape(places)}<td>{keys}</tr>"


def _differences(comparison: Comparison) -> str:
    if not comparison.examples:
        return ""
    total = comparison.count(KeyVerdict.DIFFERENT) + comparison.count(KeyVerdict.NOT_COMPARABLE)
    rows = "".join(
        f"<tr><td class='key'>{html.escape(shown_key(example.named[1], 400))}<td>{example.named[0]}<td>{example.slot}"
        f"<td>{html.escape(example.type)}<td>{_what(example)}<td>{html.escape(example.words)}</tr>"
        for example in comparison.examples
    )
    return (
        f"<h2>Differences</h2><p>{len(comparison.examples):,} of {total:,}.</p><table>"
        f"<tr><th>key<th>database<th>slot<th>type<th>what<th>seen</tr>{rows}</table>"
    )


def _picture(slots: Mapping[int, Mapping[KeyVerdict, int]]) -> str:
    most = max((sum(counts.values()) for counts in slots.values()), default=0)
    colours = [_colour(slots.get(slot, {}), most) for slot in range(SLOT_COUNT)]
    paths: dict[str, list[str]] = {}
    for colour, left, top, width in _runs(colours):
        paths.setdefault(colour, []).append(f"M{left} {top}h{width}v1h-{width}z")
    drawn = "".join(f"<path fill='{colour}' d='{''.join(parts)}'/>" for colour, parts in paths.items())
    return f"<svg viewBox='0 0 {_COLUMNS} {SLOT_COUNT // _COLUMNS}'>{drawn}</svg>"


def _runs(colours: list[str]) -> Iterator[tuple[str, int, int, int]]:
    """Neighbours of one colour in a row: colour, column, row, width."""
    for top in range(SLOT_COUNT // _COLUMNS):
        row = colours[top * _COLUMNS : (top + 1) * _COLUMNS]
        start = 0
        for at in range(1, _COLUMNS + 1):
            if at == _COLUMNS or row[at] != row[start]:
                yield row[start], start, top, at - start
                start = at


def _colour(counts: Mapping[KeyVerdict, int], most: int) -> str:
    if counts.get(KeyVerdict.DIFFERENT):
        return _BAD
    if counts.get(KeyVerdict.NOT_COMPARABLE):
        return _OPEN
    number = sum(counts.values())
    if not number:
        return _EMPTY
    share = math.log1p(number) / math.log1p(most)
    return _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]
