"""Errors for people (what, seen, left, next) and for programs (one JSON object on stdout)."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from slotwright.errors import InputError, SlotwrightError


def show_error(error: SlotwrightError, as_json: bool) -> None:
    """The whole error, on the stream where it belongs."""
    show_fields(error_fields(error), as_json)


def error_fields(error: SlotwrightError) -> dict[str, Any]:
    """What both views show; ``problems``, ``refusals`` and ``findings`` only where there are any."""
    fields: dict[str, Any] = {
        "code": error.code,
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "seen": error.seen,
        "left": error.left,
    }
    if isinstance(error, InputError) and error.problems:
        fields["problems"] = [
            {"what": problem.what, "where": problem.where, "hint": problem.hint} for problem in error.problems
        ]
    plan = getattr(error, "plan", None)
    if plan is not None:
        from slotwright.cli.views.json import finding_json, refusal_json

        fields["findings"] = [finding_json(found) for found in plan.blockers]
        fields["refusals"] = [refusal_json(refusal) for refusal in getattr(plan, "refusals", ())]
    return fields


def show_fields(fields: Mapping[str, Any], as_json: bool) -> None:
    """``code``, ``what``, ``where`` and ``hint`` are always there in JSON; the rest where it has a value."""
    if as_json:
        always = {name: fields.get(name, "") for name in ("code", "what", "where", "hint")}
        more = {name: value for name, value in fields.items() if name not in always and value}
        print(json.dumps({"error": always | more}, ensure_ascii=False))
        sys.stdout.flush()
        return
    print("\n".join(_lines(fields)), file=sys.stderr)


def _lines(fields: Mapping[str, Any]) -> list[str]:
    where = fields.get("where", "")
    place = f" ({where})" if where and where not in fields["what"] else ""
    lines = [f"error: {fields['what']}{place}"]
    for problem in fields.get("problems", ()):
        lines.append(f"  {problem['where'] or '-'}: {problem['what']}")
        if problem["hint"]:
            lines.append(f"      {problem['hint']}")
    if len(fields.get("findings", ())) + len(fields.get("refusals", ())) > 1:
        for found in fields["findings"]:
            lines.append(f"  {found['where']}: {found['what']}")
            lines += [f"      {found[name]}" for name in ("seen", "remedy") if found[name]]
        for refusal in fields["refusals"]:
            lines.append(f"  {refusal['what']}: {refusal['why']}")
            lines += [f"      {refusal['hint']}"] if refusal["hint"] else []
    for title, name in (("seen", "seen"), ("left", "left"), ("next", "hint")):
        if fields.get(name):
            lines.append(f"  {title:<6} {fields[name]}")
    return lines
