"""A plan for people: what would be done, step by step, and what can't be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    MarkFormed,
    Plan,
    PrepareHost,
    ProveReach,
    RememberFile,
    StartNode,
    Step,
)
from slotwright.cluster.topology import Address
from slotwright.console.cluster_view import counted, show_finding_list
from slotwright.console.screen import out, paint, wrapped
from slotwright.console.streams import printable
from slotwright.console.words import gettext
from slotwright.server.server_conf import SECRET_SHOWN


def show_plan(plan: Plan, file: str | None = None) -> None:
    """`plan`: what would be done, and what can't be. ``file`` is what the user named, if anything."""
    show_steps(plan, f"slotwright up {file}" if file else "slotwright up", _agreement(plan))


def _agreement(plan: Plan) -> str:
    if any(finding.code == "settings-unread" for finding in plan.findings):
        return gettext("the world is what the file says, as far as it could be read")
    return "the world is what the file says"


def show_steps(plan: Plan, command: str, done: str) -> None:
    """The steps of a plan that ``command`` does, and what stands in its way; ``done`` says what is so where nothing is
    to be done."""
    lines = _plan_lines(plan)
    changes = sum(line.is_change for line in lines)
    if plan.is_empty:
        out(f"{paint(plan.name, 'bold')}: nothing to do, {done}")
    elif changes:
        out(f"{paint(plan.name, 'bold')}: {counted(changes, 'change')}", "")
    elif plan.steps:
        out(f"{paint(plan.name, 'bold')}: to be finished", "")
    elif plan.unseen and not plan.refusals and not plan.blockers:
        out(
            f"{paint(plan.name, 'bold')}: nothing to do on the hosts that answer; {', '.join(plan.unseen)} was not seen"
        )
    else:
        out(f"{paint(plan.name, 'bold')}: can't be done now")
    number = 0
    for line in lines:
        number += line.is_change
        mark = str(number) if line.is_change else ""
        out(printable(f"  {mark:>2}  {line.verb:<9} {line.what:<32} {line.detail}".rstrip()))
    if plan.refusals:
        out("", "  refused:")
        for refusal in plan.refusals:
            out(*wrapped("", f"{refusal.what}: {refusal.why}", 0))
            if refusal.hint:
                out(*wrapped("", refusal.hint, 4))
    if plan.findings:
        out("")
        show_finding_list(plan.findings)
    if plan.steps and not plan.refusals and not plan.blockers:
        out("", f"  no keys move. apply with: {command}")
    elif plan.refusals or plan.blockers:
        out("", f"  {command} will refuse this, and change nothing")


def show_written(plan: Plan, plan_path: str, sheet_path: str, *, is_written: bool) -> None:
    """`plan -o`: where the plan and its sheet are, or why there are none."""
    if is_written:
        out(f"  written: {plan_path}, and its change and rollback sheet {sheet_path}")
    elif plan.is_empty:
        out(f"  {plan_path} was not written: there is nothing to do")
    elif plan.refusals or plan.blockers:
        out(f"  {plan_path} was not written: what stands in the way comes first")
    else:
        out(f"  {plan_path} was not written: there is nothing to do on the hosts that answer")


class _Line(NamedTuple):
    """A line of a plan; one that is no change is not counted."""

    verb: str
    what: str
    detail: str
    is_change: bool = True


def _plan_lines(plan: Plan) -> list[_Line]:
    lines: list[_Line] = []
    created = {step.address for step in plan.steps if isinstance(step, CreateNode)}
    for wave in plan.waves:
        lines += _wave_lines(wave, created)
    return lines


def _wave_lines(wave: Sequence[Step], created: set[Address]) -> list[_Line]:
    lines: list[_Line] = []
    settings: dict[tuple[str, str], int] = {}
    for step in wave:
        match step:
            case PrepareHost(host, what):
                lines.append(_Line("prepare", host, ", ".join(what)))
            case ChangeFirewall(host, what):
                lines += [_Line("firewall", host, text) for text in what]
            case ProveReach(hosts, ports):
                named = ", ".join(map(str, ports))
                lines.append(_Line("try", counted(hosts, "host"), f"every pair, on {named} and the bus ports", False))
            case CreateNode(address, role, shard):
                lines.append(_Line("create", str(address), f"{role} of shard {shard}"))
            case StartNode(address, role, shard, why):
                if address not in created:
                    lines.append(_Line("start", str(address), f"{why} ({role} of shard {shard})"))
            case ApplySettings(_, changes):
                for change in changes:
                    is_secret = change.new == SECRET_SHOWN
                    key = (change.name, "to the file's" if is_secret else f"{change.old} -> {change.new}")
                    settings[key] = settings.get(key, 0) + 1
                if not changes:
                    key = ("its configuration", "written anew")
                    settings[key] = settings.get(key, 0) + 1
            case AwaitUsable(nodes):
                lines.append(_Line("wait", counted(nodes, "node"), "all agree, every replica in sync", False))
            case RememberFile(_, what):
                lines.append(_Line("keep", "the file", what, False))
            case MarkFormed():
                pass
    if created and any(isinstance(step, StartNode) for step in wave):
        lines.insert(0, _Line("start", counted(len(wave), "node"), "side by side"))
    lines += [
        _Line("set", f"{name} {change}", f"{counted(count, 'node')}, no restart")
        for (name, change), count in settings.items()
    ]
    return lines
