"""Errors for people (what, seen, left, next) and for programs (one JSON object on stdout)."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from slotwright.cluster.secret import redacted
from slotwright.console.hints import usual_hint
from slotwright.console.json import FORMAT
from slotwright.console.streams import as_json as json_text
from slotwright.console.streams import print_out, printable
from slotwright.errors import InputError, SlotwrightError

if TYPE_CHECKING:
    from slotwright.cluster.findings import Finding
    from slotwright.cluster.steps import Refusal


def error_fields(error: SlotwrightError) -> dict[str, Any]:
    """What both views show; ``problems``, ``refusals`` and ``findings`` only where there are any."""
    fields: dict[str, Any] = {
        "code": error.code,
        "what": error.what,
        "where": error.where,
        "hint": error.hint,
        "seen": redacted(error.seen),
        "left": error.left,
    }
    if isinstance(error, InputError) and error.problems:
        fields["problems"] = [
            {"what": problem.what, "where": problem.where, "hint": problem.hint} for problem in error.problems
        ]
    plan = getattr(error, "plan", None)
    if plan is not None:
        fields |= _of_plan(plan.blockers, getattr(plan, "refusals", ()))
    if not any(fields.get(name) for name in ("hint", "problems", "findings", "refusals")):
        # Those say what to do themselves.
        fields["hint"] = usual_hint(error.code)
    return fields


def _of_plan(blockers: Sequence[Finding], refusals: Sequence[Refusal]) -> dict[str, Any]:
    from msgspec import to_builtins

    from slotwright.console.output import finding_outputs, refusal_outputs

    return {"findings": to_builtins(finding_outputs(blockers)), "refusals": to_builtins(refusal_outputs(refusals))}


def show_fields(fields: Mapping[str, Any], as_json: bool) -> None:
    """``code``, ``what``, ``where`` and ``hint`` are always there in JSON; the rest where it has a value."""
    if as_json:
        always = {name: fields.get(name, "") for name in ("code", "what", "where", "hint")}
        more = {name: value for name, value in fields.items() if name not in always and value}
        print_out(json_text({"format": FORMAT, "error": always | more}, sys.stdout))
        return
    print("\n".join(shown for line in _lines(fields) for shown in _plain_lines(line)), file=sys.stderr)


def _plain_lines(text: str) -> list[str]:
    """What files and servers said is in it: a terminal obeys none of it, and a further line looks like none of ours."""
    first, *more = map(printable, text.split("\n"))
    return [first, *(f"{'':<9}{line}" for line in more)]


def _lines(fields: Mapping[str, Any]) -> list[str]:
    where = fields.get("where", "")
    place = f" ({where})" if where and where not in fields["what"] else ""
    lines = [f"error: {fields['what']}{place}"]
    for problem in fields.get("problems", ()):
        lines.append(f"  {problem['where'] or '-'}: {problem['what']}")
        if problem["hint"]:
            lines.append(f"      {problem['hint']}")
    if len(fields.get("findings", ())) + len(fields.get("refusals", ())) > 1:
        for field in fields["findings"]:
            lines.append(f"  {field['where']}: {field['what']}")
            lines += [f"      {field[name]}" for name in ("seen", "remedy") if field[name]]
        for refusal in fields["refusals"]:
            lines.append(f"  {refusal['what']}: {refusal['why']}")
            lines += [f"      {refusal['hint']}"] if refusal["hint"] else []
    for title, name in (("seen", "seen"), ("left", "left"), ("next", "hint")):
        if fields.get(name):
            lines.append(f"  {title:<6} {fields[name]}")
    return lines
