"""The change and rollback sheet of a plan: Markdown that people read, sign and keep. It holds no secret."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    HostStep,
    MarkFormed,
    Plan,
    PrepareHost,
    ProveReach,
    RememberFile,
    SettingChange,
    StartNode,
    Step,
    canary_of,
)
from slotwright.cluster.topology import Address
from slotwright.console.streams import printable
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.plan_files import SHEET_MARK
from slotwright.features.deploy.sheet_texts import Texts, texts_in
from slotwright.server.server_conf import SECRET_SHOWN


def sheet_text(plan: Plan, approved: ApprovedPlan, plan_path: str, language: str = "en") -> str:
    """The whole sheet of ``plan``, whose file is ``plan_path``."""
    text = texts_in(language)
    kinds = tuple(dict.fromkeys(step.kind for step in plan.steps))
    is_single = any(fact.name == "file mode" and fact.value == "single" for fact in approved.facts)
    file = _code(shlex.quote(approved.topology_path))[1:-1]
    parts = [
        [f"{SHEET_MARK}{plan.name} -->", f"# {text('title', name=plan.name)}"],
        _head(approved, plan_path, text),
        [text("consent")],
        [text("unseen", hosts=", ".join(plan.unseen))] if plan.unseen else [],
        [f"## {text('what')}", *_what(plan, text)],
        [f"## {text('where')}", text("order"), *_remarks(plan, text)],
        _table([text(key) for key in ("stage", "step", "node", "detail")], _steps(plan, text)),
        [f"## {text('risk')}", *(f"- **{text(kind)}**: {text(f'{_topic(kind, plan)}-risk')}" for kind in kinds)],
        [f"## {text('proof')}", text("proof-one" if is_single else "proof-text", name=plan.name)],
        [f"## {text('back')}"],
        [f"- **{text(kind)}**: {text(f'{_topic(kind, plan)}-back', name=plan.name, file=file)}" for kind in kinds],
        *_old_values(plan, text),
        *_rules(plan, text),
        [f"## {text('no-back')}", *(f"- {line}" for line in _without_way_back(plan, text))],
        [f"## {text('cut')}", text("cut-text", file=file)],
        [f"## {text('signatures')}"],
        _table(
            [text(key) for key in ("role", "name", "date", "signature")],
            [[text("applicant"), _plain(approved.made_by), approved.made_at, ""], *_unsigned(text)],
        ),
    ]
    return "\n\n".join("\n".join(_spaced(part)) for part in parts if part) + "\n"


def _spaced(lines: Sequence[str]) -> Iterator[str]:
    """A heading has an empty line after it, and so has a paragraph; lists and tables stay together."""
    for at, line in enumerate(lines):
        yield line
        if at + 1 < len(lines) and not (line.startswith(("- ", "|")) and lines[at + 1].startswith(("- ", "|"))):
            yield ""


def _head(approved: ApprovedPlan, plan_path: str, text: Texts) -> list[str]:
    rows = [
        [text("file"), _code(approved.topology_path)],
        [text("plan"), _code(plan_path)],
        [text("made"), approved.made_at],
        [text("by"), _plain(approved.made_by)],
        [text("digest"), _code(approved.digest)],
        [text("do"), _code(f"slotwright up {shlex.quote(plan_path)}")],
    ]
    return _table([text("cluster"), _plain(approved.name)], rows)


def _what(plan: Plan, text: Texts) -> Iterator[str]:
    """One line a kind of step; settings have their values."""
    for kind in dict.fromkeys(step.kind for step in plan.steps):
        steps = [step for step in plan.steps if step.kind == kind]
        match steps[0]:
            case ApplySettings():
                yield from _what_is_set(steps, text)
            case AwaitUsable(nodes):
                yield f"- {text('wait-what', count=_nodes(nodes, text))}"
            case _:
                count = _hosts(len(steps), text) if isinstance(steps[0], HostStep) else _nodes(len(steps), text)
                yield f"- {text(f'{kind}-what', count=count)}"


def _nodes(count: int, text: Texts) -> str:
    return text.words.ngettext("{count} node", "{count} nodes", count=count)


def _hosts(count: int, text: Texts) -> str:
    return text.words.ngettext("{count} host", "{count} hosts", count=count)


def _what_is_set(steps: Sequence[Step], text: Texts) -> Iterator[str]:
    changes: dict[str, int] = {}
    rewritten = 0
    for step in steps:
        if isinstance(step, ApplySettings):
            rewritten += not step.changes
            for change in step.changes:
                spelled = f"{_code(change.name)}: {_change(change, text)}"
                changes[spelled] = changes.get(spelled, 0) + 1
    for spelled, count in changes.items():
        yield f"- {text('set-what', names=spelled, count=_nodes(count, text))}"
    if rewritten:
        yield f"- {text('set-what-file', count=_nodes(rewritten, text))}"


def _remarks(plan: Plan, text: Texts) -> Iterator[str]:
    for number, wave in enumerate(plan.waves, 1):
        if (first := canary_of(wave)) is not None:
            yield text("canary", stage=number, node=first.where)
    if any(isinstance(step, HostStep) for step in plan.steps):
        yield text("replanned")


def _steps(plan: Plan, text: Texts) -> Iterator[list[str]]:
    for number, wave in enumerate(plan.waves, 1):
        for step in wave:
            for detail in _details(step, text):
                where = step.where if step.where and step.where != plan.name else text("whole")
                yield [str(number), text(step.kind), _plain(where), detail]


def _details(step: Step, text: Texts) -> Iterator[str]:
    match step:
        case PrepareHost(_, what):
            yield _plain(", ".join(what))
        case ChangeFirewall(_, what):
            yield from map(_plain, what)
        case ProveReach(hosts, ports):
            yield text("every-pair", hosts=hosts, ports=", ".join(map(str, ports)))
        case CreateNode(_, role, shard):
            yield text("role-of", role=text(role.value), shard=shard)
        case StartNode(_, role, shard, why):
            reason = text("new-node" if why == "new" else "is-gone")
            yield f"{text('role-of', role=text(role.value), shard=shard)}; {reason}"
        case ApplySettings(_, changes):
            for change in changes:
                yield f"{_code(change.name)}: {_change(change, text)}"
            if not changes:
                yield text("rewrite")
        case AwaitUsable() | MarkFormed() | RememberFile():
            yield text(f"{step.kind}-what", count=_nodes(getattr(step, "nodes", 0), text))


def _change(change: SettingChange, text: Texts) -> str:
    if change.new == SECRET_SHOWN:
        return text("to-the-file")
    return f"{_code(change.old)} → {_code(change.new)}"


def _set_on_running(plan: Plan) -> list[ApplySettings]:
    """The settings of nodes that have others now: those of nodes that the plan starts are lowered timings."""
    started: set[Address] = {step.address for step in plan.steps if isinstance(step, StartNode)}
    return [step for step in plan.steps if isinstance(step, ApplySettings) and step.address not in started]


def _topic(kind: str, plan: Plan) -> str:
    """Which texts a kind of step has: of settings there are two."""
    return "lowered" if kind == "set" and not _set_on_running(plan) else kind


def _old_values(plan: Plan, text: Texts) -> Iterator[list[str]]:
    rows = [
        [step.where, _code(change.name), _code(change.old), _code(change.new)]
        for step in _set_on_running(plan)
        for change in step.changes
    ]
    if rows:
        yield [f"### {text('old-values')}"]
        yield _table([text(key) for key in ("node", "setting", "old", "new")], rows)


def _rules(plan: Plan, text: Texts) -> Iterator[list[str]]:
    steps = [step for step in plan.steps if isinstance(step, ChangeFirewall)]
    for title, rows in (
        ("rules-added", [[step.host, _code(rule)] for step in steps for rule in step.add]),
        ("rules-removed", [[step.host, _code(rule)] for step in steps for rule in step.remove]),
    ):
        if rows:
            yield [f"### {text(title)}"]
            yield _table([text("host"), text("rule")], rows)


def _without_way_back(plan: Plan, text: Texts) -> Iterator[str]:
    steps = _set_on_running(plan)
    changes = [change for step in steps for change in step.changes]
    secrets = sorted({change.name for change in changes if change.new == SECRET_SHOWN})
    if changes:
        yield text("no-back-set")
    if secrets:
        yield text("no-back-secret", names=", ".join(map(_code, secrets)))
    if steps:
        yield text("no-back-file")
    if any(isinstance(step, CreateNode) for step in plan.steps):
        yield text("no-back-create")
    elif not steps:
        yield text("no-back-none")


def _unsigned(text: Texts) -> list[list[str]]:
    return [[text(role), "", "", ""] for role in ("approver", "executor")]


def _table(header: Sequence[str], rows: Iterator[list[str]] | Sequence[list[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _plain(value: str) -> str:
    """Text from outside within a line: nothing in it is Markdown, and no line ends in it."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>|#&" else char for char in printable(value))


def _code(value: str) -> str:
    """The same as code, where nothing but the bar of a table means anything."""
    kept = printable(value)
    return f"`{kept.replace('`', chr(39)).replace('|', chr(92) + '|')}`" if kept else '`""`'
