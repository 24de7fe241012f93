"""A comparison for people, for programs, and as one page with a picture of the slots."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.screen import out, paint, table
from slotwright.model.comparison import Verdict
from slotwright.model.slots import SLOT_COUNT

if TYPE_CHECKING:
    from slotwright.model.comparison import Compared, Comparison, SideFacts

SHOWN = 20
"""Differing keys in the text; the page and the JSON have all that were kept."""

_KEY_WIDTH = 44
_HEADS = {
    Verdict.EQUAL: "equal",
    Verdict.EXPIRED: "expired",
    Verdict.NOT_COMPARABLE: "not comparable",
    Verdict.DIFFERENT: "different",
}
_COLUMNS = 256
_EMPTY, _BAD, _OPEN = "#eeeeee", "#c62828", "#f9a825"
_SHADES = ("#c8e6c9", "#81c784", "#43a047", "#1b5e20")


def show_comparison(found: Comparison, page: Path | None) -> None:
    """`compare`: the verdict, keys by type, what differs and where, what it cost."""
    state = paint("equal", "good") if found.is_equal else paint("not equal", "bad")
    out(f"{state}: {headline(found)}", f"  source  {found.source.title}", f"  target  {found.target.title}", "")
    show_kinds(found)
    if found.aspects:
        differ = ", ".join(f"{aspect.value} {number:,}" for aspect, number in sorted(found.aspects.items()) if number)
        out(f"  differ  {differ}", f"  slots   {_wrong_slots(found)}", "")
        _show_examples(found)
    out(f"  took    {found.seconds:.1f} s, {found.keys_per_s:,.0f} keys/s{_load_words(found)}")
    if page is not None:
        out(f"  page    {page}")


def _kind_words(kind: str) -> str:
    """TYPE says ``none`` of a key that was gone on both sides when it was read."""
    return "(gone)" if kind == "none" else kind


def show_kinds(found: Comparison) -> None:
    """Keys by type and verdict."""
    rows = [
        (_kind_words(kind), *(f"{counts.get(verdict, 0):,}" if counts.get(verdict) else "-" for verdict in _HEADS))
        for kind, counts in found.by_type().items()
    ]
    if rows:
        table(("type", *_HEADS.values()), rows, right=tuple(_HEADS.values()))
        out("")


def headline(found: Comparison) -> str:
    """One sentence about the whole."""
    wrong, open_keys = found.count(Verdict.DIFFERENT), found.count(Verdict.NOT_COMPARABLE)
    if found.is_equal:
        expired = found.count(Verdict.EXPIRED)
        more = f", {expired:,} expired on the way" if expired else ""
        return f"{_keys(found.count(Verdict.EQUAL))} on both sides, in {len(found.by_slot()):,} slots{more}"
    parts = [f"{wrong:,} of {_keys(found.total)} differ{'s' if wrong == 1 else ''}"] if wrong else []
    parts += [f"{_keys(open_keys)} can't be compared"] if open_keys else []
    return ", ".join(parts)


def comparison_json(found: Comparison) -> dict[str, Any]:
    """`compare`."""
    load = found.load
    return {
        "equal": found.is_equal,
        "source": _side_json(found.source),
        "target": _side_json(found.target),
        "keys": {verdict.value: found.count(verdict) for verdict in Verdict},
        "types": {kind: _counts_json(counts) for kind, counts in found.by_type().items()},
        "slots": {str(slot): _counts_json(counts) for slot, counts in found.by_slot().items()},
        "aspects": {aspect.value: number for aspect, number in sorted(found.aspects.items()) if number},
        "examples": [_compared_json(each) for each in found.examples],
        "seconds": round(found.seconds, 3),
        "keys_per_s": round(found.keys_per_s),
        "source_load": {
            "samples": load.samples,
            "p50_ms": round(load.p50, 3),
            "p99_ms": round(load.p99, 3),
            "worst_ms": round(load.worst, 3),
            "longest_batch_ms": round(load.longest_batch, 3),
            "limit_ms": load.limit,
            "slowed_s": round(load.slowed_s, 3),
        },
    }


def write_page(found: Comparison, page: Path) -> None:
    """One file, nothing fetched from anywhere."""
    title = html.escape(f"{found.source.name} and {found.target.name}")
    verdict = "equal" if found.is_equal else "not equal"
    page.write_text(
        f"<!doctype html><meta charset='utf-8'><title>{title}: {verdict}</title>{page_style(is_equal=found.is_equal)}"
        f"<h1>{title}: <b>{verdict}</b></h1>{comparison_body(found)}",
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


def comparison_body(found: Comparison) -> str:
    """Both sides, keys by type, a picture of the slots, what differs."""
    heads = "".join(f"<th>{head}" for head in _HEADS.values())
    kinds = "".join(
        f"<tr><td>{html.escape(_kind_words(kind))}{''.join(f'<td>{counts.get(each, 0):,}' for each in _HEADS)}</tr>"
        for kind, counts in found.by_type().items()
    )
    return (
        f"<p>{html.escape(headline(found))}.</p>"
        f"<table><tr><th>side<th>server<th>primaries<th>keys by database</tr>"
        f"{_side_row('source', found.source)}{_side_row('target', found.target)}</table>"
        f"<h2>Types</h2><table><tr><th>type{heads}</tr>{kinds}</table>"
        f"<h2>Slots</h2>{_picture(found.by_slot())}"
        f"<p>Each square is a slot, {_COLUMNS} in a row, 0 at the top left. Green: all of its keys are equal, the "
        "darker the more there are; red: some differ; yellow: some can't be compared; grey: no keys.</p>"
        f"{_differences(found)}"
        f"<p>{found.seconds:.1f} s, {found.keys_per_s:,.0f} keys/s{html.escape(_load_words(found))}.</p>"
    )


def shown_key(key: bytes, width: int = 0) -> str:
    """Bytes that are no printable ASCII as in Python; at most ``width`` columns where that is not 0."""
    text = repr(key)[2:-1] or '""'
    return text if not width or len(text) <= width else f"{text[: width - 1]}…"


def _show_examples(found: Comparison) -> None:
    shown = found.examples[:SHOWN]
    rows = [
        (
            shown_key(each.named[1], _KEY_WIDTH),
            str(each.named[0]),
            str(each.slot),
            each.type,
            _what(each) + (f": {each.words}" if each.words else ""),
        )
        for each in shown
    ]
    table(("key", "db", "slot", "type", "what"), rows, right=("db", "slot"))
    total = found.count(Verdict.DIFFERENT) + found.count(Verdict.NOT_COMPARABLE)
    if total > len(shown):
        out(f"  ... and {total - len(shown):,} more; --json and --html name up to {len(found.examples):,}")
    out("")


def _what(each: Compared) -> str:
    return ", ".join(aspect.value for aspect in each.aspects) or each.verdict.value


def _wrong_slots(found: Comparison) -> str:
    wrong = [slot for slot, counts in found.by_slot().items() if counts.get(Verdict.DIFFERENT)]
    named = " ".join(map(str, wrong[:10]))
    return f"{len(wrong):,} with differences: {named}{' ...' if len(wrong) > 10 else ''}"


def _load_words(found: Comparison) -> str:
    load = found.load
    if not load.samples:
        return ""
    slowed = f", held back {load.slowed_s:.1f} s above {load.limit:g} ms" if load.slowed_s >= 0.05 else ""
    return f"; waits on the source: p50 {load.p50:.1f} ms, p99 {load.p99:.1f} ms{slowed}"


def _keys(count: int) -> str:
    return f"{count:,} key{'' if count == 1 else 's'}"


def _side_json(side: SideFacts) -> dict[str, Any]:
    return {
        "name": side.name,
        "version": side.version.title,
        "cluster": side.is_cluster,
        "addresses": [str(address) for address in side.addresses],
        "keys": {str(database): keys for database, keys in side.keys.items()},
    }


def _counts_json(counts: Mapping[Verdict, int]) -> dict[str, int]:
    return {verdict.value: number for verdict, number in counts.items()}


def _compared_json(each: Compared) -> dict[str, Any]:
    database, key = each.named
    return {
        "database": database,
        "key": key.decode(errors="backslashreplace"),
        "key_base64": base64.b64encode(key).decode(),
        "slot": each.slot,
        "type": each.type,
        "verdict": each.verdict.value,
        "aspects": [aspect.value for aspect in each.aspects],
        "what": each.words,
    }


def _side_row(title: str, side: SideFacts) -> str:
    keys = ", ".join(f"{database}: {number:,}" for database, number in side.keys.items()) or "none"
    places = ", ".join(map(str, side.addresses))
    return f"<tr><td>{title}<td>{html.escape(side.title)}<td>{html.escape(places)}<td>{keys}</tr>"


def _differences(found: Comparison) -> str:
    if not found.examples:
        return ""
    total = found.count(Verdict.DIFFERENT) + found.count(Verdict.NOT_COMPARABLE)
    rows = "".join(
        f"<tr><td class='key'>{html.escape(shown_key(each.named[1], 400))}<td>{each.named[0]}<td>{each.slot}"
        f"<td>{html.escape(each.type)}<td>{_what(each)}<td>{html.escape(each.words)}</tr>"
        for each in found.examples
    )
    return (
        f"<h2>Differences</h2><p>{len(found.examples):,} of {total:,}.</p><table>"
        f"<tr><th>key<th>database<th>slot<th>type<th>what<th>seen</tr>{rows}</table>"
    )


def _picture(slots: Mapping[int, Mapping[Verdict, int]]) -> str:
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


def _colour(counts: Mapping[Verdict, int], most: int) -> str:
    if counts.get(Verdict.DIFFERENT):
        return _BAD
    if counts.get(Verdict.NOT_COMPARABLE):
        return _OPEN
    number = sum(counts.values())
    if not number:
        return _EMPTY
    share = math.log1p(number) / math.log1p(most)
    return _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]
