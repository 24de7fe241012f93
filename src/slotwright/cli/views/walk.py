"""`client test`: the addresses that clients are sent to, and what each comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slotwright.cli.views.human import counted, show_finding_list
from slotwright.cli.views.json import finding_json
from slotwright.cli.views.screen import out, paint, table
from slotwright.model.walk import Announced, Dialled, Walk

if TYPE_CHECKING:
    from slotwright.api import Walked


def show_walked(walked: Walked) -> None:
    """The verdict, a row a node, and what is wrong."""
    walk = walked.walk
    here = walk.place or "this machine"
    good = sum(_leads_home(walk, node) for node in walk.nodes)
    head = f"{paint(walked.name, 'bold')}, as a client at {here} sees it: "
    if walked.is_ok:
        followed = sum(each.goal is not None for each in walk.redirects)
        out(f"{head}{paint('every node is found', 'good')}", "")
        _rows(walk)
        out("", f"  {good} announced addresses reached, {counted(followed, 'redirection')} followed")
    else:
        out(f"{head}{paint(f'{good} of {len(walk.nodes)} nodes are found', 'bad')}", "")
        _rows(walk)
    if walked.findings:
        out("")
        show_finding_list(walked.findings)


def _rows(walk: Walk) -> None:
    rows = []
    for number, shard in enumerate(walk.shards, 1):
        for node in shard.nodes:
            trial = _trial(walk, node)
            rows.append(
                (
                    str(number),
                    node.role.value,
                    "no name" if trial is None else str(trial.address),
                    _outcome(trial, node),
                    _redirected(walk, node),
                )
            )
    table(("shard", "role", "announced as", "reached", "redirections to it"), rows)


def _trial(walk: Walk, node: Announced) -> Dialled | None:
    return None if node.host == "?" else walk.trial_of(walk.address_of(node))


def _outcome(trial: Dialled | None, node: Announced) -> str:
    if trial is None:
        return paint("nowhere to go", "bad")
    if trial.is_good and trial.id == node.id:
        return f"{trial.took_ms:.0f} ms" if trial.took_ms is not None else "yes"
    return paint("another node" if trial.is_good else trial.code, "bad")


def _redirected(walk: Walk, node: Announced) -> str:
    """Of those that should lead to this primary, how many do."""
    meant = [each for each in walk.redirects if each.owner == node.id and each.asked != walk.address_of(node)]
    if not meant:
        return "-"
    right = sum(_is_right(walk, each.goal, node) for each in meant)
    return f"{right} of {len(meant)}"


def _is_right(walk: Walk, goal: Any, node: Announced) -> bool:
    trial = walk.trial_of(goal) if goal is not None else None
    return trial is not None and trial.id == node.id


def _leads_home(walk: Walk, node: Announced) -> bool:
    trial = _trial(walk, node)
    return trial is not None and trial.is_good and trial.id == node.id


def walked_json(walked: Walked) -> dict[str, Any]:
    """`client test`."""
    walk = walked.walk
    return {
        "name": walked.name,
        "from": walk.place or None,
        "ok": walked.is_ok,
        "entry": str(walk.entry),
        "nodes": [
            _node_json(walk, node, number) for number, shard in enumerate(walk.shards, 1) for node in shard.nodes
        ],
        "redirects": [
            {
                "asked": str(each.asked),
                "owner": each.owner,
                "goal": str(each.goal) if each.goal else None,
                "error": each.error,
            }
            for each in walk.redirects
        ],
        "findings": [finding_json(found) for found in walked.findings],
    }


def _node_json(walk: Walk, node: Announced, shard: int) -> dict[str, Any]:
    trial = _trial(walk, node)
    return {
        "id": node.id,
        "shard": shard,
        "role": node.role.value,
        "announced": None if trial is None else str(trial.address),
        "also": list(node.others),
        "reached": _leads_home(walk, node),
        "trouble": "" if trial is None else trial.code,
        "answered_by": (trial.id or None) if trial else None,
        "took_ms": round(trial.took_ms, 1) if trial and trial.took_ms is not None else None,
    }
